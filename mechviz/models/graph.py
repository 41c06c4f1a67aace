"""What gradients need of one forward pass: its tensors at every site, so that autograd can follow them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mechviz.sites import MLP, Attention, Feature, Head, Neuron, Residual, Site

from .blocks import BlockPlan
from .structure import Structure
from .watch import Watch, _open, first_tensor, replaced


@dataclass(frozen=True)
class Node:
    """A tensor of the pass, and how a gradient with respect to it becomes one with respect to a site."""

    tensor: torch.Tensor
    part: Callable[[torch.Tensor], torch.Tensor]


class Graph(Watch):
    """Keeps what autograd recorded during one forward pass; the stream that enters the first block is where it starts.

    Args:
        blocks: The model's blocks, or those of one of its stacks.
        structure: What is known of them.
        begins: Whether nothing before them counts; else the stream may hold what an earlier stack gave.
    """

    def __init__(self, blocks: Sequence[nn.Module], structure: Structure, *, begins: bool = True) -> None:
        inner = [b.get_submodule(n) for b, plan in zip(blocks, structure.plans, strict=True) for n in plan.names]
        super().__init__([*blocks, *inner])
        self._blocks, self._structure, self._begins = blocks, structure, begins
        self._length = 0  # of the stream
        self._read: dict[
            int, list[torch.Tensor]
        ] = {}  # layer -> z of each attention call, [batch, position, head, dim]

    @contextmanager
    def open(self) -> Iterator[None]:
        """Record meanwhile."""
        with ExitStack() as stack:
            handle = self._blocks[0].register_forward_pre_hook(self._start, with_kwargs=True)
            stack.callback(handle.remove)
            stack.enter_context(torch.enable_grad())
            stack.enter_context(self)
            yield

    def hear(self, z: torch.Tensor) -> None:
        """Keep what the heads of the running block read."""
        running = [self._blocks.index(call.module) for call in self.running if call.module in self._blocks]
        if running:
            self._read.setdefault(running[-1], []).append(z)

    def _start(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = first_tensor(args, kwargs)
        if self not in _open.get() or x is None:
            return None
        self._length = x.shape[:-1].numel()
        if x.requires_grad and not self._begins:
            return None
        start = x.detach().requires_grad_()
        return replaced(args, x, start), replaced(kwargs, x, start)

    @property
    def leaving(self) -> torch.Tensor:
        """The stream that left the last block, ``[position, d_model]``."""
        return self._rows(self._call(self._blocks[-1]).output)

    def node(self, site: Site) -> Node | None:
        """The tensor that holds a site; None for a site that no single tensor holds."""
        if site.layer >= len(self._blocks):
            return None
        if isinstance(site, Feature):
            return self._feature(site)
        plan, block = self._structure.plans[site.layer], self._blocks[site.layer]
        if isinstance(site, Residual):
            return self._stream(site, plan, block)
        if isinstance(site, (MLP, Attention)):
            name, scale = (plan.mlp, plan.mlp_scale) if isinstance(site, MLP) else (plan.attn, plan.attn_scale)
            return self._node(self._output(block, name), lambda g: self._rows(g) / scale)
        if isinstance(site, Neuron) and site.expert is None:
            given = self._given(block, plan.neurons[0]) if plan.neurons else None
            return self._node(given, lambda g: self._rows(g)[:, site.neuron])
        if not isinstance(site, Head):
            return None
        count = self._structure.heads[site.layer]
        if count:
            given = self._given(block, plan.heads[0])
            return self._node(given, lambda g: self._rows(g).reshape(self._length, count, -1)[:, site.head])
        read = self._read.get(site.layer, [])
        crossing = self._structure.crossing[site.layer]
        own = read if crossing < 0 else [z for number, z in enumerate(read) if number != crossing]
        return self._node(own[0] if len(own) == 1 else None, lambda g: g[0, :, site.head])

    def _feature(self, site: Feature) -> Node | None:
        place, rows = self.node(site.dictionary.at), site.dictionary.directions
        if place is None or site.feature == "error":
            return place
        if rows is None:  # what a feature adds depends on the values
            return None
        return Node(place.tensor, lambda g: (x := place.part(g)) @ rows[site.feature].to(x))

    def _stream(self, site: Residual, plan: BlockPlan, block: nn.Module) -> Node | None:
        call = self._call(block)
        if site.point != "mid":
            return self._node(call.input if site.point == "pre" else call.output, self._rows)
        if plan.no_mid:
            return None
        tensor = (self._output if plan.kind == "post-norm" else self._given)(block, plan.norms[0])
        return self._node(tensor, self._rows)

    def _node(self, tensor: torch.Tensor | None, part: Callable[[torch.Tensor], torch.Tensor]) -> Node | None:
        return None if tensor is None or not tensor.requires_grad else Node(tensor, part)

    def _given(self, block: nn.Module, name: str) -> torch.Tensor | None:
        return self._call(block.get_submodule(name)).input if name else None

    def _output(self, block: nn.Module, name: str) -> torch.Tensor | None:
        return self._call(block.get_submodule(name)).output if name else None

    def _call(self, module: nn.Module) -> Any:
        call = self.of(module)
        assert call is not None  # the probe saw it run
        return call

    def _rows(self, x: torch.Tensor | None) -> torch.Tensor:
        assert x is not None
        return x.reshape(self._length, x.shape[-1])
