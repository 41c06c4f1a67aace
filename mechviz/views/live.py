"""`mv.live`: a text box over any view of it, made anew as one types."""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mechviz import worker
from mechviz._visible import prose
from mechviz.selection import Selection
from mechviz.view import View, linked
from mechviz.views._held import Held
from mechviz.views.tokens import tokens

log = logging.getLogger("mechviz")


class Live(View):
    """A text box and the view of what stands in it; `live` makes one.

    Attributes:
        error: What went wrong with the newest text, or ""; the picture is then still that of `text`.
    """

    def __init__(
        self, f: Callable[..., View], text: str, controls: Mapping[str, Any], title: str, selection: Selection
    ) -> None:
        """Use `live`."""
        self._f, self._controls, self._heading = f, dict(controls), title
        self._takes_selection = _takes_selection(f) and "selection" not in controls
        self._context = contextvars.copy_context()  # of the cell: below it stands what `f` prints for the reader
        self._turn = threading.RLock()  # a cell may set the text while the reader types
        self._held = Held()
        self._stop: Callable[[], None] = lambda: None
        self.error = ""
        self._text, self._took = text, 0.0
        self._wanted = text  # what stands in the box; after an error not that of the picture
        first = self._run(text, selection)
        self._hold(first)
        super().__init__(layout={"kind": "column"}, children=[self._box(), first])
        self._again = worker.Newest(lambda: self._answer({"text": self._wanted}))
        for name, control in self._controls.items():
            if getattr(control, "description", None) == "":
                control.description = name  # as interact of ipywidgets does: who sees two sliders asks which is which
            control.observe(lambda _change: self._again(), names="value")

    @property
    def text(self) -> str:
        """What the picture shows; assign to it to show another text.

        Raises:
            Exception: (on assigning) whatever the function raises; the picture stays.
        """
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self.update(text=text)

    @property
    def view(self) -> View:
        """The view that the function has made of `text`."""
        return self._children[1]

    def update(self, **changes: Any) -> None:
        """Show another text, or the same by another function: ``update(text="...")``, ``update(f=...)``.

        Raises:
            TypeError: another argument.
            Exception: whatever the function raises; the picture stays.
        """
        unknown = set(changes) - {"text", "f"}
        if unknown:
            raise TypeError(f"a live view is updated by text= and f=; got {', '.join(sorted(unknown))}")
        with self._turn:
            before, self._f = self._f, _function(changes.get("f", self._f))
            text = changes.get("text", self._wanted)
            try:
                made = self._run(text, self._selection)
            except BaseException:
                self._f = before
                raise
            self._show(text, made)

    def _run(self, text: str, selection: Selection) -> View:
        """The view of a text; how long it took is kept."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a string; got a {type(text).__name__}")
        values = {name: control.value for name, control in self._controls.items()}
        if self._takes_selection:
            values["selection"] = selection
        began = time.perf_counter()
        made = self._f(text, **values)
        if not isinstance(made, View):
            raise TypeError(f"f must return a view, as mv.tokens(...) does; it returned a {type(made).__name__}")
        self._took = time.perf_counter() - began
        return made

    def _answer(self, asked: Mapping[str, Any]) -> None:
        """Show what the reader has typed; what goes wrong is said above the picture, which stays."""
        with self._turn:
            self._wanted = asked["text"]
            if asked.get("reset"):
                self._held = Held()
            try:
                self._show(asked["text"], self._context.copy().run(self._run, asked["text"], self._selection))
            except Exception as error:
                log.debug("mv.live: no view of %r", asked["text"], exc_info=True)
                self.error = _said(error, self._f)
                self._children = [self._adopted(self._box()), self._children[1]]
                self._changed(now=worker.is_here())

    def _show(self, text: str, made: View) -> None:
        self.error, self._text, self._wanted = "", text, text
        self._hold(made)
        self._children[1]._parents.discard(self)
        self._children = [self._adopted(self._box()), self._adopted(made)]
        self._changed(now=worker.is_here())

    def _adopted(self, child: View) -> View:
        child._parents.add(self)
        child._share(self._selection)
        return child

    def _share(self, selection: Selection) -> None:
        super()._share(selection)
        self._stop()
        if self._takes_selection:
            self._stop = selection.watch(lambda _source: self._again())

    def _hold(self, made: View) -> None:
        """Widen the limits of its colour scales to those of all texts so far."""
        for index, view in enumerate(_leaves(made)):
            assert view._spec is not None
            view._spec = self._held.widened(view._spec, index)

    def _box(self) -> View:
        props = {
            "text": prose(self._text),
            "error": prose(_short(self.error)) or None,
            "took": self._took * 1000,
            "saved": False,
            "controls": [[name, prose(str(control.value))] for name, control in self._controls.items()],
        }
        return View.of(
            "live",
            props,
            title=self._heading,
            answers={"run": self._answer},
            still=lambda: f"<p><b>{_escaped(self._heading)}</b> {_escaped(self._text)}</p>",
            height=lambda width: 44,
            # Nobody answers in a file, an error is of a text that is not the one shown, and equal pictures are equal files.
            saved=lambda twin: {"saved": True, "error": None, "took": 0.0},
        )

    def _widgets_above(self) -> list[Any]:
        return [*self._controls.values(), *super()._widgets_above()]


def live(
    f: Callable[..., View],
    text: str = "",
    *,
    title: str = "Text",
    selection: Selection | None = None,
    **controls: Any,
) -> Live:
    """A text box over a view that follows as one types: the picture that ``f`` makes of the text, at every key.

    ``f`` runs in the kernel, on the thread that answers the browser, one text at a time: while it is busy only the newest
    text waits, and when it takes longer than a moment it begins once one pauses (for as long as it last took, at most
    0.3 s). The picture is never that of an older text than the one before; while it is behind, that is said. An error of
    ``f`` is shown in place, with its line in ``f``, and the last good picture stays; assigning that text to ``view.text``
    in a cell raises it with all of its traceback. What ``f`` prints stands below the cell that called this. The time from key to picture stands beside the box.

    Colours mean the same from key to key: limits of a scale only grow, to hold every text so far; ``reset scale`` (the
    key Alt-R in the box) begins again with the present text. Limits that ``f`` itself gives are left as they are.

    It is a view like any other: it goes into `mechviz.row` and `mechviz.column`, and a saved page shows the last picture
    with its text. Typing needs a kernel; a host that hears nothing while a cell runs answers after it.

    Args:
        f: ``f(text) -> view``, such as ``lambda text: mv.tokens(model.trace(text).tokens, ...)``. If it has a parameter
            ``selection`` it is given the reader's selection, and runs again when that changes. It must not change what
            cells change at the same time.
        text: What stands in the box at first.
        title: The name of the box.
        selection: A `Selection` that views of other cells share: what is picked there is picked here, and given to ``f``.
        controls: Arguments of ``f`` that the reader sets: widgets of ipywidgets by the name of the argument, shown above
            the figure, with that name where they have no description; ``f`` is given their values and runs again, with
            the text in the box, when one changes. A widget as `title` or `selection` is one of them.

    Raises:
        TypeError: ``f`` returns no view, a control is no widget, or `title` is neither a string nor a widget.
        Exception: whatever ``f`` raises for the first text.

    Example:
        >>> view = live(lambda text: tokens(list(text or " "), [ord(c) % 7 for c in text or " "]), "type here")
        >>> view.text = "another text"
        >>> view
        <mechviz column of live 'Text', tokens 'Tokens'>
    """
    _function(f)
    if selection is not None and not isinstance(selection, Selection):
        controls["selection"], selection = selection, None  # an argument of this name that a widget sets
    if not isinstance(title, str):
        controls["title"], title = title, "Text"
    for name, control in controls.items():
        if not (hasattr(control, "observe") and hasattr(control, "value")):
            or_ours = {"title": "a string or ", "selection": "a mv.Selection or "}.get(name, "")
            raise TypeError(
                f"{name} must be {or_ours}a widget with a value, as ipywidgets has; got a {type(control).__name__}"
            )
    view = Live(f, text, controls, title, Selection() if selection is None else selection)
    if selection is not None:
        linked(view, selection)
    return view


def _function(f: Any) -> Any:
    if not callable(f):
        raise TypeError(f"f must be a function from a text to a view; got a {type(f).__name__}")
    return f


def _takes_selection(f: Callable[..., View]) -> bool:
    try:
        return "selection" in inspect.signature(f).parameters
    except ValueError:  # of what is written in C nobody knows
        return False


def _said(error: Exception, f: Callable[..., View]) -> str:
    """What went wrong, and in which line of ``f``'s cell or file."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    while isinstance(f, functools.partial):
        f = f.func
    code = getattr(inspect.unwrap(f), "__code__", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename]
    return f"{words} (line {own[-1].lineno}, in {own[-1].name})" if own else words


def _short(words: str) -> str:
    """Of a long message both ends: in front what it is, behind where."""
    return words if len(words) <= 400 else f"{words[:300]} … {words[-90:]}"


def _leaves(view: View) -> list[View]:
    return [view] if view._spec is not None else [leaf for child in view._children for leaf in _leaves(child)]


def _escaped(text: str) -> str:
    from html import escape

    return escape(prose(text))


def example() -> View:
    """Words, coloured by how rare their letters are in English; typing needs a kernel."""
    return live(_rarity, "Jazzy quizzes puzzle the lazy fox, then all rest", title="Type a sentence")


_COMMON = "etaoinshrdlcumwfgypbvkjxqz"  # the most common letter first


def _rarity(text: str) -> View:
    words = [" " + word for word in text.split()] or ["·"]
    ranks = [[_COMMON.find(c) + 1 for c in word.lower() if c in _COMMON] or [0] for word in words]
    rare = np.array([np.mean(np.log2(1 + np.array(each))) for each in ranks])
    return tokens(words, rare, name="rarity", unit="bits", scale="ember")
