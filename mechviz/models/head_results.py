"""What each attention head of a trace writes: its part of what attention adds to the residual stream."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mechviz._layered import Unavailable

from .heads import HeadReadings
from .linear import linear_parts

RESULT_LIMIT = 1 << 30  # bytes of `result` that one call may make


class HeadResults(HeadReadings):
    """What a trace says about the way from its heads to the residual stream."""

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
        way = self._way_out(layer, z)
        rows = range(len(self)) if positions is None else positions
        rows = list(range(len(self))[rows] if isinstance(rows, slice) else rows)
        chosen = list(range(z.shape[1]) if heads is None else heads)
        size = 4 * len(rows) * len(chosen) * way[2].shape[1]
        if size > RESULT_LIMIT:
            raise MemoryError(
                f"what {len(chosen)} heads add at {len(rows)} positions takes {size / 2**30:.1f} GiB (limit "
                f"{RESULT_LIMIT / 2**30:.0f} GiB); ask for some with heads=[...] or positions=[...]"
            )
        weight = self._proved_weight(layer, z, *way)[chosen]  # [head, d_head, d_model]
        with torch.autocast(z.device.type, enabled=False):
            return torch.einsum("phd,hdm->phm", z[rows][:, chosen].float(), weight)

    def w_o(self, layer: int) -> torch.Tensor:
        """Each head's part of the output projection, ``[head, d_head, d_model]`` float32: head h adds ``z[l][:, h] @ w[h]``.

        The model's own weights, without their bias, which belongs to no head; proved as `result` is.

        Args:
            layer: The layer.

        Raises:
            Unavailable: As for `result`.
        """
        z = self.z[layer]
        return self._proved_weight(layer, z, *self._way_out(layer, z))

    def _proved_weight(
        self, layer: int, z: torch.Tensor, projection: nn.Module, flat: torch.Tensor, target: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """The projection's matrix ``[head, d_head, d_model]``, once it and its bias make ``target`` of ``z``."""
        with self.model.lock, self._tape.numerics.restored(), torch.autocast(z.device.type, enabled=False):
            weight, bias = linear_parts(projection, flat)  # [head * dim, d_model], [d_model] or None
            weight = weight.float() * scale
            total = z.reshape(len(z), -1).float() @ weight + (0 if bias is None else bias.float() * scale)
            _check_sum(layer, total, target, z, weight)
            return weight.reshape(z.shape[1], z.shape[2], -1)

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


def _check_sum(layer: int, total: torch.Tensor, target: torch.Tensor, z: torch.Tensor, weight: torch.Tensor) -> None:
    size = z.reshape(len(z), -1).float().abs() @ weight.abs()  # what rounding is measured against
    allowed = (16 * torch.finfo(z.dtype).eps + 16 * torch.finfo(torch.float32).eps) * (size + target.abs())
    if not bool(((total - target).abs() <= allowed).all()):
        raise Unavailable(
            f"layer {layer} has no result: the heads' parts and the bias differ from attn_out by "
            f"{float((total - target).abs().max()):.2g}"
        )
