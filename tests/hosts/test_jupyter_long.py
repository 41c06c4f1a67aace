"""`mv.attention` of a text too long to be sent, in JupyterLab: tiles and rows are asked, also while a cell runs."""

from __future__ import annotations

import json
import re

from driver import SETUP, wait_until

LONG = (
    SETUP
    + """
from mechviz.pattern import Factored, PatternStack
rng = np.random.default_rng(0)
queries, keys = (rng.normal(0, 1.5, (2, 6000, 16)).astype(np.float32) for _ in range(2))
pattern = Factored(queries, keys)
def truth(cells):
    found = []
    for query, key in cells:
        row = pattern.rows(0, query)[0]
        found.append([float(row[key]), 1 + int((row[: query + 1] > row[key]).sum())])
    return found
"""
)
BUSY = """
end = time.time() + 12
while time.time() < end:
    sum(range(1000))
"""
# Zoom in at a place of the map, go on by half a screen a few times, rest the pointer; then what is read out there.
LOOK = """async (host, [x, y, steps]) => {
    const map = host.shadowRoot.querySelector('.map'), box = map.getBoundingClientRect();
    const [clientX, clientY] = [box.left + x * box.width, box.top + y * box.height];
    const frame = () => new Promise(requestAnimationFrame);
    map.dispatchEvent(new WheelEvent('wheel', {clientX, clientY, deltaY: -3600, ctrlKey: true, bubbles: true, cancelable: true}));
    await frame();
    const fire = (type, by) => map.dispatchEvent(new PointerEvent(type, {clientX, clientY: clientY + by, bubbles: true, pointerId: 1}));
    for (let i = 0; i < steps; i++) {
        for (const [type, by] of [['pointerdown', 0], ['pointermove', 9], ['pointermove', 250], ['pointerup', 250]]) {
            fire(type, by);
            await frame();
        }
    }
    fire('pointermove', 0);
}"""
READ = """host => {
    const root = host.shadowRoot;
    return [[...root.querySelectorAll('section .head')].at(-1).innerText, root.querySelector('.map').dataset.busy ?? '', root.textContent];
}"""


def read(figure):
    """``(query, key, weight, rank)`` as read out, None while any of it is awaited; and all text."""
    head, busy, text = figure.evaluate(READ)
    numbers = re.search(r"·t\d+ (\d+) reads from ·t\d+ (\d+)\s+([\d.]+)\s+rank (\d+) of", head)
    if busy or not numbers:
        return None, text
    query, key, weight, rank = numbers.groups()
    return (int(query), int(key), float(weight), int(rank)), text


def look(nb, figure, *at):
    """Zoom in from the whole."""
    figure.evaluate("host => host.shadowRoot.querySelector('.map').focus()")
    nb.page.keyboard.press("0")
    figure.evaluate(LOOK, list(at))


def test_panning_while_a_cell_runs(notebook):
    nb = notebook([LONG, "view = mv.attention(words(6000), pattern)\nview", BUSY])
    nb.run(0)
    nb.run(1)
    figure = nb.figure(1)
    wait_until(lambda: read(figure)[0], seconds=60)
    nb.run(2, wait=False)
    seen = []
    for at in ((0.2, 0.7, 3), (0.3, 0.6, 2), (0.1, 0.9, 1)):
        look(nb, figure, *at)
        wait_until(lambda: read(figure)[0] or "Kernel busy" in read(figure)[1])  # it answers, or says why not
        seen += filter(None, [read(figure)[0]])
    # Afterwards everything is there, and each of these numbers is the pattern's own.
    nb.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    for at in ((0.25, 0.8, 2), (0.4, 0.5, 1), (0.2, 0.9, 4)):
        look(nb, figure, *at)
        wait_until(lambda: "Kernel busy" not in read(figure)[1])
        seen.append(wait_until(lambda: read(figure)[0]))
    wanted = json.loads(nb.python(f"import json; print(json.dumps(truth({[cell[:2] for cell in seen]})))"))
    for (*_, weight, rank), (true, place) in zip(seen, wanted, strict=True):
        assert abs(weight - true) <= 5.1e-5 and rank == place
    assert len({cell[:2] for cell in seen}) > 1
    assert nb.requests.outside() == []
