"""What one forward pass left behind, read when asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from mechviz._layered import Layered, Unavailable
from mechviz.arrays import Quantity
from mechviz.pattern import PatternStack
from mechviz.text import Tokens

from .blocks import BlockPlan
from .capture import AttentionCall
from .factored import TorchDense, TorchFactored, pattern_of
from .fingerprint import fingerprint
from .functional import FunctionWatch
from .tape import Tape, WeightsMoved
from .unembed import Unembedding
from .watch import ModuleCall

if TYPE_CHECKING:
    from .model import Model


class Trace:
    """One text through one model. It holds the residual stream; the rest is recomputed, exactly, when first read.

    One text has no batch axis. Everything is a torch tensor on the model's device, or gives one.

    ======================  ============================  ==================================================
    here                    shape                         TransformerLens
    ======================  ============================  ==================================================
    ``resid_pre[l]``        ``[position, d_model]``       ``blocks.l.hook_resid_pre``
    ``resid_mid[l]``        ``[position, d_model]``       ``blocks.l.hook_resid_mid``
    ``resid_post[l]``       ``[position, d_model]``       ``blocks.l.hook_resid_post``
    ``neurons[l]``          ``[position, neuron]``        ``blocks.l.mlp.hook_post``
    ``attention[l]``        ``(head, query, key)``        ``blocks.l.attn.hook_pattern`` (as a `Pattern`)
    ``logits``              ``[position, vocab]``         ``unembed.hook_out``
    ``loss``                ``[position]``                ``loss_per_token``, one place later (see `loss`)
    ======================  ============================  ==================================================

    Attributes:
        model: The `Model`.
        tokens: The text's tokens, with the provenance of everything in the trace.
    """

    def __init__(self, model: Model, tokens: Tokens, tape: Tape) -> None:
        self.model = model
        self.tokens = tokens
        self._tape = tape

    @cached_property
    def attention(self) -> PatternStack:
        """Attention probabilities of every layer that has them, opened when indexed: ``trace.attention[5].dense()``.

        Opening a layer replays its block up to the attention, then recomputes rows and compares them with what the model's
        heads read. ``trace.attention.missing`` says which layers have none, and why.

        Raises:
            Unavailable: No layer has softmax attention.
        """
        make, missing = {}, {}
        for layer in range(self.model.n_layers):
            reason = self._no_attention(layer)
            if reason:
                missing[layer] = reason
            else:
                make[layer] = partial(self._open_attention, layer)
        if not make:
            raise Unavailable(f"{self.model.name} has no attention to show: {missing[0]}")
        return PatternStack(make, missing=missing)

    def _no_attention(self, layer: int) -> str:
        calls = len(self._tape.witnesses[layer])
        if calls > 1:
            return f"it calls attention {calls} times, so there is no one pattern"
        if calls or self.model.structure.functional[layer]:
            return ""
        kinds = sorted({type(m).__name__ for m in self._block(layer).children() if list(m.children())})
        return f"no softmax over the tokens was seen in it (it holds {', '.join(kinds) or 'no modules'})"

    def _open_attention(self, layer: int) -> TorchFactored | TorchDense:
        with self.model.lock:
            if self._tape.witnesses[layer]:
                return self._proved(layer, self._tape.attention(layer)[0])
            watch = FunctionWatch(len(self))
            self._tape.replay(layer, also=watch)
        if len(watch.found) != 1:
            raise Unavailable(f"layer {layer} computed {len(watch.found)} attention patterns where one was expected")
        found = watch.found[0][1]
        return TorchDense(found) if isinstance(found, torch.Tensor) else self._proved(layer, found)

    def _proved(self, layer: int, call: AttentionCall) -> TorchFactored:
        try:
            return pattern_of(call)
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} has no attention pattern that can be trusted: {reason}") from None

    @cached_property
    def resid_pre(self) -> Layered[torch.Tensor]:
        """The residual stream before each block, ``[position, d_model]``."""
        return self._layered("resid_pre", self._tape.entering)

    @cached_property
    def resid_mid(self) -> Layered[torch.Tensor]:
        """The residual stream between attention and MLP, ``[position, d_model]``.

        Replayed when indexed and not kept. ``trace.resid_mid.missing`` says where there is none, and why.
        """
        return self._layered("resid_mid", self._open_mid, lambda layer: self._plan(layer).no_mid)

    @cached_property
    def resid_post(self) -> Layered[torch.Tensor]:
        """The residual stream after each block, ``[position, d_model]``, before any final norm."""
        return self._layered("resid_post", self._tape.leaving)

    @cached_property
    def neurons(self) -> Layered[torch.Tensor]:
        """Activations of each MLP's neurons, ``[position, neuron]``: the input of its down projection.

        For a gated MLP that is ``act(gate) * up``. Replayed when indexed and not kept; ``trace.neurons.missing`` says where
        there are none, and why.
        """
        return self._layered("neurons", self._open_neurons, lambda layer: self._plan(layer).no_neurons)

    def _layered(
        self, name: str, read: Callable[[int], torch.Tensor], why_not: Callable[[int], str] = lambda layer: ""
    ) -> Layered[torch.Tensor]:
        missing = {layer: reason for layer in range(self.model.n_layers) if (reason := why_not(layer))}
        make = {layer: partial(read, layer) for layer in range(self.model.n_layers) if layer not in missing}
        return Layered(make, name=name, missing=missing)

    def _plan(self, layer: int) -> BlockPlan:
        return self.model.structure.plans[layer]

    def _block(self, layer: int) -> nn.Module:
        return self._tape.blocks[layer].module

    def _open_mid(self, layer: int) -> torch.Tensor:
        mid, _ = self._open_block(layer)
        assert mid is not None
        return mid

    def _open_neurons(self, layer: int) -> torch.Tensor:
        _, calls = self._open_block(layer)
        try:
            return self._plan(layer).check_neurons(calls)
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} has no neurons that can be trusted: {reason}") from None

    def _open_block(self, layer: int) -> tuple[torch.Tensor | None, dict[str, ModuleCall]]:
        """Replay a block; its mid stream and the calls of the modules in its plan, with the equations checked."""
        plan = self._plan(layer)
        modules = {name: self._block(layer).get_submodule(name) for name in plan.names}
        with self.model.lock:
            watch = self._tape.replay(layer, modules.values())
        calls = {name: call for name, module in modules.items() if (call := watch.of(module))}
        try:
            return plan.check(calls, self._tape.entering(layer), self._tape.leaving(layer)), calls
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} cannot be taken apart: {reason}") from None

    @property
    def logits(self) -> torch.Tensor:
        """The model's logits, ``[position, vocab]``, in its dtype; computed from the tape each time, and not kept.

        Raises:
            Unavailable: The way from the residual stream to the logits was not found, or does not give the model's own.
            WeightsMoved: It gives others than at the forward pass.
        """
        with self.model.lock, self._tape.numerics.restored():
            return torch.cat([part for _, part in self._unembedding.chunks(self.model.module, self._prepared())])

    @cached_property
    def loss(self) -> torch.Tensor:
        """How surprising each token was, ``[position]`` float32: ``loss[i] = -log p(token i | tokens before i)``, in nats.

        ``loss[0]`` is NaN: nothing predicts the first token.

        Raises:
            Unavailable: As for `logits`.
            WeightsMoved: As for `logits`.
        """
        with self.model.lock, self._tape.numerics.restored():
            prepared = self._prepared()
            ids = torch.tensor(self.tokens.ids, device=prepared.device)  # [position]
            loss = torch.full((len(ids),), math.nan, device=prepared.device)
            for part, logits in self._unembedding.chunks(self.model.module, prepared[:-1]):
                following = slice(part.start + 1, part.stop + 1)
                surprise = -logits.float().log_softmax(-1).gather(1, ids[following, None].to(logits.device))
                loss[following] = surprise[:, 0].to(loss.device)
        guess = math.log(self._unembedding.vocab)
        loss.quantity = Quantity(  # type: ignore[attr-defined]
            "loss", "nats", scale="ember", limits=(0.0, guess), reference=guess, reference_name="uniform guess"
        )
        return loss

    @property
    def _unembedding(self) -> Unembedding:
        found = self.model.structure.unembedding
        if self._tape.logits is None:
            raise Unavailable(f"{self.model.name} has no unembedding, so no logits and no loss")
        if found is None:
            raise Unavailable(
                f"no chain of modules leads from the last residual stream of {self.model.name} to its logits"
            )
        return found

    def _prepared(self) -> torch.Tensor:
        """What the unembedding is given, ``[position, d_model]``, once its logits of the last position are the model's."""
        module, unembedding = self.model.module, self._unembedding
        prepared = unembedding.prepare(module, self._tape.leaving(self.model.n_layers - 1))
        own = self._tape.logits
        assert own is not None  # or there would be no unembedding
        ours = unembedding.logits(module, prepared[len(prepared) - len(own) :])
        if torch.equal(ours, own):
            return prepared
        if fingerprint(module) != self.tokens.provenance["weights"]:
            raise WeightsMoved("the model's weights have changed since this trace was made: trace the text again")
        error, size = float((ours - own).abs().max()), float(own.abs().max())
        if not error <= 64 * torch.finfo(own.dtype).eps * size:
            raise Unavailable(f"logits computed from the residual stream differ from the model's own by {error:.2g}")
        return prepared

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        notes = [f"{len(self)} tokens", f"residual tape {self._tape.n_bytes / 1e6:.1f} MB"]
        without = [layer for layer in range(self.model.n_layers) if self._no_attention(layer)]
        if without:
            notes.append(f"no attention in layers {without}")
        for name in ("resid_mid", "neurons"):
            missing = getattr(self, name).missing
            if missing:
                notes.append(f"no {name} in layers {list(missing)}")
        return f"Trace through {self.model!r}: {'; '.join(notes)}"
