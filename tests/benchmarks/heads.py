"""Milliseconds a frame of a grid of 48 layers × 64 heads: `python tests/benchmarks/heads.py`.

In headless Chromium without a graphics processor, from one page of 3,072 heads of 48 tokens. `script and draw` is from an
event until its pixels are in the canvas, as in charts.py; of a new scale it is every slice of the repainting, and `all`
the time until the last thumbnail has its colours. The first line is the page itself: until every thumbnail is painted.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

import mechviz as mv

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import chromium

LAYERS, HEADS, TOKENS = 48, 64, 48

PAINTED = """() => new Promise((done) => {
  const look = () => {
    const root = document.querySelector('[data-mechviz-drawn]')?.shadowRoot;
    if (root && !root.querySelector('[data-busy]')) return done(performance.now());
    requestAnimationFrame(look);
  };
  look();
})"""

# One event a frame over the grid, the large map, or the scroll bar of ranked heads.
DRIVE = """async ([kind, frames]) => {
  const root = document.querySelector('.mechviz').shadowRoot;
  const [grid, map] = [root.querySelector('.grid'), root.querySelector('.map')];
  const target = kind === 'map' ? map : grid;
  const canvas = grid.querySelector('canvas');
  const frame = () => new Promise(requestAnimationFrame);
  const box = target.getBoundingClientRect();
  const taken = [];
  for (let k = 0; k < frames; k++) {
    await frame();
    await frame(); // what is left of the last one
    const before = performance.now();
    const where = { clientX: box.left + 60 + ((k * 37) % (box.width - 120)), clientY: box.top + 60 + ((k * 23) % (box.height - 120)) };
    if (kind === 'scroll') {
      grid.scrollTop = k * 97;
      grid.dispatchEvent(new Event('scroll'));
    } else target.dispatchEvent(new PointerEvent('pointermove', { ...where, bubbles: true }));
    for (let turn = 0; turn < 4; turn++) await Promise.resolve(); // Svelte draws in a microtask
    void target.offsetHeight;
    canvas.getContext('2d').getImageData(0, 0, 1, 1); // whatever has been put off is drawn now
    taken.push(performance.now() - before);
  }
  return taken;
}"""

# A new scale: every slice of the repainting, and all of it.
REPAINT = """async () => {
  const root = document.querySelector('.mechviz').shadowRoot;
  const [grid, map] = [root.querySelector('.grid'), root.querySelector('.map')];
  const slices = [];
  const frames = globalThis.requestAnimationFrame;
  globalThis.requestAnimationFrame = (call) => frames((now) => {
    const before = performance.now();
    call(now);
    slices.push(performance.now() - before);
  });
  const start = performance.now();
  map.dispatchEvent(new KeyboardEvent('keydown', { key: 's', bubbles: true, composed: true }));
  for (let turn = 0; turn < 4; turn++) await Promise.resolve();
  slices.push(performance.now() - start);
  while (grid.dataset.busy) await new Promise((done) => setTimeout(done));
  globalThis.requestAnimationFrame = frames;
  return [slices, performance.now() - start];
}"""


def view() -> mv.View:
    """3,072 heads."""
    scores = np.random.default_rng(0).normal(0, 2, (LAYERS, HEADS, TOKENS, TOKENS)).astype(np.float32)
    weights = np.where(np.tri(TOKENS, dtype=bool), np.exp(scores), 0)
    return mv.attention([f" t{i}" for i in range(TOKENS)], weights / weights.sum(-1, keepdims=True))


def told(name: str, taken: list[float], more: str = "") -> float:
    """Print a line; returns the median."""
    slow = sorted(taken)[int(0.95 * len(taken))]
    print(f"  {name:22} script and draw {statistics.median(taken):5.1f} ms (95 %: {slow:5.1f}){more}", flush=True)
    return statistics.median(taken)


def measure(page: Page, path: Path) -> dict[str, float]:
    """All of it at one width."""
    page.goto(path.as_uri())
    found = {"painted": page.evaluate(PAINTED)}
    print(f"  page, all thumbnails painted after {found['painted']:.0f} ms", flush=True)
    for kind in ("grid", "map"):
        page.evaluate(DRIVE, [kind, 10])  # once for the compiler
        found[kind] = told(f"pointer over the {kind}", page.evaluate(DRIVE, [kind, 60]))
    slices, whole = [], []
    for _ in range(10):
        some, all_ = page.evaluate(REPAINT)
        slices += some
        whole.append(all_)
    found["slice"] = told("new scale, a slice", slices, f"   all {statistics.median(whole):.0f} ms")
    found["repaint"] = statistics.median(whole)
    page.locator("select").first.select_option("entropy")
    page.wait_for_timeout(300)
    found["scroll"] = told("heads by rank, scroll", page.evaluate(DRIVE, ["scroll", 60]))
    return found


def main() -> None:
    """All of it; the last line is what a program would read."""
    found = {}
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        path = view().save(Path(folder) / "heads.html")
        for width, ratio in ((944, 1), (1444, 1), (1444, 2)):
            print(f"{width} px × {ratio}")
            context = browser.new_context(viewport={"width": width, "height": 1000}, device_scale_factor=ratio)
            found[f"{width} × {ratio}"] = measure(context.new_page(), path)
            context.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
