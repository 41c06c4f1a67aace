"""Hand-written modules as models: a thin cover that is called like a transformers model, and the structure by its map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from mechviz._layered import Unavailable

from .blocks import BlockPlan
from .editing import no_edits
from .encode import Encoded
from .functional import FunctionWatch, Weights
from .mapped_trace import MappedTrace
from .model import Model, lock_of
from .site_map import SiteMap
from .structure import PROBE_LENGTH, Stack, probe_inputs
from .tape import Numerics, Tape, inputs_of
from .unembed import Unembedding, find_unembedding
from .watch import ModuleCall, Watch


class Cover(nn.Module):
    """A hand-written module, called as transformers models are: ids in, something with ``.logits`` out.

    The module is held, not changed; the cover has no state of its own.
    """

    def __init__(self, inner: nn.Module, sites: SiteMap) -> None:
        super().__init__()
        self.inner = inner
        self._sites = sites
        self.config = SimpleNamespace(get_text_config=lambda: self.config)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """Whether the module is in training mode."""
        return self.inner.training if "inner" in self._modules else False

    @training.setter
    def training(self, mode: bool) -> None:  # type: ignore[override]
        """The module's own mode counts."""

    def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
        """Call the module with ids ``[1, position]``; it gives logits, or something that holds them."""
        output = self.inner(input_ids)
        logits = getattr(output, "logits", output)
        return SimpleNamespace(logits=logits[0] if isinstance(logits, tuple) else logits)

    def get_input_embeddings(self) -> nn.Module | None:
        """The token embedding, if the map names it."""
        return self.inner.get_submodule(self._sites.embed) if self._sites.embed else None

    def get_output_embeddings(self) -> nn.Module:
        """Something: what it gives is taken for logits, and proved to be before they are shown."""
        return self.inner


class MappedModel(Model):
    """A hand-written module with its `SiteMap`. `mechviz.load` makes it.

    Attributes:
        sites: The map.
    """

    def __init__(self, module: nn.Module, tokenizer: Any, sites: SiteMap) -> None:
        sites.check(module)
        self.sites = sites
        super().__init__(Cover(module, sites), tokenizer, name=type(module).__name__)
        self.lock = lock_of(module)
        self._given: Any = None  # what the module gave in the probe
        self._alone = "hand-written modules get one text at a time"

    def _find_stacks(self) -> tuple[Stack, ...]:
        return (self.sites.stack(self.module.inner),)  # type: ignore[arg-type]

    def _find_structure(self, ids: list[int], weights: str) -> None:
        if self._structure is not None and self._probed == weights:
            return
        blocks = self._stack.blocks
        with no_edits():
            inputs = inputs_of(
                self.module, ids[:PROBE_LENGTH]
            )  # a small module may have room for no more than its task
            found = probe_inputs(self.module, self.stacks, inputs)[self._stack.name]
            watch, called = self._watched(inputs)
        plans = [self._plan_of(block, watch, plan) for block, plan in zip(blocks, found.plans, strict=True)]
        found = replace(found, plans=tuple(plans), unembedding=self._unembedding_of(found.unembedding, watch))
        if len(ids) < PROBE_LENGTH:  # too few for the probe to have looked for a softmax
            made = [[x for place, x in called.found if block in [call.module for call in place]] for block in blocks]
            softmaxes = tuple(any(isinstance(x, Weights) for x in seen) for seen in made)
            found = replace(found, functional=tuple(map(bool, made)), softmaxes=softmaxes)
        self._structure, self._probed = found, weights
        stream = watch.of(blocks[0])
        config: Any = self.module.config
        config.hidden_size = 0 if stream is None or stream.input is None else stream.input.shape[-1]

    def _watched(self, inputs: dict[str, Any]) -> tuple[Watch, FunctionWatch]:
        """What every module was given and gave in one more pass, and the softmaxes in it."""
        watch = Watch([m for m in self.module.modules() if m is not self.module], clone=True)
        called = FunctionWatch(inputs["input_ids"].shape[1], lambda: tuple(watch.running))
        with Numerics.of(self.module).restored(), watch, called:
            self._given = self.module(**inputs).logits
        return watch, called

    def _plan_of(self, block: nn.Module, watch: Watch, auto: BlockPlan) -> BlockPlan:
        """The plan by the names of the map, once it holds in the probe; what the map does not name is what was found."""
        sites, call = self.sites, watch.of(block)
        attn, mlp = (
            sites.attn or auto.attn,
            sites.mlp or (auto.mlp if not sites.attn or sites.attn == auto.attn else ""),
        )
        if call is None or not attn or (auto.kind and (attn, mlp) == (auto.attn, auto.mlp)):
            return auto
        assert call.input is not None and call.output is not None  # or the probe would not have gone through
        pre, post = (x.reshape(-1, x.shape[-1]) for x in (call.input, call.output))
        plain = BlockPlan(
            attn=attn, mlp=mlp, no_neurons="no linear layer was seen to write it; the map may say where they are"
        )
        mid = (sites.mid or mlp,)
        kinds = [replace(plain, kind="sequential", norms=mid), replace(plain, kind="parallel")] if mlp else []
        for plan in kinds or [replace(plain, kind="single", no_neurons="this block has no MLP beside its mixer")]:
            calls = _calls(block, watch, plan.names)
            try:
                plan.check(calls, pre, post)
            except (Unavailable, KeyError):  # a module that was not called
                continue
            return plan
        return BlockPlan(no_neurons="what the map names as attn and mlp does not add up to what the block does")

    def _unembedding_of(self, found: Unembedding | None, watch: Watch) -> Unembedding | None:
        sites = self.sites
        if sites.unembed is None:
            return found or self._last_only(watch)
        vocab = 0 if found is None else found.vocab
        if callable(sites.unembed):
            return _Function((), (1.0,), None, vocab, self.sites)
        modules = tuple(f"inner.{name}" for name in (sites.final_norm, sites.unembed) if name)
        if found is not None and found.modules == modules:
            return found
        return Unembedding(modules, (1.0,) * (len(modules) + 1), None, vocab)

    def _last_only(self, watch: Watch) -> Unembedding | None:
        """The way to the logits of a module that makes those of the last position only."""
        logits, last = self._given, watch.of(self._stack.blocks[-1])
        if (
            not isinstance(logits, torch.Tensor)
            or logits.shape[:-1].numel() != 1
            or last is None
            or last.output is None
        ):
            return None
        inside = {m for block in self._stack.blocks for m in block.modules()}
        calls = [
            replace(call, input=_last(call.input), output=_last(call.output))
            for call in watch.calls
            if call.finished and call.module not in inside
        ]
        names = {m: name for name, m in self.module.named_modules() if name and m is not self.module.inner}
        stream = _last(last.output)
        return None if stream is None else find_unembedding(names, calls, stream[0], logits.reshape(1, -1).detach())

    def _traced(self, text: Encoded, weights: str, tape: Tape) -> MappedTrace:
        tokens = self._tokens(text, weights, [str(edit) for edit in tape.editing.edits])
        if self._structure is not None and self._structure.unembedding is not None and tape.logits is not None:
            way = replace(self._structure.unembedding, vocab=tape.logits.shape[-1])
            self._structure = replace(self._structure, unembedding=way)
        return MappedTrace(self, tokens, tape)

    def generate(self, *args: Any, **options: Any) -> Any:
        """Not for hand-written modules.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"{self.name} is a hand-written module without generate(); trace the answer with its prompt"
        )


@dataclass(frozen=True)
class _Function(Unembedding):
    """An unembedding that the map gives as a function."""

    sites: SiteMap

    def prepare(self, model: nn.Module, stream: torch.Tensor) -> torch.Tensor:
        """The stream, as it is."""
        return stream

    def logits(self, model: nn.Module, prepared: torch.Tensor) -> torch.Tensor:
        """What the function makes of it."""
        function: Any = self.sites.unembed
        return function(model.inner, prepared)


def _calls(block: nn.Module, watch: Watch, names: Sequence[str]) -> dict[str, ModuleCall]:
    return {name: call for name in names if (call := watch.of(block.get_submodule(name)))}


def _last(x: torch.Tensor | None) -> torch.Tensor | None:
    """The last position, ``[1, 1, width]``."""
    return None if x is None or x.dim() < 3 else x[:1, -1:]
