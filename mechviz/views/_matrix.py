"""What the views of a matrix share: what its rows and columns are called and stand for, its scale, how it travels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._visible import prose
from mechviz.arrays import Quantity, Scale, check_integers
from mechviz.selection import AXES
from mechviz.text import Tokens, visible
from mechviz.views._chart import Points, points_of
from mechviz.views._quantity import check_symmetric

MOST_CELLS = 1 << 24
MOST_BYTES = 1 << 26
_EAGER_BYTES = 1 << 20
_NOUNS = {"queries": "query", "vocabulary": "token", "step": "step"}
_SAME = {"tokens": "positions", "steps": "step"}
# What a model reads is set in mono.
_READ = {"positions", "queries", "keys", "vocabulary"}
_WORDS = ("layers", "heads", "neurons", "features", "positions", "queries", "keys", "steps", "texts", "vocabulary")


@dataclass(frozen=True)
class Side:
    """The rows or the columns of a matrix: how many, their names, and what they stand for."""

    count: int
    points: Points
    labels: tuple[str, ...] | None
    mono: bool
    title: str

    def to_props(self) -> dict[str, Any]:
        """As the browser is given it (js/src/parts/matrix.ts)."""
        labels = None if self.labels is None else list(self.labels)
        return {**self.points.to_props(), "labels": labels, "count": self.count, "mono": self.mono, "title": self.title}

    def name(self, i: int) -> str:
        """The name of one of them."""
        return str(i) if self.labels is None else self.labels[i]


def side_of(
    labels: Any, points: Any, count: int, *, name: str, points_name: str, title: str | None, of: str | None = None
) -> Side:
    """Names and meaning of the `count` rows (or columns, or matrices) of an array; errors call them `of`.

    Raises:
        TypeError: `labels` are no strings, `points` is none of what it may be.
        ValueError: there are more or fewer of them than the array has.
    """
    if title is not None and not isinstance(title, str):
        raise TypeError(f"the title of {name} must be a string; got a {type(title).__name__}")
    tokens = labels if isinstance(labels, Tokens) else points if isinstance(points, Tokens) else None
    names = _labels(labels, count, name, of or name)
    stands = _stands_for(labels if points is None and isinstance(labels, Tokens) else points, count, points_name)
    if names is None and tokens is not None:
        names = _on_axis(tokens)
    if names is None and stands.noun in ("head", "neuron", "site", "feature") and len(stands.axes) > 1:
        names = tuple(stands.names(count))
    noun = stands.noun if stands.noun != "point" else name.rstrip("s").replace("matrice", "matrix")
    said = prose(noun if title is None else title)
    read = tokens is not None or not _READ.isdisjoint(stands.axes)
    return Side(count, stands, names, names is not None and read, said)


def _stands_for(points: Any, count: int, name: str) -> Points:
    if isinstance(points, str):
        axis = _SAME.get(points, points)
        if points not in _WORDS and axis not in AXES:
            raise ValueError(
                f"{name} must be one of {', '.join(_WORDS)}, a list of sites, Tokens or a dict of indices by axis; "
                f"got {points!r}"
            )
        return _axes({axis: range(count)}, count, name)
    if isinstance(points, Mapping):
        return _axes(points, count, name)
    return points_of(points, (count,), None, name=name, count_of=name.removesuffix("_points") + "s")


def _axes(axes: Mapping[str, Any], count: int, name: str) -> Points:
    found = {}
    for axis, indices in axes.items():
        if axis not in AXES:
            raise ValueError(f"{name} must name axes of a selection ({', '.join(AXES)}); got {axis!r}")
        column = np.asarray(indices)
        if column.dtype.kind not in "iu" or column.shape != (count,):
            raise ValueError(f"{name}[{axis!r}] must hold {count} indices; got {column.dtype} of shape {column.shape}")
        found[axis] = column.astype(np.int32)
    axis = next(iter(found)) if len(found) == 1 else "sites"
    return Points(_NOUNS.get(axis, axis.removesuffix("s")), found)


def _on_axis(tokens: Tokens) -> tuple[str, ...]:
    """What a special token is for says more on an axis than its string, and is shorter."""
    return tuple(role or label for role, label in zip(tokens.role, tokens.label, strict=True))


def _labels(labels: Any, count: int, name: str, of: str) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, Tokens):
        labels = _on_axis(labels)
    items = labels.tolist() if hasattr(labels, "tolist") else labels
    if isinstance(items, str) or not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
        numbers = isinstance(items, Sequence) and len(items) > 0 and isinstance(items[0], int | float)
        hint = ": write numbers as [str(i) for i in …]" if numbers else ""
        raise TypeError(
            f"{name} must be a list of strings, one for each of {count} {of}, or Tokens; got {labels!r:.80}{hint}"
        )
    if len(items) != count:
        raise ValueError(f"{name} must hold one string for each of {count} {of}; got {len(items)}")
    return tuple(visible(str(item)) for item in items)


def scaled(values: np.ndarray, quantity: Quantity) -> tuple[Scale, tuple[float, float]]:
    """Ramp and limits: as they are given, else from 0 to the largest number, signed where one is negative."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    limits = quantity.limits
    negative = low < 0 or bool((values == -np.inf).any()) if limits is None else limits[0] < 0
    chosen: Scale = quantity.scale or ("signed" if negative else "ink")
    if limits is None:
        size = max(-low, high)
        limits = (-size, size) if chosen == "signed" else (min(low, 0.0), max(high, 0.0))
        # All zero: any scale will do that has zero on the plate.
        limits = limits if limits[0] < limits[1] else (-1.0 if chosen == "signed" else 0.0, 1.0)
    if chosen == "signed":
        check_symmetric(limits)
    return chosen, limits


def beyond(matrix: np.ndarray, limits: tuple[float, float]) -> dict[str, int]:
    """How many numbers of a matrix are NaN, and above and below the limits by more than a rounding."""
    slack = 1e-6 * max(map(abs, limits))
    with np.errstate(invalid="ignore"):
        above, below = (matrix > limits[1] + slack).sum(), (matrix < limits[0] - slack).sum()
    return {"nan": int(np.isnan(matrix).sum()), "above": int(above), "below": int(below)}


def check_size(values: np.ndarray, precision: wire.Precision, *, name: str) -> wire.Precision:
    """The precision in which all of it travels.

    Raises:
        ValueError: there are more cells, or bytes, than a browser is sent, or the precision does not fit the numbers.
    """
    if precision not in wire.PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(wire.PRECISIONS)}; got {precision!r}")
    if values.size > MOST_CELLS:
        raise ValueError(
            f"{name} must hold at most {MOST_CELLS:,} numbers; got {values.shape} = {values.size:,}: pass a part of it"
        )
    is_float = values.dtype.kind == "f"
    unit = wire.are_probabilities(values)
    if precision == "sqrt8" and not unit:
        raise ValueError(f'precision="sqrt8" carries finite numbers in 0 … 1; {name} has others')
    if precision == "auto":
        # float64 arrives as it is while that is small; the numbers of larger ones say their error.
        small = values.dtype.itemsize * values.size <= wire.MB
        precision = "exact" if small or not is_float else wire.choose(values.size * 4, probabilities=unit)
    check_integers(values, name=name)
    each = {"sqrt8": 1, "float16": 2, "float32": 4}.get(precision, values.dtype.itemsize)
    if values.size * each > MOST_BYTES:
        raise ValueError(
            f"precision={precision!r} makes {values.size * each / wire.MB:,.0f} MB of {name} of shape {values.shape}, "
            f'which is more than {MOST_BYTES // wire.MB} MB; "float16" makes {values.size * 2 / wire.MB:,.0f}'
        )
    return precision


def size_of(values: np.ndarray, precision: wire.Precision) -> int:
    """How many bytes of it travel."""
    return values.size * {"sqrt8": 1, "float16": 2, "float32": 4}.get(precision, values.dtype.itemsize)


def is_large(values: np.ndarray, precision: wire.Precision) -> bool:
    """Whether the first picture does not wait for it."""
    return size_of(values, precision) > _EAGER_BYTES


def height_of(width: int, down: int, across: int) -> int:
    """Estimated height of the cells in CSS pixels, laid out as js/src/parts/matrix.ts does."""
    room = max(40, width - 110)
    x, y = min(36.0, room / across), min(36.0, 800 / down)
    return math.ceil(down * min(y, max(min(x, y), 14)))
