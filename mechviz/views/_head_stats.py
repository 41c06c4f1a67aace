"""What is said about one head as a whole, from the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from mechviz.pattern import pool

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
        peak: Largest size of a finite weight; under a causal mask the first query, which has only itself to read, aside.
        finite: No weight is NaN or infinite.
        defined: The same, but for rows that are NaN throughout: a softmax over nothing, as of padding.
        nan: How many weights are NaN.
        row_sums: Smallest and largest sum of a row that is not NaN throughout.
        thumb: The head, pooled to a thumbnail.
    """

    low: float
    high: float
    peak: float
    finite: bool
    nan: int
    row_sums: tuple[float, float]
    thumb: np.ndarray
    defined: bool = True

    @property
    def probabilities(self) -> bool:
        """Whether its rows can be probabilities: within 0 … 1, with sums of at most 1."""
        within = self.defined and self.low >= 0 and self.high <= 1 + _ONE_SLACK
        return within and self.row_sums[1] <= 1 + _ROW_SLACK


# What can be said of a softmax before its weights are seen.
PROBABLE = [Summary(low=0.0, high=1.0, finite=True, nan=0, row_sums=(0.0, 1.0), thumb=np.zeros((1, 1)), peak=1.0)]

# What can be said of a difference of two: anything from −1 to 1.
DIFFERENT = [Summary(low=-1.0, high=1.0, finite=True, nan=0, row_sums=(0.0, 0.0), thumb=np.zeros((1, 1)), peak=1.0)]


def summarise(weights: np.ndarray, *, causal: bool, thumb: int, rule: str | None = None) -> Summary:
    """Look at one head, ``[query, key]``; under a causal mask only at key <= query.

    Args:
        weights: ``[query, key]``.
        causal: Whether key > query is masked.
        thumb: Cells to a side of the thumbnail.
        rule: How it is pooled; by default "absmax" where there are negative weights.
    """
    if causal and any(part.any() for part in above_diagonal(weights)):
        weights = np.tril(weights)  # -inf and the like stand where the mask is
    weights = weights.astype(np.float32, copy=False) if weights.dtype.itemsize < 4 else weights
    low, high = float(weights.min()), float(weights.max())
    finite = bool(np.isfinite(low) and np.isfinite(high))
    nan, defined, rows = 0, True, weights
    if not finite:
        numbers = weights[np.isfinite(weights)]
        low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
        nan = int(np.isnan(weights).sum())
        rows = weights[~undefined_rows(weights, causal=causal)]
        defined = bool(np.isfinite(rows).all())
    with np.errstate(over="ignore", invalid="ignore"):
        sums = rows.sum(axis=1) if len(rows) else np.zeros(1)
    return Summary(
        low=low,
        high=high,
        peak=_peak(weights[1:] if causal and len(weights) > 1 else weights, finite),
        finite=finite,
        defined=defined,
        nan=nan,
        row_sums=(float(sums.min()), float(sums.max())),
        # Zeros above the diagonal are larger than no weight of 0 or more.
        thumb=pool(weights, thumb, rule=rule or ("max" if low >= 0 else "absmax"), causal=causal and low < 0),
    )


def _peak(weights: np.ndarray, finite: bool) -> float:
    numbers = weights if finite else weights[np.isfinite(weights)]
    return float(max(numbers.max(), -numbers.min())) if numbers.size else 0.0


def undefined_rows(weights: np.ndarray, *, causal: bool) -> np.ndarray:
    """Which rows of ``[query, key]`` are NaN throughout; under a causal mask at key <= query."""
    missing = np.isnan(weights)
    return missing[:, 0] & (missing | ~np.tri(*weights.shape, dtype=bool) if causal else missing).all(axis=1)


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
