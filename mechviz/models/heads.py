"""What the attention heads of a trace look at and read."""

from __future__ import annotations

from functools import cached_property, partial

import torch

from mechviz._key_values import BehindKeys
from mechviz._layered import Layered, Unavailable
from mechviz.pattern import PatternStack

from .capture import AttentionCall
from .factored import TorchDense, TorchFactored, pattern_of
from .functional import FunctionWatch, Weights
from .materialise import materialise
from .reading import Reading


class HeadReadings(Reading):
    """What a trace says about attention heads."""

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
                make[layer] = partial(self._kept_or, self._open_attention, "attention", layer)
        if not make:
            raise Unavailable(f"{self.model.name} has no attention to show: {missing[0]}")
        return PatternStack(make, missing=missing, behind=BehindKeys(self))

    @property
    def pattern(self) -> PatternStack:
        """The same as `attention`, by the name that one layer's has: ``trace.pattern[5]``."""
        return self.attention

    @cached_property
    def q(self) -> Layered[torch.Tensor]:
        """Queries as they enter the dot product, ``[position, head, d_head]``: after rotary embedding and normalisation."""
        return self._layered("q", lambda layer: self._factor(layer, "queries"), self._no_factors)

    @cached_property
    def k(self) -> Layered[torch.Tensor]:
        """Keys as they enter the dot product, ``[position, key head, d_head]``.

        With grouped queries there are fewer key heads than heads: head ``h`` looks at key head ``h // (heads / key heads)``.
        """
        return self._layered("k", lambda layer: self._factor(layer, "keys"), self._no_factors)

    @cached_property
    def v(self) -> Layered[torch.Tensor]:
        """Values, ``[position, key head, d_head]``; grouped as `k` is."""
        return self._layered("v", lambda layer: self._factor(layer, "values"), self._no_attention)

    @cached_property
    def z(self) -> Layered[torch.Tensor]:
        """What each head reads, ``[position, head, d_head]``: the values, weighted by its pattern."""
        return self._layered("z", lambda layer: self._factor(layer, "z"), self._no_attention)

    def materialised(self, layer: int) -> TorchDense:
        """A layer's attention as the matrix that the model's own eager code makes, ``[head, query, key]``.

        For layers that ``trace.attention`` refuses because their rows cannot be recomputed from queries and keys. The matrix
        takes the memory that such matrices take, and is checked: times the values it must give what the heads read.

        Args:
            layer: The layer.

        Raises:
            Unavailable: The layer has no such code, or its weights do not give what the heads read.
            WeightsMoved: The model has changed since the trace was made.
        """
        reason = self._no_attention(layer)
        if reason:
            raise Unavailable(f"layer {layer} has no attention pattern: {reason}")
        with self.model.lock:
            return materialise(self._tape, layer, self._which(layer))

    def _which(self, layer: int) -> int:
        """Which attention call of a layer is meant: where one reads another stack, the other one."""
        return 1 if self.model.structure.crossing[layer] == 0 else 0

    def _no_attention(self, layer: int) -> str:
        calls = len(self._tape.witnesses[layer])
        if calls > 1 and self.model.structure.crossing[layer] < 0:
            return f"it calls attention {calls} times, so there is no one pattern"
        if calls or self.model.structure.functional[layer]:
            return ""
        kinds = sorted({type(m).__name__ for m in self._block(layer).children() if list(m.children())})
        return f"no softmax over the tokens was seen in it (it holds {', '.join(kinds) or 'no modules'})"

    def _no_factors(self, layer: int) -> str:
        reason = self._no_attention(layer)
        if not reason and self.model.structure.softmaxes[layer]:
            return "it computes its attention itself, as a matrix of weights; its queries and keys are not seen"
        return reason

    def _factor(self, layer: int, name: str) -> torch.Tensor:
        count = self.model.structure.heads[layer]
        if name == "z" and count and self._tape.editing.edits:  # edits of such heads are made where they are read
            _, calls = self._open_block(layer)
            read = calls[self._plan(layer).heads[0]].input
            assert read is not None  # the probe saw that it is what the heads read, side by side
            return read.detach().reshape(len(self), count, -1)
        call = self._attended(layer)
        if isinstance(call, Weights):
            x = call.z if name == "z" else call.values
            if x is None:
                raise Unavailable(
                    f"layer {layer} has no {name[0]}: its weights are not multiplied with values as a matrix"
                )
            return x
        return call.z[0] if name == "z" else getattr(call, name)[0].transpose(0, 1)  # [position, head, dim]

    def _attended(self, layer: int) -> AttentionCall | Weights:
        with self.model.lock:
            if self._tape.witnesses[layer]:
                calls = self._attention_held(layer) or self._tape.attention(layer)
                return calls[self._which(layer)]
            watch = FunctionWatch(len(self))
            self._tape.replay(layer, also=watch)
        if len(watch.found) != 1:
            raise Unavailable(f"layer {layer} computed {len(watch.found)} attention patterns where one was expected")
        return watch.found[0][1]

    def _open_attention(self, layer: int) -> TorchFactored | TorchDense:
        call = self._attended(layer)
        if isinstance(call, Weights):
            return TorchDense(call.pattern)
        try:
            return pattern_of(call)
        except Unavailable as reason:
            raise Unavailable(
                f"layer {layer} has no attention pattern that can be trusted: {reason}. trace.materialised({layer}) asks its "
                "eager code for the whole matrix"
            ) from None
