"""Tokens that are patches of an image: where they stand, and that slices, sums and files keep it."""

from __future__ import annotations

import json
import pickle

import pytest

from mechviz.text import Patches, Tokens, as_tokens


def tokens(patches=((2, 2, 3),), n: int = 10) -> Tokens:
    import dataclasses

    return dataclasses.replace(as_tokens([f"t{i}" for i in range(n)]), patches=patches)


def test_a_stretch_knows_its_rows_and_columns():
    (one,) = tokens().patches
    assert one == Patches(start=2, rows=2, columns=3) and one.stop == 8
    assert tokens([(6, 2, 2), (0, 1, 3)]).patches == ((0, 1, 3), (6, 2, 2))  # from left to right


def test_slices_keep_what_lies_in_them_whole():
    two = tokens([(1, 2, 2), (6, 1, 3)])
    assert two[1:9].patches == ((0, 2, 2), (5, 1, 3))
    assert two[2:].patches == ((4, 1, 3),)
    assert two[:8].patches == ((1, 2, 2),)
    assert two[::-1].patches == two[::2].patches == ()


def test_sums_shift_them():
    both = tokens([(1, 2, 2)], 6) + tokens([(0, 1, 3)], 4)
    assert both.patches == ((1, 2, 2), (6, 1, 3))


def test_they_travel_and_text_alone_says_nothing_of_them():
    assert json.loads(json.dumps(tokens().to_props()))["patches"] == [[2, 2, 3]]
    assert "patches" not in as_tokens(["a"]).to_props()
    assert pickle.loads(pickle.dumps(tokens())).patches == tokens().patches
    assert tokens() == as_tokens([f"t{i}" for i in range(10)])  # compared by content


@pytest.mark.parametrize(
    ("patches", "error", "message"),
    [
        ([(5, 2, 3)], ValueError, "within 10 tokens; got start=5, rows=2, columns=3"),
        ([(0, 0, 3)], ValueError, "rows and columns of at least 1"),
        ([(-1, 1, 1)], ValueError, "got start=-1"),
        ([(0, 2, 2), (3, 1, 1)], ValueError, "must not share a position"),
        ([(0, 2)], TypeError, r"\(start, rows, columns\)"),
        ([(0, 1.5, 2)], TypeError, "whole numbers"),
    ],
)
def test_wrong_stretches(patches, error, message):
    with pytest.raises(error, match=message):
        tokens(patches)
