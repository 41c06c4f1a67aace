"""A view as a file: page, pictures and data. The part of `mechviz.view.View` that makes them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechviz import export, figure_file
from mechviz.page import MAX_BYTES, PageFigure, html_page
from mechviz.version import __version__


class Files:
    """Saves what a view shows; a view is one."""

    if TYPE_CHECKING:  # what a view knows of itself

        def _title(self) -> str: ...
        def _specs(self) -> Iterator[Any]: ...
        def _figure_data(self) -> figure_file.FigureData: ...
        def _page_figure(self, lazy_bytes: int | None = None, paper: export.Paper | None = None) -> PageFigure: ...

    def to_html(
        self,
        title: str | None = None,
        *,
        paper: bool = False,
        width_mm: float | None = None,
        ground: export.Ground | None = None,
        caption: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> str:
        """The picture as one self-contained HTML document; for paper as of `png`.

        Raises:
            ValueError: its numbers take more than `max_bytes`, compressed and as text.
        """
        look = _look(900, "light", paper, width_mm, ground, caption)
        return html_page(title or self._title(), [self._page_figure(paper=look.paper)], max_bytes=max_bytes)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the picture to a file of the kind that the path ends in; returns the path.

        ``.html`` is one interactive page that opens without a network; ``.png``, ``.svg`` and ``.pdf`` are pictures as
        `png`, `svg` and `pdf` make them; ``.json`` is the view itself with all its numbers, of which `mechviz.open`
        makes a view again (docs/figure-format.md). All of them carry where the numbers come from.

        Args:
            path: The file.
            options: Those of `to_html`, `png`, `svg` or `pdf`: ``paper=True``, ``theme="dark"``, ``max_bytes=10**8``, …

        Raises:
            ValueError: the path ends in something else, or a figure with a user's component, which is code, is to
                become ``.json``; the numbers of a page take more than ``max_bytes``, by default 60 MB; and what `png`
                raises. Nothing is written then.
            TypeError: the kind of file does not take an option.

        Example:
            >>> view.save("figure1.pdf", paper=True, width_mm=174)  # doctest: +SKIP
        """
        path = Path(path)
        makers: dict[str, Callable[..., str | bytes]] = {
            ".html": self.to_html,
            ".htm": self.to_html,
            ".png": self.png,
            ".svg": self.svg,
            ".pdf": self.pdf,
            ".json": lambda: figure_file.write(self._figure_data()),
        }
        make = makers.get(path.suffix.lower())
        if make is None:
            raise ValueError(f"path must end in .html, .png, .svg, .pdf or .json; got {path.name!r}")
        unknown = set(options) - set(inspect.signature(make).parameters)
        if unknown:
            raise TypeError(f"{path.suffix} files take no {', '.join(sorted(unknown))}")
        content = make(**options)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def png(
        self,
        scale: float | None = None,
        width: int = 900,
        theme: export.Theme = "light",
        *,
        paper: bool = False,
        width_mm: float | None = None,
        ground: export.Ground | None = None,
        caption: bool = False,
    ) -> bytes:
        """The picture as a reader of its page sees it, drawn by a headless Chromium; its provenance is in the file.

        Only the word "Export" is left out. Needs Playwright (``pip install 'mechviz-interp[export]'``) and Chromium: the
        one that the environment variable ``CHROMIUM`` names, else the system's, else Playwright's own. The first picture
        starts it, which takes a second.

        Args:
            scale: Pixels for one CSS pixel, above 0 and up to 8; by default 2, and on paper 4, which is 512 to the inch.
            width: Of the picture in CSS pixels, with 16 of plain ground on every side; the height follows.
            theme: ``"light"`` or ``"dark"``.
            paper: For print: white ground and black text in either theme, no title, controls or hints, only what has
                been picked is framed, the colour bar below, numbers in cells from 4.5 mm on. No text is below 6 pt.
            width_mm: Of the picture on paper, by default 84 (a column; 174 is a page of two). `width` has no part in it.
            ground: On paper ``"white"`` (by default) or ``"transparent"``.
            caption: On paper: title and provenance as text below the picture.

        Raises:
            ValueError: an argument is out of range, is for paper without ``paper=True``, or the picture is larger than
                Chromium can draw.
            RuntimeError: a view failed; the message is its own.
            ModuleNotFoundError: Playwright is not installed.
            FileNotFoundError: there is no Chromium.

        Example:
            >>> Path("dark.png").write_bytes(view.png(theme="dark"))  # doctest: +SKIP
        """
        look = _look(width, theme, paper, width_mm, ground, caption)
        scale = scale if scale is not None else 4 if paper else 2
        writer, provenance = self._said_of_itself()
        text = {"Software": writer, "Title": self._title(), "mechviz-provenance": provenance}
        return export.png(self._still_page(look), look, scale=scale, text=text)

    def svg(
        self,
        width: int = 900,
        theme: export.Theme = "light",
        *,
        paper: bool = False,
        width_mm: float | None = None,
        ground: export.Ground | None = None,
        caption: bool = False,
    ) -> str:
        """The picture of `png` as SVG, with the same arguments and errors.

        Text is text, heat maps of up to some 1,000 cells are vectors, larger ones images. Where a program lacks a font, its
        own is fitted to the width that the text had.
        """
        look = _look(width, theme, paper, width_mm, ground, caption)
        return export.svg(self._still_page(look), look)

    def pdf(
        self,
        width: int = 900,
        theme: export.Theme = "light",
        *,
        paper: bool = False,
        width_mm: float | None = None,
        ground: export.Ground | None = None,
        caption: bool = False,
    ) -> bytes:
        """The picture of `svg` as a PDF of one page that is as large as the picture, its fonts embedded."""
        look = _look(width, theme, paper, width_mm, ground, caption)
        writer, provenance = self._said_of_itself()
        info = {"Title": self._title(), "Creator": writer, "Keywords": provenance}
        return export.pdf(self._still_page(look), look, info=info)

    def _still_page(self, look: export.Look) -> str:
        figure = self._page_figure(paper=look.paper)
        # The theme that a picture is asked for counts for more than the one of `style`.
        figure.style = {name: value for name, value in figure.style.items() if name != "theme"}
        return html_page(self._title(), [figure])

    def _said_of_itself(self) -> tuple[str, str]:
        """The program, and where the numbers come from as JSON: what pictures carry."""
        figures = [{"view": spec.kind, **spec.provenance} for spec in self._specs()]
        provenance = json.dumps({"mechviz": __version__, "figures": figures}, default=str)
        return f"mechviz {__version__}", provenance


def _look(
    width: int,
    theme: export.Theme,
    paper: bool,
    width_mm: float | None,
    ground: export.Ground | None,
    caption: bool,
) -> export.Look:
    """The look that a caller has asked for."""
    given = {"width_mm": width_mm, "ground": ground, "caption": caption or None}
    given = {name: value for name, value in given.items() if value is not None}
    if given and not paper:
        raise ValueError(f"{', '.join(given)} of a picture on paper: add paper=True")
    return export.Look(width, theme, export.Paper(**given) if paper else None)
