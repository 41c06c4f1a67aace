"""Tokens as values: labels, escapes, sequence behaviour, and what as_tokens accepts and refuses."""

from __future__ import annotations

import dataclasses
import json
import operator
import pickle
import random
import re
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.text import Tokens, as_tokens, visible

BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def offences(props):
    """What in to_props could be unseen, reorder the page or break its encoding."""
    json.dumps(props, ensure_ascii=False).encode("utf-8")
    bad = [c for label in props["label"] for c in label if unicodedata.category(c) in UNSEEN]
    prose_ok = "\n\t\u200c\u200d"
    bad += [c for text in props["text"] for c in text if unicodedata.category(c) in UNSEEN and c not in prose_ok]
    return bad + BIDI.findall("".join(props["label"] + props["text"])) + [s for s in props["label"] if not s]


# é over two tokens between two whole ones: the second half has no text of its own.
def two_halves():
    return Tokens(
        label=("a", "⟨C3⟩", "⟨A9⟩", "b"),
        text=("a", "é", "", "b"),
        group=(0, 1, 1, 3),
        special=(False,) * 4,
        role=(None,) * 4,
        ids=(5, 6, 7, 8),
        n_bytes=(1, 1, 1, 1),
        piece=("", "C3", "A9", ""),
        provenance={"model": "m", "dtype": "float32"},
    )


@pytest.mark.parametrize(
    ("string", "label"),
    [
        (" the", "·the"),
        ("the", "the"),
        (" ", "·"),
        ("   ", "···"),
        ("a b", "a b"),  # a space between words is seen
        ("a  b ", "a··b·"),
        ("\n\t\r\n", "↵⇥␍↵"),
        ("\x00", "⟨U+0000⟩"),
        ("\x85", "⟨U+0085⟩"),
        ("\u202eabc", "⟨U+202E⟩abc"),
        ("\u200b", "⟨U+200B⟩"),
        ("\xa0x", "⟨U+00A0⟩x"),
        ("\ud800", "⟨U+D800⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),  # a tag character: ASCII smuggled past the reader
        ("❤\ufe0f", "❤⟨U+FE0F⟩"),
        ("\u0301", "◌\u0301"),
        ("", "⟨empty⟩"),
        ("</script>", "</script>"),
        ("مرحبا", "مرحبا"),
    ],
)
def test_labels(string, label):
    assert as_tokens([string]).label == (label,)
    assert visible(label) == label


def test_every_unseen_code_point_is_escaped():
    # Asks unicodedata about all of Unicode; the source writes the ranges out.
    unseen = UNSEEN | {"Zs"}
    for c in map(chr, range(sys.maxunicode + 1)):
        if c != " " and unicodedata.category(c) in unseen:
            assert visible(c) in (f"⟨U+{ord(c):04X}⟩", {"\n": "↵", "\r": "␍", "\t": "⇥"}.get(c)), hex(ord(c))


def test_prose_keeps_layout_and_joiners_but_nothing_that_reorders():
    text = ["a\tb\n", "\r\n", "x\u202ey", "👩\u200d👧", "\u200d", "می\u200cخواهم", "\u3000"]
    shown = ("a\tb\n", "␍\n", "x⟨U+202E⟩y", "👩\u200d👧", "⟨U+200D⟩", "می\u200cخواهم", "\u3000")
    tokens = as_tokens(text)
    assert tokens.text == tuple(text)
    assert tokens.shown == shown
    assert tokens.to_props()["text"] == list(shown)


def test_ten_thousand_random_strings_are_harmless():
    draw = random.Random(2)
    pools = [
        range(sys.maxunicode + 1),  # everything, lone surrogates included
        [*range(0xA0), *range(0x2000, 0x2070), 0x61C, 0xFEFF, 0xFFFE],
        range(0xD7F0, 0xE010),
    ]
    strings = ["".join(map(chr, draw.choices(draw.choice(pools), k=draw.randrange(9)))) for _ in range(10_000)]
    assert offences(as_tokens(strings).to_props()) == []


@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1))
def test_any_strings_are_harmless(strings):
    tokens = as_tokens(strings)
    assert offences(tokens.to_props()) == []
    assert as_tokens(list(tokens)).label == tokens.label  # labels may be passed back as strings


def test_the_check_for_harmless_strings_can_fail():
    props = as_tokens(["a"]).to_props()
    assert offences(props) == []
    for bad in ("\x00", "\u202e", "\u200b"):
        assert offences(props | {"label": [bad]}) != []
    assert offences(props | {"text": ["\u2066"]}) != []
    with pytest.raises(UnicodeEncodeError):
        offences(props | {"text": ["\ud800"]})


def test_fields_given_by_hand_are_made_harmless_too():
    tokens = Tokens(label=("\u202e",), text=("\ud800",), group=(0,), special=(False,), role=(None,))
    assert offences(tokens.to_props()) == []


def test_to_props_is_plain_json():
    assert json.loads(json.dumps(two_halves().to_props())) == {
        "text": ["a", "é", "", "b"],
        "label": ["a", "⟨C3⟩", "⟨A9⟩", "b"],
        "group": [0, 1, 1, 3],
        "special": [False] * 4,
        "role": [None] * 4,
        "ids": [5, 6, 7, 8],
        "piece": ["", "C3", "A9", ""],
        "prompt": None,
    }
    assert as_tokens(["a"]).to_props()["ids"] is None


def test_sequence_of_labels():
    tokens = two_halves()
    assert len(tokens) == 4
    assert list(tokens) == ["a", "⟨C3⟩", "⟨A9⟩", "b"]
    assert (tokens[1], tokens[-1], "b" in tokens, tokens.index("b")) == ("⟨C3⟩", "b", True, 3)
    with pytest.raises(IndexError):
        tokens[4]
    with pytest.raises(AttributeError):
        tokens.label = ()  # type: ignore[misc]


def test_slices_keep_groups_and_provenance():
    tail = two_halves()[1:]
    assert (tail.group, tail.ids, tail.piece) == ((0, 0, 2), (6, 7, 8), ("C3", "A9", ""))
    assert tail.provenance == {"model": "m", "dtype": "float32"}
    # The second half alone has lost the character: it shows its byte.
    assert two_halves()[2:].shown == ("⟨A9⟩", "b")
    assert two_halves()[::2].group == (0, 1)
    assert len(two_halves()[4:]) == 0


def test_sum():
    tokens = two_halves()[:3] + two_halves()
    assert tokens.group == (0, 1, 1, 3, 4, 4, 6)
    assert tokens.ids == (5, 6, 7, 5, 6, 7, 8)
    other = Tokens(**{**fields_of(two_halves()), "provenance": {"model": "m", "dtype": "bfloat16"}})
    assert (tokens + other).provenance == {"model": "m"}  # what both agree on
    assert (tokens + as_tokens(["x"])).ids is None
    with pytest.raises(TypeError):
        operator.add(tokens, ["x"])


def fields_of(tokens):
    return {name: getattr(tokens, name) for name in tokens.__dataclass_fields__}


def test_equality_hash_pickle_repr():
    tokens = two_halves()
    assert tokens == two_halves()
    assert tokens == Tokens(**{**fields_of(tokens), "provenance": {}})
    assert tokens != Tokens(**{**fields_of(tokens), "ids": (5, 6, 7, 9)})
    assert len({tokens, two_halves()}) == 1
    copy = pickle.loads(pickle.dumps(tokens))
    assert copy == tokens and copy.provenance == tokens.provenance
    assert repr(tokens) == "Tokens(4: a ⟨C3⟩ ⟨A9⟩ b)"
    assert repr(as_tokens(["x"] * 99)) == "Tokens(99: x x x x x x x x … x x x)"


def test_fields_must_agree_in_length():
    with pytest.raises(ValueError, match="group must have one entry per token, 1; got 2"):
        Tokens(label=("a",), text=("a",), group=(0, 1), special=(False,), role=(None,))


def test_provenance_is_plain_json_and_read_only():
    with pytest.raises(TypeError, match=r"provenance must hold plain JSON values.*ndarray"):
        Tokens(**{**fields_of(two_halves()), "provenance": {"w": np.zeros(2)}})
    with pytest.raises(TypeError):
        two_halves().provenance["model"] = "x"  # type: ignore[index]


class Series:
    """Works like a pandas Series of strings."""

    shape = (2,)

    def tolist(self):
        return ["a", " b"]


@pytest.mark.parametrize("x", [["a", " b"], ("a", " b"), np.array(["a", " b"]), Series(), iter(["a", " b"])])
def test_as_tokens_accepts(x):
    tokens = as_tokens(x, length=2)
    assert tokens.label == ("a", "·b")
    assert all(type(label) is str for label in tokens.text)
    assert as_tokens(tokens) is tokens


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ("a b", TypeError, "queries must be a list of tokens.*single str 'a b'.*trace.tokens"),
        (b"a", TypeError, "single bytes"),
        (None, TypeError, "got NoneType"),
        (3, TypeError, "got int"),
        ({"a": 1}, TypeError, "got dict"),
        ({"a"}, TypeError, "got set"),
        (np.zeros((2, 3, 3)), TypeError, r"array of shape \(2, 3, 3\).*arguments swapped"),
        (np.zeros(3), TypeError, "got float 0.0 at position 0, which looks like a value; are the arguments swapped"),
        (np.array("a"), TypeError, r"shape \(\)"),
        ([1, 2], TypeError, r"got int 1 at position 0. Token ids need a tokenizer: Tokens.from_ids\(tokenizer, ids\)"),
        (np.array([1, 2]), TypeError, "Token ids need a tokenizer"),
        (["a", None], TypeError, "got NoneType None at position 1"),
        ([["a", "b"]], TypeError, "got list .* no batch axis"),
        ([], ValueError, "queries must hold at least one token; got none"),
        (["a", "b"], ValueError, "queries must have one token per position, 3; got 2"),
    ],
)
def test_as_tokens_refuses(x, error, message):
    with pytest.raises(error, match=message):
        as_tokens(x, name="queries", length=3)


def test_the_boundary_between_prompt_and_answer():
    tokens = Tokens(**{**vars(as_tokens(["a", "b", "c", "d", "e"])), "prompt": 3})
    # a b c | d e: of every slice, how many of its positions lie before d
    assert [tokens[at].prompt for at in (slice(1, None), slice(3, 5), slice(0, 2), slice(None, None, 2))] == [
        2,
        0,
        2,
        2,
    ]
    assert tokens[::-1].prompt is None and as_tokens(["a"])[:1].prompt is None
    assert (tokens + as_tokens(["f"])).prompt == 3 and (as_tokens(["f"]) + tokens).prompt == 4
    assert pickle.loads(pickle.dumps(tokens)).prompt == 3 and tokens.to_props()["prompt"] == 3
    assert tokens == as_tokens(["a", "b", "c", "d", "e"])
    with pytest.raises(ValueError, match="prompt must be a number of positions, 0 to 5; got 6"):
        dataclasses.replace(tokens, prompt=6)


def test_offsets_into_the_source():
    tokens = two_halves()  # a, the two bytes of é, b
    assert tokens.offsets("aéb") == ((0, 1), (1, 2), (1, 2), (2, 3))
    begun = Tokens(**{**vars(as_tokens(["<s>", "Hi", " you"])), "special": (True, False, False)})
    assert begun.offsets("Hi you") == ((0, 0), (0, 2), (2, 6))
    assert begun.offsets("<s>Hi you") == ((0, 3), (3, 5), (5, 9))  # as a chat template writes it
    with pytest.raises(
        ValueError, match="source is not the text of these tokens: token 2 is ' you', but at 2 stands ' she'"
    ):
        begun.offsets("Hi she")
