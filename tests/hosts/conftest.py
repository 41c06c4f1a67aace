"""One Jupyter server for all tests of the run; notebooks that are shut down with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from driver import Jupyter, Notebook, jupyter

# Patterns for cells; the words are such that every one can be found on the screen.
SETUP = """
import time
import numpy as np
import mechviz as mv

def pattern(heads, tokens, seed=0):
    scores = np.random.default_rng(seed).normal(0, 1.5, (heads, tokens, tokens)).astype(np.float32)
    scores[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)

def words(n):
    return [f" t{i}" for i in range(n)]
"""


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
