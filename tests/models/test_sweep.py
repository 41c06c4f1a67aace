"""Every causal language model of transformers that can be made tiny, traced: the evidence for "any model"."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
import torch
import transformers
from tiny import TYPES, NotTiny, build_tiny
from zoo import OTHERS, ZOO, build, build_other, ids, state

from mechviz.models import load
from mechviz.pattern import Unavailable

# Counts are of the release that CI runs; Python 3.10 gets an older one with fewer classes.
counted = pytest.mark.skipif(
    tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 23), reason="counts are of transformers 5.23"
)


@dataclass
class Sweep:
    """What the sweep found; lists are of model types, errors are ``(size, type)``."""

    unbuilt: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # classes that cannot be traced at all
    traced: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # other outputs under the trace, or marks left on the model
    certified: list[str] = field(default_factory=list)
    uncertified: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    no_pattern: dict[str, str] = field(default_factory=dict)  # a layer of them, and why it shows none
    checks: list[tuple[float, str]] = field(default_factory=list)  # row checks
    eager: list[tuple[float, str]] = field(default_factory=list)  # against the model's own eager weights
    not_eager: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def sweep():
    found, threads = Sweep(), torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in TYPES:
            _trace_one(kind, found)
    torch.set_num_threads(threads)
    return found


def _trace_one(kind: str, found: Sweep) -> None:
    try:
        model, ids = build_tiny(kind)
    except NotTiny as reason:
        found.unbuilt[kind] = str(reason)
        return
    with torch.no_grad():  # once before, for what models themselves make at their first pass
        model(input_ids=torch.tensor([ids]), use_cache=False)
    before, config = state(model), copy.deepcopy(model.config.to_dict())
    outputs = []
    handle = model.register_forward_hook(lambda _, args, kwargs, out: outputs.append((kwargs, out)), with_kwargs=True)
    try:
        trace = load(model).trace(ids)
    except NotImplementedError as reason:
        found.refused[kind] = str(reason)
        return
    finally:
        handle.remove()
    found.traced.append(kind)
    _read(kind, trace, found)
    inputs, under = next((k, o) for k, o in reversed(outputs) if k["input_ids"].shape[1] == len(ids))
    with torch.no_grad():
        bare = model(**inputs)
    if not torch.equal(bare.logits, under.logits) or state(model) != before or model.config.to_dict() != config:
        found.changed.append(kind)
    if found.kinds[kind]["factored"] or found.kinds[kind]["matrix"]:
        _against_eager(kind, model, ids, found)


def _read(kind, trace, found) -> None:
    try:
        for layer in range(trace.model.n_layers):
            trace.attn_out[layer]
        found.certified.append(kind)
    except Unavailable as reason:
        found.uncertified[kind] = str(reason)
    for layer in range(trace.model.n_layers):
        try:
            pattern = trace.attention[layer]
        except Unavailable as reason:
            assert len(str(reason)) > 30  # a sentence
            found.kinds[kind]["none"] += 1
            found.no_pattern.setdefault(kind, str(reason))
            continue
        if hasattr(pattern, "queries"):
            found.kinds[kind]["factored"] += 1
            found.checks.append((pattern.check_error / max(1.0, float(trace.v[layer].abs().max())), kind))
        else:
            found.kinds[kind]["matrix"] += 1


def _against_eager(kind, model, ids, found) -> None:
    """The patterns of an eager twin's trace against the weights that the twin itself reports."""
    twin = type(model)._from_config(copy.deepcopy(model.config), attn_implementation="eager").eval()
    twin.load_state_dict(model.state_dict())
    accepts = inspect.signature(twin.forward).parameters
    named = {"use_cache": False} if "use_cache" in accepts or "kwargs" in accepts else {}
    with torch.no_grad():
        own = getattr(twin(input_ids=torch.tensor([ids]), output_attentions=True, **named), "attentions", None)
    trace = load(twin).trace(ids)
    layers = [layer for layer in range(trace.model.n_layers) if found.kinds[kind] and _has(trace, layer)]
    own = [weights for weights in own or () if isinstance(weights, torch.Tensor) and weights.dim() == 4]
    if len(own) != len(layers):
        found.not_eager.append(kind)
        return
    for layer, weights in zip(layers, own, strict=True):
        pattern, reported = trace.attention[layer], weights[0].float()
        dense = pattern.dense()
        reported = reported[..., : dense.shape[-1]]  # a sink's own column, where a model reports it, stands behind
        if getattr(pattern, "sinks", None) is not None and bool((reported.sum(-1) > 1 - 1e-5).all()):
            dense = dense / dense.sum(-1, keepdim=True)  # Granite scales z by what the sink leaves, not the weights
        found.eager.append((float((dense - reported).abs().max()), kind))


def _has(trace, layer) -> bool:
    try:
        return bool(trace.attention[layer].shape)
    except Unavailable:
        return False


@counted
@pytest.mark.slow
def test_at_least_141_classes_are_traced(sweep, capsys):
    with capsys.disabled():
        print(f"\n{_summary(sweep)}")
    assert len(sweep.traced) >= 141
    assert len(sweep.refused) <= 3


@pytest.mark.slow
def test_no_output_changes_and_nothing_is_left_behind(sweep):
    assert sweep.changed == []


@pytest.mark.slow
def test_attention_is_what_eager_reports(sweep):
    # float32 with peaked attention; the models' own drift between two ways to compute it is of this size
    assert max(sweep.eager)[0] <= 5e-6
    assert len({kind for _, kind in sweep.eager}) >= 100


@pytest.mark.slow
def test_every_layer_passes_the_row_check_or_says_why_not(sweep):
    # `pattern_of` compares with a tolerance of each row's own; here the largest, as a part of the largest value
    assert max(sweep.checks)[0] <= 1e-4
    silent = [kind for kind in sweep.traced if not sweep.kinds[kind]]
    assert silent == []
    refused = {kind for kind, reason in sweep.no_pattern.items() if "differs from what the model's head read" in reason}
    assert refused == set()


@counted
@pytest.mark.slow
def test_residual_certificates(sweep):
    assert len(sweep.certified) >= 128


@pytest.mark.parametrize("name", [*ZOO, *OTHERS])
def test_replays_of_the_zoo_are_bit_identical(name):
    model, inputs = build_other(name) if name in OTHERS else (build(name), ids())
    trace = load(model).trace(inputs)
    for one in trace.stacks.values() or [trace]:
        for layer, block in enumerate(one._tape.blocks):
            seen = one._tape.replay(layer, [block.module])  # refuses, where a bit differs
            assert torch.equal(seen.calls[-1].output, block.output)


def _summary(sweep: Sweep) -> str:
    layers = sum(sweep.kinds.values(), Counter())
    kinds = Counter("+".join(sorted(k for k in counts if k != "none")) or "none" for counts in sweep.kinds.values())
    lines = [
        f"sweep: {len(sweep.traced)} of {len(sweep.traced) + len(sweep.unbuilt) + len(sweep.refused)} classes traced, "
        f"{len(sweep.refused)} refused {sweep.refused}, {len(sweep.unbuilt)} not built tiny",
        f"attention of classes: {dict(kinds)}; of layers: {dict(layers)}",
        f"residual certificates on every layer: {len(sweep.certified)}; not: {', '.join(sweep.uncertified)}",
        f"largest errors: row check {_worst(sweep.checks)}; against eager weights {_worst(sweep.eager)} "
        f"({len({kind for _, kind in sweep.eager})} classes; {len(sweep.not_eager)} report none: {', '.join(sweep.not_eager)})",
        *(f"  no pattern, {kind}: {reason[:150]}" for kind, reason in sweep.no_pattern.items()),
        *(f"  not built, {kind}: {reason}" for kind, reason in sweep.unbuilt.items() if "config holds" not in reason),
    ]
    return "\n".join(lines)


def _worst(errors: list[tuple[float, str]]) -> str:
    return ", ".join(f"{error:.1e} ({kind})" for error, kind in sorted(errors, reverse=True)[:3])
