"""A neuron that is picked in `mv.neurons` colours the texts of the same figure."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv

pytestmark = pytest.mark.browser

WORDS = ["The", " cat", " sat", " on", " the", " mat"]
ACTIVATIONS = np.random.default_rng(0).normal(size=(2, len(WORDS), 8)).astype(np.float32)

COLOURS = """() => [...document.querySelectorAll('.mechviz')]
  .flatMap(host => [...host.shadowRoot.querySelectorAll('[role=listbox]')])
  .map(text => [...text.querySelectorAll('[data-i]')].map(token => getComputedStyle(token).backgroundColor).join())"""


@pytest.fixture
def shown(opened, tmp_path):
    def show(text: mv.View):
        figure = mv.column(text, mv.neurons(WORDS, ACTIVATIONS))
        opened.open(figure.save(tmp_path / "page.html"))
        return opened.page

    yield show
    assert opened.errors == []


def go(page, name: str) -> list[str]:
    """The colours of the text and of the neurons' own, once a neuron is picked."""
    page.get_by_label("go to a neuron").fill(name)
    page.keyboard.press("Enter")
    page.mouse.move(1, 1)
    page.wait_for_timeout(400)
    return page.evaluate(COLOURS)


def test_a_text_takes_the_colours_of_the_neuron_that_is_picked_and_its_own_again(shown):
    page = shown(mv.tokens(WORDS, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], name="loss"))
    before, _ = page.evaluate(COLOURS)
    first, own = go(page, "L1N5")
    assert first == own != before
    page.get_by_role("listbox").first.locator("[data-i='2']").hover()
    assert (
        f"{ACTIVATIONS[1, 2, 5]:.4g}".replace("-", "\u2212")
        in page.get_by_role("listbox").first.locator("xpath=ancestor::*[@data-view]").text_content()
    )
    # Another one; then its own values, while that is picked; then none is.
    second, own = go(page, "L0N2")
    assert second == own != first
    page.get_by_role("button", name="loss").click()
    page.wait_for_timeout(400)
    assert page.evaluate(COLOURS) == [before, own]
    first, own = go(page, "L1N5")
    assert first == own
    page.get_by_role("application").first.press("Escape")
    page.wait_for_timeout(400)
    assert page.evaluate(COLOURS)[0] == before
    assert page.get_by_role("button", name="loss").count() == 0


def test_texts_of_figures_that_share_the_selection_take_them_too(opened, tmp_path):
    shared = mv.Selection()
    loss = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    texts = [mv.tokens(WORDS, loss, selection=shared), mv.tokens(WORDS, loss)]
    page = mv.page("Neurons", [texts[0], mv.neurons(WORDS, ACTIVATIONS, selection=shared), texts[1]])
    opened.open(page.save(tmp_path / "page.html"), figures=3)
    before = opened.page.evaluate(COLOURS)[0]
    first, own, other = go(opened.page, "L1N5")
    assert first == own != before == other
    assert opened.errors == []


def test_one_of_another_layer_that_stands_on_a_later_page_is_gone_to(opened, tmp_path):
    activations = np.ones((2, len(WORDS), 200), np.float32)
    activations[1, :, 7] = 0.5  # the least of its layer
    opened.open(mv.neurons(WORDS, activations).save(tmp_path / "page.html"))
    go(opened.page, "L1N7")
    assert "193\u2013200 of 200" in opened.page.locator(".count").text_content()
    assert opened.errors == []


def test_a_text_without_values_and_one_of_other_tokens(shown):
    page = shown(mv.tokens(WORDS))
    text, own = go(page, "L0N3")
    assert text == own
    page = shown(mv.tokens(["A", *WORDS[1:]]))
    before, _ = page.evaluate(COLOURS)
    assert go(page, "L0N3")[0] == before
