"""What a trace holds, what it lacks and why, for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mechviz._layered import Unavailable
from mechviz._report import Report

from .budget import size, storages

if TYPE_CHECKING:
    from .trace import Trace

NAMES = ("attention", "q", "k", "v", "z", "attn_out", "mlp_out", "resid_mid", "neurons", "gate", "up")


def report(trace: Trace, *, check: bool) -> Report:
    """`mechviz.models.Trace.report` says what this is; without ``check`` no layer is opened."""
    about = trace.tokens.provenance
    lines = [
        ("model", f"{about['model']}, weights {about['weights']}, {about['dtype']} on {about['device']}"),
        ("run", f"{about['attention'] or 'its own'} attention, transformers {about['transformers']}{_batch(about)}"),
        (
            "text",
            f"{len(trace)} tokens, {'with' if about['bos'] else 'without'} a beginning-of-sequence token{_prompt(trace)}",
        ),
        ("edits", "; ".join(about["edits"]) or "none"),
        ("kept", f"{size(trace._tape.n_bytes)}: the residual stream of {trace.model.n_layers} layers"),
        *_captured(trace),
        *(_attention(trace) if check else []),
        *_missing(trace),
    ]
    return Report(tuple(lines))


def _captured(trace: Trace) -> Iterable[tuple[str, str]]:
    """What was kept beside the residual stream; the rest is recomputed when it is read."""
    kept = trace._tape.kept
    layers: dict[str, list[int]] = {}
    for key in kept:
        if isinstance(key, tuple):
            layers.setdefault(key[0], []).append(key[1])
    what = [f"{name} of {_ranges(sorted(found))}" for name, found in layers.items()]
    what += [str(key) for key in kept if not isinstance(key, tuple)]
    if what:
        held = {place: n for value in kept.values() for place, n in storages(value).items()}
        yield "captured", f"{size(sum(held.values()))}: {', '.join(what)}"
    if trace._tape.graph is not None:
        yield "captured", "what gradients need: a metric costs one backward pass"


def _batch(about: Mapping[str, Any]) -> str:
    texts, length = about.get("batch") or (1, 0)
    return f", in a batch of {texts} texts padded to {length} tokens" if texts > 1 else ""


def _prompt(trace: Trace) -> str:
    prompt = trace.tokens.prompt
    return "" if prompt is None else f"; the first {prompt} are the prompt, {len(trace) - prompt} the answer"


def _attention(trace: Trace) -> list[tuple[str, str]]:
    kinds: dict[str, list[int]] = {}
    errors: list[tuple[float, int]] = []
    try:
        layers = trace.attention.layers
    except Unavailable:
        return []
    for layer in layers:
        try:
            pattern: Any = trace.attention[layer]
        except Unavailable as reason:
            kinds.setdefault(f"refused: {reason}", []).append(layer)
            continue
        kinds.setdefault(_kind(pattern), []).append(layer)
        if getattr(pattern, "check_error", None) is not None:
            errors.append((pattern.check_error, layer))
    lines = [("attention", f"{_ranges(found)}: {kind}") for kind, found in kinds.items()]
    if errors:
        worst, layer = max(errors)
        lines.append(
            (
                "check",
                f"rows recomputed from queries and keys differ from what heads read by at most {worst:.1g} (layer {layer})",
            )
        )
    return lines


def _kind(pattern: Any) -> str:
    heads = pattern.shape[0]
    if not hasattr(pattern, "queries"):
        return f"{heads} heads, as a matrix"
    notes = [f"{heads} heads"]
    if pattern.group > 1:
        notes.append(f"groups of {pattern.group} share a key head")
    notes += [
        f"{name} {value:g}" for name, value in (("window", pattern.window), ("soft cap", pattern.softcap)) if value
    ]
    notes += [
        what for what, there in (("a sink per head", pattern.sinks), ("a bias", pattern.bias)) if there is not None
    ]
    return ", ".join([*notes, "causal" if pattern.causal else "not causal"])


def _missing(trace: Trace) -> Iterable[tuple[str, str]]:
    reasons: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name in NAMES:
        try:
            missing = getattr(trace, name).missing
        except Unavailable:  # no layer has attention
            missing = {layer: trace._no_attention(layer) for layer in range(trace.model.n_layers)}
        layers: dict[str, list[int]] = {}
        for layer, reason in missing.items():
            layers.setdefault(reason, []).append(layer)
        for reason, found in layers.items():
            reasons.setdefault((reason, tuple(found)), []).append(name)
    for (reason, found), names in reasons.items():
        yield "missing", f"{', '.join(names)} of {_ranges(found)}: {reason}"
    try:
        _ = trace._unembedding
    except Unavailable as reason:
        yield "missing", f"logits, loss: {reason}"


def _ranges(layers: Iterable[int]) -> str:
    """Numbers for reading: "layers 0-3, 7"."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    said = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"layer {said}" if said.isdigit() else f"layers {said}"
