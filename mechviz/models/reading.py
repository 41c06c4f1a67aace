"""What every reading of a trace stands on: the tape, the plans of the blocks, and their replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from mechviz._layered import Layered, Unavailable
from mechviz.sites import MLP, Attention, Feature, Head, Neuron, Residual, Site, hook_of, parse
from mechviz.text import Tokens

from .blocks import BlockPlan
from .capture import AttentionCall, Recorder, listen
from .edit import Edit
from .editable import no_neuron
from .editing import Editing
from .experts import Experts, fused_experts, read_experts
from .features import Features
from .tape import Tape, inputs_of
from .watch import ModuleCall, Watch

if TYPE_CHECKING:
    from .dictionary import Dictionary
    from .graph import Graph
    from .model import Model

T = TypeVar("T")


@dataclass(frozen=True)
class _Opened:
    """A replayed block.

    Attributes:
        mid: The stream between attention and MLP, where there is one.
        calls: The calls of the modules in its plan.
        attention: Its attention calls, as far as they were listened to.
    """

    mid: torch.Tensor | None
    calls: dict[str, ModuleCall]
    attention: list[AttentionCall]


class Reading:
    """One text through one model, as a tape whose blocks can be replayed."""

    def __init__(self, model: Model, tokens: Tokens, tape: Tape) -> None:
        self.model = model
        self.tokens = tokens
        self._tape = tape
        self._held: dict[int, _Opened] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def at(self, site: Site | str) -> torch.Tensor:
        """The values at one site: a head's `z` ``[position, d_head]``, a neuron or feature ``[position]``, else ``[position, d_model]``.

        A neuron of an expert is NaN where tokens are not sent to that expert.

        Args:
            site: As an object or a string: "L5H1", "L3N17", "L5.resid_post", "L3.mlp", "L3.attn", "name/1234". A TransformerLens name
                that stands for a whole array, such as "blocks.5.attn.hook_pattern", gives that: ``pattern[5]``.

        Raises:
            Unavailable: The model has no such site, or it could not be proved.
            ValueError: The string is no address.

        Example:
            >>> trace.at("L1H0").shape  # doctest: +SKIP
            torch.Size([24, 12])
        """
        if hook := hook_of(site):
            name, layer = hook
            return self.result(layer) if name == "result" else getattr(self, name)[layer]  # type: ignore[attr-defined]
        site = parse(site)
        if site in self._tape.kept:
            return self._tape.kept[site]
        if site.stack or site.layer >= self.model.n_layers:
            raise Unavailable(f"{site}: {self.model.name} has layers 0 to {self.model.n_layers - 1}")
        if isinstance(site, Residual):
            return getattr(self, f"resid_{site.point}")[site.layer]
        if isinstance(site, (MLP, Attention)):
            return getattr(self, "mlp_out" if isinstance(site, MLP) else "attn_out")[site.layer]
        if isinstance(site, Feature):
            return site.dictionary.read(site, self.at(site.dictionary.at))
        if isinstance(site, Neuron) and site.expert is not None:
            return self._expert_neuron(site, site.expert)
        name, unit = ("z", site.head) if isinstance(site, Head) else ("neurons", site.neuron)
        values = getattr(self, name)[site.layer]
        if unit >= values.shape[1]:
            kind = "heads" if name == "z" else "neurons"
            raise Unavailable(f"{site}: layer {site.layer} has {values.shape[1]} {kind}")
        return values[:, unit]

    def features(self, dictionary: Dictionary) -> Features:
        """The features of a dictionary, ``[position, feature]``, computed when indexed: ``trace.features(d)[:, 1234]``.

        ``.error`` is what they leave unexplained, ``[position, width]``.

        Args:
            dictionary: Which one; its site says which values it encodes.

        Raises:
            Unavailable: The model has no such site, or it could not be proved.
            ValueError: The values are not as wide as the dictionary's directions.
        """
        values = self.at(dictionary.at)
        dictionary.encode(values[:1])  # or it would say much later that it does not fit
        return Features(dictionary, values)

    def experts(self, layer: int) -> Experts:
        """Which experts each token was sent to, and their neurons: `mechviz.models.Experts`.

        Recomputed from what the layer's experts were given, and checked: put together, it is what they wrote.

        Args:
            layer: The layer.

        Raises:
            Unavailable: The layer has no experts that transformers fuses into one module, or the check fails.
        """
        module = fused_experts(self._block(layer))
        if module is None:
            raise Unavailable(f"layer {layer} has no experts that transformers fuses into one module")
        call = self._replayed(layer, {"experts": module}).of(module)
        if call is None or call.output is None:
            raise Unavailable(f"the experts of layer {layer} did not run")
        edits = [edit for edit in self._tape.editing.edits if getattr(edit.site, "expert", None) is not None]
        edits = [edit for edit in edits if edit.site.layer == layer]
        with self.model.lock, self._tape.numerics.restored():
            try:
                return read_experts(module, call.args, call.kwargs, call.output, edits)
            except Unavailable as reason:
                raise Unavailable(f"layer {layer} has no experts that can be trusted: {reason}") from None

    @property
    def _own_logits(self) -> torch.Tensor | None:
        """The model's own logits of the last positions, ``[position, vocab]``; None where it has none."""
        return self._tape.logits

    @property
    def _leading(self) -> Reading:
        """The reading that the logits come from: another one where the model has several stacks."""
        return self

    def _graph_of(self, site: Site) -> tuple[Graph | None, Site]:
        """The graph that may hold a site, and what it calls it."""
        return self._tape.graph, site

    def _again(self, extra: Sequence[Edit]) -> tuple[dict[str, Any], Editing]:
        """What to call the model with to run the text once more, and its edits with others behind them."""
        module, before = self.model.module, self._tape.editing
        editing = Editing(module, before.blocks, self.model.structure, [*before.edits, *extra])
        return inputs_of(module, self.tokens.ids or ()), editing

    def _expert_neuron(self, site: Neuron, expert: int) -> torch.Tensor:
        why = no_neuron(site, "", self._block(site.layer))
        if why:
            raise Unavailable(f"{site}: {why}")
        found = self.experts(site.layer)
        if site.neuron >= found.neurons.shape[-1]:
            raise Unavailable(f"{site}: an expert of layer {site.layer} has {found.neurons.shape[-1]} neurons")
        mine = found.experts == expert  # [position, slot]
        read = (found.neurons[..., site.neuron] * mine).sum(1)
        return torch.where(mine.any(1), read, torch.nan)

    def _layered(
        self, name: str, read: Callable[[int], torch.Tensor], why_not: Callable[[int], str] = lambda layer: ""
    ) -> Layered[torch.Tensor]:
        missing = {layer: reason for layer in range(self.model.n_layers) if (reason := why_not(layer))}
        layers = (layer for layer in range(self.model.n_layers) if layer not in missing)
        make = {layer: partial(self._kept_or, read, name, layer) for layer in layers}
        return Layered(make, name=name, missing=missing)

    def _kept_or(self, read: Callable[[int], T], name: str, layer: int) -> T:
        """What was kept during the pass, else what a replay gives."""
        return self._tape.kept[name, layer] if (name, layer) in self._tape.kept else read(layer)

    def _plan(self, layer: int) -> BlockPlan:
        return self.model.structure.plans[layer]

    def _block(self, layer: int) -> nn.Module:
        return self._tape.blocks[layer].module

    def _replayed(
        self, layer: int, modules: dict[str, nn.Module], also: AbstractContextManager[Any] | None = None
    ) -> Watch:
        with self.model.lock:
            return self._tape.replay(layer, modules.values(), also)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """For a moment a block is not replayed again while its parts, and its attention, are read one after the other."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def _open_block(self, layer: int) -> tuple[torch.Tensor | None, dict[str, ModuleCall]]:
        """Replay a block; its mid stream and the calls of the modules in its plan, with the equations checked."""
        held = self._held
        opened = None if held is None else held.get(layer)
        if opened is None:
            opened = self._open_anew(layer, with_attention=held is not None)
            if held is not None:
                held.clear()  # one at a time: it is a block's worth of memory
                held[layer] = opened
        return opened.mid, opened.calls

    def _attention_held(self, layer: int) -> list[AttentionCall]:
        """The attention calls of a block that is held open; none of any other."""
        held = self._held  # another thread may end the holding meanwhile
        opened = None if held is None else held.get(layer)
        return opened.attention if opened else []

    def _open_anew(self, layer: int, *, with_attention: bool) -> _Opened:
        plan = self._plan(layer)
        modules = {name: self._block(layer).get_submodule(name) for name in plan.names}
        count = len(self._tape.witnesses[layer]) if with_attention and self._tape.alone else 0
        recorder = Recorder()
        watch = self._replayed(layer, modules, listen(recorder) if count else None)
        calls = {name: call for name, module in modules.items() if (call := watch.of(module))}
        for call in calls.values():
            call.unedited = self._tape.editing.unedited.get(call.module)
        try:
            mid = plan.check(calls, self._tape.entering(layer), self._tape.left(layer))
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} cannot be taken apart: {reason}") from None
        # A replay that did not give the same bits at once was made again: the last calls are those of the one that did.
        return _Opened(mid, calls, recorder.calls[-count:] if count else [])
