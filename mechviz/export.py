"""Pictures of figures: the page itself, drawn by a headless Chromium through Playwright.

One thread owns Playwright and one browser, for as long as the process lives: Playwright's blocking interface refuses a
thread with a running event loop, and a notebook's cells run in one; starting a browser takes a second.
"""

from __future__ import annotations

import atexit
import os
import queue
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

Theme = Literal["light", "dark"]
_Task = Callable[[Any], bytes]

MARGIN = 16  # of plain ground round the figure, CSS pixels
_STYLE = (
    f"<style>body{{max-width:none;padding:{MARGIN}px;min-height:0}}main>.figure{{margin:0}}"
    "*{caret-color:transparent}</style></head>"
)
# Of js/src/mount.ts: a figure that is drawn says so, and one that cannot be says why instead.
_DRAWN = "[...document.querySelectorAll('.figure')].every(figure => figure.querySelector('[data-mechviz-drawn]'))"
_FAILED = """[...document.querySelectorAll('.mechviz:not([data-mechviz-drawn])')]
.map(host => host.shadowRoot?.lastElementChild?.textContent ?? '').filter(text => text.includes('could not draw'))"""
_FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
_CHROMIUM = "/usr/bin/chromium"
_SECONDS = 30
# Chromium repeats or drops what is higher or wider than one of its textures.
_LARGEST = 16384
_NO_PLAYWRIGHT = "pictures are drawn by Playwright: pip install 'mechviz-interp[export]'"
_NO_BROWSER = (
    "pictures are drawn by Chromium, and none was found: install it (`apt-get install chromium`, or "
    "`python -m playwright install chromium`), or name one with the environment variable CHROMIUM"
)


def png(
    document: str,
    *,
    scale: float = 2,
    width: int = 900,
    theme: Theme = "light",
    text: Mapping[str, str] | None = None,
) -> bytes:
    """A page with figures as a PNG, as it looks when all of it has been drawn.

    Args:
        document: The page, from `mechviz.page.html_page`.
        scale: Pixels of the picture for one CSS pixel, up to 8.
        width: Of the picture in CSS pixels, its margin of 16 included.
        theme: ``"light"`` or ``"dark"``.
        text: Put into the file as its metadata, by keyword.

    Raises:
        ValueError: an argument is out of range, or the picture would be larger than Chromium draws.
        RuntimeError: a view could not be drawn; the message is its own.
        ModuleNotFoundError: Playwright is not installed.
        FileNotFoundError: there is no Chromium.
    """
    if not 0 < scale <= 8:
        raise ValueError(f"scale must be above 0 and at most 8; got {scale!r}")
    if not 100 <= width <= 8000:
        raise ValueError(f"width must be 100 to 8000 CSS pixels; got {width!r}")
    if theme not in ("light", "dark"):
        raise ValueError(f"theme must be light or dark; got {theme!r}")
    document = document.replace("</head>", _STYLE, 1)
    picture = _renderer.call(float(scale), lambda page: _draw(page, document, scale, int(width), theme))
    return _with_text(picture, text or {})


def _draw(page: Any, document: str, scale: float, width: int, theme: Theme) -> bytes:
    errors: list[str] = []

    def note(error: Any) -> None:
        errors.append(str(error))

    page.on("pageerror", note)
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(document)
    _wait_until_drawn(page, errors)
    picture = _still(page, scale, width)
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


def _still(page: Any, scale: float, width: int) -> bytes:
    """The picture once two in a row are the same: sizes have been measured, arrays have come, canvases are painted."""
    before, deadline = b"", time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        height = page.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
        if max(height, width) * scale > _LARGEST:
            raise ValueError(
                f"the picture would be {width * scale:g} × {height * scale:g} pixels and Chromium draws at most {_LARGEST} "
                "a side: use a smaller scale or width, or save as .html"
            )
        page.set_viewport_size({"width": width, "height": max(1, height)})
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = page.screenshot()
        if picture == before:
            return picture
        before = picture
    raise RuntimeError(f"the figure still moved after {_SECONDS} s")


class _Renderer:
    """The thread that owns the browser. It starts with the first picture and ends with the process."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[bytes], float, _Task] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._playwright: Any = None
        self._browser: Any = None
        # An empty page of the last scale: a new one is a new process, half of what a picture takes.
        self._spare: tuple[float, Any] | None = None

    def call(self, scale: float, task: _Task) -> bytes:
        """Run `task(page)` on the thread, with an empty page of a scale, and wait for it."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mechviz export", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        future: Future[bytes] = Future()
        self._tasks.put((future, scale, task))
        return future.result()

    def close(self) -> None:
        """Close the browser; a later picture starts another."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self.close)
            self._tasks.put(None)
            thread.join(timeout=10)

    def _run(self) -> None:
        for future, scale, task in iter(self._tasks.get, None):
            try:
                future.set_result(self._attempt(scale, task))
            except BaseException as error:  # carried to the thread that asked
                future.set_exception(error)
        self._stop()

    def _attempt(self, scale: float, task: _Task) -> bytes:
        fresh = self._browser is None
        try:
            return self._on_page(scale, task)
        except Exception as error:
            # Interrupting a kernel also ends the browser that it has started: then draw again with a new one.
            if fresh or "closed" not in str(error).lower():
                raise
        self._stop()
        return self._on_page(scale, task)

    def _on_page(self, scale: float, task: _Task) -> bytes:
        browser = self._start()
        spare, self._spare = self._spare, None
        if spare is not None and spare[0] != scale:
            spare[1].context.close()
            spare = None
        page = spare[1] if spare else browser.new_context(device_scale_factor=scale, offline=True).new_page()
        try:
            picture = task(page)
        except BaseException:
            page.context.close()
            raise
        # Nothing of this picture is left for the next.
        page.goto("about:blank")
        self._spare = scale, page
        return picture

    def _start(self) -> Any:
        if self._browser is None:
            try:
                from playwright.sync_api import Error, sync_playwright
            except ModuleNotFoundError:
                raise ModuleNotFoundError(_NO_PLAYWRIGHT) from None
            executable = _chromium()
            self._playwright = sync_playwright().start()
            try:
                self._browser = self._playwright.chromium.launch(executable_path=executable, args=_FLAGS)
            except Error as error:
                self._stop()
                if "Executable doesn't exist" in str(error):
                    raise FileNotFoundError(_NO_BROWSER) from None
                raise
        return self._browser

    def _stop(self) -> None:
        browser, playwright = self._browser, self._playwright
        self._browser = self._playwright = self._spare = None
        for end in (browser and browser.close, playwright and playwright.stop):
            if end is not None:
                try:
                    end()
                except Exception as error:  # what it should end has ended
                    if "closed" not in str(error).lower():
                        raise


def _chromium() -> str | None:
    """The browser to start; None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM names {named!r}, which is no program here")
        return found
    return _CHROMIUM if Path(_CHROMIUM).exists() else None


def _with_text(picture: bytes, text: Mapping[str, str]) -> bytes:
    """A PNG with UTF-8 text chunks behind its header, which is always 33 bytes long."""
    chunks = []
    for keyword, value in text.items():
        body = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8", "replace")
        chunks.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return picture[:33] + b"".join(chunks) + picture[33:]


_renderer = _Renderer()


def _forget() -> None:
    """In a forked child there is neither the thread nor a browser of its own."""
    global _renderer
    _renderer = _Renderer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
