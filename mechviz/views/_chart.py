"""What all charts are given: axes, and what a point stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from mechviz import sites, wire
from mechviz._visible import prose
from mechviz.arrays import check_integers, quantity_of, to_numpy
from mechviz.text import Tokens, visible

Log = Literal["x", "y", "xy"]

POINTS = (
    'a list of sites such as ["L0H0", "L0H1"], Tokens (trace.tokens), "tokens", "steps", or "heads" or "neurons" for '
    "arrays of shape (layer, head) or (layer, neuron)"
)


@dataclass(frozen=True)
class Points:
    """What points stand for: an index on some axes of the selection, and a name, for each.

    Args:
        noun: What one is called: "head".
        axes: By axis of the selection, int32 [point]; −1 where a point has no place there.
        labels: A name for each; None where the browser makes them of the axes ("L5H1") or of `tokens`.
        tokens: The tokens that the points are.
    """

    noun: str = "point"
    axes: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    tokens: Tokens | None = None

    def names(self, count: int) -> list[str]:
        """A name for each of `count` points, as the browser shows them."""
        if self.labels is not None:
            return list(self.labels)
        if self.tokens is not None:
            return list(self.tokens.label)
        for axis, letter in (("heads", "H"), ("neurons", "N")):
            if axis in self.axes:
                pairs = zip(self.axes["layers"].tolist(), self.axes[axis].tolist(), strict=True)
                return [f"L{layer}{letter}{unit}" for layer, unit in pairs]
        return [f"{self.noun} {i}" for i in range(count)]

    def to_props(self) -> dict[str, Any]:
        """As the browser is given it (js/src/parts/charttrack.svelte.ts)."""
        axes = {axis: wire.Array(column) for axis, column in self.axes.items()}
        labels = None if self.labels is None else list(self.labels)
        return {"noun": self.noun, "axes": axes, "labels": labels}


def points_of(
    points: Any, shape: tuple[int, ...], labels: Any, *, name: str = "points", count_of: str = "points"
) -> Points:
    """What the numbers of an array of `shape` stand for; it is flattened in C order.

    Raises:
        TypeError: `points` is none of what it may be.
        ValueError: there are more or fewer of them, or of `labels`, than numbers.
    """
    count = int(np.prod(shape))
    said = _labels(labels, count, count_of)
    if isinstance(points, Tokens):
        _check_count(len(points), count, f"{name} (Tokens)", count_of)
        return Points("token", {"positions": _range(count)}, said, points)
    if points is None:
        _check_flat(shape, name, count_of)
        return Points(labels=said)
    if isinstance(points, str):
        return _named(points, shape, said, name, count_of)
    if not isinstance(points, Sequence) and not isinstance(points, np.ndarray):
        raise TypeError(f"{name} must be {POINTS}; got a {type(points).__name__}")
    found = [_site(item, name) for item in points]
    _check_count(len(found), count, name, count_of)
    return _of_sites(found, said)


def _named(points: str, shape: tuple[int, ...], labels: tuple[str, ...] | None, name: str, count_of: str) -> Points:
    count = int(np.prod(shape))
    if points in ("heads", "neurons"):
        if len(shape) != 2:
            unit = points[:-1]
            raise ValueError(
                f'{name}="{points}" needs arrays of shape (layer, {unit}); got {shape}. For some {points} give a list of sites'
            )
        layers, units = (index.astype(np.int32).ravel() for index in np.indices(shape))
        return Points(points[:-1], {"layers": layers, points: units}, labels)
    _check_flat(shape, name, count_of)
    if points == "tokens":
        return Points("token", {"positions": _range(count)}, labels)
    if points == "steps":
        return Points("step", {"step": _range(count)}, labels)
    raise ValueError(f"{name} must be {POINTS}; got {points!r}")


def _of_sites(found: list[sites.Site], labels: tuple[str, ...] | None) -> Points:
    columns = {
        "layers": [site.layer for site in found],
        "heads": [site.head if isinstance(site, sites.Head) else -1 for site in found],
        "neurons": [site.neuron if isinstance(site, sites.Neuron) else -1 for site in found],
    }
    axes = {axis: np.array(column, np.int32) for axis, column in columns.items() if any(index >= 0 for index in column)}
    kinds = {type(site) for site in found}
    noun = {sites.Head: "head", sites.Neuron: "neuron"}.get(next(iter(kinds)), "site") if len(kinds) == 1 else "site"
    # The browser makes the names of plain heads and neurons itself: a hundred thousand strings are long in coming.
    plain = noun != "site" and not any(site.stack for site in found)
    return Points(noun, axes, labels if labels is not None or plain else tuple(str(site) for site in found))


def _site(item: Any, name: str) -> sites.Site:
    try:
        return sites.parse(item)
    except (TypeError, ValueError) as error:
        raise type(error)(f'{name}: {error}. For a list of tokens give {name}="tokens" and labels=tokens') from None


def _labels(labels: Any, count: int, count_of: str) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, Tokens):
        labels = labels.label
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels must be a list of strings, one for each of {count} {count_of}; got {labels!r:.80}")
    if len(labels) != count:
        raise ValueError(f"labels must hold one string for each of {count} {count_of}; got {len(labels)}")
    return tuple(visible(label) for label in labels)


def _check_count(got: int, count: int, name: str, count_of: str) -> None:
    if got != count:
        raise ValueError(f"{name} must hold one entry for each of {count} {count_of}; got {got}")


def _check_flat(shape: tuple[int, ...], name: str, count_of: str) -> None:
    if len(shape) != 1:
        raise ValueError(
            f'the numbers of {count_of} must have one axis unless {name}="heads" or "neurons" says what two of them are; '
            f"got shape {shape}"
        )


def _range(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int32)


def numbers(values: Any, *, name: str) -> np.ndarray:
    """A copy of the numbers (a buffer that is filled again would change the picture); bools count as 0 and 1."""
    array = check_integers(to_numpy(values, name=name), name=name)
    if not array.size:
        raise ValueError(f"{name} must hold at least one number; got shape {array.shape}")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array.copy()


def axis(
    label: str | None, values: Any, fallback: str, log: bool, limits: Any = None, *, name: str = "limits"
) -> dict[str, Any]:
    """An axis as the browser is given it: its label is the caller's, else the quantity's that the array carries."""
    if label is not None and not isinstance(label, str):
        raise TypeError(f"the label of an axis must be a string; got a {type(label).__name__}")
    quantity = quantity_of(values)
    said = label if label is not None else ", ".join(filter(None, (quantity.name, quantity.unit))) if quantity else ""
    return {"label": prose(said or fallback), "log": log, "limits": _limits(limits, log, name)}


def _limits(limits: Any, log: bool, name: str) -> list[float] | None:
    if limits is None:
        return None
    try:
        low, high = (float(end) for end in limits)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two numbers, (low, high); got {limits!r}") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"{name} must be finite with low < high; got ({low:g}, {high:g})")
    if log and low <= 0:
        raise ValueError(f"{name} of a logarithmic axis must be above 0; got ({low:g}, {high:g})")
    return [low, high]


def check_log(log: Any) -> str:
    """Which axes are logarithmic, as "", "x", "y" or "xy"."""
    if log is None or log is False:
        return ""
    if log not in get_args(Log):
        raise ValueError(f'log must be "x", "y", "xy" or None; got {log!r}')
    return str(log)


def band_of(band: Any, shape: tuple[int, ...], *, name: str = "band") -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends of a band, in the shape of what they belong to.

    Raises:
        TypeError: `band` is no pair.
        ValueError: an end has another shape, or lies on the wrong side.
    """
    if band is None:
        return None
    if isinstance(band, str) or not hasattr(band, "__len__") or len(band) != 2:
        raise TypeError(f"{name} must be two arrays, (low, high), each of shape {shape}; got a {type(band).__name__}")
    ends = [numbers(end, name=f"{name}[{i}]") for i, end in enumerate(band)]
    for i, end in enumerate(ends):
        if end.shape != shape:
            raise ValueError(f"{name}[{i}] must have shape {shape}; got {end.shape}")
    low, high = ends
    if (low > high).any():
        where = tuple(int(k) for k in np.argwhere(low > high)[0])
        raise ValueError(f"{name} must be (low, high); at {where} low {low[where]:g} is above high {high[where]:g}")
    return low, high
