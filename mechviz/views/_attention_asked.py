"""The sheets that `mv.attention` was asked for: one text or several, one stack or several with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechviz.pattern import Pattern, PatternStack
from mechviz.sites import Head, parse
from mechviz.text import Tokens, as_tokens
from mechviz.views._attention_sheet import Asked, Sheet, sheet_of
from mechviz.views._pattern_heads import find_head
from mechviz.views._pattern_layers import check_order


@dataclass(frozen=True)
class Given:
    """Tokens, pattern and key tokens of one sheet, as the caller gave them."""

    tokens: Any
    pattern: Any
    key_tokens: Any
    image: Any = None


@dataclass(frozen=True)
class Sheets:
    """All sheets of a view, stack by stack and in each text by text."""

    parts: list[str]  # names of the stacks; [""] where there is one without a name
    texts: int
    given: list[Given]

    def at(self, part: int, text: int) -> int:
        """Index of a sheet."""
        return part * self.texts + text

    def place(self, i: int) -> tuple[int, int]:
        """Stack and text of a sheet."""
        return divmod(i, self.texts)


def sheets_of(tokens: Any, pattern: Any, key_tokens: Any, image: Any = None) -> Sheets:
    """Take apart what was given: names first, then texts."""
    if not isinstance(pattern, Mapping):
        check_order(tokens, pattern)
    if isinstance(pattern, Mapping):
        named = _named(tokens, pattern, key_tokens, image)
    elif any(isinstance(given, Mapping) for given in (tokens, key_tokens, image)):
        raise TypeError(
            f"pattern must be a dict, too, where tokens, key_tokens or image are; got a {type(pattern).__name__}"
        )
    else:
        named = {"": Given(tokens, pattern, key_tokens, image)}
    counts = {name: _count(given) for name, given in named.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name!r} has {'one' if count is None else count}" for name, count in counts.items())
        raise ValueError(f"tokens must hold the same number of texts for every pattern; {said}")
    count = next(iter(counts.values()))
    given = [sheet for part in named.values() for sheet in ([part] if count is None else _split(part, count))]
    return Sheets([str(name) for name in named], 1 if count is None else count, given)


def read_all(sheets: Sheets, asked: Asked, said: Any) -> list[Sheet]:
    """Every sheet, checked; an error says which text and which stack it is about."""
    found = []
    for i, given in enumerate(sheets.given):
        check_order(given.tokens, given.pattern)
        try:
            found.append(sheet_of(given.tokens, given.pattern, given.key_tokens, asked, said, given.image))
        except (TypeError, ValueError) as error:
            where = _where(sheets, i)
            if not where:
                raise
            raise type(error)(f"{where}: {error}") from error
    return found


def open_first(head: Any, sheets: Sheets, read: Sequence[Sheet]) -> tuple[int, int]:
    """Which stack is shown first and which of its heads: "cross.L1H0" says both."""
    part = 0
    if isinstance(head, str | Head):
        try:
            site = parse(head)
        except ValueError:  # it may be a name
            site = None
        if isinstance(site, Head) and site.stack:
            if site.stack not in sheets.parts:
                raise ValueError(f"head must be of one of {', '.join(sheets.parts)}; got {head!r}")
            part, head = sheets.parts.index(site.stack), f"L{site.layer}H{site.head}"
    sheet = read[sheets.at(part, 0)]
    return part, find_head(head, sheet.sources, sheet.numbers)


def _named(tokens: Any, pattern: Mapping[Any, Any], key_tokens: Any, image: Any) -> dict[str, Given]:
    """By name: "cross" is read by the decoder, of the encoder, unless something else is said."""
    if not pattern:
        raise ValueError("pattern must hold at least one pattern by name; got an empty dict")
    if image is not None and not isinstance(image, Mapping):
        raise TypeError(f"image must be a dict by the names of pattern, {', '.join(map(str, pattern))}")
    for name, whole in (("tokens", tokens), ("key_tokens", key_tokens), ("image", image)):
        unknown = sorted(map(str, set(whole) - set(pattern))) if isinstance(whole, Mapping) else []
        unknown = [n for n in unknown if not (name == "tokens" and n in ("encoder", "decoder"))]
        if unknown:
            raise ValueError(f"{name} must have the names of pattern, {', '.join(map(str, pattern))}; got {unknown}")

    def pick(whole: Any, name: Any, otherwise: Any, *, required: bool) -> Any:
        if not isinstance(whole, Mapping):
            return whole
        found = whole.get(name, whole.get(otherwise))
        if found is None and required:
            raise ValueError(f"tokens must hold those of {name!r}; got {', '.join(map(str, whole))}")
        return found

    found = {}
    for name, item in pattern.items():
        crosses = name == "cross"
        keys = pick(key_tokens, name, None, required=False)
        if not isinstance(key_tokens, Mapping) and not crosses and "cross" in pattern:
            keys = None  # said of the one that needs it
        if keys is None and crosses:
            keys = pick(tokens if isinstance(tokens, Mapping) else None, "encoder", None, required=False)
        read = pick(tokens, name, "decoder" if crosses else None, required=True)
        found[name] = Given(read, item, keys, (image or {}).get(name))
    return found


def _count(given: Given) -> int | None:
    """How many texts there are; None where one stands by itself."""
    if not _several(given.tokens):
        return None
    if isinstance(given.pattern, Pattern | PatternStack) or not hasattr(given.pattern, "__len__"):
        raise TypeError(f"pattern must be a list of patterns, one for each text; got a {type(given.pattern).__name__}")
    if len(given.pattern) != len(given.tokens):
        raise ValueError(f"pattern must hold one for each of {len(given.tokens)} texts; got {len(given.pattern)}")
    if given.key_tokens is not None and (not _several(given.key_tokens) or len(given.key_tokens) != len(given.tokens)):
        raise ValueError(f"key_tokens must hold a list for each of {len(given.tokens)} texts")
    if given.image is not None and (not isinstance(given.image, list | tuple) or len(given.image) != len(given.tokens)):
        raise ValueError(f"image must hold an image, a list of images or None for each of {len(given.tokens)} texts")
    return len(given.tokens)


def _several(tokens: Any) -> bool:
    """Whether these are the tokens of several texts: a list of lists, or of `Tokens`."""
    if not isinstance(tokens, list | tuple) or not tokens:
        return False
    return all(isinstance(t, Tokens | list | tuple) or (isinstance(t, np.ndarray) and t.ndim == 1) for t in tokens)


def _split(given: Given, count: int) -> list[Given]:
    keys = [None] * count if given.key_tokens is None else given.key_tokens
    images = [None] * count if given.image is None else given.image
    return [Given(given.tokens[i], given.pattern[i], keys[i], images[i]) for i in range(count)]


def _where(sheets: Sheets, i: int) -> str:
    part, text = sheets.place(i)
    return ", ".join(filter(None, (sheets.parts[part], f"text {text}" if sheets.texts > 1 else "")))


def first_words(tokens: Tokens, room: int = 60) -> str:
    """How a text begins, for a list to pick from."""
    words = "".join(t for t, special in zip(as_tokens(tokens).text, tokens.special, strict=True) if not special)
    words = " ".join(words.split())
    return words if len(words) <= room else words[: room - 1].rstrip() + "…"
