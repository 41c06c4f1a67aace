"""Of `mv.tokens`: one text or several as one run of positions, spans in it, and which tokens of two texts belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np

from mechviz._visible import prose
from mechviz.text import Tokens, as_tokens

# difflib compares every token with every other one in the worst case: 3 s.
_MOST_PAIRS = 30_000_000


@dataclass(frozen=True)
class Texts:
    """Texts one after the other: all their tokens, where each begins, and what each is called."""

    all: Tokens
    starts: tuple[int, ...]
    labels: tuple[str, ...] | None
    """None for a single text that has no name."""
    each: tuple[Tokens, ...]
    """Each by itself, with all that is known of it."""

    @property
    def parts(self) -> list[slice]:
        """Positions of each text."""
        ends = (*self.starts[1:], len(self.all))
        return [slice(start, end) for start, end in zip(self.starts, ends, strict=True)]

    def to_props(self) -> dict[str, Any] | None:
        """As the browser is given them; None for one text."""
        return None if self.labels is None else {"starts": list(self.starts), "labels": list(self.labels)}


def are_texts(tokens: Any) -> bool:
    """Whether these are several texts: a list of `Tokens`, or of lists of strings."""
    return (
        isinstance(tokens, list | tuple)
        and len(tokens) > 0
        and all(isinstance(item, Tokens | list | tuple) or _is_array(item) for item in tokens)
    )


def texts_of(tokens: Any, labels: Any) -> Texts:
    """Check one text or several.

    Raises:
        TypeError: one of them is no list of strings, or `labels` are no strings.
        ValueError: there are no tokens, or labels for another number of texts.
    """
    if not are_texts(tokens):
        if labels is not None:
            raise ValueError("texts= names the texts of a list of token lists; got the tokens of one text")
        text = as_tokens(tokens)
        return Texts(text, (0,), None, (text,))
    several = [as_tokens(item, name=f"tokens[{i}]") for i, item in enumerate(tokens)]
    starts = tuple(accumulate(map(len, several[:-1]), initial=0))
    return Texts(_joined(several), starts, _labels(labels, len(several)), tuple(several))


def spans_of(spans: Any, texts: Texts) -> np.ndarray | None:
    """Given spans as [span, 2] of positions, (first, behind the last), in order; None for words.

    Raises:
        TypeError: they are no pairs of whole numbers.
        ValueError: one is empty, leaves its text or overlaps another.
    """
    if spans is None or isinstance(spans, str):
        if spans not in (None, "words"):
            raise ValueError(f'spans must be "words" or a list of (start, end); got {spans!r}')
        return None
    lists = [spans] if texts.labels is None else _listed(spans, "one list of spans for each text")
    if len(lists) != len(texts.starts):
        raise ValueError(f"spans must be one list for each of {len(texts.starts)} texts; got {len(lists)}")
    found = [_spans(pairs, part) for pairs, part in zip(lists, texts.parts, strict=True)]
    return np.array(list(chain(*found)), np.int32).reshape(-1, 2)


def partners_of(align: str, texts: Texts) -> np.ndarray:
    """For every token of two texts the position of the one that it is compared with; −1 where there is none.

    Raises:
        ValueError: `align` is neither "position" nor "diff", there are not two texts, or they are too long for "diff".
    """
    if align not in ("position", "diff"):
        raise ValueError(f'align must be "position", "diff" or "characters"; got {align!r}')
    if len(texts.starts) != 2:
        raise ValueError(f"align= compares two texts; got {len(texts.starts)}")
    first, second = (texts.all.label[part] for part in texts.parts)
    partners = np.full(len(texts.all), -1, np.int32)
    if align == "position":
        pairs = [(0, 0, min(len(first), len(second)))]
    else:
        if len(first) * len(second) > _MOST_PAIRS:
            raise ValueError(
                f'align="diff" compares each of {len(first):,} tokens with each of {len(second):,}, more than '
                f'{_MOST_PAIRS:,} pairs: use align="position", or show a part'
            )
        pairs = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    for a, b, size in pairs:
        here, there = np.arange(a, a + size), np.arange(b, b + size) + len(first)
        partners[here], partners[there] = there, here
    return partners


def _joined(several: Sequence[Tokens]) -> Tokens:
    """All of them one after the other; `Tokens` added one by one would copy the first ones each time."""

    def column(name: str) -> Any:
        columns = [getattr(text, name) for text in several]
        return None if any(column is None for column in columns) else tuple(chain(*columns))

    starts = accumulate(map(len, several), initial=0)
    group = tuple(first + start for text, start in zip(several, starts, strict=False) for first in text.group)
    names = ("label", "text", "special", "role", "ids", "n_bytes", "piece")
    first, *rest = (text.provenance for text in several)
    shared = {key: value for key, value in first.items() if all(key in other and other[key] == value for other in rest)}
    known = {id(text.vocabulary): text.vocabulary for text in several}
    vocabulary = several[0].vocabulary if len(known) == 1 else None
    return Tokens(**{name: column(name) for name in names}, group=group, provenance=shared, vocabulary=vocabulary)


def _labels(labels: Any, count: int) -> tuple[str, ...]:
    if labels is None:
        return tuple(str(i + 1) for i in range(count))
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"texts must be a list of strings, one name a text; got {labels!r}")
    if len(labels) != count:
        raise ValueError(f"texts must name each of {count} texts; got {len(labels)} names")
    return tuple(map(prose, labels))


def _spans(pairs: Any, part: slice) -> list[tuple[int, int]]:
    n = part.stop - part.start
    found = []
    for pair in _listed(pairs, '"words" or a list of (start, end)'):
        try:
            start, end = (int(edge.__index__()) for edge in pair)
        except (TypeError, ValueError, AttributeError):
            raise TypeError(f"spans must be pairs of positions, (start, end); got {pair!r}") from None
        if not 0 <= start < end <= n:
            raise ValueError(f"spans must have 0 <= start < end <= {n}, the number of tokens; got ({start}, {end})")
        found.append((start + part.start, end + part.start))
    found.sort()
    for (a, b), (c, d) in pairwise(found):
        if c < b:
            one, other = (a - part.start, b - part.start), (c - part.start, d - part.start)
            raise ValueError(f"spans must not overlap; got {one} and {other}")
    return found


def _listed(spans: Any, wanted: str) -> list[Any]:
    try:
        return list(spans)
    except TypeError:
        raise TypeError(f"spans must be {wanted}; got {spans!r}") from None


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind == "U"
