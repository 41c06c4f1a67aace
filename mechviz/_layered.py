"""Something per layer, made when asked for and found by the layer's true number."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

T = TypeVar("T")


class Unavailable(LookupError):
    """What was asked for does not exist in this model, or could not be proved right; the message says why."""


class Layered(Sequence[T]):
    """One item per layer: ``items[5]`` is layer 5's, also when other layers have none.

    Iteration goes over the layers that have an item, in order; a negative number counts from the last of them. Further
    axes are those of the item: ``items[5, 0]`` is ``items[5][0]``. Whether a
    layer has one can turn out when it is made: it is then in ``missing`` from there on, and `items` leaves it out.

    Args:
        make: Layer -> a function that makes its item.
        name: What an item is, for messages.
        missing: Layer -> why it has no item.
        keep: Keep an item once made; else every access makes it anew, and only the caller holds its memory.

    Raises:
        Unavailable: (on indexing) the layer has no item; the message is the reason.
        IndexError: (on indexing) there is no such layer.
        TypeError: (on indexing) a layer is not a number, or further axes follow on several layers.
    """

    def __init__(
        self,
        make: Mapping[int, Callable[[], T]],
        *,
        name: str,
        missing: Mapping[int, str] | None = None,
        keep: bool = False,
    ) -> None:
        self.name = name
        self.missing: dict[int, str] = dict(sorted((missing or {}).items()))
        self._make = dict(sorted(make.items()))
        self._keep = keep
        self._made: dict[int, T] = {}
        self._refused: set[int] = set()

    @property
    def layers(self) -> tuple[int, ...]:
        """The true numbers of the layers that have an item."""
        return tuple(self._make)

    def __len__(self) -> int:
        return len(self._make)

    def __iter__(self) -> Iterator[T]:
        return (self[layer] for layer in self.layers)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Layered[T]: ...
    @overload
    def __getitem__(self, index: tuple[Any, ...]) -> Any: ...
    def __getitem__(self, index: int | slice | tuple[Any, ...]) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        if isinstance(index, tuple) and index:
            layer, *rest = index
            of = self[self._number(layer)]
            return of[tuple(rest) if len(rest) > 1 else rest[0]] if rest else of  # type: ignore[index]
        index = self._number(index)
        counted = sorted(
            [*self._make, *self._refused]
        )  # so that [-1] stays the same layer when it turns out to have none
        layer = counted[index] if -len(counted) <= index < 0 else index
        if layer in self._made:
            return self._made[layer]
        if layer in self.missing:
            reason = self.missing[layer]
            raise Unavailable(reason if reason.startswith("layer ") else f"layer {layer} has no {self.name}: {reason}")
        if layer not in self._make:
            raise IndexError(f"layer must be one of {list(self.layers)}; got {index}")
        try:
            item = self._make[layer]()
        except Unavailable as reason:
            self._refuse(layer, str(reason))
            raise
        if self._keep:
            self._made[layer] = item
        return item

    def _number(self, layer: Any) -> int:
        try:
            return operator.index(layer)
        except TypeError:
            raise TypeError(
                f"a layer must be a whole number, or a slice by itself; got {layer!r} where the layers are {list(self.layers)}"
            ) from None

    def items(self) -> Iterator[tuple[int, T]]:
        """``(layer, item)`` of every layer that can be made; ``missing`` then says why the others cannot."""
        for layer in self.layers:
            try:
                item = self[layer]
            except Unavailable:
                continue
            yield layer, item

    def _refuse(self, layer: int, reason: str) -> None:
        self._make.pop(layer, None)
        self._refused.add(layer)
        self.missing[layer] = reason
        self.missing = dict(sorted(self.missing.items()))

    def _slice(self, index: slice) -> Layered[T]:
        """The layers that the slice of all layers holds, under their true numbers."""
        chosen = set(range(max([*self._make, *self.missing], default=-1) + 1)[index])
        part = object.__new__(type(self))
        make = {layer: lambda layer=layer: self[layer] for layer in self.layers if layer in chosen}
        missing = {layer: reason for layer, reason in self.missing.items() if layer in chosen}
        Layered.__init__(part, make, name=self.name, missing=missing, keep=False)
        return part

    def __repr__(self) -> str:
        without = f", without {list(self.missing)}" if self.missing else ""
        return f"{type(self).__name__}({self.name} of layers {list(self.layers)}{without})"


def missing_said(missing: Mapping[int, str], what: str) -> str:
    """Which layers have no `what`, and why, as one line: "no neurons of layers 1, 2: …"; empty where none is missing."""
    reasons: dict[str, list[int]] = {}
    for layer, why in missing.items():
        reasons.setdefault(why, []).append(layer)
    return "; ".join(
        f"no {what} of layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}: {why}"
        for why, layers in reasons.items()
    )
