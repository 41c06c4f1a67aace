"""Attention of long texts, live and in files: `python tests/benchmarks/attention.py [live | file | heads]`.

live: 32,768 tokens through the embedded architecture (4 heads of width 32 a layer, 3 layers) in JupyterLab: display to
drawn, to the first cells, to the whole overview; a tile after a zoom and after each of ten moves, while the overview
runs; bytes in the kernel and in the browser. file: 4,096 tokens x 12 heads of width 64; heads: 144 heads x 1,024 tokens:
bytes, navigation to drawn, milliseconds of script a frame while a part is moved.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import chromium, jupyter, new_page, wait_until

import mechviz as mv
from mechviz.pattern import Factored, PatternStack

TRACE = """
import time
import torch
import mechviz as mv
from mechviz.demo import MODEL
from transformers import AutoConfig, AutoModelForCausalLM
config = AutoConfig.from_pretrained(MODEL, local_files_only=True)
config.n_positions = 32768
torch.manual_seed(0)
small = AutoModelForCausalLM.from_pretrained(MODEL, local_files_only=True)
whole = AutoModelForCausalLM.from_config(config).eval()
rest = {name: value for name, value in small.state_dict().items() if "wpe" not in name}
whole.load_state_dict(rest, strict=False)
model = mv.load(whole, tokenizer=mv.load().tokenizer)
trace = model.trace(torch.randint(1, 1160, (32768,)).tolist(), capture=["attention"])
layers = list(trace.attention)
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024
factors = sum(p.queries.nbytes + p.keys.nbytes for p in layers) / 1e6
before = resident()
"""
SHOW = "print(time.time()); mv.attention(trace.tokens, trace.attention)"
ROOT = "document.querySelector('[data-mechviz-live=true]').shadowRoot"
PART = f"{ROOT}.querySelector('.said p')?.firstChild.textContent.trim()"
BUSY = f"{ROOT}.querySelector('.map')?.dataset.busy === 'true'"
# One frame: what a move of the pointer costs until everything that follows from it is drawn.
FRAMES = """async () => {
  const map = ROOT.querySelector('.map'), box = map.getBoundingClientRect(), taken = [];
  const fire = (type, i) => map.dispatchEvent(new PointerEvent(type, {clientX: box.left + 300 - 3 * i,
    clientY: box.top + 300 - 2 * i, bubbles: true, pointerId: 1}));
  fire('pointerdown', 0);
  for (let i = 1; i < 60; i++) {
    const began = performance.now();
    fire('pointermove', i);
    await new Promise(resolve => { const channel = new MessageChannel();
      channel.port1.onmessage = resolve; queueMicrotask(() => queueMicrotask(() => channel.port2.postMessage(0))) });
    taken.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  fire('pointerup', 60);
  return taken;
}"""

# Milliseconds from the event to the frame with the cells: zoomed in from the whole, then twenty times a screen further.
TILES = """async () => {
  const map = ROOT.querySelector('.map'), box = map.getBoundingClientRect(), taken = [];
  const [clientX, clientY] = [box.left + 0.3 * box.width, box.top + 0.6 * box.height];
  const frame = () => new Promise(requestAnimationFrame);
  const measured = async act => {
    const began = performance.now();
    act();
    do await frame(); while (map.dataset.busy);
    taken.push(performance.now() - began);
    await frame();
  };
  const wheel = deltaY => map.dispatchEvent(new WheelEvent('wheel', {clientX, clientY, deltaY, ctrlKey: true,
    bubbles: true, cancelable: true}));
  await measured(() => wheel(-3600));
  const fire = (type, by) => map.dispatchEvent(new PointerEvent(type, {clientX, clientY: clientY - by, bubbles: true, pointerId: 1}));
  for (let i = 0; i < 20; i++) {
    fire('pointerdown', 0);
    fire('pointermove', 5);
    await measured(() => fire('pointermove', 600));
    fire('pointerup', 600);
  }
  return taken;
}"""


def live() -> None:
    """JupyterLab."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, jupyter(Path(folder)) as server:
        nb = server.open(browser, [TRACE, SHOW, "while True: sum(range(10000))"])
        nb.run(0)
        nb.run(1, wait=False)
        figure = nb.figure(1)
        began = float(nb.printed(1).split()[0])
        print(f"display to drawn: {nb.drawn()[0] - began:.2f} s", flush=True)
        figure.evaluate("e => e.scrollIntoView()")
        taken = nb.page.evaluate(TILES.replace("ROOT", ROOT))
        print(f"first tile: {taken[0]:.0f} ms; later, median of 20: {statistics.median(taken[1:]):.0f} ms", flush=True)
        nb.page.evaluate(f"{ROOT}.querySelector('.map').focus()")
        nb.page.keyboard.press("0")
        wait_until(lambda: not nb.page.evaluate(BUSY), seconds=60)
        print(f"overview complete, tiles between: {time.time() - began:.1f} s after display", flush=True)
        print(nb.python("print(f'kernel: {resident() - before:.0f} MB more than before, factors {factors:.0f} MB')"))
        heap = nb.page.evaluate("performance.memory.usedJSHeapSize / 1e6")
        print(f"browser heap: {heap:.0f} MB, the application's included", flush=True)


def pattern(heads: int, tokens: int, width: int, layers: int = 1) -> PatternStack:
    """Heads that read the token before, and a little of everything."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(layers):
        keys = rng.normal(size=(heads, tokens, width)).astype(np.float32)
        queries = rng.normal(size=keys.shape).astype(np.float32) + np.roll(keys, 1, axis=1)
        found.append(Factored(queries, keys))
    return PatternStack(found)


def file(name: str, stack: PatternStack, tokens: int) -> None:
    """A file opened from disk."""
    root = "document.querySelector('.mechviz').shadowRoot"
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        words = [f" t{i % 977}" for i in range(tokens)]
        at = time.time()
        path = mv.attention(words, stack).save(Path(folder) / "page.html")
        print(f"{name}: {Path(path).stat().st_size / 1e6:.1f} MB, written in {time.time() - at:.1f} s", flush=True)
        taken = []
        for _ in range(3):
            page, _ = new_page(browser)
            at = time.time()
            page.goto(Path(path).as_uri(), wait_until="commit")
            taken.append(
                wait_until(lambda page=page: page.evaluate("globalThis.mechvizDrawn ?? []"), seconds=60)[0] - at
            )
            wait_until(lambda page=page: not page.evaluate(f"{root}.querySelector('[data-busy]')?.tagName"), seconds=60)
            whole = time.time() - at
            page.evaluate(f"{root}.querySelector('.map').focus()")
            for _ in range(4):
                page.keyboard.press("+")
            frames = page.evaluate(FRAMES.replace("ROOT", root))
            print(f"  whole after {whole:.2f} s; script a frame: median {statistics.median(frames):.1f} ms", flush=True)
            page.context.close()
        print(f"{name}: navigation to drawn {statistics.median(taken):.2f} s", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["live", "file", "heads"]
    if "file" in wanted:
        file("4,096 tokens x 12 heads of width 64", pattern(12, 4096, 64), 4096)
    if "heads" in wanted:
        file("144 heads x 1,024 tokens", pattern(12, 1024, 64, layers=12), 1024)
    if "live" in wanted:
        live()
