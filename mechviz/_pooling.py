"""Pooling a matrix to a picture's size, and the operations whose spelling differs between numpy and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .arrays import to_numpy


class NumpyOps:
    """The few operations whose spelling differs between numpy and torch."""

    where: ClassVar[Callable[..., Any]] = staticmethod(np.where)
    exp: ClassVar[Callable[..., Any]] = staticmethod(np.exp)
    tanh: ClassVar[Callable[..., Any]] = staticmethod(np.tanh)
    maximum: ClassVar[Callable[..., Any]] = staticmethod(np.maximum)

    @staticmethod
    def real(x: Any, *, name: str) -> Any:
        """Any array, checked."""
        return to_numpy(x, name=name)

    @staticmethod
    def float32(x: Any) -> Any:
        """As float32, without a copy where it is already."""
        return np.asarray(x, dtype=np.float32)

    @staticmethod
    def positions(count: int, like: Any) -> Any:
        """0, 1, … count - 1, where ``like`` lives."""
        return np.arange(count)

    @staticmethod
    def filled(shape: tuple[int, ...], value: float, like: Any) -> Any:
        """A float32 array of one value, where ``like`` lives."""
        return np.full(shape, value, dtype=np.float32)

    @staticmethod
    def above_diagonal(x: Any) -> Any:
        """``[query, key]`` with everything at key <= query set to 0."""
        return np.triu(x, 1)

    @staticmethod
    def amax(x: Any, axes: tuple[int, ...]) -> Any:
        """Largest entry over ``axes``; NaN wins."""
        return x.max(axis=axes)

    @staticmethod
    def softmax_parts(x: Any) -> tuple[Any, Any]:
        """``(top, Σ exp(x - top))`` over the last axis, kept as an axis of length 1; ``(-inf, 0)`` where all is -inf.

        ``x`` may be overwritten.
        """
        top = x.max(axis=-1, keepdims=True)
        x -= np.where(top == -np.inf, np.float32(0), top)
        return top, np.exp(x, out=x).sum(axis=-1, keepdims=True)


def pool(array: Any, size: int, *, rule: str = "max", causal: bool = False, ops: Any = NumpyOps) -> Any:
    """Shrink ``[query, key]`` to at most ``size`` cells a side by pooling equal squares of entries.

    A square has ``step = ceil(max(query, key) / size)`` entries a side; the last ones may be smaller. Nothing is sampled: the
    largest entry of the array is in the picture. A square that holds NaN is NaN.

    Args:
        array: ``[query, key]``.
        size: Most cells a side, >= 1.
        rule: "max", or "absmax": the entry furthest from 0, with its sign.
        causal: What lies above the diagonal takes no part: whatever stands there is larger than no negative entry. Squares
            that lie wholly above it are infinite.
        ops: `NumpyOps`, or its twin for another library.

    Returns:
        ``[ceil(query / step), ceil(key / step)]``.

    Raises:
        ValueError: An unknown rule, or a size below 1.
    """
    if rule not in ("max", "absmax"):
        raise ValueError(f'rule must be "max" or "absmax"; got {rule!r}')
    if size < 1:
        raise ValueError(f"size must be >= 1; got {size}")
    rows, cols = array.shape
    step = -(-max(rows, cols) // size)
    if step <= 1:
        return array
    down, across = -(-rows // step), -(-cols // step)
    seen = ops.positions(rows, array)[:, None] >= ops.positions(cols, array) if causal else None  # [query, key]

    def largest(x: Any) -> Any:
        padded = ops.filled((down * step, across * step), -float("inf"), like=x)
        padded[:rows, :cols] = x if seen is None else ops.where(seen, x, -float("inf"))
        return ops.amax(padded.reshape(down, step, across, step), (1, 3))  # [down, across]

    high = largest(array)
    if rule == "max":
        return high
    low = -largest(-array)
    return ops.where(abs(low) > abs(high), low, high)
