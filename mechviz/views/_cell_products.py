"""Where the score of one cell comes from: q·k by dimension of the head, and what is done to it before the softmax."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from mechviz._difference import Difference
from mechviz.arrays import to_numpy
from mechviz.pattern import Factored, Pattern

_GIVEN = "only weights are known of this pattern; trace.attention has queries and keys, too"
_DIFFERENT = "a difference has no queries and keys of its own"
_SINK = "a sink has a score, and no key"


def factored(pattern: Pattern) -> Factored | None:
    """What a layer's queries and keys are in; None where it has none."""
    return pattern if isinstance(pattern, Factored) else None


def why_none(pattern: Pattern) -> str:
    """Why a pattern has no queries and keys; "" where it has."""
    if isinstance(pattern, Factored):
        return ""
    return _DIFFERENT if isinstance(pattern, Difference) else _GIVEN


class Products:
    """Answers about single cells; js/src/parts/cellproducts.ts asks.

    Args:
        heads: ``(queries and keys or None, head)`` of every head, as the browser counts them.
    """

    def __init__(self, heads: Sequence[tuple[Factored | None, int]]) -> None:
        self._heads = heads

    def answers(self) -> dict[str, Any]:
        """By name, as `mechviz.view.View.of` takes them."""
        return {"products": self.products}

    def products(self, args: Mapping[str, Any]) -> Any:
        """One cell of one head: `products_of`."""
        pattern, head = self._heads[index(args["head"])]
        query, key = index(args["query"]), index(args["key"])
        if pattern is None:
            return {"none": _GIVEN}
        if key >= pattern.shape[2]:
            return {"none": _SINK}
        terms, steps = products_of(pattern, head, query, key)
        return steps, [terms]


def products_of(pattern: Factored, head: int, query: int, key: int) -> tuple[np.ndarray, dict[str, Any]]:
    """``q[d] · k[d] · scale`` of one cell, ``[dim]`` float64, and what comes of their sum.

    Returns:
        The products, and: ``scale``; ``softcap`` (None without one) and ``capped``, the sum under it; ``bias``, what is added
        (None for a head without one); ``score``, what the softmax is taken of; ``log_sum``, the logarithm of what it is
        divided by; ``weight``. What a mask leaves out has a score of None and a weight of 0.
    """
    q = to_numpy(pattern.queries[head][query], name="queries").astype(np.float64)
    k = to_numpy(pattern.keys[head // pattern.group][key], name="keys").astype(np.float64)
    terms = q * k * pattern.scale
    total = float(terms.sum())
    capped = None if pattern.softcap is None else pattern.softcap * math.tanh(total / pattern.softcap)
    row = to_numpy(pattern.scores(head, [query], slice(0, pattern.shape[2])), name="scores").astype(np.float64)[0]
    sinks = None if pattern.sinks is None else to_numpy(pattern.sinks[head], name="sinks").reshape(-1)
    every = row if sinks is None else np.append(row, float(sinks[query if sinks.size > 1 else 0]))
    top = float(every.max())
    seen = math.isfinite(row[key])
    return terms, {
        "scale": pattern.scale,
        "softcap": pattern.softcap,
        "capped": capped,
        "bias": None if pattern.bias is None else _at(pattern.bias, head, query, key),
        "score": float(row[key]) if seen else None,
        "log_sum": top + math.log(float(np.exp(every - top).sum())) if math.isfinite(top) else None,
        "weight": float(to_numpy(pattern.rows(head, [query]), name="pattern")[0, key]) if seen else 0.0,
    }


def _at(x: Any, head: int, query: int, key: int) -> float:
    row = x[head if x.shape[0] > 1 else 0]
    return float(to_numpy(row[query if row.shape[0] > 1 else 0][key], name="bias"))
