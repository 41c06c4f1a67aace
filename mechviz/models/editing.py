"""Edits at work: hooks that change values while they are open, in the thread or task that opened them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from mechviz.sites import MLP, Attention, Head, Neuron, Residual, Site

from .capture import EditedAttention, edit_attention
from .edit import Edit
from .editable import check_edit
from .edited_heads import edited_attention, edited_heads
from .edited_values import edited_neurons, edited_texts
from .experts import edited_experts, fused_experts
from .structure import Structure
from .watch import first_tensor, replaced

_active: ContextVar[tuple[Editing, ...]] = ContextVar("mechviz_active_edits", default=())
Replace = Callable[[torch.Tensor], torch.Tensor]


def active_edits(module: nn.Module) -> list[Edit]:
    """The edits that are open here for a model: those of `Model.edited`."""
    return [edit for editing in _active.get() if editing.module is module for edit in editing.edits]


@contextmanager
def no_edits() -> Iterator[None]:
    """Run without the edits that are open here."""
    token = _active.set(())
    try:
        yield
    finally:
        _active.reset(token)


@dataclass(eq=False)
class Editing:
    """Edits of one model, to be opened round forward passes: ``with editing.open(): model(...)``.

    Args:
        module: The model.
        blocks: Its blocks.
        structure: What is known of them.
        edits: The edits, made in this order.
        stack: The blocks' name, where the model has other stacks.
        cached: Whether generation goes on from a cache of them, so that a pass may begin in the middle of a text.

    Raises:
        Unavailable: (on construction) the model has no such site; the message says why.
    """

    module: nn.Module
    blocks: Sequence[nn.Module]
    structure: Structure | None
    edits: Sequence[Edit] = ()
    stack: str = ""
    cached: bool = True
    left: dict[int, torch.Tensor] = field(default_factory=dict)  # what blocks gave before edits of resid_post
    unedited: dict[nn.Module, torch.Tensor] = field(default_factory=dict)  # what modules gave before edits of that
    _first: int = 0  # true position of the first token of this pass
    _shape: tuple[int, int] = (1, 1)  # (batch, position) of this pass
    _calls: dict[int, int] = field(default_factory=dict)  # layer -> how often it called attention
    _entered: torch.Tensor | None = None  # the stream that entered the running block

    def __post_init__(self) -> None:
        for edit in self.edits:
            assert self.structure is not None
            check_edit(edit, self.blocks, self.structure, self.stack)

    @contextmanager
    def open(self, *, alone: bool = False) -> Iterator[None]:
        """Make the edits meanwhile. ``alone`` leaves out those that are open already."""
        before = () if alone else _active.get()
        token = _active.set((*before, self))
        with ExitStack() as stack:
            stack.callback(_active.reset, token)
            stack.enter_context(edit_attention(self._attend))
            if self.edits:
                for handle in self._hooks():
                    stack.callback(handle.remove)
            yield

    def _hooks(self) -> Iterator[Any]:
        """Handles of the hooks, registered one after the other."""
        yield self.module.register_forward_pre_hook(self._on_model, prepend=True, with_kwargs=True)
        for layer in sorted({edit.place.layer for edit in self.edits}):
            block, plan = self.blocks[layer], self.structure.plans[layer]  # type: ignore[union-attr]
            yield block.register_forward_pre_hook(self._on_block(layer), with_kwargs=True)
            experts, neurons = self._neurons(layer)
            if experts:
                module = fused_experts(block)
                yield module.register_forward_hook(self._on_experts(experts), with_kwargs=True)
            if neurons:
                down = block.get_submodule(plan.neurons[0])
                yield down.register_forward_pre_hook(self._on_input(partial(self._units, neurons)))
            if self._at(Head, layer) and self.structure.functional[layer]:  # type: ignore[union-attr]
                out = block.get_submodule(plan.heads[0])
                yield out.register_forward_pre_hook(self._on_input(lambda x, n=layer: self._flat_heads(x, n)))
            mid = self._at(Residual, layer, "mid")
            if plan.kind == "post-norm" and mid:
                yield self._watch_output(block, plan.norms[0], mid, 1.0)
            elif self._at(Attention, layer) or mid:
                yield self._watch_output(block, plan.attn, self._at(Attention, layer), plan.attn_scale, mid)
            if self._at(MLP, layer):
                yield self._watch_output(block, plan.mlp, self._at(MLP, layer), plan.mlp_scale)
            if self._at(Attention, layer) and plan.kind == "post-norm" and mid:
                yield self._watch_output(block, plan.attn, self._at(Attention, layer), plan.attn_scale)
            if post := self._at(Residual, layer, "post"):
                yield block.register_forward_hook(self._on_leaving(layer, post))

    def _at(self, kind: type[Site], layer: int, point: str = "") -> list[Edit]:  # type: ignore[valid-type]
        sites = [(edit, edit.place) for edit in self.edits]
        sites = [(edit, site) for edit, site in sites if site.layer == layer and isinstance(site, kind)]
        return [edit for edit, site in sites if not point or getattr(site, "point", "") == point]

    def _neurons(self, layer: int) -> tuple[list[Edit], list[Edit]]:
        """Edits of experts' neurons, and of others."""
        edits = self._at(Neuron, layer)
        return tuple([e for e in edits if (e.site.expert is None) == plain] for plain in (False, True))  # type: ignore[union-attr, return-value]

    @property
    def _here(self) -> bool:
        return self in _active.get()

    def _on_model(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if self._here and self.cached:
            seen = getattr(kwargs.get("past_key_values"), "get_seq_length", lambda: 0)
            self._first = int(seen())

    def _on_block(self, layer: int) -> Callable[..., Any]:
        edits = self._at(Residual, layer, "pre")

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            x = first_tensor(args, kwargs)
            if not self._here or x is None:
                return None
            self._calls[layer] = 0
            self._shape = (1, x.shape[0]) if x.dim() == 2 else (x.shape[0], x.shape[1])
            new = self._edited(x, edits)
            self._entered = new
            return (replaced(args, x, new), replaced(kwargs, x, new)) if edits else None

        return enter

    def _on_input(self, change: Replace) -> Callable[..., Any]:
        def before(module: nn.Module, args: tuple[Any, ...]) -> Any:
            return replaced(args, args[0], change(args[0])) if self._here else None

        return before

    def _watch_output(
        self, block: nn.Module, name: str, edits: list[Edit], scale: float, mid: Sequence[Edit] = ()
    ) -> Any:
        def after(module: nn.Module, args: Any, output: Any) -> Any:
            x = first_tensor((output,), {})
            if not self._here or x is None:
                return None
            self.unedited[module] = x.detach()
            new = self._edited(x, edits, scale)
            if mid and self._entered is not None:
                between = self._entered.reshape(new.shape) + new * scale
                new = new + (self._edited(between, mid) - between) / scale
            return replaced(output, x, new)

        return block.get_submodule(name).register_forward_hook(after)

    def _on_experts(self, edits: list[Edit]) -> Callable[..., Any]:
        def after(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
            x = first_tensor((output,), {})
            if not self._here or x is None:
                return None
            return replaced(output, x, edited_experts(module, (args, kwargs), x, edits, self._shape, self._first))

        return after

    def _on_leaving(self, layer: int, edits: list[Edit]) -> Callable[..., Any]:
        def after(module: nn.Module, args: Any, output: Any) -> Any:
            x = first_tensor((output,), {})
            if not self._here or x is None:
                return None
            self.left[layer] = x.detach()
            return replaced(output, x, self._edited(x, edits))

        return after

    def _edited(self, x: torch.Tensor, edits: Sequence[Edit], scale: float = 1.0) -> torch.Tensor:
        return edited_texts(x, edits, self._shape, self._first, scale)

    def _units(self, edits: list[Edit], x: torch.Tensor) -> torch.Tensor:
        return edited_neurons(x, edits, self._shape, self._first)

    def _flat_heads(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        count = self.structure.heads[layer]  # type: ignore[union-attr]
        z = x.reshape(*self._shape, count, x.shape[-1] // count)  # [batch, position, head, dim]
        return edited_heads(z, self._at(Head, layer), self._first).reshape(x.shape)

    def _attend(self, edited: EditedAttention, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Stand in for an attention function: see `mechviz.models.capture.edit_attention`."""
        output = edited.function(module, *args, **kwargs)
        for editing in _active.get():
            edits = editing._of_heads(module)
            if edits:
                output = edited_attention(edited, edits, editing._first, (module, args, kwargs, output))
        return output

    def _of_heads(self, module: nn.Module) -> list[Edit]:
        """Edits of the heads that are computed by an attention call of a module."""
        layers = {edit.place.layer for edit in self.edits if isinstance(edit.place, Head)}
        layer = next((layer for layer in layers if module in set(self.blocks[layer].modules())), None)
        if layer is None:
            return []
        number = self._calls[layer] = self._calls.get(layer, 0) + 1
        crossing = self.structure.crossing if self.structure else ()
        reads_another_stack = bool(crossing) and crossing[layer] == number - 1
        return [] if reads_another_stack else self._at(Head, layer)
