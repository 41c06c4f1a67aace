"""A factored head made small for a file: its queries and keys rounded, with what that costs measured in the pattern."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._factored import BLOCK, Factored
from .arrays import to_numpy

# What a weight may be off by: a read-out of three decimals is then right.
BOUND = 1e-3


@dataclass(frozen=True)
class PackedHead:
    """One head as factors: ``P[i, j] = exp(s[i, j] - normaliser[i])`` with ``s = queries[i] . keys[j]`` (see `softcap`).

    Attributes:
        queries: ``[query, dim]``, times the scale of the dot product.
        keys: ``[key, dim]``, less a row that all of them share: it shifts no softmax.
        normaliser: ``[query]`` float32, the logarithm of each row's sum; infinite for a row that sees no key.
        sink: ``[query]`` float32, the probability that goes to the sink; None for a head without one.
        mask: ``[key]`` uint8, 1 where a key may be seen; None where all may.
        causal: Query ``i`` sees keys ``j <= i + offset`` only.
        window: Query ``i`` sees keys ``j > i + offset - window`` only.
        offset: Position of query 0 counted from key 0.
        softcap: ``s`` is ``softcap * tanh(queries[i] . keys[j] / softcap)``.
        error: Largest distance of a weight from the pattern's own.
    """

    queries: np.ndarray
    keys: np.ndarray
    normaliser: np.ndarray
    sink: np.ndarray | None
    mask: np.ndarray | None
    causal: bool
    window: int | None
    offset: int
    softcap: float | None
    error: float

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        arrays = (self.queries, self.keys, self.normaliser, self.sink, self.mask)
        return sum(array.nbytes for array in arrays if array is not None)


def pack(pattern: Factored, head: int, weights: np.ndarray, *, limit: int, bound: float = BOUND) -> PackedHead | None:
    """Factors in float16, or in float32 where those err by more than `bound`; None where neither does.

    Args:
        pattern: The pattern.
        head: Which of its heads.
        weights: What that is, ``[query, key]`` float32: the numbers that errors are measured against.
        limit: Most bytes that the factors may take: what the head would take otherwise.
        bound: Largest error of a weight.
    """
    if not _keys_only(pattern.bias) or not _keys_only(pattern.mask) or not np.isfinite(weights).all():
        return None  # what differs for every query and key has no factors
    for dtype in (np.float16, np.float32):
        factors = _rounded(pattern, head, dtype)
        if factors is None or sum(x.nbytes for x in factors[:2]) + 4 * len(weights) > limit:
            continue
        packed = _measured(pattern, head, *factors, weights)
        if packed.error <= bound:
            return packed
    return None


def weights_of(packed: PackedHead) -> np.ndarray:
    """The pattern that factors stand for, without the column of a sink: ``[query, key]`` float32."""
    out = np.zeros((len(packed.queries), len(packed.keys)), np.float32)
    for rows, cols in _blocks(packed):
        scores = _scores(packed, rows, cols)
        out[rows, cols] = np.exp(scores - packed.normaliser[rows, None])
    return out


def weights_from(props: Mapping[str, Any], numbers: Callable[[Any], np.ndarray]) -> np.ndarray:
    """`weights_of` with the column of the sink, from what a view's component is given.

    Args:
        props: The fields of a `PackedHead` by name, its arrays as they travel.
        numbers: Takes such an array and returns its numbers.
    """
    arrays = ("queries", "keys", "normaliser", "sink", "mask")
    own: dict[str, Any] = {f.name: props[f.name] for f in fields(PackedHead)}
    own |= {name: numbers(own[name]) for name in arrays if own[name] is not None}
    found = PackedHead(**own)
    weights = weights_of(found)
    return weights if found.sink is None else np.concatenate([weights, found.sink[:, None]], axis=1)


def _keys_only(x: Any) -> bool:
    return x is None or x.shape[1] == 1


def _rounded(pattern: Factored, head: int, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Queries and keys in a dtype, and the row of keys that was taken out; None where they do not fit into it."""
    queries = to_numpy(pattern.queries[head], name="queries").astype(np.float64) * pattern.scale
    keys = to_numpy(pattern.keys[head // pattern.group], name="keys").astype(np.float64)
    shift = np.zeros(keys.shape[1])
    if pattern.softcap is None:  # under a cap a shift would bend the scores
        shift = keys.mean(axis=0)
        keys = keys - shift
    if pattern.bias is not None:
        if pattern.softcap is not None:
            return None  # added behind the cap
        added = _row_of(pattern.bias, head).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            high = added.astype(dtype)
            low = (added - high).astype(dtype)
        # Two more columns, since one alone would round the bias as coarsely as the rest.
        keys = np.concatenate([keys, high[:, None], low[:, None]], axis=1)
        queries = np.concatenate([queries, np.ones((len(queries), 2))], axis=1)
        shift = np.concatenate([shift, [0.0, 0.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        q, k = np.ascontiguousarray(queries.astype(dtype)), np.ascontiguousarray(keys.astype(dtype))
    return (q, k, queries @ shift) if np.isfinite(q).all() and np.isfinite(k).all() else None


def _row_of(x: Any, head: int) -> np.ndarray:
    return to_numpy(x[head if x.shape[0] > 1 else 0][0], name="bias or mask")


def _measured(
    pattern: Factored, head: int, queries: np.ndarray, keys: np.ndarray, shift: np.ndarray, weights: np.ndarray
) -> PackedHead:
    """The head with its normaliser and its error; both from the rounded factors. `shift` is ``[query]``."""
    mask = None if pattern.mask is None else np.ascontiguousarray(_row_of(pattern.mask, head), np.uint8)
    rule: dict[str, Any] = {name: getattr(pattern, name) for name in ("window", "offset", "softcap")}
    count = len(queries)
    found = PackedHead(
        *(queries, keys, np.empty(count, np.float32), None, mask),
        causal=pattern.causal_rule,
        **rule,
        error=0.0,
    )
    sinks = None
    if pattern.sinks is not None:
        own = to_numpy(pattern.sinks[head], name="sinks").astype(np.float64)
        sinks = np.broadcast_to(own.reshape(-1), (count,)) - shift  # moved as the scores are
    normaliser = np.full(count, -np.inf)
    error = 0.0
    for rows, cols in _blocks(found):
        scores = _scores(found, rows, cols)
        top = scores.max(axis=1)
        if sinks is not None:
            top = np.maximum(top, sinks[rows])
        base = np.where(top == -np.inf, 0.0, top)
        total = np.exp(scores - base[:, None]).sum(axis=1)
        if sinks is not None:
            total += np.exp(sinks[rows] - base)
        with np.errstate(divide="ignore"):
            normaliser[rows] = np.where(total == 0, np.inf, base + np.log(total))
        found.normaliser[rows] = normaliser[rows]
        here = np.exp(scores - found.normaliser[rows, None])
        error = max(error, float(np.abs(here - weights[rows, cols]).max()))
    sink = None
    if sinks is not None:
        sink = np.exp(sinks - normaliser).astype(np.float32)
        error = max(error, float(np.abs(sink - to_numpy(pattern.sink(head), name="sink")).max()))
    return PackedHead(*(queries, keys, found.normaliser, sink, mask), causal=pattern.causal_rule, **rule, error=error)


def _blocks(packed: PackedHead) -> list[tuple[slice, slice]]:
    """Rows, a block at a time, and the keys that any of them can see."""
    queries, keys = len(packed.queries), len(packed.keys)
    found = []
    for first in range(0, queries, BLOCK):
        stop = min(first + BLOCK, queries)
        low = 0 if packed.window is None else min(max(first + packed.offset - packed.window + 1, 0), keys)
        high = min(max(stop + packed.offset, 0), keys) if packed.causal else keys
        found.append((slice(first, stop), slice(low, high) if low < high else slice(0, keys)))
    return found


def _scores(packed: PackedHead, rows: slice, cols: slice) -> np.ndarray:
    """What the softmax is taken over, -inf where a query may not look, ``[row, col]`` float64 as in the browser."""
    scores = packed.queries[rows].astype(np.float64) @ packed.keys[cols].astype(np.float64).T
    if packed.softcap is not None:
        scores = packed.softcap * np.tanh(scores / packed.softcap)
    here = np.arange(rows.start, rows.stop)[:, None] + packed.offset
    there = np.arange(cols.start, cols.stop)[None]
    allowed = there <= here if packed.causal else np.broadcast_to(np.True_, scores.shape)
    if packed.window is not None:
        allowed = allowed & (there > here - packed.window)
    if packed.mask is not None:
        allowed = allowed & (packed.mask[cols] > 0)
    return np.where(allowed, scores, -np.inf)
