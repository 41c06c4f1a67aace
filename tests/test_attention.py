"""mv.attention: what it accepts, what it says is wrong, what it sends, and the numbers of a head."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import mechviz as mv
from mechviz import figure_file, wire
from mechviz._factor_pack import weights_from
from mechviz._head_scores import SCORES, scores_of
from mechviz.pattern import Dense, Factored, PatternStack
from mechviz.views import _pattern_layers
from mechviz.views._head_stats import summarise
from mechviz.views.attention import example

WORDS = ["When", " Mary", " and", " John", " went"]
N = len(WORDS)


def softmax(*shape: int, causal: bool = True, dtype: str = "float32", sd: float = 1.5) -> np.ndarray:
    """Rows of probabilities, ``[..., query, key]``."""
    scores = np.random.default_rng(0).normal(0, sd, shape)
    if causal:
        scores = np.where(np.tri(*shape[-2:], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(dtype)


def props(view: mv.View) -> dict:
    """What the browser is given in a file, with `wire.Array` in place."""
    return dict(view.flat("file")[1]["0"][1])


def decoded(array: wire.Array) -> np.ndarray:
    encoded = array.encode()
    return wire.decode(encoded.header, encoded.data)


def sent(view: mv.View) -> np.ndarray:
    """All heads as they arrive, ``[head, query, key]``."""
    return np.stack([decoded(head["values"]) for head in props(view)["heads"]])


PATTERN = softmax(2, 3, N, N)  # [layer, head, query, key]


# --- what is accepted


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (PATTERN[0, 0], ["H0"]),
        (PATTERN[0], ["H0", "H1", "H2"]),
        (PATTERN[:1], ["H0", "H1", "H2"]),  # a batch of one, or one layer: the same picture
        (PATTERN[0].tolist(), ["H0", "H1", "H2"]),
        (Dense(PATTERN[0]), ["H0", "H1", "H2"]),
        (PATTERN, ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]),
        (list(PATTERN), ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]),
        (PATTERN[:, None], ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]),
        (PATTERN[None], ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]),
        (tuple(PATTERN[:, None]), ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]),  # outputs.attentions
        (PatternStack({4: Dense(PATTERN[0]), 7: Dense(PATTERN[1])}), ["L4H0", "L4H1", "L4H2", "L7H0", "L7H1", "L7H2"]),
    ],
    ids=["2-d", "3-d", "batch", "lists", "Pattern", "4-d", "list", "batch in layers", "batch first", "tuple", "stack"],
)
def test_accepts_every_form_of_a_pattern(pattern, names):
    view = mv.attention(WORDS, pattern)
    assert [head["name"] for head in props(view)["heads"]] == names
    np.testing.assert_array_equal(sent(view), PATTERN.reshape(-1, N, N)[: len(names)])
    assert props(view)["causal"] is True


def test_accepts_torch_also_on_autograd_and_bfloat16():
    torch = pytest.importorskip("torch")
    half = torch.tensor(PATTERN[0]).bfloat16()
    view = mv.attention(WORDS, half.requires_grad_())
    np.testing.assert_array_equal(sent(view), half.detach().float().numpy())
    assert props(view)["probabilities"] is True  # rows of bfloat16 sum to 1 within a percent
    lists = mv.attention(WORDS, tuple(torch.tensor(layer)[None] for layer in PATTERN))
    np.testing.assert_array_equal(sent(lists), PATTERN.reshape(-1, N, N))


def test_integers_and_bools_are_exact():
    eye = np.eye(N, dtype=np.int64)[None]
    np.testing.assert_array_equal(sent(mv.attention(WORDS, eye)), eye)
    np.testing.assert_array_equal(sent(mv.attention(WORDS, eye.astype(bool))), eye)


def test_small_factored_patterns_are_held_as_arrays():
    factored = Factored(*np.random.default_rng(1).normal(size=(2, 3, N, 4)).astype(np.float32), names=["a", "b", "c"])
    view = mv.attention(WORDS, factored)
    np.testing.assert_allclose(sent(view), np.asarray(factored.dense()), atol=1e-6)
    assert props(view)["causal"] is True and props(view)["columns"] == ["a", "b", "c"]
    assert not any(callable(head["values"].source) for head in props(view)["heads"])


def test_large_factored_patterns_are_read_a_head_at_a_time(monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    rng = np.random.default_rng(1)
    factored = Factored(*rng.normal(size=(2, 3, N, 4)).astype(np.float32))
    view = mv.attention(WORDS, factored)
    np.testing.assert_allclose(sent(view), np.asarray(factored.dense()), atol=1e-6)
    assert all(callable(head["values"].source) for head in props(view)["heads"])


@pytest.fixture
def long_pattern(monkeypatch) -> Factored:
    """Two heads of 200 tokens and width 16, seen as a pattern that is too large to be held."""
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    return Factored(*np.random.default_rng(1).normal(size=(2, 2, 200, 16)).astype(np.float32))


def long_view(pattern: Factored, **options) -> mv.View:
    return mv.attention([f" t{i}" for i in range(pattern.shape[1])], pattern, **options)


def test_long_factored_patterns_travel_as_queries_and_keys(long_pattern):
    # 200 * 201 / 2 weights of two bytes are 40,200 bytes; 2 * 200 * 16 numbers and 200 normalisers 13,600.
    view = long_view(long_pattern)
    heads = props(view)["heads"]
    for i, head in enumerate(heads):
        values = head["values"]
        assert {values[name].encode().header["dtype"] for name in ("queries", "keys")} == {"float16"}
        assert sum(len(values[name].encode().data) for name in ("queries", "keys", "normaliser")) == 13_600
        got = weights_from(values, decoded)
        error = np.abs(got - long_pattern.head(i)).max()
        assert 0 < error <= values["error"] <= 1e-3
    assert {head["values"]["precision"] for head in heads} == {"float16"}
    np.testing.assert_array_equal(view.answer("0", "value", {"head": 1, "query": 7}), long_pattern.rows(1, [7])[0])
    first, again = (shown["heads"][1]["values"] for shown in (props(view), json_round_trip(view)))
    np.testing.assert_array_equal(weights_from(again, decoded), weights_from(first, decoded))


def json_round_trip(view: mv.View) -> dict:
    text = figure_file.write(view._figure_data())
    return dict(figure_file.read(text, "figure").views["0"].props)


def test_a_precision_that_is_asked_for_is_kept(long_pattern):
    for precision in ("sqrt8", "float16"):
        view = long_view(long_pattern, precision=precision)
        assert {head["values"].precision for head in props(view)["heads"]} == {precision}


def test_the_column_of_a_sink_travels_with_the_factors(long_pattern):
    long_pattern.sinks = np.array([0.5, -0.5], np.float32)
    for i, head in enumerate(props(long_view(long_pattern))["heads"]):
        got = weights_from(head["values"], decoded)
        assert got.shape == (200, 201)
        np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(got[:, -1], long_pattern.sink(i), atol=1e-3)


def test_true_numbers_and_names():
    one = mv.attention(WORDS, PATTERN[0], layers=[5], heads=[1, 4, 6], head=mv.Head(5, 4))
    assert [head["name"] for head in props(one)["heads"]] == ["L5H1", "L5H4", "L5H6"]
    assert (one.selection.layers, one.selection.heads) == ([5], [4])
    assert props(one)["open"] == 1 and props(one)["frame"]["site"] == "L5H4"
    named = mv.attention(WORDS, PATTERN, head_names=["mover", "kv 1", "\ud800"], head="L1 kv 1")
    assert props(named)["columns"] == ["mover", "kv 1", "⟨U+D800⟩"]
    assert props(named)["open"] == 4


def test_layers_taken_out_of_a_stack_keep_their_numbers():
    made = {layer: lambda: Dense(PATTERN[0]) for layer in (4, 7)}  # as traces make theirs, when they are asked
    stack = PatternStack(made)
    one = mv.attention(WORDS, stack[7])
    assert [head["name"] for head in props(one)["heads"]] == ["L7H0", "L7H1", "L7H2"]
    assert {head["layer"] for head in props(one)["heads"]} == {7}
    assert props(mv.attention(WORDS, [stack[7], stack[4]]))["heads"][3]["name"] == "L4H0"
    assert props(mv.attention(WORDS, stack[7] - PatternStack(made)[7]))["heads"][0]["name"] == "L7H0"
    assert props(mv.attention(WORDS, stack[7] - stack[4]))["heads"][0]["name"] == "H0"  # of neither
    assert props(mv.attention(WORDS, stack[7], layers=[5]))["heads"][0]["name"] == "L5H0"
    own = PATTERN[0].copy()
    given = Dense(own)
    assert PatternStack([Dense(own), given])[1].layer is None  # a pattern of the caller's is left as it is


@pytest.mark.parametrize(("head", "index"), [(None, 0), ("L1H2", 5), (mv.Head(1, 0), 3), ("1.1", 4)])
def test_head_opens_one(head, index):
    assert props(mv.attention(WORDS, PATTERN, head=head))["open"] == index


def test_a_single_layer_may_name_its_head_by_number():
    assert props(mv.attention(WORDS, PATTERN[0], head=2))["open"] == 2
    with pytest.raises(ValueError, match="head must be one of L0H0, L0H1, L0H2 … L1H2; got 2"):
        mv.attention(WORDS, PATTERN, head=2)


def test_cross_attention():
    keys = ["The", " store", "."]
    view = mv.attention(WORDS, softmax(2, N, 3, causal=False), key_tokens=keys)
    got = props(view)
    assert got["causal"] is False and got["key_tokens"]["text"] == keys
    assert decoded(got["thumbs"]).shape == (2, N, 3)
    # Between different texts there is no distance and no previous token.
    known = dict(zip(got["scores"]["names"], np.isfinite(decoded(got["scores"]["values"])[0, 0]), strict=True))
    assert [name for name, there in known.items() if there] == ["entropy", "first"]


def test_as_many_other_tokens_are_still_other_tokens():
    keys = ["Als", " Maria", " und", " Hans", " ging"]
    got = props(mv.attention(WORDS, PATTERN[0], key_tokens=keys))
    assert got["causal"] is False  # zeros above the diagonal are weights here
    known = dict(zip(got["scores"]["names"], np.isfinite(decoded(got["scores"]["values"])[0, 0]), strict=True))
    assert [name for name, there in known.items() if there] == ["entropy", "first"]
    assert props(mv.attention(WORDS, PATTERN[0], key_tokens=list(WORDS)))["causal"] is True


# --- what is wrong


@pytest.mark.parametrize(
    ("tokens", "pattern", "more", "error", "says"),
    [
        (PATTERN[0], WORDS, {}, TypeError, r"arguments swapped\? mv.attention\(tokens, pattern\)"),
        (PATTERN[0], PATTERN[0], {}, TypeError, "arguments swapped"),
        ("When Mary", PATTERN[0], {}, TypeError, "tokens must be a list of tokens"),
        ([1, 2, 3, 4, 5], PATTERN[0], {}, TypeError, "tokens must be a list of tokens"),
        ([], PATTERN[0], {}, ValueError, "tokens must hold at least one token"),
        (WORDS[:4], PATTERN[0], {}, ValueError, r"query == key == len\(tokens\) == 4; got \(3, 5, 5\)"),
        (WORDS, PATTERN[0][:, :, :3], {}, ValueError, r"got \(3, 5, 3\); give key_tokens="),
        (WORDS, PATTERN[0][:, :3], {"key_tokens": WORDS[:3]}, ValueError, r"\(3, 3, 5\).*swapped\?"),
        (WORDS, np.zeros((2, 2, 3, N, N)), {}, ValueError, r"pattern must have shape .*; got \(2, 2, 3, 5, 5\)"),
        (WORDS, np.zeros(N), {}, ValueError, r"pattern must have shape .*; got \(5,\)"),
        (WORDS, np.zeros((0, N, N)), {}, ValueError, r"at least one head, query and key; got shape \(0, 5, 5\)"),
        (WORDS, np.zeros((0, 2, N, N)), {}, ValueError, "at least one layer"),
        (WORDS, [], {}, ValueError, "pattern must hold at least one layer; got an empty list"),
        (
            WORDS,
            PatternStack({}, missing={0: "no softmax"}),
            {},
            ValueError,
            r"got none \(no pattern of layer 0: no softmax\)",
        ),
        (
            WORDS,
            [PATTERN[0], PATTERN[0][:, :4, :4]],
            {},
            ValueError,
            r"layer 0 has \(3, 5, 5\), layer 1 has \(3, 4, 4\)",
        ),
        (WORDS, [PATTERN[0], PATTERN[0][:2]], {}, ValueError, r"layer 1 has \(2, 5, 5\)"),
        (WORDS, [[[1, 2], [3]]], {}, ValueError, "pattern must be a regular array; got ragged lists"),
        (WORDS, [PATTERN[0], None], {}, TypeError, r"pattern\[1\] must be an array .* got None.*eager"),
        (WORDS, list(PATTERN[0]), {}, ValueError, r"pattern\[0\] must have shape .* got \(5, 5\); for a list of heads"),
        (WORDS, PATTERN[0].astype(complex), {}, TypeError, "pattern must hold real numbers"),
        (WORDS, [["a"]], {}, TypeError, "pattern must hold real numbers"),
        (WORDS, None, {}, TypeError, "pattern must hold real numbers"),
        (WORDS, PATTERN[0], {"causal": "yes"}, TypeError, "causal must be True, False or None; got 'yes'"),
        (
            WORDS,
            softmax(1, N, N, causal=False),
            {"causal": True},
            ValueError,
            "key > query; head H0 has 0.* query 0, key 1",
        ),
        (WORDS, PATTERN[0], {"layers": [1, 2]}, ValueError, r"layers must hold 1 different numbers .* got \[1, 2\]"),
        (WORDS, PATTERN, {"layers": [1, 1]}, ValueError, "layers must hold 2 different"),
        (WORDS, PATTERN, {"layers": "12"}, TypeError, "layers must be a list of integers"),
        (WORDS, PATTERN, {"heads": [0.5, 1, 2]}, TypeError, "heads must be a list of integers"),
        (WORDS, PATTERN, {"head_names": ["a"]}, ValueError, "head_names must hold one name for each of 3 heads; got 1"),
        (WORDS, PATTERN, {"head_names": "abc"}, TypeError, "head_names must be a list of strings"),
        (WORDS, PATTERN, {"head": "L9H9"}, ValueError, "head must be one of L0H0.*; got 'L9H9'"),
        (WORDS, PATTERN, {"precision": "int4"}, ValueError, "precision must be one of .*; got 'int4'"),
        (
            WORDS,
            -PATTERN,
            {"precision": "sqrt8"},
            ValueError,
            r'precision="sqrt8" carries weights in 0 … 1; pattern has -',
        ),
        (WORDS, PATTERN, {"limits": (1, 0)}, ValueError, "limits must be finite with low < high"),
        (WORDS, PATTERN, {"scale": "jet"}, ValueError, "scale must be one of"),
        (WORDS, -PATTERN, {"limits": (-1, 2)}, ValueError, "symmetric round zero"),
    ],
)
def test_errors_name_the_argument_and_what_came(tokens, pattern, more, error, says):
    with pytest.raises(error, match=says):
        mv.attention(tokens, pattern, **more)


# --- causal


def test_a_head_can_be_drawn_as_lines_at_first():
    assert props(mv.attention(["a", "b"], np.eye(2), drawing="lines"))["drawing"] == "lines"
    assert props(mv.attention(["a", "b"], np.eye(2)))["drawing"] == "map"
    with pytest.raises(ValueError, match="drawing must be one of map, lines; got 'curves'"):
        mv.attention(["a", "b"], np.eye(2), drawing="curves")  # type: ignore[arg-type]


def test_causal_is_found_out_and_can_be_said():
    full = softmax(2, N, N, causal=False)
    assert props(mv.attention(WORDS, full))["causal"] is False
    assert props(mv.attention(WORDS, PATTERN))["causal"] is True
    assert props(mv.attention(WORDS, PATTERN, causal=False))["causal"] is False
    # One cell above the diagonal, in the last head, is enough.
    almost = PATTERN.copy()
    almost[1, 2, 0, N - 1] = 1e-30
    assert props(mv.attention(WORDS, almost))["causal"] is False


@pytest.mark.parametrize("mask", [-np.inf, np.finfo(np.float32).min, -65504.0])
def test_masked_scores_are_causal_and_the_mask_is_not_sent(mask):
    scores = np.where(np.tri(N, dtype=bool), np.random.default_rng(0).normal(0, 3, (2, N, N)), mask)
    view = mv.attention(WORDS, scores)
    got = props(view)
    assert got["causal"] is True
    assert got["scale"]["ramp"] == "signed"
    size = np.abs(np.tril(scores[:, :, :])[:, np.tri(N, dtype=bool)]).max()
    assert got["scale"]["limits"] == pytest.approx([-size, size])
    np.testing.assert_array_equal(sent(view), np.where(np.tri(N, dtype=bool), scores, 0))
    # Without the mask the largest thumbnails' cells are scores, not the zeros beside them.
    np.testing.assert_allclose(decoded(got["thumbs"]), np.where(np.tri(N, dtype=bool), scores, 0), atol=0.01)


# --- scale and name


def test_names_and_limits_follow_the_numbers():
    def scale(pattern, **more):
        got = props(mv.attention(WORDS, pattern, **more))
        return got["quantity"], got["scale"]["ramp"], got["scale"]["limits"], got["scores"] is not None

    assert scale(PATTERN) == ("attention probability", "ink", [0.0, 1.0], True)
    # Rows that sum to more than 1 are no probabilities: no entropy is claimed.
    assert scale(np.full((1, N, N), 0.5)) == ("attention weight", "ink", [0.0, 1.0], False)
    assert scale(np.full((1, N, N), 3.0)) == ("attention weight", "ink", [0.0, 3.0], False)
    assert scale(PATTERN, name="share", limits=(0, 0.5)) == ("share", "ink", [0.0, 0.5], True)


def test_differences_are_signed_and_symmetric():
    difference = PATTERN[0] - PATTERN[1]
    got = props(mv.attention(WORDS, difference))
    size = float(np.abs(difference).max())
    assert got["scale"] == {"ramp": "signed", "limits": [-size, size]}
    assert got["scores"] is None and got["row_total"] is None


def test_what_is_beyond_the_limits_or_no_number_is_counted_per_head():
    pattern = np.zeros((2, N, N))
    pattern[0, 3, 1:4] = [2, np.nan, np.inf]
    pattern[1, 4, 0] = -3
    first, second = props(mv.attention(WORDS, pattern, limits=(-1, 1)))["heads"]
    assert [first[key] for key in ("nan", "above", "below")] == [1, 2, 0]
    assert [second[key] for key in ("nan", "above", "below")] == [0, 0, 1]


# --- precision


@pytest.mark.parametrize(
    ("heads", "n", "precision"),
    [
        # float32 of a triangle: 1 MB is 262144 weights, 4 MB of float16 are 2097152.
        (1, 700, "float32"),  # 245350
        (1, 730, "float16"),  # 266815
        (15, 500, "float16"),  # 1878750
        (17, 500, "sqrt8"),  # 2129250
    ],
)
def test_precision_is_chosen_once_for_the_bytes_that_are_sent(heads, n, precision):
    pattern = np.broadcast_to(np.eye(n, dtype=np.float32), (heads, n, n))
    got = props(mv.attention([f"t{i}" for i in range(n)], pattern))
    assert {head["values"].precision for head in got["heads"]} == {precision}
    assert {head["values"].layout for head in got["heads"]} == {"lower"}


def test_the_whole_square_counts_where_it_is_sent():
    n = 600  # 360000 weights
    uniform = np.full((1, n, n), 1 / n, np.float32)
    assert props(mv.attention(["t"] * n, uniform))["heads"][0]["values"].precision == "float16"


def test_signed_and_nan_are_never_sqrt8():
    n = 500
    for spoil in (-0.1, np.nan, 1.5):
        pattern = np.broadcast_to(np.eye(n, dtype=np.float32), (17, n, n)).copy()
        pattern[3, 10, 2] = spoil
        heads = props(mv.attention(["t"] * n, pattern))["heads"]
        assert {head["values"].precision for head in heads} == {"float16"}


def test_a_rounding_above_one_is_still_a_probability():
    n = 500
    pattern = np.broadcast_to(np.eye(n, dtype=np.float32), (17, n, n)).copy()
    pattern[3, 10, 10] = 1.000001
    head = props(mv.attention(["t"] * n, pattern))["heads"][3]
    assert head["values"].precision == "sqrt8"
    assert decoded(head["values"])[10, 10] == 1


def test_small_float64_is_sent_as_it_is():
    pattern = softmax(1, 2, N, N, dtype="float64")
    head = props(mv.attention(WORDS, pattern))["heads"][0]
    np.testing.assert_array_equal(decoded(head["values"]), pattern[0, 0])
    assert head["values"].encode().header["exact"] is True


@pytest.mark.parametrize("precision", ["float32", "float16", "sqrt8"])
def test_named_precisions(precision):
    head = props(mv.attention(WORDS, PATTERN, precision=precision))["heads"][0]
    error = {"float32": 0, "float16": 2**-12, "sqrt8": 0.004}[precision]
    np.testing.assert_allclose(decoded(head["values"]), PATTERN[0, 0], rtol=0, atol=error)


def test_random_numbers_come_back_exactly():
    rng = np.random.default_rng(3)
    values = np.array([0, -0.0, 1e-30, -1e-30, 1.0, np.nan, np.inf, -np.inf, 0.25, 1e30])
    for dtype in ("float64", "float32", "float16"):
        with np.errstate(over="ignore"):
            pattern = rng.choice(values, (3, N, 7)).astype(dtype)
        view = mv.attention(WORDS, pattern, key_tokens=["k"] * 7)
        np.testing.assert_array_equal(sent(view), pattern)


# --- what is sent when


def test_large_patterns_send_one_head_first_and_the_rest_when_opened():
    n = 300
    pattern = softmax(4, n, n)  # 180600 weights of 4 bytes: beyond what comes at once
    got = props(mv.attention(["t"] * n, pattern, head=2))
    assert [head["values"].lazy for head in got["heads"]] == [True, True, False, True]
    assert not got["thumbs"].lazy


def test_small_patterns_come_whole():
    assert not any(head["values"].lazy for head in props(mv.attention(WORDS, PATTERN))["heads"])


def test_thumbnails_are_pooled_by_max_and_say_how_many_cells_are_one():
    n = 130
    pattern = np.zeros((2, n, n), np.float32)
    pattern[:, np.arange(n), 0] = 1
    pattern[1, 100, :] = 0
    pattern[1, 100, 77] = 1  # a single spike
    got = props(mv.attention(["t"] * n, pattern))
    assert got["thumb_step"] == 3  # ceil(130 / 51)
    thumbs = decoded(got["thumbs"])
    assert thumbs.shape == (2, 44, 44)
    assert thumbs[1, 100 // 3, 77 // 3] == 1 and thumbs[0, 100 // 3, 77 // 3] == 0


def test_thumbnails_follow_the_scale_that_was_asked_for():
    """Scores, all negative: on a scale from -9 to 0 the largest stands out, on a signed one the furthest from 0."""
    n = 104
    scores = np.where(np.tri(n, dtype=bool), -8.0, -np.inf)
    scores[2:4, 0:2] = [[-8, -1], [-9, -8]]
    thumbs = {
        scale: decoded(props(mv.attention(["t"] * n, np.stack([scores] * 2), scale=scale, limits=limits))["thumbs"])[0]
        for scale, limits in (("ink", (-9, 0)), ("signed", (-9, 9)))
    }
    assert thumbs["ink"].shape == (35, 35)  # ceil(104 / 51) = 3 weights to a side
    assert thumbs["ink"][1, 0] == -8 and thumbs["signed"][1, 0] == -9  # rows 3 … 5, columns 0 … 2
    assert thumbs["ink"][0, 0] == -1 and thumbs["signed"][0, 0] == -8
    # On the diagonal the zeros of the mask take no part.
    assert thumbs["ink"][20, 20] == -8


def test_thumbnails_of_very_many_heads_stay_small():
    heads = np.broadcast_to(np.eye(64, dtype=np.float32), (48, 64, 64, 64))
    thumbs = props(mv.attention(["t"] * 64, heads))["thumbs"]
    assert len(thumbs.encode().data) <= 2 * wire.MB


def test_one_head_has_no_thumbnails():
    assert props(mv.attention(["a"], [[1.0]]))["thumbs"] is None


def test_rows_are_known_to_sum_to_one_only_where_they_do():
    total = props(mv.attention(WORDS, PATTERN))["row_total"]
    assert total["value"] == 1 and 0 <= total["error"] < 1e-6
    padded = PATTERN.copy()
    padded[:, :, 0] = 0
    got = props(mv.attention(WORDS, padded))
    assert got["row_total"] is None and got["probabilities"] is True


# --- live questions


@pytest.mark.parametrize("precision", ["sqrt8", "float32"])
def test_the_kernel_answers_with_the_numbers_themselves(precision):
    view = mv.attention(WORDS, PATTERN, precision=precision)
    np.testing.assert_array_equal(view.answer("0", "value", {"head": 4, "query": 3}), PATTERN[1, 1, 3])
    np.testing.assert_array_equal(view.answer("0", "value", {"head": 4, "key": 2}), PATTERN[1, 1, :, 2])


def test_the_kernel_answers_for_factored_patterns(monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    factored = Factored(*np.random.default_rng(1).normal(size=(2, 3, N, 4)).astype(np.float32))
    view = mv.attention(WORDS, factored)
    np.testing.assert_allclose(
        view.answer("0", "value", {"head": 2, "query": 3}), np.asarray(factored.head(2))[3], atol=1e-7
    )
    np.testing.assert_allclose(
        view.answer("0", "value", {"head": 2, "key": 1}), np.asarray(factored.head(2))[:, 1], atol=1e-7
    )


def test_the_peak_of_a_causal_head_is_not_that_of_its_first_query():
    # Query 0 has only itself to read: 1 in every head.
    got = decoded(props(mv.attention(WORDS, PATTERN[0]))["peaks"])
    np.testing.assert_allclose(got, [head[1:].max() for head in PATTERN[0]])
    whole = softmax(2, N, N, causal=False)
    np.testing.assert_allclose(decoded(props(mv.attention(WORDS, whole))["peaks"]), whole.max(axis=(1, 2)))
    assert decoded(props(mv.attention(WORDS, [[[np.nan] * N] * N]))["peaks"]) == [0]
    np.testing.assert_allclose(decoded(props(mv.attention(["a"], [[[-3.0]]]))["peaks"]), [3])


# --- the numbers of a head


STATISTICS = ("entropy", "distance", "previous", "first")


def statistics(weights: np.ndarray, *, causal: bool) -> np.ndarray:
    """Four of the scores of one head, with the first key."""
    found = scores_of(Dense(weights[None], causal=causal))[0, :, 0]
    return found[[SCORES.index(name) for name in STATISTICS]]


def by_hand(weights: np.ndarray, causal: bool) -> list[float]:
    """`statistics`, one weight at a time."""
    queries, keys = weights.shape
    rows = []
    for q in range(queries):
        row = [float(w) for w in weights[q]]
        if sum(row) == 0 or (causal and queries > 1 and q == 0):
            continue
        entropy = -sum(p * math.log(p) for p in row if p > 0)
        square = queries == keys
        distance = sum(p * abs(q - k) for k, p in enumerate(row)) if square else math.nan
        previous = row[q - 1] if square and q > 0 else math.nan
        rows.append([entropy, distance, previous, row[0]])
    columns = [[row[i] for row in rows if not math.isnan(row[i])] for i in range(len(STATISTICS))]
    return [sum(column) / len(column) if column else math.nan for column in columns]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 7), (300, 300), (5, 9)])
def test_statistics_equal_a_plain_loop(shape, causal):
    causal = causal and shape[0] == shape[1]
    weights = softmax(*shape, causal=causal, dtype="float64")
    if shape[0] == 7:
        weights[2] = 0  # padding
    np.testing.assert_allclose(statistics(weights, causal=causal), by_hand(weights, causal), rtol=1e-10)


def test_statistics_of_known_heads():
    # Previous token: no entropy, one token back, all on the previous, 1 of N - 1 rows reads the first token.
    previous = np.eye(N, k=-1)
    previous[0, 0] = 1
    np.testing.assert_allclose(statistics(previous, causal=True), [0, 1, 1, 1 / (N - 1)], atol=1e-12)
    # Uniform over what is seen: row q has entropy ln(q + 1), distance q / 2, previous and first 1 / (q + 1).
    uniform = np.tri(N) / np.arange(1, N + 1)[:, None]
    q = np.arange(1, N)
    expected = [np.log(q + 1).mean(), (q / 2).mean(), (1 / (q + 1)).mean(), (1 / (q + 1)).mean()]
    np.testing.assert_allclose(statistics(uniform, causal=True), expected)


def test_statistics_need_probabilities_and_rows():
    assert props(mv.attention(["a", "b", "c"], np.full((3, 3), 2.0)))["scores"] is None
    assert np.isnan(statistics(np.zeros((3, 3)), causal=True)).all()


def test_rows_that_are_nan_throughout_are_undefined_and_leave_the_rest_as_it_is():
    """A softmax over nothing, as rows of padding on the left come out of it: torch fills the whole row."""
    padded = PATTERN.copy()
    padded[:, 1, :2] = np.nan
    got = props(mv.attention(WORDS, padded))
    assert got["causal"] is True and got["quantity"] == "attention probability"
    assert [head["nan"] for head in got["heads"]] == [0, 3, 0, 0, 3, 0]  # 1 + 2 cells that the mask leaves
    found = decoded(got["scores"]["values"])[0, 1, [SCORES.index(name) for name in STATISTICS]]
    # By hand rows of zeros do not count either.
    np.testing.assert_allclose(found, by_hand(np.nan_to_num(padded[0, 1]), causal=True), rtol=1e-6)
    padded[1, 2] = np.nan  # nor does a head of nothing but NaN say that there is no mask
    assert props(mv.attention(WORDS, padded))["causal"] is True
    assert props(mv.attention(WORDS, np.full((2, N, N), np.nan)))["causal"] is False  # or that there is one
    padded[0, 0, 3, 1] = np.nan  # one cell is no row
    assert props(mv.attention(WORDS, padded))["scores"] is None


def test_float16_rows_are_summed_without_overflow():
    summary = summarise(np.full((2, 8), 60000, np.float16), causal=False, thumb=51)
    assert summary.row_sums == (480000, 480000)


# --- the rest of a view


def test_tokens_of_hostile_text_are_valid_json_for_the_browser():
    words = ["</script>", "\ud800", "\x00", "<img src=x onerror=alert(1)>", "\u202e"]
    html = mv.attention(words, PATTERN[0], head_names=["<b>x", "\udfff", "x"], title="<script>alert(2)").to_html()
    html.encode("utf-8")  # no lone surrogate is left
    assert not any(raw in html for raw in ("<img src=x", "<b>x", "<script>alert(2)"))
    assert "\\u003cimg src=x onerror=alert(1)>" in html  # it is there, as text


def test_still_is_an_image_with_words():
    still = mv.attention(WORDS, PATTERN, title="A <b>").still()
    assert "A &lt;b&gt; L0H0" in still and "<img alt=" in still and "5 queries by 5 keys" in still
    assert "<script" not in still


def test_names_with_lone_surrogates_can_be_sent():
    pattern = PatternStack([Dense(PATTERN[0], names=["\ud800", "b", "c"])])
    view = mv.attention(WORDS, pattern, title="a\ud800b", name="\udfff")
    view.still().encode()
    json.dumps(
        {key: value for key, value in props(view).items() if key in ("columns", "frame", "quantity")},
        ensure_ascii=False,
    ).encode()


def test_still_of_nan_and_of_one_cell():
    assert "<img" in mv.attention(["a"], [[np.nan]]).still()
    assert "<img" in mv.attention(WORDS, softmax(30, N, 4, causal=False), key_tokens=["k"] * 4).still()


def test_example_is_deterministic_and_reads_like_an_induction_head():
    view, again = example(), example()
    np.testing.assert_array_equal(sent(view), sent(again))
    heads = sent(view).reshape(2, 4, 15, 15)
    words = props(view)["tokens"]["text"]
    # The second " red" reads from what followed the first one.
    assert words[heads[1, 0, 11].argmax()] == words[12] == " fox"
    assert heads[0, 0, 5].argmax() == 4


def test_a_view_is_updated_without_resending_its_arrays():
    view = mv.attention(["t"] * 300, softmax(4, 300, 300))
    keys = [head["values"].key() for head in props(view)["heads"]]
    view.update(title="After")
    assert [head["values"].key() for head in props(view)["heads"]] == keys


def test_estimated_height_grows_with_layers():
    heights = [mv.attention(["t"] * 6, softmax(rows, 2, 6, 6))._height() for rows in (1, 4, 12)]
    assert heights[0] <= heights[1] < heights[2]
