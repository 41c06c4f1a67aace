"""What one stack of a model left behind, where a model has several: read like a trace of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from mechviz._layered import Unavailable
from mechviz.pattern import PatternStack
from mechviz.sites import Feature, Site, parse
from mechviz.text import Tokens

from .edit import Edit
from .editing import Editing
from .editing_stacks import Editings, edits_of_stack
from .graph import Graph
from .structure import Stack, Structure
from .trace import Trace

if TYPE_CHECKING:
    from .model import Model


class Side:
    """One stack of a model, standing where its traces expect a `Model`."""

    def __init__(self, model: Model, stack: Stack, structure: Structure) -> None:
        self.module, self.lock, self.tokenizer = model.module, model.lock, model.tokenizer
        self.device, self.dtype = model.device, model.dtype
        self.name = f"{model.name} ({stack.name})" if len(model.stacks) > 1 else model.name
        self.n_layers, self.structure = len(stack.blocks), structure

    def __repr__(self) -> str:
        return f"{self.name}, {self.n_layers} layers, {self.dtype}, {self.device}"


class StackTrace(Trace):
    """What one stack of a model left behind; reads like the trace of a model that has no other.

    Attributes:
        stack: Its name, such as "encoder".
        stacks: Name -> trace, of every stack that ran. What belongs to the whole model (`logits`, `loss`) is read from the
            stack that the logits come from: ``trace`` itself, and ``trace.stacks["decoder"]``.
    """

    stack: str
    _main: str  # the stack that the logits come from
    _inputs: dict[str, Any]
    _across: dict[Any, Any]  # what was kept of the attention that reads another stack

    @cached_property
    def cross(self) -> CrossReadings:
        """The attention that reads another stack: ``trace.cross.attention``, ``.q``, ``.k``, ``.v``, ``.z``.

        Keys and values are positions of ``trace.cross.key_tokens``.
        """
        return CrossReadings(self)

    @property
    def cross_attention(self) -> PatternStack:
        """Attention of every layer to another stack: ``mv.attention(t.tokens, t.cross_attention, key_tokens=t.cross.key_tokens)``.

        Raises:
            Unavailable: No layer reads another stack.
        """
        return self.cross.attention

    @property
    def cross_out(self) -> Any:
        """What reading the other stack adds to the residual stream of each block, ``[position, d_model]``."""
        no = {layer: "it reads no other stack" for layer in range(self.model.n_layers) if not self._plan(layer).cross}
        return self._layered(
            "cross_out", lambda layer: self._contribution(layer, "cross"), lambda layer: no.get(layer, "")
        )

    @property
    def _own_logits(self) -> torch.Tensor | None:
        return self.stacks[self._main]._tape.logits

    @property
    def _leading(self) -> Trace:
        return self.stacks[self._main]

    def _graph_of(self, site: Site) -> tuple[Graph | None, Site]:
        name = site.stack or self.stack
        if name not in self.stacks:
            return None, site
        alone = site if isinstance(site, Feature) else dataclasses.replace(site, stack="")
        return self.stacks[name]._tape.graph, alone

    def _again(self, extra: Sequence[Edit]) -> tuple[dict[str, Any], Editing]:
        parts = []
        for name, trace in self.stacks.items():
            before, behind = trace._tape.editing, edits_of_stack(extra, name, list(self.stacks), self.stack)
            edits = [*before.edits, *behind]
            parts.append(Editing(before.module, before.blocks, trace.model.structure, edits, name))
        return self._inputs, Editings(parts)

    def at(self, site: Site | str) -> torch.Tensor:
        """The values at one site, of this stack or, with its name in front ("encoder.L5H1"), of another."""
        site = parse(site)
        if site.stack and site.stack != self.stack and site.stack in self.stacks:
            return self.stacks[site.stack].at(site)
        if site.stack and site.stack != self.stack:
            raise Unavailable(
                f"{site}: {self.model.name} has no stack {site.stack!r}; it has {', '.join(self.stacks) or 'one'}"
            )
        if isinstance(site, Feature):
            kept = self._tape.kept
            return kept[site] if site in kept else site.dictionary.read(site, self.at(site.dictionary.at))
        return super().at(dataclasses.replace(site, stack=""))


class CrossReadings(StackTrace):
    """The attention of a stack to another one."""

    def __init__(self, trace: StackTrace) -> None:
        super().__init__(trace.model, trace.tokens, dataclasses.replace(trace._tape, kept=trace._across))
        self.stack, self.stacks, self._main, self._inputs = trace.stack, trace.stacks, trace._main, trace._inputs

    @property
    def key_tokens(self) -> Tokens:
        """What is read: the tokens of the other stack."""
        length = self.attention[0].shape[2]
        others = [t.tokens for name, t in self.stacks.items() if name != self.stack and len(t.tokens) == length]
        if not others:
            raise Unavailable(f"no other stack has the {length} positions that are read")
        return others[0]

    def _which(self, layer: int) -> int:
        return self.model.structure.crossing[layer]

    def _no_attention(self, layer: int) -> str:
        return "" if self._which(layer) >= 0 else "it reads no other stack"
