"""A display with several pixels to a CSS pixel: pointers stand between them, and a click picks what was read."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import Opened

import mechviz as mv

pytestmark = pytest.mark.browser

N = 1500


@pytest.fixture
def fine(browser):
    """A page of such a display."""
    opened = Opened(browser, device_scale_factor=2)
    yield opened
    opened.context.close()


def maps() -> dict[str, tuple[mv.View, str]]:
    """Each with several cells to a pixel; and what its read-out says of a cell."""
    rng = np.random.default_rng(0)
    weights = np.tril(rng.random((1, N, N), dtype=np.float32))
    return {
        "heat map": (mv.heatmap(rng.normal(size=(N, N))), r"row (\d+) · column (\d+)"),
        "attention": (
            mv.attention([f"t{i}" for i in range(N)], weights / weights.sum(-1, keepdims=True)),
            r"(\d+)\s+reads from\s+\S+\s+(\d+)",
        ),
    }


@pytest.mark.parametrize("name", ["heat map", "attention"])
def test_the_cell_that_is_read_is_the_cell_that_is_picked(fine, tmp_path, name):
    view, said = maps()[name]
    fine.open(view.save(tmp_path / "map.html"))
    page = fine.page

    def read() -> tuple[str, ...]:
        page.wait_for_timeout(100)
        text = page.evaluate(
            "document.querySelector('.mechviz').shadowRoot.querySelector('.readout, section').innerText"
        )
        found = re.search(said, text)
        return found.groups() if found else ()

    box = page.get_by_role("application").locator("canvas").first.bounding_box()
    for k in range(6):
        # Below the diagonal, half a pixel off.
        page.mouse.move(int(box["x"]) + 30 + 11 * k + 0.5, int(box["y"]) + 300 + 17 * k + 0.5)
        pointed = read()
        assert pointed
        page.mouse.down()
        page.mouse.up()
        page.mouse.move(3, 3)
        assert read() == pointed
    assert fine.errors == []
