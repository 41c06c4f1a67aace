"""One attention pattern less another: computed where it is looked at, signed in the picture, refused where it makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
import mechviz._as_array as as_array
from mechviz._sink import SinkColumn
from mechviz.pattern import Dense, Difference, Factored, Pattern, PatternStack, Unavailable
from mechviz.views import _pattern_layers

N = 300


def factored(seed: int, heads: int = 3, n: int = N, **rules) -> Factored:
    return Factored(*np.random.default_rng(seed).normal(0, 1.5, (2, heads, n, 8)).astype(np.float32), **rules)


def props(view: mv.View, use: str = "widget") -> dict:
    if use == "widget":
        view.widget.close()
        return view.flat()[1]["0"][1]
    return view.flat(use)[1]["0"][1]


def test_every_part_is_the_part_of_one_less_that_of_the_other():
    a, b = factored(0), Dense(factored(1).dense())
    less = a - b
    whole = a.dense() - b.dense()
    assert isinstance(less, Pattern) and less.shape == (3, N, N) and less.causal and less.pooling == "absmax"
    np.testing.assert_allclose(less.dense(), whole, atol=1e-6)
    np.testing.assert_allclose(less.tile(2, slice(270, 290), slice(3, 280)), whole[2, 270:290, 3:280], atol=1e-6)
    np.testing.assert_allclose(less.rows(1, [7, 299]), whole[1, [7, 299]], atol=1e-6)
    np.testing.assert_allclose(np.asarray(less), whole, atol=1e-6)
    np.testing.assert_allclose(less.dense().sum(-1), 0, atol=1e-5)  # of rows that sum to 1 both


@pytest.mark.parametrize(("queries", "keys", "size"), [(N, N, 43), (700, 20, 100), (20, 700, 100)])
def test_an_overview_has_the_entry_furthest_from_zero_in_each_square(queries, keys, size):
    a, b = np.random.default_rng(0).random((2, 1, queries, keys)).astype(np.float32)
    found, step = (Dense(a) - Dense(b)).overview(0, size), -(-max(queries, keys) // size)
    whole = (a - b)[0]
    squares = [
        [whole[i : i + step, j : j + step].ravel() for j in range(0, keys, step)] for i in range(0, queries, step)
    ]
    np.testing.assert_array_equal(found, [[x[np.abs(x).argmax()] for x in row] for row in squares])


def test_long_differences_are_never_made_as_a_whole(monkeypatch):
    monkeypatch.setattr(as_array, "ARRAY_LIMIT", 1000)
    long = factored(0, 1, 20_000) - factored(1, 1, 20_000)
    made = []
    tile = Factored.tile
    monkeypatch.setattr(
        Factored, "tile", lambda self, h, rows, cols: made.append(out := tile(self, h, rows, cols)) or out
    )
    assert long.tile(0, slice(19_990, 20_000), slice(0, 20)).shape == (10, 20)
    assert [part.shape for part in made] == [(10, 20), (10, 20)]
    with pytest.raises(MemoryError, match="ask for .tile"):
        np.asarray(long)


def test_rules_that_both_have_are_those_of_the_difference():
    a, b = factored(0, window=20), factored(1, window=30)
    assert (a - b).window == 30 and (a - factored(1)).window is None
    assert not (a - factored(1, causal=False)).causal
    named = [Dense(np.eye(2)[None], names=[name]) for name in ("x", "x", "y")]
    assert (named[0] - named[1]).names == ("x",) and (named[0] - named[2]).names is None


def test_a_sink_is_a_column_of_the_difference():
    sinks = np.array([0.5, 2.0, -1.0], np.float32)
    a, b = factored(0, sinks=sinks), factored(1)
    column = SinkColumn(a - b)
    expected = SinkColumn(a).dense() - SinkColumn(b).dense()
    np.testing.assert_allclose(column.dense(), expected, atol=1e-6)
    assert expected[..., -1].max() > 0.01 and (a - b).sinks is not None and (b - b).sinks is None


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (
            factored(0),
            factored(0, n=N - 1),
            "layer 0: .*got \\(3, 300, 300\\) - \\(3, 299, 299\\): texts of as many tokens",
        ),
        (factored(0), factored(0, heads=2), "\\(3, 300, 300\\) - \\(2, 300, 300\\): as many heads are needed"),
    ],
)
def test_other_shapes_are_refused_at_once(a, b, says):
    with pytest.raises(ValueError, match=says):
        PatternStack([a]) - PatternStack([b])


def test_stacks_go_layer_by_layer_and_say_what_is_missing():
    a = PatternStack({0: factored(0), 2: factored(1)}, missing={1: "a state-space layer"})
    b = PatternStack({0: factored(2)}, missing={1: "a state-space layer", 2: "its rows do not agree"})
    less = a - b
    assert less.layers == (0,) and isinstance(less[0], Difference)
    np.testing.assert_allclose(less[0].head(1), a[0].head(1) - b[0].head(1), atol=1e-6)
    with pytest.raises(Unavailable, match="its rows do not agree"):
        less[2]
    with pytest.raises(ValueError, match="the same layers; got \\[0, 1, 2\\] - \\[0, 1\\]: slices pick layers"):
        a - b[:2]


def test_layers_are_made_when_they_are_looked_at():
    made = []

    def make(layer, seed):
        return lambda: made.append(layer) or factored(seed)

    less = PatternStack({0: make(0, 0), 1: make(1, 1)}) - PatternStack({0: make(0, 2), 1: make(1, 3)})
    assert made == [0, 0]  # one is enough to see that the shapes fit
    less[1].rows(0, [3])
    assert made == [0, 0, 1, 1]


def test_only_patterns_can_be_taken_away():
    with pytest.raises(TypeError):
        PatternStack([factored(0)]) - 1
    with pytest.raises(TypeError):
        factored(0) - "L0"


def test_a_picture_of_a_difference_is_signed_and_claims_no_sum_of_one():
    a, b = (PatternStack([factored(seed, n=12)]) for seed in (0, 1))
    tokens = [f" t{i}" for i in range(12)]
    sent = props(mv.attention(tokens, a - b))
    size = float(np.abs((a - b)[0].dense()).max())
    assert sent["quantity"] == "difference of attention probability" and sent["causal"]
    assert sent["scale"] == {"ramp": "signed", "limits": [-size, size]}
    assert sent["row_total"] is None and sent["scores"] is None and not sent["probabilities"]
    assert props(mv.attention(tokens, a - a))["scale"] == {"ramp": "signed", "limits": [-1.0, 1.0]}
    assert props(mv.attention(tokens, a - b, name="Δ"))["quantity"] == "Δ"
    logits = Dense(np.full((1, 12, 12), 7.0)) - Dense(np.zeros((1, 12, 12)))
    assert props(mv.attention(tokens, logits))["quantity"] == "difference of attention weight"


def test_a_long_difference_stays_in_the_kernel_and_a_file_holds_it(monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    a, b = factored(0), factored(1)
    view = mv.attention([f" t{i}" for i in range(N)], a - b)
    live = props(view)
    assert live["heads"][0]["values"] == {"remote": [N, N], "signed": True} and live["row_total"] is None
    assert live["scale"] == {"ramp": "signed", "limits": [-1.0, 1.0]} and live["scores"] is None
    expected = a.head(1) - b.head(1)
    asked = {"heads": [1], "reading": None}
    _, (row,) = view.answer("0", "line", {**asked, "direction": "from", "index": 250})
    np.testing.assert_allclose(row, expected[250], atol=1e-6)
    whole = {"from": 0, "to": N, "step": 75}
    found: list[np.ndarray] = []
    while sum(map(len, found)) < 4:
        args = {**asked, "rows": whole, "cols": whole, "pooling": "max", "from": sum(map(len, found))}
        found.append(view.answer("0", "cells", args)[1][0])
    squares = np.tril(expected).reshape(4, 75, 4, 75).transpose(0, 2, 1, 3).reshape(4, 4, -1)
    furthest = np.take_along_axis(squares, np.abs(squares).argmax(-1)[..., None], -1)[..., 0]
    np.testing.assert_allclose(np.concatenate(found), furthest, atol=1e-6)
    peak = view.answer("0", "peak", {**asked, "rows": [200, 300], "cols": [0, 100]})
    assert abs(expected[peak["query"], peak["key"]]) == pytest.approx(np.abs(expected[200:, :100]).max())
    kept = props(view, "file")
    assert "remote" not in str(kept["heads"][0]["values"]) and kept["thumbs"] is not None
    assert kept["quantity"] == "difference of attention probability"
