"""mv.attention of several texts and of several stacks: sheets of one view, each exact and fetched when it is opened."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.pattern import Dense

TEXTS = [["a", " b", " c"], ["a", " b", " a", " b", " x"]]


def softmax(*shape: int, seed: int = 0, causal: bool = True) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(0, 1.5, shape)
    if causal:
        scores = np.where(np.tri(*shape[-2:], dtype=bool), scores, -np.inf)
    weights = np.exp(scores)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


PATTERNS = [softmax(2, 4, len(text), len(text), seed=i) for i, text in enumerate(TEXTS)]  # [layer, head, query, key]


def props(view: mv.View) -> dict:
    return dict(view.flat()[1]["0"][1])


def decoded(array: wire.Array) -> np.ndarray:
    encoded = array.encode()
    return wire.decode(encoded.header, encoded.data)


# --- several texts


def test_texts_are_sheets_of_which_the_first_comes_with_the_picture():
    view = mv.attention(TEXTS, PATTERNS)
    got = props(view)
    assert (got["parts"], got["texts"], got["part"]) == ([""], ["a b c", "a b a b x"], 0)
    first, second = got["sheets"]
    np.testing.assert_array_equal(
        np.stack([decoded(head["values"]) for head in first["heads"]]), PATTERNS[0].reshape(8, 3, 3)
    )
    # Of the second text all heads travel in one array, and nothing of it before it is opened.
    assert second["heads"] is None
    assert second["values"].lazy and second["thumbs"].lazy
    np.testing.assert_array_equal(decoded(second["values"]), PATTERNS[1].reshape(8, 5, 5))
    assert view.selection == mv.Selection(layers=[0], heads=[0], texts=[0])
    assert "2 texts, 3 to 5 tokens" in got["frame"]["provenance"]


def test_a_live_picture_asks_for_heads_of_all_texts_by_one_number():
    view = mv.attention(TEXTS, PATTERNS)
    second = props(view)["sheets"][1]
    assert second["offset"] == 8
    line = view.answer("0", "value", {"head": second["offset"] + 6, "query": 4})
    np.testing.assert_array_equal(line, PATTERNS[1][1, 2, 4])


def test_heads_of_a_long_text_travel_one_by_one():
    n = 200  # 8 heads · 200² weights of 4 bytes are 1.3 MB
    long = softmax(2, 4, n, n)
    got = props(mv.attention([TEXTS[0], ["t"] * n], [PATTERNS[0], long]))["sheets"][1]
    assert [head["name"] for head in got["heads"][:2]] == ["L0H0", "L0H1"]
    assert all(head["values"].lazy for head in got["heads"])


def test_texts_share_one_scale_and_say_what_lies_beyond_it():
    scores = [np.full((2, 3, 3), 2.0), np.full((2, 5, 5), 1.0)]
    scores[1][1, 4, 0] = 7.0
    got = props(mv.attention(TEXTS, scores, limits=(0, 5)))
    assert got["scale"] == {"ramp": "ink", "limits": [0, 5]}
    assert got["sheets"][1]["counts"] == {"1": {"nan": 0, "above": 1, "below": 0}}
    assert props(mv.attention(TEXTS, scores))["scale"]["limits"] == [0, 7]


def test_one_text_in_a_list_is_a_list_of_one():
    got = props(mv.attention(TEXTS[:1], PATTERNS[:1]))
    assert got["tokens"]["label"] == ["a", "·b", "·c"] and "sheets" not in got


def test_wrong_texts():
    with pytest.raises(ValueError, match="pattern must hold one for each of 2 texts; got 1"):
        mv.attention(TEXTS, PATTERNS[:1])
    with pytest.raises(
        ValueError, match=r"text 1: pattern must have shape \(head, query, key\) .* == 5; got \(4, 3, 3\)"
    ):
        mv.attention(TEXTS, [PATTERNS[0], PATTERNS[0]])
    with pytest.raises(TypeError, match="pattern must be a list of patterns, one for each text; got a Dense"):
        mv.attention(TEXTS, Dense(PATTERNS[0][0]))
    with pytest.raises(ValueError, match="key_tokens must hold a list for each of 2 texts"):
        mv.attention(TEXTS, PATTERNS, key_tokens=["a"])


# --- several stacks

SOURCE, TARGET = TEXTS[1], TEXTS[0]
STACKS = {
    "encoder": softmax(2, 3, 5, 5, causal=False),
    "decoder": softmax(2, 4, 3, 3),
    "cross": softmax(2, 4, 3, 5, causal=False),
}


def test_stacks_have_their_own_tokens_and_masks():
    got = props(mv.attention({"encoder": SOURCE, "decoder": TARGET}, STACKS, head="cross.L1H3"))
    assert (got["parts"], got["part"]) == (["encoder", "decoder", "cross"], 2)
    encoder, decoder, cross = got["sheets"]
    assert [sheet["causal"] for sheet in got["sheets"]] == [False, True, False]
    assert (encoder["key_tokens"], decoder["key_tokens"]) == (None, None)
    # The decoder reads the encoder's tokens.
    assert cross["tokens"]["label"] == decoder["tokens"]["label"] == ["a", "·b", "·c"]
    assert cross["key_tokens"]["label"] == encoder["tokens"]["label"]
    assert got["frame"]["site"] == "cross L1H3" and cross["open"] == 7
    np.testing.assert_array_equal(decoded(cross["heads"][7]["values"]), STACKS["cross"][1, 3])


def test_stacks_of_several_texts():
    tokens = {"encoder": [SOURCE, TARGET], "decoder": [TARGET, SOURCE]}
    pattern = {
        "encoder": [softmax(1, 2, 5, 5, causal=False), softmax(1, 2, 3, 3, causal=False)],
        "cross": [softmax(1, 2, 3, 5, causal=False), softmax(1, 2, 5, 3, causal=False)],
    }
    got = props(mv.attention(tokens, pattern))
    assert [len(sheet["tokens"]["label"]) for sheet in got["sheets"]] == [5, 3, 3, 5]
    assert [len((s["key_tokens"] or s["tokens"])["label"]) for s in got["sheets"]] == [5, 3, 5, 3]
    assert [sheet["offset"] for sheet in got["sheets"]] == [0, 2, 4, 6]


def test_any_names_and_tokens_of_all():
    got = props(mv.attention(TARGET, {"before": STACKS["decoder"], "after": STACKS["decoder"][::-1]}))
    assert got["parts"] == ["before", "after"]
    assert all(sheet["tokens"]["label"] == ["a", "·b", "·c"] for sheet in got["sheets"])


def test_wrong_stacks():
    tokens = {"encoder": SOURCE, "decoder": TARGET}
    with pytest.raises(ValueError, match="head must be of one of encoder, decoder, cross; got 'vision.L0H0'"):
        mv.attention(tokens, STACKS, head="vision.L0H0")
    with pytest.raises(ValueError, match="tokens must hold those of 'decoder'; got encoder"):
        mv.attention({"encoder": SOURCE}, STACKS)
    with pytest.raises(ValueError, match=r"tokens must have the names of pattern, .*; got \['vision'\]"):
        mv.attention({**tokens, "vision": SOURCE}, STACKS)
    with pytest.raises(TypeError, match="pattern must be a dict, too"):
        mv.attention(tokens, STACKS["encoder"])
    with pytest.raises(ValueError, match=r"cross: pattern must have shape .* key == len\(key_tokens\) == 3"):
        mv.attention(tokens, STACKS, key_tokens={"cross": TARGET})
    with pytest.raises(ValueError, match="same number of texts for every pattern; 'encoder' has one, 'decoder' has 2"):
        mv.attention({"encoder": SOURCE, "decoder": TEXTS}, {"encoder": STACKS["encoder"], "decoder": PATTERNS})


# --- what they become


@pytest.mark.parametrize(
    "view",
    [
        lambda: mv.attention(TEXTS, PATTERNS),
        lambda: mv.attention(TARGET, STACKS | {"encoder": STACKS["decoder"]}, key_tokens={"cross": SOURCE}),
    ],
)
def test_files_hold_every_sheet(view, tmp_path):
    made = view()
    if "texts" in made.selection.to_dict() and made.selection.texts:
        made.selection.texts = [1]
    again = mv.open(made.save(tmp_path / "x.json"))
    assert again.selection == made.selection
    assert again.save(tmp_path / "y.json").read_bytes() == (tmp_path / "x.json").read_bytes()
    assert "2 texts" in made.to_html() or "cross" in made.to_html()


def test_plotly_draws_the_text_that_is_open():
    pytest.importorskip("plotly")
    view = mv.attention(TEXTS, PATTERNS, head="L1H2")
    view.selection.texts = [1]
    z = np.asarray(view.to_plotly().data[0].z, float)
    np.testing.assert_allclose(z[np.tri(5, dtype=bool)], PATTERNS[1][1, 2][np.tri(5, dtype=bool)])
