"""Attention of one layer, side by side in one run: mechviz, CircuitsVis, BertViz.

    python tests/benchmarks/peers.py [--tokens 64 256 1024] [--peers mechviz circuitsvis bertviz]

One layer of 12 causal heads, softmax of random scores with standard deviation 1.5. Printed: bytes of the HTML, Python
seconds from the call to the HTML, seconds from opening the file offline in Chromium until the first head is drawn
(a fifth of a large canvas is painted; for BertViz: lines in its SVG), or "> N s" beyond --limit. BertViz asks CDNs for its code.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HEADS = 12
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# True when the first head can be seen. Canvas: a pixel that is not transparent; BertViz draws its heads as SVG lines.
DRAWN = {
    "mechviz": """() => {
        const all = [...document.querySelectorAll('*')].flatMap((e) => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('canvas')] : []);
        const big = all.sort((a, b) => b.width * b.height - a.width * a.height)[0];
        if (!big || big.width < 200) return false;
        const data = big.getContext('2d').getImageData(0, 0, big.width, big.height).data;
        let opaque = 0; for (let i = 3; i < data.length; i += 4) opaque += data[i] > 0;
        return opaque > data.length / 4 * 0.2; }""",
    "circuitsvis": """() => [...document.querySelectorAll('canvas')].some((c) => {
        if (!c.width || !c.height) return false;
        const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let opaque = 0; for (let i = 3; i < data.length; i += 4) opaque += data[i] > 0;
        return opaque > data.length / 4 * 0.2; })""",
    "bertviz": "() => document.querySelectorAll('svg line').length > 0",
}


def pattern(tokens: int) -> np.ndarray:
    """Causal attention ``[head, query, key]``, float32."""
    scores = np.random.default_rng(0).normal(scale=1.5, size=(HEADS, tokens, tokens)).astype(np.float32)
    scores[:, ~np.tri(tokens, dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def by_mechviz(labels: list[str], weights: np.ndarray) -> str:
    import mechviz as mv

    return mv.attention(labels, weights).to_html()


def by_circuitsvis(labels: list[str], weights: np.ndarray) -> str:
    from circuitsvis.attention import attention_heads

    # The local flavour: its default asks a search engine's front page whether there is a network.
    html = attention_heads(attention=weights, tokens=labels).local_src
    return f"<!doctype html><meta charset=utf-8><body>{html}</body>"


def by_bertviz(labels: list[str], weights: np.ndarray) -> str:
    import torch
    from bertviz import head_view

    html = head_view([torch.from_numpy(weights)[None]], labels, html_action="return")
    return f"<!doctype html><meta charset=utf-8><body>{html.data}</body>"


MAKERS: dict[str, Callable[[list[str], np.ndarray], str]] = {
    "mechviz": by_mechviz,
    "circuitsvis": by_circuitsvis,
    "bertviz": by_bertviz,
}


def seconds_to_draw(browser, path: Path, drawn: str, limit: float) -> float | None:
    """Seconds from navigation to the first head drawn, without a network; None beyond the limit."""
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    context.set_default_timeout(limit * 1000)
    page = context.new_page()
    time.sleep(1)  # a new window loads the browser's own pages, which is not what is compared
    start = time.perf_counter()
    try:
        page.goto(path.as_uri(), wait_until="commit")
        while time.perf_counter() - start < limit:
            if page.evaluate(drawn):
                return time.perf_counter() - start
            time.sleep(0.01)
    except Exception as error:
        print(f"    {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
    finally:
        context.close()
    return None


def measure(
    browser, maker: str, tokens: int, folder: Path, repeats: int, limit: float
) -> tuple[int, float, float | None]:
    labels = [f" t{i}" for i in range(tokens)]
    weights = pattern(tokens)
    made, opened, size = [], [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        html = MAKERS[maker](labels, weights)
        made.append(time.perf_counter() - start)
        path = folder / f"{maker}-{tokens}.html"
        path.write_text(html, encoding="utf-8")
        size = path.stat().st_size
        opened.append(seconds_to_draw(browser, path, DRAWN[maker], limit))
        if opened[-1] is None or made[-1] > 5:
            break
    known = [seconds for seconds in opened if seconds is not None]
    return size, statistics.median(made), statistics.median(known) if len(known) == len(opened) else None


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--peers", nargs="+", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120, help="seconds to wait for the first head")
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        print(
            f"{'':12} {'tokens':>6} {'HTML MB':>9} {'to HTML s':>10} {'to drawn s':>10}   (medians of {arguments.repeats})"
        )
        for tokens in arguments.tokens:
            ours: tuple[int, float, float | None] | None = None
            for maker in arguments.peers:
                measure(browser, maker, 8, Path(folder), 1, 5)  # imports and caches are not what is compared
                size, made, opened = measure(browser, maker, tokens, Path(folder), arguments.repeats, arguments.limit)
                shown = f"{opened:10.2f}" if opened is not None else f" > {arguments.limit:6.0f} s"
                ratios = ""
                if maker == "mechviz":
                    ours = (size, made, opened)
                elif ours:
                    ratios = f"   ×{size / ours[0]:.0f} bytes, ×{made / ours[1]:.1f} seconds to HTML"
                    if opened is not None and ours[2]:
                        ratios += f", ×{opened / ours[2]:.1f} to drawn"
                print(f"{maker:12} {tokens:6} {size / 1e6:9.2f} {made:10.2f} {shown}{ratios}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
