"""One Jupyter server for all tests of the run; notebooks that are shut down with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from driver import Jupyter, Notebook, jupyter


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A Jupyter server that serves JupyterLab and Notebook 7."""
    with jupyter(tmp_path_factory.mktemp("notebooks")) as running:
        yield running


@pytest.fixture
def notebook(server: Jupyter, browser, request) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks, named after the test; their kernels end with it. A failing test leaves a picture of each."""
    opened: list[Notebook] = []

    def open(cells=None, **options) -> Notebook:
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)
        opened.append(server.open(browser, cells, **{"name": name, **options}))
        return opened[-1]

    yield open
    for i, nb in enumerate(opened):
        if getattr(request.node, "failed", False) and not nb.page.is_closed():
            nb.screenshot(picture := server.folder / f"failed-{i}-{nb.name}.png")
            print(f"The notebook as it was: {picture}")
        nb.shut_down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tell the fixture above how the test went."""
    report = yield
    if call.when == "call":
        item.failed = report.failed
    return report
