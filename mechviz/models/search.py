"""Finding the equation of a block from copies of what its modules were given and gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .blocks import BlockPlan, adds_up, stream_of
from .watch import ModuleCall


@dataclass(frozen=True)
class _Part:
    """A module of the block during the probe; tensors are ``[position, …]``."""

    name: str
    module: nn.Module
    order: int
    given: torch.Tensor | None
    out: torch.Tensor


@dataclass(frozen=True)
class _Block:
    pre: torch.Tensor  # [position, d_model]
    post: torch.Tensor  # [position, d_model]
    parts: list[_Part]
    attention: frozenset[str]  # names of the parts that carry what attention read, and nothing else
    experts: bool  # whether a router sends tokens to experts
    crosses: bool = False  # whether one of its attentions reads another stack

    @property
    def writers(self) -> list[_Part]:
        """Parts whose output could be added to the stream, the last one first."""
        return [part for part in reversed(self.parts) if part.out.shape == self.pre.shape]


def find_plan(
    block: ModuleCall,
    calls: Sequence[ModuleCall],
    names: Mapping[nn.Module, str],
    attention: Sequence[nn.Module],
    *,
    crosses: bool = False,
) -> BlockPlan:
    """Find the equation of a block.

    Args:
        block: The block's own call.
        calls: Copies of what each module was given and gave, in the order in which they were called.
        names: Names, inside the block, of its modules.
        attention: The modules that computed attention.
        crosses: Whether one of them reads another stack.
    """
    assert block.input is not None and block.output is not None
    pre = block.input.reshape(-1, block.input.shape[-1])
    parts = []
    for order, call in enumerate(calls):
        out = stream_of(call.output, pre)
        if call.finished and out is not None and call.module in names:
            parts.append(_Part(names[call.module], call.module, order, stream_of(call.input, pre), out))
    carriers = _carriers(pre, parts, [names[module] for module in attention if module in names])
    experts = any(mark in type(module).__name__.lower() for module in names for mark in ("expert", "moe"))
    seen = _Block(pre, block.output.reshape(-1, block.output.shape[-1]), parts, carriers, experts, crosses)
    for search in (_sequential, _post_norm, _parallel, _single):
        plan = search(seen)
        if plan is not None:
            certain = all(bool(writer.out.any()) for writer in seen.writers)
            return replace(_with_heads(_with_neurons(plan, seen), seen), certain=certain)
    return BlockPlan(no_neurons="what the MLP adds to the stream could not be told apart")


def _sequential(block: _Block) -> BlockPlan | None:
    for reader in block.parts:
        mid = reader.given
        if mid is None or mid.shape != block.pre.shape:
            continue
        before = [w for w in block.writers if w.order < reader.order and not reader.name.startswith(w.name + ".")]
        attn = _addend(mid, block.pre, before)
        if not attn:
            continue
        after = [w for w in block.writers if w.order >= reader.order]
        mlp = _addend(block.post, mid, [w for w in after if w.name not in block.attention])
        if mlp:
            return BlockPlan("sequential", *attn, *mlp, norms=(reader.name,))
        rest = _cross_then_mlp(block, reader, after) if block.crosses else None
        if rest:
            second, cross, mlp = rest
            return BlockPlan("sequential", *attn, *mlp, *cross, norms=(reader.name, second))
    return None


def _cross_then_mlp(block: _Block, first: _Part, after: list[_Part]) -> Any:
    """``(the reader of mid + C, C, M)`` with ``post = mid + C + M``, where ``first`` is given ``mid``."""
    for second in (part for part in block.parts if part.order > first.order):
        then = second.given
        if then is None or first.given is None or then.shape != block.pre.shape or torch.equal(then, first.given):
            continue
        cross = _addend(then, first.given, [w for w in after if w.order < second.order])
        mlp = _addend(block.post, then, [w for w in after if w.order >= second.order]) if cross else None
        if mlp:
            return second.name, cross, mlp
    return None


def _post_norm(block: _Block) -> BlockPlan | None:
    streams = [(w, w.given) for w in block.writers if w.given is not None and w.given.shape == block.pre.shape]
    for last, summed in streams:
        if torch.equal(last.out, summed) or not torch.equal(last.out, block.post):
            continue
        for first, given in (pair for pair in streams if pair[0].order < last.order):
            attn = _addend(given, block.pre, [w for w in block.writers if w.order < first.order])
            if not attn or torch.equal(first.out, given):
                continue
            mlp = _addend(summed, first.out, _between(block, first, last))
            if mlp:
                return BlockPlan("post-norm", *attn, *mlp, norms=(first.name, last.name))
            middles = (pair for pair in streams if first.order < pair[0].order < last.order) if block.crosses else ()
            for middle, then in middles:
                cross = _addend(then, first.out, _between(block, first, middle))
                mlp = _addend(summed, middle.out, _between(block, middle, last)) if cross else None
                if cross and mlp and not torch.equal(middle.out, then):
                    return BlockPlan("post-norm", *attn, *mlp, *cross, norms=(first.name, middle.name, last.name))
    return None


def _between(block: _Block, first: _Part, last: _Part) -> list[_Part]:
    return [w for w in block.writers if first.order < w.order < last.order]


def _parallel(block: _Block) -> BlockPlan | None:
    for attn in (w for w in block.writers if w.name in block.attention):
        for mlp in (w for w in block.writers if w.name not in block.attention):
            if adds_up(block.post, (1.0, block.pre), (1.0, attn.out), (1.0, mlp.out)):
                pair = (_simplest(part, block.writers) for part in (attn, mlp))
                return BlockPlan("parallel", next(pair), 1.0, next(pair), 1.0)
    return None


def _single(block: _Block) -> BlockPlan | None:
    only = _addend(block.post, block.pre, block.writers)
    return BlockPlan("single", *only, no_neurons="this block has no MLP beside its mixer") if only else None


def _addend(total: torch.Tensor, base: torch.Tensor, parts: list[_Part]) -> tuple[str, float] | None:
    """``(name, c)`` of the last part with ``total == base + c * part``; c = 1 is preferred."""
    for part in parts:
        if adds_up(total, (1.0, base), (1.0, part.out)):
            return _simplest(part, parts), 1.0
    rest = (total - base).double()
    for part in parts:
        x = part.out.double()
        scale = float((x * rest).sum() / (x * x).sum().clamp_min(1e-300))
        if scale and adds_up(total, (1.0, base), (scale, part.out)):
            return _simplest(part, parts), scale
    return None


def _simplest(part: _Part, parts: list[_Part]) -> str:
    """The shortest name for an output: ``mlp`` rather than ``mlp.dropout``."""
    same = [p for p in parts if p.out.shape == part.out.shape and torch.equal(p.out, part.out)]
    return min(same, key=lambda p: (p.name.count("."), p.order)).name


def _carriers(pre: torch.Tensor, parts: list[_Part], attention: list[str]) -> frozenset[str]:
    """Modules that compute attention, hold one that does, lie in one, or are given what one of those gave."""
    found: list[_Part] = []
    for part in parts:
        near = any(f"{a}.".startswith(f"{part.name}.") or part.name.startswith(f"{a}.") for a in attention)
        # Some attention modules add the stream themselves (Bloom); what reads that sum carries more than attention.
        if near or any(
            torch.equal(p.out, part.given) and not any(adds_up(p.out, (1.0, pre), (1.0, q.out)) for q in found)
            for p in found
            if part.given is not None and p.out.shape == part.given.shape
        ):
            found.append(part)
    return frozenset(part.name for part in found)


def _with_neurons(plan: BlockPlan, block: _Block) -> BlockPlan:
    if not plan.mlp:
        return plan
    target = next(part for part in block.parts if part.name == plan.mlp)
    way = _way_to(target.out, block, depth=3)
    if way:
        return _with_gate(replace(plan, neurons=way), block)
    reason = (
        "its MLP routes each token to experts, so there is no one array of neurons per position; trace.experts(layer) has theirs"
        if block.experts
        else "no single linear layer writes what the MLP adds to the stream"
    )
    return replace(plan, no_neurons=reason)


def _with_heads(plan: BlockPlan, block: _Block) -> BlockPlan:
    target = next(part for part in block.parts if part.name == plan.attn)
    return replace(plan, heads=_way_to(target.out, block, depth=3)) if plan.attn in block.attention else plan


def _with_gate(plan: BlockPlan, block: _Block) -> BlockPlan:
    """The activation function whose result, alone or times a linear layer's output, is the neurons."""
    neurons = next(part for part in block.parts if part.name == plan.neurons[0]).given
    if neurons is None:
        return plan
    inside = [part for part in block.parts if part.given is not None and len(part.out) == len(neurons)]
    acts = [part for part in inside if part.given.shape == part.out.shape == neurons.shape]  # type: ignore[union-attr]
    acts = [part for part in acts if not is_linear(part.module) and not torch.equal(part.given, part.out)]  # type: ignore[arg-type]
    for act in acts:
        if torch.equal(act.out, neurons):
            return replace(plan, act=act.name)
        for linear in (part for part in inside if is_linear(part.module)):
            for first in range(0, linear.out.shape[1] - neurons.shape[1] + 1, neurons.shape[1]):
                if torch.equal(act.out * linear.out[:, first : first + neurons.shape[1]], neurons):
                    return replace(plan, act=act.name, up=linear.name, up_from=first)
    return plan


def _way_to(target: torch.Tensor, block: _Block, depth: int) -> tuple[str, ...]:
    """Names from a linear layer to ``target``: its output, passed on through modules such as norms and dropout."""
    writers = [w for w in block.writers if torch.equal(w.out, target)]
    for writer in writers:
        if is_linear(writer.module):
            return (writer.name,)
    for writer in writers:
        if depth and writer.given is not None and writer.given.shape == target.shape:
            way = _way_to(writer.given, block, depth - 1)
            if way:
                return (*way, writer.name)
    return ()


def is_linear(module: nn.Module) -> bool:
    """A linear layer of any make: torch's, GPT-2's Conv1D, quantised, adapted."""
    return hasattr(module, "in_features") or (type(module).__name__ == "Conv1D" and hasattr(module, "nx"))
