"""Attention probabilities, one layer at a time: *dense* (an array) or *factored* (queries, keys and what the softmax needs).

Both answer the same few questions (`Pattern`), so that a view never needs the whole ``[head, query, key]`` array of a long
text. "Query" is the destination, "key" the source. Here it is numpy; `mechviz.models` subclasses `Factored` for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ._as_array import as_array
from ._difference import Difference, PatternBase
from ._factored import Factored, head_names, row_index
from ._layered import Layered, Unavailable
from ._pooling import NumpyOps, pool
from .arrays import to_numpy

__all__ = ["Dense", "Difference", "Factored", "Pattern", "PatternStack", "Unavailable", "pool"]


@runtime_checkable
class Pattern(Protocol):
    """The attention probabilities of one layer; every array it returns is float32, of numpy or torch."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(head, query, key)``."""
        ...

    @property
    def causal(self) -> bool:
        """Whether every entry with key > query is exactly 0."""
        ...

    @property
    def names(self) -> tuple[str, ...] | None:
        """The heads' names, if they have any."""
        ...

    def head(self, head: int) -> Any:
        """One head, ``[query, key]``."""
        ...

    def dense(self) -> Any:
        """All of it, ``[head, query, key]``."""
        ...

    def tile(self, head: int, rows: slice, cols: slice) -> Any:
        """The part ``[rows, cols]`` of one head."""
        ...

    def rows(self, head: int, queries: Any) -> Any:
        """Whole rows of one head, ``[len(queries), key]``."""
        ...

    def overview(self, head: int, size: int) -> Any:
        """One head with at most ``size`` cells a side, each pooled from a square of entries."""
        ...


class ArrayPattern(PatternBase):
    """What a pattern held as an array answers, in any library; `Dense` is numpy's."""

    ops: ClassVar[Any] = NumpyOps

    def __init__(self, array: Any, *, causal: bool | None = None, names: Sequence[str] | None = None) -> None:
        self.array = self.ops.real(array, name="pattern")
        if self.array.ndim != 3:
            raise ValueError(f"pattern must have shape (head, query, key); got {self.array.shape}")
        self.shape: tuple[int, int, int] = tuple(self.array.shape)
        self.causal = self._is_causal() if causal is None else causal
        self.names = head_names(names, self.shape[0])

    def _is_causal(self) -> bool:
        _, queries, keys = self.shape
        above = self.ops.above_diagonal
        return queries == keys and not any(bool(above(self.array[h]).any()) for h in range(self.shape[0]))

    @property
    def pooling(self) -> str:
        """The rule of `overview`: "max", or "absmax" when there are negative entries."""
        return "absmax" if bool((self.array < 0).any()) else "max"

    def head(self, head: int) -> Any:
        """One head, ``[query, key]``."""
        return self.ops.float32(self.array[head])

    def dense(self) -> Any:
        """All of it, ``[head, query, key]``."""
        return self.ops.float32(self.array)

    def tile(self, head: int, rows: slice, cols: slice) -> Any:
        """The part ``[rows, cols]`` of one head."""
        return self.head(head)[rows, cols]

    def rows(self, head: int, queries: Any) -> Any:
        """Whole rows of one head, ``[len(queries), key]``."""
        return self.head(head)[row_index(queries, self.shape[1])]

    def overview(self, head: int, size: int) -> Any:
        """One head with at most ``size`` cells a side, pooled by `pooling`."""
        return pool(self.head(head), size, rule=self.pooling, ops=self.ops)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return as_array(to_numpy(self.array, name="pattern"), dtype, copy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}{', causal' if self.causal else ''})"


class Dense(ArrayPattern):
    """Attention probabilities (or any number per head, query and key) given as an array.

    Args:
        array: ``[head, query, key]``, anything `mechviz.arrays.to_numpy` takes. NaN and signed values are allowed.
        causal: Whether entries with key > query are all exactly 0; found out from the array when None.
        names: A name per head.

    Raises:
        ValueError: Not three axes, or a wrong number of names.

    Example:
        >>> Dense([[[1.0, 0.0], [0.25, 0.75]]]).causal
        True
    """

    array: np.ndarray


def own_layers(patterns: Any) -> list[int]:
    """The true numbers of layers that were taken out of a model's stack, one or a list; [] where any has none."""
    given = patterns if isinstance(patterns, list | tuple) else [patterns]
    found = [item.layer for item in given if isinstance(item, PatternBase) and item.layer is not None]
    return found if len(set(found)) == len(given) else []


def _numbered(make: Callable[[], Pattern], layer: int) -> Pattern:
    """A pattern that a stack makes keeps its layer's number when it is taken out: ``mv.attention(tokens, stack[5])``."""
    pattern = make()
    if isinstance(pattern, PatternBase):
        pattern.layer = layer
    return pattern


class PatternStack(Layered[Pattern]):
    """The patterns of a model's layers, found by the layers' true numbers.

    ``stack[5]`` is the pattern of layer 5, also when other layers have none; iteration goes over the layers that have
    one, in order. A negative number counts from the last of them.

    ``a - b`` is the stack of their differences, layer by layer: of two prompts of one length, of two models, or of a trace
    with an edit and one without. It is computed where it is looked at, as they are.

    Args:
        patterns: The patterns in order, or a mapping from layer to a pattern or to a function that makes it when asked.
        missing: For layers without a pattern, the reason.
        behind: What stands behind the keys, computed when it is asked for: an object with ``value_norms()``,
            ``contribution_norms()`` and ``contributions(direction)``, each `mechviz.analysis.KeyValues`. Traces give it, and
            `mechviz.attention` weighs patterns with it.

    Raises:
        Unavailable: (on indexing) the layer has no pattern; the message is the reason.

    Example:
        >>> stack = PatternStack([Dense([[[1.0]]]), Dense([[[1.0]]])])
        >>> stack.layers, stack[1].shape
        ((0, 1), (1, 1, 1))
    """

    def __init__(
        self,
        patterns: Sequence[Pattern] | Mapping[int, Pattern | Callable[[], Pattern]],
        *,
        missing: Mapping[int, str] | None = None,
        behind: Any = None,
    ) -> None:
        self.behind = behind
        self.less: tuple[Any, Any] | None = None  # of a difference of two traces: the tokens of both
        items = patterns if isinstance(patterns, Mapping) else dict(enumerate(patterns))
        made = {
            layer: (lambda item=item: item) if isinstance(item, Pattern) else partial(_numbered, item, layer)
            for layer, item in items.items()
        }
        super().__init__(made, name="attention pattern", missing=missing, keep=True)

    def __sub__(self, other: Any) -> PatternStack:
        if not isinstance(other, PatternStack):
            return NotImplemented
        mine, theirs = ({*stack.layers, *stack.missing} for stack in (self, other))
        if mine != theirs:
            raise ValueError(
                f"patterns can be taken from those of the same layers; got {sorted(mine)} - {sorted(theirs)}: "
                "slices pick layers, such as a[:2] - b[:2]"
            )
        shared = [layer for layer in self.layers if layer in other.layers]
        for layer in shared:  # one is enough to see that the texts are not as long
            try:
                self._less(other, layer)
            except Unavailable:
                continue
            break
        found = PatternStack(
            {layer: lambda layer=layer: self._less(other, layer) for layer in shared},
            missing={**other.missing, **self.missing},
        )
        mine, its = (getattr(getattr(stack.behind, "trace", None), "tokens", None) for stack in (self, other))
        found.less = None if mine is None or its is None else (mine, its)
        return found

    def _less(self, other: PatternStack, layer: int) -> Difference:
        mine, theirs = self[layer], other[layer]
        try:
            return Difference(mine, theirs)
        except ValueError as error:
            raise ValueError(f"layer {layer}: {error}") from None

    def _slice(self, index: slice) -> Layered[Pattern]:
        part = super()._slice(index)
        part.behind, part.less = self.behind, self.less  # type: ignore[attr-defined]
        return part
