"""`mv.live` and `mv.bench` of the embedded model: `python tests/benchmarks/live.py [typing | bench | file]`.

Typing, in JupyterLab: from the key press to the first frame after the recoloured text is painted, beside what the function
and the forward pass in it took; twenty characters typed fast; a thousand random edits, after each of which the picture is
read. Bench: from the click to the painted run, in JupyterLab as people use it, its table run while nobody clicked; then one
that has no table (no edit has been run before, and none is clicked twice: first by a script out of the blue, then 80 ms
after the press that a click of a hand begins with, or with the pointer at rest on the part for 150 ms); and in a file.
The wait for the next frame, of 60 a second, is part of all of it.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page
from tokens import QUIET, traced

import mechviz as mv

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
BENCH = [
    CELLS[0],
    "text = 'When Mary and John went to the store, John gave a drink to'\n"
    # Nothing is run before it is clicked.
    "view = mv.bench(model, text, token=' Mary', minus=' John', table=())\nview",
]
USED = [BENCH[0], BENCH[1].replace(", table=()", "")]
# The text that a picture is of, from its tokens: without the first, and with a space that stands alone as it is.
PICTURED = """(root) => [...root.querySelectorAll('[data-i]')].slice(1).map((t) => t.textContent.replaceAll('·', ' ')).join('')"""
# In the page: when a key went down, and when the picture of the text that it made was painted.
WATCH = (
    "(host) => { const pictured = "
    + PICTURED
    + """;
    const root = host.shadowRoot, box = root.querySelector('textarea');
    globalThis.painted = [];
    let began, before, told = true;
    box.addEventListener('keydown', () => { [began, before, told] = [performance.now(), box.value, false]; }, {capture: true});
    new MutationObserver(() => {
        const text = box.value;
        if (told || text === before || pictured(root) !== text) return;
        told = true;
        // after its frame is painted
        requestAnimationFrame(() => setTimeout(() => painted.push([text, performance.now() - began])));
    }).observe(root, {subtree: true, childList: true, characterData: true});
}"""
)
# Clicks a part and waits until the title says that it is changed, and that is painted. Nothing is done in between: to look
# frame by frame would take the kernel's second processor.
CLICK = """async (host, [name, rest, how = 'pointerover']) => {
  const root = host.shadowRoot;
  const named = (b) => (b.ariaLabel ?? b.querySelector('.name')?.textContent ?? b.textContent).trim() === name;
  const button = [...root.querySelectorAll('button.head, button.layer, .parts button, .neurons button')].find(named);
  const said = () => root.querySelector('h3 .edit')?.textContent ?? '';
  const before = said();
  if (rest) {
    button.dispatchEvent(new PointerEvent(how, {bubbles: true}));
    await new Promise((done) => setTimeout(done, rest));
  }
  const began = performance.now();
  const changed = new Promise((done) => {
    const observer = new MutationObserver(() => said() !== before && (observer.disconnect(), done()));
    observer.observe(root, {subtree: true, childList: true, characterData: true});
  });
  button.click();
  await changed;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // after its frame is painted
  return performance.now() - began;
}"""
# Of this host: a question to which a kernel answers nothing, as fast as it can. It takes 6 ms or 46: Jupyter's server holds
# a small message back until the one before is acknowledged (Nagle), which a browser does after 40 ms.
REGISTER = """
def echo(comm, message):
    comm.on_msg(lambda message: comm.send({}))
get_ipython().kernel.comm_manager.register_target('echo', echo)
"""
ECHO = """async () => {
  const comm = jupyterapp.shell.currentWidget.sessionContext.session.kernel.createComm('echo'), taken = [];
  comm.open();
  for (let k = 0; k < 30; k++) {
    await new Promise((done) => setTimeout(done, 100));
    const began = performance.now();
    await new Promise((done) => { comm.onMsg = done; comm.send({}); });
    taken.push(performance.now() - began);
  }
  return taken;
}"""
PARTS = [f"L{layer}H{head}" for layer in range(3) for head in range(4)] + ["L0", "L1", "L2"]


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
    for n, key in enumerate(" a drink to Mary and then she went to the park with Tom", start=1):
        nb.page.keyboard.press(key if key != " " else "Space")
        wait_until(lambda n=n: len(nb.page.evaluate("painted")) >= n)
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
            seen.push((PICTURED)(root));
        }
        return seen; }""".replace("PICTURED", PICTURED),
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
    return nb.figure(1).evaluate(f"(host) => ({PICTURED})(host.shadowRoot)")


def clicks_in_use(nb: Notebook) -> None:
    """Every head and layer as soon as the table is there."""
    figure = nb.figure(1)
    figure.locator("p[data-controls]", has_text="of").wait_for(state="detached")
    nb.page.wait_for_timeout(1000)
    totals = []
    for part in PARTS:
        totals.append(figure.evaluate(CLICK, [part, 0]))
        nb.page.wait_for_timeout(150)
    middle("click to redrawn, live, as displayed", totals)


def clicks_live(nb: Notebook) -> None:
    """Every head and layer, each once, and a pass of the model with nothing changed beside it."""
    figure = nb.figure(1)
    nb.page.wait_for_timeout(1000)
    totals = []
    for part in PARTS:
        totals.append(figure.evaluate(CLICK, [part, 0]))
        nb.page.wait_for_timeout(150)
    figure.get_by_role("button", name="mean", exact=True).click()
    nb.page.wait_for_timeout(500)
    pointed, pressed = [], []
    for i, part in enumerate(PARTS[:-1]):  # the last one is changed already
        if i % 2:
            pointed.append(figure.evaluate(CLICK, [part, 150]))
        else:
            pressed.append(figure.evaluate(CLICK, [part, 80, "pointerdown"]))
        nb.page.wait_for_timeout(150)
    asked = (
        "view.answer('0', 'run', {'sites': [part], 'mode': 'zero'})[0]['entries'][0]['took']"  # those that were made
    )
    runs = nb.python(f"print([{asked} for part in {PARTS!r}])")
    passes = json.loads(nb.python("print([forward(text) for _ in range(20)])"))
    nb.python(REGISTER)
    middle("there and back in this host, with nothing to do", nb.page.evaluate(ECHO))
    middle("click to redrawn, live, with the pointer at rest there before", pointed)
    middle("click to redrawn, live, 80 ms after the press", pressed)
    middle("click to redrawn, live, out of the blue", totals)
    middle("  of it the run (trace with the edit, what each part adds)", json.loads(runs))
    again = asked.replace("zero", "resample")  # not run yet
    lines = ["spent = []", f"for part in {PARTS!r}:", "    began = time.thread_time()", f"    {again}"]
    code = "\n".join([*lines, "    spent.append(1000 * (time.thread_time() - began))", "print(spent)"])
    middle("  the run's own processor time", json.loads(nb.python(code)))
    middle("  of it a forward pass alone", passes)
    middle("  beyond the forward pass", [total - statistics.median(passes) for total in totals])


def clicks_in_a_file(browser: Browser, folder: Path) -> None:
    """The page that `mechviz demo` writes such a bench into: its table holds every edit."""
    view = mv.bench(
        mv.load(), "When Mary and John went to the store, John gave a drink to", token=" Mary", minus=" John"
    )
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(view.save(folder / "bench.html").as_uri())
    page.wait_for_selector("[data-mechviz-drawn]")
    host = page.locator("[data-mechviz-drawn]").first
    page.wait_for_timeout(1000)
    taken = []
    for _ in range(3):
        for part in PARTS:
            taken.append(host.evaluate(CLICK, [part, 0]))
            page.wait_for_timeout(100)
    middle("click to redrawn, in a file: the first of each", taken[: len(PARTS)])
    middle("click to redrawn, in a file: again", taken[len(PARTS) :])
    work = [work_of_click(page, host, part) for part in PARTS]
    middle("  script, style, layout and paint of a click", work)


def work_of_click(page: Page, host: Locator, part: str) -> float:
    """Milliseconds of the main thread's own clock that a click costs until the page is quiet."""

    def act() -> None:
        host.evaluate(CLICK, [part, 0])
        page.evaluate(QUIET)

    return sum(e["tdur"] for e in traced(page, act) if e["name"] == "RunTask" and "tdur" in e) / 1000


def main() -> None:
    """All of it, or what is named."""
    wanted = sys.argv[1:] or ["typing", "bench", "file"]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        if "file" in wanted:
            clicks_in_a_file(browser, Path(folder))
        if not {"typing", "bench"} & set(wanted):
            return
        with jupyter(Path(folder)) as server:
            if "bench" in wanted:
                notebook = server.open(browser, BENCH, name="bench")
                notebook.run_all()
                clicks_live(notebook)
                notebook.shut_down()
                notebook = server.open(browser, USED, name="used")
                notebook.run_all()
                clicks_in_use(notebook)
                notebook.shut_down()
            if "typing" in wanted:
                notebook = server.open(browser, CELLS)
                notebook.run_all()
                typed_slowly(notebook)
                typed_fast(notebook)
                thousand_edits(notebook)
                notebook.shut_down()


if __name__ == "__main__":
    main()
