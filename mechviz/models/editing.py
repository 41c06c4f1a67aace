"""Edits at work: hooks that change values while they are open, in the thread or task that opened them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from mechviz._layered import Unavailable
from mechviz.sites import MLP, Attention, Head, Neuron, Residual, Site

from .capture import EditedAttention, edit_attention, read_call
from .edits import Edit, KnockOut
from .factored import build_pattern, knocked_rows, positions_of
from .structure import Structure
from .watch import first_tensor

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

    Raises:
        Unavailable: (on construction) the model has no such site; the message says why.
    """

    module: nn.Module
    blocks: Sequence[nn.Module]
    structure: Structure | None
    edits: Sequence[Edit] = ()
    left: dict[int, torch.Tensor] = field(default_factory=dict)  # what blocks gave before edits of resid_post
    _first: int = 0  # true position of the first token of this pass
    _shape: tuple[int, int] = (1, 1)  # (batch, position) of this pass
    _entered: torch.Tensor | None = None  # the stream that entered the running block

    def __post_init__(self) -> None:
        for edit in self.edits:
            self._check(edit)

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

    def _check(self, edit: Edit) -> None:
        site, structure = edit.site, self.structure
        assert structure is not None
        if site.stack or site.layer >= len(self.blocks):
            raise Unavailable(f"{site}: this model has layers 0 to {len(self.blocks) - 1}")
        plan = structure.plans[site.layer]
        why = ""
        if isinstance(site, Neuron):
            why = plan.no_neurons
        elif isinstance(site, Residual):
            why = plan.no_mid if site.point == "mid" else ""
        elif isinstance(site, MLP):
            why = "" if plan.mlp else "this block has no MLP that could be told apart"
        elif isinstance(site, Attention):
            why = "" if plan.kind else plan.no_mid
        elif structure.functional[site.layer]:
            heads = structure.heads[site.layer]
            if isinstance(edit, KnockOut):
                why = "this model computes attention by itself, so single weights cannot be knocked out"
            elif site.head >= heads:
                why = (
                    f"it has {heads} heads" if heads else "what its heads read does not reach one linear layer as it is"
                )
        elif not structure.dispatched[site.layer]:
            why = "no softmax over the tokens was seen in it"
        if why:
            raise Unavailable(f"{edit.label}: layer {site.layer} cannot be edited there: {why}")

    def _hooks(self) -> Iterator[Any]:
        """Handles of the hooks, registered one after the other."""
        yield self.module.register_forward_pre_hook(self._on_model, prepend=True, with_kwargs=True)
        for layer in sorted({edit.site.layer for edit in self.edits}):
            block, plan = self.blocks[layer], self.structure.plans[layer]  # type: ignore[union-attr]
            yield block.register_forward_pre_hook(self._on_block(layer), with_kwargs=True)
            if self._at(Neuron, layer):
                down = block.get_submodule(plan.neurons[0])
                yield down.register_forward_pre_hook(self._on_input(lambda x, n=layer: self._units(x, n)))
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
        sites = [(edit, edit.site) for edit in self.edits if edit.site.layer == layer and isinstance(edit.site, kind)]
        return [edit for edit, site in sites if not point or getattr(site, "point", "") == point]

    @property
    def _here(self) -> bool:
        return self in _active.get()

    def _on_model(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if self._here:
            seen = getattr(kwargs.get("past_key_values"), "get_seq_length", lambda: 0)
            self._first = int(seen())

    def _on_block(self, layer: int) -> Callable[..., Any]:
        edits = self._at(Residual, layer, "pre")

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            x = first_tensor(args, kwargs)
            if not self._here or x is None:
                return None
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
            new = self._scaled(x, edits, scale)
            if mid and self._entered is not None:
                between = self._entered.reshape(new.shape) + new * scale
                new = new + (self._edited(between, mid) - between) / scale
            return replaced(output, x, new)

        return block.get_submodule(name).register_forward_hook(after)

    def _on_leaving(self, layer: int, edits: list[Edit]) -> Callable[..., Any]:
        def after(module: nn.Module, args: Any, output: Any) -> Any:
            x = first_tensor((output,), {})
            if not self._here or x is None:
                return None
            self.left[layer] = x.detach()
            return replaced(output, x, self._edited(x, edits))

        return after

    def _scaled(self, x: torch.Tensor, edits: Sequence[Edit], scale: float) -> torch.Tensor:
        """Edits of what reaches the stream, which is ``scale`` times what the module gives."""
        if scale == 1:
            return self._edited(x, edits)
        old = x * scale
        new = self._edited(old, edits)
        # What stays the same keeps its bits, and its gradient.
        return torch.where(new == old, x + (new - old) / scale, new / scale)

    def _edited(self, x: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
        """``x``, ``[batch, position, width]`` or with these two axes in one, with every text edited for itself."""
        if not edits:
            return x
        texts = x.reshape(*self._shape, x.shape[-1])
        for edit in edits:
            texts = torch.stack([edit.apply(text, self._first) for text in texts])
        return texts.reshape(x.shape)

    def _units(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        texts = x.reshape(*self._shape, x.shape[-1]).clone()
        for edit in self._at(Neuron, layer):
            n = edit.site.neuron  # type: ignore[union-attr]
            if n >= x.shape[-1]:
                raise Unavailable(f"{edit.label}: layer {layer} has {x.shape[-1]} neurons")
            column = torch.stack([edit.apply(text[:, n], self._first) for text in texts])
            texts = torch.cat([texts[..., :n], column[..., None], texts[..., n + 1 :]], -1)
        return texts.reshape(x.shape)

    def _flat_heads(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        count = self.structure.heads[layer]  # type: ignore[union-attr]
        z = x.reshape(*self._shape, count, x.shape[-1] // count)  # [batch, position, head, dim]
        return self._heads(z, self._at(Head, layer)).reshape(x.shape)

    def _heads(self, z: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
        for edit in edits:
            h = edit.site.head  # type: ignore[union-attr]
            if h >= z.shape[2]:
                raise Unavailable(f"{edit.label}: layer {edit.site.layer} has {z.shape[2]} heads")
            head = torch.stack([edit.apply(text[:, h], self._first) for text in z])
            z = torch.cat([z[:, :, :h], head[:, :, None], z[:, :, h + 1 :]], 2)
        return z

    def _attend(self, edited: EditedAttention, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Stand in for an attention function: see `mechviz.models.capture.edit_attention`."""
        output = edited.function(module, *args, **kwargs)
        for editing in _active.get():
            output = editing._attended(edited, module, args, kwargs, output)
        return output

    def _attended(
        self, edited: EditedAttention, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        edits = [e for e in self.edits if isinstance(e.site, Head) and module in self._modules(e.site.layer)]
        if not edits:
            return output
        z = output[0] if isinstance(output, tuple) else output  # [batch, position, head, dim]
        new = z
        edited.computed = z if edited.computed is None else edited.computed
        for edit in edits:
            if isinstance(edit, KnockOut):
                edited.knocked = (*edited.knocked, edit)
                new = self._without(edit, new, edited, module, args, kwargs, output)
            else:
                new = self._heads(new, [edit])
        return (new, *output[1:]) if isinstance(output, tuple) else new

    def _without(self, edit: KnockOut, z: torch.Tensor, edited: EditedAttention, *call: Any) -> torch.Tensor:
        """``z`` with the rows of one head recomputed from its pattern without the keys knocked out."""
        module, args, kwargs, output = call
        heard = read_call(edited.function, module, args, kwargs, output, detach=False)
        first, head = self._first, edit.site.head  # type: ignore[union-attr]
        if head >= z.shape[2]:
            raise Unavailable(f"{edit.label}: layer {edit.site.layer} has {z.shape[2]} heads")
        rows = [p - first for p in positions_of(edit.positions, first + z.shape[1]) if p >= first]
        if not rows:
            return z
        texts = []
        for batch, text in enumerate(z):
            pattern = build_pattern(heard, batch)
            values = heard.values[batch][head // (z.shape[2] // heard.values.shape[1])][: pattern.shape[2]]
            read = (knocked_rows(pattern, edit, rows) @ values.float()).to(z.dtype)  # [row, dim]
            column = text[:, head].index_put((torch.tensor(rows, device=z.device),), read)
            texts.append(torch.cat([text[:, :head], column[:, None], text[:, head + 1 :]], 1))
        return torch.stack(texts)

    def _modules(self, layer: int) -> set[nn.Module]:
        return set(self.blocks[layer].modules())


def replaced(value: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """Arguments or a result in which ``new`` stands in for ``old``, of the same types."""
    if value is old:
        return new
    if type(value) is tuple or type(value) is list:
        return type(value)(replaced(item, old, new) for item in value)
    if isinstance(value, dict):
        made = {key: replaced(item, old, new) for key, item in value.items()}
        return made if type(value) is dict else type(value)(**made)
    return value
