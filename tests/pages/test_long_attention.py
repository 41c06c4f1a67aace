"""Long texts in one file: a pattern that is held as queries and keys is computed by the page, under its own policy."""

from __future__ import annotations

import re

import numpy as np
import pytest

import mechviz as mv
from mechviz.pattern import Factored
from mechviz.views import _pattern_layers

pytestmark = pytest.mark.browser

N = 300


@pytest.fixture
def pattern(monkeypatch) -> Factored:
    """One head that reads the token before, seen as a pattern that is too large to be held."""
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    rng = np.random.default_rng(0)
    keys = rng.normal(size=(1, N, 16)).astype(np.float32)
    queries = (rng.normal(size=(1, N, 16)) + 1.5 * np.roll(keys, 1, axis=1)).astype(np.float32)
    return Factored(queries, keys)


def shadow(page, script: str):
    return page.evaluate(f"(() => {{ const root = document.querySelector('.mechviz').shadowRoot; {script} }})()")


def complete(page) -> None:
    for _ in range(400):
        if not shadow(page, "return root.querySelector('[data-busy]') !== null"):
            return
        page.wait_for_timeout(25)
    raise AssertionError("the overview was not completed")


def test_a_page_computes_the_pattern_in_a_worker_and_says_its_error(opened, tmp_path, pattern):
    view = mv.attention([f" t{i}" for i in range(N)], pattern)
    workers = []
    opened.page.on("worker", lambda worker: workers.append(worker.url))
    opened.open(view.save(tmp_path / "long.html"))
    complete(opened.page)
    assert opened.errors == [] and opened.foreign == [] and len(workers) == 1
    # The last row is open, and its largest weight is told with the error that stands in the foot.
    row = pattern.rows(0, [N - 1])[0]
    best = int(row.argmax())
    told = shadow(opened.page, "return root.querySelector('section[aria-label=\"read-out\"]').innerText")
    value, error = map(float, re.findall(r"(\d\.\d+) ± (\d\.\d+)", told)[0])
    assert f"t{best}" in told and abs(value - row[best]) <= error + 5e-5 and error <= 1e-3
    assert "float16 queries and keys: at most ± 0.0" in shadow(opened.page, "return root.innerHTML")


def test_the_map_is_the_one_that_weights_draw(opened, tmp_path, pattern):
    tokens = [f" t{i}" for i in range(N)]
    drawn = []
    for name, shown in (("factors", pattern), ("weights", pattern.dense())):
        opened.open(
            mv.attention(tokens, shown, precision="auto" if name == "factors" else "exact").save(
                tmp_path / f"{name}.html"
            )
        )
        complete(opened.page)
        script = "const c = root.querySelector('.map canvas');"
        script += "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        drawn.append(np.array(shadow(opened.page, script)))
    assert drawn[0].size == drawn[1].size and drawn[0].max() == 255
    # 256 colours over 0 … 1: an error of 1e-3 is at most one of them, which differs by little in each channel.
    assert np.abs(drawn[0] - drawn[1]).max() <= 4


def test_pictures_wait_for_the_overview(pattern):
    pytest.importorskip("playwright")
    view = mv.attention([f" t{i}" for i in range(N)], pattern)
    assert view.png(scale=1) == view.png(scale=1)
