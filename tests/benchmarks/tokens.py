"""100,000 tokens in a page: bytes, first paint, milliseconds a frame of scrolling, of other colours, of a search:
`python tests/benchmarks/tokens.py`.

In headless Chromium without a graphics processor, 1000 × 800 CSS pixels. A frame of scrolling is all that the page's main
thread does between two animation frames (script, style, layout, paint), as Chromium's own trace has it; milliseconds are
those of the thread's own clock, which other work on the machine does not move.
"""

from __future__ import annotations

import bisect
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

import mechviz as mv

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import chromium

COUNT = 100_000
FRAMES = 60
RUNS = 5
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"]
DRAWING = {
    *("FireAnimationFrame", "EventDispatch", "FunctionCall", "EvaluateScript", "RunMicrotasks", "TimerFire"),
    *("UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit", "HitTest"),
}
WORDS = " the| of| and| to| in| a| is| that| model| token|ing|ed|s| attention| head|.|,|\n| neural| network".split("|")

SCROLL = """async ([frames, step]) => {
  const frame = () => new Promise(requestAnimationFrame);
  for (let k = 0; k < frames; k++) { await frame(); scrollBy(0, step); }
  await frame();
  await frame();
}"""
# Long after the last animation has run, so that what is counted belongs to the key.
QUIET = "() => new Promise((done) => setTimeout(done, 400))"
PAINTED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.getEntriesByName('first-contentful-paint')[0].startTime;
}"""


def long_text(count: int = COUNT, *, channels: bool = False) -> mv.View:
    """Tokens that know their ids, and a loss of each; with `channels` an activation, too."""
    rng = np.random.default_rng(0)
    words = [WORDS[i] for i in rng.integers(0, len(WORDS), count)]
    n, none = count, (None,) * count
    ids = tuple(rng.integers(0, 50_000, n).tolist())
    label = tuple(word.replace(" ", "·").replace("\n", "↵") for word in words)
    text = mv.Tokens(label, tuple(words), tuple(range(n)), (False,) * n, none, ids, tuple(map(len, words)))
    loss, activation = rng.exponential(2, n).astype(np.float32), rng.normal(size=n).astype(np.float32)
    if not channels:
        return mv.tokens(text, loss, name="loss", unit="nats", scale="ember")
    return mv.tokens(text, {"loss": loss, "activation": activation})


def traced(page: Page, act: Callable[[], object]) -> list[dict]:
    """What the page's main thread did meanwhile, as Chromium's own trace has it."""
    session = page.context.new_cdp_session(page)
    events: list[dict] = []
    ended: list[bool] = []
    session.on("Tracing.dataCollected", lambda found: events.extend(found["value"]))
    session.on("Tracing.tracingComplete", lambda _: ended.append(True))
    session.send("Tracing.start", {"traceConfig": {"includedCategories": TRACED}})
    act()
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(20)
    main = {(e["pid"], e["tid"]) for e in events if e["name"] == "FunctionCall"}
    return [e for e in events if (e["pid"], e["tid"]) in main]


def frames_of(page: Page, step: int) -> list[float]:
    """Milliseconds of main thread in every frame while the page scrolls by `step` pixels a frame."""
    return between_frames(page, lambda: page.evaluate(SCROLL, [FRAMES, step]))


def between_frames(page: Page, act: Callable[[], object]) -> list[float]:
    """Milliseconds of main thread in every frame while something is done."""
    return split_by_frames(page, act)[0]


def split_by_frames(page: Page, act: Callable[[], object]) -> tuple[list[float], list[float]]:
    """The same, and how much of it was script, style, layout, paint and what hands that on: not the browser's own errands."""
    ours = [e for e in traced(page, act) if "tdur" in e]
    begins = sorted(e["ts"] for e in ours if e["name"] == "FireAnimationFrame")
    all_of_it, drawing, ends = [0.0] * len(begins), [0.0] * len(begins), 0.0
    for event in sorted(ours, key=lambda e: (e["ts"], -e["dur"])):
        frame = bisect.bisect(begins, event["ts"] + event["dur"]) - 1
        if event["name"] == "RunTask":
            all_of_it[frame] += event["tdur"] / 1000
        elif event["name"] in DRAWING and event["ts"] >= ends:  # what lies within another one is counted there
            drawing[frame] += event["tdur"] / 1000
            ends = event["ts"] + event["dur"]
    return all_of_it[1:-1], drawing[1:-1]


def work_of(page: Page, key: str) -> float:
    """Milliseconds of main thread that a key costs until the page is quiet again: script, style, layout, paint."""

    def press() -> None:
        page.keyboard.press(key)
        page.evaluate(QUIET)

    return sum(e["tdur"] for e in traced(page, press) if e["name"] == "RunTask" and "tdur" in e) / 1000


def opened(browser: Browser, path: Path) -> tuple[Page, float]:
    """The page, drawn, and when it was first painted, in milliseconds after navigation."""
    page = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-mechviz-drawn]")
    return page, page.evaluate(PAINTED)


def main() -> None:
    """All of it; the last line is what a program would read."""
    found: dict[str, float] = {}
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        path = long_text().save(Path(folder) / "tokens.html")
        found["file, MB"] = path.stat().st_size / 1e6
        paints = []
        for _ in range(RUNS):
            page, painted = opened(browser, path)
            paints.append(painted)
        found["first paint, ms"] = statistics.median(paints)
        for step, what in ((120, "a wheel's notch a frame"), (800, "a screen a frame")):
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(300)
            taken = sorted(frames_of(page, step))
            found[f"scroll, {what}, ms"] = statistics.median(taken)
            print(f"{what}: median {statistics.median(taken):.1f} ms, 95 % {taken[int(0.95 * len(taken))]:.1f} ms")
        path = long_text(channels=True).save(Path(folder) / "channels.html")
        found["file of two channels, MB"] = path.stat().st_size / 1e6
        page, _ = opened(browser, path)
        for where, at in (("at the top", 0), ("in the middle", 0.5)):
            page.evaluate("(at) => scrollTo(0, at * document.documentElement.scrollHeight)", at)
            page.wait_for_timeout(500)
            # Focus without scrolling: the keys are the view's.
            page.evaluate(
                "document.querySelector('.mechviz').shadowRoot.querySelector('.choice button').focus({preventScroll: true})"
            )
            for key, what in (("]", "recolour"), ("w", "words"), ("m", "marks")):
                found[f"{what}, {where}, ms"] = statistics.median(work_of(page, key) for _ in range(2 * RUNS))
        page.keyboard.press("/")
        page.keyboard.type("netwo")
        found["search, one more letter, ms"] = work_of(page, "r")
        found["jump, ms"] = statistics.median(work_of(page, "Enter") for _ in range(RUNS))
    for name, value in found.items():
        print(f"{name:40} {value:8.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
