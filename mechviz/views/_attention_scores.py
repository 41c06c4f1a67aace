"""Scores of heads as `mv.attention` sends them: of one text, over several, and from role to role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._head_scores import names_of, numbers_of, places_of, sample, scores_of
from mechviz._sink import SinkColumn
from mechviz._visible import prose
from mechviz.arrays import to_numpy
from mechviz.pattern import Dense, Pattern
from mechviz.text import Tokens
from mechviz.views._pattern_layers import Layer

# Of more weights than this the scores are awaited in the background, of more than that they are read off a sample.
_AT_ONCE = 1 << 22
_ALL = 1 << 29
# Weights that a sample reads, a second's worth, and the fewest queries of one.
_SAMPLE, _FEWEST = 1 << 25, 16


class Scores:
    """The scores of all heads of a sheet, computed when they are first asked for."""

    def __init__(self, stack: Sequence[Layer], text: Tokens, *, causal: bool, same_tokens: bool) -> None:
        self._patterns = [_without_sink(layer) for layer in stack]
        self._text, self._causal, self._same = text, causal or stack[0].sink, same_tokens
        heads, queries, keys = (sum(p.shape[0] for p in self._patterns), *self._patterns[0].shape[1:])
        self.cells = heads * queries * keys
        self._places = places_of(text) if same_tokens else None
        self.names = names_of(self._places)
        self.shape = (2, heads, len(self.names))
        # Queries that are read, of how many; None for all.
        some = max(_FEWEST, _SAMPLE // (heads * keys))
        self.sampled = (some, queries) if self.cells > _ALL and queries > some else None

    @cached_property
    def values(self) -> np.ndarray:
        """``[with the first key · without, head, score]`` float64, in the order of `names`."""
        chosen = sample(self.sampled[1], self.sampled[0]) if self.sampled else None
        ids = numbers_of(self._text) if self._same else None
        given: dict[str, Any] = {"same_tokens": self._same, "ids": ids, "queries": chosen, "places": self._places}
        found = [scores_of(p, causal=p.causal or (self._causal and self._same), **given) for p in self._patterns]
        return np.concatenate(found, axis=2).transpose(0, 2, 1)

    def to_props(self, *, lazy: bool) -> dict[str, Any]:
        """What js/src/parts/headscores.ts reads as ScoresJson."""
        if lazy or self.cells > _AT_ONCE:
            array = wire.Array(lambda: self.values, shape=self.shape, lazy=True)
        else:
            array = wire.Array(self.values)
        return {"names": list(self.names), "values": array, "sampled": self.sampled}


def over_texts(scores: Sequence[Scores]) -> dict[str, Any] | None:
    """Mean and standard deviation over texts, where their heads are the same; a text without a score does not count."""
    if len(scores) < 2 or len({s.shape[:2] for s in scores}) > 1:
        return None
    most = max(s.shape[2] for s in scores)

    @cache
    def found() -> tuple[np.ndarray, np.ndarray]:
        # A text without an image has no scores of patches.
        rest = [((0, 0), (0, 0), (0, most - s.shape[2])) for s in scores]
        padded = [np.pad(s.values, more, constant_values=np.nan) for s, more in zip(scores, rest, strict=True)]
        return mean_and_spread(np.stack(padded))

    late = sum(s.cells for s in scores) > _AT_ONCE

    def part(i: int) -> wire.Array:
        return (
            wire.Array(lambda: found()[i], shape=(*scores[0].shape[:2], most), lazy=True)
            if late
            else wire.Array(found()[i])
        )

    return {"mean": part(0), "spread": part(1), "count": len(scores)}


def mean_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the first axis, NaN left out: the mean, and the standard deviation of a sample (NaN of fewer than two)."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.divide(np.where(known, values, 0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    square = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
    spread = np.sqrt(np.divide(square, count - 1, out=np.full(count.shape, np.nan), where=count > 1))
    return mean, spread


def check_roles(roles: Any, lengths: Sequence[int], *, several_parts: bool) -> dict[str, list[int]]:
    """Role -> its position in every text, from 0; −1 where a text has none."""
    if roles is None:
        return {}
    if not isinstance(roles, Mapping) or not roles:
        raise TypeError(f"roles must be a dict of positions by role, such as {{'END': -1}}; got {roles!r}")
    if several_parts:
        raise ValueError("roles are positions in one pattern's tokens; got patterns with names")
    found = {}
    for name, given in roles.items():
        listed = [given] if len(lengths) == 1 and (given is None or hasattr(given, "__index__")) else given
        if hasattr(given, "__index__") and len(lengths) > 1:  # the same in every text, such as -1
            listed = [given] * len(lengths)
        if isinstance(listed, str) or not hasattr(listed, "__len__") or len(listed) != len(lengths):
            raise ValueError(f"roles[{name!r}] must hold a position for each of {len(lengths)} texts; got {given!r}")
        found[prose(str(name))] = [
            _position(p, n, name, i) for i, (p, n) in enumerate(zip(listed, lengths, strict=True))
        ]
    return found


def _position(given: Any, length: int, role: Any, text: int) -> int:
    if given is None:
        return -1
    try:
        position = index(given)
    except TypeError:
        raise TypeError(f"roles[{role!r}] must hold whole numbers or None; got {given!r} for text {text}") from None
    if not -length <= position < length:
        raise ValueError(f"roles[{role!r}] must be a position of text {text}, which has {length}; got {position}")
    return position % length


def role_weights(stack: Sequence[Layer], positions: Sequence[int], *, causal: bool) -> np.ndarray:
    """``[head, reads, is read]``: what every role reads of every other; NaN where there is none, or the mask has it."""
    there = np.array([p for p in positions if p >= 0], int)
    place = np.array([i for i, p in enumerate(positions) if p >= 0], int)
    found = np.full((sum(layer.pattern.shape[0] for layer in stack), len(positions), len(positions)), np.nan)
    if there.size:
        rows = np.concatenate([_rows(layer.pattern, there) for layer in stack])[:, :, there].astype(np.float64)
        if causal:
            rows[:, there[None, :] > there[:, None]] = np.nan
        found[:, place[:, None], place[None, :]] = rows
    return found


def roles_props(roles: Mapping[str, list[int]], weights: Sequence[np.ndarray]) -> dict[str, Any]:
    """What js/src/parts/headscores.ts reads as RolesJson."""
    mean, spread = mean_and_spread(np.stack(weights))
    several = len(weights) > 1
    return {
        "names": list(roles),
        "positions": [list(column) for column in zip(*roles.values(), strict=True)],
        "mean": wire.Array(mean),
        "spread": wire.Array(spread) if several else None,
        "counts": [[int(n) for n in row] for row in _counts(weights)] if several else None,
    }


def _counts(weights: Sequence[np.ndarray]) -> np.ndarray:
    """In how many texts there is such a pair."""
    return np.stack([~np.isnan(w[0]) for w in weights]).sum(axis=0)


def _rows(pattern: Pattern, queries: np.ndarray) -> np.ndarray:
    """``[head, query, key]`` of a few queries."""
    if isinstance(pattern, Dense):
        return pattern.array[:, queries]
    return np.stack([to_numpy(pattern.rows(head, queries), name="pattern") for head in range(pattern.shape[0])])


def _without_sink(layer: Layer) -> Pattern:
    if isinstance(layer.pattern, SinkColumn):
        return layer.pattern.pattern
    return Dense(layer.pattern.array[:, :, :-1]) if layer.sink and isinstance(layer.pattern, Dense) else layer.pattern
