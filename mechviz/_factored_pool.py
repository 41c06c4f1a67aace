"""A factored head pooled without its weights: scores are pooled, and an exponential is taken for each cell only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._factored import BLOCK, Factored


def largest_in_cells(
    out: np.ndarray, pattern: Factored, head: int, rows: slice, cols: np.ndarray, columns: np.ndarray | None = None
) -> Iterator[None]:
    """Fill in the largest weight of each query within each range of keys, a little at a time; numpy patterns only.

    One sweep over a block's scores gives the cells and the normaliser, which is then kept. Memory is a block of scores. It
    stops after about a millisecond each time, so that something else can be done in between.

    Args:
        out: ``[query, col]`` float32, whole once all is done.
        pattern: Factors in numpy.
        head: Which head.
        rows: The queries.
        cols: Edges of the ranges, increasing.
        columns: ``[key]``, factors of 0 and more.
    """
    head = range(pattern.shape[0])[head]
    weigh = None
    if columns is not None:
        with np.errstate(divide="ignore"):
            weigh = np.log(columns.astype(np.float32))
    first = rows.start
    while first < rows.stop:
        block = first // BLOCK
        whole = slice(block * BLOCK, min((block + 1) * BLOCK, pattern.shape[1]))
        stop = min(rows.stop, whole.stop)
        best = np.full((whole.stop - whole.start, len(cols) - 1), -np.inf, np.float32)
        yield from _block(best, pattern, head, block, whole, cols, weigh)
        top, total = pattern.normaliser(head, block)
        best -= top
        np.exp(best, out=best)
        best /= total
        out[first - rows.start : stop - rows.start] = best[first - whole.start : stop - whole.start]
        first = stop


def _block(
    best: np.ndarray, pattern: Factored, head: int, block: int, whole: slice, cols: np.ndarray, weigh: Any
) -> Iterator[None]:
    """Fill in the largest score of each query of a block in each range of keys, ``[query, col]``; -inf where it sees none."""
    known = pattern.knows(head, block)
    merged: tuple[Any, Any] | None = None
    for keys in pattern.key_blocks(whole):
        low, high = max(keys.start, int(cols[0])), min(keys.stop, int(cols[-1]))
        if known and low >= high:
            continue
        scores = pattern.scores(head, whole, keys)
        if low < high:
            inside = scores[:, low - keys.start : high - keys.start]
            if weigh is not None:
                inside = inside + weigh[low:high]
            part_of, begins = cells_of(low, high, cols)
            cells = best[:, part_of]
            np.maximum(cells, pooled(np.maximum, inside, begins), out=cells)
        if not known:
            part = pattern.ops.softmax_parts(scores)
            merged = part if merged is None else pattern.merged(merged, part)
        yield
    if merged is not None:
        pattern.keep(head, block, merged)


def cells_of(low: int, high: int, cols: np.ndarray) -> tuple[slice, np.ndarray]:
    """Which of the ranges have a part in keys ``low`` … ``high - 1``, and where each of these begins in them."""
    left = int(np.searchsorted(cols, low, side="right")) - 1
    right = int(np.searchsorted(cols, high, side="left"))
    return slice(left, right), np.maximum(cols[left:right], low) - low


def pooled(rule: np.ufunc, values: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Columns pooled from each of ``begins`` to the next."""
    step = int(begins[1]) if len(begins) > 1 else values.shape[1]
    even = len(begins) > 1 and values.shape[1] == step * len(begins) and bool((np.diff(begins) == step).all())
    if even and step > 1:
        return rule.reduce(values.reshape(len(values), len(begins), step), axis=2)
    return rule.reduceat(values, begins, axis=1)
