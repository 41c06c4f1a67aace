"""From the last residual stream to one logit as a direction: the final norm's scale frozen at what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mechviz._layered import Unavailable

from .linear import linear_parts
from .unembed import Unembedding

if TYPE_CHECKING:
    from .trace import Trace

FrozenStep = tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]  # w -> A^T w, and b, of x -> A x + b


@dataclass(frozen=True)
class Readout:
    """``logit = direction · stream + offset`` at one position, for a token or the difference of two.

    Attributes:
        direction: ``[d_model]`` float64, on the CPU.
        offset: What the biases behind the stream give: the final norm's and the unembedding's.
        logit: The model's own logit, or difference of logits.
        cap: What the soft cap multiplies the tokens' logits with here, frozen too: one for each; 1 without a cap.
        frozen: Whether there is a norm whose scale depends on the stream.
    """

    direction: torch.Tensor
    offset: float
    logit: float
    cap: tuple[float, ...]
    frozen: bool


def readout(trace: Trace, ids: tuple[int, ...], position: int) -> Readout:
    """The direction whose product with the stream is the logit of ``ids[0]`` (less that of ``ids[1]``) at a position.

    Raises:
        Unavailable: The way from the stream to the logits is no chain of linear layers and norms, as far as can be proved.
    """
    module, way = trace.model.module, trace._unembedding
    with trace.model.lock, trace._tape.numerics.restored(), torch.autocast(trace.model.device.type, enabled=False):
        prepared = trace._prepared()[position : position + 1]  # [1, d_model]
        own = way.logits(module, prepared)[0].double().cpu()  # [vocab]
        raw = replace(way, softcap=None)
        plain = raw.logits(module, prepared)[0].double().cpu()
        caps = tuple(float(own[i] / plain[i]) if way.softcap and plain[i] else 1.0 for i in ids)
        direction, offset = torch.zeros(prepared.shape[-1], dtype=torch.float64), 0.0
        for i, sign, cap in zip(ids, (1.0, -1.0), caps, strict=False):
            row, bias = _row(raw, module, prepared, i)
            direction, offset = direction + sign * cap * row, offset + sign * cap * bias
        x, steps = trace._tape.leaving(trace.model.n_layers - 1)[position].double().cpu(), []
        for name, scale in zip(way.modules[:-1], way.scales, strict=False):
            step = module.get_submodule(name)
            steps.append((scale, *freeze(step, name, scale * x, trace.model.device)))
            x = _run(step, scale * x, trace.model.device)
        direction = direction * way.scales[-2]
        for scale, back, bias in reversed(steps):
            offset += float(bias @ direction)
            direction = scale * back(direction)
    logit = sum(sign * float(own[i]) for i, sign in zip(ids, (1.0, -1.0), strict=False))
    return Readout(direction, offset, logit, caps, bool(steps))


def _row(way: Unembedding, module: nn.Module, prepared: torch.Tensor, token: int) -> tuple[torch.Tensor, float]:
    """The row of the unembedding that a token's logit is the product with, and its bias."""
    with torch.enable_grad():
        x = prepared.detach().clone().requires_grad_()
        logit = way.logits(module, x)[0, token]
        (row,) = torch.autograd.grad(logit, x)
    bias = float(way.logits(module, torch.zeros_like(prepared))[0, token])
    row = row[0].double().cpu()
    x = prepared[0].double().cpu()
    size = float(row.abs() @ x.abs()) + abs(bias)
    if abs(float(row @ x) + bias - float(logit)) > 64 * torch.finfo(prepared.dtype).eps * size:
        raise Unavailable("the unembedding is not linear, so no direction gives a logit")
    return row, bias


def freeze(module: nn.Module, name: str, x: torch.Tensor, device: torch.device) -> FrozenStep:
    """A norm (or linear layer) between stream and unembedding as ``x -> A x + b``, with the scale that it has at ``x``.

    What kind of norm it is decides an equation, not a name: ``f(x) = g * (x - c * mean(x)) / s(x) + b`` with c 0 or 1. The
    gains g are read off at a vector of ones and minus ones, b at zero, and 1/s(x) from f(x).

    Raises:
        Unavailable: The module is neither.
    """
    y, bias = _run(module, x, device), _run(module, torch.zeros_like(x), device)
    signs = torch.ones_like(x)
    signs[1::2] = -1
    seen = _run(module, signs, device) - bias
    if seen.shape == x.shape:
        for centred in (0.0, 1.0):
            gains = seen / (signs - centred * signs.mean())
            made = gains * (x - centred * x.mean())
            scale = float(made @ (y - bias) / (made @ made).clamp_min(1e-300))
            if bool(((scale * made + bias - y).abs() <= 2e-5 * (y.abs() + made.abs() * abs(scale)).amax()).all()):
                return _diagonal(scale * gains, centred), bias
    with suppress(Exception):  # whatever this module is, a linear layer it is not
        weights = next(module.parameters(), None)
        matrix, _ = linear_parts(module, x.to(device if weights is None or weights.is_meta else weights.device))
        matrix = matrix.double().cpu()
        if bool(((x @ matrix + bias - y).abs() <= 1e-4 * (x.abs() @ matrix.abs() + y.abs())).all()):
            return lambda w: matrix @ w, bias
    raise Unavailable(f"{name} ({type(module).__name__}) stands before the unembedding, and is neither norm nor linear")


def _diagonal(gains: torch.Tensor, centred: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def back(w: torch.Tensor) -> torch.Tensor:
        return gains * w - centred * (gains * w).mean()

    return back


def _run(module: nn.Module, x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """What a module makes of a vector, in float32 also where the model is kept in half of that."""
    weights: Any = next(module.parameters(), None)
    half = weights is not None and weights.dtype in (torch.float16, torch.bfloat16)
    if half:
        module = copy.deepcopy(module).float()
    dtype = torch.float32 if weights is None or half else weights.dtype
    if weights is not None and weights.device.type != "meta":  # with device_map= not all of a model is in one place
        device = weights.device
    with torch.no_grad():
        return module(x.to(device, dtype)[None, None])[0, 0].double().cpu()
