"""`np.asarray(pattern)`: what it makes, and that it does not make what would fill the memory."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAY_LIMIT = 1 << 30  # bytes that np.asarray(pattern) may make: nothing in that call says how much it costs


def guard(shape: tuple[int, ...]) -> None:
    """Raise a MemoryError, which says what to ask for instead, where a float32 array of this shape is too large."""
    size = 4 * int(np.prod(shape, dtype=np.int64))
    if size > ARRAY_LIMIT:
        raise MemoryError(
            f"an array of shape {shape} takes {size / 2**30:.1f} GiB (limit {ARRAY_LIMIT / 2**30:.0f} GiB); "
            "ask for .tile(head, rows, cols), .rows(head, queries), .overview(head, size) or .head(head)"
        )


def as_array(array: np.ndarray, dtype: Any, copy: bool | None) -> np.ndarray:
    """What ``__array__`` returns of an array."""
    out = array.astype(dtype, copy=False) if dtype is not None else array
    return out.copy() if copy and out is array else out
