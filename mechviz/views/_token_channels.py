"""Of `mv.tokens`: values of one or several channels, each with its name, its scale and the rule that merges it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mechviz import wire
from mechviz._visible import prose
from mechviz.arrays import Quantity, Scale, check_integers, quantity_of, to_numpy
from mechviz.views._quantity import check_symmetric, named
from mechviz.views._token_texts import Texts

Merge = Literal["sum", "mean", "max"]

# A switch of more could not be read; the matrix can.
MOST_CHANNELS = 100


@dataclass(frozen=True)
class Channel:
    """One number per token, [position], what it is called and what it measures."""

    label: str
    values: np.ndarray | None
    quantity: Quantity
    merge: Merge
    scale: tuple[Scale, tuple[float, float]] | None

    def to_props(self) -> dict[str, Any]:
        """As the browser is given it (js/src/views/tokens.ts)."""
        reference, scale = self.quantity.reference, self.scale
        marked = scale is not None and reference is not None and scale[1][0] <= reference <= scale[1][1]
        return {
            "label": self.label,
            "values": None if self.values is None else wire.Array(self.values),
            "quantity": {"name": self.quantity.name, "unit": self.quantity.unit},
            "scale": None if scale is None else {"ramp": scale[0], "limits": list(scale[1])},
            "reference": {"value": reference, "name": self.quantity.reference_name} if marked else None,
            "merge": self.merge,
        }


@dataclass(frozen=True)
class Options:
    """What the caller says of the values."""

    names: Any
    name: str | None
    unit: str | None
    scale: Scale | None
    limits: Any
    merge: Merge | None

    def quantity(self, given: Quantity | None) -> Quantity:
        """What an array says of itself, as far as the caller does not say otherwise."""
        return named(given, self.name, self.unit, self.scale, self.limits)


def channels_of(values: Any, texts: Texts, options: Options) -> list[Channel]:
    """One channel of values [position]; several of [position, channel], on one scale, or of a dict, each on its own.

    Raises:
        TypeError: values are no real numbers, or names no strings.
        ValueError: a shape does not fit, or there are too many channels.
    """
    if options.merge is not None and options.merge not in get_args(Merge):
        raise ValueError(f"merge must be one of {', '.join(get_args(Merge))}; got {options.merge!r}")
    if values is None:
        if options.names is not None:
            raise ValueError("names= names the channels of values [position, channel]; got no values")
        quantity = options.quantity(None)
        return [Channel(quantity.name, None, quantity, _merge(quantity, options), None)]
    if texts.labels is not None:
        values = _turned(values, len(texts.starts))
    if isinstance(values, Mapping):
        return _own_scales(values, texts, options)
    array, given = _numbers(values, texts, "values")
    quantity = options.quantity(given)
    if array.ndim == 1:
        if options.names is not None:
            raise ValueError(f"names= names the channels of values [position, channel]; got values of {array.shape}")
        return [_channel(quantity.name, array, quantity, options)]
    labels = _names(options.names, array.shape[1])
    shared = scale_of(array, quantity)
    merge = _merge(quantity, options)
    columns = np.ascontiguousarray(array.T)
    return [Channel(label, column, quantity, merge, shared) for label, column in zip(labels, columns, strict=True)]


def _own_scales(values: Mapping[Any, Any], texts: Texts, options: Options) -> list[Channel]:
    if not values:
        raise ValueError("values must hold at least one channel; got an empty dict")
    labels = _names(options.names if options.names is not None else list(map(str, values)), len(values))
    found = []
    for label, (key, item) in zip(labels, values.items(), strict=True):
        array, given = _numbers(item, texts, f"values[{key!r}]")
        if array.ndim != 1:
            raise ValueError(f"values[{key!r}] must have shape (position,); got {array.shape}")
        quantity = options.quantity(given)
        found.append(_channel(label, array, dataclasses.replace(quantity, name=quantity.name or label), options))
    return found


def _channel(label: str, values: np.ndarray, quantity: Quantity, options: Options) -> Channel:
    return Channel(label, values, quantity, _merge(quantity, options), scale_of(values, quantity))


def difference_of(first: np.ndarray, second: np.ndarray, quantity: Quantity, options: Options) -> Channel:
    """Second minus first, signed; of a loss the difference of log p, so that less probable is orange there, too."""
    a, b = (values.astype(np.result_type(values, np.float32)) for values in (first, second))
    loss = quantity.name.endswith("loss")
    with np.errstate(invalid="ignore"):
        values = a - b if loss else b - a
    name = "Δ log p" if loss else f"Δ {quantity.name}".strip()
    changed = Quantity(name, quantity.unit, "signed")
    return Channel(name, values, changed, options.merge or _merge(quantity, options), scale_of(values, changed))


def compared(values: Any, other: Any, texts: Texts, options: Options) -> list[Channel]:
    """Two sets of values of the same tokens: the difference, and both on one scale.

    Raises:
        ValueError: one of them is not [position].
    """
    first, given = _numbers(values, texts, "values")
    second, _ = _numbers(other, texts, "compare")
    for name, array in (("values", first), ("compare", second)):
        if array.ndim != 1:
            raise ValueError(f"{name} must have shape (position,) where two are compared; got {array.shape}")
    quantity = options.quantity(given)
    labels = ["first", "second"] if options.names is None else _names(options.names, 2)
    both = scale_of(np.concatenate([first, second]), quantity)
    merge = _merge(quantity, options)
    sides = [Channel(label, array, quantity, merge, both) for label, array in zip(labels, (first, second), strict=True)]
    return [difference_of(first, second, quantity, options), *sides]


def aligned(channel: Channel, other: np.ndarray, split: int, options: Options) -> list[Channel]:
    """Of two texts, one after the other: the difference between what belongs together, and the values.

    Args:
        channel: The values.
        other: What each is compared with, [position]; NaN where there is nothing.
        split: Where the second text begins.
        options: What the caller says.
    """
    values = channel.values
    assert values is not None
    known = ~np.isnan(other)
    own = np.where(known, values.astype(np.result_type(values, np.float32)), np.nan)
    is_first = np.arange(values.size) < split
    first, second = np.where(is_first, own, other), np.where(is_first, other, own)
    return [difference_of(first, second, channel.quantity, options), channel]


def scale_of(values: np.ndarray, quantity: Quantity) -> tuple[Scale, tuple[float, float]] | None:
    """Ramp and limits for values; None where no value is a number."""
    numbers = values[~np.isnan(values)]
    if not numbers.size:
        return None
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    limits = quantity.limits
    negative = bool((numbers < 0).any()) if limits is None else limits[0] < 0
    chosen: Scale = quantity.scale or ("signed" if negative else "ink")
    if limits is None:
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        size = max(-low, high)
        limits = (-size, size) if chosen == "signed" else (min(low, 0.0), max(high, 0.0))
        # All zero: any scale will do that has zero on the plate.
        limits = limits if limits[0] < limits[1] else (-1.0 if chosen == "signed" else 0.0, 1.0)
    if chosen == "signed":
        check_symmetric(limits)
    return chosen, limits


def _merge(quantity: Quantity, options: Options) -> Merge:
    """What adds up is added: log-probabilities, and shares of something."""
    adds = quantity.unit in ("nats", "bits") or any(word in quantity.name for word in ("attribution", "contribution"))
    return options.merge or ("sum" if adds else "mean")


def _turned(values: Any, count: int) -> Any:
    """Dicts of each text as one dict of lists; anything else as it is, if there is one item a text."""
    if isinstance(values, Mapping):
        return values
    of_array = len(getattr(values, "shape", ())) > 0  # one batch, [text, position], of any library
    if not (of_array or isinstance(values, Sequence)) or isinstance(values, str) or len(values) != count:
        got = f"{len(values)}" if of_array or isinstance(values, Sequence) else type(values).__name__
        raise ValueError(f"values must be a list of one array for each of {count} texts; got {got}")
    if not all(isinstance(item, Mapping) for item in values):
        return values
    keys = list(values[0])
    for i, item in enumerate(values):
        if list(item) != keys:
            raise ValueError(f"values must have the channels {keys} for every text; values[{i}] has {list(item)}")
    return {key: [item[key] for item in values] for key in keys}


def _numbers(values: Any, texts: Texts, name: str) -> tuple[np.ndarray, Quantity | None]:
    """[position] or [position, channel] of all texts, one after the other, and what the array says it is."""
    if texts.labels is None:
        return _of_one(values, len(texts.all), name), quantity_of(values)
    items = list(values)
    if len(items) != len(texts.starts):
        raise ValueError(f"{name} must be a list of one array for each of {len(texts.starts)} texts; got {len(items)}")
    arrays = [
        _of_one(item, part.stop - part.start, f"{name}[{i}]")
        for i, (item, part) in enumerate(zip(items, texts.parts, strict=True))
    ]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"{name} must have the same channels for every text; got {[a.shape for a in arrays]}")
    quantities = [quantity_of(item) for item in items]
    return np.concatenate(arrays), quantities[0] if all(one == quantities[0] for one in quantities) else None


def _of_one(values: Any, n: int, name: str) -> np.ndarray:
    """The values of one text, or an error that says what may have been meant."""
    numbers = check_integers(to_numpy(values, name=name), name=name)
    if numbers.shape == (n,):
        return numbers.copy()  # a buffer that is filled again would change what the scale was made for
    hint = ""
    if numbers.ndim == 2 and numbers.shape[0] == n and numbers.shape[1]:
        if numbers.shape[1] <= MOST_CHANNELS:
            return numbers.copy()
        hint = (
            f"; of more than {MOST_CHANNELS} channels see mv.neurons(tokens, values) or "
            "mv.heatmap(values.T, columns=tokens)"
        )
    elif numbers.ndim == 1 and numbers.shape == (n - 1,):
        hint = "; the first token often has no value of its own: put NaN there"
    elif numbers.ndim in (2, 3) and numbers.shape[0] == 1:
        hint = f"; one text has no batch axis: pass {name}[0]"
    elif numbers.ndim == 2 and numbers.shape[1] == n:
        hint = f"; positions come first: pass {name}.T"
    raise ValueError(
        f"{name} must have shape (position,) == ({n},), one number per token, or (position, channel); "
        f"got {numbers.shape}{hint}"
    )


def _names(names: Any, count: int) -> list[str]:
    if names is None:
        return [str(i) for i in range(count)]
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be strings, one a channel; got {names!r}")
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"names must be {count} different strings, one a channel; got {list(names)!r}")
    return [prose(name) for name in names]
