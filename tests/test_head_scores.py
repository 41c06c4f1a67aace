"""`mv.analysis.head_scores`: equal to a plain loop, in blocks, and right about heads that are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import mechviz as mv
from mechviz._head_scores import PATCH_SCORES, SCORES
from mechviz.analysis import HeadScores, head_scores
from mechviz.pattern import Dense, PatternStack
from mechviz.text import as_tokens

WORDS = ["<s>", "a", "b", "c", "a", "b", "c"]


def softmax(heads: int, n: int, seed: int = 0) -> np.ndarray:
    scores = np.where(np.tri(n, dtype=bool), np.random.default_rng(seed).normal(0, 1.5, (heads, n, n)), -np.inf)
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True)


def by_hand(weights: np.ndarray, words: list[str], with_first: bool) -> dict[str, float]:
    """One weight at a time."""
    rows: dict[str, list[float]] = {name: [] for name in SCORES}
    for q in range(1, len(weights)):
        row = [float(p) for p in weights[q]]
        if not with_first:
            rest = sum(row[1:])
            row = [0.0, *(p / rest for p in row[1:])]
        rows["entropy"].append(-sum(p * math.log(p) for p in row if p > 0))
        rows["distance"].append(sum(p * abs(q - k) for k, p in enumerate(row)))
        rows["previous"].append(row[q - 1])
        rows["current"].append(row[q])
        if with_first:
            rows["first"].append(row[0])
        copies = [k for k in range(q) if words[k] == words[q]]
        if copies:
            rows["duplicate"].append(sum(row[k] for k in copies))
            rows["induction"].append(sum(row[k + 1] for k in copies))
    return {name: sum(found) / len(found) if found else math.nan for name, found in rows.items()}


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("n", [7, 300])  # 300: more than one block of rows
def test_scores_equal_a_plain_loop(n, with_first):
    words = (WORDS * 50)[:n]
    weights = softmax(2, n)
    got = head_scores(weights, words, with_first=with_first)
    for head in range(2):
        expected = by_hand(weights[head], words, with_first)
        for name in SCORES:
            np.testing.assert_allclose(getattr(got, name)[0, head], expected[name], rtol=1e-5, equal_nan=True)


def test_known_heads():
    n = len(WORDS)
    previous = np.eye(n, k=-1)
    previous[0, 0] = 1
    # Positions 4, 5, 6 repeat 1, 2, 3: an induction head reads 2, 3, 4 there and rests on the first token elsewhere.
    induction = np.zeros((n, n))
    induction[:4, 0] = induction[4, 2] = induction[5, 3] = induction[6, 4] = 1
    duplicate = np.zeros((n, n))
    duplicate[:4, 0] = duplicate[4, 1] = duplicate[5, 2] = duplicate[6, 3] = 1
    got = head_scores(np.stack([previous, induction, duplicate]), WORDS)
    np.testing.assert_allclose(got.previous[0], [1, 1 / 6, 1 / 6])  # of six queries, query 1 reads the one before it
    np.testing.assert_allclose(got.induction[0], [0, 1, 0])
    np.testing.assert_allclose(got.duplicate[0], [0, 0, 1])
    np.testing.assert_allclose(got.first[0], [1 / 6, 1 / 2, 1 / 2])
    np.testing.assert_allclose(got.entropy[0], 0, atol=1e-12)
    # Without the first key the rows that rest on it do not count, and nothing is divided by zero.
    rest = head_scores(induction[None], WORDS, with_first=False)
    assert (rest.induction[0, 0], rest.previous[0, 0]) == (1, 0)
    assert np.isnan(rest.first).all()


def patches_by_hand(weights: np.ndarray, tokens, with_first: bool) -> list[float]:
    """Same row, same column and distance, one weight at a time."""
    place = {}
    for image, (start, rows, columns) in enumerate(tokens.patches):
        place |= {start + r * columns + c: (image, r, c) for r in range(rows) for c in range(columns)}
    found: list[list[float]] = [[], [], []]
    for q, (image, r, c) in place.items():
        row = [float(p) for p in weights[q]]
        if not with_first:
            rest = sum(row[1:])
            row = [0.0, *(p / rest for p in row[1:])]
        read = {k: there for k, there in place.items() if there[0] == image}
        found[0].append(sum(row[k] for k, there in read.items() if there[1] == r))
        found[1].append(sum(row[k] for k, there in read.items() if there[2] == c))
        mass = sum(row[k] for k in read)
        found[2].append(sum(row[k] * math.dist((r, c), there[1:]) for k, there in read.items()) / mass)
    return [sum(values) / len(values) for values in found]


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("side", [3, 18])  # 18: more than one block of rows
def test_scores_of_patches_equal_a_plain_loop(side, with_first, monkeypatch):
    monkeypatch.setattr("mechviz._head_scores.CELLS", 1 << 16)
    patches = [(1, side, side), (side * side + 3, 2, 5)]
    n = side * side + 15
    tokens = dataclasses.replace(as_tokens([str(i) for i in range(n)]), patches=patches)
    scores = np.random.default_rng(0).normal(0, 1.5, (2, n, n))
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    got = head_scores(weights, tokens, with_first=with_first)
    for head in range(2):
        for name, expected in zip(PATCH_SCORES, patches_by_hand(weights[head], tokens, with_first), strict=True):
            np.testing.assert_allclose(getattr(got, name)[0, head], expected, rtol=1e-5)
    assert got.values("patch_distance").shape == (2,)


def test_known_heads_of_patches():
    rows, columns = 3, 4
    r, c = np.divmod(np.arange(12), columns)
    same_row, same_column = r[:, None] == r, c[:, None] == c
    right = np.eye(12)[
        np.minimum(np.arange(12) + 1, r * columns + columns - 1)
    ]  # the patch to the right, if there is one
    tokens = dataclasses.replace(as_tokens([str(i) for i in range(12)]), patches=[(0, rows, columns)])
    heads = np.stack([same_row / columns, same_column / rows, np.eye(12), right])
    got = head_scores(heads, tokens)
    np.testing.assert_allclose(got.patch_row[0], [1, 1 / 3, 1, 1])
    np.testing.assert_allclose(got.patch_column[0], [1 / 4, 1, 1, 1 / 4], atol=1e-7)
    np.testing.assert_allclose(
        got.patch_distance[0], [1.25, 8 / 9, 0, 3 / 4]
    )  # |Δ| in a row of 4: 20 / 16; of 3: 8 / 9
    # What reads nothing of the image has no distance from it; text has no scores of patches.
    elsewhere = np.zeros((1, 13, 13))
    elsewhere[:, :, 0] = 1
    text = dataclasses.replace(as_tokens([str(i) for i in range(13)]), patches=[(1, rows, columns)])
    got = head_scores(elsewhere, text)
    assert got.patch_row[0, 0] == 0 and np.isnan(got.patch_distance[0, 0])
    assert np.isnan(head_scores(heads, list("abcdefghijkl")).patch_row).all()
    assert np.isnan(head_scores(heads).patch_distance).all()


def test_layers_without_patterns_and_of_other_widths():
    stack = PatternStack({2: Dense(softmax(2, 4)), 5: Dense(softmax(3, 4))}, missing={0: "no softmax"})
    got = head_scores(stack, ["a", "b", "a", "c"])
    assert isinstance(got, HeadScores)
    assert (got.layers, dict(got.missing)) == ((2, 5), {0: "no softmax"})
    assert [str(head) for head in got.heads] == ["L2H0", "L2H1", "L5H0", "L5H1", "L5H2"]
    assert got.values("entropy").shape == (5,)
    assert np.isnan(got.entropy[0, 2])  # layer 2 has two heads
    with pytest.raises(ValueError, match="name must be one of entropy, distance"):
        got.values("sink")


def test_what_needs_tokens_is_nan_without_them_and_what_needs_one_text_across_two():
    got = head_scores(softmax(1, 4))
    assert np.isnan(got.induction).all()
    assert np.isfinite(got.previous).all()
    cross = head_scores(np.full((1, 3, 5), 0.2))
    assert np.isnan(cross.distance).all()
    np.testing.assert_allclose(cross.entropy, np.log(5))


def test_a_layer_taken_out_of_a_stack_keeps_its_number():
    stack = PatternStack({3: lambda: Dense(softmax(2, 5)), 8: lambda: Dense(softmax(2, 5))})
    assert head_scores(stack[8]).layers == (8,)
    assert head_scores([stack[8], stack[3]]).layers == (3, 8)
    assert head_scores(Dense(softmax(2, 5))).layers == (0,)


def test_wrong_input():
    with pytest.raises(ValueError, match=r"patterns must have shape .*; got \(2, 2\)"):
        head_scores(np.eye(2))
    with pytest.raises(TypeError, match=r"arguments swapped\? head_scores\(patterns, tokens\)"):
        head_scores(as_tokens(["a", "b"]), softmax(1, 2))
    with pytest.raises(TypeError, match="got patterns=list and tokens=ndarray: arguments swapped"):
        head_scores(["a", "b"], softmax(1, 2))
    with pytest.raises(ValueError, match="tokens"):
        head_scores(softmax(1, 4), ["a", "b"])


def test_the_heads_that_score_highest():
    follow = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]  # reads the token before
    stay = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    scores = head_scores([stay, follow], ["a", "b", "a"])
    assert scores.top("previous", 1) == [("L0H1", 1.0)]
    assert [head for head, _ in scores.top("current")] == ["L0H0", "L0H1"]
    assert "previous L0H1 1.00" in repr(scores) and len(repr(scores)) < 200
    with pytest.raises(ValueError, match="name must be one of .*; got 'novel'"):
        scores.top("novel")


def test_the_embedded_model_has_the_heads_that_its_card_names():
    pytest.importorskip("torch")
    model = mv.load()
    words = ["Tom", " Anna", " Sarah", " James", " Emma", " David"]
    trace = model.trace("".join(words * 2))
    scores = head_scores(trace.attention, trace.tokens)
    best = scores.induction[1].argsort()[::-1][:2]
    assert set(best) == {1, 2}  # L1H1 and L1H2
    assert scores.induction[1, best].min() > 0.7
    assert scores.previous[0].argmax() == 3  # L0H3


def test_scores_as_a_plotly_figure():
    pytest.importorskip("plotly")
    scores = head_scores(softmax(3, 7)[None], WORDS)
    figure = scores.to_plotly("previous", theme="dark")
    np.testing.assert_array_equal(figure.data[0].z, scores.previous)
    assert list(figure.layout.xaxis.ticktext) == ["H0", "H1", "H2"] and list(figure.layout.yaxis.ticktext) == ["L0"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)  # a weight
    assert figure.layout.template.layout.paper_bgcolor == "#111418"
    assert scores.to_plotly("entropy").layout.coloraxis.cmax == scores.entropy.max()
    for arguments, message in (
        (("best",), "name must be one of entropy, .*; got 'best'"),
        (("first", "blue"), "got 'blue'"),
    ):
        with pytest.raises(ValueError, match=message):
            scores.to_plotly(*arguments)
