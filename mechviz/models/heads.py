"""What the attention heads of a trace look at, read, and write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

import torch
from torch import nn

from mechviz._layered import Layered, Unavailable
from mechviz.pattern import PatternStack

from .capture import AttentionCall
from .factored import TorchDense, TorchFactored, pattern_of
from .functional import FunctionWatch, Weights
from .linear import linear_parts
from .materialise import materialise
from .reading import Reading

RESULT_LIMIT = 1 << 30  # bytes of `result` that one call may make


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
        return PatternStack(make, missing=missing)

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

    def result(
        self, layer: int, heads: Sequence[int] | None = None, positions: Sequence[int] | slice | None = None
    ) -> torch.Tensor:
        """What each head adds to the residual stream, ``[position, head, d_model]`` float32; computed at each call.

        ``result(l).sum(1)`` and the output projection's bias (if it has one) together are ``attn_out[l]``; that is checked.

        Args:
            layer: The layer.
            heads: Which heads, by default all; the check needs them all, and computes with them all.
            positions: Which positions, by default all.

        Raises:
            Unavailable: The layer has no heads, or something other than one linear layer leads from them to the stream.
            MemoryError: It would take more than 1 GiB; the message says what to ask for instead.
        """
        z = self.z[layer]
        projection, flat, target, scale = self._way_out(layer, z)
        rows = range(len(self)) if positions is None else positions
        rows = list(range(len(self))[rows] if isinstance(rows, slice) else rows)
        chosen = list(range(z.shape[1]) if heads is None else heads)
        size = 4 * len(rows) * len(chosen) * target.shape[1]
        if size > RESULT_LIMIT:
            raise MemoryError(
                f"what {len(chosen)} heads add at {len(rows)} positions takes {size / 2**30:.1f} GiB (limit "
                f"{RESULT_LIMIT / 2**30:.0f} GiB); ask for some with heads=[...] or positions=[...]"
            )
        with self.model.lock, self._tape.numerics.restored(), torch.autocast(z.device.type, enabled=False):
            weight, bias = linear_parts(projection, flat)  # [head * dim, d_model], [d_model] or None
            weight = weight.float() * scale
            total = z.reshape(len(z), -1).float() @ weight + (0 if bias is None else bias.float() * scale)
            _check_sum(layer, total, target, z, weight)
            per_head = weight.reshape(z.shape[1], z.shape[2], -1)[chosen]  # [head, dim, d_model]
            return torch.einsum("phd,hdm->phm", z[rows][:, chosen].float(), per_head)

    def _way_out(self, layer: int, z: torch.Tensor) -> tuple[nn.Module, torch.Tensor, torch.Tensor, float]:
        """The output projection, its input, what attention adds to the stream, and the scale between."""
        plan = self._plan(layer)
        if not plan.heads:
            raise Unavailable(
                f"layer {layer} has no result: no linear layer writes what its attention adds to the stream"
            )
        _, calls = self._open_block(layer)
        try:
            flat = plan.check_heads(calls)
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} has no result: {reason}") from None
        if not torch.equal(flat, z.reshape(flat.shape) if flat.numel() == z.numel() else flat[:0]):
            raise Unavailable(
                f"layer {layer} has no result: {plan.heads[0]} is not given what the heads read, as it is"
            )
        wrote, added = (calls[name].output for name in (plan.heads[0], plan.attn))
        assert wrote is not None and added is not None
        if not torch.equal(wrote.flatten(), added.flatten()):
            raise Unavailable(
                f"layer {layer} has no result: {plan.heads[-1]} stands between the heads and the stream, so what single "
                "heads write does not add up to attn_out"
            )
        target = added.detach().reshape(len(self), -1).float() * plan.attn_scale
        return self._block(layer).get_submodule(plan.heads[0]), flat, target, plan.attn_scale

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
                return self._tape.attention(layer)[self._which(layer)]
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


def _check_sum(layer: int, total: torch.Tensor, target: torch.Tensor, z: torch.Tensor, weight: torch.Tensor) -> None:
    size = z.reshape(len(z), -1).float().abs() @ weight.abs()  # what rounding is measured against
    allowed = (16 * torch.finfo(z.dtype).eps + 16 * torch.finfo(torch.float32).eps) * (size + target.abs())
    if not bool(((total - target).abs() <= allowed).all()):
        raise Unavailable(
            f"layer {layer} has no result: the heads' parts and the bias differ from attn_out by "
            f"{float((total - target).abs().max()):.2g}"
        )
