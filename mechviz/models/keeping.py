"""Readings kept while the model runs: what `capture=` asks for, taken block by block with the checks that a replay makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mechviz._layered import Unavailable
from mechviz.sites import Head, Site

from .budget import Limit, size, storages
from .capture import AttentionCall
from .edit import place_of
from .functional import FunctionWatch, Weights
from .graph import Graph
from .running import RunningBlock, running_tape, watched_inside
from .tape import _witness
from .wanted import OF_ATTENTION, Wanted
from .watch import Watch, _open, first_tensor

if TYPE_CHECKING:
    from .editing import Editing
    from .model import Model

Key = tuple[str, int] | Site


class Keeper(Watch):
    """Keeps readings during one forward pass.

    Args:
        model: The model, whose structure is known; or one stack of one.
        length: Tokens in the text; 0 where only the pass itself tells how many there are.
        wanted: What to keep.
        editing: The edits of the pass.
        limit: How many bytes may be kept.
        grad: Keep what gradients need, too.
        clone: Keep copies, for blocks whose modules write into each other's tensors.
        held: Where kept numbers lie -> bytes, if it is shared with the keepers of other stacks.
        begins: Whether no other stack runs before this one.

    Attributes:
        kept: ``(name, layer)`` or a site -> what was read. What could not be read is not in it; asking the trace says why.
        across: The same of the attention that reads another stack.
        graph: What gradients need.
        spoilt: Something read was overwritten later in its block: run again with ``clone=True``.

    Raises:
        MemoryError: (in the middle of the pass) it holds more than the limit.
    """

    def __init__(
        self,
        model: Model,
        length: int,
        wanted: Wanted,
        editing: Editing,
        limit: Limit,
        *,
        grad: bool = False,
        clone: bool = False,
        held: dict[int, int] | None = None,
        begins: bool = True,
    ) -> None:
        blocks = editing.blocks
        self.layers = {block: layer for layer, block in enumerate(blocks)}
        inner = [m for layer, block in enumerate(blocks) for m in watched_inside(model, layer, block, wanted, editing)]
        super().__init__([*inner, *blocks] if wanted or not length else [], clone=clone)
        self.kept: dict[Key, Any] = {}
        self.across: dict[Key, Any] = {}
        self.graph = Graph(blocks, model.structure, begins=begins) if grad else None
        self.spoilt = False
        self._model, self._length, self._wanted, self._editing, self._limit = model, length, wanted, editing, limit
        self._begins = begins
        self._heard: list[torch.Tensor] = []  # a witness for each attention call of the running block
        self._shared = False  # whether queries, keys and values of the running block are all kept
        self._functions = FunctionWatch(length)
        self._storages = {} if held is None else held

    def again(self, held: dict[int, int] | None = None) -> Keeper:
        """A new one that keeps copies."""
        about = (self._model, self._length, self._wanted, self._editing, self._limit)
        return Keeper(*about, grad=self.graph is not None, clone=True, held=held, begins=self._begins)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep meanwhile."""
        with ExitStack() as stack:
            functional = self._model.structure.functional
            if any(functional[layer] and self._of_attention(layer) for layer in self.layers.values()):
                stack.enter_context(self._functions)
            if self.graph is not None:
                stack.enter_context(self.graph.open())
            stack.enter_context(self)
            yield

    def hear(self, call: AttentionCall) -> torch.Tensor:
        """What to keep of an attention call beside the readings: some rows of what the heads read."""
        if self.graph is not None:
            self.graph.hear(call.z)
        with self._plainly():
            return self._hear(call)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """As readings are computed after a pass: without gradients, and in their own precision under autocast."""
        with torch.no_grad(), torch.autocast(self._model.device.type, enabled=False):
            yield

    def _hear(self, call: AttentionCall) -> torch.Tensor:
        witness = _witness(call)
        block = next((running.module for running in reversed(self.running) if running.module in self.layers), None)
        if block is not None:
            self._heard.append(witness)
            layer = self.layers[block]
            names = self._of_attention(layer)
            factors = "attention" in names or {"q", "k"} <= {*names}
            self._shared = factors and "v" in names
            call = replace(call, shared=self._shared)
            crossing = self._model.structure.crossing[layer]
            kept = self.across if crossing == len(self._heard) - 1 else self.kept
            for name in names:
                if crossing < 0 and len(self._heard) > 1:  # then there is no one pattern
                    self.kept.pop((name, layer), None)
                else:
                    self._keep(self._reading(layer, call), name, layer, kept)
        return witness

    def _of_attention(self, layer: int) -> list[str]:
        names = [name for name in self._wanted.names.get(layer, ()) if name in OF_ATTENTION]
        heads = any(isinstance(place_of(site), Head) for site in self._wanted.at(layer))
        return [*names, "heads"] if heads else names

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        super()._after(module, args, kwargs, result)
        if module in self.layers and self in _open.get():
            with self._plainly():
                self._left(self.layers[module])
                if not self._length:  # or it was estimated, and taken off the limit
                    self._count(self.layers[module], [first_tensor(args, kwargs), first_tensor((result,), {})])

    def _left(self, layer: int) -> None:
        """Read a block that has just finished, and let go of its modules' tensors."""
        if not self._clone and any(call.overwritten for call in self.calls):
            self.spoilt = True
        found = [weights for _, weights in self._functions.found]
        reading = self._reading(layer, found[0] if len(found) == 1 and not self._heard else None)
        late = [name for name in self._wanted.names.get(layer, ()) if name not in OF_ATTENTION]
        if "attn_out" in late and self._model.structure.plans[layer].cross:
            self._keep_cross_out(reading, layer)
        for name in [*late, *(self._of_attention(layer) if reading.attended is not None else [])]:
            self._keep(reading, name, layer, self.kept)
        for site in self._wanted.at(layer):
            if not isinstance(place_of(site), Head):
                self._keep_site(reading, site)
        self.calls.clear()
        self._heard.clear()
        self._functions.found.clear()

    def _keep(self, reading: RunningBlock, name: str, layer: int, kept: dict[Key, Any]) -> None:
        if name == "heads":  # which are those that read their own stack
            for site in self._wanted.at(layer) if kept is self.kept else ():
                if isinstance(place_of(site), Head):
                    self._keep_site(reading, site)
            return
        try:
            value: Any = reading._open_attention(layer) if name == "attention" else getattr(reading, name)[layer]
        except Unavailable:
            return
        pattern: Any = kept.get(("attention", layer))
        if name in ("q", "k") and hasattr(pattern, "queries"):  # the same numbers, held once
            held = pattern.queries if name == "q" else pattern.keys
            value = held.transpose(0, 1) if held.shape[1] == len(value) else value
        if name != "attention":
            value = value.detach() if self._shared and name in ("q", "k", "v") else _own(value.detach())
        self._hold(kept, (name, layer), value)

    def _keep_cross_out(self, reading: RunningBlock, layer: int) -> None:
        try:
            self._hold(self.kept, ("cross_out", layer), _own(reading._contribution(layer, "cross").detach()))
        except Unavailable:
            return

    def _keep_site(self, reading: RunningBlock, site: Site) -> None:
        try:
            self._hold(self.kept, site, reading.at(site).detach().clone())
        except Unavailable:
            return

    def _hold(self, kept: dict[Key, Any], key: Key, value: Any) -> None:
        kept[key] = value
        self._count(key[1] if isinstance(key, tuple) else key.layer, value)

    def _count(self, layer: int, value: Any) -> None:
        self._storages.update(storages(value))
        total = sum(self._storages.values())
        if self._limit.n_bytes is not None and total > self._limit.n_bytes:
            beside = " beside the residual stream" if self._length else ""
            raise MemoryError(
                f"after layer {layer} of {len(self.layers)} the trace keeps {size(total)}{beside}; "
                f"{self._limit}. Ask for fewer layers with capture={{name: [layers]}}, or for nothing: what is not kept is "
                "recomputed, exactly, when it is read"
            )

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super()._before(module, args, kwargs)
        if module in self.layers and self in _open.get():
            self._functions.found.clear()  # of other stacks
            self._functions.length = self._length or self._running_length(module)

    def _running_length(self, block: nn.Module) -> int:
        """How many positions the stream has that runs through a block."""
        call = next((c for c in reversed(self.calls) if c.module is block), None)
        return 0 if call is None or call.given is None else call.given.shape[:-1].numel()

    def _reading(self, layer: int, attended: AttentionCall | Weights | None) -> RunningBlock:
        block = next(block for block, number in self.layers.items() if number == layer)
        tape = running_tape(
            self._length or self._running_length(block), layer, self.of(block), self._heard, self._editing
        )
        return RunningBlock(self._model, tape, layer, self, attended)


def _own(x: torch.Tensor) -> torch.Tensor:
    """A copy of a part of something much larger, which would be kept alive with it."""
    return x.clone() if x.untyped_storage().nbytes() > 1.5 * x.nbytes else x
