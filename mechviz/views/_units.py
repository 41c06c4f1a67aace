"""Activations of neurons (features, directions) as `mv.neurons` sends them: read a layer at a time, ranked, cut into slices."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal, get_args

import numpy as np

from mechviz._layered import Layered
from mechviz.arrays import check_integers, to_numpy
from mechviz.sites import Neuron, parse

Order = Literal["max", "mean", "sparsity", "variance", "index"]
ORDERS: tuple[Order, ...] = get_args(Order)
# Bytes of one array on its way: with gate and up beside it, still less than 4 MB at once.
AT_ONCE = 1 << 20
_COPIED = 16 << 20
_HELD = 3  # layers
_STRONGEST = 12


class Layers:
    """Layers of activations, ``[position, unit]`` each, read when they are opened; the last few are held.

    Args:
        given: [position, unit], [layer, position, unit], a list of [position, unit], a dict of these by layer, or a
            stack that is read by its layers' numbers (``trace.neurons``).
        positions: How many there must be.
        numbers: The numbers that layers go by; of a stack that is read, the layers that are wanted.
        name: The argument's name, for errors.
        units: How many there must be; −1 for as many as the first layer has.

    Raises:
        TypeError: `given` holds no real numbers.
        ValueError: it has another shape, or `numbers` do not fit.
    """

    def __init__(self, given: Any, positions: int, numbers: Any, *, name: str, units: int = -1) -> None:
        self.name, self.positions, self.units = name, positions, units
        self.missing: Mapping[int, str] = getattr(given, "missing", None) or {}
        self.numbers: tuple[int | None, ...]
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.RLock()
        if isinstance(given, Layered):
            there = given.layers
            wanted = there if numbers is None else _indices(numbers, "layers")
            if absent := [number for number in wanted if number not in there]:
                why = self.missing.get(absent[0], f"{name} has the layers {', '.join(map(str, there))}")
                raise ValueError(f"layers must be of those that {name} has; got {absent[0]}: {why}")
            self._given: Any = given
            self.numbers = self._places = tuple(wanted)
        else:
            if isinstance(given, Mapping):  # a dict by layer, as hooks fill one
                there = _indices(given, f"the keys of {name}")
                numbers = there if numbers is None else _indices(numbers, "layers")
                if absent := [number for number in numbers if number not in there]:
                    raise ValueError(f"layers must be of those that {name} has, {there}; got {absent[0]}")
                given = [given[number] for number in numbers]
            self._given, flat = _stacked(given, name)
            self._places = tuple(range(len(self._given)))
            own = (None,) if flat else self._places
            self.numbers = own if numbers is None else tuple(_indices(numbers, "layers"))
            if len(self.numbers) != len(self._places) or len(set(self.numbers)) != len(self.numbers):
                raise ValueError(
                    f"layers must hold {len(self._places)} different numbers, one for each layer of {name}; "
                    f"got {list(self.numbers)}"
                )
        # Of what is read by its layers shapes are known when they are opened.
        for place in () if isinstance(given, Layered) else self._places:
            self._check(self._given[place].shape, place)
        if not self.numbers:
            reasons = "; ".join(f"layer {layer}: {why}" for layer, why in self.missing.items())
            raise ValueError(f"{name} must hold at least one layer; got none{f' ({reasons})' if reasons else ''}")

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, i: int) -> np.ndarray:
        """The numbers of the i-th layer, ``[position, unit]``, floating point.

        Raises:
            ValueError: they have another shape than that of the layer that was read first.
        """
        with self._lock:
            if i not in self._held:
                place = self._places[i]
                name = f"{self.name}[{place}]"
                array = check_integers(to_numpy(self._given[place], name=name), name=name)
                self._check(array.shape, place)
                # Integers as floats that hold them.
                self._held[i] = array if array.dtype.kind == "f" else array.astype(np.result_type(array, np.float32))
            self._held.move_to_end(i)
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
            return self._held[i]

    def _check(self, shape: tuple[int, ...], place: int) -> None:
        fits = len(shape) == 2 and shape[0] == self.positions and shape[1] in (self.units, -1)
        if len(shape) == 2 and shape[0] == self.positions and self.units < 0 and shape[1]:
            self.units, fits = shape[1], True
        if not fits:
            units = "…" if self.units < 0 else self.units
            hint = "; one text has no batch axis" if len(shape) == 3 else ""
            turned = len(shape) == 2 and shape[1] == self.positions != shape[0]
            hint = "; transpose it" if turned else hint
            raise ValueError(
                f"{self.name}[{place}] must have shape (position, neuron) == ({self.positions}, {units}), one row per "
                f"token; got {tuple(shape)}{hint}"
            )


def _stacked(given: Any, name: str) -> tuple[Sequence[Any], bool]:
    """Something that gives [position, unit] by index, and whether it was one layer without a number."""
    if isinstance(given, (list, tuple)) and given and all(len(getattr(item, "shape", ())) == 2 for item in given):
        return [_own(item, f"{name}[{i}]", 1) for i, item in enumerate(given)], False
    array: Any = given if hasattr(given, "shape") else to_numpy(given, name=name)
    shape = tuple(array.shape)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(
            f"{name} must have shape (position, neuron) or (layer, position, neuron), none of them 0; got {shape}"
        )
    if len(shape) == 2:
        return [_own(array, name, 1)], True
    return [_own(layer, name, len(array)) for layer in array], False


def _own(layer: Any, name: str, layers: int) -> Any:
    """A small array as a copy, since a buffer that is filled again would change the picture; a large one as it is."""
    small = layers * layer.shape[0] * layer.shape[1] * 4 <= _COPIED
    if not (small or isinstance(layer, np.ndarray)):
        return layer
    array = check_integers(to_numpy(layer, name=name), name=name)
    return array.copy() if small else array


def _indices(given: Any, name: str) -> list[int]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{name} must be a list of numbers; got {given!r}")
    try:
        found = [index(item) for item in given]
    except TypeError:
        raise TypeError(f"{name} must be a list of numbers; got {given!r:.80}") from None
    if any(number < 0 for number in found):
        raise ValueError(f"{name} must be numbers from 0; got {found}")
    return found


@dataclass(frozen=True)
class Ranked:
    """One layer looked through once: what its units are ranked by, and each token's strongest.

    Args:
        scores: By order, ``[unit]``; NaN where a unit has none.
        low: Its lowest finite number, and `high` its highest.
        nan: How many numbers are NaN.
        top: The strongest units of each position, ``[position, few]``, the strongest first.
        top_values: Their activations.
    """

    scores: Mapping[str, np.ndarray]
    low: float
    high: float
    nan: int
    top: np.ndarray
    top_values: np.ndarray


def ranked(layer: np.ndarray, signed: bool) -> Ranked:
    """Look a layer ``[position, unit]`` through; `signed` numbers count by their size.

    NaN is left out of all scores; infinity counts as the largest number, and is left out of the other scores.
    """
    top = _strongest(layer, signed)
    low, high = layer.min(0), layer.max(0)
    largest = np.maximum(-low, high) if signed else high
    if np.isfinite(low).all() and np.isfinite(high).all():
        wide = layer.astype(np.float32, copy=False)  # sums of float16 would overflow
        sizes = np.abs(wide)
        mean, means, squares = wide.mean(0), sizes.mean(0), np.einsum("pn,pn->n", wide, wide) / len(wide)
        variance, missing = wide.var(0), 0
    else:
        missing = int(np.isnan(layer).sum())
        known = np.isfinite(layer)
        count = known.sum(0)
        largest = np.fmax.reduce(np.abs(layer) if signed else layer, axis=0)  # NaN where there is nothing else
        wide = np.where(known, layer, 0).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, means, squares = wide.sum(0) / count, np.abs(wide).sum(0) / count, (wide * wide).sum(0) / count
            variance = (np.where(known, wide - mean, 0) ** 2).sum(0) / count
        low = np.where(count, np.where(known, layer, np.inf).min(0), np.nan)
        high = np.where(count, np.where(known, layer, -np.inf).max(0), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        sparsity = 1 - means * means / squares
    scores = {"max": largest, "mean": mean, "sparsity": sparsity}
    ends = (0.0, 0.0) if np.isnan(low).all() else (float(np.nanmin(low)), float(np.nanmax(high)))
    return Ranked({**scores, "variance": variance}, *ends, missing, top, np.take_along_axis(layer, top, 1))


def _strongest(layer: np.ndarray, signed: bool) -> np.ndarray:
    positions, units = layer.shape
    few = max(1, min(_STRONGEST, units, AT_ONCE // (layer.itemsize * positions)))
    size = np.abs(layer) if signed else layer
    size = np.where(np.isnan(size), -np.inf, size)
    found = np.sort(np.argpartition(size, units - few, axis=1)[:, units - few :], axis=1)  # equal ones in order
    order = np.argsort(-np.take_along_axis(size, found, 1), axis=1, kind="stable")
    return np.take_along_axis(found, order, 1).astype(np.int32)


def order_of(found: Ranked, layer: np.ndarray, order: str, at: int | None, signed: bool) -> np.ndarray:
    """All units of a layer in an order, the first first; those without a score last.

    Args:
        found: What the layer was found to be.
        layer: Its numbers, ``[position, unit]``.
        order: One of `ORDERS`; "token": by the activation at position `at`; "similar": by the correlation over
            positions with unit `at`.
        at: A position or a unit.
        signed: Whether numbers count by their size.
    """
    if order == "index":
        return np.arange(layer.shape[1], dtype=np.int32)
    if order in found.scores:
        score = found.scores[order]
    elif order == "token":
        score = np.abs(layer[at]) if signed else layer[at]
    elif order == "similar":
        assert at is not None
        score = _correlation(layer, found.scores["variance"], at)
    else:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, token, similar; got {order!r}")
    return np.argsort(-score.astype(np.float64), kind="stable").astype(np.int32)  # NaN last


def _correlation(layer: np.ndarray, variance: np.ndarray, unit: int) -> np.ndarray:
    """With every unit, over the positions at which both have a finite number."""
    if not np.isfinite(layer).all():
        both = np.isfinite(layer) & np.isfinite(layer[:, unit, None])
        count, wide = both.sum(0), np.where(both, layer, 0).astype(np.float64)
        own = np.where(both, wide[:, unit, None], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = (np.where(both, one - one.sum(0) / count, 0) for one in (own, wide))
            return (x * y).sum(0) / np.sqrt((x * x).sum(0) * (y * y).sum(0))
    wide = layer.astype(np.float32, copy=False)
    mine = wide[:, unit] - wide[:, unit].mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (mine @ wide) / len(wide)  # deviations sum to 0, so the means of the others drop out
        return together / np.sqrt(variance * variance[unit])


def chosen_units(given: Any, layers: Layers) -> list[list[int]] | None:
    """The units of each layer that ``neurons=[…]`` names; None where it names none.

    Raises:
        TypeError: `given` is none of what it may be.
        ValueError: a layer or a unit does not exist.
    """
    if isinstance(given, Mapping):
        by_number = {number: _indices(units, f"neurons[{number}]") for number, units in given.items()}
    elif isinstance(given, str) or not hasattr(given, "__iter__"):
        return None
    else:
        items = list(given)
        if any(isinstance(item, (str, Neuron)) for item in items):
            by_number = {}
            for item in items:
                site = _neuron(item)
                by_number.setdefault(site.layer, []).append(site.neuron)
        else:
            units = _indices(items, "neurons")
            by_number = dict.fromkeys(layers.numbers, units)
    if unknown := [number for number in by_number if number not in layers.numbers]:
        if layers.numbers == (None,):
            raise ValueError(
                f"neurons must be numbers where the layer has none; got one of layer {unknown[0]}: "
                f"pass layers=[{unknown[0]}] if that is its number"
            )
        known = ", ".join(map(str, layers.numbers))
        raise ValueError(f"neurons must be of the layers that are shown, {known}; got layer {unknown[0]}")
    if not any(by_number.values()):
        raise ValueError(f"neurons must name at least one; got {given!r}")
    return [list(dict.fromkeys(by_number.get(number, []))) for number in layers.numbers]


def _neuron(item: Any) -> Neuron:
    wanted = 'neurons must be numbers or addresses of neurons such as "L3N17"'
    try:
        site = parse(item)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{wanted}; got {item!r}") from None
    if not isinstance(site, Neuron):
        raise ValueError(f"{wanted}; got {item!r}")
    return site
