"""What a notebook is given: the live widget, and beside it a frozen twin for when no kernel runs.

| host                               | emitted                         | seen live   | seen without the kernel               |
|------------------------------------|---------------------------------|-------------|---------------------------------------|
| JupyterLab, Notebook 7, nbconvert  | two outputs: widget; twin       | the widget  | the twin; its still where not trusted |
| VS Code, Colab                     | one output: widget or twin      | the widget  | the twin                              |
| marimo                             | `mo.ui.anywidget`               | the widget  | -                                     |
| terminal                           | the text of `repr`              | -           | -                                     |

The rules in `_STYLE` lean on class names of JupyterLab's and of ipywidgets', which tests/hosts pins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from mechviz.bundle import BUNDLE, MISSING
from mechviz.page import iframe

Mode = Literal["auto", "live", "static"]
Host = Literal["jupyter", "vscode", "colab", "terminal"]
_MODES = ("auto", "live", "static")
_mode: Mode | None = None

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"

# One of the two outputs is shown. `data-mechviz-live` stands on the light-DOM host of a drawn widget: :has() does not
# see into a shadow root. ipywidgets marks what has lost its kernel as disconnected, also in a page made by nbconvert.
_LIVE = ":has(:not(.jupyter-widgets-disconnected)>[data-mechviz-live=true])"
# The page in the frame is transparent until it has drawn, so that its still shows where no script may run.
_STYLE = f"""
.jp-OutputArea-child{_LIVE} + .jp-OutputArea-child:has(.mechviz-twin){{display:none}}
.jp-OutputArea-child:not({_LIVE}):has(+ .jp-OutputArea-child .mechviz-twin){{display:none}}
[data-jp-theme-light=false] .mechviz-twin{{color-scheme:dark}}
"""

# The rules are put into the document once: each style sheet more is matched against the whole notebook. A frame is made
# once it has been seen for a while; those behind live pictures never are (50 of them took longer than the pictures).
_SCRIPT = f"""<script>(twin => {{
if (!document.getElementById("mechviz-twins"))
document.head.append(Object.assign(document.createElement("style"), {{ id: "mechviz-twins", textContent: `{_STYLE}` }}));
let timer;
const make = () => {{ observer.disconnect(); twin.append(twin.querySelector("template").content) }};
const observer = new IntersectionObserver(seen => {{
clearTimeout(timer);
if (seen.at(-1).isIntersecting) timer = setTimeout(make, 300);
}});
observer.observe(twin);
}})(document.currentScript.parentNode)</script>"""

# What one twin may add to a notebook file, and how much of that may be what is fetched only when opened.
TWIN_BYTES = 1_500_000
TWIN_LAZY_BYTES = 250_000
_KERNELS = "A still: the interactive picture is computed by the kernel. Run the cell again, or use .save()"
_TOO_LARGE = "A still: the interactive picture is larger than {:.1f} MB and was left out of the notebook; use .save()"


@dataclass(frozen=True)
class Twin:
    """A figure without a kernel: a self-contained document, and a still picture for where not even that may run."""

    document: str | None  # None: a kernel is asked for its numbers, and making a page would take too long for a cell
    still: str
    height: int
    title: str

    def to_html(self, *, scripts: bool = True) -> str:
        """The still, covered by the document in a sandboxed iframe; `scripts`: the host runs those in an output."""
        frame = iframe(self.document, height=self.height, title=self.title) if self.document is not None else ""
        if self.document is None:
            page = f"<p>{_KERNELS}</p>"
        elif len(frame) + len(self.still) > TWIN_BYTES:
            page = f"<p>{_TOO_LARGE.format(TWIN_BYTES / 1e6)}</p>"
        else:
            page = f'<div style="position:absolute;inset:0">{frame}</div>'
            page = f"<template>{page}</template>{_SCRIPT}" if scripts else page
        return (
            f'<div class="mechviz-twin" style="position:relative;min-height:{self.height}px">'
            f'<div class="mechviz-still">{self.still}</div>{page}</div>'
        )


def output(mode: Mode | None = None) -> Mode:
    """Choose what displayed views become; returns the mode in force.

    Args:
        mode: ``"auto"``: what the host does best. ``"live"``: the widget alone, so that a re-opened notebook shows
            nothing. ``"static"``: an interactive page in the output, for hosts that cannot fetch a widget runtime (an
            offline VS Code, say); selections do not reach Python. None changes nothing. The environment variable
            ``MECHVIZ_OUTPUT`` sets the mode until this is called.

    Raises:
        ValueError: another mode.
    """
    global _mode
    if mode is not None:
        _mode = _checked(mode, "mode")
    return _mode or _checked(os.environ.get("MECHVIZ_OUTPUT", "auto"), "MECHVIZ_OUTPUT")


def _checked(mode: str, name: str) -> Mode:
    if mode not in _MODES:
        raise ValueError(f"{name} must be one of {', '.join(_MODES)}; got {mode!r}")
    return cast(Mode, mode)


def host() -> Host:
    """Which notebook this runs in; Jupyter's own where there is a kernel of which no more is known."""
    if "google.colab" in sys.modules:
        return "colab"
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return "terminal"
    return "vscode" if "__vsc_ipynb_file__" in getattr(shell, "user_ns", {}) else "jupyter"


def display(widget: Callable[[], Any], twin: Callable[[], Twin], plain: str) -> None:
    """Show a figure in the running cell."""
    from IPython.display import display as show

    for bundle in bundles(widget, twin, plain):
        show(bundle, raw=True)


def bundles(widget: Callable[[], Any], twin: Callable[[], Twin], plain: str) -> Iterator[dict[str, Any]]:
    """The outputs of a cell, each a bundle of representations by MIME type, each made when it is its turn.

    The live picture is on its way before the work on its twin begins.
    """
    mode, where = output(), host()
    if where == "terminal":
        yield {"text/plain": plain}
    elif not BUNDLE.exists():
        yield {"text/plain": MISSING}
    elif mode == "static":
        yield {"text/html": twin().to_html(), "text/plain": plain}
    elif mode == "live":
        yield {**_widget_view(widget()), "text/plain": plain}
    elif where == "jupyter":
        # JupyterLab never falls back from a widget to another type of the same output.
        yield {**_widget_view(widget()), "text/plain": ""}
        yield {"text/html": twin().to_html(), "text/plain": plain}
    else:
        # VS Code and Colab would show both outputs, but do fall back within one.
        yield {**_widget_view(widget()), "text/html": twin().to_html(), "text/plain": plain}


def marimo_output(widget: Callable[[], Any], twin: Callable[[], Twin]) -> Any:
    """What marimo shows: the widget, or the page when `output` says static."""
    import marimo

    if not BUNDLE.exists():
        return marimo.plain_text(MISSING)
    if output() == "static":
        return marimo.Html(twin().to_html(scripts=False))
    return marimo.ui.anywidget(widget())


def _widget_view(widget: Any) -> dict[str, Any]:
    return {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
