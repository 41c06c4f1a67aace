"""The score of one cell by dimension: its terms, what becomes of their sum, and why there are none."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
from mechviz.pattern import Dense, Factored, PatternStack
from mechviz.views import _pattern_layers
from mechviz.views._cell_products import products_of

N, DIM = 300, 8
RULES = {
    "plain": {},
    "softcap": {"softcap": 1.5},
    "bias": {"bias": np.random.default_rng(2).normal(size=(4, N, N)).astype(np.float32)},
    "one bias for all": {"bias": np.random.default_rng(2).normal(size=(1, 1, N)).astype(np.float32)},
    "sinks": {"sinks": np.array([0.5, -1.0, 2.0, 0.0], np.float32)},
    "all at once": {"softcap": 2.0, "window": 40, "scale": 0.3, "sinks": np.ones(4, np.float32)},
}


def pattern(**rules) -> Factored:
    rng = np.random.default_rng(0)
    queries = rng.normal(0, 1.5, (4, N, DIM)).astype(np.float32)
    return Factored(queries, rng.normal(0, 1.5, (2, N, DIM)).astype(np.float32), **rules)


def view_of(given, **options) -> mv.View:
    return mv.attention([f" t{i}" for i in range(N)], given, **options)


@pytest.mark.parametrize("rule", RULES)
def test_terms_add_up_to_the_score_and_the_score_to_the_weight(rule):
    rules = RULES[rule]
    p = pattern(**rules)
    head, query, key = 3, 290, 270
    terms, steps = products_of(p, head, query, key)
    q, k = p.queries[head, query].astype(float), p.keys[1, key].astype(float)  # heads 2 and 3 share key head 1
    np.testing.assert_allclose(terms, q * k * p.scale, rtol=1e-12)
    score = total = (q @ k) * p.scale
    if p.softcap:
        score = p.softcap * np.tanh(total / p.softcap)
        assert steps["capped"] == pytest.approx(score)
    if p.bias is not None:
        added = np.broadcast_to(p.bias, (4, N, N))[head, query, key]
        assert steps["bias"] == pytest.approx(added)
        score += added
    assert steps["score"] == pytest.approx(score, abs=1e-5)
    assert np.exp(steps["score"] - steps["log_sum"]) == pytest.approx(steps["weight"], rel=1e-4)
    assert steps["weight"] == p.rows(head, [query])[0, key]
    assert (steps["softcap"], steps["scale"]) == (p.softcap, p.scale)
    assert (steps["capped"] is None) == (p.softcap is None) and (steps["bias"] is None) == (p.bias is None)


def test_a_masked_cell_has_no_score():
    terms, steps = products_of(pattern(window=10), 0, 200, 100)
    assert terms.shape == (DIM,) and steps["score"] is None and steps["weight"] == 0
    _, alone = products_of(pattern(mask=np.zeros((1, 1, N), bool)), 0, 5, 5)
    assert alone["score"] is None and alone["log_sum"] is None


@pytest.mark.parametrize("held", [True, False])
def test_the_kernel_answers_also_where_the_weights_are_held_as_an_array(held, monkeypatch):
    if not held:
        monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    p = pattern()
    view = view_of(PatternStack([pattern(softcap=1.0), p]))
    steps, (terms,) = view.answer("0", "products", {"head": 4 + 2, "query": 250, "key": 17})
    assert steps["weight"] == pytest.approx(p.head(2)[250, 17], abs=1e-6)
    np.testing.assert_allclose(terms, p.queries[2, 250].astype(float) * p.keys[1, 17] * DIM**-0.5, rtol=1e-6)


def test_what_has_no_queries_and_keys_says_why():
    p = pattern()
    weights, less, sunk = view_of(p.dense()), view_of(p - p), view_of(pattern(sinks=np.zeros(4, np.float32)))
    asked = {"head": 0, "query": 5, "key": 2}
    assert "only weights are known" in weights.answer("0", "products", asked)["none"]
    assert "a sink has a score, and no key" in sunk.answer("0", "products", {**asked, "key": N})["none"]
    said = [view.flat("file")[1]["0"][1]["no_products"] for view in (weights, less, sunk)]
    assert "only weights are known" in said[0] and said[1] == "a difference has no queries and keys of its own"
    assert said[2] == ""
    both = view_of(PatternStack([Dense(p.dense()), p])).flat("file")[1]["0"][1]
    assert both["no_products"] == ""


@pytest.mark.parametrize(("rules", "biased"), [({}, False), ({"bias": np.ones((1, 1, N), np.float32)}, True)])
def test_factors_in_a_file_say_whether_their_last_columns_are_a_bias(rules, biased, monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    values = view_of(pattern(**rules)).flat("file")[1]["0"][1]["heads"][0]["values"]
    assert values["biased"] is biased and values["queries"].shape == (N, DIM + 2 * biased)
