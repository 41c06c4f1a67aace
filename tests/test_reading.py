"""Readings of patterns: the same numbers from an array and from factors, whole or in cells, by one rule or the other."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz._difference_pool as difference_pool
import mechviz._factored as factored
import mechviz._factored_pool as factored_pool
from mechviz._reading import Reading, steps
from mechviz._sink import SinkColumn
from mechviz.pattern import Dense, Factored

N, D = 23, 5

RULES = {
    "causal": {},
    "all keys": {"causal": False},
    "window": {"window": 6},
    "soft cap": {"softcap": 0.8},
    "sinks": {"sinks": np.array([0.5, 2.0], np.float32)},
    "padding": {"mask": (np.arange(N) >= 3)[None, None]},
    "nothing seen": {"offset": -4},
}


@pytest.fixture(params=[(256, 1024), (4, 7)], ids=["one block", "many blocks"], autouse=True)
def blocks(request, monkeypatch):
    monkeypatch.setattr(factored, "BLOCK", request.param[0])
    monkeypatch.setattr(factored_pool, "BLOCK", request.param[0])
    monkeypatch.setattr(difference_pool, "BLOCK", request.param[0])
    monkeypatch.setattr(factored, "KEY_BLOCK", request.param[1])
    monkeypatch.setattr("mechviz._reading.BLOCK", request.param[0])
    monkeypatch.setattr("mechviz._reading.BYTES", 4 * request.param[0] * N)


def factors(seed=0, **rule) -> Factored:
    rng = np.random.default_rng(seed)
    return Factored(*rng.normal(0, 1.5, (2, 2, N, D)).astype(np.float32), **rule)


def by_hand(weights, rows, cols, rule):
    """The definition: one cell at a time."""
    out = np.empty((len(rows) - 1, len(cols) - 1))
    for r in range(len(rows) - 1):
        for c in range(len(cols) - 1):
            cell = weights[rows[r] : rows[r + 1], cols[c] : cols[c + 1]]
            out[r, c] = cell.sum(1).mean() if rule == "mass" else cell.flat[np.abs(cell).argmax()]
    return out


CUTS = {
    "every weight": (steps(0, N, 1), steps(0, N, 1)),
    "squares of 4": (steps(0, N, 4), steps(0, N, 4)),
    "one cell": (np.array([0, N]), np.array([0, N])),
    "a part": (steps(5, 18, 3), steps(2, 21, 3)),
    "words": (np.array([0, 1, 4, 5, 11, N]), np.array([1, 2, 9, 10, 20])),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("pooling", ["max", "mass"])
def test_factors_and_their_array_give_the_same_cells(pooling, rule, cut):
    pattern = factors(**rule)
    dense = Dense(pattern.dense())
    for head in range(2):
        mine = Reading([(factors(**rule), head)]).tile(*cut, pooling)
        np.testing.assert_allclose(mine, Reading([(dense, head)]).tile(*cut, pooling), atol=1e-6)
        np.testing.assert_allclose(mine, by_hand(dense.head(head), *cut, pooling), atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1], ids=["norms", "signed"])
@pytest.mark.parametrize("combine", ["mean", "max", "sum"])
@pytest.mark.parametrize("pooling", ["max", "mass"])
def test_factors_apply_before_heads_are_combined_and_cells_pooled(pooling, combine, sign):
    rng = np.random.default_rng(1)
    columns, rows = rng.random((2, N)) * np.where(rng.random((2, N)) < 0.4, sign, 1), rng.random((1, N)) + 0.5
    columns[:, 7] = 0  # a key that is left out
    pattern = factors()
    each = pattern.dense() * columns[:, None, :].astype(np.float32) * rows[:, :, None].astype(np.float32)
    wanted = {"mean": each.mean(0), "sum": each.sum(0)}.get(combine)
    if wanted is None:
        wanted = np.where(np.abs(each[0]) > np.abs(each[1]), *each)
    reading = Reading([(pattern, 0), (Dense(pattern.dense()), 1)], columns, rows, combine)
    np.testing.assert_allclose(reading.weights(slice(0, N), slice(0, N)), wanted, atol=1e-6)
    np.testing.assert_allclose(reading.line("from", 9), wanted[9], atol=1e-6)
    np.testing.assert_allclose(reading.line("by", 4), wanted[:, 4], atol=1e-6)
    for cut in CUTS.values():
        np.testing.assert_allclose(reading.tile(*cut, pooling), by_hand(wanted, *cut, pooling), atol=1e-6)
    alone = Reading([(factors(), 1)], columns[1:], rows)
    np.testing.assert_allclose(
        alone.tile(*CUTS["words"], pooling), by_hand(each[1], *CUTS["words"], pooling), atol=1e-6
    )


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("weighed", [False, True])
def test_a_difference_of_factors_is_pooled_without_its_weights(rule, cut, weighed, monkeypatch):
    a, b = factors(1, **rule), factors(2, **rule)
    columns = np.random.default_rng(3).normal(size=(1, N)).astype(np.float32) if weighed else None
    reading = Reading([(a - b, 1)], columns)
    whole = (a.head(1) - b.head(1)) * (1 if columns is None else columns)
    fresh = Reading([(factors(1, **rule) - factors(2, **rule), 1)], columns)  # whose normalisers are not known yet
    monkeypatch.setattr(Reading, "weights", None)  # it is not asked
    expected = by_hand(whole, *cut, "max")
    for read in (fresh, fresh, reading):
        np.testing.assert_allclose(read.tile(*cut), expected, atol=1e-6)


def test_differences_of_other_rules_and_of_arrays_have_the_same_cells():
    cut = CUTS["words"]
    a = factors(1)
    for b in (factors(2, window=6), factors(2, causal=False), Dense(factors(2).dense())):
        expected = by_hand(a.head(0) - b.head(0), *cut, "max")
        np.testing.assert_allclose(Reading([(a - b, 0)]).tile(*cut), expected, atol=1e-6)


def test_what_is_no_number_wins_in_a_difference_too():
    a, b = factors(1), factors(2)
    b.keys[0, 7] = np.nan
    cells = Reading([(a - b, 0)]).tile(steps(0, N, 1), steps(0, N, 4))
    assert np.isnan(cells[7:]).any(axis=1).all() and np.isfinite(cells[:7]).all()


def test_visible_mass_renormalises():
    columns = np.ones((1, N))
    columns[0, [0, 5]] = 0  # hidden
    reading = Reading([(factors(), 0)], columns)
    left = factors().head(0) * columns
    np.testing.assert_allclose(reading.mass(), left.sum(1), atol=1e-6)
    with np.errstate(divide="ignore"):
        shared = np.where(reading.mass() > 0.05, 1 / reading.mass(), 0)[None]
    rows = Reading([(factors(), 0)], columns, shared).tile(steps(0, N, 1), np.array([0, N]), "mass")[:, 0]
    np.testing.assert_allclose(rows, shared[0] > 0, atol=1e-5)
    assert rows[0] == 0 and rows[1] == pytest.approx(1)  # the first query sees the hidden key only


def test_under_max_every_spike_is_in_every_zoom_level_and_under_mass_nothing_is_lost():
    rng = np.random.default_rng(2)
    for _ in range(30):
        keys = np.zeros((1, N, N), np.float32)
        query = int(rng.integers(N))
        key = int(rng.integers(query + 1))
        # Every key is a unit vector, and one query asks for one of them: 30 more than any other score.
        keys[0] = np.eye(N)
        queries = np.zeros((1, N, N), np.float32)
        queries[0, query, key] = 30
        for pattern in (Factored(queries, keys, 1.0), Dense(Factored(queries, keys, 1.0).dense())):
            for step in (1, 2, 5, 16, 100):
                edges = steps(0, N, step)
                tile = Reading([(pattern, 0)]).tile(edges, edges)
                assert tile[query // step, key // step] > 0.9999
                mass = Reading([(pattern, 0)]).tile(edges, edges, "mass")
                np.testing.assert_allclose(mass.sum(1), 1, atol=1e-5)


def test_bands_come_in_order_and_each_row_of_cells_once():
    edges = steps(0, N, 3)
    seen = [first + i for first, cells in Reading([(factors(), 0)]).bands(edges, edges) for i in range(len(cells))]
    assert seen == list(range(8))


def test_the_column_of_a_sink_and_numbers_that_are_none():
    pattern = SinkColumn(factors(sinks=np.array([0.5, 2.0], np.float32)))
    tile = Reading([(pattern, 1)]).tile(np.array([0, N]), np.array([0, N, N + 1]), "mass")
    np.testing.assert_allclose(tile.sum(), 1, atol=1e-5)
    weights = np.ones((1, 4, 4), np.float32)
    weights[0, 1, 2] = np.nan
    tile = Reading([(Dense(weights), 0)]).tile(steps(0, 4, 2), steps(0, 4, 2))
    np.testing.assert_array_equal(np.isnan(tile), [[False, True], [False, False]])


def test_what_does_not_fit_is_refused():
    head = (factors(), 0)
    with pytest.raises(ValueError, match=r"columns must have shape \(1 or 1, 23\); got \(23,\)"):
        Reading([head], np.ones(N))
    with pytest.raises(ValueError, match="rows must hold finite numbers"):
        Reading([head], rows=np.full((1, N), np.inf))
    with pytest.raises(ValueError, match='combine must be "mean", "max" or "sum"; got \'min\''):
        Reading([head], combine="min")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="heads must be at least one"):
        Reading([])
    with pytest.raises(ValueError, match="rows must be increasing edges within 0 … 23"):
        Reading([head]).tile(np.array([0, 30]), np.array([0, 1]))
    with pytest.raises(ValueError, match='rule must be "max" or "mass"; got \'mean\''):
        Reading([head]).tile(np.array([0, 3]), np.array([0, 1]), "mean")  # type: ignore[arg-type]
