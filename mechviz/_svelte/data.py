"""Python values -> props of a component, and back; nothing is rounded on the way (js/src/user/values.ts)."""

from __future__ import annotations

import base64
import dataclasses
import math
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from mechviz import wire
from mechviz.arrays import to_numpy
from mechviz.sites import MLP, Attention, Head, Neuron, Residual
from mechviz.text import Tokens

# Lists of numbers from this length on travel as bytes; the component is given a list all the same.
_LONG = 16

_SITES = (Head, Neuron, Residual, MLP, Attention)


def to_props(value: Any, name: str) -> Any:
    """A value as a figure holds it: JSON, with `wire.Array` for arrays.

    Args:
        value: None, bool, int, float, str, enum, path; numpy, torch or jax array; `wire.Array`, to send it at another
            precision or only when it is opened; `Tokens`; dict, list, tuple or dataclass of these.
        name: The argument's name, for errors.

    Raises:
        TypeError: a value that a browser cannot be given, such as a function; it names where it stands.
        ValueError: an integer beyond 2**53, or a value that contains itself.
    """
    return _encode(value, name, ())


def _encode(value: Any, name: str, inside: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, wire.Array):
        return value
    if isinstance(value, Enum):
        return _encode(value.value, name, inside)
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, (int, np.integer)):
        return _integer(int(value), name)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else {"$number": _NAMES[str(number)]}
    if isinstance(value, (os.PathLike, *_SITES)):  # a site is its name
        return _text(str(value))
    if isinstance(value, Tokens):
        return value.to_props()
    if id(value) in inside:
        raise ValueError(f"{name} contains itself")
    inside = (*inside, id(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, name, inside)
    if isinstance(value, Mapping):
        return _object(value, name, inside)
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return _object(dict(zip(value._fields, value, strict=True)), name, inside)  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return _list(list(value), name, inside)
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        return _array(value, name, inside)
    raise TypeError(f"{name} must be data (numbers, text, arrays, dicts, lists, dataclasses); got {_kind(value)}")


def _array(value: Any, name: str, inside: tuple[int, ...]) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        return _list(value.tolist(), name, inside) if value.ndim else _encode(value.item(), name, inside)
    return wire.Array(to_numpy(value, name=name))


def _list(items: list[Any], name: str, inside: tuple[int, ...]) -> Any:
    if len(items) >= _LONG and all(type(item) in (int, float) for item in items):
        return {"$list": wire.Array(np.array([_number(item, f"{name}[{i}]") for i, item in enumerate(items)]))}
    return [_encode(item, f"{name}[{i}]", inside) for i, item in enumerate(items)]


def _object(pairs: Mapping[Any, Any], name: str, inside: tuple[int, ...]) -> Any:
    for key in pairs:
        if isinstance(key, bool) or not isinstance(key, (str, int, np.integer)):
            raise TypeError(f"keys of {name} must be text or whole numbers; got {_kind(key)} {key!r:.60}")
    encoded = {_text(str(key)): _encode(item, f"{name}[{key!r}]", inside) for key, item in pairs.items()}
    # "$array" and its like mean something on the way.
    return {"$pairs": list(encoded.items())} if any(key.startswith("$") for key in encoded) else encoded


_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_VALUES = {name: float(text) for text, name in _NAMES.items()}


def _integer(value: int, name: str) -> int:
    if abs(value) > 2**53:
        raise ValueError(f"{name} must lie within ±2**53 to be exact in a browser; got {value}")
    return value


def _number(value: float, name: str) -> float:
    return float(_integer(value, name) if isinstance(value, int) else value)


def _text(text: str) -> str:
    return "".join(f"⟨U+{ord(c):04X}⟩" if 0xD800 <= ord(c) < 0xE000 else c for c in text)


def _kind(value: Any) -> str:
    return (
        f"a function ({value.__name__})"
        if callable(value) and hasattr(value, "__name__")
        else f"a {type(value).__name__}"
    )


def from_props(value: Any) -> Any:
    """What a component has written -> Python: numbers, text, lists, dicts, numpy arrays."""
    if isinstance(value, list):
        return [from_props(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$number" in value:
        return _VALUES[value["$number"]]
    if "$array" in value:
        return wire.decode(value["$array"], base64.b64decode(value["bytes"]))
    pairs = value["$pairs"] if "$pairs" in value else value.items()
    return {key: from_props(item) for key, item in pairs}


def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same to a component: 1 and 1.0, a list and a tuple, NaN and NaN are."""
    if _is_array(a) or _is_array(b):
        return _is_array(a) and _is_array(b) and _same_numbers(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    try:
        return bool(a == b or (a != a and b != b))
    except (TypeError, ValueError):  # of another library, which compares in its own way
        return a is b


def _is_array(value: Any) -> bool:
    return (hasattr(value, "__array__") or hasattr(value, "__dlpack__")) and not isinstance(value, np.generic)


def _same_numbers(a: Any, b: Any) -> bool:
    a, b = (to_numpy(value, name="value") for value in (a, b))
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")
