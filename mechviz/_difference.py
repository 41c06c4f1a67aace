"""One attention pattern less another: two prompts of one length, two models, an edit and what was there before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._as_array import as_array, guard
from .arrays import to_numpy

_BAND = 256  # rows that are computed at once
_ONE_SLACK = 1e-4  # a softmax may come out a rounding above 1


class PatternBase:
    """What every pattern here can: be indexed as its array, be taken from another one, know the layer of a model's stack."""

    layer: int | None = None
    shape: tuple[int, int, int]
    head: Any
    rows: Any
    dense: Any

    def __getitem__(self, index: Any) -> Any:
        """As the array ``[head, query, key]``: ``pattern[3]`` is one head, ``pattern[3, -1]`` a row of it.

        No more is computed than the head or its rows. What begins with anything but a number is an index of all of it.
        """
        head, *rest = index if isinstance(index, tuple) and index else (index,)
        if not isinstance(head, (int, np.integer)):
            guard(self.shape)
            return self.dense()[index]
        head = _counted(head, self.shape[0], "head")
        if not rest:
            return self.head(head)
        if isinstance(rest[0], slice):
            return self.rows(head, rest[0])[(slice(None), *rest[1:])]
        if not isinstance(rest[0], (int, np.integer)):
            return self.head(head)[tuple(rest)]
        row = self.rows(head, [_counted(rest[0], self.shape[1], "query")])[0]
        return row[tuple(rest[1:])] if rest[1:] else row

    def __sub__(self, other: Any) -> Difference:
        return Difference(self, other) if _is_pattern(other) else NotImplemented


class Difference(PatternBase):
    """``a - b``, computed where it is asked for: no more of either is ever made than a part that somebody looks at.

    Rows of probabilities sum to 1 in both, so those of their difference sum to 0. Every array is float32, of numpy.

    Args:
        a: A pattern.
        b: What is taken from it, of the same shape.

    Raises:
        ValueError: They have other heads, queries or keys.

    Example:
        >>> from mechviz.pattern import Dense
        >>> (Dense([[[1.0, 0.0], [0.75, 0.25]]]) - Dense([[[1.0, 0.0], [0.5, 0.5]]])).head(0)[1]
        array([ 0.25, -0.25], dtype=float32)
    """

    pooling = "absmax"

    def __init__(self, a: Any, b: Any) -> None:
        mine, others = tuple(a.shape), tuple(b.shape)
        if mine != others:
            wanted = "as many heads" if mine[1:] == others[1:] else "texts of as many tokens"
            raise ValueError(
                f"a pattern can be taken from one of the same shape (head, query, key); got {mine} - {others}: "
                f"{wanted} are needed"
            )
        self.a, self.b = a, b
        self.shape: tuple[int, int, int] = mine
        self.causal: bool = a.causal and b.causal
        self.names: tuple[str, ...] | None = a.names if a.names == b.names else None
        mine_of, other_of = (getattr(x, "layer", None) for x in (a, b))
        self.layer = mine_of if mine_of == other_of else None

    @property
    def group(self) -> int:
        """How many heads share one key head, where that is so in both."""
        mine, others = getattr(self.a, "group", 1), getattr(self.b, "group", 1)
        return mine if mine == others else 1

    @property
    def window(self) -> int | None:
        """Keys that a query can see at most in either; None where all."""
        both = [getattr(x, "window", None) for x in (self.a, self.b)]
        return None if None in both else max(both)  # type: ignore[type-var]

    @property
    def offset(self) -> int:
        """Position of query 0 counted from key 0."""
        return max(getattr(x, "offset", 0) for x in (self.a, self.b))

    @property
    def sinks(self) -> Any:
        """None unless part of a row goes to no key in either."""
        return next((x.sinks for x in (self.a, self.b) if getattr(x, "sinks", None) is not None), None)

    def portable(self) -> Difference:
        """The same in numpy, where these are."""
        a, b = (getattr(x, "portable", lambda x=x: x)() for x in (self.a, self.b))
        return Difference(a, b)

    def head(self, head: int) -> np.ndarray:
        """One head, ``[query, key]``."""
        return self._less(self.a.head(head), self.b.head(head))

    def dense(self) -> np.ndarray:
        """All of it, ``[head, query, key]``."""
        return np.stack([self.head(head) for head in range(self.shape[0])])

    def tile(self, head: int, rows: slice, cols: slice) -> np.ndarray:
        """The part ``[rows, cols]`` of one head."""
        return self._less(self.a.tile(head, rows, cols), self.b.tile(head, rows, cols))

    def rows(self, head: int, queries: Any) -> np.ndarray:
        """Whole rows of one head, ``[len(queries), key]``."""
        return self._less(self.a.rows(head, queries), self.b.rows(head, queries))

    def sink(self, head: int, queries: Any = slice(None)) -> np.ndarray:
        """How much more goes to the head's sink in `a` than in `b`, ``[len(queries)]``."""
        parts = [
            to_numpy(x.sink(head, queries), name="sink") if getattr(x, "sinks", None) is not None else np.float32(0)
            for x in (self.a, self.b)
        ]
        return parts[0] - parts[1]

    def overview(self, head: int, size: int) -> np.ndarray:
        """One head with at most ``size`` cells a side; a cell is the entry of its square that is furthest from 0."""
        _, queries, keys = self.shape
        step = max(1, -(-max(queries, keys) // size))
        band = step * max(1, _BAND // step)
        parts = [
            _furthest(self.tile(head, slice(first, min(first + band, queries)), slice(0, keys)), step)
            for first in range(0, queries, band)
        ]
        return np.concatenate(parts)

    @property
    def of_probabilities(self) -> bool:
        """Whether both are probabilities: a softmax makes them so, an array has them in 0 … 1."""
        return all(_probable(x) for x in (self.a, self.b))

    def _less(self, a: Any, b: Any) -> np.ndarray:
        return np.asarray(to_numpy(a, name="pattern") - to_numpy(b, name="pattern"), np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        guard(self.shape)
        return as_array(self.dense(), dtype, copy)

    def __repr__(self) -> str:
        return f"Difference(shape={self.shape}{', causal' if self.causal else ''})"


def _counted(index: Any, count: int, name: str) -> int:
    """An index from the start, of one that may count from the end."""
    if not -count <= index < count:
        raise IndexError(f"{name} must be in {-count} … {count - 1}; got {index}")
    return range(count)[index]


def _is_pattern(x: Any) -> bool:
    return isinstance(x, PatternBase) or all(hasattr(x, name) for name in ("shape", "causal", "tile", "rows", "head"))


def _furthest(part: np.ndarray, step: int) -> np.ndarray:
    """Squares of ``step`` entries a side, each by the entry furthest from 0; NaN wins."""
    down, across = (np.arange(0, count, step) for count in part.shape)
    high = np.maximum.reduceat(np.maximum.reduceat(part, down, axis=0), across, axis=1)
    low = np.minimum.reduceat(np.minimum.reduceat(part, down, axis=0), across, axis=1)
    return np.where(np.abs(low) > np.abs(high), low, high)


def _probable(x: Any) -> bool:
    array = getattr(x, "array", None)
    return True if array is None else bool((array >= 0).all() and (array <= 1 + _ONE_SLACK).all())
