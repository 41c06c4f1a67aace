"""Where a model keeps what a trace shows, found by a probe and proved by equations; names are only hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .blocks import BlockPlan
from .capture import AttentionCall, Recorder, listen
from .functional import FunctionWatch, Weights
from .search import find_plan
from .tape import Numerics, inputs_of, own_logits
from .unembed import Unembedding, find_unembedding
from .watch import ModuleCall, Watch

PROBE_LENGTH = 7  # tokens; a prime, so that no other axis has it


@dataclass(frozen=True)
class Stack:
    """The blocks that the residual stream runs through, in order."""

    name: str
    blocks: tuple[nn.Module, ...]
    known: bool = True  # blocks by transformers' own marking; else by their looks, and the probe has to confirm it


@dataclass(frozen=True)
class Structure:
    """What the probe found, as names.

    Attributes:
        plans: For each block, the equation that it obeys.
        functional: For each block, whether it computes attention by calling torch functions itself.
        dispatched: For each block, whether it asks transformers for its attention function.
        softmaxes: For each block, whether it makes the weights itself, so that its queries and keys are not seen.
        heads: For each functional block, how many heads write the input of its output projection side by side; else 0.
        unembedding: The way from the last stream to the logits, or None.
    """

    plans: tuple[BlockPlan, ...]
    functional: tuple[bool, ...]
    dispatched: tuple[bool, ...]
    softmaxes: tuple[bool, ...]
    heads: tuple[int, ...]
    unembedding: Unembedding | None

    @property
    def settled(self) -> bool:
        """Whether everything was found. Weights that are zero, as at the start of a training, can hide an equation."""
        return self.unembedding is not None and all(plan.kind and plan.certain for plan in self.plans)


def find_stack(model: nn.Module) -> Stack:
    """The stack of blocks of a causal language model.

    Raises:
        NotImplementedError: There is none; the message names what was looked for.
    """
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    found = [(name, m) for name, m in lists if all(isinstance(unwrap(b), GradientCheckpointingLayer) for b in m)]
    known = bool(found)
    if not known:  # code that came with a checkpoint: blocks of one or two classes that hold modules of their own
        found = [
            (name, m) for name, m in lists if len({type(b) for b in m}) <= 2 and all(list(b.children()) for b in m)
        ]
    outer = [(name, m) for name, m in found if not any(name.startswith(other + ".") for other, _ in found)]
    if not outer:
        raise NotImplementedError(f"{type(model).__name__} has no list of transformer blocks that mechviz can find")
    name, blocks = max(outer, key=lambda item: len(item[1]))
    return Stack(name, tuple(blocks), known)


def unwrap(module: Any) -> Any:
    """The module inside `torch.compile`'s wrapper."""
    return getattr(module, "_orig_mod", module)


def probe(model: nn.Module, stack: Stack, ids: Sequence[int]) -> Structure:
    """Find the structure with one forward pass over a few tokens.

    Args:
        model: The model.
        stack: Its blocks.
        ids: Token ids that it knows; repeated or cut to a few.
    """
    inputs = inputs_of(model, [ids[i % len(ids)] for i in range(PROBE_LENGTH)])
    names = {m: name for name, m in model.named_modules() if name}
    watch = Watch(names, clone=True)

    def running() -> tuple[nn.Module, ...]:
        return tuple(call.module for call in watch.running)

    listening, called = Recorder(where=running, keep=lambda _: None), FunctionWatch(PROBE_LENGTH, where=running)
    with Numerics.of(model).restored(), watch, listen(listening), called:
        output = model(**inputs)

    plans, functional, dispatched, softmaxes, heads, inside = [], [], [], [], [], set()
    stream: torch.Tensor | None = None
    for block in stack.blocks:
        own = {m: name for name, m in block.named_modules() if name}
        inside |= {block, *own}
        heard = [place[-1] for place in listening.places if block in place]
        seen = [place[-1] for place, _ in called.found if block in place]
        functional.append(bool(seen and not heard))
        dispatched.append(bool(heard))
        made = [found for place, found in called.found if block in place and functional[-1]]
        softmaxes.append(any(isinstance(found, Weights) for found in made))
        call = watch.of(block)
        if call is None or call.input is None or call.output is None:
            raise NotImplementedError(f"block {len(plans)} of {stack.name} did not run on a residual stream")
        if not stack.known and stream is not None and not torch.equal(stream, call.input):
            raise NotImplementedError(f"what leaves block {len(plans) - 1} of {stack.name} does not enter the next one")
        stream = call.output
        plans.append(find_plan(call, [c for c in watch.calls if c.module in own], own, heard or seen))
        projection = watch.of(block.get_submodule(plans[-1].heads[0])) if plans[-1].heads else None
        heads.append(_side_by_side(made[0], projection) if len(made) == 1 and projection else 0)
    assert stream is not None
    outer = [call for call in watch.calls if call.finished and call.module not in inside]
    logits, stream = own_logits(model, output), stream.reshape(-1, stream.shape[-1])
    unembedding = None if logits is None else find_unembedding(names, outer, stream, logits)
    found = (plans, functional, dispatched, softmaxes, heads)
    return Structure(*map(tuple, found), unembedding)  # type: ignore[arg-type]


def _side_by_side(attention: AttentionCall | Weights, projection: ModuleCall) -> int:
    """How many heads there are, if what they read, head after head, is what the output projection is given; else 0."""
    z = attention.z if isinstance(attention, Weights) else attention.z[0]  # [position, head, dim]
    if z is None or projection.input is None or projection.input.numel() != z.numel():
        return 0
    return z.shape[1] if torch.equal(z.reshape(len(z), -1), projection.input.reshape(len(z), -1)) else 0
