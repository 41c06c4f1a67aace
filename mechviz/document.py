"""`mv.page`: figures with prose between them, as one HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mechviz._markdown import Heading, Prose, contents
from mechviz.page import MAX_BYTES, PageFigure, heading, html_page, iframe
from mechviz.view import View

# A table of contents serves a reader from here on.
_HEADINGS = 3


class Page:
    """Figures with prose between them, as one HTML file (see `page`)."""

    def __init__(self, title: str, items: Iterable[View | str], *, contents: bool | None = None) -> None:
        """Use `mechviz.page`."""
        self.title = title
        self.items = list(items)
        self.contents = contents
        if not self.items:
            raise ValueError("items must hold at least one view or string of Markdown; got none")
        for i, item in enumerate(self.items):
            if not isinstance(item, (View, str)):
                raise TypeError(f"items[{i}] must be a view or a string of Markdown; got {type(item).__name__}")

    def to_html(self, *, max_bytes: int = MAX_BYTES) -> str:
        """The whole document as text.

        Raises:
            ValueError: its numbers take more than `max_bytes`, or a formula in an item cannot be read, or an image is no file.
        """
        prose = Prose()
        parts = list(self._parts(prose))
        return html_page(
            self.title, [heading(self.title), *self._contents(prose.headings), *parts], max_bytes=max_bytes
        )

    def save(self, path: str | Path, *, max_bytes: int = MAX_BYTES) -> Path:
        """Write one HTML file that opens without a network; returns the path.

        Raises:
            ValueError: the path does not end in ``.html``, or what `to_html` raises; nothing is written then.
        """
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"path must end in .html; got {path.name!r}")
        path.write_text(self.to_html(max_bytes=max_bytes), encoding="utf-8")
        return path

    def still(self) -> str:
        """Its first picture as HTML without scripts; empty where it has none."""
        return next((item.still() for item in self.items if isinstance(item, View)), "")

    def _parts(self, prose: Prose) -> Iterator[str | PageFigure]:
        for i, item in enumerate(self.items):
            if isinstance(item, View):
                yield item._page_figure()
                continue
            try:
                yield prose.html(item)
            except ValueError as error:
                raise ValueError(f"items[{i}]: {error}") from None

    def _contents(self, headings: list[Heading]) -> list[str]:
        wanted = len(headings) >= _HEADINGS if self.contents is None else self.contents
        return [contents(headings)] if wanted and headings else []

    def __repr__(self) -> str:
        """Its title and how much is in it."""
        return f"<mechviz page {self.title!r} of {len(self.items)} items>"

    def _repr_html_(self) -> str:
        height = sum(item._height() + 48 if isinstance(item, View) else 120 for item in self.items) + 96
        return iframe(self.to_html(), height=height, title=self.title)


def page(title: str, items: Iterable[View | str], *, contents: bool | None = None) -> Page:
    r"""Figures and Markdown on one page, which carries the program that draws them once, however many there are.

    What a reader picks goes into the page's address (``page.html#mv-0=layers:1;heads:0``), so that a link shows what
    they saw.

    Args:
        title: The heading and the document's title, plain text.
        items: In order: views (each figure has a selection of its own, unless they were given one to share), and strings
            of Markdown. Formulas stand between dollars, ``$x$`` or ``$$x$$``, in LaTeX's notation; they become MathML.
            HTML inside Markdown is shown as text. Images are files of this machine, which go into the page.
        contents: Whether the headings of the Markdown are listed on top, with links; None from three headings on.

    Raises:
        TypeError: an item is neither a view nor a string, or `title` is none.
        ValueError: there are no items, or a formula cannot be read or an image is no file (when the page is written).

    Example:
        >>> mv.page("Induction", ["Look at *L1H0*: $QK^\\top$", view]).save("induction.html")  # doctest: +SKIP
    """
    if not isinstance(title, str):
        raise TypeError(f"title must be a string; got a {type(title).__name__}")
    if isinstance(items, (str, View)):
        raise TypeError(f"items must be a list of views and strings; got a {type(items).__name__}")
    return Page(title, items, contents=contents)
