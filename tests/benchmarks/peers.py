"""Attention side by side in one run: mechviz, CircuitsVis, BertViz.

    python tests/benchmarks/peers.py [--sizes 64x12 256x12 1024x12] [--peers mechviz circuitsvis bertviz]
    python tests/benchmarks/peers.py --sizes 1024x144 4096x12 --traced --repeats 1

Tokens x causal heads, 12 a layer: softmax of random scores with standard deviation 1.5; with --traced the softmax of queries and
keys of width 64, as a trace has them, which mechviz is given as they are and the others as weights. Printed: bytes of the HTML,
Python seconds from the call to the HTML, seconds from opening the file offline in Chromium until the first head is drawn (a
fifth of a large canvas is painted; for BertViz: lines in its SVG). Each peer runs by itself, under --limit seconds and --memory
gigabytes, the browser's among them: what did not come within them is the result. BertViz asks CDNs for its code.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from limited import run

LAYER = 12  # heads
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


def scores(tokens: int, heads: int, traced: bool) -> Iterator[np.ndarray]:
    """Scores of one head after the other, ``[query, key]`` float32."""
    rng = np.random.default_rng(0)
    for _ in range(heads):
        if traced:
            keys = rng.normal(size=(tokens, 64)).astype(np.float32)
            queries = rng.normal(size=keys.shape).astype(np.float32) + np.roll(keys, 1, axis=0)
            yield queries @ keys.T / 8
        else:
            yield rng.normal(scale=1.5, size=(tokens, tokens)).astype(np.float32)


def pattern(tokens: int, heads: int, traced: bool) -> np.ndarray:
    """Causal attention ``[head, query, key]``, float32."""
    weights = np.empty((heads, tokens, tokens), np.float32)
    for head, own in zip(weights, scores(tokens, heads, traced), strict=True):
        own[~np.tri(tokens, dtype=bool)] = -np.inf
        np.exp(own - own.max(-1, keepdims=True), out=head)
        head /= head.sum(-1, keepdims=True)
    return weights


def factored(tokens: int, heads: int) -> Any:
    """The same as queries and keys."""
    from mechviz.pattern import Factored, PatternStack

    rng, found = np.random.default_rng(0), []
    for _ in range(heads):
        keys = rng.normal(size=(tokens, 64)).astype(np.float32)
        found.append((rng.normal(size=keys.shape).astype(np.float32) + np.roll(keys, 1, axis=0), keys))
    layers = [found[i : i + LAYER] for i in range(0, heads, LAYER)]
    return PatternStack([Factored(*map(np.stack, zip(*layer, strict=True))) for layer in layers])


def by_mechviz(labels: list[str], given: Any) -> str:
    import mechviz as mv

    if isinstance(given, np.ndarray) and len(given) > LAYER:
        given = given.reshape(-1, LAYER, *given.shape[1:])
    return mv.attention(labels, given).to_html()


def by_circuitsvis(labels: list[str], weights: np.ndarray) -> str:
    from circuitsvis.attention import attention_heads

    # The local flavour: its default asks a search engine's front page whether there is a network.
    html = attention_heads(attention=weights, tokens=labels).local_src
    return f"<!doctype html><meta charset=utf-8><body>{html}</body>"


def by_bertviz(labels: list[str], weights: np.ndarray) -> str:
    import torch
    from bertviz import head_view

    layers = [torch.from_numpy(weights[i : i + LAYER])[None] for i in range(0, len(weights), LAYER)]
    html = head_view(layers, labels, html_action="return")
    return f"<!doctype html><meta charset=utf-8><body>{html.data}</body>"


MAKERS: dict[str, Callable[[list[str], Any], str]] = {
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


def one(maker: str, tokens: int, heads: int, repeats: int, limit: float, traced: bool) -> None:
    """Measure one, and print what is known as soon as it is: this process may be ended."""
    from playwright.sync_api import sync_playwright

    def given(tokens: int, heads: int) -> Any:
        return factored(tokens, heads) if traced and maker == "mechviz" else pattern(tokens, heads, traced)

    def made(tokens: int, given: Any) -> tuple[Path, float]:
        start = time.perf_counter()
        html = MAKERS[maker]([f" t{i}" for i in range(tokens)], given)
        seconds = time.perf_counter() - start
        path = Path(folder) / f"{tokens}.html"
        path.write_text(html, encoding="utf-8")
        return path, seconds

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        path, _ = made(8, given(8, LAYER))  # imports and caches are not what is compared
        seconds_to_draw(browser, path, DRAWN[maker], 5)
        weights = given(tokens, heads)
        for _ in range(repeats):
            path, seconds = made(tokens, weights)
            print(json.dumps({"bytes": path.stat().st_size, "made": seconds}), flush=True)
            opened = seconds_to_draw(browser, path, DRAWN[maker], limit)
            print(json.dumps({"opened": opened}), flush=True)
            if opened is None or seconds > 5:
                break
        browser.close()


def measured(maker: str, size: tuple[int, int], arguments: argparse.Namespace) -> tuple[dict[str, float], str]:
    """Medians of one, in a process of its own, and what was in the way of the rest."""
    tokens, heads = size
    command = [sys.executable, __file__, "--one", maker, str(tokens), str(heads)]
    command += ["--repeats", str(arguments.repeats), "--limit", str(arguments.limit)]
    command += ["--traced"] if arguments.traced else []
    # Twice: to make it, and to open it. What a peer needs beside is small.
    lines, problem = run(command, 2 * arguments.limit + 60, arguments.memory)
    found: dict[str, list[float]] = {}
    for line in lines:
        for key, value in json.loads(line).items():
            found.setdefault(key, []).append(value)
    if None in found.get("opened", []):
        found.pop("opened")
        problem = f"not drawn in {arguments.limit:g} s without a network"
    elif "made" not in found:
        problem = f"no HTML: {problem}"
    return {key: statistics.median(values) for key, values in found.items()}, problem


def size_of(text: str) -> tuple[int, int]:
    tokens, heads = map(int, text.split("x"))
    if heads % LAYER:
        raise argparse.ArgumentTypeError(f"heads must be a multiple of {LAYER}")
    return tokens, heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=size_of, nargs="+", default=[(64, 12), (256, 12), (1024, 12)])
    parser.add_argument("--peers", nargs="+", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120, help="seconds to wait for the HTML, and for the first head")
    parser.add_argument("--memory", type=float, default=8, help="gigabytes, resident, of Python and browser together")
    parser.add_argument("--traced", action="store_true", help="weights that follow from queries and keys")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        maker, tokens, heads = arguments.one
        return one(maker, int(tokens), int(heads), arguments.repeats, arguments.limit, arguments.traced)
    print(
        f"{'':12} {'tokens':>6} {'heads':>5} {'HTML MB':>9} {'to HTML s':>10} {'to drawn s':>10}   (medians of {arguments.repeats})"
    )
    for size in arguments.sizes:
        ours: dict[str, float] = {}
        for maker in arguments.peers:
            found, problem = measured(maker, size, arguments)
            ours = found if maker == "mechviz" else ours
            columns = [("bytes", 9, 1e6), ("made", 10, 1), ("opened", 10, 1)]
            shown = [
                f"{found[key] / unit:{wide}.2f}" if key in found else f"{'–':>{wide}}" for key, wide, unit in columns
            ]
            notes = [problem] if problem else []
            if maker != "mechviz":
                names = {"bytes": "bytes", "made": "seconds to HTML", "opened": "seconds to drawn"}
                notes += [
                    f"×{found[key] / ours[key]:.1f} {name}"
                    for key, name in names.items()
                    if key in found and ours.get(key)
                ]
            print(f"{maker:12} {size[0]:6} {size[1]:5} {' '.join(shown)}   {', '.join(notes)}", flush=True)


if __name__ == "__main__":
    main()
