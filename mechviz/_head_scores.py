"""What one head does, as numbers: the one place where they are computed, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ._patches import places as _places
from .arrays import to_numpy
from .pattern import Dense, Pattern
from .text import Tokens

SCORES = ("entropy", "distance", "previous", "current", "first", "duplicate", "induction")
# Where some tokens are patches of an image.
PATCH_SCORES = ("patch_row", "patch_column", "patch_distance")
# Weights at a time: with what is made of them some 64 MB, however long the text is.
CELLS = 1 << 21
# Without the first key a row is divided by what is left of it; rows of which less is left do not count.
LEFT = 1e-3


def head_scores(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    causal: bool,
    same_tokens: bool = True,
    ids: np.ndarray | None = None,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """Scores of heads of probabilities; each is a mean over the queries that it has a meaning for.

    Rows of zeros (padding) do not count, and neither does the first query of a causal head, which has only itself to read.

    Args:
        blocks: Indices of queries ``[query]`` and their rows ``[..., query, key]``, finite.
        causal: Whether key > query is masked.
        same_tokens: Whether queries and keys are the same tokens.
        ids: The tokens ``[position]`` as integers, equal where the tokens are; without them there is no score of
            duplicates and of induction.
        places: Image, row and column of every token, ``[position, 3]``, −1 where it is no patch of an image; with it there
            are scores of patches.

    Returns:
        ``[2, 7, ...]`` float64, ``[2, 10, ...]`` with `places`: with the first key, and without it (rows divided by what is left of them; those of which
        less than a thousandth is left do not count); in the order of `SCORES`: entropy of a row in nats; Σ p·|query − key|
        in tokens; weight on the token before, on the token itself, on the first key, on earlier copies of the token, on
        the tokens after earlier copies of it; of queries that are patches, weight on the same row and on the same column
        of their image, and the mean distance of the patches of their image that they read, in patches. NaN where a number
        has no meaning.
    """
    names = names_of(places)
    total: np.ndarray | None = None
    count: np.ndarray | None = None
    for query, weights in blocks:
        weights = weights if weights.dtype == np.float64 else np.asarray(weights, np.float32)
        found = _rows(weights, query, causal, same_tokens, ids)  # [2, 7, ..., query]
        if places is not None:
            found = np.concatenate([found, _patch_rows(weights, query, found, places)], axis=1)
        known = ~np.isnan(found)
        sums, counts = np.where(known, found, 0).sum(axis=-1), known.sum(axis=-1)
        total, count = (sums, counts) if total is None or count is None else (total + sums, count + counts)
    if total is None or count is None:
        return np.full((2, len(names)), np.nan)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def scores_of(
    pattern: Pattern,
    *,
    same_tokens: bool = True,
    ids: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    causal: bool | None = None,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """Scores of all heads of a layer, ``[2, 7, head]`` or ``[2, 10, head]`` (see `head_scores`), with memory for one block of rows.

    Args:
        pattern: One layer; where it is causal by its rule or by `causal`, what lies above the diagonal is not read.
        same_tokens: Whether queries and keys are the same tokens.
        ids: The tokens as integers.
        queries: Read these queries only.
        causal: Whether key > query is masked; by default what the pattern says.
        places: Which tokens are patches of images, and where in them.
    """
    _, length, keys = pattern.shape
    chosen = np.arange(length) if queries is None else np.asarray(queries)
    causal = pattern.causal if causal is None else causal
    same = same_tokens and length == keys
    given = {"causal": causal, "same_tokens": same, "ids": ids if length == keys else None, "places": places}
    if places is not None and not same:
        given["places"] = np.full((length, 3), -1)  # the scores are there, and NaN
    # All heads at once: what is asked of a row is worked out once for all of them.
    blocks = _blocks_of(pattern.array, chosen, causal) if isinstance(pattern, Dense) else _blocks(pattern, chosen)
    return head_scores(blocks, **given)


def numbers_of(tokens: Tokens) -> np.ndarray:
    """Integers that are equal where the tokens are: their ids, else of their labels."""
    if tokens.ids is not None:
        return np.asarray(tokens.ids)
    return np.unique(np.asarray(tokens.label, dtype=object).astype(str), return_inverse=True)[1]


def names_of(places: np.ndarray | None) -> tuple[str, ...]:
    """The names of the scores that there are."""
    return SCORES if places is None else SCORES + PATCH_SCORES


def places_of(tokens: Tokens) -> np.ndarray | None:
    """Which tokens are patches, and where in their image; None where none is."""
    return _places(tokens.patches, len(tokens)) if tokens.patches else None


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


def _blocks(pattern: Pattern, queries: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    heads, _, keys = pattern.shape
    step = max(1, CELLS // (heads * keys))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        yield block, np.stack([to_numpy(pattern.rows(head, block), name="pattern") for head in range(heads)])


def _rows(
    weights: np.ndarray, query: np.ndarray, causal: bool, same_tokens: bool, ids: np.ndarray | None
) -> np.ndarray:
    """Scores of every row, ``[2, 7, ..., query]``; NaN where a row has none, or does not count."""
    shape = weights.shape[:-1]
    heads = weights.reshape(-1, *weights.shape[-2:])  # [head, query, key]
    found = np.full((2, len(SCORES), *heads.shape[:2]), np.nan)
    key, first = np.arange(heads.shape[2]), heads[:, :, 0].astype(np.float64)
    names, masks = ["left"], [np.ones((len(query), len(key)), bool)]  # each [query, key]
    some = np.zeros(len(query), bool)
    if same_tokens:
        names, masks = (
            [*names, "distance"],
            [*masks, np.abs(query.astype(heads.dtype)[:, None] - key.astype(heads.dtype))],
        )
        if ids is not None:
            earlier = (ids[query][:, None] == ids) & (key < query[:, None])
            after = np.zeros_like(earlier)
            after[:, 1:] = earlier[:, :-1]
            names, masks, some = [*names, "duplicate", "induction"], [*masks, earlier, after], earlier.any(axis=1)
    together = np.empty((*masks[0].shape, len(masks)), heads.dtype)
    for i, mask in enumerate(masks):
        together[:, :, i] = mask
    of_first, of_rest = _sums(heads, together)
    sums = dict(zip(names, zip(of_first, of_rest, strict=True), strict=True))  # each [head, query], twice
    left = sums.pop("left")[1]

    def put(name: str, of_first: np.ndarray, of_rest: np.ndarray, rows: np.ndarray) -> None:
        """A sum of weights: its part of the first key, and of the others."""
        i = SCORES.index(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[0, i][:, rows] = (of_first + of_rest)[:, rows]
            found[1, i][:, rows] = (of_rest / left)[:, rows]

    rest = heads[:, :, 1:]
    surprise = -np.einsum("hqk,hqk->hq", rest, _log(rest)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[0, 0] = surprise - first * _log(first)
        found[1, 0] = surprise / left + np.log(left)  # of rest / left
    found[0, SCORES.index("first")] = first
    if same_tokens:
        for name, parts in sums.items():
            put(name, *parts, some if name in ("duplicate", "induction") else np.ones(len(query), bool))
        for name, at in (("current", query), ("previous", query - 1)):
            one = np.take_along_axis(heads, np.maximum(at, 0)[None, :, None], axis=2)[:, :, 0].astype(np.float64)
            put(name, np.where(at == 0, one, 0), np.where(at == 0, 0, one), at >= 0)
    counts = first + left > 0
    if causal and len(key) > 1:
        counts &= query > 0
    found[0, :, ~counts] = np.nan
    found[1, :, ~(counts & (left > LEFT))] = np.nan
    return found.reshape(2, len(SCORES), *shape)


def _patch_rows(weights: np.ndarray, query: np.ndarray, found: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The scores of patches, ``[2, 3, ..., query]``; NaN where the query is none, or its row does not count."""
    shape = weights.shape[:-1]
    heads = weights.reshape(-1, *weights.shape[-2:])  # [head, query, key]
    scores = np.full((2, len(PATCH_SCORES), *heads.shape[:2]), np.nan)
    (image, row, column), own = places.T, places[query].T[:, :, None]
    rows = own[0, :, 0] >= 0
    if rows.any():
        same = (own[0] == image) & rows[:, None]  # [query, key]
        apart = np.hypot(own[1] - row, own[2] - column)
        masks = (np.ones_like(same), same & (own[1] == row), same & (own[2] == column), same * apart, same)
        together = np.stack([mask.astype(heads.dtype) for mask in masks], axis=-1)
        of_first, of_rest = _sums(heads, together)
        for k, (sums, left) in enumerate(((of_first + of_rest, 1.0), (of_rest, of_rest[0]))):
            with np.errstate(divide="ignore", invalid="ignore"):
                scores[k, :2] = sums[1:3] / left
                # The mean over what is read of the image: text has no distance from it.
                scores[k, 2] = np.where(sums[4] > LEFT * left, sums[3] / sums[4], np.nan)
    scores[:, :, :, ~rows] = np.nan
    scores[np.broadcast_to(np.isnan(found[:, :1]).reshape(2, 1, *heads.shape[:2]), scores.shape)] = np.nan
    return scores.reshape(2, len(PATCH_SCORES), *shape)


def _sums(heads: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ over keys of weights under masks ``[query, key, mask]``: of the first key and of the others, ``[mask, head, query]``."""
    of_first = heads[:, :, 0, None].astype(np.float64) * masks[:, 0]  # [head, query, mask]
    masks[:, 0] = 0
    # One product for all masks and heads: weights are read once.
    of_rest = np.matmul(heads.transpose(1, 0, 2), masks).transpose(1, 0, 2).astype(np.float64)
    return of_first.transpose(2, 0, 1), of_rest.transpose(2, 0, 1)


def _log(weights: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(weights, np.finfo(weights.dtype).tiny))
