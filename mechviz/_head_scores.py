"""What one head does, as numbers: the one place where they are computed, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .arrays import to_numpy
from .pattern import Dense, Pattern
from .text import Tokens

SCORES = ("entropy", "distance", "previous", "current", "first", "duplicate", "induction")
# Weights at a time: in float64 with what is made of them some 64 MB, however long the text is.
CELLS = 1 << 21
# Without the first key a row is divided by what is left of it; rows of which less is left do not count.
LEFT = 1e-3


def head_scores(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    causal: bool,
    same_tokens: bool = True,
    ids: np.ndarray | None = None,
) -> np.ndarray:
    """Scores of heads of probabilities; each is a mean over the queries that it has a meaning for.

    Rows of zeros (padding) do not count, and neither does the first query of a causal head, which has only itself to read.

    Args:
        blocks: Indices of queries ``[query]`` and their rows ``[..., query, key]``, finite.
        causal: Whether key > query is masked.
        same_tokens: Whether queries and keys are the same tokens.
        ids: The tokens ``[position]`` as integers, equal where the tokens are; without them there is no score of
            duplicates and of induction.

    Returns:
        ``[2, 7, ...]`` float64: with the first key, and without it (rows divided by what is left of them; those of which
        less than a thousandth is left do not count); in the order of `SCORES`: entropy of a row in nats; Σ p·|query − key|
        in tokens; weight on the token before, on the token itself, on the first key, on earlier copies of the token, on
        the tokens after earlier copies of it. NaN where a number has no meaning.
    """
    total: np.ndarray | None = None
    count: np.ndarray | None = None
    for query, weights in blocks:
        found = _rows(np.asarray(weights, np.float64), query, causal, same_tokens, ids)  # [2, 7, ..., query]
        known = ~np.isnan(found)
        sums, counts = np.where(known, found, 0).sum(axis=-1), known.sum(axis=-1)
        total, count = (sums, counts) if total is None or count is None else (total + sums, count + counts)
    if total is None or count is None:
        return np.full((2, len(SCORES)), np.nan)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def scores_of(
    pattern: Pattern,
    *,
    same_tokens: bool = True,
    ids: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    causal: bool | None = None,
) -> np.ndarray:
    """Scores of all heads of a layer, ``[2, 7, head]`` (see `head_scores`), with memory for one block of rows.

    Args:
        pattern: One layer; where it is causal by its rule or by `causal`, what lies above the diagonal is not read.
        same_tokens: Whether queries and keys are the same tokens.
        ids: The tokens as integers.
        queries: Read these queries only.
        causal: Whether key > query is masked; by default what the pattern says.
    """
    heads, length, keys = pattern.shape
    chosen = np.arange(length) if queries is None else np.asarray(queries)
    causal = pattern.causal if causal is None else causal
    given = {"causal": causal, "same_tokens": same_tokens and length == keys, "ids": ids if length == keys else None}
    if isinstance(pattern, Dense):  # several heads at once: of short texts there are many
        together = max(1, CELLS // (length * keys))
        parts = [
            head_scores(_blocks_of(pattern.array[first : first + together], chosen, causal), **given)
            for first in range(0, heads, together)
        ]
        return np.concatenate(parts, axis=2)
    return np.stack([head_scores(_blocks(pattern, head, chosen), **given) for head in range(heads)], axis=2)


def numbers_of(tokens: Tokens) -> np.ndarray:
    """Integers that are equal where the tokens are: their ids, else of their labels."""
    if tokens.ids is not None:
        return np.asarray(tokens.ids)
    return np.unique(np.asarray(tokens.label, dtype=object).astype(str), return_inverse=True)[1]


def sample(length: int, size: int) -> np.ndarray:
    """So many queries, evenly spaced, the last among them; all where there are no more."""
    return np.arange(length) if size >= length else np.linspace(length / size - 1, length - 1, size).round().astype(int)


def _blocks_of(weights: np.ndarray, queries: np.ndarray, causal: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    heads, _, keys = weights.shape
    step = max(1, CELLS // (heads * keys))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        rows = weights[:, block]
        # -inf and the like stand where the mask is
        yield block, np.where(np.arange(keys) <= block[:, None], rows, 0) if causal else rows


def _blocks(pattern: Pattern, head: int, queries: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = max(1, CELLS // pattern.shape[2])
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        yield block, to_numpy(pattern.rows(head, block), name="pattern")


def _rows(
    weights: np.ndarray, query: np.ndarray, causal: bool, same_tokens: bool, ids: np.ndarray | None
) -> np.ndarray:
    """Scores of every row, ``[2, 7, ..., query]``; NaN where a row has none, or does not count."""
    found = np.full((2, len(SCORES), *weights.shape[:-1]), np.nan)
    first, rest = weights[..., 0], weights[..., 1:]
    left = rest.sum(axis=-1)
    whole = first + left

    def put(
        name: str, of_first: np.ndarray | float, of_rest: np.ndarray, rows: np.ndarray | slice = slice(None)
    ) -> None:
        """A sum of weights: its part of the first key, and of the others."""
        i = SCORES.index(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[0, i][..., rows] = of_first + of_rest
            found[1, i][..., rows] = of_rest / left[..., rows]

    surprise = -(rest * _log(rest)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[0, 0] = surprise - first * _log(first)
        found[1, 0] = surprise / left + np.log(left)  # of rest / left
    found[0, SCORES.index("first")] = first
    if same_tokens:
        key = np.arange(weights.shape[-1])
        put(
            "distance", first * query, np.einsum("...qk,qk->...q", rest, np.abs(query[:, None] - key[1:]).astype(float))
        )
        row = np.arange(len(query))
        here = weights[..., row, query]
        put("current", np.where(query == 0, first, 0), np.where(query == 0, 0, here))
        later = query > 0
        before = weights[..., row[later], query[later] - 1]
        at_first = query[later] == 1
        put("previous", np.where(at_first, before, 0), np.where(at_first, 0, before), later)
        if ids is not None:
            earlier = (ids[query][:, None] == ids) & (key < query[:, None])  # [query, key]
            some = earlier.any(axis=1)
            copies = earlier[some].astype(float)
            put("duplicate", first[..., some] * copies[:, 0], _on(rest[..., some, :], copies[:, 1:]), some)
            put("induction", 0.0, _on(rest[..., some, :], copies[:, :-1]), some)
    counts = whole > 0
    if causal and weights.shape[-1] > 1:
        counts &= query > 0
    found[0, :, ~counts] = np.nan
    found[1, :, ~(counts & (left > LEFT))] = np.nan
    return found


def _on(weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.einsum("...qk,qk->...q", weights, mask)


def _log(weights: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(weights, np.finfo(np.float64).tiny))
