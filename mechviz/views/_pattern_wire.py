"""How a pattern travels: one precision for all its heads, thumbnails with the first picture, heads when opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mechviz import wire
from mechviz._factor_pack import PackedHead, pack
from mechviz._sink import SinkColumn
from mechviz.arrays import Quantity
from mechviz.pattern import Dense, Factored
from mechviz.views._head_stats import Summary
from mechviz.views._pattern_heads import HeadSource
from mechviz.views._quantity import check_symmetric

# A thumbnail is 51 CSS pixels; of many heads they are smaller, so that all of them fit into the first picture.
_THUMBS = (51, 40, 32, 24, 16)
_THUMBS_BYTES = 2 * wire.MB
# Up to here all heads come with the first picture: they open at once, also while the kernel is busy.
_AT_ONCE_BYTES = 256 * 1024
_AT_ONCE_HEADS = 64


@dataclass(frozen=True)
class Encoding:
    """What all heads of a picture have in common on the wire."""

    precision: wire.Precision
    layout: Literal["dense", "lower"]
    lazy: bool


def thumb_size(heads: int) -> int:
    """Cells to a side of a thumbnail."""
    return next((size for size in _THUMBS if heads * size * size <= _THUMBS_BYTES), _THUMBS[-1])


def encoding_of(
    heads: Sequence[HeadSource], found: Sequence[Summary], causal: bool, precision: wire.Precision
) -> Encoding:
    """Choose the precision once for the whole pattern, counting the bytes of the triangle only where that is sent."""
    if precision not in wire.PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(wire.PRECISIONS)}; got {precision!r}")
    _, queries, keys = heads[0].pattern.shape
    count = len(heads) * (queries * (queries + 1) // 2 if causal else queries * keys)
    unit = in_unit(found)
    if precision == "sqrt8" and not unit:
        low, high = min(s.low for s in found), max(s.high for s in found)
        more = "" if all(s.finite for s in found) else ", and NaN or infinity among them"
        raise ValueError(f'precision="sqrt8" carries weights in 0 … 1; pattern has {low:g} … {high:g}{more}')
    if precision == "auto":
        double = any(isinstance(h.pattern, Dense) and h.pattern.array.dtype.itemsize == 8 for h in heads)
        exact = double and count * 8 <= wire.MB
        precision = "exact" if exact else wire.choose(count * 4, probabilities=unit)
    bytes_each = {"sqrt8": 1, "float16": 2}.get(precision, 4)
    lazy = count * bytes_each > _AT_ONCE_BYTES or len(heads) > _AT_ONCE_HEADS
    return Encoding(precision, "lower" if causal else "dense", lazy)


def in_unit(found: Sequence[Summary]) -> bool:
    """Whether all weights are in 0 … 1, but for a rounding."""
    return all(s.finite and s.low >= 0 and s.high <= 1 + 1e-4 for s in found)


def values_of(head: HeadSource, summary: Summary, encoding: Encoding, *, lazy: bool) -> wire.Array:
    """One head's weights on their way."""
    options: dict[str, Any] = {"precision": encoding.precision, "layout": encoding.layout, "lazy": lazy}
    if encoding.precision == "sqrt8" and summary.high > 1:
        return wire.Array(lambda: np.minimum(head.weights(), 1), shape=head.pattern.shape[1:], **options)
    if isinstance(head.pattern, Dense):
        # The array itself, not a function: the same memory is then known again when the view is updated.
        return wire.Array(head.weights(), **options)
    return wire.Array(head.weights, shape=head.pattern.shape[1:], **options)


def factors_of(head: HeadSource, weights: np.ndarray, causal: bool) -> PackedHead | None:
    """A head as queries and keys, where it has them and they take fewer bytes than its `weights` in float16."""
    with_sink = isinstance(head.pattern, SinkColumn)
    pattern = head.pattern.pattern if isinstance(head.pattern, SinkColumn) else head.pattern
    if not isinstance(pattern, Factored):
        return None
    queries, keys = weights.shape
    limit = queries * (queries + 1) if causal else 2 * queries * keys
    packed = pack(pattern, head.column, weights[:, :-1] if with_sink else weights, limit=limit)
    if packed is not None and with_sink and packed.sink is None:  # another layer has one
        return replace(packed, sink=np.zeros(queries, np.float32))
    return packed


def factor_props(packed: PackedHead, *, lazy: bool, dim: int | None = None) -> dict[str, Any]:
    """What js/src/pattern/factored.ts reads as FactorsJson; `dim` is the head's, beyond which columns carry a bias."""
    arrays = {
        name: None if array is None else wire.Array(array, lazy=lazy)
        for name in ("queries", "keys", "normaliser", "sink", "mask")
        for array in [getattr(packed, name)]
    }
    biased = dim is not None and packed.queries.shape[1] > dim
    rule = {name: getattr(packed, name) for name in ("causal", "window", "offset", "softcap")}
    # The browser adds up in another order, and keeps its cells as float32.
    return {**arrays, **rule, "biased": biased, "error": packed.error + 1e-7, "precision": packed.queries.dtype.name}


def said_precision(encoding: Encoding, packed: Sequence[PackedHead | None]) -> str:
    """What provenance says: "float16", or "float16 queries and keys"."""
    said = {encoding.precision if head is None else f"{head.queries.dtype.name} queries and keys" for head in packed}
    return ", ".join(sorted(said))


def thumbs_of(found: Sequence[Summary], causal: bool) -> wire.Array:
    """All thumbnails, ``[head, row, column]``: colours are taken from them, never numbers."""
    thumbs = np.stack([s.thumb for s in found]).astype(np.float32)
    layout = "lower" if causal else "dense"
    if in_unit(found):
        return wire.Array(np.minimum(thumbs, 1), precision="sqrt8", layout=layout)
    return wire.Array(thumbs, precision="float16", layout=layout)


def pooling_of(said: Quantity) -> str | None:
    """How thumbnails are pooled, to show what the large map shows on the scale that was asked for; None: as weights are."""
    if said.scale is None and said.limits is None:
        return None
    signed = said.scale == "signed" if said.scale else said.limits is not None and said.limits[0] < 0
    return "absmax" if signed else "max"


def row_total(found: Sequence[Summary]) -> dict[str, float] | None:
    """What every row sums to, and how far the furthest is off; None unless all are rows of probabilities."""
    low, high = min(s.row_sums[0] for s in found), max(s.row_sums[1] for s in found)
    near = all(s.probabilities for s in found) and low > 0.98
    return {"value": 1.0, "error": max(1 - low, high - 1)} if near else None


def beyond(head: HeadSource, summary: Summary, limits: tuple[float, float], causal: bool) -> dict[str, int]:
    """How many weights of a head lie above and below the limits."""
    slack = 1e-6 * max(map(abs, limits))
    low, high = limits[0] - slack, limits[1] + slack
    if summary.finite and low <= summary.low and summary.high <= high:
        return {"above": 0, "below": 0}
    weights = head.weights()
    seen = np.tri(*weights.shape, dtype=bool) if causal else np.True_
    with np.errstate(invalid="ignore"):
        return {"above": int(((weights > high) & seen).sum()), "below": int(((weights < low) & seen).sum())}


def quantity_of(found: Sequence[Summary], said: Quantity, *, difference: str = "") -> Quantity:
    """Name, scale and limits of the weights, where neither the array nor the caller says them.

    `difference`: what they are differences of ("probability"), "" where they are none.
    """
    low, high = min(s.low for s in found), max(s.high for s in found)
    probabilities = all(s.probabilities for s in found)
    negative = said.limits[0] < 0 if said.limits else low < 0 or bool(difference)
    scale = said.scale or ("signed" if negative else "ink")
    limits = said.limits
    if limits is None:
        size = max(-low, high) or 1.0
        limits = (-size, size) if scale == "signed" else (0.0, 1.0) if high <= 1 + 1e-4 else (0.0, high)
    if scale == "signed":
        check_symmetric(limits)
    kind = f"difference of attention {difference}" if difference else ""
    name = said.name or kind or ("attention probability" if probabilities else "attention weight")
    return replace(said, name=name, scale=scale, limits=limits)
