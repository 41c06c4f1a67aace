"""The heads of a pattern: where each stands and what it is called, its weights, and whether they are causal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from mechviz._reading import Reading, steps
from mechviz.arrays import to_numpy
from mechviz.pattern import Dense, Factored, Pattern
from mechviz.sites import Head, parse
from mechviz.text import visible
from mechviz.views._head_stats import above_diagonal, undefined_rows
from mechviz.views._pattern_layers import Layer

# A mask that was added to scores: float16's lowest number and everything below it.
_MASK = -65504.0


@dataclass(frozen=True)
class HeadSource:
    """One head: where it stands in the grid, what it is called, and where its weights come from."""

    row: int
    column: int
    layer: int
    name: str
    pattern: Pattern
    factors: Factored | None = None  # its queries and keys, also where its weights are held as an array

    def weights(self) -> np.ndarray:
        """All its weights, ``[query, key]``, in a float dtype; those of an array are a view of it."""
        if isinstance(self.pattern, Dense):  # its own dtype: head() would round float64
            return as_float(self.pattern.array[self.column])
        return to_numpy(self.pattern.head(self.column), name="pattern")

    def pooled(self, size: int) -> np.ndarray:
        """At most ``size`` cells a side, the largest weight in each: for a head too large to be held."""
        edges = [steps(0, n, -(-max(self.pattern.shape[1:]) // size)) for n in self.pattern.shape[1:]]
        return Reading([(self.pattern, self.column)]).tile(edges[0], edges[1])

    def line(self, args: dict[str, Any]) -> np.ndarray:
        """The weights of one query ``[key]`` or of one key ``[query]``: what a live picture asks for."""
        if "query" in args:
            query = index(args["query"])
            if isinstance(self.pattern, Dense):
                return self.weights()[query]
            return to_numpy(self.pattern.rows(self.column, [query]), name="pattern").reshape(-1)
        key = index(args["key"])
        if isinstance(self.pattern, Dense):
            return np.ascontiguousarray(self.weights()[:, key])
        return to_numpy(self.pattern.tile(self.column, slice(None), slice(key, key + 1)), name="pattern").reshape(-1)


def as_float(array: np.ndarray) -> np.ndarray:
    """Floats as they are; integers and bools as floats that hold them exactly."""
    if array.dtype.kind == "f":
        return array
    return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)


def heads_of(layers: Sequence[Layer], numbers: Sequence[int], names: Sequence[str] | None) -> list[HeadSource]:
    """Every head of every layer. A head without a name is "L1H0", or "H0" where nobody has said which layer it is."""
    found = []
    for row, layer in enumerate(layers):
        own = names or layer.pattern.names
        for column in range(layer.pattern.shape[0]):
            label = visible(str(own[column])) if own else f"H{numbers[column]}"
            plain = str(Head(layer.number or 0, numbers[column]))
            name = label if layer.number is None else f"L{layer.number} {label}" if own else plain
            found.append(HeadSource(row, column, layer.number or 0, name, layer.pattern, layer.factors))
    return found


def find_head(head: Any, heads: Sequence[HeadSource], numbers: Sequence[int]) -> int:
    """Index of the head that is opened first."""
    if head is None:
        return 0
    wanted = None
    if isinstance(head, int | np.integer):
        if len({source.row for source in heads}) == 1:
            wanted = (heads[0].layer, int(head))
    elif isinstance(head, str | Head):
        try:
            site = parse(head)
            wanted = (site.layer, site.head) if isinstance(site, Head) else None
        except ValueError:  # it may be a name
            wanted = None
    for i, source in enumerate(heads):
        if (source.layer, numbers[source.column]) == wanted or source.name == head:
            return i
    some = ", ".join(source.name for source in heads[:3]) + (f" … {heads[-1].name}" if len(heads) > 3 else "")
    raise ValueError(f"head must be one of {some}; got {head!r}")


def is_causal(heads: Sequence[HeadSource], given: bool | None, *, same_tokens: bool) -> bool:
    """Whether no query reads from a key behind it: as the caller says (checked), as patterns know, or as arrays show.

    Between different tokens no key is behind a query, whatever the weights are, unless the caller says so.
    """
    if given is not None and not isinstance(given, bool | np.bool_):
        raise TypeError(f"causal must be True, False or None; got {given!r}")
    queries, keys = heads[0].pattern.shape[1:]
    if queries != keys:
        if given:
            raise ValueError(f"causal=True needs a square pattern; got {queries} queries and {keys} keys")
        return False
    if given is not None:
        if given:
            _check_causal(heads)
        return bool(given)
    # A pattern that is no array knows its own rule, and may be too large to be looked through.
    dense = [isinstance(source.pattern, Dense) for source in heads]
    said = [
        source.pattern.causal or (held and _is_masked(source.weights()))
        for source, held in zip(heads, dense, strict=True)
        if not (held and _is_nan(source.weights()))  # which says nothing
    ]
    return same_tokens and bool(said) and all(said)


def _is_nan(weights: np.ndarray) -> bool:
    return bool(np.isnan(weights[:, 0]).all() and np.isnan(weights).all())


def _is_masked(weights: np.ndarray) -> bool:
    """Whether all that lies above the diagonal is zero, or all is the number of a mask; rows of NaN say nothing."""
    if np.isnan(weights[:, 0]).any():
        weights = np.where(undefined_rows(weights, causal=False)[:, None], 0, weights)
    return not any(part.any() for part in above_diagonal(weights)) or all(
        (part <= _MASK).all() for part in above_diagonal(weights)
    )


def _check_causal(heads: Sequence[HeadSource]) -> None:
    for source in heads:
        if source.pattern.causal:
            continue
        weights = source.weights()
        if not _is_masked(weights):
            query, key = np.argwhere(np.triu(weights != 0, 1))[0]
            raise ValueError(
                f"causal=True needs weights of 0 where key > query; head {source.name} has {weights[query, key]:g} at "
                f"query {query}, key {key}"
            )
