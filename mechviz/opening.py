"""`mv.open`: what mechviz has saved, opened again. One row of `_FORMATS` for each kind of file."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mechviz import figure_file, layouts, trace_file, views
from mechviz.bundle import LAB_KINDS
from mechviz.spec import NOTE_HEIGHT, Spec
from mechviz.version import __version__
from mechviz.view import View

_HEAD = 512  # bytes of a file that are looked at to tell what it is


@dataclass(frozen=True)
class _Format:
    """A kind of file: what to call it, whether this is one (by path and first bytes), and how it is opened."""

    name: str
    fits: Callable[[Path, bytes], bool]
    open: Callable[[Path], Any]


def open(path: str | Path) -> Any:
    """Open what was saved: a view with its selection and provenance, or a trace, which needs neither torch nor the model.

    A ``.json`` file of `View.save` is a view again; a file of `Trace.save` a `mechviz.trace_file.SavedTrace`, in numpy, that
    says of everything that was not saved that it was not. The view shows the same picture from the same bytes. It no longer has the model behind it: where numbers were
    rounded for the file, read-outs go on saying how far, and `View.update` is not possible. Nothing in a file is run.

    Args:
        path: The file; what it is shows in its content, not in its name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: mechviz did not write it, a newer version did, or it is damaged; the message says which.

    Example:
        >>> view.save("figure.json")  # doctest: +SKIP
        >>> mv.open("figure.json").selection.heads  # doctest: +SKIP
        [0]
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for format in _FORMATS:
        if format.fits(path, head):
            return format.open(path)
    hint = "; open .html files in a browser" if path.suffix.lower() in (".html", ".htm") else ""
    raise ValueError(f"mv.open takes {', '.join(format.name for format in _FORMATS)}; got {path.name!r}{hint}")


def _is_json(_path: Path, head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _figure(path: Path) -> View:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text: {error}") from None
    data = figure_file.read(text, path.name)
    known = {module.name for module in pkgutil.iter_modules(views.__path__)} | LAB_KINDS  # mv.bench is above the views
    for view in data.views.values():
        if view.kind not in known:
            raise ValueError(f"{path.name} holds a {view.kind!r} view, which mechviz {__version__} does not have")
    try:
        return _view(data.layout, data.views, data.selection)
    except (TypeError, ValueError) as error:  # of the selection
        raise ValueError(f"{path.name}: {error}") from None


def _view(
    layout: Mapping[str, Any], views: Mapping[str, figure_file.ViewData], selection: Mapping[str, Any] | None = None
) -> View:
    if layout["kind"] == "view":
        data = views[layout["id"]]
        frame = dict(data.props["frame"])
        notes = frame.pop("notes", [])
        view = View(spec=_spec(data, {**data.props, "frame": frame}, NOTE_HEIGHT * len(notes)), selection=selection)
        for note in notes:
            view.note(note.get("text"), **note["at"])
        return view
    children = [_view(item, views) for item in layout["items"]]
    return View(layout=layouts.options_of(layout), children=children, selection=selection)


def _spec(view: figure_file.ViewData, props: Mapping[str, Any], below: int) -> Spec:
    widths, heights = list(view.heights), list(view.heights.values())
    title = escape(props["frame"]["title"])
    return Spec(
        view.kind,
        props,
        view.provenance,
        # A live picture asks for exact numbers; nobody has them any more, so it keeps to those of the file.
        answers={"value": lambda _: None},
        still=lambda: f"<p><b>{title}</b>: opened from a file; trust or run the notebook to see it</p>",
        height=lambda width: round(float(np.interp(width, widths, heights))) - below,
    )


_FORMATS = (
    _Format("figures (.json)", _is_json, _figure),
    _Format("traces (of Trace.save)", trace_file.is_trace, trace_file.read),
)
