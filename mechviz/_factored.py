"""Attention probabilities kept as the factors of their softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ._as_array import as_array, guard
from ._difference import PatternBase
from ._pooling import NumpyOps, pool
from .arrays import to_numpy

BLOCK = 256  # rows whose log-sum-exp is computed, and kept, together
KEY_BLOCK = 1024  # keys at a time in it: what a processor's cache holds


class Factored(PatternBase):
    """Attention probabilities as the factors of their softmax: memory is O(tokens), any part is computed when asked for.

    ``P[h, i, j] = exp(s[h, i, j]) / Σ_j exp(s[h, i, j])`` with ``s = softcap(scale * q[h, i] . k[h // group, j]) + bias``,
    over the keys that the rule lets query ``i`` see; all arithmetic is float32. A query that sees no key has a row of 0.

    Args:
        queries: ``[head, query, dim]``, as they enter the dot product (after rotary embedding and normalisation).
        keys: ``[key head, key, dim]``; head ``h`` reads key head ``h // (heads / key heads)``.
        scale: Factor of the dot product; ``dim ** -0.5`` when None.
        causal: Query ``i`` sees keys ``j <= i + offset`` only.
        window: Query ``i`` sees keys ``j > i + offset - window`` only.
        offset: Position of query 0 counted from key 0.
        softcap: ``s`` becomes ``softcap * tanh(s / softcap)``.
        sinks: ``[head]`` or ``[head, query]``, a score that takes part in the softmax without a key, so that rows sum to less
            than 1; `sink` gives the rest.
        bias: Added to the scores, ``[head or 1, query or 1, key]``.
        mask: True where a query may see a key, ``[head or 1, query or 1, key]``.
        names: A name per head.

    Raises:
        ValueError: Shapes that do not fit together.

    Example:
        >>> q = k = np.zeros((1, 3, 4), np.float32)
        >>> Factored(q, k, causal=True).head(0)[1]
        array([0.5, 0.5, 0. ], dtype=float32)
    """

    ops: ClassVar[Any] = NumpyOps
    pooling = "max"

    def __init__(
        self,
        queries: Any,
        keys: Any,
        scale: float | None = None,
        *,
        causal: bool = True,
        window: int | None = None,
        offset: int = 0,
        softcap: float | None = None,
        sinks: Any = None,
        bias: Any = None,
        mask: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        if queries.ndim != 3 or keys.ndim != 3 or queries.shape[2] != keys.shape[2] or queries.shape[0] % keys.shape[0]:
            raise ValueError(
                "queries must have shape (head, query, dim) and keys (key head, key, dim) with the same dim and a number of "
                f"key heads that divides the heads; got {tuple(queries.shape)} and {tuple(keys.shape)}"
            )
        self.queries, self.keys = queries, keys
        self.shape: tuple[int, int, int] = (queries.shape[0], queries.shape[1], keys.shape[1])
        self.scale = queries.shape[2] ** -0.5 if scale is None else float(scale)
        self.causal_rule, self.window, self.offset, self.softcap = causal, window, offset, softcap
        self.sinks = None if sinks is None else self._check_sinks(self.ops.float32(sinks))
        self.bias, self.mask = (self._check_scores(x, name) for x, name in ((bias, "bias"), (mask, "mask")))
        self.names = head_names(names, self.shape[0])
        self._normalisers: dict[tuple[int, int], tuple[Any, Any]] = {}

    def _check_sinks(self, x: Any) -> Any:
        heads, queries, _ = self.shape
        count = int(np.prod(x.shape))
        if count == heads:
            return x.reshape(heads)
        if count == heads * queries and x.shape[0] == heads:
            return x.reshape(heads, queries)
        raise ValueError(f"sinks must have shape ({heads},) or ({heads}, {queries}); got {tuple(x.shape)}")

    def _check_scores(self, x: Any, name: str) -> Any:
        heads, queries, keys = self.shape
        if x is None or (
            x.ndim == 3 and x.shape[0] in (1, heads) and x.shape[1] in (1, queries) and x.shape[2] == keys
        ):
            return x
        raise ValueError(f"{name} must have shape (1 or {heads}, 1 or {queries}, {keys}); got {tuple(x.shape)}")

    @property
    def causal(self) -> bool:
        """Whether every entry with key > query is exactly 0."""
        return self.causal_rule and self.offset <= 0

    @property
    def group(self) -> int:
        """How many heads share one key head (1 unless queries are grouped)."""
        return self.shape[0] // self.keys.shape[0]

    def scores(self, head: int, rows: Any, cols: slice) -> Any:
        """What the softmax of one head is taken over, -inf where a query may not look: ``[len(rows), len(cols)]``."""
        q = self.ops.float32(self.queries[head][rows])  # [row, dim]
        k = self.ops.float32(self.keys[head // self.group][cols])  # [col, dim]
        s = q @ k.T  # [row, col]
        s *= self.scale  # as models do, and not the queries before: that would round them once more
        if self.softcap is not None:
            s = self.ops.tanh(s / self.softcap) * self.softcap
        if self.bias is not None:
            s = s + self.ops.float32(self._pick(self.bias, head, rows, cols))
        allowed = self._allowed(head, rows, cols)
        return s if allowed is None else self.ops.where(allowed, s, -float("inf"))

    def _pick(self, x: Any, head: int, rows: Any, cols: slice) -> Any:
        x = x[head if x.shape[0] > 1 else 0]
        return (x[rows] if x.shape[0] > 1 else x)[..., cols]  # [row or 1, col]

    def _allowed(self, head: int, rows: Any, cols: slice) -> Any:
        allowed = None if self.mask is None else self._pick(self.mask, head, rows, cols)
        if not self._all_seen(rows, cols):
            here = self.ops.positions(self.shape[1], self.queries)[rows][:, None] + self.offset  # [row, 1]
            there = self.ops.positions(self.shape[2], self.queries)[cols][None]  # [1, col]
            rule = there <= here if self.causal_rule else there == there
            if self.window is not None:
                rule = rule & (there > here - self.window)
            allowed = rule if allowed is None else rule & allowed
        return allowed

    def _all_seen(self, rows: Any, cols: slice) -> bool:
        """Whether the causal and window rules let each of the rows see all of the keys."""
        if not self.causal_rule and self.window is None:
            return True
        if not isinstance(rows, slice):
            return False
        before = not self.causal_rule or cols.stop - 1 <= rows.start + self.offset
        return before and (self.window is None or cols.start > rows.stop - 1 + self.offset - self.window)

    def _seen(self, first: int, stop: int) -> slice:
        """Keys that any of the rows first … stop - 1 can see by the causal and window rules."""
        keys = self.shape[2]
        low = 0 if self.window is None else min(max(first + self.offset - self.window + 1, 0), keys)
        high = min(max(stop + self.offset, 0), keys) if self.causal_rule else keys
        return slice(low, high) if low < high else slice(0, keys)

    def normaliser(self, head: int, block: int) -> tuple[Any, Any]:
        """``(top, total)`` of rows ``block * BLOCK`` onwards, each ``[row, 1]``: P is ``exp(s - top) / total``.

        Two numbers, because the logarithm of the sum would round twice: at scores of ten that costs a digit. Computed once,
        then kept. They are (0, 1) for a row that sees no key, so that its probabilities come out as 0.
        """
        known = self._normalisers.get((head, block))
        if known is None:
            first = block * BLOCK
            stop = min(first + BLOCK, self.shape[1])
            for cols in self.key_blocks(slice(first, stop)):
                part = self.ops.softmax_parts(self.scores(head, slice(first, stop), cols))
                known = part if known is None else self.merged(known, part)
            assert known is not None  # there is a key, or the shapes would not have been accepted
            known = self.keep(head, block, known)
        return known

    def knows(self, head: int, block: int) -> bool:
        """Whether the normaliser of a block is kept already."""
        return (head, block) in self._normalisers

    def keep(self, head: int, block: int, parts: tuple[Any, Any]) -> tuple[Any, Any]:
        """Keep the normaliser of a block: the `merged` parts of all its `key_blocks`, which the sink then joins."""
        rows = slice(block * BLOCK, min((block + 1) * BLOCK, self.shape[1]))
        found = self._normalisers[head, block] = self._finish(head, parts, rows)
        return found

    def key_blocks(self, rows: slice) -> list[slice]:
        """The keys that rows can see, a block at a time."""
        seen = self._seen(rows.start, rows.stop)
        return [slice(left, min(left + KEY_BLOCK, seen.stop)) for left in range(seen.start, seen.stop, KEY_BLOCK)]

    def softmax(self, head: int, scores: Any, rows: Any) -> Any:
        """Probabilities from the scores of whole rows, with the head's sink, ``[row, key]``."""
        top, total = self._finish(head, self.ops.softmax_parts(scores + 0), rows)
        return self.ops.exp(scores - top) / total

    def merged(self, a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
        """``(top, total)`` of two sets of keys together."""
        top = self.ops.maximum(a[0], b[0])
        finite = self.ops.where(top == -float("inf"), 0.0, top)
        return top, a[1] * self.ops.exp(a[0] - finite) + b[1] * self.ops.exp(b[0] - finite)

    def _finish(self, head: int, parts: tuple[Any, Any], rows: Any) -> tuple[Any, Any]:
        if self.sinks is not None:
            sink = self._sinks(head, rows)
            parts = self.merged(parts, (sink, self.ops.exp(0 * sink)))
        top, total = parts
        return self.ops.where(top == -float("inf"), 0.0, top), self.ops.where(total == 0, 1.0, total)

    def head(self, head: int) -> Any:
        """One head, ``[query, key]``."""
        return self.tile(head, slice(None), slice(None))

    def dense(self) -> Any:
        """All of it, ``[head, query, key]``."""
        out = self.ops.filled(self.shape, 0.0, like=self.queries)
        for head in range(self.shape[0]):
            out[head] = self.head(head)
        return out

    def tile(self, head: int, rows: slice, cols: slice) -> Any:
        """The part ``[rows, cols]`` of one head (slices of step 1)."""
        head = range(self.shape[0])[head]
        (first, stop), (left, right) = _bounds(rows, self.shape[1], "rows"), _bounds(cols, self.shape[2], "cols")
        out = self.ops.filled((stop - first, right - left), 0.0, like=self.queries)
        while first < stop:
            block = first // BLOCK
            end = min(stop, (block + 1) * BLOCK)
            whole = slice(block * BLOCK, min((block + 1) * BLOCK, self.shape[1]))
            here = slice(first - whole.start, end - whole.start)
            top, total = (x[here] for x in self.normaliser(head, block))
            for cols in self.key_blocks(whole):
                low, high = max(left, cols.start), min(right, cols.stop)
                if low < high:
                    # All of the block that the normaliser was summed over: a product of another shape rounds differently,
                    # and a weight near 1 would show that, where a softmax's own numerator and sum cancel it.
                    scores = self.scores(head, whole, cols)[here, low - cols.start : high - cols.start]
                    at = slice(first - stop + len(out), end - stop + len(out))
                    out[at, low - left : high - left] = self.ops.exp(scores - top) / total
            first = end
        return out

    def rows(self, head: int, queries: Any) -> Any:
        """Whole rows of one head, ``[len(queries), key]``; ``queries`` is an index, a list of them or a slice."""
        picked = row_index(queries, self.shape[1])
        scores = self.scores(range(self.shape[0])[head], picked, slice(0, self.shape[2]))
        return self.softmax(range(self.shape[0])[head], scores, picked)

    def sink(self, head: int, queries: Any = slice(None)) -> Any:
        """The probability that goes to the head's sink, ``[len(queries)]``; 0 for a model without sinks."""
        head, picked = range(self.shape[0])[head], row_index(queries, self.shape[1])
        out = self.ops.filled((self.shape[1],), 0.0, like=self.queries)
        for block in sorted({int(query) // BLOCK for query in picked}) if self.sinks is not None else ():
            rows = slice(block * BLOCK, min((block + 1) * BLOCK, self.shape[1]))
            top, total = self.normaliser(head, block)
            out[rows] = (self.ops.exp(self._sinks(head, rows) - top) / total).reshape(-1)
        return out[picked]

    def _sinks(self, head: int, rows: Any) -> Any:
        """Scores of the sink, ``[row or 1, 1]``."""
        own: Any = self.sinks[head]  # type: ignore[index]
        return own.reshape(1, 1) if own.ndim == 0 else own[rows].reshape(-1, 1)

    def overview(self, head: int, size: int) -> Any:
        """One head with at most ``size`` cells a side; a cell is the largest of its square of entries.

        Computed by bands of rows: memory is O(size * key), not O(query * key).
        """
        _, queries, keys = self.shape
        step = max(1, -(-max(queries, keys) // size))
        band = step * max(1, BLOCK // step)
        out = self.ops.filled((-(-queries // step), -(-keys // step)), 0.0, like=self.queries)
        for first in range(0, queries, band):
            part = self.tile(head, slice(first, first + band), slice(None))  # [row, key]
            pooled = pool(part, -(-keys // step), ops=self.ops) if step > 1 else part
            out[first // step : first // step + len(pooled)] = pooled
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        guard(self.shape)
        return as_array(to_numpy(self.dense(), name="pattern"), dtype, copy)

    def __repr__(self) -> str:
        marks = [name for name, on in (("causal", self.causal), (f"window={self.window}", self.window)) if on]
        return f"{type(self).__name__}({', '.join([f'shape={self.shape}', *marks])})"


def head_names(names: Sequence[str] | None, heads: int) -> tuple[str, ...] | None:
    if names is not None and len(names) != heads:
        raise ValueError(f"names must have one entry per head ({heads}); got {len(names)}")
    return None if names is None else tuple(names)


def row_index(queries: Any, length: int) -> Any:
    """What picks whole rows out of ``length`` of them, always as a list: an index, a slice or a list of indices."""
    if isinstance(queries, slice):
        return list(range(*queries.indices(length)))
    return [queries] if isinstance(queries, (int, np.integer)) else queries


def _bounds(part: slice, length: int, name: str) -> tuple[int, int]:
    first, stop, step = part.indices(length)
    if step != 1:
        raise ValueError(f"{name} must be a slice of step 1; got {part}")
    return first, max(first, stop)
