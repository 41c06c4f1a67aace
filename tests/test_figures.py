"""Figures: layouts, one selection, selections that cells share, and files that open again with all of it."""

from __future__ import annotations

import inspect
import json
import re
import time

import numpy as np
import pytest

import mechviz as mv
from mechviz import layouts
from mechviz.gallery import sections

WORDS = ["When", " Mary", " left"]
LOSS = [float("nan"), 1.5, 0.25]
PATTERN = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]


def text(title="", **more):
    return mv.tokens(WORDS, LOSS, **({"title": title} if title else {}), **more)


def test_layouts_in_layouts_and_views_in_reading_order():
    figure = mv.tabs(
        {
            "all": mv.grid(text("A"), text("B"), text("C"), columns=3),
            "one <b>": mv.column(text("D"), mv.row(text("E"), text("F"))),
        }
    )
    layout, views = figure.flat()
    grid, column = layout["items"]
    assert layout["kind"] == "tabs" and layout["names"] == ["all", "one <b>"]
    assert grid == {"kind": "grid", "columns": 3, "items": [{"kind": "view", "id": i} for i in "012"]}
    assert column["items"][1] == {"kind": "row", "items": [{"kind": "view", "id": i} for i in "45"]}
    assert [props["frame"]["title"] for _, props in views.values()] == list("ABCDEF")
    assert repr(figure).startswith("<mechviz tabs of tokens 'A'")


def test_a_figure_of_every_layout_opens_again(tmp_path):
    figure = mv.tabs({"grid": mv.grid(text("A"), text("B"), text("C"), columns=2), "row": mv.row(text("D"), text("E"))})
    figure.selection.positions = [2]
    opened = mv.open(figure.save(tmp_path / "figure.json"))
    assert opened.flat()[0] == figure.flat()[0]
    assert opened.selection == figure.selection
    assert opened.save(tmp_path / "again.json").read_bytes() == (tmp_path / "figure.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "grid"}, "a grid has a number of columns from 1; got None"),
        ({"kind": "grid", "columns": 0}, "a grid has a number of columns from 1; got 0"),
        ({"kind": "tabs", "names": ["a"]}, r"tabs need a name for each of 2; got \['a'\]"),
        ({"kind": "tabs", "names": ["a", 1]}, r"tabs need a name for each of 2; got \['a', 1\]"),
        ({"kind": "spiral"}, "spiral"),
    ],
)
def test_a_file_with_a_layout_that_cannot_be_drawn_is_refused(tmp_path, change, message):
    path = mv.row(text("A"), text("B")).save(tmp_path / "figure.json")
    content = json.loads(path.read_text())
    content["layout"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        mv.open(path)


def test_heights_follow_the_width():
    def of(layout, *heights, width):
        return layouts.height(layout, [lambda _, h=h: h for h in heights], width)

    # Three of at least 260 px and two gaps fit into 900, two into 600, one into 500.
    gap = layouts.GAP
    grid = {"kind": "grid", "columns": 3}
    assert of(grid, 100, 200, 300, 50, width=900) == 300 + gap + 50
    assert of(grid, 100, 200, 300, 50, width=600) == 200 + gap + 300
    assert of(grid, 100, 200, 300, 50, width=500) == 650 + 3 * gap
    assert of({"kind": "row"}, 100, 200, width=1400) == 200
    assert of({"kind": "row"}, 100, 200, width=900) == 300 + gap
    assert of({"kind": "column"}, 100, 200, width=1400) == 300 + gap
    # The tabs' names stand above the highest.
    assert of({"kind": "tabs", "names": ["a", "b"]}, 100, 200, width=900) > 200


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mv.grid(), ValueError, "grid needs at least one view; got none"),
        (lambda: mv.grid(text(), 3), TypeError, "grid takes views; argument 1 is a int"),
        (lambda: mv.grid([text()]), TypeError, r"argument 0 is a list; write grid\(\*views\)"),
        (lambda: mv.grid(text(), columns=0), ValueError, "columns must be at least 1; got 0"),
        (lambda: mv.grid(text(), columns=2.5), TypeError, "columns must be a whole number; got 2.5"),
        (lambda: mv.tabs({}), ValueError, "tabs needs at least one view; got none"),
        (lambda: mv.tabs([text()]), TypeError, "tabs takes a dict of views by name; got a list"),
        (lambda: mv.tabs({1: text()}), TypeError, "tabs takes a dict of views by name"),
        (lambda: mv.tabs({"a": "b"}), TypeError, "tabs takes views; argument 0 is a str"),
        (lambda: text(selection={"positions": [1]}), TypeError, r"selection must be a mv.Selection .*; got a dict"),
        (lambda: mv.row(text(), selection=[1]), TypeError, "selection must be a mv.Selection"),
        (
            lambda: mv.row(text(selection=mv.Selection()), text(selection=mv.Selection())),
            ValueError,
            "the views of a figure share one selection; these were given 2 different ones",
        ),
    ],
)
def test_what_cannot_be_a_figure_says_why(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_cells_share_a_selection():
    shared = mv.Selection(positions=[1])
    first, second = text(selection=shared), mv.attention(WORDS, PATTERN, selection=shared)
    assert first.selection is shared and second.selection is shared
    shared.positions = [2]
    for view in (first, second, mv.column(text(), selection=shared)):
        assert view.widget.selection["positions"] == [2]
        assert view.widget.figure["selection_id"] == shared.shared_id
    assert shared.heads == [0]  # what the attention view opens with
    assert text().widget.figure.get("selection_id") is None


def test_a_figure_takes_the_selection_that_a_view_of_it_was_given():
    shared = mv.Selection()
    elsewhere = text(selection=shared)
    figure = mv.row(text(), text(selection=shared))
    figure.selection.positions = [1]
    assert elsewhere.selection.positions == [1]
    assert figure.widget.figure["selection_id"] == shared.shared_id


def test_what_was_picked_in_its_views_is_taken_over_as_it_is():
    first, second = text(), mv.attention(WORDS, PATTERN)
    first.selection.set({"positions": [1], "queries": []})
    second.selection.set({"queries": [2], "keys": [0]})
    figure = mv.column(first, second)
    assert figure.selection == mv.Selection(positions=[1], queries=[2], keys=[0], layers=[0], heads=[0])


def test_who_listens_hears_also_when_the_selection_becomes_another():
    heard = []
    view = text()
    stop = view.on_select(lambda selection: heard.append(selection.positions))
    shared = mv.Selection()
    mv.row(view, mv.attention(WORDS, PATTERN), selection=shared)
    shared.set({"positions": [2]}, source="a reader")
    _wait(lambda: heard == [[2]])
    stop()
    done = []
    text_too = text(selection=shared)
    text_too.on_select(lambda selection: done.append(selection.positions))
    shared.set({"positions": [0]}, source="a reader")
    _wait(lambda: done == [[0]])  # one worker delivers in order: whoever still listened would have heard
    assert heard == [[2]]


def test_a_pick_names_the_figure_in_which_it_was_made():
    """Figures on one page have told each other in the browser; what comes back later through the kernel is known."""
    shared = mv.Selection()
    first, second = text(selection=shared).widget, text(selection=shared).widget
    first.set_state({"selection": {**shared.to_dict(), "positions": [2], "origin": "f3a9:17"}})
    assert second.selection["positions"] == [2]
    assert second.selection["origin"] == "f3a9:17"
    shared.positions = [0]  # Python has spoken: nobody has heard of it
    assert second.selection["positions"] == first.selection["positions"] == [0]
    assert "origin" not in second.selection


@pytest.mark.parametrize("name", [example.name for example in sections() if example.name != "live"])
def test_every_display_function_takes_a_selection(name):
    assert inspect.signature(getattr(mv, name)).parameters["selection"].default is None


def test_a_text_box_shares_a_selection_through_a_layout():
    """Arguments by name of `mv.live` are controls of its function."""
    shared = mv.Selection()
    box = mv.live(lambda given: text(), text="a")
    figure = mv.column(box, selection=shared)
    assert figure.selection is box.selection is shared


def test_figures_of_one_page_share_what_they_were_given():

    def linked():
        one, other = mv.Selection(positions=[1]), mv.Selection()
        views = [text(), text(selection=other), "and", text(selection=one), text(selection=other), text(selection=one)]
        return mv.page("Linked", views).to_html()

    # By the number of the first that has it, which a link still names when the page is made again.
    html = linked()
    assert re.findall(r'"selection_id":\s*"(\w+)"', html) == ["1", "2", "1", "2"]
    assert linked() == html


def _wait(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)
