"""`mv.attention` as it is read: what its weights are multiplied with, spans, what a trace knows behind its keys."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.analysis.key_values import KeyValues
from mechviz.arrays import Quantity
from mechviz.pattern import Dense, PatternStack, Unavailable
from mechviz.views import _attention_weigh, _pattern_layers

WORDS = ["<s>", "When", " Ma", "ry", " and"]
N = len(WORDS)


def softmax(*shape: int, seed: int = 0) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=shape)
    scores[..., ~np.tri(shape[-1], dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def props(view: mv.View, place: str = "live") -> dict:
    return view.flat(place)[1]["0"][1]  # type: ignore[arg-type]


def numbers(entry: dict) -> np.ndarray:
    encoded = entry["values"].encode()
    return wire.decode(encoded.header, encoded.data)


def key_values(*layers: int, heads: int = 2, keys: int = N, name: str = "‖v‖", scale: str = "ink", **more) -> KeyValues:
    values = np.arange(len(layers) * heads * keys, dtype=np.float32).reshape(len(layers), heads, keys)
    return KeyValues(layers, (heads,) * len(layers), values, Quantity(name, scale=scale), **more)  # type: ignore[arg-type]


# --- what is given


def test_numbers_of_keys_go_to_the_heads_of_their_layers():
    pattern, values = softmax(2, 3, N, N), np.random.default_rng(1).normal(size=(2, 3, N))
    view = mv.attention(WORDS, pattern, weigh={"mine": values, "norms": key_values(0, 1, heads=3)})
    mine, norms = props(view)["weigh"][0]
    assert (mine["name"], mine["symbol"], mine["signed"], mine["reason"]) == ("mine", "mine", True, None)
    assert np.array_equal(numbers(mine), values.reshape(6, N).astype(np.float32))
    assert (norms["symbol"], norms["signed"]) == ("‖v‖", False)
    assert np.array_equal(numbers(norms), np.arange(6 * N).reshape(6, N))
    assert mine["values"].lazy  # they come when they are asked for


def test_results_of_an_analysis_go_by_the_true_numbers_of_layers_and_say_what_they_lack():
    view = mv.attention(
        WORDS, softmax(2, 2, N, N), layers=[5, 7], weigh={"n": key_values(5, missing={7: "a norm stands behind it"})}
    )
    (entry,) = props(view)["weigh"][0]
    assert np.array_equal(numbers(entry)[:2], np.arange(2 * N).reshape(2, N)) and not numbers(entry)[2:].any()
    assert list(entry["missing"]) == ["2", "3"] and "a norm stands behind it" in entry["missing"]["2"]


def test_a_single_layer_takes_numbers_without_its_axis_and_a_sink_has_none():
    values = np.ones((2, N), np.float32)
    (entry,) = props(mv.attention(WORDS, softmax(2, N, N), weigh={"w": values}))["weigh"][0]
    assert np.array_equal(numbers(entry), values)
    queries = np.random.default_rng(0).normal(size=(2, N, 4)).astype(np.float32)
    sink = mv.pattern.Factored(queries, queries, sinks=np.zeros(2, np.float32))
    (entry,) = props(mv.attention(WORDS, sink, weigh={"w": values}))["weigh"][0]
    assert np.array_equal(numbers(entry), np.concatenate([values, np.zeros((2, 1))], axis=1))


def test_several_texts_and_patterns_with_names_have_their_own():
    texts, patterns = [WORDS, WORDS[:3]], [softmax(1, N, N), softmax(1, 3, 3)]
    first, second = props(mv.attention(texts, patterns, weigh={"w": [np.ones((1, N)), np.full((1, 3), 2.0)]}))["weigh"]
    assert numbers(first[0]).sum() == N and numbers(second[0]).sum() == 6
    named = {"encoder": softmax(1, N, N), "decoder": softmax(1, N, N)}
    one, other = props(mv.attention(WORDS, named, weigh={"w": {"decoder": np.ones((1, N))}}))["weigh"]
    assert one == [] and other[0]["name"] == "w"


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"weigh": np.ones((2, N))}, TypeError, r"weigh must be a dict of KeyValues .*got a ndarray of shape \(2, 5\)"),
        ({"weigh": {1: np.ones((2, N))}}, TypeError, "by name"),
        (
            {"weigh": {"w": np.ones((3, N))}},
            ValueError,
            r"weigh\['w'\] must have shape .* == \(1, 2, 5\); got \(3, 5\)",
        ),
        ({"weigh": {"w": np.full((2, N), np.nan)}}, ValueError, "finite"),
        ({"weigh": {"w": ["a"]}}, TypeError, "weigh"),
        ({"weigh": {"w": key_values(0, keys=9)}}, ValueError, "must be of 5 keys; got 9"),
        ({"directions": {"d": np.ones(4)}}, ValueError, "needs trace.attention"),
        ({"directions": {"d": np.ones((4, 4))}}, ValueError, r"directions\['d'\] must be finite numbers \(d_model,\)"),
        ({"directions": [1.0]}, TypeError, "directions must be a dict"),
        ({"spans": [(0, 3), (2, 4)]}, ValueError, r"spans must not overlap; got \(0, 3\) and \(2, 4\)"),
        ({"spans": [(3, 3)]}, ValueError, r"0 <= start < stop <= 5, .* got \(3, 3\)"),
        ({"spans": [(0, 6)]}, ValueError, r"<= 5, the number of tokens; got \(0, 6\)"),
        ({"spans": [(0, 1, 2)]}, TypeError, r"\(start, stop, name\); got \(0, 1, 2\)"),
        ({"spans": [3]}, TypeError, "got 3"),
        ({"spans": "words"}, TypeError, "got 'words'"),
        ({"spans": {1: (0, 2)}}, TypeError, "names that are strings"),
        ({"key_spans": [(0, 2)]}, ValueError, "key_spans= are spans of key_tokens="),
    ],
)
def test_errors_say_what_was_wanted_and_what_came(more, error, says):
    with pytest.raises(error, match=says):
        mv.attention(WORDS, softmax(2, N, N), **more)


def test_lists_for_several_texts_must_be_as_long():
    texts, patterns = [WORDS, WORDS], [softmax(1, N, N)] * 2
    for more in ({"weigh": {"w": np.ones((1, N))}}, {"spans": [[(0, 2)]]}):
        with pytest.raises(ValueError, match="for each of 2 texts"):
            mv.attention(texts, patterns, **more)


# --- what a trace knows


class Behind:
    """Stands for what a trace knows; counts how often it is asked."""

    asked: ClassVar[list[str]] = []

    def value_norms(self) -> KeyValues:
        self.asked.append("value")
        return key_values(3, 4)

    def contribution_norms(self) -> KeyValues:
        raise Unavailable("a norm stands behind the values")

    def contributions(self, direction) -> KeyValues:
        if len(direction) != 4:
            raise ValueError("direction must have shape (4,)")
        return key_values(3, 4, name="W_O v · direction", scale="signed")


def stack() -> PatternStack:
    Behind.asked.clear()
    weights = softmax(2, 2, N, N)
    return PatternStack({3: Dense(weights[0]), 4: Dense(weights[1])}, behind=Behind())


def test_a_trace_is_asked_only_when_somebody_wants_to_know():
    view = mv.attention(WORDS, stack(), directions={"A − B": np.ones(4), "short": np.ones(3)})
    entries = props(view)["weigh"][0]
    assert [(e["name"], e["symbol"], e["asked"]) for e in entries] == [
        ("value norm", "‖v‖", True),
        ("contribution norm", "‖W_O v‖", True),
        ("A − B", "W_O v · (A − B)", True),
        ("short", "W_O v · (short)", True),
    ]
    twin = props(view, "twin")["weigh"][0]
    assert Behind.asked == [] and all(".save()" in e["reason"] for e in twin)
    said, (values,) = view.answer("0", "weigh", {"sheet": 0, "which": 0})
    assert said == {"signed": False, "missing": {}} and np.array_equal(values, np.arange(4 * N).reshape(4, N))
    view.answer("0", "weigh", {"sheet": 0, "which": 0})
    assert Behind.asked == ["value"]  # once
    assert view.answer("0", "weigh", {"sheet": 0, "which": 1}) == {"reason": "a norm stands behind the values"}
    assert view.answer("0", "weigh", {"sheet": 0, "which": 2})[0]["signed"]
    assert "shape (4,)" in view.answer("0", "weigh", {"sheet": 0, "which": 3})["reason"]


def test_a_file_holds_what_the_trace_gives_and_says_what_it_does_not(monkeypatch):
    entries = props(mv.attention(WORDS, stack()), "file")["weigh"][0]
    assert np.array_equal(numbers(entries[0]), np.arange(4 * N).reshape(4, N)) and entries[0]["values"].lazy
    assert (entries[1]["values"], entries[1]["reason"]) == (None, "a norm stands behind the values")
    monkeypatch.setattr(_attention_weigh, "FILE_BYTES", 10)
    entry = props(mv.attention(WORDS, stack()), "file")["weigh"][0][0]
    assert entry["values"] is None and "left out of this file" in entry["reason"]


def test_a_part_of_the_layers_keeps_what_stands_behind_its_keys():
    view = mv.attention(WORDS, stack()[4:])
    _, (values,) = view.answer("0", "weigh", {"sheet": 0, "which": 0})
    assert np.array_equal(values, np.arange(2 * N, 4 * N).reshape(2, N))


def test_a_long_text_is_weighed_in_the_kernel(monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 2, 40, 8)).astype(np.float32)
    pattern = mv.pattern.Factored(queries, keys)
    view = mv.attention([f" t{i}" for i in range(40)], pattern, weigh={"w": np.ones((2, 40))})
    assert props(view)["remote"] and props(view)["weigh"][0][0]["name"] == "w"
    assert not props(view, "file")["remote"] and props(view, "file")["weigh"][0][0]["name"] == "w"
    weights = pattern.head(1)
    (mean,) = view.answer("0", "line", {"heads": [1], "direction": "from", "index": [3, 9, 20]})[1]
    assert np.allclose(mean, weights[[3, 9, 20]].mean(0), atol=1e-6)
    (total,) = view.answer("0", "line", {"heads": [1], "direction": "by", "index": [2, 5]})[1]
    assert np.allclose(total, weights[:, [2, 5]].sum(1), atol=1e-6)


# --- spans


@pytest.mark.parametrize(
    ("spans", "edges", "names"),
    [
        ([(1, 2), (2, 4)], [0, 1, 2, 4, 5], [None, None, None, None]),
        ([(2, 5, "b"), (0, 2, "a")], [0, 2, 5], ["a", "b"]),
        ({"turn": [(1, 3), (3, 5)]}, [0, 1, 3, 5], [None, "turn 1", "turn 2"]),
        ({"who": (2, 4), "rest": (4, 5)}, [0, 2, 4, 5], [None, "who", "rest"]),
        (np.array([[0, 5]]), [0, 5], [None]),
        ([], [0, 5], [None]),
    ],
)
def test_spans_and_what_lies_between_them_cover_the_text(spans, edges, names):
    got = props(mv.attention(WORDS, softmax(2, N, N), spans=spans))
    assert got["spans"] == {"edges": edges, "names": names} == got["key_spans"]
    json.dumps(got["spans"])


def test_keys_of_their_own_have_spans_of_their_own_and_a_sink_is_a_unit():
    cross = np.full((1, 2, 3), 1 / 3, np.float32)
    got = props(mv.attention(["a", "b"], cross, key_tokens=["x", "y", "z"], spans=[(0, 2)], key_spans=[(1, 3, "k")]))
    assert got["spans"]["edges"] == [0, 2] and got["key_spans"] == {"edges": [0, 1, 3], "names": [None, "k"]}
    assert props(mv.attention(["a", "b"], cross, key_tokens=["x", "y", "z"], spans=[(0, 2)]))["key_spans"] is None
    queries = np.random.default_rng(0).normal(size=(2, N, 4)).astype(np.float32)
    sink = mv.pattern.Factored(queries, queries, sinks=np.zeros(2, np.float32))
    got = props(mv.attention(WORDS, sink, spans=[(0, 2)]))
    assert got["sink"] and got["spans"]["edges"] == [0, 2, 5] and got["key_spans"]["edges"] == [0, 2, 5, 6]


def test_spans_of_texts_and_of_stacks():
    sheets = props(mv.attention([WORDS, WORDS[:3]], [softmax(1, N, N), softmax(1, 3, 3)], spans=[[(0, 2)], None]))[
        "sheets"
    ]
    assert sheets[0]["spans"]["edges"] == [0, 2, 5] and sheets[1]["spans"] is None
    stacks = {"encoder": softmax(1, 3, 3), "decoder": softmax(1, 2, 2), "cross": np.full((1, 2, 3), 1 / 3, np.float32)}
    tokens = {"encoder": ["x", "y", "z"], "decoder": ["a", "b"]}
    spans = {"encoder": [(0, 2, "e")], "decoder": [(0, 1, "d")]}
    encoder, _, cross = props(mv.attention(tokens, stacks, spans=spans))["sheets"]
    assert encoder["key_spans"]["names"] == ["e", None] and cross["key_spans"]["names"] == ["e", None]


def test_hostile_names_are_safe():
    name = "</script>\ud800\u202e"
    got = props(mv.attention(WORDS, softmax(2, N, N), spans={name: (0, 2)}, weigh={name: np.ones((2, N))}))
    sent = json.dumps([got["spans"], got["weigh"][0][0]["name"]]).encode()
    assert b"\\ud800" not in sent and b"\\u202e" not in sent
