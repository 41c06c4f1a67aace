"""Image tokens in one file: a hovered patch changes what lies over the image and what is read out, light and dark."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.text import as_tokens

pytestmark = pytest.mark.browser

ROWS, COLUMNS = 6, 8


def scene(height: int = 240, width: int = 320) -> np.ndarray:
    """A sun over hills: something to be recognised, dark and pale."""
    y, x = np.mgrid[:height, :width] / height
    sky = np.stack([0.35 + 0.4 * y, 0.55 + 0.3 * y, 0.95 - 0.1 * y], -1)
    sky[np.hypot(x - 1.0, y - 0.25) < 0.12] = (1, 0.85, 0.3)
    hills = y > 0.62 + 0.12 * np.sin(5 * x) + 0.05 * np.sin(13 * x)
    sky[hills] = np.stack([0.1 + 0.2 * x, 0.25 + 0.15 * y, 0.12 + 0 * x], -1)[hills]
    house = (np.abs(x - 0.4) < 0.12) & (y > 0.55) & (y < 0.8)
    sky[house] = (0.75, 0.3, 0.25)
    return (255 * sky).round().astype(np.uint8)


@pytest.fixture(scope="module")
def view() -> mv.View:
    n = 1 + ROWS * COLUMNS
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.5, (1, 3, n, n))
    row, column = np.divmod(np.arange(n - 1), COLUMNS)
    scores[0, 0, 1:, 1:] -= 0.8 * np.hypot(row[:, None] - row, column[:, None] - column)
    scores[0, 1, 1:, 1:] += 3.0 * (row[:, None] == row)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    tokens = dataclasses.replace(as_tokens(["CLS", *map(str, range(n - 1))]), patches=[(1, ROWS, COLUMNS)])
    tokens = dataclasses.replace(tokens, role=("CLS", *[None] * (n - 1)), special=(True, *[False] * (n - 1)))
    return mv.attention(tokens, weights.astype(np.float32), image=scene())


def shadow(page, script: str):
    return page.evaluate(f"(() => {{ const root = document.querySelector('.mechviz').shadowRoot; {script} }})()")


def canvas(page) -> np.ndarray:
    script = "const c = root.querySelector('.patches canvas');"
    script += "return [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    wide, high, *data = shadow(page, script)
    return np.array(data).reshape(high, wide, 4)


def place(page, patch: int) -> tuple[float, float]:
    left, top, wide, high = shadow(
        page,
        "const b = root.querySelector('.patches').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]",
    )
    return left + (patch % COLUMNS + 0.5) * wide / COLUMNS, top + (patch // COLUMNS + 0.5) * high / ROWS


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_hovered_patch_shows_where_it_looks(opened, tmp_path, view, theme):
    page = opened.page
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 1000, "height": 1400})
    opened.open(view.save(tmp_path / "image.html"))
    assert opened.errors == [] and opened.foreign == []
    before = canvas(page)
    assert before[..., 3].all()
    weights = view_weights(view)
    for patch in (10, 37):
        page.mouse.move(*place(page, patch))
        page.wait_for_timeout(60)
        told = shadow(page, "return root.querySelector('section[aria-label=\"read-out\"]').innerText")
        assert f"{patch // COLUMNS},{patch % COLUMNS}" in told.split("reads from")[0]
        caption = shadow(page, "return root.querySelector('.images figcaption').innerText")
        assert f"{weights[1 + patch, 1:].sum():.4f}" in caption
        after = canvas(page)
        assert (after != before).any()
        # Where more is read, the colour is further from the ground: darker in light, lighter in dark.
        shown = after[..., :3].astype(float).mean(-1)
        high, wide = shown.shape
        means = shown[: high // ROWS * ROWS, : wide // COLUMNS * COLUMNS]
        means = means.reshape(ROWS, high // ROWS, COLUMNS, wide // COLUMNS).mean((1, 3)).ravel()
        row = weights[1 + patch, 1:]
        sign = -1 if theme == "light" else 1
        assert sign * np.corrcoef(means, row)[0, 1] > 0.6
        before = after


def view_weights(view: mv.View) -> np.ndarray:
    """Of the open head."""
    values = view.flat()[1]["0"][1]["heads"][0]["values"].encode()
    return np.asarray(wire.decode(values.header, values.data), np.float64)


def test_pictures_hold_the_image(view):
    pytest.importorskip("playwright")
    view.selection.set({"queries": [12], "positions": [12]})
    try:
        assert view.png(scale=1) == view.png(scale=1)
        assert "data:image/png" in view.svg()
    finally:
        view.selection.set({"queries": [], "positions": []})
