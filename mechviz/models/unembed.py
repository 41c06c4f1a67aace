"""From the last residual stream to logits: the modules that the model itself runs there, found and proved on a probe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from .watch import ModuleCall, first_tensor

CHUNK_BYTES = 64 << 20  # of float32 logits at a time


@dataclass(frozen=True)
class Unembedding:
    """Final norm, unembedding and what follows it.

    ``x -> scale * module(x)`` for each step in order, then ``finish``: nothing, or a soft cap ``c * tanh(x / c)``.

    Attributes:
        modules: Names of the modules in order.
        scales: What multiplies the input of each, and the logits at the end: one more than there are modules.
        softcap: ``c``, or None.
        vocab: How many of the columns the model keeps.
        casts: The dtype that the model casts the input of each module to; None, or nothing, where it does not.
    """

    modules: tuple[str, ...]
    scales: tuple[float, ...]
    softcap: float | None
    vocab: int
    casts: tuple[torch.dtype | None, ...] = field(default=(), kw_only=True)

    def prepare(self, model: nn.Module, stream: torch.Tensor) -> torch.Tensor:
        """What the last module is given, ``[position, d_model]``, for a stream ``[position, d_model]``."""
        x = stream[None]  # [1, position, d_model]
        casts = self.casts or (None,) * len(self.modules)
        for name, scale, cast in zip(self.modules[:-1], self.scales, casts, strict=False):
            x = first_tensor((model.get_submodule(name)(_cast(_scaled(x, scale), cast)),), {})
            assert x is not None
        return _cast(_scaled(x, self.scales[-2]), casts[-1])[0]

    def logits(self, model: nn.Module, prepared: torch.Tensor) -> torch.Tensor:
        """Logits ``[position, vocab]``, in the model's dtype, of rows that `prepare` gave."""
        x = model.get_submodule(self.modules[-1])(prepared[None])[0, :, : self.vocab]  # [position, vocab]
        x = _scaled(x, self.scales[-1])
        return x if self.softcap is None else torch.tanh(x / self.softcap) * self.softcap

    def chunks(self, model: nn.Module, prepared: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Pieces of `logits`, as ``(positions, logits)``."""
        rows = max(1, CHUNK_BYTES // (4 * self.vocab))
        for first in range(0, len(prepared), rows):
            part = slice(first, min(first + rows, len(prepared)))
            yield part, self.logits(model, prepared[part])


def _cast(x: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    return x if dtype is None else x.to(dtype)


def _scaled(x: torch.Tensor, scale: float) -> torch.Tensor:
    return x if scale == 1 else x * scale


def find_unembedding(
    names: dict[nn.Module, str], calls: Sequence[ModuleCall], stream: torch.Tensor, logits: torch.Tensor
) -> Unembedding | None:
    """Follow the stream from module to module until the logits come out.

    Args:
        names: Names of the modules.
        calls: What every module outside the blocks was given and gave during a probe, in order.
        stream: What left the last block, ``[position, d_model]``.
        logits: The model's own, ``[position, vocab]``.
    """
    for start, call in enumerate(calls):
        factor = _factor(stream, call.input)
        if factor is None or call.output is None or call.module not in names:
            continue
        out = call.output.reshape(-1, call.output.shape[-1])
        assert call.input is not None  # it has a factor
        cast = None if call.input.dtype == stream.dtype else call.input.dtype
        end = _finish(out, logits)
        if end is not None:
            scale, softcap = end
            return Unembedding((names[call.module],), (factor, scale), softcap, logits.shape[-1], casts=(cast,))
        rest = find_unembedding(names, calls[start + 1 :], out, logits)
        if rest is not None:
            modules, scales = (names[call.module], *rest.modules), (factor, *rest.scales)
            return Unembedding(modules, scales, rest.softcap, rest.vocab, casts=(cast, *rest.casts))
    return None


def _factor(given: torch.Tensor, got: torch.Tensor | None) -> float | None:
    """``c`` with ``got == c * given``, or None."""
    if got is None or not got.is_floating_point() or got.numel() != given.numel() or got.shape[-1] != given.shape[-1]:
        return None
    got = got.reshape(given.shape)
    if torch.equal(given.to(got.dtype), got):
        return 1.0
    return _fit(given, got)


def _fit(x: torch.Tensor, y: torch.Tensor) -> float | None:
    x, y = x.double(), y.double()
    factor = float((x * y).sum() / (x * x).sum().clamp_min(1e-300))
    unit = torch.finfo(torch.float32).eps if y.dtype == torch.float64 else torch.finfo(y.dtype).eps
    close = bool(((x * factor - y).abs().amax() <= 16 * unit * y.abs().amax()) & (y.abs().amax() > 0))
    return factor if close else None


def _finish(x: torch.Tensor, logits: torch.Tensor) -> tuple[float, float | None] | None:
    if x.shape[0] != logits.shape[0] or x.shape[-1] < logits.shape[-1]:
        return None
    x = x[:, : logits.shape[-1]]
    if torch.equal(x.to(logits.dtype), logits):
        return 1.0, None
    factor = _fit(x, logits)
    if factor is not None:
        return factor, None
    cap = _cap(x, logits)
    return None if cap is None else (1.0, cap)


def _cap(x: torch.Tensor, logits: torch.Tensor) -> float | None:
    """``c`` with ``logits == c * tanh(x / c)``: by bisection at the largest entry, where the cap shows most, then rounded.

    A half-precision entry says it to a few parts in a thousand; the round number is the one that gives the very bits.
    """
    at = int(x.abs().argmax())
    big, capped = float(x.flatten()[at].abs()), float(logits.flatten()[at].abs())
    if not 0 < capped < big:
        return None
    low, high = capped, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.tanh(big / middle) < capped else (low, middle)
    for cap in (round(high, -1), round(high), round(high, 1), round(high, 2), high):
        if cap > 0 and torch.equal(torch.tanh(x / cap) * cap, logits):
            return float(cap)
    close = ((torch.tanh(x / high) * high - logits).abs() <= 8 * torch.finfo(logits.dtype).eps * high).all()
    return high if bool(close) else None
