"""Views and figures: plain Python objects that become a widget, a page or an output only when asked."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from mechviz import _plotly, export, figure_file, notebook, worker
from mechviz._view_files import Files
from mechviz._visible import prose
from mechviz.page import MAX_BYTES, PageFigure, heading, html_page, iframe, markdown, page_figure
from mechviz.selection import Selection
from mechviz.version import __version__

if TYPE_CHECKING:
    from mechviz.widget import FigureWidget

F = TypeVar("F", bound=Callable[..., "View"])

_WIDTH = 900  # a notebook cell; heights of iframes are estimated for it
_WIDTHS = (600, _WIDTH, 1400)  # the three layouts of a view; a file keeps an estimate for each


@dataclass(frozen=True)
class Spec:
    """One picture: what its component is given, and what a kernel can be asked about it."""

    kind: str
    props: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    still: Callable[[], str] = lambda: ""
    height: Callable[[int], int] = lambda width: 400
    # Modules of a user's component by key (mechviz/_svelte/link.py); the figure then needs the full bundle.
    code: Mapping[str, str] = field(default_factory=dict)


class View(Files):
    """A picture, or several laid out together and sharing one selection.

    Returned by display functions such as `mechviz.attention` and by `mechviz.row` and `mechviz.column`. Making one
    sends nothing; it becomes a widget when a notebook displays it.
    """

    def __init__(
        self,
        *,
        spec: Spec | None = None,
        layout: str = "view",
        children: Iterable[View] = (),
        selection: Mapping[str, Any] | None = None,
    ) -> None:
        """Use `View.of` (in display functions), `row` or `column` instead."""
        self._spec = spec
        self._layout = layout
        self._children = list(children)
        self._selection = Selection(**(selection or {}))
        self._opened_with = self._selection.to_dict()
        self._parents: weakref.WeakSet[View] = weakref.WeakSet()
        self._widget: FigureWidget | None = None
        self._call: tuple[Callable[..., View], dict[str, Any]] | None = None
        for child in self._children:
            child._parents.add(self)
            for axis, indices in child.selection.to_dict().items():
                if indices and not getattr(self._selection, axis):
                    self._selection.set({axis: indices})
        self._share(self._selection)

    @classmethod
    def of(
        cls,
        kind: str,
        props: Mapping[str, Any],
        *,
        title: str,
        site: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        answers: Mapping[str, Callable[[Any], Any]] | None = None,
        still: Callable[[], str] = lambda: "",
        height: Callable[[int], int] = lambda width: 400,
        selection: Mapping[str, Any] | None = None,
    ) -> View:
        """One picture, for display functions.

        Args:
            kind: The component: the stem of its file in js/src/views.
            props: Plain JSON with `wire.Array` in it.
            title: Heads the frame.
            site: What of the model is shown, such as "L5H1".
            provenance: Where the numbers come from (``tokens.provenance``): model, weights, text, dtype, bos, edits.
            answers: By name, what a live picture may ask the kernel: ``f(args)`` returns JSON or an array.
            still: HTML of the picture without scripts: an ``<img>``, or spans with background colours.
            height: Estimated height in CSS pixels at a width.
            selection: What is picked at first, such as ``{"layers": [1], "heads": [0]}``.
        """
        if not isinstance(title, str):
            raise TypeError(f"title must be a string; got a {type(title).__name__}")
        provenance = dict(provenance or {})
        count = len(props["tokens"]["label"]) if "tokens" in props else None
        # Names come from anywhere; a lone surrogate among them could not be sent.
        frame = {
            "title": prose(title),
            "site": None if site is None else prose(site),
            "provenance": [prose(part) for part in _provenance_line(provenance, count)],
            "edits": [prose(str(edit)) for edit in provenance.get("edits", ())],
            # What the browser puts into the files that it makes.
            "made": {"mechviz": __version__, "provenance": figure_file.plain(provenance)},
        }
        spec = Spec(kind, {**props, "frame": frame}, provenance, answers or {}, still, height)
        return cls(spec=spec, selection=selection)

    @property
    def selection(self) -> Selection:
        """What the reader has picked; assign to it, or to one of its axes, to move the picture."""
        return self._selection

    @selection.setter
    def selection(self, value: Selection | Mapping[str, Any]) -> None:
        if not isinstance(value, (Selection, Mapping)):
            raise TypeError(f"selection must be a Selection or a dict of lists by axis; got a {type(value).__name__}")
        wanted = value.to_dict() if isinstance(value, Selection) else value
        self._selection.set({**Selection().to_dict(), **wanted})

    def on_select(self, f: Callable[[Selection], Any]) -> Callable[[], None]:
        """Call ``f(selection)`` whenever the reader picks something in the picture; returns a function that stops it.

        It runs on the thread that also answers the browser, beside a running cell; of several picks made while it was
        still busy it sees the last.
        """
        call = worker.Newest(lambda: f(self._selection))
        return self._selection.watch(lambda source: call() if source is not None else None)

    def update(self, **changes: Any) -> None:
        """Show the picture with some arguments changed, where it stands; arrays that did not change are not resent.

        Raises:
            TypeError: the view is a row or column (update the views in it), or an argument does not exist.

        Example:
            >>> view.update(title="After training")  # doctest: +SKIP
        """
        if self._call is None:
            raise TypeError("only a view made by a display function can be updated; update the views inside a figure")
        function, arguments = self._call
        arguments = {**arguments, **changes}
        made = function(**arguments)
        self._spec = made._spec
        self._call = (function, arguments)
        # What the reader has picked stays, unless the change asks for something else to be open.
        opens = {axis: picked for axis, picked in made._opened_with.items() if picked != self._opened_with[axis]}
        self._opened_with = made._opened_with
        self._selection.set(opens)
        self._changed()

    @property
    def widget(self) -> FigureWidget:
        """The widget behind the picture, made when first asked for."""
        if self._widget is None:
            from mechviz.widget import CodeWidget, FigureWidget

            self._widget = CodeWidget(self) if self.code() else FigureWidget(self)
        return self._widget

    def to_plotly(self, theme: Literal["light", "dark"] = "light") -> Any:
        """The same numbers as a `plotly.graph_objects.Figure`, for a layout of your own; nothing of it is linked.

        `mechviz.scatter`, `lines` and `bars` as they are, of `attention` the open head as a heat map, of `tokens` a bar
        for each value. It has the template "mechviz" or "mechviz_dark", which your own figures can take, too:
        ``fig.update_layout(template="mechviz")``. Needs Plotly (``pip install 'mechviz-interp[plotly]'``).

        Raises:
            ModuleNotFoundError: Plotly is not installed.
            TypeError: a row or column (ask the views in it), or a view that has no Plotly figure.
            ValueError: `theme` is neither "light" nor "dark".

        Example:
            >>> view.to_plotly().update_layout(width=500).show()  # doctest: +SKIP
        """
        if self._spec is None:
            raise TypeError("to_plotly() makes a figure of one view; ask the views inside the row or column")
        return _plotly.figure_of(self._spec.kind, self._spec.props, self._selection.to_dict(), theme)

    def still(self) -> str:
        """The picture as HTML without scripts, for where none may run."""
        return "".join(f'<div style="margin:0 0 16px">{spec.still()}</div>' for spec in self._specs())

    def flat(self) -> tuple[dict[str, Any], dict[str, tuple[str, Mapping[str, Any]]]]:
        """The layout, and kind and props of each view by id (the place in reading order)."""
        views = {str(i): (spec.kind, spec.props) for i, spec in enumerate(self._specs())}
        return self._layout_of(iter(range(len(views)))), views

    def code(self) -> dict[str, str]:
        """Modules of the users' components in it, each after those that it needs."""
        return {key: text for spec in self._specs() for key, text in spec.code.items()}

    def answer(self, view: str, name: str, args: Any) -> Any:
        """Answer a question of the browser about the view with this id, or (an empty one) about the figure."""
        if view == "" and name == "file":
            content = self.to_html() if args == "html" else figure_file.write(self._figure_data())
            return np.frombuffer(content.encode(), np.uint8)
        spec = list(self._specs())[int(view)]
        if name not in spec.answers:
            raise KeyError(f"a {spec.kind} view answers {', '.join(spec.answers) or 'nothing'}; asked was {name!r}")
        return spec.answers[name](args)

    def _specs(self) -> Iterator[Spec]:
        if self._spec is not None:
            yield self._spec
        for child in self._children:
            yield from child._specs()

    def _layout_of(self, ids: Iterator[int]) -> dict[str, Any]:
        if self._spec is not None:
            return {"kind": "view", "id": str(next(ids))}
        return {"kind": self._layout, "items": [child._layout_of(ids) for child in self._children]}

    def _page_figure(self, lazy_bytes: int | None = None, paper: export.Paper | None = None) -> PageFigure:
        layout, views = self.flat()
        provenance = [{"view": spec.kind, **spec.provenance} for spec in self._specs()]
        selection = self._selection.to_dict()
        figure = page_figure(layout, views, selection, provenance, lazy_bytes=lazy_bytes, code=self.code())
        figure.paper = paper.to_json() if paper else None
        return figure

    def _figure_data(self) -> figure_file.FigureData:
        if self.code():
            raise ValueError("a .json file holds data and no code, and this figure holds a component: save as .html")
        layout, _ = self.flat()
        views = {
            str(i): figure_file.ViewData(
                spec.kind, spec.props, spec.provenance, {width: spec.height(width) for width in _WIDTHS}
            )
            for i, spec in enumerate(self._specs())
        }
        return figure_file.FigureData(layout, views, self._selection.to_dict())

    def _share(self, selection: Selection) -> None:
        self._selection = selection
        for child in self._children:
            child._share(selection)
        if self._widget is not None:
            self._widget.bind_selection()

    def _changed(self) -> None:
        if self._widget is not None:
            self._widget.refresh()
        for parent in list(self._parents):
            parent._changed()

    def _title(self) -> str:
        titles = [str(spec.props["frame"]["title"]) for spec in self._specs()]
        return " · ".join(dict.fromkeys(titles)) or "mechviz"

    def _height(self) -> int:
        return sum(spec.height(_WIDTH) for spec in self._specs()) + 32 * (sum(1 for _ in self._specs()) - 1)

    def _twin(self) -> notebook.Twin:
        document = html_page(self._title(), [self._page_figure(notebook.TWIN_LAZY_BYTES)], bare=True)
        return notebook.Twin(document, self.still(), self._height(), self._title())

    def __repr__(self) -> str:
        """The kind and title of every picture in it."""
        inside = ", ".join(f"{spec.kind} {spec.props['frame']['title']!r}" for spec in self._specs())
        return f"<mechviz {inside}>" if self._spec else f"<mechviz {self._layout} of {inside}>"

    def _ipython_display_(self) -> None:
        notebook.display(lambda: self.widget, self._twin, repr(self))

    def _display_(self) -> Any:
        """What marimo shows."""
        return notebook.marimo_output(lambda: self.widget, self._twin)


def display(function: F) -> F:
    """Mark a display function: the view it returns remembers how it was made, so that `View.update` works."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def remembering(*args: Any, **kwargs: Any) -> View:
        view = function(*args, **kwargs)
        view._call = (function, dict(signature.bind(*args, **kwargs).arguments))
        return view

    return remembering  # type: ignore[return-value]


def row(*views: View) -> View:
    """Views side by side (one below the other where there is no room), sharing one selection.

    Raises:
        TypeError: an argument is not a view.

    Example:
        >>> mv.row(mv.tokens(tokens, loss), mv.attention(tokens, pattern))  # doctest: +SKIP
    """
    return _together("row", views)


def column(*views: View) -> View:
    """Views one below the other, sharing one selection.

    Raises:
        TypeError: an argument is not a view.
    """
    return _together("column", views)


def _together(layout: str, views: tuple[View, ...]) -> View:
    if not views:
        raise ValueError(f"{layout} needs at least one view; got none")
    for i, view in enumerate(views):
        if not isinstance(view, View):
            hint = f"; write {layout}(*views)" if isinstance(view, (list, tuple)) else ""
            raise TypeError(f"{layout} takes views; argument {i} is a {type(view).__name__}{hint}")
    return View(layout=layout, children=views)


class Page:
    """Figures with prose between them, as one HTML file (see `make_page`)."""

    def __init__(self, title: str, items: Iterable[View | str]) -> None:
        """Use `mechviz.page`."""
        self.title = title
        self.items = list(items)
        for i, item in enumerate(self.items):
            if not isinstance(item, (View, str)):
                raise TypeError(f"items[{i}] must be a view or a string of Markdown; got {type(item).__name__}")

    def to_html(self, *, max_bytes: int = MAX_BYTES) -> str:
        """The whole document as text; a ValueError where its numbers take more than `max_bytes`."""
        parts = [item._page_figure() if isinstance(item, View) else markdown(item) for item in self.items]
        return html_page(self.title, [heading(self.title), *parts], max_bytes=max_bytes)

    def save(self, path: str | Path, *, max_bytes: int = MAX_BYTES) -> Path:
        """Write one HTML file that opens without a network; returns the path.

        Raises:
            ValueError: the path does not end in ``.html``, or the numbers of its figures take more than `max_bytes`,
                compressed and as text; nothing is written then.
        """
        path = Path(path)
        _check_html(path)
        path.write_text(self.to_html(max_bytes=max_bytes), encoding="utf-8")
        return path

    def __repr__(self) -> str:
        """Its title and how much is in it."""
        return f"<mechviz page {self.title!r} of {len(self.items)} items>"

    def _repr_html_(self) -> str:
        height = sum(item._height() + 48 if isinstance(item, View) else 120 for item in self.items) + 96
        return iframe(self.to_html(), height=height, title=self.title)


def make_page(title: str, items: Iterable[View | str]) -> Page:
    """Figures and Markdown on one page.

    Args:
        title: The heading and the document's title, plain text.
        items: In order: views (each figure has a selection of its own), and strings of Markdown. HTML inside
            Markdown is shown as text.

    Raises:
        TypeError: an item is neither a view nor a string.

    Example:
        >>> mv.page("Induction", ["Look at *L1H0*:", view]).save("induction.html")  # doctest: +SKIP
    """
    if not isinstance(title, str):
        raise TypeError(f"title must be a string; got a {type(title).__name__}")
    if isinstance(items, (str, View)):
        raise TypeError(f"items must be a list of views and strings; got a {type(items).__name__}")
    return Page(title, items)


def _check_html(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"path must end in .html; got {path.name!r}")


def _provenance_line(provenance: Mapping[str, Any], tokens: int | None) -> list[str]:
    """Model · weights · text · tokens, BOS · dtype, as far as they are known."""
    parts = []
    if provenance.get("model"):
        parts.append(str(provenance["model"]))
    parts += [f"{key} {provenance[key]}" for key in ("weights", "text") if provenance.get(key)]
    if provenance.get("texts"):  # of a view that holds several
        parts.append(str(provenance["texts"]))
    if tokens is not None:
        prompt = provenance.get("prompt_tokens")
        notes = (", BOS" if provenance.get("bos") else "") + ("" if prompt is None else f", {prompt} of them prompt")
        parts.append(f"{tokens} token{'' if tokens == 1 else 's'}{notes}")
    if provenance.get("dtype"):
        parts.append(str(provenance["dtype"]))
    if provenance.get("missing"):  # what was asked for and cannot be drawn
        parts.append(str(provenance["missing"]))
    return parts
