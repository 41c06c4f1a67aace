"""What the reader has pointed at: one object that the views of a figure share, readable and writable."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

AXES = (
    "layers",
    "heads",
    "queries",
    "keys",
    "positions",
    "neurons",
    "features",
    "texts",
    "vocabulary",
    "step",
)


class Selection:
    """Lists of indices, one an axis; an empty list means that nothing is picked there.

    The axes are ``layers, heads, queries, keys, positions, neurons, features, texts, vocabulary, step``. Assigning to
    one moves the picture; a click in the picture moves the lists. Either way ``queries`` follow new ``positions``, and
    other ``layers`` empty ``neurons`` (see `set`). Given to several display functions as ``selection=`` it links their
    pictures, wherever in a notebook they stand.

    Example:
        >>> selection = Selection(layers=[1], heads=[0])
        >>> selection.heads
        [0]
        >>> selection.positions = [4]
    """

    layers: list[int]
    heads: list[int]
    queries: list[int]
    keys: list[int]
    positions: list[int]
    neurons: list[int]
    features: list[int]
    texts: list[int]
    vocabulary: list[int]
    step: list[int]
    _axes: dict[str, list[int]]
    _watchers: list[Callable[[Any], None]]
    _shared_id: str | None

    def __init__(self, **axes: int | Iterable[int]) -> None:
        """Pick the given axes; all others are empty."""
        self.__dict__["_axes"] = {axis: [] for axis in AXES}
        self.__dict__["_watchers"] = []
        self.__dict__["_shared_id"] = None
        self.set({**self._axes, **axes})

    @property
    def shared_id(self) -> str | None:
        """What the figures that share it call it; None while it belongs to one figure."""
        return self._shared_id

    def share(self) -> None:
        """Let figures of several cells be one through it (``mv.tokens(..., selection=s)`` calls this)."""
        if self._shared_id is None:
            self.__dict__["_shared_id"] = uuid.uuid4().hex[:12]

    def __getattr__(self, axis: str) -> list[int]:
        """The indices picked on an axis (a copy: assign to change it)."""
        if axis.startswith("_") or axis not in self._axes:
            raise AttributeError(f"a selection has the axes {', '.join(AXES)}; got {axis!r}")
        return list(self._axes[axis])

    def __setattr__(self, axis: str, value: int | Iterable[int]) -> None:
        """Pick indices on one axis."""
        self.set({axis: value})

    def set(self, change: Mapping[str, int | Iterable[int]], *, source: Any = None) -> bool:
        """Change several axes at once; True if anything changed. `source` is told apart by those who watch.

        New ``positions`` are read as ``queries`` and empty ``keys``, unless the change names either. Other ``layers``
        empty ``neurons``, unless the change names them: a neuron is one of its layer.
        """
        axes = _changed(self._axes, {axis: _indices(axis, value) for axis, value in change.items()})
        if axes == self._axes:
            return False
        self.__dict__["_axes"] = axes
        for watcher in list(self._watchers):
            watcher(source)
        return True

    def clear(self) -> None:
        """Pick nothing."""
        self.set(dict.fromkeys(AXES, ()))

    def watch(self, watcher: Callable[[Any], None]) -> Callable[[], None]:
        """Call `watcher(source)` after every change; returns a function that stops it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def to_dict(self) -> dict[str, list[int]]:
        """All axes as plain lists."""
        return {axis: list(indices) for axis, indices in self._axes.items()}

    def __eq__(self, other: object) -> bool:
        """Selections are equal when they pick the same."""
        return isinstance(other, Selection) and self._axes == other._axes

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        """Only what is picked."""
        picked = ", ".join(f"{axis}={indices}" for axis, indices in self._axes.items() if indices)
        return f"Selection({picked})"


def _changed(axes: dict[str, list[int]], change: dict[str, list[int]]) -> dict[str, list[int]]:
    """All axes after a change; the same as `changed` of js/src/selection.ts."""
    axes = dict(axes)
    if "positions" in change and not {"queries", "keys"} & set(change):
        axes |= {"queries": change["positions"], "keys": []}
    if "layers" in change and axes["layers"] and set(axes["layers"]) != set(change["layers"]):
        axes["neurons"] = []
    return axes | change


def _indices(axis: str, value: int | Iterable[int]) -> list[int]:
    if axis not in AXES:
        raise ValueError(f"a selection has the axes {', '.join(AXES)}; got {axis!r}")
    indices: list[Any] = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    for index in indices:
        if isinstance(index, bool) or not hasattr(index, "__index__") or index.__index__() < 0:
            raise TypeError(f"selection.{axis} must hold indices (whole numbers from 0); got {index!r}")
    return [index.__index__() for index in indices]
