"""Neurons and heat maps in JupyterLab and in a page: `python tests/benchmarks/neurons.py [neurons | updates | heatmap]`.

Neurons: 12 × 1,024 × 3,072 float32 (151 MB in the kernel): display to drawn, another layer from click to drawn, hover to
recoloured, and the largest message that crosses. Updates: 8,000 of one view in one cell. Heat map: 4,096 × 4,096 in a page,
milliseconds of the main thread a frame of hovering, panning and zooming.

In headless Chromium without a graphics processor. What a frame takes is all that the page's main thread does between two
animation frames (script, style, layout, paint), as Chromium's own trace has it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, Page
from tokens import between_frames, split_by_frames

import mechviz as mv

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import Notebook, chromium, jupyter, wait_until

NEURONS = """
import time
import numpy as np
import mechviz as mv
stack = np.random.default_rng(0).normal(0, 1, (12, 1024, 3072)).astype(np.float32)
words = [f" t{i}" for i in range(1024)]
"""
RUNS = 5
FRAMES = 60

# Clicks a layer and waits, frame by frame, until its first neuron stands over the map; milliseconds.
OPEN = """async (host, layer) => {
  const root = host.shadowRoot;
  const button = [...root.querySelectorAll('button')].find(b => b.textContent === layer);
  const names = () => [...root.querySelectorAll('[role=application] text')].map(t => t.textContent).join();
  const before = names();
  const began = performance.now();
  button.click();
  while (names() === before) await new Promise(requestAnimationFrame);
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - began;
}"""
# Moves the pointer over the map: a cell further in every frame.
HOVER = """async (host, frames) => {
  const map = host.shadowRoot.querySelector('[role=application]');
  const box = map.querySelector('canvas').getBoundingClientRect();
  for (let k = 0; k < frames; k++) {
    await new Promise(requestAnimationFrame);
    const [x, y] = [box.left + (0.1 + 0.8 * ((k * 7) % frames) / frames) * box.width, box.top + (0.2 + 0.5 * k / frames) * box.height];
    map.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true, composed: true }));
  }
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
}"""
# Turns the wheel over the map (positive zooms out), or drags it, a step in every frame.
MOVE = """async (host, [frames, what]) => {
  const map = host.shadowRoot.querySelector('[role=application]');
  const box = map.querySelector('canvas').getBoundingClientRect();
  const at = (k) => ({ clientX: box.left + box.width / 2 + 3 * k, clientY: box.top + box.height / 2 + 2 * k, bubbles: true,
    composed: true, pointerId: 1, button: 0, buttons: 1, cancelable: true, altKey: true });
  if (what === 'pan') map.dispatchEvent(new PointerEvent('pointerdown', at(0)));
  for (let k = 0; k < frames; k++) {
    await new Promise(requestAnimationFrame);
    if (what === 'pan') map.dispatchEvent(new PointerEvent('pointermove', at(-k)));
    else map.dispatchEvent(new WheelEvent('wheel', { ...at(0), ctrlKey: true, altKey: false, deltaY: what === 'in' ? -6 : 6 }));
  }
  if (what === 'pan') map.dispatchEvent(new PointerEvent('pointerup', at(-frames)));
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
}"""


def frames_of(page: Page, host: Locator, script: str, argument: object) -> list[float]:
    """Milliseconds of main thread in every frame while a script runs on a figure's host."""
    return between_frames(page, lambda: host.evaluate(script, argument))


def told(found: dict[str, float], name: str, values: list[float], unit: str = "ms") -> None:
    """One line a measurement."""
    ordered = sorted(values)
    found[f"{name}, {unit}"] = statistics.median(ordered)
    print(
        f"{name:52} median {statistics.median(ordered):8.1f} {unit}, 95 % {ordered[int(0.95 * len(ordered))]:8.1f}, n {len(ordered)}",
        flush=True,
    )


def display(nb: Notebook, cell: int) -> float:
    """Milliseconds from a cell's display to the drawn picture."""
    before = len(nb.drawn())
    nb.run(cell, wait=False)
    nb.python("0")
    nb.check(cell)
    wait_until(lambda: len(nb.drawn()) > before, seconds=30)
    return 1000 * (max(nb.drawn()) - float(nb.printed(cell)))


def neurons(found: dict[str, float]) -> None:
    """The large stack, live."""
    sizes: list[int] = []
    with chromium() as browser, tempfile.TemporaryDirectory() as folder, jupyter(Path(folder)) as server:
        nb = server.open(browser, [NEURONS, "print(time.time()); view = mv.neurons(words, stack); view"])
        nb.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: sizes.append(len(data))))
        nb.load()
        nb.run(0)
        told(found, "first display of a kernel (with the bundle)", [display(nb, 1)])
        sizes.clear()
        told(found, "display to drawn", [display(nb, 1) for _ in range(RUNS)])
        shown = sum(sizes) / RUNS / 1e6
        figure = nb.figure(1)
        told(
            found, "another layer, opened first, click to drawn", [figure.evaluate(OPEN, f"L{i}") for i in range(1, 11)]
        )
        told(found, "a layer again", [figure.evaluate(OPEN, f"L{i}") for i in (9, 8, 9, 8, 9)])
        for _ in range(3):
            taken, drawing = split_by_frames(nb.page, lambda: figure.evaluate(HOVER, FRAMES))
            told(found, "hover to recoloured: script and draw a frame", drawing)
            told(found, "hover to recoloured: all of the main thread", taken)
        largest = max(sizes) / 1e6
        print(
            f"display: {shown:.2f} MB each; largest message {largest:.2f} MB of {len(sizes)}, all {sum(sizes) / 1e6:.1f} MB"
        )
        found["largest message, MB"] = largest
        nb.shut_down()


def updates(found: dict[str, float]) -> None:
    """8,000 updates in one cell; the last one is on the screen."""
    cells = [
        "import time, numpy as np, mechviz as mv\nwords = [f' t{i}' for i in range(24)]\n"
        "x = np.random.default_rng(0).normal(size=(24, 64)).astype(np.float32)\nview = mv.neurons(words, x)\nview",
        "for i in range(8000):\n    view.update(activations=x, title=f'step {i}', name=f'value {i}')\nprint(time.time())",
    ]
    with chromium() as browser, tempfile.TemporaryDirectory() as folder, jupyter(Path(folder)) as server:
        nb = server.open(browser, cells)
        nb.run(0)
        figure = nb.figure(0)
        began = time.time()
        nb.run(1)
        ended = float(nb.printed(1))
        figure.get_by_text("step 7999").first.wait_for()
        figure.get_by_text("value 7999").first.wait_for()
        found["8,000 updates, s"] = ended - began
        found["the last one on the screen after, s"] = time.time() - ended
        print(f"8,000 updates in {ended - began:.1f} s; the last one on the screen {time.time() - ended:.2f} s later")
        nb.shut_down()


def heatmap(found: dict[str, float]) -> None:
    """16,777,216 cells in a page."""
    values = np.random.default_rng(0).normal(0, 1, (4096, 4096)).astype(np.float32)
    view = mv.heatmap(values, precision="float16")
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        path = view.save(Path(folder) / "map.html")
        print(f"file {path.stat().st_size / 1e6:.1f} MB")
        page = browser.new_context(viewport={"width": 1000, "height": 1000}).new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-mechviz-drawn]")
        host = page.locator("[data-mechviz-drawn]").first
        page.wait_for_timeout(3000)
        told(found, "16M cells: hover, a frame", frames_of(page, host, HOVER, FRAMES))
        told(found, "16M cells: zoom in, a frame", frames_of(page, host, MOVE, [FRAMES, "in"]))
        told(found, "16M cells: pan, a frame", frames_of(page, host, MOVE, [FRAMES, "pan"]))
        told(found, "16M cells: zoom out, a frame", frames_of(page, host, MOVE, [FRAMES, "out"]))


def main() -> None:
    """All of it, or what is named; the last line is what a program would read."""
    found: dict[str, float] = {}
    for measure in (neurons, updates, heatmap):
        if len(sys.argv) < 2 or measure.__name__ in sys.argv[1:]:
            measure(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
