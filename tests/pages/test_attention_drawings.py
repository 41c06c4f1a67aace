"""A page made in Python: lines between tokens, differences, a model's answer and tables, with the pointer and the keys."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mechviz.pattern import Dense, Factored, PatternStack
from mechviz.text import as_tokens
from mechviz.views import _pattern_layers

pytestmark = pytest.mark.browser

WORDS = ["When", " Mary", " and", " John", " =1+1", " gave"]
N = len(WORDS)


def patterns(seed: int) -> np.ndarray:
    """``[layer, head, query, key]``"""
    scores = np.where(np.tri(N) > 0, np.random.default_rng(seed).normal(0, 2, (2, 2, N, N)), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def texts(page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_text_contents()]


def saved(page, word: str) -> list[list[str]]:
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=word, exact=True).click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_lines_say_the_weights_at_their_ends_and_a_click_picks(shown):
    weights = patterns(0)
    page = shown(WORDS, weights, head="L1H1")
    page.locator(".map").focus()
    page.keyboard.press("l")
    row = weights[1, 1, 4]
    page.locator(".lines .label.end").nth(4).hover(force=True)
    drawn = row[: 4 + 1][row[:5] >= 0.01]
    assert sorted(texts(page, ".lines .number")) == sorted(f"{v:.4f}" for v in drawn)
    box = page.locator(".lines .label:not(.end)").nth(0).bounding_box()
    page.mouse.click(box["x"] + 4, box["y"] + 4)
    page.mouse.move(5, 5)
    read = weights[1, 1, :, 0]
    assert sorted(texts(page, ".lines .number")) == sorted(f"{v:.4f}" for v in read[read >= 0.01])
    lower = weights[1, 1][np.tri(N) > 0]
    assert f"{(lower >= 0.05).sum()} lines: weight ≥ 0.05" in page.locator(".rule").inner_text()


def test_a_difference_of_two_stacks_is_drawn_signed(shown):
    a, b = patterns(0), patterns(1)
    page = shown(WORDS, PatternStack(list(map(Dense, a))) - PatternStack(list(map(Dense, b))), drawing="lines")
    assert "difference of attention probability" in page.locator("figure").first.inner_text()
    page.locator(".lines .label.end").nth(5).hover(force=True)
    row = (a - b)[0, 0, 5]
    size = np.abs(a - b).max()
    expected = [f"{v:.4f}".replace("-", "−") for v in row if abs(v) >= size / 100]
    assert sorted(texts(page, ".lines .number")) == sorted(expected)
    assert "1 other key, sum" in page.locator("section[aria-label=read-out]").inner_text()


def test_the_tokens_of_an_answer_one_by_one(shown):
    tokens = dataclasses.replace(as_tokens(WORDS), prompt=4)
    page = shown(tokens, patterns(0))
    page.locator(".map").focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    assert "answer token 2 of 2" in texts(page, ".answer span")
    assert "gave 5 reads from" in " ".join(texts(page, "section[aria-label=read-out] .head"))
    assert page.locator(".map .boundary").count() == 1 and texts(page, "[data-answer]") == ["=1+1"]


def test_tables_hold_the_numbers_and_run_nothing(shown):
    weights = patterns(0)
    page = shown(WORDS, weights, head="L0H1")
    names, *rows = saved(page, "CSV, the row")
    assert names[:3] == ["head", "quantity", "query"] and [row[0] for row in rows] == ["L0H1"] * N
    np.testing.assert_allclose([float(row[6]) for row in rows], weights[0, 1, 5], atol=1e-8)
    assert [row[5] for row in rows][4] == "·=1+1"
    corner, *matrix = saved(page, "CSV, the map")
    assert corner[0].startswith("L0H1; attention probability") and corner[2:] == [
        f"{i} {w.replace(' ', '·')}" for i, w in enumerate(WORDS)
    ]
    found = [[float(cell) if cell else np.nan for cell in row[2:]] for row in matrix]
    np.testing.assert_array_equal(np.float32(found), np.where(np.tri(N) > 0, weights[0, 1], np.nan))


def test_the_score_of_a_pinned_cell_by_dimension(shown, monkeypatch):
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    n, rng = 300, np.random.default_rng(0)
    queries, keys = rng.normal(0, 1.5, (2, 1, n, 16)).astype(np.float32)
    pattern = Factored(queries, keys)
    page = shown([f" t{i}" for i in range(n)], pattern)
    page.locator(".map").focus()
    page.keyboard.press("q")
    assert "Pin a cell" in page.locator("section[aria-label='q·k by dimension']").inner_text()
    row = pattern.rows(0, [n - 1])[0]
    page.keyboard.press("Enter")  # the largest weight of the last row
    table = page.locator("section[aria-label='q·k by dimension'] tbody tr")
    told = [" ".join(text.split()) for text in table.all_inner_texts()]
    best = int(row.argmax())
    terms = queries[0, -1] * (keys[0, best] - keys[0].mean(0)) / 4
    largest = int(np.abs(terms).argmax())
    assert told[0] == f"{largest} {terms[largest]:.2f}".replace("-", "−")
    assert told[-1].startswith("weight, exp(score − log) 0.")
    assert abs(float(told[-1].split()[4]) - row[best]) <= 1e-3


def test_weights_alone_have_no_queries_and_keys(shown):
    page = shown(WORDS, patterns(0))
    page.get_by_role("button", name="q·k by dimension").click()
    said = page.locator("section[aria-label='q·k by dimension']").inner_text()
    assert "only weights are known of this pattern" in said


def test_heads_are_points_by_scores_that_have_numbers(shown):
    page = shown(WORDS, patterns(0))  # no token comes twice: there is no induction score
    page.get_by_role("button", name="scatter").click()
    points = page.locator(".finder [role=application]")
    assert points.get_attribute("aria-label") == "heads by previous-token score and entropy"
    assert "hover a point" in page.locator(".finder p").first.inner_text()
    page.get_by_label("upward", exact=True).select_option(label="induction score")
    assert points.get_attribute("aria-label") == "heads by previous-token score and induction score"
    assert page.locator(".finder p").first.inner_text() == "induction score: no number"
    across = np.full((1, 3, N, 4), 0.25)
    page = shown(WORDS, across, key_tokens=["a", " b", " c", " d"])
    page.get_by_role("button", name="scatter").click()
    assert page.locator(".finder [role=application]").get_attribute("aria-label") == "heads by entropy and sink mass"


def test_a_reading_from_role_to_role_says_in_how_many_texts_there_are_both(shown):
    weights = [patterns(seed) for seed in range(3)]
    page = shown([WORDS] * 3, weights, roles={"IO": [1, None, 3], "S": 2, "END": -1})
    told = [" ".join(text.split()) for text in page.locator("dl > div").all_inner_texts()]
    (both,) = [text for text in told if text.startswith("END → IO")]
    mean = np.mean([weights[0][0, 0, 5, 1], weights[2][0, 0, 5, 3]])
    assert both.startswith(f"END → IO {mean:.2f} ±") and both.endswith("in 2 of 3")
    (every,) = [text for text in told if text.startswith("END → S")]
    assert "in" not in every
