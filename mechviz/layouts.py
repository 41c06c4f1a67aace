"""How the views of a figure stand: the kinds of layout, what each is checked for, and how high it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

GAP = 32  # between two views; var(--mv-8) of js/src/tokens.css
# js/src/FigureView.svelte has the same: a view of a row or grid that would be narrower goes below.
ROW_LEAST = 520
GRID_LEAST = 260
_TABS = 40  # the bar of names

KINDS = ("row", "column", "grid", "tabs")


def check(layout: Any, where: str) -> Iterator[str]:
    """Ids of the views of a layout that a file holds, in reading order.

    Raises:
        ValueError: it is made of something else than views and the kinds of layout; the message begins with `where`.
    """
    kind = layout.get("kind") if isinstance(layout, dict) else None
    if kind == "view" and isinstance(layout.get("id"), str):
        yield layout["id"]
        return
    items = layout.get("items") if kind in KINDS else None
    if not isinstance(items, list) or not items:
        raise ValueError(f"{where} must be made of views, rows, columns, grids and tabs; got {str(layout)[:80]}")
    if kind == "grid" and not _is_count(layout.get("columns")):
        raise ValueError(f"{where}: a grid has a number of columns from 1; got {layout.get('columns')!r}")
    names = layout.get("names")
    if kind == "tabs" and not (isinstance(names, list) and len(names) == len(items) and all(map(_is_text, names))):
        raise ValueError(f"{where}: tabs need a name for each of {len(items)}; got {names!r}")
    for item in items:
        yield from check(item, where)


def options_of(layout: Mapping[str, Any]) -> dict[str, Any]:
    """A layout without what stands in it: kind, and columns or names."""
    return {key: layout[key] for key in ("kind", "columns", "names") if key in layout}


def height(layout: Mapping[str, Any], items: Sequence[Callable[[int], int]], width: int) -> int:
    """Estimated height in CSS pixels at a width, of the heights of what stands in it."""
    if layout["kind"] == "tabs":  # as high as the highest: what is below a figure does not jump
        return _TABS + max(item(width) for item in items)
    columns: int = {"row": len(items), "column": 1}.get(layout["kind"]) or layout["columns"]
    least = ROW_LEAST if layout["kind"] == "row" else GRID_LEAST
    columns = max(1, min(columns, (width + GAP) // (least + GAP)))
    each = (width - GAP * (columns - 1)) // columns
    lines = [items[i : i + columns] for i in range(0, len(items), columns)]
    return sum(max(item(each) for item in line) for line in lines) + GAP * (len(lines) - 1)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
