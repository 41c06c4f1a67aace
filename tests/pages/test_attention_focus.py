"""A page made in Python: where the focus goes, and what is asked about, when the keys change what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.browser

FOCUSED = """() => {
    let found = document.activeElement;
    while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
    return found.className;
}"""


def softmax(*shape: int, causal: bool) -> np.ndarray:
    scores = np.random.default_rng(0).normal(0, 2, shape)
    weights = np.exp(np.where(np.tri(*shape[-2:], dtype=bool), scores, -np.inf) if causal else scores)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def readout(page) -> str:
    return " ".join(page.locator("section[aria-label=read-out]").inner_text().split())


def test_keys_go_on_after_the_drawing_that_had_the_focus_is_replaced(shown):
    page = shown([f" w{i}" for i in range(6)], softmax(2, 6, 6, causal=True))
    page.locator(".map").focus()
    for drawing in ("lines", "map", "lines"):
        page.keyboard.press("l")
        assert drawing in page.evaluate(FOCUSED).split()
    page.locator("[role=listbox][aria-label^=heads]").focus()
    page.keyboard.press("l")
    assert page.locator(".map").count() == 1 and "map" not in page.evaluate(FOCUSED).split()  # it stays in the grid


def test_the_map_has_the_focus_once_the_whole_is_shown(shown):
    n = 40
    page = shown([f" w{i}" for i in range(n)], softmax(n, n, causal=True))
    page.locator(".map").focus()
    page.keyboard.press("+")
    page.get_by_role("button", name="whole", exact=True).press("Enter")
    assert page.get_by_role("button", name="whole", exact=True).count() == 0
    assert "map" in page.evaluate(FOCUSED).split()
    page.keyboard.press("+")
    assert page.get_by_role("button", name="whole", exact=True).count() == 1


def test_the_token_that_is_looked_for_is_one_of_those_that_are_asked_about(shown):
    page = shown([f" q{i}" for i in range(5)], softmax(5, 60, causal=False), key_tokens=[f" k{i}" for i in range(60)])
    page.locator(".map").focus()
    page.keyboard.press("t")
    page.keyboard.press("g")
    page.keyboard.type("k47")
    page.keyboard.press("Enter")
    assert "·k47 47 is read by" in readout(page)
    assert "1 of 1" in page.locator(".bar [role=status]").last.inner_text()
    page.get_by_label("go to token").fill("q3")
    assert "no such token" in page.locator(".bar [role=status]").last.inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("g")
    page.get_by_label("go to token").fill("q3")
    page.keyboard.press("Enter")
    assert "·q3 3 reads from" in readout(page)


def test_several_tokens_stay_what_is_asked_about_when_the_direction_turns(shown):
    page = shown([f" w{i}" for i in range(6)], softmax(6, 6, causal=True))
    page.locator(".strip [data-i='1']").click()
    page.locator(".strip [data-i='3']").click(modifiers=["Shift"])
    page.mouse.move(2, 2)
    assert "mean of 3 queries reads from" in readout(page)
    page.get_by_role("button", name="is read by").click()
    assert "sum of 3 keys is read by" in readout(page)
    page.get_by_role("button", name="reads from").click()
    assert "mean of 3 queries reads from" in readout(page)


def test_both_tokens_of_a_long_text_stand_among_their_neighbours(shown):
    n = 120
    words = [f" w{i}" if i % 10 else " the" for i in range(n)]
    weights = np.zeros((n, n), np.float32)
    weights[np.arange(n), np.maximum(np.arange(n) - 60, 0)] = 1
    page = shown(words, weights)
    own, other = page.locator(".contexts p").all_inner_texts()  # of the last query, and what it reads
    assert own.replace("\n", "") == "… w115 w116 w117 w118·w119"
    assert other.replace("\n", "") == "… w54 w55 w56 w57 w58·w59 the w61 w62 w63 w64…"


def test_of_a_short_and_a_long_text_the_long_one_has_a_context_and_nothing_sticks_out_of_a_narrow_page(shown):
    keys = [f" k{i}" for i in range(120)]
    weights = np.eye(3, 120, 60, dtype=np.float32)  # query i reads key 60 + i
    texts = [[" some", " rather", " long"], [" and", " another", " text"]]
    page = shown(texts, [weights] * 2, key_tokens=[keys] * 2)
    (context,) = page.locator(".contexts p").all_inner_texts()
    assert context.replace("\n", "") == "… k57 k58 k59 k60 k61·k62 k63 k64 k65 k66 k67…"
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator(".texts").bounding_box()["height"] < 40  # in one line


def test_a_largest_weight_is_not_beyond_its_scale_for_how_thumbnails_travel(shown):
    # 16 bits make 2.3496 of 2.3495, which is the end of the scale: not beyond it, so there is no bar in its cell.
    page = shown(["a", " b"], np.array([[[2.3495, -1], [1, 0.5]]] * 2))
    colors = """all => [...new Set(all.flatMap(c => {
        const bytes = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return [...new Uint32Array(bytes.buffer)];
    }))].filter(color => color >>> 24)"""
    assert len(page.locator("[role=listbox] canvas").evaluate_all(colors)) == 4


def test_several_tokens_are_picked_with_the_keys_that_the_list_names(shown):
    page = shown([f" w{i}" for i in range(6)], softmax(6, 6, causal=True))
    page.locator(".map").focus()
    page.keyboard.press("?")
    assert "in the text: several tokens, read as one" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    page.locator(".strip [data-i='1']").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    assert "mean of 2 queries reads from" in readout(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    page.locator("[role=listbox][aria-label^=heads], .map").last.focus()  # what is under the keys is read by itself
    assert "mean of 3 queries reads from" in readout(page)
    assert page.locator(".strip [data-pinned]").evaluate_all("all => all.map(e => e.dataset.i)") == ["1", "2", "4"]
