"""How a pattern is read: heads put together, keys and queries weighed; in one place, before anything is pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal

import numpy as np

from ._difference import Difference
from ._difference_pool import furthest_in_cells, is_factored
from ._factored import BLOCK, Factored
from ._factored_pool import largest_in_cells
from .arrays import to_numpy
from .pattern import Pattern

Rule = Literal["max", "mass"]
Combine = Literal["mean", "max", "sum"]
BYTES = 32 << 20  # of a band of rows that is computed at once
KEYS = 8192  # that are read of it at a time


@dataclass(frozen=True)
class Reading:
    """What is read of a pattern: ``combine over heads of P[head, query, key] · columns[head, key] · rows[head, query]``.

    Every source of patterns answers the same questions about it: here, in js/src/pattern/arithmetic.ts for what a page
    holds, and by the kernel for what it asks for.

    Args:
        heads: ``(pattern, head)`` for each; all have the same queries and keys.
        columns: ``[head or 1, key]``, a factor for each key: norms of values, 0 for keys that are left out. None is 1.
        rows: ``[head or 1, query]``, a factor for each query: 1 / `mass` shares the visible keys' weights out anew.
        combine: How several heads become one: their mean, the largest (signed: furthest from zero) or the sum.

    Raises:
        ValueError: No heads, heads of several shapes, factors of another shape or that are no finite numbers.
    """

    heads: Sequence[tuple[Pattern, int]]
    columns: np.ndarray | None = None
    rows: np.ndarray | None = None
    combine: Combine = "mean"

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        shapes = {tuple(pattern.shape[1:]) for pattern, _ in self.heads}
        if len(shapes) != 1:
            raise ValueError(f"heads must be at least one, of one shape (query, key); got {sorted(shapes)}")
        if self.combine not in ("mean", "max", "sum"):
            raise ValueError(f'combine must be "mean", "max" or "sum"; got {self.combine!r}')
        for name, count in (("columns", self.shape[1]), ("rows", self.shape[0])):
            factors = getattr(self, name)
            if factors is None:
                continue
            if factors.ndim != 2 or factors.shape[0] not in (1, len(self.heads)) or factors.shape[1] != count:
                raise ValueError(f"{name} must have shape (1 or {len(self.heads)}, {count}); got {factors.shape}")
            if not np.isfinite(factors).all():
                raise ValueError(f"{name} must hold finite numbers")

    @property
    def shape(self) -> tuple[int, int]:
        """``(query, key)``."""
        return tuple(self.heads[0][0].shape[1:])  # type: ignore[return-value]

    @property
    def causal(self) -> bool:
        """Whether every entry with key > query is 0."""
        return all(pattern.causal for pattern, _ in self.heads)

    def weights(self, rows: slice, cols: slice) -> np.ndarray:
        """The part ``[rows, cols]`` of what is read, float32."""
        out: Any = None
        for i, (pattern, head) in enumerate(self.heads):
            part = to_numpy(pattern.tile(head, rows, cols), name="pattern")
            for factors in (_of(self.columns, i, cols), _down(_of(self.rows, i, rows))):
                if factors is not None:
                    part = part * factors.astype(np.float32)
            out = part if out is None else self._combined(out, part)
        return out / np.float32(len(self.heads)) if self.combine == "mean" and len(self.heads) > 1 else out

    def _combined(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if self.combine != "max":
            return a + b
        return np.where(np.isnan(a) | (np.abs(a) > np.abs(b)), a, b)

    def line(self, direction: Literal["from", "by"], index: int | Sequence[int]) -> np.ndarray:
        """One query over all keys ("from", ``[key]``), or one key over all queries ("by", ``[query]``).

        Of several queries it is the mean, of several keys the sum.
        """
        queries, keys = self.shape
        if isinstance(index, Sequence):
            total = np.zeros(keys if direction == "from" else queries)
            for one in index:
                total += self.line(direction, one)
            return (total / (len(index) if direction == "from" else 1)).astype(np.float32)
        if direction == "from":
            return self.weights(slice(index, index + 1), slice(0, keys))[0]
        return self.weights(slice(0, queries), slice(index, index + 1))[:, 0]

    def tile(self, rows: np.ndarray, cols: np.ndarray, rule: Rule = "max") -> np.ndarray:
        """Cells of a rectangle, ``[len(rows) - 1, len(cols) - 1]`` float32; see `bands`."""
        out = np.empty((len(rows) - 1, len(cols) - 1), np.float32)
        for first, cells in self.bands(rows, cols, rule):
            out[first : first + len(cells)] = cells
        return out

    def bands(self, rows: np.ndarray, cols: np.ndarray, rule: Rule = "max") -> Iterator[tuple[int, np.ndarray]]:
        """Cells of a rectangle, some rows of them at a time: ``(first row of cells, [row, col])``.

        Often no row at all, since many take long: something else can then be done in between.

        Args:
            rows: Where the rows of cells begin, and where the last one ends: increasing.
            cols: The same of their columns: ends of words and of spans as well as every eighth key.
            rule: "max": the largest entry of a cell (where there are negative ones: the one furthest from zero; NaN
                wins). "mass": the sum over its keys, as a mean over its queries.
        """
        rows, cols = _edges(rows, self.shape[0], "rows"), _edges(cols, self.shape[1], "cols")
        if rule not in ("max", "mass"):
            raise ValueError(f'rule must be "max" or "mass"; got {rule!r}')
        tall = max(BLOCK, BYTES // (4 * max(1, int(cols[-1] - cols[0]))) // BLOCK * BLOCK)
        none = np.empty((0, len(cols) - 1), np.float32)
        partial: np.ndarray | None = None  # of the row of cells that a band of queries ends within
        row = 0
        for start in _starts(int(rows[0]), int(rows[-1]), tall):
            stop = min(int(rows[-1]), start - start % tall + tall)
            lines = np.empty((stop - start, len(cols) - 1), np.float32 if rule == "max" else np.float64)
            for _ in self._pool(lines, slice(start, stop), cols, rule):
                yield row, none
            last = int(np.searchsorted(rows, stop, side="left"))  # rows of cells up to here have a part in this band
            begins = np.maximum(rows[row:last], start) - start
            cells = _reduce(lines, begins, rule)
            if partial is not None:
                cells[0] = _reduce(np.stack([partial, cells[0]]), np.array([0]), rule)[0]
            complete = last if rows[last] == stop else last - 1
            partial = cells[-1] if complete < last else None
            done = cells[: complete - row]
            if rule == "mass":
                done = done / np.diff(rows[row : complete + 1])[:, None]
            if len(done):
                yield row, done.astype(np.float32)
            row = complete

    def mass(self, head: int = 0) -> np.ndarray:
        """How much of each row of a head is on keys that are not left out: Σ P · columns, ``[query]`` float32."""
        queries, keys = self.shape
        own = None if self.columns is None else self.columns[[head if len(self.columns) > 1 else 0]]
        plain = Reading([self.heads[head]], own)
        return plain.tile(np.arange(queries + 1), np.array([0, keys]), "mass")[:, 0]

    def _pool(self, out: np.ndarray, rows: slice, cols: np.ndarray, rule: Rule) -> Iterator[None]:
        """Fill in each query by itself, its keys pooled, ``[query, col]``, a little at a time."""
        pattern, head = self.heads[0]
        own = _of(self.columns, 0, slice(None))
        if rule == "max" and len(self.heads) == 1:
            factors: Iterator[None] | None = None
            if type(pattern) is Factored and (own is None or bool((own >= 0).all())):
                factors = largest_in_cells(out, pattern, head, rows, cols, own)
            elif type(pattern) is Difference and is_factored(pattern):
                factors = furthest_in_cells(out, pattern, head, rows, cols, own)
            if factors is not None:
                yield from factors
                down = _down(_of(self.rows, 0, rows))
                if down is not None:
                    out *= down.astype(np.float32)
                return
        left = 0
        while left < len(cols) - 1:
            right = max(left + 1, int(np.searchsorted(cols, cols[left] + KEYS, side="right")) - 1)
            keys = slice(int(cols[left]), int(cols[right]))
            part = self.weights(rows, keys)
            if rule == "max" and self.causal:  # what the mask leaves out is larger than no negative entry
                below = np.arange(rows.start, rows.stop)[:, None] >= np.arange(keys.start, keys.stop)
                part = np.where(below, part, np.float32(0))
            out[:, left:right] = _reduce(part.T, cols[left:right] - keys.start, rule).T
            left = right
            yield


def steps(first: int, stop: int, step: int) -> np.ndarray:
    """The edges of cells of ``step`` entries, the last one perhaps of fewer."""
    return np.append(np.arange(first, stop, step), stop)


def edges_from(sent: Any) -> np.ndarray:
    """Edges as a browser sends them: a list, or as where they begin and end and how far apart they are."""
    if isinstance(sent, Mapping):
        return steps(index(sent["from"]), index(sent["to"]), index(sent["step"]))
    return np.asarray(sent)


def _of(factors: np.ndarray | None, head: int, part: slice) -> np.ndarray | None:
    return None if factors is None else factors[head if len(factors) > 1 else 0][part]


def _down(factors: np.ndarray | None) -> np.ndarray | None:
    return None if factors is None else factors[:, None]


def _starts(first: int, stop: int, tall: int) -> list[int]:
    """Where bands of rows begin: at multiples of `tall`, where a factored pattern keeps its normalisers together."""
    return [first, *range(first - first % tall + tall, stop, tall)]


def _edges(edges: Any, count: int, name: str) -> np.ndarray:
    found = np.asarray(edges)
    fits = found.ndim == 1 and len(found) > 1 and found.dtype.kind in "iu"
    if not fits or found[0] < 0 or found[-1] > count or (np.diff(found) <= 0).any():
        raise ValueError(f"{name} must be increasing edges within 0 … {count}; got {edges!r}")
    return found.astype(np.int64)


def _reduce(values: np.ndarray, begins: np.ndarray, rule: Rule) -> np.ndarray:
    """Rows pooled from each of ``begins`` to the next, under one rule."""
    if rule == "mass":
        return np.add.reduceat(values, begins, axis=0, dtype=np.float64)
    high = np.maximum.reduceat(values, begins, axis=0)
    if not (values < 0).any():
        return high
    low = np.minimum.reduceat(values, begins, axis=0)
    return np.where(np.abs(low) > np.abs(high), low, high)
