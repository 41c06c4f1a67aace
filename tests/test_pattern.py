from __future__ import annotations

import numpy as np
import pytest

import mechviz._as_array as as_array
import mechviz._factored as factored
from mechviz.pattern import Dense, Factored, Pattern, PatternStack, Unavailable, pool

HEADS, KEY_HEADS, QUERIES, DIM = 4, 2, 11, 6


def factors(seed=0, queries=QUERIES, keys=None):
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(HEADS, queries, DIM)).astype(np.float32)
    return q, rng.normal(size=(KEY_HEADS, keys or queries, DIM)).astype(np.float32)


def reference(q, k, scale, *, causal=True, window=None, offset=0, softcap=None, sinks=None, bias=0.0, mask=True):
    """The definition in float64, one head, query and key at a time where the rule is concerned."""
    out = np.zeros((len(q), q.shape[1], k.shape[1]))
    for h in range(len(q)):
        s = q[h].astype(float) @ k[h // (len(q) // len(k))].astype(float).T * scale
        s = (s if softcap is None else softcap * np.tanh(s / softcap)) + np.broadcast_to(bias, out.shape)[h]
        for i in range(q.shape[1]):
            seen = [
                j
                for j in range(k.shape[1])
                if (not causal or j <= i + offset)
                and (window is None or j > i + offset - window)
                and np.broadcast_to(mask, out.shape)[h, i, j]
            ]
            e = np.exp(s[i, seen])
            if seen:
                out[h, i, seen] = e / (e.sum() + (0 if sinks is None else np.exp(sinks[h])))
    return out


RULES = {
    "causal": {},
    "bidirectional": {"causal": False},
    "window": {"window": 3},
    "softcap": {"softcap": 0.7},
    "sinks": {"sinks": np.array([0.5, -1.0, 2.0, 0.0], np.float32)},
    "padding": {"mask": np.arange(QUERIES)[None, None] >= 4},
    "mask per head": {"mask": np.random.default_rng(1).random((HEADS, QUERIES, QUERIES)) > 0.4},
    "bias": {"bias": np.random.default_rng(2).normal(size=(HEADS, QUERIES, QUERIES)).astype(np.float32)},
    "all at once": {
        "window": 5,
        "softcap": 2.0,
        "sinks": np.ones(HEADS, np.float32),
        "mask": np.arange(QUERIES)[None, None] != 3,
    },
}


@pytest.mark.parametrize("block", [256, 4])  # 4: several blocks of rows, the last one shorter
@pytest.mark.parametrize("rule", RULES)
def test_factored_equals_the_definition(rule, block, monkeypatch):
    monkeypatch.setattr(factored, "BLOCK", block)
    monkeypatch.setattr(factored, "KEY_BLOCK", block - 1)
    q, k = factors()
    pattern, expected = Factored(q, k, 0.9, **RULES[rule]), reference(q, k, 0.9, **RULES[rule])
    dense = pattern.dense()
    assert dense.dtype == np.float32 and dense.shape == pattern.shape == (HEADS, QUERIES, QUERIES)
    np.testing.assert_allclose(dense, expected, atol=1e-6)
    for h in range(HEADS):
        np.testing.assert_allclose(pattern.tile(h, slice(3, 9), slice(2, 7)), dense[h, 3:9, 2:7], atol=1e-6)
        np.testing.assert_allclose(pattern.rows(h, [10, 0, 5]), dense[h, [10, 0, 5]], atol=1e-6)
        np.testing.assert_allclose(pattern.rows(h, 7), dense[h, 7:8], atol=1e-6)
        np.testing.assert_allclose(pattern.overview(h, 4), pool(dense[h], 4), atol=1e-6)


def test_rows_without_a_key_are_zero_and_others_sum_to_one():
    q, k = factors()
    sums = Factored(q, k, mask=np.arange(QUERIES)[None, None] >= 4).dense().sum(-1)
    np.testing.assert_array_equal(sums[:, :4], 0)  # queries 0..3 see only padding
    np.testing.assert_allclose(sums[:, 4:], 1, atol=1e-6)


def test_a_sink_takes_the_rest():
    q, k = factors()
    sinks = np.array([0.5, -1.0, 2.0, 0.0], np.float32)
    pattern = Factored(q, k, sinks=sinks)
    np.testing.assert_allclose(pattern.sink(2), 1 - pattern.head(2).sum(-1), atol=1e-6)
    # the first query sees one key: the sink's share is exp(sink) / (exp(sink) + exp(score))
    score = float(q[2, 0] @ k[1, 0]) * DIM**-0.5
    assert pattern.sink(2, [0])[0] == pytest.approx(np.exp(2.0) / (np.exp(2.0) + np.exp(score)), rel=1e-5)
    assert not Factored(q, k).sink(0).any()


def test_more_keys_than_queries():
    q, k = factors(queries=3, keys=8)
    late = Factored(q, k, 1.0, offset=5)  # the queries are the last three positions
    np.testing.assert_allclose(late.dense(), reference(q, k, 1.0, offset=5), atol=1e-6)
    assert not late.causal  # as a matrix it is not lower triangular
    assert Factored(q, k).causal and not Factored(q, k, causal=False).causal


def test_extreme_scores_stay_finite():
    q, k = factors()
    dense = Factored(q * 1e3, k * 1e3).dense()
    assert np.isfinite(dense).all()
    np.testing.assert_allclose(dense.sum(-1), 1, atol=1e-5)


def test_float16_factors_are_computed_in_float32():
    q, k = (x.astype(np.float16) for x in factors())
    np.testing.assert_allclose(Factored(q, k).dense(), reference(q, k, DIM**-0.5), atol=1e-6)


def test_array_of_a_pattern_has_a_limit(monkeypatch):
    pattern = Factored(*factors())
    np.testing.assert_array_equal(np.asarray(pattern), pattern.dense())
    assert np.asarray(pattern, dtype=np.float64).dtype == np.float64
    monkeypatch.setattr(as_array, "ARRAY_LIMIT", 1000)
    with pytest.raises(MemoryError, match=r"shape \(4, 11, 11\) takes .* ask for .tile\(head, rows, cols\)"):
        np.asarray(pattern)


def test_factors_that_do_not_fit():
    q, k = factors()
    with pytest.raises(ValueError, match=r"got \(4, 11, 6\) and \(3, 11, 6\)"):
        Factored(q, np.zeros((3, QUERIES, DIM)))
    with pytest.raises(ValueError, match=r"mask must have shape \(1 or 4, 1 or 11, 11\); got \(11, 11\)"):
        Factored(q, k, mask=np.ones((QUERIES, QUERIES), bool))
    with pytest.raises(ValueError, match=r"names must have one entry per head \(4\); got 1"):
        Factored(q, k, names=["L0H0"])
    with pytest.raises(ValueError, match="rows must be a slice of step 1"):
        Factored(q, k).tile(0, slice(0, 8, 2), slice(None))
    with pytest.raises(IndexError):
        Factored(q, k).head(HEADS)


def test_dense_answers_as_its_array_does():
    array = np.random.default_rng(0).random((2, 5, 7))
    pattern = Dense(array, names=["a", "b"])
    assert pattern.shape == (2, 5, 7) and not pattern.causal and pattern.names == ("a", "b")
    assert pattern.head(1).dtype == np.float32
    np.testing.assert_allclose(pattern.tile(1, slice(1, 3), slice(2, 4)), array[1, 1:3, 2:4], rtol=1e-6)
    np.testing.assert_allclose(pattern.rows(0, [4, 0]), array[0, [4, 0]], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(pattern), array)


INDICES = [0, -1, (1,), (1, 2), (1, -1, 3), (0, 2, slice(1, 4)), (1, slice(2, 5)), (1, slice(None), 0), (-2, ..., -1)]
INDICES += [slice(1, 3), ..., None, (slice(None), 3), ([1, 0], 2), (2, [3, 1]), (np.int64(1), np.int64(4))]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_pattern_is_indexed_as_its_array(index):
    pattern = Factored(*factors())
    array = pattern.dense()
    for one, expected in ((pattern, array), (Dense(array), array), (pattern - Dense(0.5 * array), 0.5 * array)):
        np.testing.assert_allclose(one[index], expected[index], atol=1e-6)
        rest = index if isinstance(index, tuple) else (index,)
        np.testing.assert_allclose(PatternStack({3: one})[(3, *rest)], expected[index], atol=1e-6)


def test_an_index_computes_no_more_than_it_names(monkeypatch):
    pattern = Factored(*factors())
    monkeypatch.setattr(pattern, "dense", None)
    assert [head.shape for head in pattern] == [(QUERIES, QUERIES)] * HEADS
    monkeypatch.setattr(pattern, "head", None)
    assert pattern[0, -1].shape == (QUERIES,) and pattern[0, 2:4, 1].shape == (2,) and pattern[0, 1, 0] > 0
    with pytest.raises(IndexError, match=rf"head must be in -{HEADS} … {HEADS - 1}; got {HEADS}"):
        pattern[HEADS]
    with pytest.raises(IndexError, match=rf"query must be in -{QUERIES} … {QUERIES - 1}; got {QUERIES}"):
        pattern[0, QUERIES]


@pytest.mark.parametrize("place", [(0, 0, 1), (1, 0, 2)])
def test_dense_is_causal_only_if_all_above_the_diagonal_is_zero(place):
    array = np.tril(np.full((2, 3, 3), np.nan))  # NaN below is allowed
    assert Dense(array).causal
    array[place] = 1e-30
    assert not Dense(array).causal
    array[place] = np.nan
    assert not Dense(array).causal
    assert Dense(array, causal=True).causal


def test_dense_needs_three_axes():
    with pytest.raises(ValueError, match=r"pattern must have shape \(head, query, key\); got \(3, 3\)"):
        Dense(np.eye(3))


def test_pooling_keeps_the_largest_entry():
    array = np.zeros((5, 7), np.float32)
    array[4, 6], array[1, 2], array[0, 0] = 3.0, 2.0, -9.0
    # 7 columns in 3 cells: squares of 3; rows 0-2, 3-4; columns 0-2, 3-5, 6
    np.testing.assert_array_equal(pool(array, 3), [[2, 0, 0], [0, 0, 3]])
    np.testing.assert_array_equal(pool(array, 3, rule="absmax"), [[-9, 0, 0], [0, 0, 3]])
    assert pool(array, 7) is array
    array[2, 1] = np.nan
    for rule in ("max", "absmax"):
        np.testing.assert_array_equal(
            np.isnan(pool(array, 3, rule=rule)), [[True, False, False], [False, False, False]]
        )


def test_pooling_says_its_rule():
    assert Dense(np.ones((1, 2, 2))).pooling == "max" and Dense(-np.ones((1, 2, 2))).pooling == "absmax"
    with pytest.raises(ValueError, match='rule must be "max" or "absmax"; got \'mean\''):
        pool(np.ones((2, 2)), 1, rule="mean")
    with pytest.raises(ValueError, match="size must be >= 1; got 0"):
        pool(np.ones((2, 2)), 0)


def test_a_stack_goes_by_true_layer_numbers():
    three, seven = Dense(np.full((1, 2, 2), 3.0)), Dense(np.full((1, 2, 2), 7.0))
    opened = []

    def open_seven():
        opened.append(7)
        return seven

    stack = PatternStack({7: open_seven, 3: three}, missing={5: "it is an MLP only"})
    assert stack.layers == (3, 7) and len(stack) == 2 and not opened
    assert stack[3] is three and stack[7] is seven and stack[-1] is seven and stack[-2] is three
    assert list(stack) == [three, seven] and opened == [7]
    with pytest.raises(Unavailable, match="layer 5 has no attention pattern: it is an MLP only"):
        stack[5]
    with pytest.raises(IndexError, match=r"layer must be one of \[3, 7\]; got 4"):
        stack[4]
    with pytest.raises(
        TypeError, match=r"a layer must be a whole number, or a slice by itself; got 'L3H0' where the la"
    ):
        stack["L3H0"]
    with pytest.raises(
        TypeError, match=r"a slice by itself; got slice\(None, None, None\) where the layers are \[3, 7\]"
    ):
        stack[:, 0]
    part = stack[4:]
    assert isinstance(part, PatternStack) and part.layers == (7,) and part.missing == {5: "it is an MLP only"}
    assert part[7] is seven and opened == [7]


def test_a_stack_of_all_layers_is_a_plain_sequence():
    patterns = [Dense(np.full((1, 2, 2), float(i))) for i in range(3)]
    stack = PatternStack(patterns)
    assert list(stack) == patterns and stack[1] is patterns[1] and stack.layers == (0, 1, 2)


def test_both_kinds_are_patterns():
    assert isinstance(Dense(np.ones((1, 2, 2))), Pattern)
    assert isinstance(Factored(*factors()), Pattern)
    assert not isinstance(np.ones((1, 2, 2)), Pattern)
