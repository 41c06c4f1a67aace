"""What stands behind each key of a head, in numbers: read off a trace, whatever library holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Quantity, to_numpy
from .pattern import Unavailable

CHUNK = 1 << 24  # numbers that one step may make of contributions


@dataclass(frozen=True)
class KeyNumbers:
    """A number for every key of every head. Times the attention weight, it says how much of that key a query takes over.

    ``result[5]`` is layer 5's, ``[head, key]``; ``trace.attention[5].dense() * result[5][:, None]`` weighs a pattern with it.

    Attributes:
        layers: The true numbers of the layers, one a row.
        heads: How many heads each of them has.
        values: float32 ``[layer, head, key]``, heads as queries have them: those that share a value head have equal values,
            not equal contributions. NaN where a layer has fewer heads than another.
        quantity: What the numbers are, and their scale.
        missing: Layers without such numbers, and why.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    values: np.ndarray
    quantity: Quantity
    missing: Mapping[int, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.quantity.name}: {sum(self.heads)} heads, {self.values.shape[-1]} keys)"

    def __getitem__(self, layer: int) -> np.ndarray:
        """One layer's numbers, ``[head, key]``.

        Raises:
            Unavailable: The layer has none; the message is the reason.
            IndexError: There is no such layer.
        """
        if layer in self.missing:
            raise Unavailable(f"layer {layer} has no {self.quantity.name}: {self.missing[layer]}")
        if layer not in self.layers:
            raise IndexError(f"layer must be one of {list(self.layers)}; got {layer}")
        row = self.layers.index(layer)
        return self.values[row, : self.heads[row]]


@dataclass(frozen=True, eq=False)
class BehindKeys:
    """What stands behind the keys of one trace, computed when it is asked for: ``trace.attention.behind``."""

    trace: Any
    saved: Callable[[str], KeyNumbers | None] = lambda _name: None
    """What a file holds of it, by name; raises the reason why there was none."""

    def value_norms(self) -> KeyNumbers:
        """``‖v_k‖``."""
        return self.saved("value_norms") or value_norms(self.trace)

    def contribution_norms(self) -> KeyNumbers:
        """``‖W_O v_k‖``."""
        return self.saved("contribution_norms") or contribution_norms(self.trace)

    def contributions(self, direction: Any) -> KeyNumbers:
        """``(W_O v_k) · direction``."""
        return contributions(self.trace, direction)


def value_norms(trace: Any) -> KeyNumbers:
    """See `mechviz.analysis.value_norms`."""

    def read(layer: int) -> np.ndarray:
        norms = np.linalg.norm(to_numpy(trace.v[layer], name="v").astype(np.float64), axis=-1)  # [key, value head]
        return norms.T.repeat(_sharing(trace, layer, norms.shape[1]), axis=0)

    return _every_layer(trace, Quantity("‖v‖", scale="ink"), read)


def contribution_norms(trace: Any) -> KeyNumbers:
    """See `mechviz.analysis.contribution_norms`."""
    return _every_layer(
        trace, Quantity("‖W_O v‖", scale="ink"), lambda layer: _per_head(trace, layer, _norms_of_contributions)
    )


def contributions(trace: Any, direction: Any) -> KeyNumbers:
    """See `mechviz.analysis.contributions`."""
    along = to_numpy(direction, name="direction").astype(np.float32)
    if along.ndim != 1:
        raise ValueError(f"direction must have shape (d_model,); got {along.shape}")
    if not np.isfinite(along).all():
        raise ValueError("direction must be finite; it holds NaN or infinite numbers")

    def one_head(values: Any, weight: Any) -> Any:
        if len(along) != weight.shape[1]:
            raise ValueError(f"direction must have shape (d_model,) == ({weight.shape[1]},); got {along.shape}")
        return values @ (weight @ weight.new_tensor(along))  # [key]

    return _every_layer(
        trace, Quantity("W_O v · direction", scale="signed"), lambda layer: _per_head(trace, layer, one_head)
    )


def _norms_of_contributions(values: Any, weight: Any) -> Any:
    """``[key]``, a block of keys at a time: ``[key, d_model]`` of a long text is large."""
    step = max(1, CHUNK // weight.shape[1])
    norms = values.new_empty(len(values))
    for start in range(0, len(values), step):
        norms[start : start + step] = (values[start : start + step] @ weight).norm(dim=-1)
    return norms


def _per_head(trace: Any, layer: int, of_head: Callable[[Any, Any], Any]) -> np.ndarray:
    """``[head, key]`` of a function of a head's values ``[key, d_head]`` and its weight ``[d_head, d_model]``."""
    if not hasattr(trace, "w_o"):
        raise TypeError(
            f"trace must be a Trace, which has the model's output projections; got a {type(trace).__name__}"
        )
    weights = trace.w_o(layer)  # [head, d_head, d_model]
    values = trace.v[layer].detach().float().to(weights.device)  # [key, value head, d_head]
    if len(weights) % values.shape[1]:
        raise Unavailable(f"it has {len(weights)} heads and {values.shape[1]} values, which no grouping explains")
    shared = len(weights) // values.shape[1]
    return np.stack(
        [to_numpy(of_head(values[:, head // shared], weight), name="head") for head, weight in enumerate(weights)]
    )


def _sharing(trace: Any, layer: int, values: int) -> int:
    """How many heads share a value head."""
    for name in ("q", "z", "attention"):  # queries cost least: their replay stops before the softmax
        try:
            shape = getattr(trace, name)[layer].shape
        except (Unavailable, AttributeError):
            continue
        heads = shape[0 if name == "attention" else 1]
        if heads % values:
            raise Unavailable(f"it has {heads} heads and {values} values, which no grouping explains")
        return heads // values
    raise Unavailable("its q, z and attention are all missing, so nothing says how many heads share a value")


def _every_layer(trace: Any, quantity: Quantity, read: Callable[[int], np.ndarray]) -> KeyNumbers:
    found, missing = {}, {}
    for layer in trace.v.layers:
        try:
            found[layer] = read(layer)
        except Unavailable as reason:
            missing[layer] = str(reason).removeprefix(f"layer {layer} has no result: ")
    missing |= trace.v.missing  # behind the reasons of those that could be tried: the first is told
    if not found:
        reason = next(iter(missing.values()), "it has no layers")
        raise Unavailable(f"no layer has {quantity.name}: {reason}")
    shape = tuple(max(layer.shape[axis] for layer in found.values()) for axis in (0, 1))
    values = np.full((len(found), *shape), np.nan, np.float32)
    for row, layer in enumerate(found.values()):
        values[row, : layer.shape[0], : layer.shape[1]] = layer
    heads = tuple(len(layer) for layer in found.values())
    return KeyNumbers(tuple(found), heads, values, quantity, dict(sorted(missing.items())))
