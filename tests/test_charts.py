"""`mv.scatter`, `mv.lines`, `mv.bars`: what is sent, what points stand for, what is refused; stills and Plotly figures."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

import mechviz as mv
from mechviz import _plotly, _plotly_look, wire
from mechviz._chart_still import ticks
from mechviz.arrays import Quantity
from mechviz.gallery import examples
from mechviz.still import ramp

TOKENS = mv.Tokens(("a", "·b", "<i>"), ("a", " b", "<i>"), (0, 1, 2), (False,) * 3, (None,) * 3)


def props(view):
    _, views = view.flat()
    return views["0"][1]


def sent(array):
    """An array as the browser decodes it."""
    encoded = array.encode()
    assert encoded.header["exact"]
    return wire.decode(encoded.header, encoded.data)


def columns(view, name="points"):
    return {axis: sent(column).tolist() for axis, column in props(view)[name]["axes"].items()}


def picture(html: str) -> np.ndarray:
    found = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert found
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


class Tagged(np.ndarray):
    quantity = Quantity("loss", "nats", "ember", (0, 4))


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [[0.1, -2.5], np.array([0.1, np.nan]), np.array([1, 2**53]), np.array([1, 65504], np.float16), [True, False]],
)
def test_numbers_arrive_as_they_are(values):
    expected = np.asarray(values)
    np.testing.assert_array_equal(sent(props(mv.scatter(values, [1, 2]))["x"]), expected)
    np.testing.assert_array_equal(sent(props(mv.lines(values))["y"])[0], expected)
    np.testing.assert_array_equal(sent(props(mv.bars(values))["values"]), expected)


def test_torch_numbers_arrive_as_they_are():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        values = torch.tensor([1.0, 2.7]).to(dtype)
        np.testing.assert_array_equal(sent(props(mv.scatter(values, values))["y"]), values.double().numpy())


def test_numbers_are_those_of_the_moment():
    values = np.array([1.0, 2.0])
    views = mv.scatter(values, values, color=values), mv.lines(values, band=(values, values)), mv.bars(values)
    values[:] = 9
    scatter, lines, bars = map(props, views)
    for array in (scatter["x"], scatter["shade"]["values"], lines["y"], lines["low"], bars["values"]):
        assert sent(array).max() == 2


def test_a_hundred_thousand_points_are_two_columns_and_no_strings():
    x = np.zeros((25, 4000), np.float32)
    view = mv.scatter(x, x, points="neurons")
    found = props(view)
    assert found["points"]["labels"] is None
    assert len(found["x"].encode().data) == 400_000
    assert columns(view)["neurons"][-1] == 3999


def test_axes_are_named_by_the_caller_else_by_the_array():
    loss = np.array([1.0, 2.0]).view(Tagged)
    found = props(mv.scatter(loss, [1, 2], log="y", y_limits=(0.1, 10)))["axes"]
    assert found["x"] == {"label": "loss, nats", "log": False, "limits": None}
    assert found["y"] == {"label": "y", "log": True, "limits": [0.1, 10.0]}
    assert props(mv.lines(loss, y_label="bits"))["axes"]["y"]["label"] == "bits"
    assert props(mv.lines(loss, points="tokens"))["axes"]["x"]["label"] == "position"
    assert props(mv.bars(loss))["axes"]["y"]["label"] == "loss, nats"


# ---- what points stand for -------------------------------------------------------------------------------------------


def test_heads_by_layer():
    view = mv.scatter(np.arange(6).reshape(2, 3), np.zeros((2, 3)), points="heads")
    assert columns(view) == {"layers": [0, 0, 0, 1, 1, 1], "heads": [0, 1, 2, 0, 1, 2]}
    assert sent(props(view)["x"]).tolist() == [0, 1, 2, 3, 4, 5]
    assert props(view)["points"]["noun"] == "head"


def test_sites_in_any_form():
    view = mv.bars([1, 2, 3], points=["L5H1", mv.Head(2, 0), "blocks.3.hook_mlp_out"])
    assert columns(view) == {"layers": [5, 2, 3], "heads": [1, 0, -1]}
    assert props(view)["points"]["labels"] == ["L5H1", "L2H0", "L3.mlp"]
    assert props(view)["points"]["noun"] == "site"
    plain = mv.scatter([1, 2], [1, 2], points=[mv.Neuron(3, 17), "L0N1"])
    assert columns(plain) == {"layers": [3, 0], "neurons": [17, 1]}
    assert props(plain)["points"]["labels"] is None  # the browser names them
    stacks = mv.scatter([1], [1], points=["encoder.L5H1"])
    assert props(stacks)["points"]["labels"] == ["encoder.L5H1"]


def test_tokens_bring_names_and_provenance():
    tokens = mv.Tokens(("a",), ("a",), (0,), (False,), (None,), provenance={"model": "m"})
    view = mv.scatter([1], [2], points=tokens)
    assert columns(view) == {"positions": [0]}
    assert props(view)["tokens"]["label"] == ["a"]
    assert props(view)["frame"]["provenance"] == ["m", "1 token"]
    assert columns(mv.bars([1, 2], ["x", " y"], points="tokens")) == {"positions": [0, 1]}
    assert props(mv.bars([1, 2], ["x", " y"], points="tokens"))["points"]["labels"] == ["x", "·y"]


def test_steps_and_lines():
    view = mv.lines([[1, 2, 3], [4, 5, 6]], points="steps", sites=["L0H0", "L1H2"])
    assert columns(view) == {"step": [0, 1, 2]}
    assert columns(view, "lines") == {"layers": [0, 1], "heads": [0, 2]}
    assert props(view)["names"] == ["L0H0", "L1H2"]
    assert props(mv.lines([1, 2]))["names"] == ["0"]
    assert columns(mv.lines([1, 2])) == {}


def test_lines_by_name():
    view = mv.lines({"train": [3.0, 1.0], "test": [3.0, 2.5]})
    assert props(view)["names"] == ["train", "test"]
    np.testing.assert_array_equal(sent(props(view)["y"]), [[3.0, 1.0], [3.0, 2.5]])


def test_groups_keep_the_order_in_which_they_come():
    found = props(mv.scatter([1, 2, 3], [1, 2, 3], color=["b", "a", "b"]))
    assert found["groups"]["names"] == ["b", "a"]
    assert sent(found["groups"]["index"]).tolist() == [0, 1, 0]
    assert found["shade"] is None
    square = np.array([["x", "y"], ["y", "y"]])
    found = props(mv.scatter(np.zeros((2, 2)), np.zeros((2, 2)), points="heads", color=square))
    assert sent(found["groups"]["index"]).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ([1, 2, 4], ("ink", [0, 4])),
        ([-1, 2, np.nan], ("signed", [-2, 2])),
        ([0, 0, 0], ("ink", [0, 1])),
        ([np.nan] * 3, ("ink", [0, 1])),
        (np.array([1.0, 2, 9]).view(Tagged), ("ember", [0, 4])),
    ],
)
def test_numbers_are_coloured_on_a_scale(color, expected):
    shade = props(mv.scatter([1, 2, 3], [1, 2, 3], color=color))["shade"]
    assert (shade["scale"]["ramp"], shade["scale"]["limits"]) == expected


def test_few_named_bars_lie():
    assert props(mv.bars([1.0] * 40, [str(i) for i in range(40)]))["horizontal"] is True
    assert props(mv.bars([1.0] * 41, [str(i) for i in range(41)]))["horizontal"] is False
    assert props(mv.bars([1.0, 2.0]))["horizontal"] is False
    assert props(mv.bars([1.0, 2.0], horizontal=True, limits=(0, 3)))["axes"]["x"]["limits"] == [0, 3]


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mv.scatter([1, 2], [1]), ValueError, r"one shape; got x \(2,\) and y \(1,\)"),
        (lambda: mv.scatter([], []), ValueError, r"x must hold at least one number; got shape \(0,\)"),
        (lambda: mv.scatter(["a"], [1]), TypeError, "x must hold real numbers"),
        (
            lambda: mv.scatter([[1, 2]], [[1, 2]]),
            ValueError,
            'unless points="heads" or "neurons".*got shape \\(1, 2\\)',
        ),
        (
            lambda: mv.scatter([1], [1], points="heads"),
            ValueError,
            r"needs arrays of shape \(layer, head\); got \(1,\)",
        ),
        (lambda: mv.scatter([1], [1], points="layers"), ValueError, "points must be a list of sites.*got 'layers'"),
        (
            lambda: mv.scatter([1], [1], points=["Mary"]),
            ValueError,
            "points: 'Mary' is not a site.*points=\"tokens\" and labels",
        ),
        (lambda: mv.scatter([1, 2], [1, 2], points=["L0H0"]), ValueError, "one entry for each of 2 points; got 1"),
        (lambda: mv.scatter([1], [1], points=TOKENS), ValueError, r"points \(Tokens\) must hold .* 1 points; got 3"),
        (lambda: mv.scatter([1], [1], points=3), TypeError, "points must be .* got a int"),
        (lambda: mv.scatter([1], [1], labels="ab"), TypeError, "labels must be a list of strings"),
        (lambda: mv.scatter([1], [1], labels=["a", "b"]), ValueError, "each of 1 points; got 2"),
        (lambda: mv.scatter([1], [1], color="red"), TypeError, "color must be a group or a number for each point"),
        (lambda: mv.scatter([1], [1], color=["a", "b"]), ValueError, "a group for each of 1 points; got 2"),
        (lambda: mv.scatter([1], [1], color=[1, 2]), ValueError, r"the shape of x and y, \(1,\); got \(2,\)"),
        (lambda: mv.scatter([1], [1], color=[1], scale="hot"), ValueError, "scale must be one of ink, ember, signed"),
        (lambda: mv.scatter([1], [1], log="z"), ValueError, 'log must be "x", "y", "xy" or None; got \'z\''),
        (lambda: mv.scatter([1], [1], x_limits=(2, 1)), ValueError, r"x_limits must be finite with low < high"),
        (
            lambda: mv.scatter([1], [1], log="x", x_limits=(0, 1)),
            ValueError,
            "x_limits of a logarithmic axis .* above 0",
        ),
        (lambda: mv.scatter([1], [1], x_label=3), TypeError, "the label of an axis must be a string; got a int"),
        (lambda: mv.lines(np.zeros((1, 1, 1))), ValueError, r"y must have shape \(step,\) or \(line, step\)"),
        (lambda: mv.lines({"a": [1]}, names=["b"]), ValueError, "names must be left out where y is a dict"),
        (
            lambda: mv.lines([np.ones(3), [1, 2]]),
            ValueError,
            r"y must have as many steps in every line, .* lengths \[3, 2\]",
        ),
        (lambda: mv.lines([1, 2], [0]), ValueError, r"x must have shape \(step,\) == \(2,\); got \(1,\)"),
        (
            lambda: mv.lines([1, 2, 3], [0, 2, 1]),
            ValueError,
            "x must ascend and be finite; got 2, 1 from index 1: sort",
        ),
        (lambda: mv.lines([1, 2], [0, np.nan]), ValueError, "x must ascend and be finite; got 0, nan"),
        (lambda: mv.lines([1, 2], band=[1, 2, 3]), TypeError, r"band must be two arrays, \(low, high\)"),
        (lambda: mv.lines([1, 2], band=([1], [2])), ValueError, r"band\[0\] must have shape \(2,\); got \(1,\)"),
        (lambda: mv.lines([1, 2], band=([1, 3], [2, 2])), ValueError, r"at \(1,\) low 3 is above high 2"),
        (
            lambda: mv.lines([1, 2], names=["a", "b"]),
            ValueError,
            "labels must hold one string for each of 1 lines; got 2",
        ),
        (
            lambda: mv.lines([1, 2], sites=["L0H0", "L0H1"]),
            ValueError,
            "sites must hold one entry for each of 1 lines; got 2",
        ),
        (
            lambda: mv.lines([1, 2], points=["L0.mlp"]),
            ValueError,
            "points must hold one entry for each of 2 steps; got 1",
        ),
        (lambda: mv.bars([1], points="tokens", band=([2], [1])), ValueError, "low 2 is above high 1"),
        (lambda: mv.bars([1], title=3), TypeError, "title must be a string; got a int"),
    ],
)
def test_errors_quote_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- examples, stills, Plotly ----------------------------------------------------------------------------------------

CHARTS = {example.name: example for example in examples() if example.name in ("scatter", "lines", "bars")}


@pytest.mark.parametrize("name", CHARTS)
def test_a_still_is_a_picture_of_the_marks(name):
    html = CHARTS[name].view().still()
    pixels = picture(html)
    assert pixels.shape[1] == 2 * 640
    alt = re.search('alt="([^"]+)"', html)
    assert alt is not None and re.search(r"64 points|1,203 values|12 bars", alt[1])
    css = _plotly_look.colors_of("light")
    wanted = [css["ink-5"], css["ember-5"]] if name == "bars" else [css[f"cat-{i}"] for i in (1, 2, 3)]
    for color in wanted:
        assert (pixels == list(bytes.fromhex(color[1:]))).all(-1).sum() > 100, color


def test_a_still_leaves_out_what_has_no_place():
    nothing = mv.scatter([np.nan], [1.0]).still()
    blue = list(bytes.fromhex(_plotly_look.colors_of("light")["cat-1"][1:]))
    assert not (picture(nothing) == blue).all(-1).any()
    assert (picture(mv.scatter([1.0], [1.0]).still()) == blue).all(-1).any()
    for view in (
        mv.scatter(np.arange(3000), np.arange(3000)),
        mv.lines([np.nan, 1, np.nan, 2, 3], log="y"),
        mv.lines([0.0, -1.0], log="y"),
        mv.bars([np.inf, np.nan]),
        mv.scatter([5, 5], [2, 2], color=[np.nan, 1]),
    ):
        assert picture(view.still()).min() < 255


def test_ticks_of_a_still():
    assert ticks(0, 1, False) == [
        (0.0, "0.0"),
        (0.2, "0.2"),
        (0.4, "0.4"),
        (pytest.approx(0.6), "0.6"),
        (0.8, "0.8"),
        (1.0, "1.0"),
    ]
    assert [text for _, text in ticks(-1, 3, True)] == ["0.1", "1", "10", "100", "1000"]
    assert [text for _, text in ticks(0, 4000, False)] == ["0", "1,000", "2,000", "3,000", "4,000"]


def test_heights_are_estimated():
    assert 280 < mv.bars([1.0] * 8, ["a"] * 8)._height() < mv.bars([1.0] * 30, ["a"] * 30)._height()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plotly_figures_in_one_template(theme):
    pytest.importorskip("plotly")
    made = {example.name: example.view().to_plotly(theme) for example in examples() if example.name in _plotly._MAKERS}
    assert {"scatter", "lines", "bars", "attention", "tokens"} <= made.keys()
    name = {"light": "mechviz", "dark": "mechviz_dark"}[theme]
    import plotly.io

    css = _plotly_look.colors_of(theme)
    assert plotly.io.templates[name].layout.colorway == tuple(css[f"cat-{i}"] for i in range(1, 6))
    assert plotly.io.templates[name].layout.font.color == css["fg"]
    for figure in made.values():
        assert figure.layout.template.layout.font.color == css["fg"]
        assert figure.to_json()
    assert css["fg"] == {"light": "#16191d", "dark": "#e8eaed"}[theme]


def test_plotly_has_the_same_numbers():
    pytest.importorskip("plotly")
    bars = mv.bars([1.5, -2], points=["L0.attn", "L1H2"], band=([1, -3], [2, -1])).to_plotly().data[0]
    assert list(bars.x) == [1.5, -2] and list(bars.y) == ["L0.attn", "L1H2"]
    assert list(bars.error_x.array) == [0.5, 1] and list(bars.error_x.arrayminus) == [0.5, 1]
    scatter = mv.scatter([[1, 2]], [[3, 4]], points="heads", log="x", x_limits=(1, 100)).to_plotly()
    assert list(scatter.data[0].text) == ["L0H0", "L0H1"]
    assert scatter.layout.xaxis.type == "log" and list(scatter.layout.xaxis.range) == [0, 2]
    lines = mv.lines([[1, 2], [3, np.nan]], [0, 5], names=["a", "b"]).to_plotly()
    assert [line.name for line in lines.data] == ["a", "b"] and list(lines.data[1].x) == [0, 5]
    tokens = mv.tokens(TOKENS, [1, 2, 3], limits=(0, 9)).to_plotly()
    assert list(tokens.data[0].y) == [1, 2, 3] and tokens.layout.coloraxis.cmax == 9
    assert tokens.layout.xaxis.ticktext[2] == "&lt;i&gt;"  # Plotly reads HTML
    assert tokens.layout.coloraxis.colorscale[16][1] == "#{:02x}{:02x}{:02x}".format(*ramp("ink")[255])


def test_plotly_draws_the_head_that_is_open():
    pytest.importorskip("plotly")
    pattern = np.tril(np.ones((2, 3, 3))) * np.array([0.25, 0.5])[:, None, None]
    view = mv.attention(TOKENS, pattern)
    np.testing.assert_array_equal(view.to_plotly().data[0].z[2], [0.25, 0.25, 0.25])
    view.selection.heads = [1]
    figure = view.to_plotly()
    assert np.isnan(figure.data[0].z[0][1])  # masked
    assert figure.data[0].z[1][1] == 0.5
    assert figure.layout.title.text == "Attention H1"


def test_plotly_draws_matrices_with_the_names_of_their_sides():
    pytest.importorskip("plotly")
    stack = np.array([[[1.0, 2, 3], [4, 5, np.nan]], [[-1.0, -2, -3], [-4, -5, -6]]])
    view = mv.heatmap(stack, row_points="layers", columns=TOKENS, matrices=["a", "b"], matrix_points="heads", name="x")
    figure = view.to_plotly()
    np.testing.assert_array_equal(figure.data[0].z, stack[0])
    assert list(figure.layout.yaxis.ticktext) == ["L0", "L1"] and figure.layout.xaxis.ticktext[2] == "&lt;i&gt;"
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-6, 6)  # of all matrices
    view.selection.heads = [1]
    figure = view.to_plotly()
    np.testing.assert_array_equal(figure.data[0].z, stack[1])
    assert figure.layout.title.text == "Heat map b"


def test_plotly_draws_predictions_with_their_tokens():
    pytest.importorskip("plotly")
    # Softmax of 0, ln 2 and ln 5 is 1/8, 2/8 and 5/8; layers down, or the tokens of one layer.
    first, last = np.log([[1.0, 2, 5], [5, 2, 1], [2, 5, 1]]), np.log([[5.0, 2, 1], [1, 2, 5], [1, 5, 2]])
    vocabulary = ["<b>", " y", "z"]
    lens = mv.lens(TOKENS, [first, last], vocabulary=vocabulary).to_plotly().data[0]
    np.testing.assert_allclose(lens.z, np.full((2, 3), 5 / 8), rtol=1e-6)
    assert [list(row) for row in lens.text] == [["z", "&lt;b&gt;", "·y"], ["&lt;b&gt;", "z", "·y"]]
    ranked = mv.predictions(TOKENS, last, vocabulary=vocabulary, k=2).to_plotly().data[0]
    np.testing.assert_allclose(ranked.z, [[5 / 8] * 3, [2 / 8] * 3], rtol=1e-6)
    assert [list(row) for row in ranked.text] == [["&lt;b&gt;", "z", "·y"], ["·y", "·y", "z"]]


def test_plotly_refuses(monkeypatch):
    with pytest.raises(TypeError, match="ask the views inside the row or column"):
        mv.row(mv.bars([1])).to_plotly()
    with pytest.raises(ValueError, match="theme must be light or dark; got 'blue'"):
        mv.bars([1]).to_plotly("blue")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="draws the values of tokens, and this view has none"):
        pytest.importorskip("plotly")
        mv.tokens(["a"]).to_plotly()
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'mechviz-interp\[plotly\]'"):
        mv.bars([1]).to_plotly()
