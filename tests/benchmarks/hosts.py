"""Seconds from display to drawn in real notebooks, on this machine: `python tests/benchmarks/hosts.py`.

JupyterLab: one layer of 12 causal heads of 512 tokens, shown, updated and re-opened; 50 widgets in one notebook.
Notebook 7 and marimo: the same picture. Each figure is the median of the runs that stand beside it. Both clocks are the
machine's: the kernel notes when the cell begins, the page when the second frame after drawing has begun.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import Notebook, chromium, jupyter, marimo, new_page, wait_until

PATTERN = """
import time
import numpy as np
import mechviz as mv

def pattern(heads, tokens, seed=0):
    scores = np.random.default_rng(seed).normal(0, 1.5, (heads, tokens, tokens)).astype(np.float32)
    scores[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)

words = [f" t{i}" for i in range(512)]
large, small = pattern(12, 512), pattern(12, 64)
"""
RUNS = 5


def seconds_to_draw(nb: Notebook, cell: int, figures: int = 1) -> float:
    """Run a cell that prints the time and shows figures; seconds until the last of them is drawn."""
    before = len(nb.drawn())
    nb.run(cell, wait=False)
    nb.python("0")  # waits until the cell has ended
    nb.check(cell)
    wait_until(lambda: len(nb.drawn()) >= before + figures, seconds=30)
    return max(nb.drawn()[before:]) - float(nb.printed(cell))


def report(name: str, values: list[float]) -> None:
    """One line a measurement."""
    each = " ".join(f"{value:.2f}" for value in values)
    print(f"{name:58} {statistics.median(values):6.2f} s   ({each})", flush=True)


def jupyter_figures(folder: Path) -> None:
    """JupyterLab and Notebook 7."""
    show = "print(time.time()); mv.attention(words, large)"
    # JupyterLab shows the first 50 outputs of a cell: 25 figures with their twins.
    half = "for i in range(25):\n    display(mv.attention(words[:64], small, title=str(i)))"
    with chromium() as browser, jupyter(folder) as server:
        for app in ("lab", "notebook"):
            nb = server.open(browser, [PATTERN, show], app=app, name=app)
            nb.run(0)
            report(f"{app}: 12 x 512 x 512, first display of a kernel", [seconds_to_draw(nb, 1)])
            report(f"{app}: 12 x 512 x 512, display to drawn", [seconds_to_draw(nb, 1) for _ in range(RUNS)])
            saved = nb.save()["cells"][1]["outputs"]
            print(f"{app}: the cell's outputs in the file: {len(json.dumps(saved)) / 1e6:.2f} MB")
            nb.shut_down()
        nb = server.open(browser, [PATTERN, "print(time.time())", half, half], name="many")
        nb.run(0)
        taken = []
        for _ in range(3):
            before = len(nb.drawn())
            for cell in range(1, 4):
                nb.run(cell, wait=False)
            nb.python("0")
            wait_until(lambda before=before: len(nb.drawn()) >= before + 50, seconds=60)
            taken.append(max(nb.drawn()) - float(nb.printed(1)))
        report("lab: 50 widgets of 12 x 64 x 64, all drawn", taken)
        print(f"lab: 50 widgets in the file: {len(json.dumps(nb.save())) / 1e6:.1f} MB")
        began = time.time()
        nb.load()
        # JupyterLab shows what is on the screen, and the rest when it is scrolled to.
        wait_until(lambda: len(nb.drawn()) >= 1, seconds=60)
        print(f"lab: page reload with 50 widgets, application and all, first drawn: {min(nb.drawn()) - began:.2f} s")
        nb.shut_down()


def marimo_figures(folder: Path) -> None:
    """The marimo application."""
    show = "began = time.time()\nview = mv.attention(words, large)\nmo.vstack([mo.md(f'began {began}'), view])"
    cells = ["import marimo as mo", PATTERN.strip(), show]
    with chromium() as browser:
        taken = []
        for run in range(3):
            with marimo(folder / f"run{run}.py", cells) as address:
                page, _ = new_page(browser, address)
                page.goto(address)
                page.locator("[data-mechviz-drawn=true]").wait_for()
                began = float(page.get_by_text("began ").inner_text().split()[1])
                taken.append(wait_until(lambda page=page: page.evaluate("mechvizDrawn"))[0] - began)
                page.context.close()
    report("marimo: 12 x 512 x 512, display to drawn", taken)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        jupyter_figures(Path(temporary))
        marimo_figures(Path(temporary))
