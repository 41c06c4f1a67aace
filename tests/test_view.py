"""Views are plain objects: nothing is sent before they are shown, a figure shares one selection, arrays go once."""

from __future__ import annotations

import contextvars
import json
import re

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.view import View, display

LOSS = np.array([np.nan, 1.5, 0.25])
WORDS = ["When", " Mary", " left"]


@display
def picture(values, *, title="Picture") -> View:
    """A view of the smallest kind, for tests of what all views share."""
    props = {"values": wire.Array(np.asarray(values)), "more": wire.Array(np.asarray(values) * 2, lazy=True)}
    return View.of(
        "tokens",
        props,
        title=title,
        provenance={"model": "m", "weights": "w", "dtype": "float32", "edits": ["L0H0 → zero"]},
        answers={"value": lambda args: np.asarray(values)[args["i"]]},
        still=lambda: "<b>still</b>",
        height=lambda width: 100,
    )


@pytest.fixture
def comms(monkeypatch):
    """Every message of our widgets: (type, content, buffers). Their layouts have comms of their own, without data."""
    sent = []

    def record(kind, data, buffers):
        if (data or {}).get("state", {}).get("_model_name") != "LayoutModel":
            sent.append((kind, data, buffers or []))

    class Comm:
        comm_id = "x"

        def __init__(self, *args, data=None, buffers=None, **kwargs):
            record("open", data, buffers)

        def send(self, data=None, metadata=None, buffers=None):
            record("send", data, buffers)

        def on_msg(self, callback):
            pass

        def on_close(self, callback):
            pass

        def close(self, *args, **kwargs):
            pass

    monkeypatch.setattr("comm.create_comm", lambda *args, **kwargs: Comm(*args, **kwargs))
    return sent


def test_what_is_never_displayed_sends_nothing(comms):
    a, b = picture(LOSS), picture(LOSS + 1)
    mv.column(mv.row(a, b), a)
    assert comms == []
    assert a.widget is a.widget  # asked for: now it opens, once
    assert [kind for kind, *_ in comms] == ["open"]


def test_a_row_sends_each_array_once(comms):
    assert len(mv.row(picture(LOSS), picture(LOSS)).widget.arrays) == 1
    [(_, _, buffers)] = comms
    sent = sum(memoryview(b).nbytes for b in buffers)
    assert sent == LOSS.nbytes  # what is fetched when opened has not gone yet


def test_changing_an_option_resends_no_array(comms):
    view = picture(LOSS, title="Before")
    before = view.widget.figure
    del comms[:]
    view.update(title="After")
    assert view.widget.figure["views"]["0"]["props"]["frame"]["title"] == "After"
    assert view.widget.figure["arrays"] == before["arrays"]
    assert comms and all(not buffers for _, _, buffers in comms)


def test_new_values_cross_before_the_figure_that_names_them(comms):
    view = picture(LOSS)
    _ = view.widget
    del comms[:]
    view.update(values=LOSS + 1)
    (_, first, buffers), *rest = comms
    assert first["method"] == "custom"
    assert len(buffers) == 1
    id = view.widget.figure["views"]["0"]["props"]["values"]["$array"]
    assert first["content"]["id"] == id
    assert any("figure" in data.get("state", {}) for _, data, _ in rest)


def test_numbers_changed_in_place_are_noticed(comms):
    values = LOSS.copy()
    view = picture(values)
    view.widget._handle({"type": "arrays", "ids": ["lazy-1"]})
    values[1] = 9
    view.update(values=values)
    props = view.widget.figure["views"]["0"]["props"]
    encoded = view.widget._table.encoded(props["values"]["$array"])
    assert wire.decode(encoded.header, encoded.data)[1] == 9


def test_a_figure_shares_one_selection():
    a, b = picture(LOSS), picture(LOSS)
    b.selection.heads = [3]
    figure = mv.row(a, b)
    assert a.selection is b.selection is figure.selection
    assert figure.selection.heads == [3]


def test_on_select_hears_the_reader_and_not_python():
    view = picture(LOSS)
    heard = []
    stop = view.on_select(lambda selection: heard.append(selection.positions))
    view.selection.positions = [1]
    view.selection = {"positions": [0]}
    assert heard == []
    view.widget.set_state({"selection": {"positions": [2]}})
    assert heard == [[2]]
    stop()
    view.widget.set_state({"selection": {"positions": [1]}})
    assert heard == [[2]]


def test_a_listener_that_fails_says_so_and_ends_nothing_else(capsys):
    view = picture(LOSS)
    heard = []

    def fails(selection):
        raise ValueError(f"no neuron at {selection.positions}")

    view.on_select(fails)
    view.on_select(lambda selection: heard.append(selection.positions))
    view.widget.set_state({"selection": {"positions": [2]}})
    assert "ValueError: no neuron at [2]" in capsys.readouterr().err
    assert heard == [[2]]


def test_a_listener_runs_in_the_context_of_the_cell_that_gave_it():
    cell = contextvars.ContextVar("cell", default="none")
    view = picture(LOSS)
    heard = []
    token = cell.set("cell 3")
    view.on_select(lambda selection: heard.append(cell.get()))
    cell.reset(token)
    view.widget.set_state({"selection": {"positions": [2]}})
    assert heard == ["cell 3"]


def test_python_moves_the_picture():
    view = picture(LOSS)
    widget = view.widget
    view.selection.positions = 2
    assert widget.selection["positions"] == [2]
    view.selection = {"heads": [1]}
    assert widget.selection["positions"] == []
    assert widget.selection["heads"] == [1]


def test_a_question_is_answered_and_an_error_comes_back(comms):
    view = picture(LOSS)
    _ = view.widget
    del comms[:]
    view.widget._handle({"type": "ask", "seq": 7, "view": "0", "name": "value", "args": {"i": 1}})
    view.widget._handle({"type": "ask", "seq": 8, "view": "0", "name": "nothing", "args": {}})
    (_, reply, buffers), (_, error, _) = comms
    assert reply["content"]["seq"] == 7
    assert wire.decode(reply["content"]["headers"][0], bytes(buffers[0])) == 1.5
    assert error["content"]["type"] == "error"
    assert "a tokens view answers value; asked was 'nothing'" in error["content"]["message"]


def test_provenance_heads_the_frame():
    frame = picture(LOSS)._spec.props["frame"]
    assert frame["provenance"] == ["m", "weights w", "float32"]
    assert frame["edits"] == ["L0H0 → zero"]


def test_a_saved_file_holds_every_array_and_the_provenance(tmp_path):
    html = mv.row(picture(LOSS), picture(LOSS)).save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert len(re.findall(r"data-blob=", html)) == 2  # the values and the lazy ones, each once for both views
    meta = re.search(r'name="mechviz-provenance" content="([^"]*)"', html)
    assert meta
    provenance = json.loads(meta[1].replace("&quot;", '"'))
    assert provenance["mechviz"] == mv.__version__
    assert [figure["model"] for figure in provenance["figures"]] == ["m", "m"]


def test_a_page_beyond_its_bytes_is_refused_before_it_is_written(tmp_path):
    view = mv.tokens(["a", "b"], np.array([1.0, 2.0]))
    path = tmp_path / "x.html"
    for save in (view.save, mv.page("Title", [view]).save):
        with pytest.raises(ValueError, match=r"max_bytes=10 .*layers= and heads=.*max_bytes="):
            save(path, max_bytes=10)
        assert not path.exists()
        save(path, max_bytes=10_000)
        path.unlink()


def test_saving_is_reproducible():
    assert picture(LOSS).to_html() == picture(LOSS).to_html()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mv.row(), ValueError, "row needs at least one view"),
        (lambda: mv.row(3), TypeError, "row takes views; argument 0 is a int"),
        (lambda: mv.column([picture(LOSS)]), TypeError, r"argument 0 is a list; write column\(\*views\)"),
        (
            lambda: picture(LOSS).save("x.txt"),
            ValueError,
            r"path must end in \.html, \.png, \.svg, \.pdf or \.json; got 'x\.txt'",
        ),
        (lambda: mv.page("t", "prose"), TypeError, "items must be a list"),
        (lambda: mv.page("t", []), ValueError, "items must hold at least one view or string of Markdown; got none"),
        (lambda: picture(LOSS).on_select([1]), TypeError, "f must be a function of a selection; got list"),
        (lambda: mv.page("t", [3]), TypeError, r"items\[0\] must be a view or a string of Markdown; got int"),
        (lambda: mv.row(picture(LOSS)).update(title="x"), TypeError, "update the views inside a figure"),
        (lambda: picture(LOSS).update(nope=1), TypeError, "nope"),
        (lambda: picture(LOSS).selection.set({"rows": [1]}), ValueError, "a selection has the axes"),
        (lambda: picture(LOSS).selection.rows, AttributeError, "a selection has the axes"),
        (lambda: setattr(picture(LOSS), "selection", {"heads": "a"}), TypeError, r"whole numbers from 0\); got 'a'"),
        (lambda: setattr(picture(LOSS), "selection", {"heads": [-1]}), TypeError, "got -1"),
        (lambda: setattr(picture(LOSS), "selection", [1]), TypeError, "selection must be .* got a list"),
        (lambda: picture(LOSS, title=5), TypeError, "title must be a string; got a int"),
        (lambda: mv.page(5, []), TypeError, "title must be a string; got a int"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_view_inside_a_figure_is_updated_there():
    inner = picture(LOSS, title="Before")
    figure = mv.row(inner, picture(LOSS))
    widget = figure.widget
    inner.update(title="After")
    assert widget.figure["views"]["0"]["props"]["frame"]["title"] == "After"


def test_an_update_moves_what_is_open_and_keeps_what_was_picked():
    pattern = np.tril(np.ones((2, 3, 3)))
    view = mv.attention(WORDS, pattern, head="H0")
    view.selection.queries = [1]
    view.update(title="After")
    assert view.selection.heads == [0]
    view.update(head="H1")
    assert view.selection.heads == [1]
    assert view.selection.queries == [1]
