"""Where a model keeps what a trace shows, found by a probe and proved by equations; names are only hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .tape import Tape, record
from .unembed import Unembedding, find_unembedding
from .watch import Watch

PROBE_LENGTH = 7  # tokens; a prime, so that no other axis has it


@dataclass(frozen=True)
class Stack:
    """The blocks that the residual stream runs through, in order."""

    name: str
    blocks: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Structure:
    """What the probe found, as names: it holds for every model of the class with the same module tree."""

    unembedding: Unembedding | None


def find_stack(model: nn.Module) -> Stack:
    """The stack of blocks of a causal language model.

    Raises:
        NotImplementedError: There is none; the message names what was looked for.
    """
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    found = [(name, m) for name, m in lists if all(isinstance(unwrap(b), GradientCheckpointingLayer) for b in m)]
    if not found:  # code that came with a checkpoint: blocks of one or two classes that hold modules of their own
        found = [
            (name, m) for name, m in lists if len({type(b) for b in m}) <= 2 and all(list(b.children()) for b in m)
        ]
    outer = [(name, m) for name, m in found if not any(name.startswith(other + ".") for other, _ in found)]
    if not outer:
        raise NotImplementedError(f"{type(model).__name__} has no list of transformer blocks that mechviz can find")
    name, blocks = max(outer, key=lambda item: len(item[1]))
    return Stack(name, tuple(blocks))


def unwrap(module: Any) -> Any:
    """The module inside `torch.compile`'s wrapper."""
    return getattr(module, "_orig_mod", module)


def probe(model: nn.Module, stack: Stack, ids: Sequence[int]) -> Structure:
    """Find the structure with one forward pass over a few tokens."""
    device = next((p.device for p in model.parameters() if p.device.type != "meta"), torch.device("cpu"))
    tokens = torch.tensor([[ids[i % len(ids)] for i in range(PROBE_LENGTH)]], device=device)
    inside = {m for block in stack.blocks for m in block.modules()}
    names = {m: name for name, m in model.named_modules() if m not in inside and name}
    with Watch(names, clone=True) as outside:
        tape = record(model, stack.blocks, {"input_ids": tokens, "use_cache": False})
    return Structure(_unembedding(names, outside, tape))


def _unembedding(names: dict[nn.Module, str], outside: Watch, tape: Tape) -> Unembedding | None:
    calls = [call for call in outside.calls if call.finished]
    return find_unembedding(names, calls, tape.leaving(len(tape.blocks) - 1), tape.logits)
