"""`mv.tokens`: what is sent, which scale is chosen, and what is refused."""

from __future__ import annotations

import html
import json
import math
import re

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.arrays import Quantity
from mechviz.still import ramp
from mechviz.views import tokens as module

WORDS = ["When", " Mary", " ran"]


def props(view):
    _, views = view.flat()
    (kind, found) = views["0"]
    assert kind == "tokens"
    return found


def sent(view):
    """The values as the browser decodes them."""
    encoded = props(view)["values"].encode()
    assert encoded.header["exact"]
    return wire.decode(encoded.header, encoded.data)


class Tagged(np.ndarray):
    """An array that can carry a quantity, as trace.loss does."""


def tagged(values, quantity):
    array = np.asarray(values, np.float32).view(Tagged)
    array.quantity = quantity
    return array


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [0.1, -2.5, 3.0],
        (1, 2, 3),
        [True, False, True],
        np.array([1, 2, 2**53]),
        np.array([0.1, np.nan, -np.inf]),
        np.array([0.1, 0.2, 65504], np.float16),
        np.array([1e-30, 5e-324, 1e300]),
        np.array([0, 255, 7], np.uint8),
        np.arange(6.0)[::2],
    ],
)
def test_values_arrive_as_they_are(values):
    np.testing.assert_array_equal(sent(mv.tokens(WORDS, values)), np.asarray(values))


def test_torch_values_of_any_dtype_arrive_as_they_are():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool):
        values = torch.tensor([1.0, 0.0, 2.7], requires_grad=False).to(dtype)
        np.testing.assert_array_equal(sent(mv.tokens(WORDS, values)), values.double().numpy())
    grad = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    np.testing.assert_array_equal(sent(mv.tokens(WORDS, grad)), [1, 2, 3])


def test_without_values_nothing_is_scaled():
    found = props(mv.tokens(WORDS))
    assert found["values"] is found["scale"] is found["reference"] is None
    assert found["tokens"]["text"] == WORDS


def test_tokens_bring_their_provenance_and_bytes():
    text = mv.Tokens(
        ("a", "·é"), ("a", " é"), (0, 1), (False, False), (None, None), (5, 6), (1, 3), provenance={"model": "m"}
    )
    found = props(mv.tokens(text, [1, 2]))
    assert found["frame"]["provenance"] == ["m", "2 tokens"]
    assert found["n_bytes"].numbers().tolist() == [1, 3]
    assert found["tokens"]["ids"] == [5, 6]
    assert props(mv.tokens(WORDS))["n_bytes"] is None


# ---- scale ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 4], ("ink", [0, 4])),
        ([-1, 2, 0.5], ("signed", [-2, 2])),
        ([-3, -2, -1], ("signed", [-3, 3])),
        ([0.5, 0.5, 0.5], ("ink", [0, 0.5])),
        ([0, 0, 0], ("ink", [0, 1])),  # any limit puts zero on the plate
        ([-0.0, 0.0, 0.0], ("ink", [0, 1])),
        ([1e-30, 2e-30, 0], ("ink", [0, 2e-30])),
        ([np.nan, 1, 2], ("ink", [0, 2])),
        ([np.inf, 1, 2], ("ink", [0, 2])),
        ([-np.inf, 1, 2], ("signed", [-2, 2])),
        ([np.inf, np.inf, np.nan], ("ink", [0, 1])),
        ([True, False, True], ("ink", [0, 1])),
        ([np.nan] * 3, None),
    ],
)
def test_scale_of_values(values, expected):
    scale = props(mv.tokens(WORDS, values))["scale"]
    assert (scale and (scale["ramp"], scale["limits"])) == expected


def test_values_are_those_of_the_moment():
    values = np.array([1.0, 2, 3])
    view = mv.tokens(WORDS, values)
    values[:] = 9  # a buffer that is filled again, as in a training loop
    np.testing.assert_array_equal(props(view)["values"].numbers(), [1, 2, 3])


def test_limits_that_differ_by_a_rounding_are_symmetric():
    assert props(mv.tokens(WORDS, [1, 2, 3], scale="signed", limits=(-0.3, 0.1 + 0.2)))["scale"]["ramp"] == "signed"


def test_scale_and_limits_as_asked_for():
    def scale(values=(1, 2, 3), **options):
        found = props(mv.tokens(WORDS, values, **options))["scale"]
        return found["ramp"], found["limits"]

    assert scale(scale="ember") == ("ember", [0, 3])
    assert scale(scale="signed") == ("signed", [-3, 3])
    assert scale([0, 0, 0], scale="signed") == ("signed", [-1, 1])
    assert scale([-5, -1, -2], scale="ember") == ("ember", [-5, 0])
    assert scale(limits=(0, 1)) == ("ink", [0, 1])
    assert scale(limits=(-1, 1)) == ("signed", [-1, 1])
    assert scale([-1, 2, 3], limits=(0, 2)) == ("ink", [0, 2])  # limits without a negative end ask for no centre
    assert scale(limits=np.array([0, 2])) == ("ink", [0, 2])


def test_a_quantity_names_the_values_and_sets_their_scale():
    ln = math.log(795)
    loss = tagged([np.nan, 1, 9], Quantity("loss", "nats", "ember", (0, ln), ln, "uniform guess"))
    found = props(mv.tokens(WORDS, loss))
    assert found["quantity"] == {"name": "loss", "unit": "nats"}
    assert found["scale"] == {"ramp": "ember", "limits": [0, ln]}
    assert found["reference"] == {"value": ln, "name": "uniform guess"}

    found = props(mv.tokens(WORDS, loss, name="surprise", unit="bits", scale="ink"))
    assert found["quantity"] == {"name": "surprise", "unit": "bits"}
    assert found["scale"] == {"ramp": "ink", "limits": [0, 9]}  # the limits belonged to the other scale

    found = props(mv.tokens(WORDS, loss, limits=(0, 2)))
    assert found["scale"]["limits"] == [0, 2]
    assert found["reference"] is None  # it is not on this bar

    assert props(mv.tokens(WORDS, loss - 1))["quantity"] == {"name": "", "unit": ""}


def test_the_loss_of_a_trace_needs_no_options():
    torch = pytest.importorskip("torch")
    loss = torch.tensor([math.nan, 2.0, 3.0])
    loss.quantity = Quantity("loss", "nats", scale="ember", limits=(0.0, 6.0))
    assert props(mv.tokens(WORDS, loss))["scale"] == {"ramp": "ember", "limits": [0.0, 6.0]}


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("When Mary",), TypeError, "tokens must be a list of tokens.*got the single str 'When Mary'"),
        (([],), ValueError, "tokens must hold at least one token; got none"),
        (([1, 2],), TypeError, "tokens must be a list.*got int 1 at position 0.*from_ids"),
        ((["a", None],), TypeError, "tokens.*got NoneType None at position 1"),
        (([["a"], [1]],), TypeError, r"tokens\[1\] must be a list.*got int 1 at position 0"),
        (([["a"], []],), ValueError, r"tokens\[1\] must hold at least one token"),
        ((None,), TypeError, "tokens.*got NoneType"),
        ((WORDS, [1, 2]), ValueError, r"values must have shape \(position,\) == \(3,\).*got \(2,\).*put NaN there"),
        ((WORDS, [1, 2, 3, 4]), ValueError, r"values must have shape \(position,\) == \(3,\).*got \(4,\)$"),
        ((WORDS, np.zeros((1, 3))), ValueError, r"got \(1, 3\).*batch.*values\[0\]"),
        ((WORDS, np.zeros((3, 101))), ValueError, r"got \(3, 101\).*more than 100 channels see mv.neurons"),
        ((WORDS, np.zeros((8, 3))), ValueError, r"got \(8, 3\).*positions come first: pass values.T"),
        ((WORDS, 1.0), ValueError, r"got \(\)"),
        ((WORDS, []), ValueError, r"got \(0,\)"),
        ((WORDS, [[1], [1, 2], []]), ValueError, "values must be a regular array"),
        ((WORDS, ["a", "b", "c"]), TypeError, "values must hold real numbers"),
        ((WORDS, [1j, 0, 0]), TypeError, "values must hold real numbers; got dtype complex128"),
        ((WORDS, [None, 1, 2]), TypeError, "values must hold real numbers; got dtype object"),
        ((np.zeros(3), WORDS), TypeError, r"arguments are swapped, call mv.tokens\(tokens, values\)"),
        (([0.5, 1, 2], WORDS), TypeError, "arguments are swapped"),
        ((np.zeros((2, 3)), None), TypeError, "tokens.*shape \\(2, 3\\).*swapped"),
    ],
)
def test_bad_input_says_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        mv.tokens(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": "viridis"}, ValueError, "scale must be one of ink, ember, signed; got 'viridis'"),
        ({"limits": (1, 0)}, ValueError, r"limits must be finite with low < high; got \(1, 0\)"),
        ({"limits": (0, 0)}, ValueError, "low < high"),
        ({"limits": (0, math.inf)}, ValueError, "limits must be finite"),
        ({"limits": (0, math.nan)}, ValueError, "limits must be finite"),
        ({"limits": 3}, TypeError, "limits must be two numbers, .*; got 3"),
        ({"limits": (0, 1, 2)}, TypeError, "limits must be two numbers"),
        ({"scale": "signed", "limits": (-1, 2)}, ValueError, r"limits of a signed scale must be symmetric.*\(-1, 2\)"),
        ({"limits": (-1, 2)}, ValueError, "symmetric"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_bad_options_say_what_was_expected(options, error, message):
    with pytest.raises(error, match=message):
        mv.tokens(WORDS, [1, 2, 3], **options)


def test_names_of_no_values_are_refused():
    with pytest.raises(ValueError, match="names= names the channels of values .*got no values"):
        mv.tokens(WORDS, names=["loss"])


def test_a_swapped_tensor_is_named():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"tokens=Tensor of shape \(3,\).*swapped"):
        mv.tokens(torch.zeros(3), WORDS)
    with pytest.raises(ValueError, match=r"got \(1, 3\)"):
        mv.tokens(WORDS, torch.zeros(1, 3))


# ---- text that is not what it seems ---------------------------------------------------------------------------------

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<!--",
    "\ud800",
    "\x00",
    "\u202eevil",
    "{@html x}",
]


def test_hostile_strings_are_text_everywhere():
    view = mv.tokens(HOSTILE, range(len(HOSTILE)), name=HOSTILE[0], unit=HOSTILE[1], title=HOSTILE[2])
    shown = props(view)["tokens"]["text"]
    assert shown[:4] == HOSTILE[:4]
    assert shown[4:7] == ["⟨U+D800⟩", "⟨U+0000⟩", "⟨U+202E⟩evil"]
    page = view.to_html()
    page.encode("utf-8")
    still = view.still()
    for markup in (page, still):
        # No tag of theirs opens: every < of a token is written as something else.
        assert not re.search(r"<(img|svg|!--)|<script>alert", markup)
    assert html.unescape(re.sub("<[^>]*>", "", still)).count("alert(1)") == 6
    json.dumps(props(view)["tokens"]).encode()


def test_names_and_titles_with_lone_surrogates_can_be_saved(tmp_path):
    view = mv.tokens(WORDS, [1, 2, 3], name="\ud800", unit="\udfff", title="a\ud800b")
    view.save(tmp_path / "page.html")
    view.still().encode("utf-8")


# ---- the still ------------------------------------------------------------------------------------------------------


def spans(still):
    text = still.split('<div style="font-family')[1]
    return re.findall(r'<span style="([^"]*)">(.*?)</span>', text)


def test_still_colours_every_token_and_leaves_nan_bare():
    found = spans(mv.tokens([*WORDS, "\n", " "], [0, 2, np.nan, 1, 9], limits=(0, 2)).still())
    assert [text for _, text in found] == ["When", " Mary", " ran", "↵", "·"]
    low, high = ("background-color:#" + bytes(ramp("ink")[k].tolist()).hex() for k in (0, 255))
    assert found[0][0].startswith(low)
    assert found[1][0].startswith(high) and found[4][0].startswith(high)
    assert "background" not in found[2][0]


@pytest.mark.parametrize("scale", ["ink", "ember", "signed"])
def test_still_text_reads_on_every_colour(scale):
    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    n = 256
    low = -1 if scale == "signed" else 0
    view = mv.tokens(["x"] * n, np.linspace(low, 1, n), scale=scale, limits=(low, 1))
    worst, seen = 21.0, set()
    for style, _ in spans(view.still()):
        fill, text = (bytes.fromhex(part) for part in re.findall("#([0-9a-f]{6})", style))
        dark, light = sorted((luminance(list(fill)), luminance(list(text))))
        worst = min(worst, (light + 0.05) / (dark + 0.05))
        seen.add(fill)
    assert len(seen) > 200
    assert worst >= 4.5


def test_still_of_a_long_text_says_what_it_leaves_out():
    still = mv.tokens([" x"] * 5000, np.arange(5000)).still()
    assert "… 3,000 more tokens" in still
    assert len(still) < 300_000


# ---- as a view ------------------------------------------------------------------------------------------------------


def test_making_a_view_reads_nothing_that_is_shown_later():
    n = 100_000
    view = mv.tokens([" x"] * n, np.zeros(n))
    assert view._widget is None


def test_options_can_be_changed_in_place():
    view = mv.tokens(WORDS, [1, 2, 3])
    view.update(limits=(0, 10), title="Again")
    assert props(view)["scale"]["limits"] == [0, 10]
    assert props(view)["frame"]["title"] == "Again"


def test_estimated_height_grows_with_the_text_and_shrinks_with_room():
    def height(n, width):
        return next(mv.tokens([" word"] * n)._specs()).height(width)

    assert height(10, 900) == height(2, 900)  # the card needs its room
    assert height(1000, 900) > height(100, 900)
    assert height(1000, 600) > height(1000, 900)


def test_example_shows_what_the_view_can_do():
    view = module.example()
    found = props(view)
    np.testing.assert_array_equal(props(module.example())["values"].numbers(), found["values"].numbers())
    assert found["tokens"]["special"][0] and "\n" in found["tokens"]["text"]
    assert "é" in found["tokens"]["text"] and "A9" in found["tokens"]["piece"]
    assert np.nanmax(found["values"].numbers()) > found["scale"]["limits"][1]
    assert found["texts"]["labels"] == ["1", "2", "3"]
    # The probability of the token that came is that of its loss: row 2 of the second text, "·old".
    at, top = found["texts"]["starts"][1] + 2, found["top"]
    names = [top["names"][k] for k in top["top"].numbers()[at]]
    p = dict(zip(names, top["probabilities"].numbers()[at], strict=True))[found["tokens"]["label"][at]]
    assert p == pytest.approx(math.exp(-found["values"].numbers()[at]), rel=1e-6)


def test_a_still_has_a_mark_that_begins_a_token_on_a_dotted_circle():
    still = mv.tokens(["e", "\u0301", "\u064e", "e\u0301", "◌\u0301"], [1, 2, 3, 4, 5]).still()
    assert re.findall(r">([^<>]*)</span>", still)[-5:] == ["e", "◌\u0301", "◌\u064e", "e\u0301", "◌\u0301"]
