"""Attention patterns drawn in Python: the thumbnails and the open head as one image, for where no script runs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from mechviz._visible import prose
from mechviz.arrays import Quantity
from mechviz.pattern import pool
from mechviz.still import image, ramp

_LARGE = 500
_THUMB = 51
_PITCH = 57
_WIDEST = 362
_HATCH = (0x86, 0x8D, 0x96, 255)


def attention_still(
    weights: np.ndarray,
    thumbs: Sequence[tuple[int, int, np.ndarray]],
    *,
    causal: bool,
    quantity: Quantity,
    title: str,
) -> str:
    """One image: the thumbnails on the left, the open head on the right; light theme, what is masked transparent.

    Args:
        weights: The open head, ``[query, key]``.
        thumbs: Row and column in the grid and the pooled weights of every head; one head has no grid.
        causal: Leave out key > query.
        quantity: Scale and limits of all of them.
        title: Stands above.
    """
    large = _cells(weights, _LARGE, causal, quantity, largest=24)
    grid = _grid(thumbs, causal, quantity) if len(thumbs) > 1 else None
    parts = [large] if grid is None else [grid, large]
    height = max(part.shape[0] for part in parts)
    width = sum(part.shape[1] for part in parts) + 30 * (len(parts) - 1)
    canvas = np.zeros((height, width, 4), np.uint8)
    left = 0
    for part in parts:
        canvas[: part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + 30
    title = prose(title)
    queries, keys = weights.shape
    low, high = quantity.limits or (0.0, 1.0)
    words = f"{title}: {queries} queries by {keys} keys, {quantity.name} from {low:.3g} to {high:.3g}"
    picture = image(canvas, alt=words, width=width, height=height)
    return f"<div><b>{escape(title)}</b> {escape(words[len(title) + 2 :])}</div>{picture}"


def _grid(thumbs: Sequence[tuple[int, int, np.ndarray]], causal: bool, quantity: Quantity) -> np.ndarray:
    rows, columns = 1 + max(row for row, _, _ in thumbs), 1 + max(column for _, column, _ in thumbs)
    pitch = max(4, min(_PITCH, _WIDEST // columns))
    size = max(3, pitch - (_PITCH - _THUMB if pitch >= 24 else 1))
    canvas = np.zeros((rows * pitch, columns * pitch, 4), np.uint8)
    for row, column, thumb in thumbs:
        drawn = _cells(thumb, size, causal, quantity, largest=size)
        top, left = row * pitch, column * pitch
        canvas[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return canvas


def _cells(weights: np.ndarray, size: int, causal: bool, quantity: Quantity, *, largest: int) -> np.ndarray:
    """RGBA of at most ``size`` pixels a side; pooled where a cell would be smaller than a pixel."""
    pooled = pool(weights, size, rule="absmax" if quantity.scale == "signed" else "max", causal=causal)
    colors = np.zeros((*pooled.shape, 4), np.uint8)
    low, high = quantity.limits or (0.0, 1.0)
    with np.errstate(invalid="ignore"):
        place = np.clip((pooled.astype(np.float64) - low) / (high - low), 0, 1)
    missing = np.isnan(place)
    colors[..., :3] = ramp(quantity.scale or "ink")[np.round(np.where(missing, 0, place) * 255).astype(np.uint8)]
    colors[..., 3] = 255
    colors[missing] = _HATCH
    if causal:
        colors[~np.tri(*pooled.shape, dtype=bool)] = 0
    side = max(1, min(largest, size // max(pooled.shape)))
    drawn = colors.repeat(side, axis=0).repeat(side, axis=1)
    if side >= 6:  # gaps of a pixel, as in the browser
        drawn[side - 1 :: side] = 0
        drawn[:, side - 1 :: side] = 0
    return drawn
