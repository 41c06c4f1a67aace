"""For tests of a user's own components: draw one in a headless browser and look at it."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mechviz.svelte import svelte
from mechviz.view import View

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 15


def render_component(
    component: str | Path | Callable[..., View] | View,
    props: Mapping[str, Any] | None = None,
    *,
    width: int = 900,
    theme: Literal["light", "dark"] = "light",
    act: Callable[[Any], Any] | None = None,
) -> bytes:
    """Draw a component as a reader of a saved page sees it; returns the picture as PNG.

    Args:
        component: A ``.svelte`` file, a function made by `mechviz.svelte`, or a view.
        props: The component's arguments (not with a view).
        width: Of the picture, CSS pixels.
        theme: ``"light"`` or ``"dark"``.
        act: Called with the drawn page (Playwright's ``Page``) before the picture is taken: click, hover, assert.

    Raises:
        AssertionError: the component failed in the browser; the message is its error with file, line and caret.
        ModuleNotFoundError: Playwright is not installed (``pip install playwright``).
        FileNotFoundError: there is no Chromium; name one with the environment variable ``CHROMIUM``.

    Example:
        >>> png = render_component("LossBrush.svelte", {"loss": [3.1, 2.4]})  # doctest: +SKIP
        >>> len(png) > 1000  # doctest: +SKIP
        True
    """
    if isinstance(component, View):
        view = component
    else:
        function = svelte(component) if isinstance(component, (str, Path)) else component
        view = function(**(props or {}))
    document = view.to_html()
    # Playwright's blocking interface refuses a thread with an event loop, such as a notebook's.
    result: list[bytes | BaseException] = []

    def run() -> None:
        try:
            with _page(width, theme) as page:
                result.append(_picture(page, document, act))
        except BaseException as error:  # carried to the caller's thread
            result.append(error)

    thread = threading.Thread(target=run, name="mechviz render")
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


@contextlib.contextmanager
def _page(width: int, theme: Literal["light", "dark"]) -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise ModuleNotFoundError("render_component needs Playwright: pip install playwright") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=_FLAGS)
        try:
            yield browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
        finally:
            browser.close()


def _picture(page: Any, document: str, act: Callable[[Any], Any] | None) -> bytes:
    page.set_content(document)
    drawn, failed = page.locator("[data-mechviz-component]"), page.get_by_role("alert")
    drawn.or_(failed).first.wait_for(timeout=_SECONDS * 1000)
    page.wait_for_timeout(50)  # effects have run, canvases are painted
    _check(failed)
    if act is not None:
        act(page)
        _check(failed)
    return page.screenshot(full_page=True)


def _check(failed: Any) -> None:
    texts = failed.all_inner_texts()
    if texts:
        raise AssertionError("the component failed:\n" + "\n".join(texts))


def _chromium() -> str:
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(f"no Chromium called {named or ', '.join(_NAMES)}; set CHROMIUM to the path of one")
    return found
