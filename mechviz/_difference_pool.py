"""A difference of two factored heads pooled without its weights: each score is made once, and each exponential."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from ._difference import Difference
from ._factored import BLOCK, Factored
from ._factored_pool import cells_of, pooled

# By where a block of keys begins: the largest score of each query there, and exp(scores - top).
Exponentials = dict[int, tuple[np.ndarray, np.ndarray]]


def is_factored(pattern: Difference) -> bool:
    """Whether both are factors in numpy under one rule: what `furthest_in_cells` can pool."""
    rules = [(x.causal_rule, x.window, x.offset) for x in (pattern.a, pattern.b) if type(x) is Factored]
    return len(rules) == 2 and rules[0] == rules[1]


def furthest_in_cells(
    out: np.ndarray, pattern: Difference, head: int, rows: slice, cols: np.ndarray, columns: np.ndarray | None = None
) -> Iterator[None]:
    """Fill in the entry furthest from 0 of each query within each range of keys, a little at a time; NaN wins.

    Memory is a block of queries' exponentials, of both, until the normalisers are kept; then it is a block of keys, too.

    Args:
        out: ``[query, col]`` float32, whole once all is done.
        pattern: What `is_factored`.
        head: Which head.
        rows: The queries.
        cols: Edges of the ranges, increasing.
        columns: ``[key]``, a factor for each key.
    """
    head = range(pattern.shape[0])[head]
    both = pattern.a, pattern.b
    out[...] = 0
    first = rows.start
    while first < rows.stop:
        block = first // BLOCK
        whole = slice(block * BLOCK, min((block + 1) * BLOCK, pattern.shape[1]))
        stop = min(rows.stop, whole.stop)
        here = slice(first - whole.start, stop - whole.start)
        known: list[Exponentials] = []
        for each in both:
            known.append((yield from _normalised(each, head, block, whole)))
        for keys in pattern.a.key_blocks(whole):
            if keys.stop <= cols[0] or keys.start >= cols[-1]:
                continue
            mine, others = (
                _weights(x, head, block, whole, keys, own)[here] for x, own in zip(both, known, strict=True)
            )
            mine -= others
            if columns is not None:
                mine *= columns[keys].astype(np.float32)
            _pool(out[first - rows.start : stop - rows.start], mine, keys, cols)
            yield
        first = stop


def _normalised(pattern: Factored, head: int, block: int, whole: slice) -> Generator[None, None, Exponentials]:
    """Make the normaliser of a block, and return what was made for it; nothing where it is there already."""
    found: Exponentials = {}
    if pattern.knows(head, block):
        return found
    blocks = pattern.key_blocks(whole)
    left = blocks[0].start
    # One array for all of them: 32 MB in large pages are there sooner than 32 times 1 MB in small ones.
    every = np.empty((whole.stop - whole.start, blocks[-1].stop - left), np.float32)
    merged = None
    for keys in blocks:
        scores = pattern.scores(head, whole, keys)
        top, weights = found[keys.start] = _exponentials(scores, every[:, keys.start - left : keys.stop - left])
        part = top, weights.sum(axis=-1, keepdims=True)
        merged = part if merged is None else pattern.merged(merged, part)
        yield
    assert merged is not None  # there is a key, or the shapes would not have been accepted
    pattern.keep(head, block, merged)
    return found


def _weights(pattern: Factored, head: int, block: int, whole: slice, keys: slice, known: Exponentials) -> np.ndarray:
    """Weights of a block of queries for a block of keys; they may be overwritten."""
    top, total = pattern.normaliser(head, block)
    own, weights = known.get(keys.start) or _exponentials(pattern.scores(head, whole, keys))
    weights *= np.exp(own - top) / total
    return weights


def _exponentials(scores: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The largest score of each row, and ``exp(scores - top)``; 0 where all are -inf. Scores may be overwritten."""
    top = scores.max(axis=-1, keepdims=True)
    scores -= np.where(top == -np.inf, np.float32(0), top)
    return top, np.exp(scores, out=scores if out is None else out)


def _pool(found: np.ndarray, less: np.ndarray, keys: slice, cols: np.ndarray) -> None:
    """Pool a block of keys into the cells that it has a part in."""
    low, high = max(keys.start, int(cols[0])), min(keys.stop, int(cols[-1]))
    inside = less[:, low - keys.start : high - keys.start]
    part_of, begins = cells_of(low, high, cols)
    cells = found[:, part_of]
    for rule in (np.maximum, np.minimum):
        cells[...] = _further(cells, pooled(rule, inside, begins))


def _further(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whichever is further from 0; NaN wins."""
    return np.where(np.isnan(a) | (np.abs(a) >= np.abs(b)), a, b)
