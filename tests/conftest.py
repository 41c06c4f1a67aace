"""Marks by folder, so that `make test-fast` can leave out what needs a browser or long; the browser itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BROWSER = ("hosts", "pages")

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """One headless Chromium for all tests of the run; Playwright allows no second one in a thread."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def browser_here() -> None:
    """Pictures need a browser; the tests that draw are skipped where there is none."""
    import mechviz

    pytest.importorskip("playwright")
    try:
        mechviz.tokens(["a"]).png()  # the first one starts it
    except FileNotFoundError as error:
        pytest.skip(str(error))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("slow")
        elif item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in BROWSER:
            item.add_marker("browser")
