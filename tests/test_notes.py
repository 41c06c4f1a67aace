"""Notes in pictures: part of the figure in every form, harmless, and what they are about is a selection."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mechviz as mv

WORDS = ["When", " Mary", " left"]
PATTERN = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]


def notes_of(view, id="0"):
    return view.flat()[1][id][1]["frame"].get("notes")


def test_a_note_is_part_of_the_picture_until_it_is_cleared():
    view = mv.attention(WORDS, PATTERN)
    assert notes_of(view) is None
    assert view.note("to Mary", queries=2, keys=[1]) is view
    mv.row(mv.tokens(WORDS), view.note("L0H1 <b>", layers=0, heads=1))
    view.update(title="Later")
    expected = [
        {"text": "to Mary", "at": {"queries": [2], "keys": [1]}},
        {"text": "L0H1 <b>", "at": {"layers": [0], "heads": [1]}},
    ]
    assert notes_of(view) == expected
    assert view.widget.figure["views"]["0"]["props"]["frame"]["notes"] == expected
    assert "<li>L0H1 &lt;b&gt;</li>" in view.still() and "<b>L0" not in view.still()
    figure = mv.row(mv.tokens(WORDS).note("text"), view)
    assert notes_of(figure) == [{"text": "text", "at": {}}]
    figure.clear_notes()
    assert notes_of(figure) is notes_of(figure, "1") is None


def test_notes_cross_to_a_picture_that_is_shown():
    view = mv.tokens(WORDS)
    shown = view.widget
    view.note("here", positions=1)
    assert shown.figure["views"]["0"]["props"]["frame"]["notes"][0]["at"] == {"positions": [1]}


def test_notes_are_kept_in_files(tmp_path):
    view = mv.tokens(WORDS).note("here", positions=1).note("\ud800 there")
    opened = mv.open(view.save(tmp_path / "a.json"))
    assert notes_of(opened) == notes_of(view)
    assert opened.save(tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    opened.note("and here", positions=2)
    assert len(notes_of(opened)) == 3
    opened.clear_notes()
    assert notes_of(opened) is None
    assert notes_of(view)[1]["text"] == "⟨U+D800⟩ there"


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ("x", "notes must be a list of objects"),
        ([{"text": "x"}], "notes must be a list of objects"),
        ([{"at": {}}], "text must be a string; got a NoneType"),
        ([{"text": "x", "at": {"where": [1]}}], "a selection has the axes .* got 'where'"),
        ([{"text": "x", "at": {"heads": ["1"]}}], "must hold indices"),
    ],
)
def test_notes_of_a_damaged_file_are_refused(tmp_path, notes, message):
    path = mv.tokens(WORDS).note("here").save(tmp_path / "a.json")
    content = json.loads(path.read_text())
    content["views"]["0"]["props"]["frame"]["notes"] = notes
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        mv.open(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mv.row(mv.tokens(WORDS)).note("x"), TypeError, "a note belongs to one view"),
        (lambda: mv.tokens(WORDS).note(3), TypeError, "text must be a string; got a int"),
        (lambda: mv.tokens(WORDS).note("  "), ValueError, "text must say something; got an empty string"),
        (lambda: mv.tokens(WORDS).note("x", position=1), ValueError, "a selection has the axes .*; got 'position'"),
        (lambda: mv.tokens(WORDS).note("x", positions=-1), TypeError, r"selection\.positions must hold indices"),
    ],
)
def test_a_note_that_cannot_be_written_says_why(make, error, message):
    with pytest.raises(error, match=message):
        make()
