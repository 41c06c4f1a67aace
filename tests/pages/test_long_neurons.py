"""`mv.neurons` of a text that is longer than its box."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv

pytestmark = pytest.mark.browser

N = 1024
PEAKS = {0: 20, 7: 900}

# Whether a token stands inside of the box that the text scrolls in.
SEEN = """(position) => {
  const token = document.querySelector('.mechviz').shadowRoot.querySelector(`.text [data-i="${position}"]`);
  if (!token) return false; // nobody has looked there
  const [inner, outer] = [token, token.closest('.long')].map((one) => one.getBoundingClientRect());
  return outer.top <= inner.top && inner.bottom <= outer.bottom;
}"""


def test_the_text_of_a_neuron_that_is_gone_to_is_shown_where_it_is_strongest(opened, tmp_path):
    activations = np.random.default_rng(0).uniform(0, 1, (N, 12)).astype(np.float32)
    for neuron, position in PEAKS.items():
        activations[position, neuron] = 5 - 0.1 * neuron
    opened.open(mv.neurons([f" t{i}" for i in range(N)], activations).save(tmp_path / "neurons.html"))
    page = opened.page
    assert [page.evaluate(SEEN, position) for position in PEAKS.values()] == [True, False]

    def go(name: str) -> None:
        page.get_by_label("go to a neuron").fill(name)
        page.keyboard.press("Enter")
        page.wait_for_timeout(200)

    go("N7")
    assert [page.evaluate(SEEN, position) for position in PEAKS.values()] == [False, True]
    # A token that is picked is what the reader looks at.
    page.locator("[data-i='900']").click()
    page.mouse.move(1, 1)
    go("N0")
    assert page.evaluate(SEEN, 900)
    assert opened.errors == []
