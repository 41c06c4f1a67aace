"""Users' components: written by tests into a folder, opened as saved pages in the Chromium of the run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mechviz as mv

pytest.importorskip("py_mini_racer", reason="pip install 'mechviz-interp[svelte]'")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files, the text of which may be indented; returns the path of the first."""

    def write(**files: str) -> Path:
        paths = []
        for name, text in files.items():
            stem, _, end = name.rpartition("_")
            path = tmp_path / f"{stem}.{end}"
            path.write_text(textwrap.dedent(text).strip() + "\n", encoding="utf-8")
            paths.append(path)
        return paths[0]

    return write


class Page:
    """A saved page with components, open in the browser."""

    def __init__(self, tab: Any) -> None:
        self.page = tab
        self.folder: Path
        self.requests: list[str] = []
        self.console: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def fresh(self, folder: Path) -> Page:
        """Nothing on it, nothing remembered."""
        self.page.goto("about:blank")
        self.folder = folder
        self.requests.clear()
        self.console.clear()
        return self

    def open(self, view: mv.View) -> Page:
        """Save a view, open the file, wait until its components are drawn or have failed."""
        path = view.save(self.folder / "page.html")
        self.page.goto(path.as_uri())
        self.component.or_(self.alert).first.wait_for(state="attached")
        return self

    def show(self, path: Path, **props: Any) -> Page:
        """Open a component."""
        return self.open(mv.svelte(path)(**props))

    @property
    def component(self) -> Any:
        return self.page.locator("[data-mechviz-component]")

    @property
    def alert(self) -> Any:
        return self.page.get_by_role("alert")

    @property
    def text(self) -> str:
        """What the components show, in one line."""
        return " ".join(" ".join(self.component.all_inner_texts()).split())

    def reads(self, text: str) -> None:
        """Wait until the components show just this text."""
        for _ in range(60):
            if self.text == text:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the page shows {self.text!r}, not {text!r}; alerts {self.alert.all_inner_texts()}")


@pytest.fixture(scope="session")
def tab(browser) -> Iterator[Page]:
    """One tab for all tests: a context of its own takes longer to make than a component to draw."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    context.set_default_timeout(15_000)
    yield Page(context.new_page())
    context.close()


@pytest.fixture
def page(tab: Page, tmp_path: Path) -> Page:
    """An empty page that keeps a record."""
    return tab.fresh(tmp_path)
