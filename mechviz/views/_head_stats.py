"""What is said about one head as a whole, from the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from mechviz._head_scores import SCORES, blocks_of, head_scores
from mechviz.pattern import pool

STATISTICS = ("entropy", "distance", "previous token", "first token")

# A row of probabilities sums to 1, of bfloat16 to within about 1 %; to less where a sink takes a part.
_ROW_SLACK = 0.02
# exp(score − log Σ exp) may come out a rounding above 1.
_ONE_SLACK = 1e-4
_BLOCK = 256


@dataclass(frozen=True)
class Summary:
    """One head at a glance.

    Attributes:
        low: Smallest finite weight within the mask (0 if there is none).
        high: Largest finite weight.
        finite: No weight is NaN or infinite.
        nan: How many weights are NaN.
        row_sums: Smallest and largest sum of a row.
        thumb: The head, pooled to a thumbnail.
        statistics: `statistics` of the head; NaN where its rows cannot be probabilities.
    """

    low: float
    high: float
    finite: bool
    nan: int
    row_sums: tuple[float, float]
    thumb: np.ndarray
    statistics: np.ndarray

    @property
    def probabilities(self) -> bool:
        """Whether its rows can be probabilities: within 0 … 1, with sums of at most 1."""
        within = self.finite and self.low >= 0 and self.high <= 1 + _ONE_SLACK
        return within and self.row_sums[1] <= 1 + _ROW_SLACK


def summarise(
    weights: np.ndarray, *, causal: bool, thumb: int, rule: str | None = None, same_tokens: bool = True
) -> Summary:
    """Look at one head, ``[query, key]``; under a causal mask only at key <= query.

    Args:
        weights: ``[query, key]``.
        causal: Whether key > query is masked.
        thumb: Cells to a side of the thumbnail.
        rule: How it is pooled; by default "absmax" where there are negative weights.
        same_tokens: Whether queries and keys are the same tokens.
    """
    if causal and any(part.any() for part in above_diagonal(weights)):
        weights = np.tril(weights)  # -inf and the like stand where the mask is
    weights = weights.astype(np.float32, copy=False) if weights.dtype.itemsize < 4 else weights
    low, high = float(weights.min()), float(weights.max())
    finite = bool(np.isfinite(low) and np.isfinite(high))
    nan = 0
    if not finite:
        numbers = weights[np.isfinite(weights)]
        low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
        nan = int(np.isnan(weights).sum())
    with np.errstate(over="ignore", invalid="ignore"):
        sums = weights.sum(axis=1)
    found = Summary(
        low=low,
        high=high,
        finite=finite,
        nan=nan,
        row_sums=(float(sums.min()), float(sums.max())),
        # Zeros above the diagonal are larger than no weight of 0 or more.
        thumb=pool(weights, thumb, rule=rule or ("max" if low >= 0 else "absmax"), causal=causal and low < 0),
        statistics=np.full(len(STATISTICS), np.nan),
    )
    if found.probabilities:
        found.statistics[:] = statistics(weights, causal=causal, same_tokens=same_tokens)
    return found


def statistics(weights: np.ndarray, *, causal: bool, same_tokens: bool = True) -> np.ndarray:
    """Entropy, distance, previous token and first token of one head of probabilities.

    Each is a mean over queries: the entropy of a row in nats; how many tokens away a query reads, Σ p·|query − key|;
    its weight on the token before it (from the second query on); its weight on the first key. Rows of zeros (padding)
    do not count, and neither does the first query of a causal head, which has only itself to read.

    Args:
        weights: ``[query, key]``, finite.
        causal: Whether key > query is masked.
        same_tokens: Whether queries and keys are the same tokens.

    Returns:
        ``[4]`` float64, in the order of `STATISTICS`. NaN where a number has no meaning: distance and previous token
        where queries and keys are not the same tokens, and everything where no row counts.
    """
    queries, keys = weights.shape
    found = head_scores(blocks_of(weights), causal=causal, same_tokens=same_tokens and queries == keys)
    return found[[SCORES.index(name) for name in ("entropy", "distance", "previous", "first")]]


def above_diagonal(weights: np.ndarray) -> Iterator[np.ndarray]:
    """What a causal mask leaves out of ``[query, key]``, in parts."""
    for start in range(0, len(weights), _BLOCK):
        corner = weights[start : start + _BLOCK, start : start + _BLOCK]
        yield corner[_upper(*corner.shape)]
        yield weights[start : start + _BLOCK, start + _BLOCK :]


@cache
def _upper(rows: int, cols: int) -> np.ndarray:
    """Mask of what lies above the diagonal of a block."""
    return np.triu(np.ones((rows, cols), bool), 1)
