"""Milliseconds a frame of charts with 100,000 points that are panned and zoomed: `python tests/benchmarks/charts.py`.

In headless Chromium without a graphics processor, plots of 700 × 460 CSS pixels at one and at two pixels each. One frame
is one event: `script and draw` is from the event until every pixel is in the canvas; `whole` is all that the page's main
thread did in that time (script, style, layout, paint), as Chromium's own trace has it, divided by the frames.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

import mechviz as mv

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import chromium

POINTS = 100_000
FRAMES = 60
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"]

# One event a frame, as the browser itself delivers them: wheels that zoom in and out, or a drag on the x axis.
DRIVE = """async ([frames, kind]) => {
  const chart = document.querySelector('.mechviz').shadowRoot.querySelector('[role=application]');
  const canvas = chart.querySelector('canvas');
  const box = canvas.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const event = (type, k) => {
    const where = { clientX: box.left + box.width / 2 + 3 * k, clientY: box.top + box.height / 2, bubbles: true, cancelable: true };
    return type === 'wheel'
      ? new WheelEvent(type, { ...where, clientX: box.left + box.width / 3, deltaY: k % 40 < 20 ? -40 : 40, ctrlKey: true })
      : new PointerEvent(type, { ...where, pointerId: 1, button: type === 'pointermove' ? -1 : 0, buttons: 1, altKey: true });
  };
  chart.setPointerCapture = () => {};
  const context = canvas.getContext('2d');
  const taken = [];
  if (kind === 'pan') {
    for (let k = 0; k < 4; k++) chart.dispatchEvent(event('wheel', 0));
    await frame();
    chart.dispatchEvent(event('pointerdown', 0));
  }
  for (let k = 0; k < frames; k++) {
    await frame();
    const before = performance.now();
    const at = kind === 'pan' ? 15 * Math.sin(k / 5) : k;
    chart.dispatchEvent(event(kind === 'pan' ? 'pointermove' : 'wheel', at));
    for (let turn = 0; turn < 4; turn++) await Promise.resolve(); // Svelte draws in a microtask
    context.getImageData(0, 0, 1, 1); // whatever has been put off is drawn now
    taken.push(performance.now() - before);
  }
  if (kind === 'pan') chart.dispatchEvent(event('pointerup', 0));
  return taken;
}"""


def charts() -> dict[str, mv.View]:
    """Charts of 100,000 points."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (2, POINTS)).astype(np.float32)
    groups = np.array(["a", "b", "c", "d", "e"])[rng.integers(0, 5, POINTS)]
    walk = rng.normal(0, 1, (5, POINTS // 5)).cumsum(-1)
    neurons = rng.normal(0, 1, (25, POINTS // 25))
    selected = mv.scatter(x, y, points="steps")
    selected.selection.step = range(0, POINTS, 2)
    return {
        "scatter": mv.scatter(x, y, points="steps"),
        "scatter, half selected": selected,
        "scatter, five groups": mv.scatter(x, y, color=groups),
        "scatter, values": mv.scatter(x, y, color=x * y),
        "five lines with bands": mv.lines(walk, band=(walk - 9, walk + 9)),
        "bars": mv.bars(neurons, points="neurons"),
    }


def traced(page: Page, kind: str) -> tuple[list[float], float]:
    """Milliseconds of every frame, and what the main thread did in all, per frame."""
    session = page.context.new_cdp_session(page)
    events: list[dict] = []
    ended: list[bool] = []
    session.on("Tracing.dataCollected", lambda found: events.extend(found["value"]))
    session.on("Tracing.tracingComplete", lambda _: ended.append(True))
    session.send("Tracing.start", {"traceConfig": {"includedCategories": TRACED}})
    taken = page.evaluate(DRIVE, [FRAMES, kind])
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(20)
    main = {(e["pid"], e["tid"]) for e in events if e["name"] == "FunctionCall"}
    tasks = [e for e in events if e["name"] == "RunTask" and (e["pid"], e["tid"]) in main and "dur" in e]
    return taken, sum(task["dur"] for task in tasks) / 1000 / FRAMES


def measure(browser: Browser, name: str, path: Path, ratio: int) -> dict[str, float]:
    """Print a line for panning and one for zooming."""
    context = browser.new_context(viewport={"width": 800, "height": 700}, device_scale_factor=ratio)
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-mechviz-drawn]")
    page.evaluate(DRIVE, [10, "zoom"])  # once for the compiler
    medians = {}
    for kind in ("pan", "zoom"):
        taken, whole = traced(page, kind)
        medians[kind] = statistics.median(taken)
        slow = sorted(taken)[int(0.95 * len(taken))]
        print(
            f"{name:24} × {ratio} {kind:5} script and draw {medians[kind]:5.1f} ms (95 %: {slow:5.1f})   whole {whole:5.1f} ms"
        )
    context.close()
    return medians


def main() -> None:
    """All of it; the last line is what a program would read."""
    found = {}
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        for name, view in charts().items():
            path = view.save(Path(folder) / "chart.html")
            for ratio in (1, 2):
                found[f"{name} × {ratio}"] = measure(browser, name, path, ratio)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
