"""Standalone pages in the headless Chromium of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mechviz as mv


class Opened:
    """A page, everything that it asked of the network, and everything that went wrong on it."""

    def __init__(self, browser, **context) -> None:
        self.context = browser.new_context(viewport={"width": 950, "height": 900}, **context)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)

    def open(self, path: Path, figures: int = 1) -> None:
        """Open a file and wait until its figures are drawn."""
        self.page.goto(path.as_uri())
        self.drawn(self.page, figures)

    @staticmethod
    def drawn(frame, figures: int = 1) -> None:
        """Wait for figures to be drawn. Polling: the page's policy forbids the eval of wait_for_function."""
        for _ in range(200):
            if frame.evaluate("document.querySelectorAll('[data-mechviz-drawn]').length") >= figures:
                return
            frame.wait_for_timeout(50)
        raise AssertionError(f"not drawn: {frame.evaluate('document.body.innerText')[:500]}")

    @property
    def foreign(self) -> list[str]:
        """Requests to anything but the file itself."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.fixture
def opened(browser) -> Iterator[Opened]:
    """An empty page that keeps a record."""
    opened = Opened(browser)
    yield opened
    opened.context.close()


@pytest.fixture
def shown(opened, tmp_path) -> Iterator[Callable]:
    """Opens the page of a `mv.attention`; in the end nothing went wrong on it, and nothing foreign was asked for."""

    def show(*args, **options):
        opened.open(mv.attention(*args, **options).save(tmp_path / "page.html"))
        return opened.page

    yield show
    assert opened.errors == [] and opened.foreign == []
