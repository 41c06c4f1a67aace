"""The grid of mv.attention: what is sent of key heads, windows, layers without a softmax, scores over texts, and roles."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz._head_scores import SCORES
from mechviz.analysis import head_scores
from mechviz.pattern import Factored, PatternStack
from mechviz.views import _attention_scores

WORDS = ["The", " cat", " saw", " the", " cat", " sleep"]
N = len(WORDS)


def softmax(*shape: int, seed: int = 0) -> np.ndarray:
    scores = np.where(np.tri(*shape[-2:], dtype=bool), np.random.default_rng(seed).normal(0, 1.5, shape), -np.inf)
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True)


def factored(heads: int, key_heads: int, *, window: int | None = None, seed: int = 0) -> Factored:
    rng = np.random.default_rng(seed)
    return Factored(
        rng.normal(size=(heads, N, 4)).astype(np.float32),
        rng.normal(size=(key_heads, N, 4)).astype(np.float32),
        window=window,
    )


def props(view: mv.View) -> dict:
    return dict(view.flat()[1]["0"][1])


def decoded(array: wire.Array) -> np.ndarray:
    encoded = array.encode()
    return wire.decode(encoded.header, encoded.data)


# --- what the grid says of a head


def test_heads_say_which_key_head_they_share_and_how_far_they_see():
    stack = PatternStack({3: factored(4, 2), 4: factored(4, 2, window=3)})
    heads = props(mv.attention(WORDS, stack))["heads"]
    assert [head["kv"] for head in heads] == [0, 0, 1, 1] * 2
    assert [head.get("window") for head in heads] == [None] * 4 + [3] * 4


def test_heads_with_keys_of_their_own_and_windows_that_reach_all_are_not_told_of():
    head = props(mv.attention(WORDS, PatternStack([factored(2, 2, window=N)])))["heads"][0]
    assert "kv" not in head and "window" not in head


def test_layers_without_a_pattern_are_rows_with_their_reason():
    why = "layer {} has no attention pattern: a Mamba mixer has no softmax"
    stack = PatternStack(
        {2: factored(2, 2), 5: factored(2, 2), 7: factored(2, 2)},
        missing={layer: why.format(layer) for layer in (0, 1, 3, 4)} | {6: "something else"},
    )
    got = props(mv.attention(WORDS, stack))
    # 0 and 1 are one row, 3 and 4 another.
    assert got["rows"] == ["L0–1", "L2", "L3–4", "L5", "L6", "L7"]
    mamba = "a Mamba mixer has no softmax"
    assert got["reasons"] == [mamba, None, mamba, None, "something else", None]
    assert [(head["row"], head["layer"]) for head in got["heads"]] == [(1, 2)] * 2 + [(3, 5)] * 2 + [(5, 7)] * 2
    assert props(mv.attention(WORDS, PatternStack([factored(2, 2)])))["reasons"] is None


# --- scores


def scores_sent(got: dict) -> np.ndarray:
    return decoded(got["scores"]["values"])


def test_the_view_shows_the_scores_of_the_analysis():
    pattern = softmax(2, 3, N, N)
    got = props(mv.attention(WORDS, pattern))
    assert got["scores"]["names"] == list(SCORES) and got["scores"]["sampled"] is None
    for i, with_first in enumerate((True, False)):
        wanted = head_scores(pattern, WORDS, with_first=with_first)
        for k, name in enumerate(SCORES):
            np.testing.assert_allclose(scores_sent(got)[i, :, k], getattr(wanted, name).ravel(), rtol=1e-6)


def test_scores_of_long_contexts_are_awaited_and_read_off_a_sample(monkeypatch):
    monkeypatch.setattr(_attention_scores, "_AT_ONCE", 0)
    pattern = softmax(2, N, N)
    late = props(mv.attention(WORDS, pattern))["scores"]
    assert late["values"].lazy and late["values"].shape == (2, 2, len(SCORES))
    whole = decoded(late["values"])
    monkeypatch.setattr(_attention_scores, "_ALL", 0)
    monkeypatch.setattr(_attention_scores, "_SAMPLE", 3 * 2 * N)  # three queries of two heads of N keys
    monkeypatch.setattr(_attention_scores, "_FEWEST", 1)
    some = props(mv.attention(WORDS, pattern))["scores"]
    assert some["sampled"] == (3, N)
    # Queries 1, 3 and 5 of six; the analysis reads the same.
    wanted = head_scores(pattern, WORDS, queries=3)
    assert wanted.queries == (3, N)
    np.testing.assert_allclose(decoded(some["values"])[0, :, 0], wanted.entropy[0])
    rows = -np.where(pattern > 0, pattern * np.log(np.where(pattern > 0, pattern, 1)), 0).sum(-1)
    np.testing.assert_allclose(wanted.entropy[0], rows[:, [1, 3, 5]].mean(1))
    assert not np.allclose(decoded(some["values"]), whole, equal_nan=True)


def test_how_many_queries_must_be_a_number():
    for wrong in (0, True, 1.5, "3"):
        with pytest.raises(ValueError, match="queries must be a whole number of at least 1"):
            head_scores(softmax(1, 3, 3), queries=wrong)
    assert head_scores(softmax(1, 3, 3), queries=99).queries is None


TEXTS = [WORDS, ["A", " dog", " ran", "."]]
PATTERNS = [softmax(1, 2, len(text), len(text), seed=i) for i, text in enumerate(TEXTS)]


def test_scores_over_texts_are_mean_and_deviation():
    got = props(mv.attention(TEXTS, PATTERNS))
    (over,) = got["over_texts"]
    each = np.stack([scores_sent(sheet) for sheet in got["sheets"]])  # [text, with · without first, head, score]
    assert over["count"] == 2
    k = SCORES.index("entropy")
    np.testing.assert_allclose(decoded(over["mean"])[:, :, k], each[:, :, :, k].mean(0))
    np.testing.assert_allclose(decoded(over["spread"])[:, :, k], each[:, :, :, k].std(0, ddof=1))
    # " cat" comes again in the first text only: a mean over one text, without a deviation.
    k = SCORES.index("duplicate")
    np.testing.assert_allclose(decoded(over["mean"])[:, :, k], each[0, :, :, k])
    assert np.isnan(decoded(over["spread"])[:, :, k]).all()


def test_scores_over_long_texts_are_awaited(monkeypatch):
    at_once = decoded(props(mv.attention(TEXTS, PATTERNS))["over_texts"][0]["mean"])
    monkeypatch.setattr(_attention_scores, "_AT_ONCE", 0)
    (over,) = props(mv.attention(TEXTS, PATTERNS))["over_texts"]
    assert over["mean"].lazy and over["spread"].lazy
    np.testing.assert_array_equal(decoded(over["mean"]), at_once)


def test_texts_of_other_heads_have_no_scores_together():
    assert props(mv.attention(TEXTS, [PATTERNS[0], PATTERNS[1][:, :1]]))["over_texts"] == [None]


# --- roles


def test_heads_are_read_from_role_to_role_over_all_texts():
    got = props(mv.attention(TEXTS, PATTERNS, roles={"subject": [1, 1], "END": -1, "verb": [2, None]}))
    roles = got["roles"]
    assert roles["names"] == ["subject", "END", "verb"]
    assert roles["positions"] == [[1, 5, 2], [1, 3, -1]]
    first, second = PATTERNS[0][0], PATTERNS[1][0]
    mean, spread = decoded(roles["mean"]), decoded(roles["spread"])
    end_to_subject = np.stack([first[:, 5, 1], second[:, 3, 1]])
    np.testing.assert_allclose(mean[:, 1, 0], end_to_subject.mean(0))
    np.testing.assert_allclose(spread[:, 1, 0], end_to_subject.std(0, ddof=1))
    # The verb stands in one text; what the mask leaves out is no number.
    np.testing.assert_allclose(mean[:, 1, 2], first[:, 5, 2])
    assert np.isnan(spread[:, 1, 2]).all() and np.isnan(mean[:, 0, 1]).all()
    assert roles["counts"] == [[2, 0, 0], [2, 2, 1], [1, 0, 1]]
    one, two = (decoded(sheet["role_weights"]) for sheet in got["sheets"])
    np.testing.assert_allclose(one[:, 1, 0], first[:, 5, 1])
    np.testing.assert_allclose(two[:, 1, 0], second[:, 3, 1])


def test_roles_of_one_text():
    got = props(mv.attention(WORDS, PATTERNS[0], roles={"noun": 4, "END": -1}))["roles"]
    assert got["positions"] == [[4, 5]] and got["spread"] is None
    np.testing.assert_allclose(decoded(got["mean"])[:, 1, 0], PATTERNS[0][0][:, 5, 4])


@pytest.mark.parametrize(
    ("roles", "error", "says"),
    [
        ([1, 2], TypeError, "roles must be a dict of positions by role"),
        ({}, TypeError, "roles must be a dict of positions by role"),
        ({"IO": [1]}, ValueError, r"roles\['IO'\] must hold a position for each of 2 texts; got \[1\]"),
        ({"IO": "ab"}, ValueError, r"roles\['IO'\] must hold a position for each of 2 texts"),
        ({"IO": [1, 1.5]}, TypeError, r"roles\['IO'\] must hold whole numbers or None; got 1.5 for text 1"),
        ({"IO": [1, 4]}, ValueError, r"roles\['IO'\] must be a position of text 1, which has 4; got 4"),
    ],
)
def test_wrong_roles(roles, error, says):
    with pytest.raises(error, match=says):
        mv.attention(TEXTS, PATTERNS, roles=roles)


def test_roles_are_of_one_pattern():
    with pytest.raises(ValueError, match="roles are positions in one pattern's tokens; got patterns with names"):
        mv.attention(WORDS, {"a": PATTERNS[0], "b": PATTERNS[0]}, roles={"END": -1})
    with pytest.raises(ValueError, match="roles need the same heads in every text"):
        mv.attention(TEXTS, [PATTERNS[0], PATTERNS[1][:, :1]], roles={"END": -1})


# --- several heads as one, asked from a live picture


def test_the_kernel_answers_for_several_heads():
    pattern = softmax(1, 3, N, N)
    view = mv.attention(WORDS, pattern)
    for combine, function in (("mean", np.mean), ("max", np.max), ("sum", np.sum)):
        row = view.answer("0", "value", {"heads": [0, 2], "combine": combine, "query": 4})
        np.testing.assert_allclose(row, function(pattern[0, [0, 2], 4], axis=0))
        column = view.answer("0", "value", {"heads": [0, 2], "combine": combine, "key": 1})
        np.testing.assert_allclose(column, function(pattern[0, [0, 2], :, 1], axis=0))
