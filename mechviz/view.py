"""Views and figures: plain Python objects that become a widget, a page or an output only when asked."""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from mechviz import _plotly, export, figure_file, layouts, notebook, worker
from mechviz._view_files import Files
from mechviz._visible import prose
from mechviz.bundle import LAB, bundle_for
from mechviz.page import PageFigure, html_page, page_figure
from mechviz.selection import Selection
from mechviz.spec import Note, Place, Spec, note_of
from mechviz.version import __version__

if TYPE_CHECKING:
    from mechviz.widget import FigureWidget

F = TypeVar("F", bound=Callable[..., "View"])

_WIDTH = 900  # a notebook cell; heights of iframes are estimated for it
_WIDTHS = (600, _WIDTH, 1400)  # the three layouts of a view; a file keeps an estimate for each


class View(Files):
    """A picture, or several laid out together and sharing one selection.

    Returned by display functions such as `mechviz.attention` and by `mechviz.row`, `column`, `grid` and `tabs`. Making
    one sends nothing; it becomes a widget when a notebook displays it.
    """

    def __init__(
        self,
        *,
        spec: Spec | None = None,
        layout: Mapping[str, Any] | None = None,
        children: Iterable[View] = (),
        selection: Mapping[str, Any] | None = None,
    ) -> None:
        """Use `View.of` (in display functions), `row`, `column`, `grid` or `tabs` instead.

        Args:
            spec: One picture; None where there are `children`.
            layout: How the children stand: kind and what belongs to it (js/src/figure.svelte.ts).
            children: Pictures and figures inside.
            selection: What is picked at first.
        """
        self._spec = spec
        self._layout = dict(layout or {"kind": "view"})
        self._children = list(children)
        self._selection = Selection(**(selection or {}))
        self._opened_with = self._selection.to_dict()
        self._parents: weakref.WeakSet[View] = weakref.WeakSet()
        self._widget: FigureWidget | None = None
        self._call: tuple[Callable[..., View], dict[str, Any]] | None = None
        self._notes: list[Note] = []
        self._listeners: list[Callable[[Any], None]] = []
        self._unwatch: Callable[[], None] = lambda: None
        for child in self._children:
            child._parents.add(self)
        self._share(self._shared_by_children() or self._selection)

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
        saved: Callable[[bool], Mapping[str, Any]] | None = None,
        asked: bool = False,
    ) -> View:
        """One picture, for display functions.

        Args:
            kind: The component: the stem of its file in js/src/views.
            props: Plain JSON with `wire.Array` in it.
            title: Heads the frame.
            site: What of the model is shown, such as "L5H1".
            provenance: Where the numbers come from (``tokens.provenance``): model, weights, text, dtype, bos, edits.
            answers: By name, what a live picture may ask the kernel: ``f(args)`` returns JSON, an array, or
                ``(JSON, [array, …])``.
            still: HTML of the picture without scripts: an ``<img>``, or spans with background colours.
            height: Estimated height in CSS pixels at a width.
            selection: What is picked at first, such as ``{"layers": [1], "heads": [0]}``.
            saved: Called when a file is written: what to give the component there beside `props`, such as the answers
                that no kernel will give. Its argument is True for a twin, which is made at every display.
            asked: Its numbers stay in the kernel, and a twin is a still: making it would take too long for a cell.
        """
        if not isinstance(title, str):
            raise TypeError(f"title must be a string; got a {type(title).__name__}")
        provenance = dict(provenance or {})
        count = len(props["tokens"]["label"]) if "tokens" in props else None
        texts = len(props["texts"]["starts"]) if kind == "tokens" and props.get("texts") else 1
        # Names come from anywhere; a lone surrogate among them could not be sent.
        frame = {
            "title": prose(title),
            "site": None if site is None else prose(site),
            "provenance": [prose(part) for part in _provenance_line(provenance, count, texts)],
            "edits": [prose(str(edit)) for edit in provenance.get("edits", ())],
            # What the browser puts into the files that it makes.
            "made": {"mechviz": __version__, "provenance": figure_file.plain(provenance)},
        }
        given = {**props, "frame": frame}
        spec = Spec(kind, given, provenance, answers or {}, still, height, saved=saved, asked=asked)
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

        It does not run on the thread of the cells: in a Jupyter kernel it runs on the one named "mechviz", which also
        answers the browser, at any moment of a running cell; take a lock round what cells change too, and let it be
        quick: pictures and answers wait for it. Of several picks made while it was still busy it sees the last. In marimo,
        Pyodide and plain Python, which have no such thread, it runs where the message arrives. What it prints, and the
        traceback where it fails, stand below the cell that called this. It is given the view's own selection, which the
        next pick changes: keep an axis of it, or ``selection.to_dict()``.

        Raises:
            TypeError: `f` cannot be called.
        """
        if not callable(f):
            raise TypeError(f"f must be a function of a selection; got {type(f).__name__}")
        context = contextvars.copy_context()  # Jupyter knows by it which cell an output is of
        call = worker.Newest(lambda: context.copy().run(_tell, f, self._selection))

        def listener(source: Any) -> None:
            if source is not None:
                call()

        self._listeners.append(listener)
        self._listen()

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
            self._listen()

        return stop

    def update(self, **changes: Any) -> None:
        """Show the picture with some arguments changed, where it stands; arrays that did not change are not resent.

        It may be called as often as a loop turns: what is displayed follows at most 20 times a second, and the last call
        is always shown, also after the cell has ended.

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

    def note(self, text: str, **axes: int | Iterable[int]) -> View:
        """Write a note into the picture: a number at what it is about, and its text below; returns the view.

        It stays when the picture is updated, and files carry it. Where what it is about is not on the screen (another
        head is open), a click on its text goes there.

        Args:
            text: Plain text.
            axes: What it is about, as in a `Selection`: ``positions=4``, ``layers=1, heads=0``, ``queries=9, keys=2``.
                Without any it is about the whole picture.

        Raises:
            TypeError: a row, column, grid or tabs (write into the views in it); `text` is no string.
            ValueError: `text` is empty, or an axis does not exist.

        Example:
            >>> mv.attention(tokens, pattern).note("reads the name that stands once", layers=2, heads=1)  # doctest: +SKIP
        """
        if self._spec is None:
            raise TypeError("a note belongs to one view; write it into one of the views in the figure")
        self._notes.append(note_of(text, axes))
        self._changed()
        return self

    def clear_notes(self) -> None:
        """Take all notes out of the picture, or out of all pictures of a figure."""
        self._notes.clear()
        for child in self._children:
            child.clear_notes()
        self._changed()

    @property
    def widget(self) -> FigureWidget:
        """The widget behind the picture, made when first asked for."""
        if self._widget is None:
            self._widget = self._widget_class()(self)
        return self._widget

    def _widget_class(self) -> type[FigureWidget]:
        larger = bundle_for(spec.kind for spec in self._specs()) == LAB
        if self.code() and larger:
            from mechviz.larger_widgets import CodeLabWidget as Widget
        elif self.code():
            from mechviz.larger_widgets import CodeWidget as Widget
        elif larger:
            from mechviz.larger_widgets import LabWidget as Widget
        else:
            from mechviz.widget import FigureWidget as Widget
        return Widget

    def to_plotly(self, theme: Literal["light", "dark"] = "light") -> Any:
        """The same numbers as a `plotly.graph_objects.Figure`, for a layout of your own; nothing of it is linked.

        `mechviz.scatter`, `lines` and `bars` as they are, of `attention` the open head as a heat map, of `heatmap` the open
        matrix, of `lens` and `predictions` the probabilities with their tokens, of `tokens` a bar for each value. It has the template "mechviz" or "mechviz_dark", which your own figures can take, too:
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
        return _plotly.figure_of(self._spec.kind, self._spec.props_in("file"), self._selection.to_dict(), theme)

    def still(self) -> str:
        """The picture as HTML without scripts, for where none may run."""
        return "".join(f'<div style="margin:0 0 16px">{spec.still()}</div>' for spec in self._specs())

    def flat(self, place: Place = "live") -> tuple[dict[str, Any], dict[str, tuple[str, Mapping[str, Any]]]]:
        """The layout, and kind and props of each view by id (the place in reading order)."""
        views = {str(i): (spec.kind, spec.props_in(place)) for i, spec in enumerate(self._specs())}
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
            yield self._spec.noted(self._notes)
        for child in self._children:
            yield from child._specs()

    def _layout_of(self, ids: Iterator[int]) -> dict[str, Any]:
        if self._spec is not None:
            return {"kind": "view", "id": str(next(ids))}
        return {**self._layout, "items": [child._layout_of(ids) for child in self._children]}

    def _page_figure(self, lazy_bytes: int | None = None, paper: export.Paper | None = None) -> PageFigure:
        layout, views = self.flat("file" if lazy_bytes is None else "twin")
        provenance = [{"view": spec.kind, **spec.provenance} for spec in self._specs()]
        selection = self._selection.to_dict()
        figure = page_figure(layout, views, selection, provenance, lazy_bytes=lazy_bytes, code=self.code())
        figure.paper = paper.to_json() if paper else None
        figure.selection_id = self._selection.shared_id
        return figure

    def _figure_data(self) -> figure_file.FigureData:
        if self.code():
            raise ValueError("a .json file holds data and no code, and this figure holds a component: save as .html")
        layout, _ = self.flat()
        views = {
            str(i): figure_file.ViewData(
                spec.kind, spec.props_in("file"), spec.provenance, {width: spec.height(width) for width in _WIDTHS}
            )
            for i, spec in enumerate(self._specs())
        }
        return figure_file.FigureData(layout, views, self._selection.to_dict())

    def _shared_by_children(self) -> Selection | None:
        """The selection that some of them already share with other cells; the figure then does, too."""
        shared = {id(child.selection): child.selection for child in self._children if child.selection.shared_id}
        if len(shared) > 1:
            raise ValueError(
                f"the views of a figure share one selection; these were given {len(shared)} different ones"
            )
        return next(iter(shared.values()), None)

    def _share(self, selection: Selection) -> None:
        """Take a selection; what it leaves open is filled by what was picked here."""
        for view in (self, *self._children):
            own, others = selection.to_dict(), view.selection.to_dict()
            selection.set({axis: own[axis] or others[axis] for axis in own})
        self._selection = selection
        for child in self._children:
            child._share(selection)
        self._listen()
        if self._widget is not None:
            self._widget.bind_selection()

    def _listen(self) -> None:
        """Hear the selection, now that it or those who listen are others."""
        self._unwatch()
        stops = ExitStack()
        for listener in self._listeners:
            stops.callback(self._selection.watch(listener))
        self._unwatch = stops.close

    def _changed(self, *, now: bool = False) -> None:
        """See that what is displayed follows; `now`: before this returns, for answers on the worker's thread."""
        if self._widget is not None:
            self._widget.refresh.now() if now else self._widget.refresh()
        for parent in list(self._parents):
            parent._changed(now=now)

    def _title(self) -> str:
        titles = [str(spec.props["frame"]["title"]) for spec in self._specs()]
        return " · ".join(dict.fromkeys(titles)) or "mechviz"

    def _height(self, width: int = _WIDTH) -> int:
        """Estimated height in CSS pixels, laid out as js/src/FigureView.svelte does."""
        if self._spec is not None:
            return self._spec.noted(self._notes).height(width)
        return layouts.height(self._layout, [child._height for child in self._children], width)

    def _twin(self) -> notebook.Twin:
        if any(spec.asked for spec in self._specs()) and notebook.output() != "static":
            return notebook.Twin(None, self.still(), self._height(), self._title())
        document = html_page(self._title(), [self._page_figure(notebook.TWIN_LAZY_BYTES)], bare=True)
        return notebook.Twin(document, self.still(), self._height(), self._title())

    def __repr__(self) -> str:
        """The kind and title of every picture in it."""
        inside = ", ".join(f"{spec.kind} {spec.props['frame']['title']!r}" for spec in self._specs())
        return f"<mechviz {inside}>" if self._spec else f"<mechviz {self._layout['kind']} of {inside}>"

    def _widgets_above(self) -> list[Any]:
        """Widgets of others that set arguments of what is in it; a notebook shows them above it."""
        return list(dict.fromkeys(widget for child in self._children for widget in child._widgets_above()))

    def _ipython_display_(self) -> None:
        if widgets := self._widgets_above():
            from IPython.display import display as show

            show(*widgets)
        notebook.display(lambda: self.widget, self._twin, repr(self))

    def _display_(self) -> Any:
        """What marimo shows."""
        return notebook.marimo_output(lambda: self.widget, self._twin)


def display(function: F) -> F:
    """Mark a display function: the view it returns remembers how it was made, so that `View.update` works.

    It gives the function one argument more, ``selection=``: a `Selection` that views of several cells share.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def remembering(*args: Any, selection: Selection | None = None, **kwargs: Any) -> View:
        view = function(*args, **kwargs)
        view._call = (function, dict(signature.bind(*args, **kwargs).arguments))
        return view if selection is None else linked(view, selection)

    remembering.__signature__ = linkable(signature)  # type: ignore[attr-defined]
    return remembering  # type: ignore[return-value]


def _tell(f: Callable[[Selection], Any], selection: Selection) -> None:
    """Call what was given to `View.on_select`; a failure is told where its output goes, and ends nothing else."""
    try:
        f(selection)
    except Exception:
        sys.stdout.flush()  # or a notebook shows the traceback amid what was printed before
        traceback.print_exc()


def linkable(signature: inspect.Signature) -> inspect.Signature:
    """The signature of a display function with ``selection=`` after its own arguments."""
    own = inspect.Parameter("selection", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Selection | None")
    parameters = list(signature.parameters.values())
    end = len(parameters) - any(p.kind is p.VAR_KEYWORD for p in parameters)
    return signature.replace(parameters=[*parameters[:end], own, *parameters[end:]])


def linked(view: View, selection: Selection) -> View:
    """The view with a selection that others have too: what is picked in one of them is picked in all.

    Raises:
        TypeError: `selection` is no `Selection`.
    """
    if not isinstance(selection, Selection):
        raise TypeError(f"selection must be a mv.Selection that views share; got a {type(selection).__name__}")
    selection.share()
    view._share(selection)
    return view


def _provenance_line(provenance: Mapping[str, Any], tokens: int | None, texts: int = 1) -> list[str]:
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
        several = f"{texts} texts, " if texts > 1 else ""
        parts.append(f"{several}{tokens:,} token{'' if tokens == 1 else 's'}{notes}")
    if provenance.get("dtype"):
        parts.append(str(provenance["dtype"]))
    if provenance.get("less"):  # of a difference: what was taken from it
        parts.append(str(provenance["less"]))
    if provenance.get("missing"):  # what was asked for and cannot be drawn
        parts.append(str(provenance["missing"]))
    return parts
