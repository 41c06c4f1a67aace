"""A factored head in a file: what rounding costs is measured, and what is measured is what the browser computes."""

from __future__ import annotations

import numpy as np
import pytest

from mechviz._factor_pack import pack, weights_of
from mechviz.pattern import Factored

N, D = 300, 32  # more queries than a block of rows


def factored(
    heads: int = 2, *, key_heads: int | None = None, sd: float = 1.0, key_bias: float = 0.0, **rule
) -> Factored:
    rng = np.random.default_rng(0)
    queries = rng.normal(0, 1.5 * sd, (heads, N, D)).astype(np.float32)
    keys = rng.normal(0, 1.0, (key_heads or heads, N, D))
    keys[..., :2] += key_bias
    return Factored(queries, keys.astype(np.float32), **rule)


RULES = {
    "causal": {},
    "all keys": {"causal": False},
    "window": {"window": 40},
    "soft cap": {"softcap": 5.0},
    "sink": {"sinks": np.array([1.5, -2.0], np.float32)},
    "sink per query": {"sinks": np.linspace(-1, 3, 2 * N, dtype=np.float32).reshape(2, N)},
    "bias": {"bias": -0.05 * np.arange(N, dtype=np.float32)[None, None, ::-1]},
    "padding": {"causal": False, "mask": (np.arange(N) < N - 30)[None, None]},
    "nothing seen": {"offset": -5},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_stays_within_the_bound_and_says_its_error(rule):
    pattern = factored(**rule)
    for head in range(2):
        weights = pattern.head(head)
        packed = pack(pattern, head, weights, limit=1 << 30)
        assert packed is not None and packed.queries.dtype == np.float16
        error = np.abs(weights_of(packed) - weights).max()
        assert 0 < error <= packed.error + 1e-6 and packed.error <= 1e-3
        if packed.sink is not None:
            np.testing.assert_allclose(packed.sink, pattern.sink(head), atol=1e-3)
            np.testing.assert_allclose(packed.sink + weights_of(packed).sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("sinks", [None, np.array([0.5, 0.5], np.float32)])
def test_large_key_biases_are_taken_out_before_rounding(sinks):
    # As in Qwen2. float16 has steps of 1/8 at 150, and a score sums two such columns: uncentred, cells are off by far more.
    pattern = factored(key_bias=150, sinks=sinks)
    for head in range(2):
        packed = pack(pattern, head, pattern.head(head), limit=1 << 30)
        assert packed is not None and packed.queries.dtype == np.float16 and packed.error <= 1e-3
        assert np.abs(packed.keys.astype(np.float64).mean(0)).max() < 0.01
    uncentred = Factored(pattern.queries.astype(np.float16), pattern.keys.astype(np.float16), sinks=sinks)
    assert np.abs(uncentred.head(0) - pattern.head(0)).max() > 1e-3


def test_heads_that_float16_spoils_travel_as_float32():
    # Scores of some hundreds: a rounding of 2**-11 of them is a factor in the weight.
    pattern = factored(sd=40.0)
    weights = pattern.head(0)
    packed = pack(pattern, 0, weights, limit=1 << 30)
    assert packed is not None and packed.queries.dtype == np.float32
    assert np.abs(weights_of(packed) - weights).max() <= packed.error + 1e-6 <= 1e-3
    # Beyond float16's range, likewise.
    far = Factored(pattern.queries * 1e-5, pattern.keys * 1e5)
    packed = pack(far, 0, far.head(0), limit=1 << 30)
    assert packed is None or packed.queries.dtype == np.float32


def test_a_normaliser_of_the_unrounded_factors_would_not_do():
    # Why it is taken from the rounded ones: rows then sum to 1.
    pattern = factored()
    packed = pack(pattern, 0, pattern.head(0), limit=1 << 30)
    assert packed is not None
    np.testing.assert_allclose(weights_of(packed).sum(1), 1, atol=1e-5)


def test_grouped_heads_read_their_key_head():
    pattern = factored(4, key_heads=2)
    keys = []
    for head in range(4):
        packed = pack(pattern, head, pattern.head(head), limit=1 << 30)
        assert packed is not None and packed.error <= 1e-3
        keys.append(packed.keys)
    np.testing.assert_array_equal(keys[0], keys[1])
    assert not np.array_equal(keys[1], keys[2])


def test_what_has_no_factors_or_needs_more_bytes_is_none():
    pattern = factored()
    weights = pattern.head(0)
    # N queries and keys of D float16 numbers and a float32 normaliser each
    size = 2 * N * D * 2 + 4 * N
    packed = pack(pattern, 0, weights, limit=size)
    assert packed is not None and packed.nbytes == size
    assert pack(pattern, 0, weights, limit=size - 1) is None
    assert pack(pattern, 0, weights, limit=1 << 30, bound=0.0) is None
    assert pack(factored(bias=np.zeros((1, N, N), np.float32)), 0, weights, limit=1 << 30) is None
    assert pack(factored(mask=np.tri(N, dtype=bool)[None]), 0, weights, limit=1 << 30) is None
    assert pack(pattern, 0, np.full_like(weights, np.nan), limit=1 << 30) is None
    capped = factored(softcap=5.0, bias=np.zeros((1, 1, N), np.float32))
    assert pack(capped, 0, weights, limit=1 << 30) is None
