"""Marks by folder, so that `make test-fast` can leave out what needs a browser or long."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BROWSER = ("hosts", "pages")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("slow")
        elif item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in BROWSER:
            item.add_marker("browser")
