"""Where a model keeps what a trace shows, found by a probe and proved by equations; names are only hints."""

from __future__ import annotations

import re
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
    path: str = ""  # of their list in the model
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
        crossing: For each block, which of its attention calls reads another stack; -1 where none does.
        causal: Whether logits depend on no later token; None where that was not seen.
    """

    plans: tuple[BlockPlan, ...]
    functional: tuple[bool, ...]
    dispatched: tuple[bool, ...]
    softmaxes: tuple[bool, ...]
    heads: tuple[int, ...]
    unembedding: Unembedding | None
    crossing: tuple[int, ...] = ()
    causal: bool | None = None

    @property
    def settled(self) -> bool:
        """Whether everything was found. Weights that are zero, as at the start of a training, can hide an equation."""
        return self.unembedding is not None and all(plan.kind and plan.certain for plan in self.plans)


def find_stacks(model: nn.Module) -> tuple[Stack, ...]:
    """All stacks of blocks of a model, named by what their paths differ in: "encoder" and "decoder", "text" and "vision".

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
    names = _short_names([name for name, _ in outer])
    return tuple(Stack(name, tuple(m), path, known) for name, (path, m) in zip(names, outer, strict=True))


def text_stack(stacks: Sequence[Stack]) -> Stack:
    """The stack that a text alone runs through: the one that is named so, else the one with the most blocks."""
    named = [stack for stack in stacks if stack.name in ("language", "text", "text_decoder")]
    return max(named or stacks, key=lambda stack: len(stack.blocks))


def _short_names(paths: list[str]) -> list[str]:
    """Of each path the first part that not all share, without "_model" and the like; the whole path where two agree.

    A single stack needs no name.
    """
    if len(paths) == 1:
        return [""]
    parts = [path.split(".") for path in paths]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    names = [re.sub(r"_(model|tower|stack)$", "", p[shared]) for p in parts]
    return names if len(set(names)) == len(names) else paths


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
    (found,) = probe_inputs(model, (stack,), inputs).values()
    return found


def probe_inputs(model: nn.Module, stacks: Sequence[Stack], inputs: dict[str, Any]) -> dict[str, Structure]:
    """The structures of the stacks that run, by name and in the order in which they run.

    Args:
        model: The model.
        stacks: Its stacks.
        inputs: What to call it with; everything that flows is copied, so let it be little.

    Raises:
        NotImplementedError: Some blocks of a stack did not run, or not on a stream that goes on from block to block.
    """
    names = {m: name for name, m in model.named_modules() if name}
    watch = Watch(names, clone=True)

    def running() -> tuple[nn.Module, ...]:
        return tuple(call.module for call in watch.running)

    listening = Recorder(where=running, keep=lambda call: call.queries.shape[2] != call.keys.shape[2])
    called, numerics = FunctionWatch(PROBE_LENGTH, where=running), Numerics.of(model)
    with numerics.restored(), watch, listen(listening), called:
        output = model(**inputs)
    first = {call.module: order for order, call in reversed(list(enumerate(watch.calls)))}
    ran = [stack for stack in stacks if len(stacks) == 1 or any(block in first for block in stack.blocks)]
    ran.sort(key=lambda stack: min((first[block] for block in stack.blocks if block in first), default=0))
    logits = own_logits(model, output)
    causal = None if logits is None else _is_causal(model, inputs, logits, numerics)
    blocks = {block for stack in stacks for block in stack.blocks}
    inside = blocks | {module for block in blocks for module in block.modules()}
    outer = [call for call in watch.calls if call.finished and call.module not in inside]
    return {stack.name: _structure_of(stack, watch, listening, called, names, outer, logits, causal) for stack in ran}


def _structure_of(
    stack: Stack,
    watch: Watch,
    listening: Recorder,
    called: FunctionWatch,
    names: dict[nn.Module, str],
    outer: list[ModuleCall],
    logits: torch.Tensor | None,
    causal: bool | None,
) -> Structure:
    plans, functional, dispatched, softmaxes, heads, crossing = [], [], [], [], [], []
    stream: torch.Tensor | None = None
    for block in stack.blocks:
        own = {m: name for name, m in block.named_modules() if name}
        heard = [place[-1] for place in listening.places if block in place]
        across = [cross for place, cross in zip(listening.places, listening.calls, strict=True) if block in place]
        crossing.append(across.index(True) if len(across) == 2 and sum(across) == 1 else -1)
        seen = [place[-1] for place, _ in called.found if block in place]
        functional.append(bool(seen and not heard))
        dispatched.append(bool(heard))
        made = [found for place, found in called.found if block in place and functional[-1]]
        softmaxes.append(any(isinstance(found, Weights) for found in made))
        call = watch.of(block)
        if call is None or call.input is None or call.output is None:
            raise NotImplementedError(f"block {len(plans)} of {stack.path} did not run on a residual stream")
        if not stack.known and stream is not None and not torch.equal(stream, call.input):
            raise NotImplementedError(f"what leaves block {len(plans) - 1} of {stack.path} does not enter the next one")
        stream = call.output
        inner = [c for c in watch.calls if c.module in own]
        plans.append(find_plan(call, inner, own, heard or seen, crosses=crossing[-1] >= 0))
        projection = watch.of(block.get_submodule(plans[-1].heads[0])) if plans[-1].heads else None
        heads.append(_side_by_side(made[0], projection) if len(made) == 1 and projection else 0)
    assert stream is not None
    stream = stream.reshape(-1, stream.shape[-1])
    way = None if logits is None else find_unembedding(names, outer, stream, logits)
    lists = (plans, functional, dispatched, softmaxes, heads)
    return Structure(*map(tuple, lists), way, tuple(crossing), causal if way else None)  # type: ignore[arg-type]


def _is_causal(model: nn.Module, inputs: dict[str, Any], logits: torch.Tensor, numerics: Numerics) -> bool | None:
    """Whether the logits before the last position stay when the last token is another one."""
    key = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    ids = inputs.get(key)
    if ids is None or ids.shape[1] < 2 or len(logits) != ids.shape[1]:
        return None
    others = [int(i) for i in ids[0] if i != ids[0, -1]] or [0 if int(ids[0, -1]) else 1]
    changed = ids.clone()
    changed[0, -1] = others[0]
    with numerics.restored():
        after = own_logits(model, model(**{**inputs, key: changed}))
    if after is None or after.shape != logits.shape:
        return None
    moved = float((after - logits)[:-1].abs().max())
    return moved <= 256 * torch.finfo(logits.dtype).eps * float(logits.abs().max())


def _side_by_side(attention: AttentionCall | Weights, projection: ModuleCall) -> int:
    """How many heads there are, if what they read, head after head, is what the output projection is given; else 0."""
    z = attention.z if isinstance(attention, Weights) else attention.z[0]  # [position, head, dim]
    if z is None or projection.input is None or projection.input.numel() != z.numel():
        return 0
    return z.shape[1] if torch.equal(z.reshape(len(z), -1), projection.input.reshape(len(z), -1)) else 0
