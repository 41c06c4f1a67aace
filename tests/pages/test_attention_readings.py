"""A file in which attention is read otherwise: what it draws, says and saves, with the pointer and the keys alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mechviz.pattern import Factored
from mechviz.views import _pattern_layers

pytestmark = pytest.mark.browser

WORDS = ["When", " Ma", "ry", " and", " John", " went", " to", " the", " st", "ore"]
N = len(WORDS)
EDGES = [0, 1, 3, 4, 5, 6, 7, 8, 10]  # of words


def softmax(seed: int) -> np.ndarray:
    """``[head, query, key]``"""
    scores = np.where(np.tri(N) > 0, np.random.default_rng(seed).normal(0, 1.5, (2, N, N)), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def press(page, keys: str) -> None:
    page.locator(".map").focus()
    for key in keys:
        page.keyboard.press(key)
    page.locator("h3").first.hover()
    page.evaluate("document.querySelector('.mechviz').shadowRoot.activeElement?.blur()")
    page.wait_for_timeout(50)


def row(page) -> dict[str, float]:
    """The last row as the table saves it: key -> weight."""
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV, the row", exact=True).click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    return {line["key token"]: float(line["value"]) for line in table}


def readout(page) -> list[float]:
    rows = page.locator('section[aria-label="read-out"] tr:not(.rest) .number').all_inner_texts()
    return [float(text.replace("\u2212", "-").split()[0]) for text in rows if text.strip()]


def test_weighed_hidden_and_merged_one_after_the_other(shown):
    weights = softmax(0)
    norms = np.random.default_rng(5).uniform(0.2, 3, (2, N)).astype(np.float32)
    page = shown(WORDS, weights, weigh={"norm": norms}, head=1)
    last = weights[1, -1]
    press(page, "e")
    got = row(page)
    assert np.allclose(list(got.values()), last * norms[1], atol=1e-6) and list(got) == [
        w.replace(" ", "·") for w in WORDS
    ]
    assert readout(page) == [round(float(v), 4) for v in np.sort(last * norms[1])[::-1][:5]]
    assert "attention probability × norm" in page.locator("figcaption").first.inner_text()
    press(page, "xx")
    kept = np.where(np.arange(N) == 0, 0, last) / last[1:].sum()
    got = row(page)
    assert "When" not in got and np.allclose(list(got.values()), (kept * norms[1])[1:], atol=1e-5)
    assert "renormalised without first token" in page.locator(".note").inner_text()
    press(page, "w")
    # Words: means over the queries, of which the last word has two, of sums over the keys.
    left = weights[1, -2:, 1:] / weights[1, -2:, 1:].sum(-1, keepdims=True) * norms[1, 1:]
    rows = np.concatenate([np.zeros((2, 1)), left], axis=1).mean(0)
    merged = np.add.reduceat(rows, EDGES[:-1])[1:]
    got = row(page)
    assert np.allclose(list(got.values()), merged, atol=1e-5) and next(iter(got)) == "·Mary"


def test_a_span_overview_and_several_queries(shown):
    weights = softmax(1)
    page = shown(WORDS, weights, spans={"who": (0, 5), "where": (5, 10)})
    press(page, "ww")
    who, where = (weights[0, 5:, a:b].sum(-1).mean() for a, b in ((0, 5), (5, 10)))
    got = row(page)
    assert got == pytest.approx({"who": who, "where": where}, abs=1e-5)
    press(page, "w")
    page.locator(".text [data-i='4']").click()
    page.locator(".text [data-i='7']").click(modifiers=["Control"])
    page.locator("h3").first.hover()
    assert "mean of 2 queries" in page.locator('section[aria-label="read-out"]').inner_text()
    mean = weights[0, [4, 7]].mean(0)
    assert readout(page) == [round(float(v), 4) for v in np.sort(mean)[::-1][:5]]


def test_queries_and_keys_are_weighed_and_merged_as_weights_are(shown, monkeypatch):
    """What travels as factors is read to within the error that the page says."""
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    n = 240
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 1, n, 16)).astype(np.float32)
    pattern = Factored(queries, keys)
    norms = rng.uniform(-1, 2, (1, n)).astype(np.float32)
    page = shown([f" t{i}" for i in range(n)], pattern, weigh={"signed": norms})
    press(page, "exx")
    weights = pattern.head(0)
    exact = weights[-1] / weights[-1, 1:].sum() * norms[0]
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV, the row", exact=True).click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == n - 1
    for line in table:
        off = abs(float(line["value"]) - exact[int(line["key"])])
        assert off <= float(line["error at most"]) + 1e-7 and float(line["error at most"]) < 5e-3


def caption(page) -> str:
    return page.locator("figcaption").first.inner_text()


def test_a_file_opens_as_its_author_wants_it_read_and_the_reader_goes_on_from_there(shown):
    weights = softmax(2)
    norms = np.random.default_rng(5).uniform(0.2, 3, (2, N)).astype(np.float32)
    page = shown(WORDS, weights, weigh={"norm": norms}, weigh_by="norm", hide="first", merge="words", curve="sqrt")
    left = weights[0, -2:, 1:] / weights[0, -2:, 1:].sum(-1, keepdims=True) * norms[0, 1:]
    rows = np.concatenate([np.zeros((2, 1)), left], axis=1).mean(0)
    merged = np.add.reduceat(rows, EDGES[:-1])[1:]
    assert np.allclose(list(row(page).values()), merged, atol=1e-5)
    assert "attention probability × norm, renormalised, √" in caption(page)
    assert "renormalised without first token" in page.locator(".note").inner_text()
    assert page.get_by_label("tokens that say little").input_value() == "hidden"
    assert page.get_by_label("weights multiplied with").input_value() == "norm"
    assert page.get_by_label("read by").input_value() == "words"
    press(page, "xew")
    assert np.allclose(list(row(page).values()), weights[0, -1], atol=1e-6)
    assert "attention probability, √" in caption(page)


def test_a_file_opens_with_masses_on_a_scale_of_its_own_and_dims(shown):
    n = 1400  # more tokens than pixels: cells are pooled
    weights = np.tri(n, dtype=np.float32)[None] / np.arange(1, n + 1, dtype=np.float32)[:, None]
    page = shown([f" t{i}" for i in range(n)], weights, pooling="mass", scale_to=0.25, dim="first")
    assert "mass (sum over keys, mean over queries)" in page.locator(".map").locator("xpath=..").inner_text()
    assert page.get_by_label("end of the scale").input_value() == "0.25"
    assert "dimmed: first token" in page.locator(".note").inner_text()
    assert "renormalised" not in caption(page)


def test_scores_say_that_they_are_of_weights_as_they_are(shown):
    page = shown(WORDS, softmax(3), hide="first")
    view = page.locator(".attention")
    assert "thumbnails and scores: weights as they are, token by token" in view.inner_text()
    assert "mean over queries of weights as they are" in " ".join(view.inner_text().split())
    page.get_by_role("button", name="scatter").click()
    assert "of weights as they are" in page.locator(".finder .axes").inner_text()
    press(page, "x")  # all tokens again
    assert "weights as they are" not in view.inner_text()


def test_a_hidden_key_has_no_numbers_of_its_own(shown):
    page = shown(WORDS, softmax(4), hide="first")
    press(page, "t")
    page.locator(".strip [data-i='0']").click()
    page.mouse.move(2, 2)
    assert "hidden: taken out of all rows" in page.locator('section[aria-label="read-out"]').inner_text()
    assert readout(page) == []
    page.locator(".strip [data-i='1']").click()
    page.mouse.move(2, 2)
    assert "hidden" not in page.locator('section[aria-label="read-out"]').inner_text() and len(readout(page)) == 5
