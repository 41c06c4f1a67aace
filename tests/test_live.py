"""`mv.live` without a browser: what a text makes, what stays after an error, how scales hold, what a file keeps."""

from __future__ import annotations

import functools
import json
import threading

import numpy as np
import pytest

import mechviz as mv
from mechviz import worker
from mechviz.views.live import Live


def letters(text: str) -> mv.View:
    """One token a letter; its value is its place in the alphabet."""
    return mv.tokens(list(text), [ord(c) - ord("a") for c in text], name="place")


def asked(view: mv.View, text: str, **more) -> None:
    """As the browser asks: the box is the first view."""
    view.answer("0", "run", {"text": text, **more})


def props(view: mv.View) -> tuple[dict, dict]:
    """Of the box and of the picture."""
    _, views = view.flat()
    return dict(views["0"][1]), dict(views["1"][1])


def test_the_picture_follows_the_text():
    view = mv.live(letters, "abc", title="Say")
    assert isinstance(view, Live) and view.text == "abc" and view.view.flat()[1]["0"][0] == "tokens"
    box, picture = props(view)
    assert box["text"] == "abc" and box["frame"]["title"] == "Say" and not box["saved"] and box["error"] is None
    assert picture["tokens"]["label"] == ["a", "b", "c"]
    asked(view, "dcba")
    box, picture = props(view)
    assert box["text"] == view.text == "dcba" and picture["tokens"]["label"] == ["d", "c", "b", "a"]
    view.text = "ab"
    assert props(view)[1]["tokens"]["label"] == ["a", "b"]
    view.update(f=lambda text: mv.tokens([text]))
    assert props(view)[1]["tokens"]["label"] == ["ab"]


def test_an_error_is_said_and_the_last_good_picture_stays():
    view = mv.live(letters, "abc")
    asked(view, "")  # no tokens: mv.tokens refuses
    box, picture = props(view)
    assert "tokens" in box["error"] and "ValueError" in box["error"] and view.error == box["error"]
    assert box["text"] == "abc" and picture["tokens"]["label"] == ["a", "b", "c"]
    assert view.flat("file")[1]["0"][1]["error"] is None  # of no text that the file shows
    asked(view, "ab")
    assert props(view)[0]["error"] is None and view.error == ""
    with pytest.raises(ValueError, match="tokens"):
        view.text = ""
    assert view.text == "ab"
    with pytest.raises(ZeroDivisionError):
        view.update(f=lambda text: 1 / 0)
    asked(view, "abc")  # by the function as it was
    assert view.text == "abc"


def test_scales_only_grow_until_they_are_reset():
    # ink from 0 to the largest value: a = 0 … z = 25
    view = mv.live(letters, "ac")
    limits = lambda: props(view)[1]["scale"]["limits"]  # noqa: E731
    assert limits() == [0, 2]
    asked(view, "az")
    assert limits() == [0, 25]
    asked(view, "ab")
    assert limits() == [0, 25]
    asked(view, "ab", reset=True)
    assert limits() == [0, 1]
    # ink is the upper half of signed: a colour that is blue means the same in both
    ramp = lambda: props(view)[1]["scale"]["ramp"]  # noqa: E731
    asked(view, "ae")
    view.update(f=lambda text: mv.tokens(list(text), [-3.0, 1.0], name="place"))
    assert (ramp(), limits()) == ("signed", [-4, 4])
    view.update(f=letters)
    assert (ramp(), limits()) == ("signed", [-4, 4])
    # another quantity, or ember, has a scale of its own
    view.update(f=lambda text: mv.tokens(list(text), [2.0, 1.0], name="place", scale="ember"))
    assert (ramp(), limits()) == ("ember", [0, 2])
    # limits that are given stay
    view.update(f=lambda text: mv.tokens(list(text), [0.5, 1.0], name="given", limits=(0, 1)))
    assert limits() == [0, 1]


def test_scales_of_neurons_hold_layer_by_layer_also_where_a_layer_is_read_later():
    largest = {"a": 1.0, "b": 5.0, "c": -2.0}

    def f(text):
        layer = np.zeros((1, 4), np.float32)
        layer[0, 0] = largest[text]
        return mv.neurons([text], [layer, 10 * layer])

    view = mv.live(f, "a")

    def limits():
        picture = props(view)[1]
        return picture["ramp"], [layer["facts"].numbers()[:2].tolist() for layer in picture["layers"]]

    assert limits() == ("ink", [[0, 1], [0, 10]])
    asked(view, "b")
    assert limits() == ("ink", [[0, 5], [0, 50]])
    asked(view, "a")
    assert limits() == ("ink", [[0, 5], [0, 50]])
    asked(view, "c")
    assert limits() == ("signed", [[-5, 5], [-50, 50]])
    asked(view, "a", reset=True)
    assert limits() == ("ink", [[0, 1], [0, 10]])


def test_controls_and_the_selection_are_arguments():
    import ipywidgets

    factor = ipywidgets.IntSlider(2, 1, 5)
    seen = []

    def f(text, selection, factor):
        seen.append((text, selection.positions, factor))
        return mv.tokens(list(text), [factor] * len(text))

    view = mv.live(f, "ab", factor=factor)
    assert seen == [("ab", [], 2)] and props(view)[0]["controls"] == [["factor", "2"]]
    factor.value = 4
    assert seen[-1] == ("ab", [], 4) and props(view)[0]["controls"] == [["factor", "4"]]
    view.selection.positions = [1]
    assert seen[-1] == ("ab", [1], 4) and len(seen) == 3
    # in a figure the selection is the figure's
    other = mv.tokens(["x", "y", "z"])
    figure = mv.row(view, other)
    figure.selection.positions = [0]
    assert seen[-1] == ("ab", [0], 4)


def test_it_is_a_view_among_others(tmp_path):
    view = mv.live(letters, "abc")
    figure = mv.column(mv.tokens(["first"]), mv.row(view, mv.tokens(["last"])))
    layout, views = figure.flat()
    assert [kind for kind, _ in views.values()] == ["tokens", "live", "tokens", "tokens"]
    figure.answer("1", "run", {"text": "ba"})
    assert [v[1].get("tokens", {}).get("label") for v in figure.flat()[1].values()] == [
        ["first"],
        None,
        ["b", "a"],
        ["last"],
    ]
    assert "live 'Text'" in repr(view)

    path = figure.save(tmp_path / "x.json")
    back = mv.open(path)
    box = back.flat()[1]["1"][1]
    assert box["saved"] and box["text"] == "ba" and back.flat()[0] == layout
    html = view._twin().to_html()
    kept = json.loads(
        html.split('type="application/json">')[1].split("</script>")[0].replace("&#39;", "'").replace("&amp;", "&")
    )
    assert kept["views"]["0"]["props"]["saved"] and kept["views"]["1"]["kind"] == "tokens"
    assert "ba" in view.still()


def test_what_is_displayed_is_told_before_the_answer_is_given(monkeypatch):
    view = mv.live(letters, "abc")
    widget = mv.column(view).widget
    versions = []
    widget.observe(lambda change: versions.append(change["new"]["version"]), "figure")
    for text in ("a", "ab", "abc"):
        asked(view, text)
        assert widget.figure["views"]["1"]["props"]["tokens"]["label"] == list(text)
    assert versions == sorted(versions) and len(versions) == 3


def test_a_cell_and_the_reader_take_turns(monkeypatch):
    monkeypatch.setattr(worker, "threaded", lambda: True)
    inside, most = [0], [0]

    def f(text):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        made = letters(text)
        inside[0] -= 1
        return made

    view = mv.live(f, "a")
    reader = threading.Thread(target=lambda: [asked(view, "ab") for _ in range(100)])
    reader.start()
    for _ in range(100):
        view.text = "abc"
    reader.join()
    assert worker.drain() and most == [1]
    box, picture = props(view)
    assert "".join(picture["tokens"]["label"]) == box["text"]


def test_what_it_refuses():
    with pytest.raises(TypeError, match="f must be a function from a text to a view; got a str"):
        mv.live("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"f must return a view, as mv.tokens\(...\) does; it returned a NoneType"):
        mv.live(lambda text: None, "a")  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="layer must be a widget with a value, as ipywidgets has; got a int"):
        mv.live(letters, "a", layer=3)
    with pytest.raises(TypeError, match="text must be a string; got a int"):
        mv.live(letters, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="f must be a function from a text to a view; got a int"):
        mv.live(letters, "a").update(f=3)
    with pytest.raises(TypeError, match="f must return a view"):
        mv.live(max, "a")  # of which Python knows no signature
    with pytest.raises(TypeError, match="a live view is updated by text= and f=; got title"):
        mv.live(letters, "a").update(title="x")


@pytest.mark.parametrize(("name", "ours"), [("title", "string"), ("selection", "mv.Selection")])
def test_a_control_may_have_the_name_of_an_argument_of_ours(name, ours):
    import ipywidgets

    control, seen = ipywidgets.Text("first"), []

    def f(text, **values):
        seen.append(values)
        return letters(text)

    view = mv.live(f, "ab", **{name: control})
    control.value = "second"
    assert seen == [{name: "first"}, {name: "second"}]
    assert props(view)[0]["controls"] == [[name, "second"]]
    assert props(view)[0]["frame"]["title"] == "Text"
    with pytest.raises(
        TypeError, match=f"{name} must be a {ours} or a widget with a value, as ipywidgets has; got a int"
    ):
        mv.live(letters, "a", **{name: 3})  # type: ignore[arg-type]


def test_after_an_error_a_control_runs_with_the_text_in_the_box():
    import ipywidgets

    most = ipywidgets.IntSlider(3, 1, 9)

    def f(text, most):
        if len(text) > most:
            raise ValueError(f"{len(text)} letters")
        return letters(text)

    view = mv.live(f, "abc", most=most)
    asked(view, "abcde")
    assert "5 letters" in view.error and view.text == "abc"
    most.value = 4
    assert "5 letters" in view.error  # not the picture of "abc" below a box that says "abcde"
    most.value = 5
    assert (view.error, view.text) == ("", "abcde")
    # another function, too, is of the text in the box
    asked(view, "abcdef")
    view.update(f=lambda text, most: letters(text))
    assert view.text == "abcdef"


def test_an_error_names_its_line_and_a_long_one_is_cut_in_the_picture():
    def f(text):
        if text == "k":
            raise KeyError("layer 7")
        if text == "a":
            raise AssertionError
        if text == "m":
            raise RuntimeError("CUDA out of memory. " + 9000 * "x")
        return letters(text)

    first = f.__code__.co_firstlineno
    view = mv.live(f, "b")
    asked(view, "k")
    assert view.error == f"KeyError: 'layer 7' (line {first + 2}, in f)"
    asked(view, "a")
    assert view.error == f"AssertionError (line {first + 4}, in f)"
    asked(view, "m")
    shown = props(view)[0]["error"]
    assert len(view.error) > 9000 and len(shown) < 400
    assert shown.startswith("RuntimeError: CUDA out of memory. xxx") and shown.endswith(f"x (line {first + 6}, in f)")
    asked(view, "b")
    view.update(f=functools.partial(f))
    asked(view, "k")
    assert view.error.endswith(f"(line {first + 2}, in f)")


def test_controls_have_names_and_are_shown_above_every_figure(monkeypatch):
    import IPython.display
    import ipywidgets

    layer, neuron = ipywidgets.IntSlider(), ipywidgets.IntText(description="which")
    view = mv.live(lambda text, layer, neuron: letters(text), "a", layer=layer, neuron=neuron)
    assert (layer.description, neuron.description) == ("layer", "which")
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *widgets, **_: shown.append(widgets))
    for figure in (view, mv.row(view, mv.column(view, letters("b")))):
        figure._ipython_display_()
        assert shown[0] == (layer, neuron)
        shown.clear()
    letters("b")._ipython_display_()
    assert (layer, neuron) not in shown


def test_a_selection_of_other_cells_is_its_own():
    picked = mv.Selection(positions=[1])
    seen = []

    def f(text, selection):
        seen.append(selection.positions)
        return letters(text)

    elsewhere = mv.tokens(["x", "y", "z"], selection=picked)
    view = mv.live(f, "abc", selection=picked)
    assert view.selection is elsewhere.selection is picked and seen == [[1]]
    elsewhere.selection.positions = [2]
    assert seen[-1] == [2]
