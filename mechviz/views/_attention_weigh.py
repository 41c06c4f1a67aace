"""Attention is not effect: what `mv.attention` weighs a pattern with, from arrays or from the trace behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._key_values import KeyNumbers
from mechviz._layered import Unavailable
from mechviz._visible import prose
from mechviz.arrays import to_numpy
from mechviz.views._attention_asked import Sheets
from mechviz.views._attention_sheet import Sheet

# What a trace gives without being asked takes no more of a file than this.
FILE_BYTES = 8 * wire.MB
# What a view opens with comes with its first picture up to here.
_AT_ONCE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Weights:
    """A number for every head and key of a sheet."""

    values: np.ndarray
    """[head, key], heads as the browser counts them; 0 where a head has none."""
    signed: bool
    missing: dict[int, str]
    """Head -> why it has none."""


@dataclass(frozen=True)
class Factor:
    """One thing that a pattern can be multiplied with; `read` raises with the reason where there is none."""

    name: str
    symbol: str
    given: bool
    read: Callable[[], Weights]
    n_bytes: int
    first: bool = False  # the view opens with it

    def to_props(self, place: str) -> dict[str, Any]:
        """What js/src/parts/attentionsheets.ts reads as WeighJson, in a live picture, a twin or a file."""
        props: dict[str, Any] = {"name": self.name, "symbol": self.symbol, "asked": False, "reason": None}
        empty: dict[str, Any] = {**props, "values": None, "signed": False, "missing": {}}
        if not self.given and place == "live":
            return {**empty, "asked": True}
        if not self.given and place == "twin":
            return {**empty, "reason": "it is computed while a kernel runs; .save() keeps it"}
        if not self.given and self.n_bytes > FILE_BYTES:
            return {**empty, "reason": f"{self.n_bytes / 1e6:.0f} MB were left out of this file; weigh= puts them in"}
        answer = self.answer()
        if isinstance(answer, Mapping):
            return {**empty, **answer}
        said, (values,) = answer
        at_once = self.first and self.n_bytes <= _AT_ONCE_BYTES
        return {**props, **said, "values": wire.Array(values, lazy=not at_once)}

    def answer(self) -> Any:
        """``(JSON, [[head, key]])``, or the reason why there is none."""
        try:
            found = self.read()
        except Exception as error:  # of any model: what went wrong is what the reader is told
            return {"reason": prose(str(error)) or type(error).__name__}
        return {"signed": found.signed, "missing": {str(i): r for i, r in found.missing.items()}}, [found.values]


def factors_of(weigh: Any, directions: Any, sheets: Sheets, read: Sequence[Sheet]) -> list[list[Factor]]:
    """For every sheet what its pattern can be weighed with: what was given, then what the trace behind it gives.

    Raises:
        TypeError: `weigh` or `directions` is no dict, or holds no real numbers.
        ValueError: An array has another shape or numbers that are not finite; `directions` without a trace.
    """
    given = _checked(weigh, "weigh", "KeyValues or arrays [layer, head, key]")
    along = _directions(directions)
    found = []
    for i, sheet in enumerate(read):
        factors = []
        for name, whole in given.items():
            label = f"weigh[{name!r}]"
            own = _of_sheet(whole, sheets, i, label)
            if own is not None:
                factors.append(_given(name, own, sheet, label))
        pattern = sheets.given[i].pattern
        behind = getattr(pattern, "behind", None)
        if along and behind is None:
            raise ValueError(
                f"directions needs trace.attention, which knows the values behind its keys; got a "
                f"{type(pattern).__name__}: with arrays, weigh={{name: mv.analysis.contributions(trace, direction)}}"
            )
        if behind is not None:
            found.append([*factors, *_sourced(behind, along, sheet, list(pattern.layers))])
        else:
            found.append(factors)
    return found


def weigh_props(factors: Sequence[Sequence[Factor]], place: str) -> list[list[dict[str, Any]]]:
    """Of every sheet."""
    return [[factor.to_props(place) for factor in own] for own in factors]


def _checked(given: Any, name: str, what: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) and key for key in given):
        raise TypeError(f"{name} must be a dict of {what} by name; got {_kind(given)}")
    return dict(given)


def _directions(given: Any) -> dict[str, np.ndarray]:
    found = {}
    for name, vector in _checked(given, "directions", "vectors (d_model,)").items():
        array = to_numpy(vector, name=f"directions[{name!r}]")
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ValueError(f"directions[{name!r}] must be finite numbers (d_model,); got {_kind(array)}")
        found[name] = array
    return found


def _of_sheet(whole: Any, sheets: Sheets, i: int, label: str) -> Any:
    """What was given for one stack and one text; None for a stack that is not named."""
    part, text = sheets.place(i)
    if sheets.parts != [""]:
        unknown = [] if not isinstance(whole, Mapping) else sorted(set(map(str, whole)) - set(sheets.parts))
        if not isinstance(whole, Mapping) or unknown:
            raise ValueError(f"{label} must be a dict by {', '.join(sheets.parts)}; got {unknown or _kind(whole)}")
        whole = whole.get(sheets.parts[part])
        if whole is None:
            return None
    if sheets.texts == 1:
        return whole[0] if isinstance(whole, list | tuple) and len(whole) == 1 else whole
    if not isinstance(whole, list | tuple) or len(whole) != sheets.texts:
        raise ValueError(f"{label} must be a list of one for each of {sheets.texts} texts; got {_kind(whole)}")
    return whole[text]


def _given(name: str, own: Any, sheet: Sheet, label: str) -> Factor:
    """Something that the caller has: checked now."""
    if isinstance(own, KeyNumbers):
        weights = _of_key_values(own, sheet, [source.layer for source in sheet.sources], label)
        symbol = own.quantity.name or name
    else:
        weights = Weights(_of_array(to_numpy(own, name=label), sheet, label), False, {})
        weights = Weights(weights.values, bool((weights.values < 0).any()), {})
        symbol = name
    return Factor(prose(name), prose(symbol), True, lambda: weights, weights.values.nbytes)


def _of_array(array: np.ndarray, sheet: Sheet, label: str) -> np.ndarray:
    """[head, key] of [layer, head, key], or of [head, key] of a single layer."""
    keys = len(sheet.key_text)
    shape, given = (len(sheet.stack), sheet.widest, keys), array.shape
    if array.ndim == 2 and shape[0] == 1:
        array = array[None]
    if array.ndim == 3 and sheet.stack[0].sink and array.shape[2] == keys - 1:
        array = _with_sink(array)
    if array.shape != shape:
        raise ValueError(f"{label} must have shape (layer, head, key) == {shape}; got {given}")
    values = np.stack([array[source.row, source.column] for source in sheet.sources]).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{label} must hold finite numbers")
    return values


def _of_key_values(own: KeyNumbers, sheet: Sheet, layers: Sequence[int], label: str) -> Weights:
    """[head, key] of a result of `mechviz.analysis`, whose layers have their true numbers."""
    keys = len(sheet.key_text) - sheet.stack[0].sink
    if own.values.shape[2] != keys:
        raise ValueError(f"{label} must be of {keys} keys; got {own.values.shape[2]}")
    values = np.zeros((len(sheet.sources), keys), np.float32)
    missing = {}
    for i, (source, layer) in enumerate(zip(sheet.sources, layers, strict=True)):
        try:
            values[i] = own[layer][source.column]
        except Unavailable as reason:
            missing[i] = prose(str(reason))
        except IndexError:
            missing[i] = f"{own.quantity.name} are not known of head {source.column} of layer {layer}"
    if sheet.stack[0].sink:
        values = _with_sink(values)
    return Weights(values, own.quantity.scale == "signed" or bool((values < 0).any()), missing)


def _with_sink(values: np.ndarray) -> np.ndarray:
    """A sink has no value, and contributes nothing."""
    return np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)


def _sourced(behind: Any, along: Mapping[str, np.ndarray], sheet: Sheet, own: Sequence[int]) -> list[Factor]:
    """What the trace gives when it is asked."""
    layers = [own[source.row] for source in sheet.sources]
    size = 4 * len(sheet.sources) * len(sheet.key_text)

    def factor(name: str, symbol: str, compute: Callable[[], KeyNumbers]) -> Factor:
        read = cache(lambda: _of_key_values(compute(), sheet, layers, name))
        return Factor(prose(name), prose(symbol), False, read, size)

    return [
        factor("value norm", "‖v‖", behind.value_norms),
        factor("contribution norm", "‖W_O v‖", behind.contribution_norms),
        *(
            factor(name, f"W_O v · ({name})", lambda vector=vector: behind.contributions(vector))  # type: ignore[misc]
            for name, vector in along.items()
        ),
    ]


def _kind(x: Any) -> str:
    shape = getattr(x, "shape", None)
    if shape is not None:
        return f"a {type(x).__name__} of shape {tuple(shape)}"
    return f"{x!r}" if isinstance(x, str | int | float) or x is None else f"a {type(x).__name__}"
