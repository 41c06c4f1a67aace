"""Pictures of figures as files: the page itself, drawn by a headless Chromium through Playwright.

PNG is what the browser shows; SVG is read off the drawn page by js/src/export, and PDF is that SVG, printed. So all three
are one drawing, and the browser's own export menu makes the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mechviz._export_browser import renderer
from mechviz._export_files import pdf_with, png_with

T = TypeVar("T")
Theme = Literal["light", "dark"]
Ground = Literal["white", "transparent"]

MARGIN = 16  # of plain ground round the figure, CSS pixels
# js/src/export/paper.ts has the same three. Text of 11 px is 6.2 pt on paper, 84 mm are 423 px and 174 mm are 877 px.
PAPER_MARGIN = 4
_PAPER_ZOOM = 0.75
_PX_PER_MM = 96 / 25.4 / _PAPER_ZOOM

# The word "Export" stands in no still picture: nobody can click it there.
_STYLE = (
    "<style>html{{--mv-export:none}}body{{max-width:none;padding:{margin}px;min-height:0}}main>.figure{{margin:0}}"
    "*{{caret-color:transparent}}{more}</style></head>"
)
# Of js/src/mount.ts: a figure that is drawn says so, and one that cannot be says why instead.
_DRAWN = """[...document.querySelectorAll('.figure')].map(figure => figure.querySelector('[data-mechviz-drawn]'))
.every(host => host && !host.shadowRoot.querySelector('[data-busy]'))"""
_FAILED = """[...document.querySelectorAll('.mechviz:not([data-mechviz-drawn])')]
.map(host => host.shadowRoot?.lastElementChild?.textContent ?? '').filter(text => text.includes('could not draw'))"""
_SVG = "document.querySelector('[data-mechviz-drawn]').mechvizSvg({})"
_SECONDS = 30
# Chromium repeats or drops what is higher or wider than one of its textures.
_LARGEST = 16384


@dataclass(frozen=True)
class Paper:
    """How a figure looks in print: no controls and hints, black on white, sizes in mm, see `View.png`."""

    width_mm: float = 84
    ground: Ground = "white"
    caption: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        if isinstance(self.width_mm, bool) or not isinstance(self.width_mm, (int, float)):
            raise TypeError(f"width_mm must be a number; got a {type(self.width_mm).__name__}")
        if not 30 <= self.width_mm <= 1000:
            raise ValueError(f"width_mm must be 30 to 1000; got {self.width_mm!r}")
        if self.ground not in ("white", "transparent"):
            raise ValueError(f"ground must be white or transparent; got {self.ground!r}")

    @property
    def width(self) -> int:
        """Of the picture in CSS pixels, its margin included."""
        return round(self.width_mm * _PX_PER_MM)

    def to_json(self) -> dict[str, Any]:
        """What js/src/export/paper.ts reads."""
        return {"width_mm": self.width_mm, "ground": self.ground, "caption": bool(self.caption)}


@dataclass(frozen=True)
class Look:
    """How wide a picture is and on what it stands; `paper` goes before the others."""

    width: int = 900
    theme: Theme = "light"
    paper: Paper | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        if not 100 <= self.width <= 8000:
            raise ValueError(f"width must be 100 to 8000 CSS pixels; got {self.width!r}")
        if self.theme not in ("light", "dark"):
            raise ValueError(f"theme must be light or dark; got {self.theme!r}")

    @property
    def margin(self) -> int:
        """Of plain ground on every side, CSS pixels."""
        return PAPER_MARGIN if self.paper else MARGIN


def png(document: str, look: Look | None = None, *, scale: float = 2, text: Mapping[str, str] | None = None) -> bytes:
    """A page with a figure as a PNG, as it looks when all of it has been drawn.

    Args:
        document: The page, from `mechviz.page.html_page`; made for paper where the look is.
        look: Its width and theme; the width includes a margin.
        scale: Pixels of the picture for one CSS pixel, above 0 and up to 8.
        text: Put into the file as its metadata, by keyword.

    Raises:
        ValueError: `scale` is out of range, or the picture would be larger than Chromium draws.
        RuntimeError: a view could not be drawn; the message is its own.
        ModuleNotFoundError: Playwright is not installed.
        FileNotFoundError: there is no Chromium.
    """
    look = look or Look()
    if not 0 < scale <= 8:
        raise ValueError(f"scale must be above 0 and at most 8; got {scale!r}")
    clear = look.paper is not None and look.paper.ground == "transparent"

    def take(page: Any, width: int, height: int) -> bytes:
        if max(height, width) * scale > _LARGEST:
            raise ValueError(
                f"the picture would be {width * scale:g} × {height * scale:g} pixels and Chromium draws at most {_LARGEST} "
                "a side: use a smaller scale or width, or save as .html"
            )
        return page.screenshot(omit_background=clear)

    picture = renderer().call(float(scale), lambda page: _draw(page, document, look, take))
    return png_with(picture, text or {}, scale * 96 / _PAPER_ZOOM if look.paper else None)


def svg(document: str, look: Look | None = None) -> str:
    """A page with one figure as SVG; arguments and errors as of `png`."""
    look = look or Look()
    return renderer().call(_raster_scale(look), lambda page: _draw(page, document, look, _take_svg))


def pdf(document: str, look: Look | None = None, *, info: Mapping[str, str] | None = None) -> bytes:
    """A page with one figure as a PDF of one page that is as large as the figure; `info` is its document information."""
    look = look or Look()

    def draw(page: Any) -> bytes:
        drawing = _draw(page, document, look, _take_svg)
        page.emulate_media(color_scheme="light")
        page.set_content(f"<!doctype html><style>body{{margin:0}}svg{{display:block}}</style>{drawing}")
        box = page.evaluate("document.querySelector('svg').getBoundingClientRect().toJSON()")
        # By a rule: of sizes that are given as an option Chromium makes up to 0.3 mm more.
        page.add_style_tag(content=f"@page{{margin:0;size:{box['width']}px {box['height']}px}}")
        return page.pdf(prefer_css_page_size=True, print_background=True, page_ranges="1")

    return pdf_with(renderer().call(_raster_scale(look), draw), info or {})


def _raster_scale(look: Look) -> float:
    """Pixels that the images in a vector file have for one CSS pixel: 192 to the inch on screens, 512 on paper."""
    return 4.0 if look.paper else 2.0


def _take_svg(page: Any, width: int, height: int) -> str:
    return page.evaluate(_SVG)


def _draw(page: Any, document: str, look: Look, take: Callable[[Any, int, int], T]) -> T:
    errors: list[str] = []

    def note(error: Any) -> None:
        errors.append(str(error))

    clear = look.paper is not None and look.paper.ground == "transparent"
    style = _STYLE.format(margin=look.margin, more="html{background:transparent!important}" if clear else "")
    page.on("pageerror", note)
    page.emulate_media(color_scheme="light" if look.paper else look.theme, reduced_motion="reduce")
    width = look.paper.width if look.paper else int(look.width)
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(document.replace("</head>", style, 1))
    _wait_until_drawn(page, errors)
    picture = _still(page, width, take)
    errors += page.get_by_role("alert").all_inner_texts()
    if errors:
        raise RuntimeError(f"the figure could not be drawn: {errors[0]}")
    page.remove_listener("pageerror", note)
    return picture


def _wait_until_drawn(page: Any, errors: list[str]) -> None:
    # Polling: the page's own policy forbids the eval of Playwright's wait_for_function.
    deadline = time.monotonic() + _SECONDS
    while not page.evaluate(_DRAWN):
        errors += page.evaluate(_FAILED)
        if errors:
            raise RuntimeError(f"the figure could not be drawn: {errors[0]}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the figure was not drawn within {_SECONDS} s")
        page.wait_for_timeout(10)


def _still(page: Any, width: int, take: Callable[[Any, int, int], T]) -> T:
    """The picture once two in a row are the same: sizes have been measured, arrays have come, canvases are painted."""
    before, deadline = None, time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        height = max(1, page.evaluate("Math.ceil(document.body.getBoundingClientRect().height)"))
        page.set_viewport_size({"width": width, "height": min(height, _LARGEST)})
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = take(page, width, height)
        if picture == before:
            return picture
        before = picture
    raise RuntimeError(f"the figure still moved after {_SECONDS} s")
