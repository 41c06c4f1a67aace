"""What `mv.attention` accepts, made into one pattern a layer; the errors say what was expected and what came."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from mechviz._sink import SinkColumn, has_sink
from mechviz.arrays import to_numpy
from mechviz.pattern import Dense, Difference, Factored, Pattern, PatternStack, own_layers
from mechviz.text import Tokens
from mechviz.views._cell_products import factored, why_none

ACCEPTED = (
    "(query, key), (head, query, key) or (layer, head, query, key), a list of arrays (head, query, key), one a layer, "
    "or trace.attention"
)

# Patterns beyond this are computed a head at a time, whenever a head is looked at.
HELD_BYTES = 64 << 20


@dataclass(frozen=True)
class Layer:
    """One layer's pattern and the number it goes by; None where nobody has said it."""

    number: int | None
    pattern: Pattern
    sink: bool = False  # whether its last key is the sink
    masked: bool = False  # no query reads from a key behind it, but for the sink, where its last key is one
    group: int = 1  # heads that share a key head
    window: int | None = None  # keys that a query can see at most, itself among them
    # What a `Difference` is one of: "probability", or "weight"; "" where it is none.
    difference: str = ""
    # Its queries and keys, also where its weights are held as an array; why there are none ("").
    factors: Factored | None = None
    no_factors: str = ""


def check_order(tokens: Any, pattern: Any) -> None:
    """Raise a TypeError when tokens and pattern have changed places."""
    given = isinstance(tokens, Pattern | PatternStack) or len(getattr(tokens, "shape", ())) >= 2
    if _are_strings(pattern) or (given and not isinstance(tokens, Tokens)):
        raise TypeError(
            f"tokens must be a list of tokens and pattern an array {ACCEPTED}; got tokens={_kind(tokens)} and "
            f"pattern={_kind(pattern)}: arguments swapped? mv.attention(tokens, pattern)"
        )


def _kind(x: Any) -> str:
    shape = getattr(x, "shape", None)
    return type(x).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def _are_strings(x: Any) -> bool:
    if isinstance(x, Tokens | str):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind == "U"
    return isinstance(x, list | tuple) and len(x) > 0 and all(isinstance(item, str) for item in x)


def layers_of(pattern: Any, numbers: Sequence[int] | None) -> list[Layer]:
    """The layers of whatever was given, checked to agree with each other."""
    if isinstance(pattern, PatternStack):
        found = dict(pattern.items())  # whether a layer can be had may turn out only now
        own: Sequence[int | None] = list(found)
        patterns: list[Pattern] = list(found.values())
        if not patterns:
            reasons = missing_of(pattern)
            raise ValueError(f"pattern must hold at least one layer; got none{f' ({reasons})' if reasons else ''}")
    else:
        patterns = [pattern] if isinstance(pattern, Pattern) else [Dense(a, causal=False) for a in _arrays(pattern)]
        known = own_layers(pattern)
        own = known or ([None] if len(patterns) == 1 else range(len(patterns)))
    groups = [getattr(p, "group", 1) for p in patterns]
    windows = [_window(p) for p in patterns]
    differences = [_difference(p) for p in patterns]
    # What a saved trace shows when it is opened without torch is then what it showed, to the bit.
    patterns = [getattr(p, "portable", lambda p=p: p)() for p in patterns]
    first = patterns[0].shape
    for number, other in zip(own, patterns, strict=True):
        same = other.shape[1:] == first[1:] and (other.shape[0] == first[0] or isinstance(pattern, PatternStack))
        if not same:
            raise ValueError(
                f"pattern must have one shape (head, query, key) in all layers; layer {own[0]} has {tuple(first)}, "
                f"layer {number} has {tuple(other.shape)}"
            )
    if 0 in first:
        raise ValueError(f"pattern must have at least one head, query and key; got shape {tuple(first)}")
    sink = any(map(has_sink, patterns))
    shown = [SinkColumn(p) for p in patterns] if sink else patterns
    given = zip(_numbers(numbers, own), _held(shown), groups, windows, differences, patterns, strict=True)
    return [
        Layer(n, held, sink, p.causal, group, window, less, factored(p), why_none(p))
        for n, held, group, window, less, p in given
    ]


def _window(pattern: Pattern) -> int | None:
    """The sliding window that a rule says, where it bites and queries are keys."""
    window = getattr(pattern, "window", None)
    square = pattern.shape[1] == pattern.shape[2] and not getattr(pattern, "offset", 0)
    return window if window is not None and square and window < pattern.shape[2] else None


def _difference(pattern: Pattern) -> str:
    if not isinstance(pattern, Difference):
        return ""
    return "probability" if pattern.of_probabilities else "weight"


def rows_of(stack: Sequence[Layer], pattern: Any) -> tuple[list[tuple[str, str]], list[int]]:
    """The rows of the grid, each with its name and why it has no heads (or ""), and the row of every layer of `stack`.

    Layers side by side that have no pattern for one reason are one row.
    """
    missing = pattern.missing if isinstance(pattern, PatternStack) else {}
    if not missing or any(layer.number is None or layer.number in missing for layer in stack):
        return [("" if layer.number is None else f"L{layer.number}", "") for layer in stack], list(range(len(stack)))
    numbered = [(layer.number or 0, i) for i, layer in enumerate(stack)]
    rows: list[tuple[str, str]] = []
    places = [0] * len(stack)
    first = last = -1
    for number, i in sorted([*numbered, *((number, -1) for number in missing)]):
        reason = "" if i >= 0 else _plain_reason(missing[number])
        if reason and rows and rows[-1][1] == reason and last == number - 1:
            rows[-1] = (f"L{first}–{number}", reason)
        else:
            first = number
            rows.append((f"L{number}", reason))
        last = number
        if i >= 0:
            places[i] = len(rows) - 1
    return rows, places


def _plain_reason(reason: str) -> str:
    return re.sub(r"^layer \d+ has no attention pattern( that can be trusted)?: ", "", reason)


def missing_of(pattern: Any) -> str:
    """Which layers of a trace are not drawn, and why: "no pattern of layers 0, 2: …"; call it after `layers_of`."""
    reasons: dict[str, list[int]] = {}
    for layer, reason in pattern.missing.items() if isinstance(pattern, PatternStack) else ():
        reasons.setdefault(_plain_reason(reason), []).append(layer)
    return "; ".join(
        f"no pattern of layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}: {reason}"
        for reason, layers in reasons.items()
    )


def _held(patterns: Sequence[Pattern]) -> list[Pattern]:
    """Factored patterns as arrays where these are small: a layer at once is much quicker than head by head, twice."""
    size = sum(4 * math.prod(pattern.shape) for pattern in patterns)
    if size > HELD_BYTES:
        return list(patterns)
    return [
        p if isinstance(p, Dense) else Dense(to_numpy(p.dense(), name="pattern"), causal=p.causal, names=p.names)
        for p in patterns
    ]


def _arrays(pattern: Any) -> list[np.ndarray]:
    """Arrays, one a layer, each ``[head, query, key]``."""
    if hasattr(pattern, "attention"):
        raise TypeError(f"pattern must be {ACCEPTED}; got a {type(pattern).__name__}: pass its .attention")
    if isinstance(pattern, list | tuple) and any(hasattr(item, "shape") or item is None for item in pattern):
        return [_of_list(item, i) for i, item in enumerate(pattern)]
    if isinstance(pattern, list | tuple) and not pattern:
        raise ValueError("pattern must hold at least one layer; got an empty list")
    array = to_numpy(pattern, name="pattern")
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 5:  # a batch of one, before or behind the layers
        array = array[:, 0] if array.shape[1] == 1 else array[0] if array.shape[0] == 1 else array
    if array.ndim not in (3, 4):
        raise ValueError(f"pattern must have shape {ACCEPTED}, with a batch of one at most; got {array.shape}")
    layers = list(array) if array.ndim == 4 else [array]
    if not layers:
        raise ValueError(f"pattern must have at least one layer; got shape {array.shape}")
    return layers


def _of_list(item: Any, i: int) -> Any:
    """One item of a list that holds a layer each."""
    name = f"pattern[{i}]"
    if item is None:
        raise TypeError(
            f"{name} must be an array (head, query, key); got None: the model gave no attention for this layer. Load it "
            'with attn_implementation="eager", or use mechviz.load, which needs no such setting'
        )
    array = np.asarray(item.dense()) if isinstance(item, Pattern) else to_numpy(item, name=name)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3:
        hint = "; for a list of heads pass an array (head, query, key): np.stack(pattern)" if array.ndim == 2 else ""
        hint = "; one text has no batch axis" if array.ndim == 4 else hint
        raise ValueError(
            f"{name} must have shape (head, query, key), with a batch of one at most; got {array.shape}{hint}"
        )
    return array


def _numbers(given: Sequence[int] | None, own: Sequence[int | None]) -> Sequence[int | None]:
    """The numbers that layers go by: what the caller says, else their own."""
    return own if given is None else check_labels(given, len(own), name="layers", each="layer of the pattern")


def check_labels(given: Any, count: int, *, name: str, each: str) -> list[int]:
    """True numbers for layers or heads, one each and none twice."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{name} must be a list of integers, one for each {each}; got {given!r}")
    try:
        labels = [index(item) for item in given]
    except TypeError:
        raise TypeError(f"{name} must be a list of integers, one for each {each}; got {given!r}") from None
    if len(labels) != count or len(set(labels)) != count or min(labels, default=0) < 0:
        raise ValueError(f"{name} must hold {count} different numbers >= 0, one for each {each}; got {labels}")
    return labels
