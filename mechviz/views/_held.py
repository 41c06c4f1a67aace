"""Of `mv.live`: limits of colour scales that hold every text so far, so that colours mean the same from key to key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mechviz import wire
from mechviz.spec import Spec

_Path = tuple[Any, ...]


class Held:
    """Scales by where they stand in a picture; their limits only grow.

    "ink" is the upper half of "signed": once one of a text was signed it stays so, and the limits of both are one.
    """

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._ends: dict[_Path, tuple[str, float, float]] = {}

    def widened(self, spec: Spec, index: int) -> Spec:
        """The `index`-th picture of a view with scales that hold what those in their places have held so far."""
        path = (index, spec.kind, str(spec.props.get("quantity")))
        return dataclasses.replace(spec, props=self._within(spec.props, path))

    def _within(self, value: Any, path: _Path) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._within(item, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        if "ramp" in value and isinstance(value.get("limits"), (list, tuple)):
            ramp, low, high = self._grown(path, value["ramp"], *value["limits"])
            return {**value, "ramp": ramp, "limits": [low, high]}
        if "ramp" in value and "layers" in value:
            return self._of_layers(value, path)
        return {key: self._within(item, (*path, key)) for key, item in value.items()}

    def _of_layers(self, value: Mapping[str, Any], path: _Path) -> dict[str, Any]:
        """Of `mv.neurons` each layer has limits of its own, worked out when it is opened: ``facts[:2]``."""
        # Which ramp it is has to be known for the picture, before any layer but the open one is read.
        ramp, *_ = self._grown((*path, "ramp"), value["ramp"], 0.0, 0.0)

        def widened(facts: wire.Array, key: _Path) -> wire.Array:
            def numbers() -> np.ndarray:
                given = facts.numbers()
                return np.array([*self._grown(key, ramp, *given[:2].tolist())[1:], *given[2:]])

            return (
                wire.Array(numbers, lazy=True, shape=facts.shape)
                if facts.lazy
                else dataclasses.replace(facts, source=numbers())
            )

        layers = [
            {**layer, "facts": widened(layer["facts"], (*path, layer["number"]))} if "facts" in layer else layer
            for layer in value["layers"]
        ]
        return {**value, "ramp": ramp, "layers": layers}

    def _grown(self, path: _Path, ramp: str, low: float, high: float) -> tuple[str, float, float]:
        key = (*path, "ember" if ramp == "ember" else "")
        before, lowest, highest = self._ends.get(key, (ramp, low, high))
        low, high = min(low, lowest), max(high, highest)
        if "signed" in (before, ramp):
            ramp, size = "signed", max(-low, high)
            low, high = -size, size
        self._ends[key] = (ramp, low, high)
        return ramp, low, high
