"""`mv.attention` as its author opens it: what is weighed, hidden, merged and pooled at first, and on which scale."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.analysis.key_values import KeyValues
from mechviz.arrays import Quantity
from mechviz.pattern import Dense, Factored, PatternStack, Unavailable
from mechviz.text import Tokens, as_tokens
from mechviz.views import _attention_weigh, _pattern_layers

WORDS = ["The", " small", " fox", "es", " ran"]
N = len(WORDS)
UNSET = {
    "weigh_by": "",
    "left": "shown",
    "kinds": ["first", "special", "padding", "sink"],
    "merge": "tokens",
    "pooling": "max",
    "curve": None,
    "scale_to": None,
}


def causal(*shape: int) -> np.ndarray:
    """Every query reads all keys up to itself alike."""
    return np.broadcast_to(np.tri(N) / np.arange(1, N + 1)[:, None], (*shape, N, N)).astype(np.float32)


def props(view: mv.View, place: str = "live") -> dict:
    return view.flat(place)[1]["0"][1]  # type: ignore[arg-type]


def padded(special: tuple[int, ...] = (), padding: tuple[int, ...] = ()) -> Tokens:
    plain = as_tokens(WORDS)
    role = tuple("PAD" if i in padding else "BOS" if i in special else None for i in range(N))
    marked = tuple(i in special or i in padding for i in range(N))
    return Tokens(plain.label, plain.text, plain.group, marked, role, None, None, plain.piece)


class Behind:
    """A trace of two layers; the second one's values cannot be read, and nothing is known of its output projection."""

    def value_norms(self) -> KeyValues:
        values = np.arange(2 * N, dtype=np.float32).reshape(1, 2, N)
        return KeyValues((0,), (2,), values, Quantity("‖v‖", scale="ink"), {1: "it keeps no values"})

    def contribution_norms(self) -> KeyValues:
        raise Unavailable("no layer has ‖W_O v‖: its output projection was not found")

    def contributions(self, direction) -> KeyValues:
        values = np.ones((2, 2, N), np.float32)
        return KeyValues((0, 1), (2, 2), values, Quantity("W_O v · direction", scale="signed"))


def traced() -> PatternStack:
    return PatternStack([Dense(causal(2)), Dense(causal(2))], behind=Behind())


def test_nothing_is_switched_on_unless_it_is_asked_for():
    view = mv.attention(WORDS, causal(2))
    assert props(view)["reading"] == UNSET and "a still shows" not in view.still()


def test_every_argument_arrives_in_a_notebook_and_in_a_file_and_the_still_says_that_it_shows_none_of_it():
    view = mv.attention(
        WORDS,
        causal(2),
        weigh={"mine": np.ones((2, N))},
        weigh_by="mine",
        hide=["first"],
        merge="words",
        pooling="mass",
        curve="sqrt",
        scale_to=0.5,
        drawing="lines",
    )
    expected = {
        "weigh_by": "mine",
        "left": "hidden",
        "kinds": ["first"],
        "merge": "words",
        "pooling": "mass",
        "curve": "sqrt",
        "scale_to": 0.5,
    }
    for place in ("live", "file", "twin"):
        assert props(view, place)["reading"] == expected and props(view, place)["drawing"] == "lines"
    assert (
        "<div>a still shows weights as they are; the interactive picture opens × mine, renormalised without first token, "
        "by word, with the mass of several cells, on a √ scale, to 0.5, as lines</div>"
    ) in view.still()


def test_several_texts_and_stacks_open_alike():
    view = mv.attention([WORDS, WORDS], [causal(2), causal(2)], dim="first", merge="words")
    assert props(view)["reading"] == {**UNSET, "left": "dimmed", "kinds": ["first"], "merge": "words"}


def test_what_is_hidden_of_numbers_that_are_no_probabilities_is_not_renormalised():
    assert "opens without first token<" in mv.attention(WORDS, 3 * causal(2), hide="first").still()
    assert "opens renormalised without first token<" in mv.attention(WORDS, causal(2), hide="first").still()


@pytest.mark.parametrize(
    ("special", "padding", "hide", "kinds"),
    [
        ((), (), "all", ["first"]),
        ((0,), (), "all", ["special"]),
        ((0,), (3, 4), "all", ["special", "padding"]),
        ((2,), (4,), ["padding", "first"], ["first", "padding"]),
        ((0,), (4,), ("special",), ["special"]),
        ((0,), (4,), [], ["first", "special", "padding", "sink"]),
    ],
)
def test_kinds_of_keys_are_those_that_the_reader_has(special, padding, hide, kinds):
    got = props(mv.attention(padded(special, padding), causal(1), hide=hide))["reading"]
    assert got["kinds"] == kinds and got["left"] == ("hidden" if hide else "shown")


def test_a_sink_is_hidden_where_heads_have_one():
    queries = np.random.default_rng(0).normal(size=(2, N, 4)).astype(np.float32)
    sink = Factored(queries, queries, sinks=np.zeros(2, np.float32))
    assert props(mv.attention(WORDS, sink, hide="sink"))["reading"]["kinds"] == ["sink"]
    assert props(mv.attention(WORDS, sink, hide="all"))["reading"]["kinds"] == ["first", "sink"]


# --- what weights are multiplied with


def test_what_a_trace_gives_is_computed_and_comes_with_the_first_picture():
    view = mv.attention(WORDS, traced(), weigh_by="value norm")
    for place in ("live", "twin", "file"):
        chosen, other = props(view, place)["weigh"][0]
        encoded = chosen["values"].encode()
        assert wire.decode(encoded.header, encoded.data)[1].tolist() == [5, 6, 7, 8, 9]
        assert not chosen["values"].lazy and not chosen["asked"] and other["values"] is None


def test_a_large_one_comes_after_the_first_picture(monkeypatch):
    monkeypatch.setattr(_attention_weigh, "_AT_ONCE_BYTES", 4 * N * 4 - 1)
    view = mv.attention(WORDS, traced(), weigh_by="value norm")
    assert props(view)["weigh"][0][0]["values"].lazy


def test_a_direction_is_a_name_too_and_names_are_made_harmless_alike():
    name = "A\u202e − B"
    got = props(mv.attention(WORDS, traced(), directions={name: np.ones(4)}, weigh_by=name))
    assert got["reading"]["weigh_by"] == got["weigh"][0][2]["name"] != name


# --- what cannot be


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"hide": "bos"}, 'hide must be of "first", "special", "padding", "sink", or "all"; got \'bos\''),
        ({"dim": ["first", 3]}, 'dim must be of .* or "all"; got 3'),
        ({"hide": "special"}, "hide='special' finds nothing: no token that is read is special"),
        ({"hide": "padding"}, "hide='padding' finds nothing: no token that is read is padding"),
        ({"hide": "sink"}, "hide='sink' finds nothing: no head has a sink of its own; a first token .* is \"first\""),
        ({"hide": "first", "dim": "first"}, "hide and dim cannot be combined"),
        ({"merge": "lines"}, "merge must be one of words, spans; got 'lines'"),
        ({"merge": "spans"}, 'merge="spans" needs spans=, or key_spans='),
        ({"pooling": "mean"}, "pooling must be one of max, mass; got 'mean'"),
        ({"curve": "cubic"}, "curve must be one of linear, sqrt, log, row, head; got 'cubic'"),
        ({"curve": "log", "scale": "signed"}, "curve must be one of linear, sqrt, row, head for scale 'signed' from -1 to"),
        ({"curve": "sqrt", "limits": (0.2, 1)}, "curve must be one of linear for scale 'ink' from 0.2 to 1; got 'sqrt'"),
        ({"scale_to": 0}, "scale_to must be a number above 0; got 0"),
        ({"scale_to": float("inf")}, "scale_to must be a number above 0; got inf"),
        ({"scale_to": True}, "scale_to must be a number above 0; got True"),
        ({"scale_to": 0.5, "curve": "row"}, 'scale_to=0.5 has no use with curve="row"'),
        ({"weigh_by": "value norm"}, 'weigh_by must be a name in weigh=; got .* need trace.attention, .*is a ndarray'),
        ({"weigh_by": "m", "weigh": {"n": np.ones((2, N))}}, "weigh_by must be one of \"n\"; got 'm'"),
        ({"weigh_by": 3}, "weigh_by must be a name in weigh=; got 3"),
    ],
)  # fmt: skip
def test_errors_say_what_was_wanted_and_what_came(more, says):
    with pytest.raises(ValueError, match=says):
        mv.attention(WORDS, causal(2), **more)


def test_a_first_token_that_is_special_goes_by_that_name():
    with pytest.raises(ValueError, match='every text begins with a special token, which is "special"'):
        mv.attention(padded(special=(0,)), causal(1), hide="first")


@pytest.mark.parametrize(
    ("name", "head", "says"),
    [
        ("contribution norm", None, "'contribution norm' cannot be given: .*its output projection was not found"),
        ("value norm", "L1H0", "'value norm' cannot be given for L1H0: .*it keeps no values"),
        ("values", None, 'weigh_by must be one of "value norm", "contribution norm"; got \'values\'$'),
    ],
)
def test_a_weighing_that_the_trace_cannot_give_says_what_is_missing(name, head, says):
    with pytest.raises(ValueError, match=says):
        mv.attention(WORDS, traced(), weigh_by=name, head=head)


def test_every_heads_own_maximum_is_not_known_of_what_stays_in_the_kernel(monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    queries = np.random.default_rng(0).normal(size=(2, 40, 4)).astype(np.float32)
    with pytest.raises(ValueError, match='curve="head" needs the largest weight of every head'):
        mv.attention([f" t{i}" for i in range(40)], Factored(queries, queries), curve="head")
