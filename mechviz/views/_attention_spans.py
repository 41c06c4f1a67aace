"""Spans of `mv.attention`: sentences, turns, documents; what lies between them is a unit of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import index
from typing import Any

from mechviz._visible import prose
from mechviz.views._attention_asked import Sheets
from mechviz.views._attention_sheet import Sheet


def spans_props(
    spans: Any, key_spans: Any, sheets: Sheets, read: Sequence[Sheet]
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """For every sheet the units that its queries and its keys are merged to: ``{"edges", "names"}``, or None.

    Raises:
        TypeError: Spans are no (start, stop) or (start, stop, name), nor a dict of these by name.
        ValueError: A span is empty, leaves its text or overlaps another; there are spans for another number of texts.
    """
    found = []
    for i, sheet in enumerate(read):
        other = sheet.key_tokens is not None and not _only_sink(sheet)
        rows = _units(_of_sheet(spans, sheets, i, "spans"), len(sheet.text), "spans")
        if not other:
            if key_spans is not None and sheets.parts == [""]:
                raise ValueError("key_spans= are spans of key_tokens=; without these, spans= are of queries and keys")
            keys = rows and _with_sink(rows, sheet)
        else:
            given = _of_sheet(key_spans, sheets, i, "key_spans")
            if given is None and isinstance(spans, Mapping) and sheets.parts[sheets.place(i)[0]] == "cross":
                given = _of_sheet(spans, sheets, i, "spans", part="encoder")
            keys = _with_sink(_units(given, len(sheet.key_text) - sheet.stack[0].sink, "key_spans"), sheet)
        found.append((rows, keys))
    return found


def _only_sink(sheet: Sheet) -> bool:
    """Whether keys are the queries and a sink behind them."""
    return sheet.stack[0].sink and sheet.key_text[:-1] == sheet.text


def _of_sheet(whole: Any, sheets: Sheets, i: int, name: str, part: str | None = None) -> Any:
    """What was given for one stack and one text."""
    if whole is None:
        return None
    at, text = sheets.place(i)
    if sheets.parts != [""]:
        named = isinstance(whole, Mapping)
        unknown = sorted(set(map(str, whole)) - {*sheets.parts, "encoder"}) if named else []
        if not named or unknown:
            got = unknown or f"a {type(whole).__name__}"
            raise ValueError(f"{name} must be a dict by {', '.join(sheets.parts)}; got {got}")
        whole = whole.get(part or sheets.parts[at])
        if whole is None and sheets.parts[at] == "cross" and part is None:
            return None
    if whole is None or sheets.texts == 1:
        return whole
    if not isinstance(whole, list | tuple) or len(whole) != sheets.texts:
        count = len(whole) if isinstance(whole, list | tuple) else f"a {type(whole).__name__}"
        raise ValueError(f"{name} must be a list of spans for each of {sheets.texts} texts; got {count}")
    return whole[text]


def _units(given: Any, count: int, name: str) -> dict[str, Any] | None:
    """Spans in order with what lies between them: where units begin and the last one ends, and their names."""
    if given is None:
        return None
    spans = sorted(_read(given, count, name), key=lambda span: span[:2])
    for (a, b, _), (c, d, _) in pairwise(spans):
        if c < b:
            raise ValueError(f"{name} must not overlap; got ({a}, {b}) and ({c}, {d})")
    edges, names = [0], []
    for start, stop, label in spans:
        if start > edges[-1]:
            edges.append(start)
            names.append(None)
        edges.append(stop)
        names.append(label)
    if edges[-1] < count:
        edges.append(count)
        names.append(None)
    return {"edges": edges, "names": names}


def _read(given: Any, count: int, name: str) -> list[tuple[int, int, str | None]]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list of (start, stop) or (start, stop, name), or a dict; got {given!r}")
    if not isinstance(given, Mapping):
        return [_span(item, count, name) for item in given]
    found = []
    for label, item in given.items():
        if not isinstance(label, str):
            raise TypeError(f"{name} must have names that are strings; got {label!r}")
        several = isinstance(item, list) and all(isinstance(pair, list | tuple) for pair in item)
        pairs = item if several else [item]
        for k, pair in enumerate(pairs):
            start, stop, own = _span(pair, count, f"{name}[{label!r}]")
            found.append((start, stop, own or (f"{prose(label)} {k + 1}" if len(pairs) > 1 else prose(label))))
    return found


def _span(item: Any, count: int, name: str) -> tuple[int, int, str | None]:
    try:
        start, stop, *rest = item
        start, stop = index(start), index(stop)
        if len(rest) > 1 or (rest and not isinstance(rest[0], str)):
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be (start, stop) or (start, stop, name); got {item!r}") from None
    if not 0 <= start < stop <= count:
        raise ValueError(f"{name} must have 0 <= start < stop <= {count}, the number of tokens; got ({start}, {stop})")
    return start, stop, prose(rest[0]) if rest else None


def _with_sink(units: dict[str, Any] | None, sheet: Sheet) -> dict[str, Any] | None:
    if units is None or not sheet.stack[0].sink:
        return units
    return {"edges": [*units["edges"], units["edges"][-1] + 1], "names": [*units["names"], None]}
