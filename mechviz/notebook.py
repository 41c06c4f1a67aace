"""What a notebook is given: the live widget, and beside it a frozen twin for when no kernel runs.

JupyterLab and Notebook show the widget while it lives and the twin after re-opening; their sanitiser (untrusted
notebooks) keeps the twin's still picture; nbconvert shows the twin. The rules in `_STYLE` lean on class names of
JupyterLab's, which tests/hosts pins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mechviz.page import iframe

Mode = Literal["auto", "live", "static"]
_MODES = ("auto", "live", "static")
_mode: Mode | None = None

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"

# One of the two outputs is shown. `data-mechviz-live` stands on the light-DOM host of a drawn widget: :has() does not
# see into a shadow root.
_STYLE = """
.jp-OutputArea-child:has([data-mechviz-live=true]) + .jp-OutputArea-child:has(.mechviz-twin){display:none}
.jp-OutputArea-child:has(+ .jp-OutputArea-child .mechviz-twin):not(:has([data-mechviz-live=true])){display:none}
"""


@dataclass(frozen=True)
class Twin:
    """A figure without a kernel: a self-contained document, and a still picture for where not even that may run."""

    document: str
    still: str
    height: int
    title: str

    def to_html(self) -> str:
        """The still, covered by the document in a sandboxed iframe."""
        frame = iframe(self.document, height=self.height, title=self.title)
        return (
            f'<div class="mechviz-twin" style="position:relative;min-height:{self.height}px"><style>{_STYLE}</style>'
            f'<div class="mechviz-still">{self.still}</div>'
            f'<div style="position:absolute;inset:0;background:var(--jp-layout-color0,Canvas)">{frame}</div></div>'
        )


def output(mode: Mode | None = None) -> Mode:
    """Choose what displayed views become; returns the mode in force.

    Args:
        mode: ``"auto"``: what the host does best. ``"live"``: always the widget. ``"static"``: an interactive page in
            the output, for hosts that cannot fetch a widget runtime (an offline VS Code, say); selections do not
            reach Python. None changes nothing. The environment variable ``MECHVIZ_OUTPUT`` sets the mode until this
            is called.

    Raises:
        ValueError: another mode.
    """
    global _mode
    if mode is not None:
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}; got {mode!r}")
        _mode = mode
    return _mode or _from_environment()


def _from_environment() -> Mode:
    mode = os.environ.get("MECHVIZ_OUTPUT", "auto")
    if mode not in _MODES:
        raise ValueError(f"MECHVIZ_OUTPUT must be one of {', '.join(_MODES)}; got {mode!r}")
    return mode  # type: ignore[return-value]


def host() -> Literal["jupyter", "vscode", "colab", "marimo"]:
    """Which notebook this runs in; Jupyter's own where nothing else is known."""
    if "google.colab" in sys.modules:
        return "colab"
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and "__vsc_ipynb_file__" in getattr(shell, "user_ns", {}):
        return "vscode"
    return "jupyter"


def display(widget: Callable[[], Any], twin: Callable[[], Twin], plain: str) -> None:
    """Show a figure in the running cell."""
    from IPython.display import display as show

    for bundle in bundles(widget, twin, plain):
        show(bundle, raw=True)


def bundles(widget: Callable[[], Any], twin: Callable[[], Twin], plain: str) -> list[dict[str, Any]]:
    """The outputs of a cell, each a bundle of representations by MIME type."""
    mode = output()
    if mode == "static":
        return [{"text/html": twin().to_html(), "text/plain": plain}]
    live = {WIDGET_MIME: _widget_view(widget()), "text/plain": plain}
    if mode == "live":
        return [live]
    if host() == "jupyter":
        # Two outputs: JupyterLab never falls back from a widget to another type of the same output.
        return [{**live, "text/plain": ""}, {"text/html": twin().to_html(), "text/plain": plain}]
    # VS Code and Colab would show both outputs, but do fall back within one.
    return [{**live, "text/html": twin().to_html()}]


def marimo_output(widget: Callable[[], Any], twin: Callable[[], Twin]) -> Any:
    """What marimo shows: the widget, or the page when `output` says static."""
    import marimo

    if output() == "static":
        return marimo.Html(twin().to_html())
    return marimo.ui.anywidget(widget())


def _widget_view(widget: Any) -> dict[str, Any]:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
