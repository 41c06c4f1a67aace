"""The thread that owns Playwright and one headless Chromium, for as long as the process lives.

Playwright's blocking interface refuses a thread with a running event loop, and a notebook's cells run in one; starting a
browser takes a second.
"""

from __future__ import annotations

import atexit
import os
import queue
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Task = Callable[[Any], Any]

_FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
_CHROMIUM = "/usr/bin/chromium"
_NO_PLAYWRIGHT = "pictures are drawn by Playwright: pip install 'mechviz-interp[export]'"
_NO_BROWSER = (
    "pictures are drawn by Chromium, and none was found: install it (`apt-get install chromium`, or "
    "`python -m playwright install chromium`), or name one with the environment variable CHROMIUM"
)


class Renderer:
    """The thread that owns the browser. It starts with the first picture and ends with the process."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], float, Task] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._playwright: Any = None
        self._browser: Any = None
        # An empty page of the last scale: a new one is a new process, half of what a picture takes.
        self._spare: tuple[float, Any] | None = None

    def call(self, scale: float, task: Callable[[Any], T]) -> T:
        """Run `task(page)` on the thread, with an empty page of a scale, and wait for it."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mechviz export", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        future: Future[T] = Future()
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

    def _attempt(self, scale: float, task: Task) -> Any:
        fresh = self._browser is None
        try:
            return self._on_page(scale, task)
        except Exception as error:
            # Interrupting a kernel also ends the browser that it has started: then draw again with a new one.
            if fresh or "closed" not in str(error).lower():
                raise
        self._stop()
        return self._on_page(scale, task)

    def _on_page(self, scale: float, task: Task) -> Any:
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


_renderer = Renderer()


def renderer() -> Renderer:
    """The one of this process."""
    return _renderer


def _forget() -> None:
    """In a forked child there is neither the thread nor a browser of its own."""
    global _renderer
    _renderer = Renderer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
