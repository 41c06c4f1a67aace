"""What every head of a model does, as numbers: `head_scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mechviz import _head_scores
from mechviz._plotly_maps import matrix
from mechviz.arrays import to_numpy
from mechviz.pattern import Dense, Pattern, PatternStack, own_layers
from mechviz.sites import Head
from mechviz.text import Tokens, as_tokens

# Of scores that are no weights, which lie between 0 and 1.
_UNITS = {"entropy": "nats", "distance": "tokens", "patch_distance": "patches"}
_NAMES = _head_scores.SCORES + _head_scores.PATCH_SCORES


@dataclass(frozen=True)
class HeadScores:
    """Scores of heads; every array is float64 ``[layer, head]``, NaN where a score has no meaning.

    Scores say what a head did on this text, not what it is for: a high induction score on a text with repeats is a
    reason to look, not a proof.

    Attributes:
        layers: The true numbers of the layers, one a row.
        entropy: Of a row, in nats; mean over queries, as everything here is.
        distance: How many tokens away a query reads, Σ p·|query − key|.
        previous: Weight on the token before the query ("previous-token score").
        current: Weight on the query itself.
        first: Weight on the first key ("sink mass"); NaN when it was taken out.
        duplicate: Weight on earlier copies of the query's token ("duplicate-token score"), over queries that have one.
        induction: Weight on the tokens that followed earlier copies of the query's token ("prefix-matching score"),
            over queries that have one.
        patch_row: Of queries that are patches of an image: weight on the patches of their row, themselves among them. NaN,
            as the next two are, where `tokens` say of no patches (``tokens.patches``).
        patch_column: The same for their column.
        patch_distance: Mean distance from the query of the patches of its image that it reads, in patches (Euclidean): text
            beside the image does not count, nor do queries with less than a thousandth on the image.
        with_first: Whether the first key was counted.
        missing: Layers without a pattern, and why.
        queries: How many queries were read of how many, where they are a sample; else None.
    """

    layers: tuple[int, ...]
    entropy: np.ndarray
    distance: np.ndarray
    previous: np.ndarray
    current: np.ndarray
    first: np.ndarray
    duplicate: np.ndarray
    induction: np.ndarray
    patch_row: np.ndarray
    patch_column: np.ndarray
    patch_distance: np.ndarray
    with_first: bool
    missing: Mapping[int, str] = field(default_factory=dict)
    queries: tuple[int, int] | None = None

    @property
    def heads(self) -> list[Head]:
        """The heads that have scores, in reading order: what ``points=`` of `mechviz.scatter` takes."""
        return [Head(self.layers[row], int(head)) for row, head in zip(*np.nonzero(self._there), strict=True)]

    def values(self, name: str) -> np.ndarray:
        """One score of all `heads`, ``[head]``.

        Raises:
            ValueError: there is no such score.
        """
        if name not in _NAMES:
            raise ValueError(f"name must be one of {', '.join(_NAMES)}; got {name!r}")
        return getattr(self, name)[self._there]

    def top(self, name: str, k: int = 5) -> list[tuple[Head, float]]:
        """The `k` heads with the highest score, the highest first; those without one are left out.

        Raises:
            ValueError: there is no such score.
        """
        scored = zip(self.heads, self.values(name).tolist(), strict=True)
        return sorted((pair for pair in scored if pair[1] == pair[1]), key=lambda pair: -pair[1])[:k]

    def __repr__(self) -> str:
        named = (name for name in _NAMES if name not in _UNITS)
        best = [f"{name} {head} {value:.2f}" for name in named for head, value in self.top(name, 1)]
        return f"HeadScores({len(self.heads)} heads; highest: {', '.join(best)})"

    def to_plotly(self, name: str = "induction", theme: Literal["light", "dark"] = "light") -> Any:
        """One score as a Plotly heat map, layer × head, in mechviz's template (`mechviz.View.to_plotly` says which).

        Raises:
            ModuleNotFoundError: Plotly is not installed.
            ValueError: there is no such score, or `theme` is neither "light" nor "dark".
        """
        if name not in _NAMES:
            raise ValueError(f"name must be one of {', '.join(_NAMES)}; got {name!r}")
        values = getattr(self, name)
        return matrix(
            values,
            [f"L{layer}" for layer in self.layers],
            [f"H{head}" for head in range(values.shape[1])],
            quantity=f"{name}, {_UNITS[name]}" if name in _UNITS else name,
            scale=None if name in _UNITS else {"ramp": "ink", "limits": [0.0, 1.0]},
            title=f"{name} score",
            sides=("layer", "head"),
            theme=theme,
        )

    @property
    def _there(self) -> np.ndarray:
        return ~np.isnan(self.entropy)


def head_scores(
    patterns: Any, tokens: Any = None, *, with_first: bool = True, queries: int | None = None
) -> HeadScores:
    """Measure what every head reads, from its attention pattern; the numbers that `mechviz.attention` shows and sorts by.

    Patterns are read a block of rows at a time, so that long contexts need no whole pattern in memory.

    Args:
        patterns: ``trace.attention``, one pattern, a list of patterns, or an array ``[head, query, key]`` or
            ``[layer, head, query, key]`` of probabilities.
        tokens: What was read: `Tokens`, or a list of strings. Without it `duplicate`, `induction` and the scores of patches
            are NaN; so are they, `distance`, `previous` and `current` where queries and keys are not the same tokens.
        with_first: False takes the first key, where many heads rest, out of every row and divides by what is left; rows
            of which less than a thousandth is left do not count.
        queries: Read only so many queries, evenly spaced, of a context too long to wait for all; the scores are then
            means over these, and ``.queries`` says so. By default all.

    Raises:
        TypeError: `patterns` or `tokens` is of another type.
        ValueError: `tokens` has another length than the patterns, or an array another number of axes.

    Papers: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, "In-context
    Learning and Induction Heads" (prefix matching); Xiao et al. 2023, "Efficient Streaming Language Models with
    Attention Sinks".

    Example:
        >>> scores = head_scores([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], ["a", "b", "a"])
        >>> float(scores.previous[0, 0]), float(scores.induction[0, 0])
        (1.0, 1.0)
    """
    if queries is not None and (isinstance(queries, bool) or not hasattr(queries, "__index__") or queries < 1):
        raise ValueError(f"queries must be a whole number of at least 1; got {queries!r}")
    words = isinstance(patterns, list | tuple) and patterns and all(isinstance(item, str) for item in patterns)
    if words or isinstance(patterns, Tokens) or isinstance(tokens, Pattern | PatternStack):
        raise TypeError(
            f"patterns come before tokens; got patterns={type(patterns).__name__} and tokens={type(tokens).__name__}: "
            "arguments swapped? head_scores(patterns, tokens)"
        )
    stack = _stack(patterns)
    read = dict(stack.items())
    most = max((pattern.shape[0] for pattern in read.values()), default=0)
    scores = np.full((len(_NAMES), len(read), most), np.nan)
    sampled = None
    for row, pattern in enumerate(read.values()):
        heads, length, keys = pattern.shape
        known = tokens is not None and length == keys
        text = as_tokens(tokens, length=keys) if known else None
        ids, places = (_head_scores.numbers_of(text), _head_scores.places_of(text)) if text else (None, None)
        chosen = None if queries is None or queries >= length else _head_scores.sample(length, queries)
        sampled = sampled if chosen is None else (len(chosen), length)
        found = _head_scores.scores_of(pattern, ids=ids, queries=chosen, places=places)[0 if with_first else 1]
        scores[: len(found), row, :heads] = found
    named = dict(zip(_NAMES, scores, strict=True))
    return HeadScores(tuple(read), **named, with_first=with_first, missing=dict(stack.missing), queries=sampled)


def _stack(patterns: Any) -> PatternStack:
    if isinstance(patterns, PatternStack):
        return patterns
    given = [patterns] if isinstance(patterns, Pattern) else patterns
    if isinstance(given, Sequence) and given and all(isinstance(item, Pattern) for item in given):
        return PatternStack(dict(zip(own_layers(given) or range(len(given)), given, strict=True)))
    array = to_numpy(patterns, name="patterns")
    if array.ndim not in (3, 4):
        raise ValueError(f"patterns must have shape (head, query, key) or (layer, head, query, key); got {array.shape}")
    return PatternStack([Dense(layer) for layer in (array if array.ndim == 4 else array[None])])
