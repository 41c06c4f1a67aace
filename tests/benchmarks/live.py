"""Typing into `mv.live` over the embedded model in JupyterLab: `python tests/benchmarks/live.py`.

From the key press to the first frame after the recoloured text is painted, beside what the function and the forward pass
in it took; twenty characters typed fast; a thousand random edits, after each of which the picture is read.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import Notebook, chromium, jupyter, wait_until

CELLS = [
    """
import time
import mechviz as mv
import torch
model = mv.load()
functions = {}

def loss(text):
    began = time.perf_counter()
    trace = model.trace(text or " ")
    view = mv.tokens(trace.tokens, trace.loss)
    functions[text] = 1000 * (time.perf_counter() - began)
    return view

def forward(text):
    ids = torch.tensor([model.trace(text).tokens.ids])
    began = time.perf_counter()
    with torch.no_grad():
        model.module(ids)
    return 1000 * (time.perf_counter() - began)
""",
    "view = mv.live(loss, 'When Mary and John went to the store, John gave')\nview",
]
# In the page: when a key went down, and when the picture of the text in the box was painted.
WATCH = """host => {
    const root = host.shadowRoot, box = root.querySelector('textarea');
    const pictured = () => [...root.querySelectorAll('[data-i]')].slice(1).map(t => t.textContent).join('');
    globalThis.painted = [];
    box.addEventListener('keydown', () => {
        const began = performance.now();
        requestAnimationFrame(function look(now) {
            if (pictured() !== box.value) return requestAnimationFrame(look);
            requestAnimationFrame(now => painted.push([box.value, now - began]));
        });
    }, {capture: true});
}"""


def middle(name: str, values: list[float]) -> None:
    """Median, and the range of nine in ten."""
    low, *_, high = statistics.quantiles(values, n=20)
    print(f"{name:64} {statistics.median(values):6.1f} ms   (5 % to 95 %: {low:.1f} to {high:.1f}, n = {len(values)})")


def typed_slowly(nb: Notebook) -> None:
    """A key at a time, each waited for."""
    figure = nb.figure(1)
    figure.locator("textarea").click()
    nb.page.keyboard.press("End")
    nb.page.wait_for_timeout(300)
    figure.evaluate(WATCH)
    for key in " a drink to Mary and then she went to the park with Tom":
        nb.page.keyboard.press(key if key != " " else "Space")
        before = len(nb.page.evaluate("painted"))
        wait_until(lambda before=before: len(nb.page.evaluate("painted")) > before or before)
        nb.page.wait_for_timeout(120)
    seen = nb.page.evaluate("painted")
    own = json.loads(nb.python("import json; print(json.dumps(functions))"))
    passes = json.loads(nb.python(f"print(json.dumps([forward(t) for t in {[text for text, _ in seen]!r}]))"))
    middle("key press to painted picture", [total for _, total in seen])
    middle("  of it the function (trace, loss, view)", [own[text] for text, _ in seen])
    middle("  of it the forward pass alone", passes)
    middle("  beyond the function", [total - own[text] for text, total in seen])
    middle("  beyond the forward pass", [total - one for (_, total), one in zip(seen, passes, strict=True)])


def typed_fast(nb: Notebook) -> None:
    """Twenty characters at 15 ms."""
    figure = nb.figure(1)
    for run in range(5):
        figure.locator("textarea").fill(f"Run {run}: ")
        nb.page.keyboard.type("the cat sat on a mat", delay=15)
        wait_until(lambda run=run: nb.python("print(view.text)") == f"Run {run}: the cat sat on a mat")
        wait_until(lambda run=run: _pictured(nb) == f"Run {run}: the cat sat on a mat")
    print("20 characters typed at 15 ms: the right picture in 5 of 5 runs")


def thousand_edits(nb: Notebook) -> None:
    """Random texts, 4 ms and now and then 40 ms apart; the picture is that of a text no older than the one before."""
    draw = random.Random(5)
    words = ["Mary", " John", " went", " to", " the", " store", " park", " and", " gave", " a", " drink", "."]
    texts = ["".join(draw.choices(words, k=draw.randint(1, 12))) + f" {i}" for i in range(1000)]
    seen = nb.figure(1).evaluate(
        """async (host, texts) => {
        const root = host.shadowRoot, box = root.querySelector('textarea'), seen = [];
        for (const [i, text] of texts.entries()) {
            box.value = text;
            box.dispatchEvent(new InputEvent('input', {bubbles: true}));
            await new Promise(done => setTimeout(done, i % 7 ? 4 : 40));
            seen.push([...root.querySelectorAll('[data-i]')].slice(1).map(t => t.textContent).join(''));
        }
        return seen; }""",
        texts,
    )
    wait_until(lambda: _pictured(nb) == texts[-1])
    at, stale, pictures = -1, 0, set()
    for shown in seen:
        if shown in texts:
            stale += texts.index(shown) < at
            at = max(at, texts.index(shown))
            pictures.add(shown)
    print(f"1,000 random edits: {len(pictures)} pictures seen, {stale} older than the one before; the last is the last")


def _pictured(nb: Notebook) -> str:
    script = "host => [...host.shadowRoot.querySelectorAll('[data-i]')].slice(1).map(t => t.textContent).join('')"
    return nb.figure(1).evaluate(script)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, jupyter(Path(folder)) as server:
        notebook = server.open(browser, CELLS)
        notebook.run_all()
        typed_slowly(notebook)
        typed_fast(notebook)
        thousand_edits(notebook)
        notebook.shut_down()
