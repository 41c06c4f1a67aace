"""What one forward pass left behind, read when asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from .._layered import Layered, Unavailable
from ..arrays import Quantity
from ..pattern import PatternStack
from ..text import Tokens
from .capture import Recorder
from .factored import TorchFactored, pattern_of
from .tape import Tape

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

        Opening a layer replays its block up to the attention, then recomputes some rows and compares them with what the
        model's heads read. ``trace.attention.missing`` says which layers have none, and why.
        """
        layers = range(self.model.n_layers)
        return PatternStack({layer: partial(self._open_attention, layer) for layer in layers})

    def _open_attention(self, layer: int) -> TorchFactored:
        recorder = Recorder()
        with self.model.lock:
            self._tape.replay(layer, listener=recorder)
            return pattern_of(recorder.calls[0])

    @cached_property
    def resid_pre(self) -> Layered[torch.Tensor]:
        """The residual stream before each block, ``[position, d_model]``."""
        return self._layered("resid_pre", self._tape.entering)

    @cached_property
    def resid_post(self) -> Layered[torch.Tensor]:
        """The residual stream after each block, ``[position, d_model]``, before any final norm."""
        return self._layered("resid_post", self._tape.leaving)

    def _layered(self, name: str, read: Callable[[int], torch.Tensor]) -> Layered[torch.Tensor]:
        return Layered({layer: partial(read, layer) for layer in range(self.model.n_layers)}, name=name)

    @property
    def logits(self) -> torch.Tensor:
        """The model's logits, ``[position, vocab]``, in its dtype; computed from the tape, and not kept."""
        stream, unembedding = self._end()
        return torch.cat([part for _, part in unembedding.chunks(self.model.module, stream)])

    @cached_property
    def loss(self) -> torch.Tensor:
        """How surprising each token was, ``[position]`` float32: ``loss[i] = -log p(token i | tokens before i)``, in nats.

        ``loss[0]`` is NaN: nothing predicts the first token.
        """
        stream, unembedding = self._end()
        ids = torch.tensor(self.tokens.ids, device=stream.device)
        loss = torch.full((len(ids),), math.nan, device=stream.device)
        for part, logits in unembedding.chunks(self.model.module, stream[:-1]):
            targets = ids[part.start + 1 : part.stop + 1, None]
            loss[part.start + 1 : part.stop + 1] = -logits.float().log_softmax(-1).gather(1, targets)[:, 0]
        guess = math.log(unembedding.vocab)
        loss.quantity = Quantity(  # type: ignore[attr-defined]
            "loss", "nats", scale="ember", limits=(0.0, guess), reference=guess, reference_name="uniform guess"
        )
        return loss

    def _end(self) -> Any:
        unembedding = self.model.structure.unembedding
        if unembedding is None:
            raise Unavailable("no chain of modules leads from the last residual stream to the logits of this model")
        return self._tape.leaving(self.model.n_layers - 1), unembedding

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Trace({len(self)} tokens through {self.model!r}, {self._tape.n_bytes / 1e6:.1f} MB kept)"
