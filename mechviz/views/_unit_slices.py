"""How the activations of `mv.neurons` travel: columns in parts of a megabyte, and slices that a live picture asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._layered import Layered
from mechviz.arrays import Quantity, Scale, to_numpy
from mechviz.views._matrix import beyond, scaled
from mechviz.views._units import AT_ONCE, Layers, Order, Ranked, order_of, ranked

# Of small stacks every column is there: the first picture and a file hold all.
_SMALL = 1 << 20


class Slices:
    """What the browser is given of a stack of activations, and what it may ask for.

    Args:
        layers: The stack.
        shares: Other stacks of its shape by name: "gate", "up".
        quantity: What the numbers are; scale and limits where they are asked for.
        order: The first order.
        count: How many columns are shown at once, and kept of a layer that is too large to be kept whole.
        chosen: By layer the units that are kept, instead; None to keep as many as `count` and `whole` say.
        whole: Keep all units.
        opened: The layer that is open at first.
    """

    def __init__(
        self,
        layers: Layers,
        shares: Mapping[str, Layers],
        quantity: Quantity,
        order: Order,
        count: int,
        chosen: Sequence[Sequence[int]] | None,
        whole: bool,
        opened: int,
    ) -> None:
        self.layers, self.shares, self.order, self.opened = layers, shares, order, opened
        first = layers.read(opened)
        self.positions, self.units = first.shape
        self.ramp: Scale = scaled(first, quantity)[0]
        self.signed = self.ramp == "signed"
        self.quantity = quantity
        self._found: dict[int, Ranked] = {}
        self._lock = threading.RLock()
        self.at_once = max(1, AT_ONCE // (first.itemsize * self.positions))
        self.count = min(count, self.units, self.at_once)
        small = len(layers) * first.size * first.itemsize <= _SMALL
        self.whole = chosen is None and (whole or small or self.count >= self.units)
        self._chosen = chosen
        for units in chosen or ():
            if units and max(units) >= self.units:
                raise ValueError(f"neurons must be below {self.units}, as many as there are; got {max(units)}")

    def found(self, i: int) -> Ranked:
        """The i-th layer, looked through once."""
        with self._lock:
            if i not in self._found:
                self._found[i] = ranked(self.layers.read(i), self.signed)
            return self._found[i]

    def kept(self, i: int) -> np.ndarray:
        """The units of a layer that a file holds, in the first order."""
        ordered = order_of(self.found(i), self.layers.read(i), self.order, None, self.signed)
        if self._chosen is not None:
            return ordered[np.isin(ordered, self._chosen[i])]
        return ordered if self.whole else ordered[: self.count]

    def how_many(self, i: int) -> int:
        """How many those are, without reading the layer."""
        return len(self._chosen[i]) if self._chosen is not None else self.units if self.whole else self.count

    def limits(self, i: int) -> tuple[float, float]:
        """The ends of the scale in a layer: those that are asked for, else of its own numbers."""
        ends = np.array([self.found(i).low, self.found(i).high])
        return scaled(ends, Quantity("", "", self.ramp, self.quantity.limits))[1]

    def to_props(self) -> list[dict[str, Any]]:
        """One a layer; of the one that is open the first part comes with the first picture."""
        return [self._layer(i) for i in range(len(self.layers))]

    def _layer(self, i: int) -> dict[str, Any]:
        first = i == self.opened
        few = self.found(self.opened).top.shape[1]

        def lazy(make: Callable[[], np.ndarray], *shape: int, at_once: bool = False) -> wire.Array:
            return wire.Array(make(), lazy=False) if first and at_once else wire.Array(make, lazy=True, shape=shape)

        def part(start: int, stop: int) -> dict[str, Any]:
            def columns(stack: Layers) -> Callable[[], np.ndarray]:
                return lambda: _columns(stack.read(i), self.kept(i)[start:stop])

            shape, at_once = (stop - start, self.positions), start == 0
            return {
                "ids": lazy(lambda: self.kept(i)[start:stop], stop - start, at_once=at_once),
                "values": lazy(columns(self.layers), *shape, at_once=at_once),
                **{name: lazy(columns(stack), *shape) for name, stack in self.shares.items()},
            }

        count = self.how_many(i)
        return {
            "number": self.layers.numbers[i],
            "parts": [part(at, min(count, at + self.at_once)) for at in range(0, count, self.at_once)],
            "facts": lazy(lambda: self._facts(i), 5, at_once=True),
            "top": lazy(lambda: self.found(i).top, self.positions, few, at_once=True),
            "top_values": lazy(lambda: self.found(i).top_values, self.positions, few, at_once=True),
        }

    def _facts(self, i: int) -> np.ndarray:
        """Ends of the scale, and how many numbers are NaN, above and below: float64 [5]."""
        found, ends = self.found(i), self.limits(i)
        inside = not found.nan and ends[0] <= found.low and found.high <= ends[1]
        finite = np.isfinite(self.found(i).top_values).all()
        counts = {"nan": 0, "above": 0, "below": 0} if inside and finite else beyond(self.layers.read(i), ends)
        return np.array([*ends, counts["nan"], counts["above"], counts["below"]])

    def slice(self, args: Mapping[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Columns of a layer in an order: ``count`` from ``start``, or from where the page with ``around`` begins.

        Returns:
            ``{"start": …}``, and the units with their activations ``[unit, position]``, gates and the like behind.
        """
        i = int(args["layer"])
        layer = self.layers.read(i)
        ordered = order_of(self.found(i), layer, args["order"], args.get("at"), self.signed)
        count = max(1, min(int(args["count"]), self.at_once))
        start = int(args.get("start") or 0)
        if args.get("around") is not None:
            start = int(np.flatnonzero(ordered == int(args["around"]))[0]) // count * count
        return {"start": start}, self._sent(i, ordered[start : start + count])

    def columns(self, args: Mapping[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Certain units of a layer, as `slice` gives them."""
        wanted = np.asarray(args["ids"], np.int32)[: self.at_once]
        return {}, self._sent(int(args["layer"]), wanted[(wanted >= 0) & (wanted < self.units)])

    def _sent(self, i: int, units: np.ndarray) -> list[np.ndarray]:
        stacks = [self.layers, *self.shares.values()]
        return [units, *(_columns(stack.read(i), units) for stack in stacks)]

    def preview(self) -> tuple[np.ndarray, np.ndarray]:
        """What is seen first: the units, and their numbers as ``[position, unit]``."""
        units = self.kept(self.opened)[: self.count]
        return units, self.layers.read(self.opened)[:, units]


def _columns(layer: np.ndarray, units: np.ndarray) -> np.ndarray:
    """``[unit, position]``: what colours a text stands together."""
    return np.ascontiguousarray(layer[:, units].T)


def share(given: Any, like: Layers, *, name: str) -> Layers:
    """A stack that belongs to another one, number by number, and has its shape.

    Raises:
        ValueError: it has other layers.
    """
    one = len(like) == 1 and len(getattr(given, "shape", ())) == 2
    numbers = list(like.numbers) if isinstance(given, (Layered, Mapping)) else None
    own = to_numpy(given, name=name)[None] if one else given
    found = Layers(own, like.positions, numbers, name=name, units=like.units)
    if len(found) != len(like):
        raise ValueError(f"{name} must have as many layers as activations, {len(like)}; got {len(found)}")
    return found
