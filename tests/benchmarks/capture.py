"""What a trace costs beside a bare forward pass, in one run: mechviz, transformers' own outputs, TransformerLens.

    python tests/benchmarks/capture.py [--tokens 256 1024 2048] [--pairs 21] [--ways default everything eager lens] [--no-peaks]
    python tests/benchmarks/capture.py --long 32768

A random model of GPT-2 small's shape. Every measurement is a pair: a bare forward pass (sdpa, the last token's logits, no
cache), then the way; printed are medians, with quartiles, of the seconds and of the pairs' ratios. "kept" is what lives on
through the result; "peak" is how far the resident memory of a fresh process rises during one call, above what it was before. MB are of 2**20 bytes.

``--long`` traces a long text through the embedded model's architecture with its attention kept, and opens one head.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from mechviz.models import load

VOCAB = 50257


def gpt2(attention: str, positions: int = 4096) -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_positions=positions)
    return transformers.GPT2LMHeadModel._from_config(config, attn_implementation=attention).eval()


def text(length: int) -> list[int]:
    return torch.randint(0, VOCAB, (length,), generator=torch.Generator().manual_seed(0)).tolist()


def bare(model: Any, ids: list[int]) -> Any:
    return model(torch.tensor([ids]), logits_to_keep=1, use_cache=False).logits


def by_default() -> Callable[[list[int]], Any]:
    model = load(gpt2("sdpa"))
    return model.trace


def by_everything() -> Callable[[list[int]], Any]:
    """Every site kept during the pass; logits and loss stay computed on demand, as in a default trace."""
    model = load(gpt2("sdpa"))
    if "capture" not in inspect.signature(model.trace).parameters:
        raise NotImplementedError("this version cannot keep sites during the pass")
    return lambda ids: model.trace(ids, capture="everything")


def by_eager() -> Callable[[list[int]], Any]:
    model = gpt2("eager")
    asked = {"output_attentions": True, "output_hidden_states": True, "logits_to_keep": 1, "use_cache": False}
    return lambda ids: model(torch.tensor([ids]), **asked)


def by_lens() -> Callable[[list[int]], Any]:
    from transformer_lens.model_bridge.sources._bridge_builder import (  # type: ignore[import-not-found]
        build_bridge_from_module,
    )

    model = gpt2("eager")
    bridge = build_bridge_from_module(model, "GPT2LMHeadModel", hf_config=model.config)
    return lambda ids: bridge.run_with_cache(torch.tensor([ids]))


WAYS = {"default": by_default, "everything": by_everything, "eager": by_eager, "lens": by_lens}


def kept(result: Any) -> int:
    """Bytes of the storages that a result keeps alive, as far as attributes, lists and mappings lead to tensors."""
    found: dict[int, int] = {}
    seen: set[int] = set()

    def walk(x: Any) -> None:
        if id(x) in seen or isinstance(x, (torch.nn.Module, str, bytes, int, float, type)):
            return
        seen.add(id(x))
        if isinstance(x, torch.Tensor):
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        elif isinstance(x, Mapping):
            for value in list(x.values()):
                walk(value)
        elif isinstance(x, (list, tuple, set)):
            for value in x:
                walk(value)
        elif type(x).__module__.startswith(("mechviz", "transformer")) and type(x).__name__ != "Model":
            walk(vars(x) if hasattr(x, "__dict__") else [])

    walk(result)
    return sum(found.values())


def resident(field: str) -> float:
    """VmRSS or VmHWM in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak_of(call: Callable[[], Any]) -> float:
    """MB by which the resident memory rises at most during a call."""
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    call()
    return resident("VmHWM") - before


def peak(way: str, length: int) -> float:
    """`peak_of` in a process of its own, after a short text has warmed everything up."""
    command = [
        sys.executable,
        __file__,
        "--peak",
        way,
        "--tokens",
        str(length),
        "--threads",
        str(torch.get_num_threads()),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def make(way: str) -> Callable[[list[int]], Any]:
    if way != "bare":
        return WAYS[way]()
    model = gpt2("sdpa")
    return lambda ids: bare(model, ids)


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def middle(values: Iterable[float]) -> str:
    low, half, high = statistics.quantiles(list(values), n=4)
    return f"{half:.3f} ({low:.3f}–{high:.3f})"


def compare(length: int, pairs: int, ways: dict[str, Callable[[list[int]], Any]], peaks: bool) -> None:
    ids, plain = text(length), gpt2("sdpa")
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    bytes_kept: dict[str, int] = {}
    bare(plain, ids)
    for way, call in ways.items():
        bytes_kept[way] = kept(call(ids))  # the first call, which is not counted, also finds the structure
    for _ in range(pairs):
        for way, call in ways.items():
            base, _ = seconds(lambda: bare(plain, ids))
            spent, result = seconds(lambda call=call: call(ids))
            del result
            times[way].append((base, spent))
    print(f"\n{length:,} tokens, {pairs} pairs, {torch.get_num_threads()} thread(s); medians (quartiles)")
    print(f"{'':12}{'seconds':>24}{'x bare forward':>24}{'kept MB':>10}")
    all_bare = [base for pairs_of in times.values() for base, _ in pairs_of]
    print(f"{'bare':12}{middle(all_bare):>24}")
    for way, measured in times.items():
        ratio = middle(spent / base for base, spent in measured)
        spent = middle(spent for _, spent in measured)
        print(f"{way:12}{spent:>24}{ratio:>24}{bytes_kept[way] / 2**20:>10.1f}", flush=True)
    if peaks:
        rise = ", ".join(f"{way} {peak(way, length):.0f}" for way in ("bare", *times))
        print(f"peak MB: {rise}", flush=True)


def long(length: int) -> None:
    """One long text through the embedded model's architecture, attention kept; then a tile of one head."""
    config = load().module.config
    torch.manual_seed(0)
    config = type(config)(**{**config.to_dict(), "n_positions": length})
    module = transformers.GPT2LMHeadModel._from_config(config, attn_implementation="sdpa").eval()
    ids = torch.randint(0, config.vocab_size, (length,), generator=torch.Generator().manual_seed(0)).tolist()
    model = load(module)
    model.trace(ids[:16])
    bare(module, ids[:16])
    bare_peak = peak_of(lambda: bare(module, ids))
    held: list[Any] = []
    options = {"capture": ["attention"]} if "capture" in inspect.signature(model.trace).parameters else {}
    spent, _ = seconds(lambda: bare(module, ids))
    traced, _ = seconds(lambda: held.append(model.trace(ids, **options)))
    patterns = list(held[0].attention)
    held.clear()
    peak_mb = peak_of(lambda: held.append(model.trace(ids, **options)))
    trace = held[0]
    size = kept(trace) / 2**20
    factors = sum(2 * 4 * p.shape[0] * length * p.queries.shape[-1] for p in patterns) / 2**20
    tape = (len(patterns) + 1) * 4 * length * config.n_embd / 2**20
    pattern = trace.attention[1]
    middle_rows, some = slice(length // 2, length // 2 + 256), slice(length // 4, length // 4 + 256)
    first, _ = seconds(lambda: pattern.tile(0, middle_rows, some))
    again = statistics.median(seconds(lambda: pattern.tile(0, middle_rows, some))[0] for _ in range(21))
    unseen = [
        (head, slice(row, row + 256), slice(row // 2, row // 2 + 256))
        for head in range(1, pattern.shape[0])
        for row in (length // 4, length // 2, 3 * length // 4)
    ]
    fresh = statistics.median(seconds(lambda part=part: pattern.tile(*part))[0] for part in unseen)
    print(f"{length:,} tokens, {len(patterns)} layers of {pattern.shape[0]} heads, {torch.get_num_threads()} thread(s)")
    print(
        f"forward {spent:.2f} s, trace {traced:.2f} s (x{traced / spent:.2f}); capture: {options.get('capture', 'none')}"
    )
    print(f"kept {size:.1f} MB = {size / (tape + factors):.3f} x (tape {tape:.1f} + queries and keys {factors:.1f})")
    print(f"peak: bare forward {bare_peak:.0f} MB, trace {peak_mb:.0f} MB = bare + {peak_mb - bare_peak:.0f}")
    print(
        f"256 x 256 tile: first of all {first * 1e3:.1f} ms, of rows not seen yet {fresh * 1e3:.1f}, again {again * 1e3:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--peaks", action=argparse.BooleanOptionalAction, default=True, help="a process for each")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--long", type=int, default=0, help="tokens of one long text, instead of the comparison")
    parser.add_argument("--peak", choices=["bare", *WAYS], help="print the peak of one call, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    if options.peak:
        call = make(options.peak)
        call(text(8))
        print(peak_of(lambda: call(text(options.tokens[0]))))
    elif options.long:
        long(options.long)
    else:
        ways = {}
        for way in options.ways:
            try:
                ways[way] = make(way)
            except (ImportError, NotImplementedError) as reason:
                print(f"{way}: left out, {reason}")
        for length in options.tokens:
            compare(length, options.pairs, ways, options.peaks)


if __name__ == "__main__":
    main()
