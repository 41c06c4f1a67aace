"""Many texts: read ahead a little, bucketed by length, run in batches, handed out in the order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from mechviz._layered import Unavailable

from .batch import Batch, Row, batched_inputs
from .budget import check_budget, estimate
from .editing import Editing, active_edits
from .edits import Edit
from .encode import Encoded
from .fingerprint import fingerprint
from .tape import Tape, inputs_of
from .wanted import Capture, Wanted, wanted

if TYPE_CHECKING:
    from .model import Model
    from .trace import Trace

AHEAD = 8  # batches that are read ahead, to sort what is in them
TOKENS = 4096  # in a batch, with its padding, unless the batch size is given
DELAY = 1.0  # seconds before the progress bar shows
MOST, MOST_ON_CPU = 32, 8  # texts in a batch, unless the batch size is given: the caches of a CPU are small


def stream(
    model: Model,
    texts: Iterable[Encoded],
    *,
    batch_size: int | None,
    edits: Sequence[Edit],
    capture: Capture,
    budget: int | None,
) -> Iterator[Trace]:
    """`mechviz.models.Model.traces` says what this does."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be >= 1; got {batch_size}")
    wish = wanted(capture, model.n_layers)
    limit = check_budget(model, 1, budget, wish).n_bytes
    most = batch_size or (MOST_ON_CPU if model.device.type == "cpu" else MOST)
    for window in _windows(model, texts, most * AHEAD, limit, wish):
        tokens = None if batch_size else TOKENS
        groups = _groups([len(text.ids) for text in window], 1 if edits or model._alone else most, tokens)
        group_of = {i: group for group in groups for i in group}
        made: dict[int, Trace] = {}
        for i in range(len(window)):
            if i not in made:
                group = group_of[i]
                made |= dict(
                    zip(group, trace_batch(model, [window[k] for k in group], edits, capture, budget), strict=True)
                )
            yield made.pop(i)


def show_progress(items: Iterator[Trace], texts: Any, show: bool) -> Iterator[Trace]:
    """The same, with a bar for what takes longer than a second."""
    total = len(texts) if hasattr(texts, "__len__") else None
    with tqdm(total=total, unit=" texts", disable=not show, delay=DELAY) as bar:
        for item in items:
            yield item
            del item  # or this frame would keep it until the next one is there
            bar.update()


def _windows(
    model: Model, texts: Iterable[Encoded], most: int, limit: int | None, wish: Wanted
) -> Iterator[list[Encoded]]:
    """Texts that are looked at together, as many as may be kept at once."""
    window: list[Encoded] = []
    each = estimate(model, 1000, wish).total / 1000
    for text in texts:
        tokens = sum(len(other.ids) for other in window) + len(text.ids)
        if window and (len(window) == most or (limit is not None and tokens * each > limit)):
            yield window
            window = []
        window.append(text)
    if window:
        yield window


def _groups(lengths: Sequence[int], most: int, tokens: int | None) -> list[list[int]]:
    """Which texts go into one batch: neighbours in length, so many that they have ``tokens`` with their padding."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        size = len(groups[-1]) if groups else 0
        fits = size < most and (tokens is None or (size + 1) * lengths[i] <= tokens)
        if groups and fits:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def keep(traces: Sequence[Trace], batch: Batch, wish: Wanted) -> None:
    """Read what is to be kept of every text of a batch, one replay a layer."""
    for layer in range(traces[0].model.n_layers):
        for trace in traces:
            kept = trace._tape.kept
            readings = [((name, layer), name) for name in wish.names.get(layer, ())]
            for key, name in readings:
                try:
                    kept[key] = getattr(trace, name)[layer]
                except Unavailable:  # asking the trace says why
                    continue
            for site in wish.at(layer):
                try:
                    kept[site] = trace.at(site).clone()
                except Unavailable:
                    continue
        batch.forget()


def leaks(model: Model, alone: Tape, row: Row) -> str:
    """Why texts of this model cannot share a pass: where the stream of one differs from that of the text alone; else "".

    What rounding explains is taken to be the square root of the dtype's unit, of the largest entry.
    """
    last = model.n_layers - 1
    reads = [(f"before layer {layer}", Tape.entering, layer) for layer in range(model.n_layers)]
    for where, read, layer in [*reads, (f"after layer {last}", Tape.leaving, last)]:
        try:
            mine, together = read(alone, layer), read(row, layer)
        except Unavailable as reason:
            return str(reason)
        error, size = float((mine - together).abs().max()), float(mine.abs().max())
        if not error <= torch.finfo(mine.dtype).eps ** 0.5 * size:
            return f"in a batch the residual stream {where} differs by {error:.2g} from that of the text alone"
    return ""


def trace_batch(
    model: Model, texts: Sequence[Encoded], edits: Sequence[Edit], capture: Capture, budget: int | None
) -> list[Trace]:
    """Traces of some texts, from one forward pass where that can be done; in their order."""
    for text in texts:
        model._check(text.ids)
    with model.lock:
        weights = fingerprint(model.module)
        model._find_structure(texts[0].ids, weights)
        if any(model.structure.functional):
            model._alone = "it computes its attention itself, for which texts are traced one at a time"
        if len(texts) == 1 or edits or active_edits(model.module) or model._alone:
            return [model._trace(text, edits, budget, capture) for text in texts]
        editing = Editing(model.module, model._stack.blocks, model._structure, ())
        lengths = [len(text.ids) for text in texts]
        tape = model._record(batched_inputs(model.module, [text.ids for text in texts]), editing)
        batch = Batch(tape, lengths)
        rows = batch.rows()
        padded = len(set(lengths)) > 1
        if padded not in model._compared:
            shortest = lengths.index(min(lengths))
            alone = model._record(inputs_of(model.module, texts[shortest].ids, logits_to_keep=1), editing)
            model._alone = leaks(model, alone, rows[shortest])
            model._compared |= {padded}
            if model._alone:
                return trace_batch(model, texts, edits, capture, budget)
    traces = [model._traced(text, weights, row) for text, row in zip(texts, rows, strict=True)]
    for trace in traces:
        about = {**trace.tokens.provenance, "batch": [len(texts), max(lengths)]}
        trace.tokens = replace(trace.tokens, provenance=about)
    keep(traces, batch, wanted(capture, model.n_layers))
    return traces
