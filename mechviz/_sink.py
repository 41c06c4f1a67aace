"""A pattern with the column of its sink: the part of each row that goes to no key."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ._pooling import NumpyOps, pool
from .arrays import to_numpy
from .pattern import Pattern
from .text import Tokens


class SinkColumn:
    """A pattern whose last column, behind its keys, is what goes to each head's sink; rows then sum to 1 again.

    Args:
        pattern: Any pattern; one without sinks has a column of 0.
    """

    causal = False  # the column stands behind every query

    def __init__(self, pattern: Pattern) -> None:
        self.pattern, self.names = pattern, pattern.names
        heads, queries, keys = pattern.shape
        self.shape: tuple[int, int, int] = (heads, queries, keys + 1)

    def rows(self, head: int, queries: Any) -> np.ndarray:
        """Whole rows of one head, ``[len(queries), key + 1]``."""
        rows = to_numpy(self.pattern.rows(head, queries), name="pattern")
        return np.concatenate([rows, self._column(head, queries, rows)], axis=1)

    def head(self, head: int) -> np.ndarray:
        """One head, ``[query, key + 1]``."""
        whole = to_numpy(self.pattern.head(head), name="pattern")
        return np.concatenate([whole, self._column(head, slice(None), whole)], axis=1)

    def dense(self) -> np.ndarray:
        """All of it, ``[head, query, key + 1]``."""
        return np.stack([self.head(head) for head in range(self.shape[0])])

    def tile(self, head: int, rows: slice, cols: slice) -> np.ndarray:
        """The part ``[rows, cols]`` of one head; the sink is the last column."""
        first, stop, _ = cols.indices(self.shape[2])
        last = self.shape[2] - 1
        part = to_numpy(self.pattern.tile(head, rows, slice(first, min(stop, last))), name="pattern")
        return part if stop <= last else np.concatenate([part, self._column(head, rows, part)], axis=1)

    def overview(self, head: int, size: int) -> np.ndarray:
        """One head with at most ``size`` cells a side; a cell is the largest of its square of entries."""
        return pool(self.head(head), size, ops=NumpyOps)

    def _column(self, head: int, queries: Any, like: np.ndarray) -> np.ndarray:
        pattern: Any = self.pattern
        if getattr(pattern, "sinks", None) is None:
            return np.zeros((len(like), 1), like.dtype)
        return to_numpy(pattern.sink(head, queries), name="pattern").reshape(-1, 1)


def has_sink(pattern: Pattern) -> bool:
    """Whether part of each row goes to a sink."""
    return getattr(pattern, "sinks", None) is not None


def with_sink(tokens: Tokens) -> Tokens:
    """Tokens, and behind them the sink that a head may look at instead."""
    extra: dict[str, Any] = {
        "label": "sink",
        "text": "",
        "group": len(tokens),
        "special": True,
        "role": None,
        "n_bytes": 0,
        "piece": "",
    }
    longer = {name: (*column, extra[name]) for name in extra if (column := getattr(tokens, name))}
    return dataclasses.replace(tokens, **longer, ids=None)
