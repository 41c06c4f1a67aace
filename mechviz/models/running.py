"""A block in the middle of a forward pass, read as a trace reads the replay of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from mechviz._layered import Layered, Unavailable
from mechviz.sites import Feature, Head, Site, parse

from .capture import AttentionCall
from .edit import place_of
from .experts import fused_experts
from .functional import Weights
from .heads import HeadReadings
from .streams import StreamReadings
from .tape import Tape
from .wanted import OF_ATTENTION, Wanted
from .watch import ModuleCall, Watch

if TYPE_CHECKING:
    from .editing import Editing
    from .model import Model


def running_tape(
    length: int, layer: int, call: ModuleCall | None, heard: Sequence[torch.Tensor], editing: Editing
) -> Tape:
    """A tape that knows the running block only, and of its attention what was heard so far."""
    blocks, witnesses = cast("Any", {layer: call}), cast("Any", _Heard(layer, tuple(heard)))
    return Tape(length, blocks, witnesses, None, cast("Any", None), editing)


class _Heard:
    """Witnesses by layer, where only the running one has any."""

    def __init__(self, layer: int, witnesses: tuple[torch.Tensor, ...]) -> None:
        self._layer, self._witnesses = layer, witnesses

    def __getitem__(self, layer: int) -> tuple[torch.Tensor, ...]:
        return self._witnesses if layer == self._layer else ()


class RunningBlock(HeadReadings, StreamReadings):
    """The readings of one block, of tensors that its modules have just been given and have just given.

    Args:
        model: The model.
        tape: That of `running_tape`.
        layer: The block's number.
        watch: Holds the calls of the modules in its plan.
        attended: Its attention call, if there was just one.
    """

    def __init__(
        self, model: Model, tape: Tape, layer: int, watch: Watch, attended: AttentionCall | Weights | None
    ) -> None:
        super().__init__(model, cast("Any", None), tape)
        self.attended = attended
        self._layer = layer
        self._watch = watch
        self._opened: tuple[torch.Tensor | None, dict[str, ModuleCall]] | None = None

    def __len__(self) -> int:
        return self._tape.length

    def at(self, site: Site | str) -> torch.Tensor:
        """The values at a site of this stack, whatever it is called."""
        site = parse(site)
        if isinstance(site, Feature):
            return site.dictionary.read(site, self.at(site.dictionary.at))
        return super().at(replace(site, stack=""))

    def _layered(
        self, name: str, read: Callable[[int], torch.Tensor], why_not: Callable[[int], str] = lambda layer: ""
    ) -> Layered[torch.Tensor]:
        reason = why_not(self._layer)
        missing, make = ({self._layer: reason}, {}) if reason else ({}, {self._layer: lambda: read(self._layer)})
        return Layered(make, name=name, missing=missing)

    def _block(self, layer: int) -> nn.Module:
        return self._tape.editing.blocks[layer]

    def _replayed(
        self, layer: int, modules: dict[str, nn.Module], also: AbstractContextManager[Any] | None = None
    ) -> Watch:
        return self._watch

    def _open_block(self, layer: int) -> tuple[torch.Tensor | None, dict[str, ModuleCall]]:
        if self._opened is None:
            self._opened = super()._open_block(layer)
        return self._opened

    def _attended(self, layer: int) -> AttentionCall | Weights:
        if self.attended is None:
            raise Unavailable(f"layer {layer} did not compute one attention pattern")
        return self.attended


def watched_inside(model: Model, layer: int, block: nn.Module, wanted: Wanted, editing: Editing) -> list[nn.Module]:
    """The modules to watch inside a block."""
    names = wanted.names.get(layer, ())
    plan, structure = model.structure.plans[layer], model.structure
    heads = "z" in names or any(isinstance(place_of(site), Head) for site in wanted.at(layer))
    late = [name for name in names if name not in OF_ATTENTION]
    units = [place_of(site) for site in wanted.at(layer)]
    units = [site for site in units if not isinstance(site, Head)]
    found: list[nn.Module] = []
    if late or units or (heads and structure.functional[layer] and editing.edits):
        found = [block.get_submodule(name) for name in plan.names]
    if any(getattr(site, "expert", None) is not None for site in units) and fused_experts(block) is not None:
        found.append(fused_experts(block))
    return found
