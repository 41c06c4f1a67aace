"""`mv.row`, `mv.column`, `mv.grid`, `mv.tabs`: several views as one figure, which share one selection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mechviz._visible import prose
from mechviz.selection import Selection
from mechviz.view import View, linked


def row(*views: View, selection: Selection | None = None) -> View:
    """Views side by side (one below the other where there is no room), sharing one selection.

    Point at a token, a head or a cell in one view, and the others that have the same axis follow. A position that is
    picked in running text is a query: what it reads from is shown; keys are picked in the attention view itself.

    Args:
        views: Views and figures.
        selection: A `Selection` to share with figures of other cells.

    Raises:
        TypeError: an argument is not a view.
        ValueError: there is none, or they were made with different selections.

    Example:
        >>> mv.row(mv.tokens(tokens, loss), mv.attention(tokens, pattern))  # doctest: +SKIP
    """
    return _figure({"kind": "row"}, views, selection)


def column(*views: View, selection: Selection | None = None) -> View:
    """Views one below the other, sharing one selection; arguments and errors as of `row`."""
    return _figure({"kind": "column"}, views, selection)


def grid(*views: View, columns: int = 2, selection: Selection | None = None) -> View:
    """Views in lines of `columns`, as many as there is room for (260 px each), sharing one selection.

    Args:
        views: Views and figures, in reading order.
        columns: At most so many side by side.
        selection: A `Selection` to share with figures of other cells.

    Raises:
        TypeError: an argument is not a view, or `columns` no whole number.
        ValueError: there is no view, `columns` is below 1, or the views were made with different selections.

    Example:
        >>> mv.grid(*(mv.tokens(tokens, values) for values in channels), columns=3)  # doctest: +SKIP
    """
    if isinstance(columns, bool) or not isinstance(columns, int):
        raise TypeError(f"columns must be a whole number; got {columns!r}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1; got {columns}")
    return _figure({"kind": "grid", "columns": columns}, views, selection)


def tabs(views: Mapping[str, View], *, selection: Selection | None = None) -> View:
    """Views of which one is seen at a time, chosen by name, sharing one selection.

    What is picked in one tab is picked in all of them. A saved picture (``.png``, ``.svg``, ``.pdf``) shows the first;
    the export menu saves the one that is open.

    Args:
        views: View or figure by name.
        selection: A `Selection` to share with figures of other cells.

    Raises:
        TypeError: `views` is no dict of views by name.
        ValueError: it is empty, or the views were made with different selections.

    Example:
        >>> mv.tabs({"loss": mv.tokens(tokens, loss), "attention": mv.attention(tokens, pattern)})  # doctest: +SKIP
    """
    if not isinstance(views, Mapping) or not all(isinstance(name, str) for name in views):
        raise TypeError(f"tabs takes a dict of views by name; got a {type(views).__name__}")
    return _figure({"kind": "tabs", "names": [prose(name) for name in views]}, tuple(views.values()), selection)


def _figure(layout: dict[str, Any], views: tuple[View, ...], selection: Selection | None) -> View:
    kind = layout["kind"]
    if not views:
        raise ValueError(f"{kind} needs at least one view; got none")
    for i, view in enumerate(views):
        if not isinstance(view, View):
            hint = f"; write {kind}(*views)" if isinstance(view, (list, tuple)) else ""
            raise TypeError(f"{kind} takes views; argument {i} is a {type(view).__name__}{hint}")
    figure = View(layout=layout, children=views)
    return figure if selection is None else linked(figure, selection)
