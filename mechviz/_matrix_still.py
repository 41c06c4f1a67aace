"""A labelled matrix drawn in Python: one image of its cells, for where no script runs."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from mechviz._visible import prose
from mechviz.arrays import Quantity
from mechviz.still import image, ramp

_WIDE, _HIGH, _LARGEST = 700, 500, 24
_HATCH = (0x86, 0x8D, 0x96)


def pooled(matrix: np.ndarray, most: tuple[int, int], *, signed: bool) -> np.ndarray:
    """At most ``most`` rows and columns: of a rectangle of cells the largest (signed: furthest from 0); NaN wins."""
    steps = [math.ceil(size / limit) for size, limit in zip(matrix.shape, most, strict=True)]
    if max(steps) <= 1:
        return matrix
    starts = [np.arange(0, size, step) for size, step in zip(matrix.shape, steps, strict=True)]
    high = np.maximum.reduceat(np.maximum.reduceat(matrix, starts[0], axis=0), starts[1], axis=1)
    if not signed:
        return high
    low = np.minimum.reduceat(np.minimum.reduceat(matrix, starts[0], axis=0), starts[1], axis=1)
    return np.where(abs(low) > abs(high), low, high)


def matrix_still(matrix: np.ndarray, quantity: Quantity, title: str, said: str) -> str:
    """An image of the cells, light theme, NaN grey; above it the title, and what it shows with its limits.

    Args:
        matrix: ``[row, column]``.
        quantity: Name, scale and limits of its numbers.
        title: Stands above.
        said: What rows and columns are, such as "3 layers by 12 positions".
    """
    signed = quantity.scale == "signed"
    cells = pooled(matrix, (_HIGH, _WIDE), signed=signed).astype(np.float64)
    low, high = quantity.limits or (0.0, 1.0)
    place = np.clip((cells / 2 - low / 2) / (high / 2 - low / 2), 0, 1)  # halves, whose difference is finite
    missing = np.isnan(place)
    colors = ramp(quantity.scale or "ink")[np.round(np.where(missing, 0, place) * 255).astype(np.uint8)]
    colors[missing] = _HATCH
    rows, columns = cells.shape
    side = max(1, min(_LARGEST, _HIGH // rows, _WIDE // columns))
    drawn = colors.repeat(side, axis=0).repeat(side, axis=1)
    if side >= 6:  # gaps of a pixel, as in the browser
        drawn[side - 1 :: side] = 255
        drawn[:, side - 1 :: side] = 255
    title = prose(title)
    label = ", ".join(filter(None, (quantity.name, quantity.unit))) or "value"
    words = f"{said}, {label} from {low:.3g} to {high:.3g}"
    picture = image(drawn, alt=f"{title}: {words}", width=drawn.shape[1], height=drawn.shape[0])
    return f"<div><b>{escape(title)}</b> {escape(words)}</div>{picture}"
