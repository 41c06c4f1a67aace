"""A page made in Python: masks that are more than a triangle, a sliding window and a sink behind masked keys."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mechviz.pattern import Factored

pytestmark = pytest.mark.browser

N, WINDOW = 12, 4
WORDS = [f" w{i}" for i in range(N)]
# Pixels that are drawn, above the diagonal and left of the last column.
ABOVE = """canvas => {
    const {width, height} = canvas;
    const bytes = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let drawn = 0;
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++)
        drawn += bytes[4 * (y * width + x) + 3] > 0 && x / width > (y / height) + 0.12 && x / width < 12 / 13 - 0.02;
    return drawn;
}"""


def factored(**options) -> Factored:
    return Factored(*np.random.default_rng(0).normal(0, 1, (2, 2, N, 8)).astype(np.float32), window=WINDOW, **options)


def readout(page) -> str:
    return " ".join(page.locator("section[aria-label=read-out]").inner_text().split())


def test_what_lies_before_a_window_is_no_key(shown):
    pattern = factored()
    page = shown(WORDS, pattern)
    assert f"rank 1 of {WINDOW}" in readout(page) and "other key" not in readout(page)
    assert page.locator(".strip .token.out").count() == N - WINDOW
    page.locator(".map").focus()
    page.keyboard.press("t")
    page.get_by_role("button", name="is read by").wait_for()
    page.locator(".strip [data-i='2']").click()
    assert f"of {WINDOW}" in readout(page)  # queries 2 … 5
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV, the map", exact=True).click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    query, key = np.mgrid[:N, :N]
    given = np.array([[cell != "" for cell in row[2:]] for row in rows])
    np.testing.assert_array_equal(given, (key <= query) & (key > query - WINDOW))


def test_heads_with_a_sink_are_masked_all_the_same(shown):
    pattern = factored(sinks=np.zeros(2, np.float32))
    page = shown(WORDS, pattern)
    assert page.locator(".map canvas").first.evaluate(ABOVE) == 0
    page.locator(".strip [data-i='5']").first.click()
    page.mouse.move(2, 2)
    assert f"of {WINDOW + 1}" in readout(page)  # keys 2 … 5 and the sink
    out = page.locator(".strip [data-i].out").evaluate_all("all => all.map(e => Number(e.dataset.i))")
    assert out == [0, 1, 6, 7, 8, 9, 10, 11]
    whole = shown(WORDS, np.full((2, N, N + 1), 1 / (N + 1)), key_tokens=[*WORDS, "sink"])
    assert whole.locator(".map canvas").first.evaluate(ABOVE) > 1000  # of keys that are other tokens none is masked
