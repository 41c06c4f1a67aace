"""What one head does, as numbers: the one place where they are computed, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

SCORES = ("entropy", "distance", "previous", "current", "first", "duplicate", "induction")
BLOCK = 256


def head_scores(
    blocks: Iterable[tuple[int, np.ndarray]],
    *,
    causal: bool,
    same_tokens: bool = True,
    ids: np.ndarray | None = None,
    with_first: bool = True,
) -> np.ndarray:
    """Scores of one head of probabilities; each is a mean over the queries that it has a meaning for.

    Rows of zeros (padding) do not count, and neither does the first query of a causal head, which has only itself to read.

    Args:
        blocks: Index of the first query and rows ``[query, key]``, finite; together the whole head, in order.
        causal: Whether key > query is masked.
        same_tokens: Whether queries and keys are the same tokens.
        ids: The tokens ``[position]`` as integers, equal where the tokens are; without them there is no score of
            duplicates and of induction.
        with_first: False takes the first key out and divides each row by what is left of it; rows of which less than a
            thousandth is left do not count.

    Returns:
        ``[7]`` float64, in the order of `SCORES`: entropy of a row in nats; Σ p·|query − key| in tokens; weight on the
        token before, on the token itself, on the first key, on earlier copies of the token, on the tokens after earlier
        copies of it. NaN where a number has no meaning.
    """
    rows: list[np.ndarray] = []
    for start, weights in blocks:
        weights = weights if with_first else _without_first(weights)
        query = np.arange(start, start + len(weights))
        counts = weights.sum(axis=1) > 0
        if causal:
            counts &= (query > 0) | (weights.shape[1] == 1)
        found = np.full((len(SCORES), len(weights)), np.nan)
        log = np.log(np.maximum(weights, np.finfo(weights.dtype).tiny))
        found[0] = -np.einsum("qk,qk->q", weights, log)
        found[4] = weights[:, 0] if with_first else np.nan
        if same_tokens:
            _where(weights, query, found)
            if ids is not None:
                _copies(weights, query, ids, found)
        rows.append(found[:, counts])
    every = np.concatenate(rows, axis=1) if rows else np.empty((len(SCORES), 0))
    known = ~np.isnan(every)
    total, n = np.where(known, every, 0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, n, out=np.full(len(SCORES), np.nan), where=n > 0)


def blocks_of(weights: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """A head that is here as a whole, ``[query, key]``, in blocks."""
    return ((start, weights[start : start + BLOCK]) for start in range(0, len(weights), BLOCK))


def _without_first(weights: np.ndarray) -> np.ndarray:
    rest = weights[:, 1:].sum(axis=1, dtype=np.float64)
    weights = weights / np.where(rest > 1e-3, rest, np.inf).astype(weights.dtype)[:, None]
    weights[:, 0] = 0
    return weights


def _where(weights: np.ndarray, query: np.ndarray, found: np.ndarray) -> None:
    """How far away is read, and what of it next door."""
    key = np.arange(weights.shape[1], dtype=weights.dtype)
    found[1] = np.einsum("qk,qk->q", weights, np.abs(query.astype(weights.dtype)[:, None] - key))
    inside = query < weights.shape[1]
    row = np.arange(len(weights))
    found[3, inside] = weights[row[inside], query[inside]]
    before = inside & (query > 0)
    found[2, before] = weights[row[before], query[before] - 1]


def _copies(weights: np.ndarray, query: np.ndarray, ids: np.ndarray, found: np.ndarray) -> None:
    """What is read of earlier copies of the token, and of what followed them."""
    key = np.arange(weights.shape[1])
    earlier = (ids[query][:, None] == ids[None, :]) & (key < query[:, None])  # [query, key]
    after = np.zeros_like(earlier)
    after[:, 1:] = earlier[:, :-1]
    for index, mask in ((5, earlier), (6, after)):
        some = mask.any(axis=1)
        found[index, some] = np.einsum("qk,qk->q", weights[some], mask[some].astype(weights.dtype))
