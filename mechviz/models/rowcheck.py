"""The check of every pattern: rows of what the model's heads read, recomputed where the mask rule bites."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from mechviz.pattern import Unavailable

if TYPE_CHECKING:
    from .factored import TorchFactored

CHECK_BYTES = 256 << 20  # that checking a pattern may take for a moment


def check_rows(pattern: TorchFactored, values: torch.Tensor, z: torch.Tensor) -> float:
    """Recompute rows of z, ``[query, head, dim]``, where the mask rule bites, and compare with the model's.

    The tolerance is what rounding explains: a score of size |q| |k| carries an error of its rounding unit, and so does
    every weight; with a wrong scale, mask, cap or bias the error is of the order of the values themselves. Returns the
    largest difference.
    """
    worst = 0.0
    rows = torch.tensor(_rows_to_check(pattern), device=z.device)
    unit, count = torch.finfo(z.dtype).eps, pattern.shape[0]
    together = math.lcm(pattern.group, count // len(values))  # heads that share their key and value heads
    takes = 4 * pattern.shape[2] * (pattern.keys.shape[2] + values.shape[2] + 4 * len(rows))  # bytes per head
    step = together * max(1, CHECK_BYTES // (takes * together))
    for first in range(0, count, step):  # of all heads at once where there is room
        heads = slice(first, min(first + step, count))
        v = _of_heads(values, heads, count)[:, : pattern.shape[2]].float()  # [value head, key, dim]
        p = _rows_of(pattern, heads, rows)  # [head, row, key]
        seen = p.sum(-1) > 0  # rows of padding are whatever the kernel makes of them
        error = (_grouped(p, v) - z[rows, heads].transpose(0, 1).float()).abs().amax(-1)  # [head, row]
        q = pattern.queries[heads][:, rows].float().norm(dim=-1)  # [head, row]
        k = _of_heads(pattern.keys, heads, count).float().norm(dim=-1).amax(-1)  # [key head]
        low, high = torch.aminmax(v.flatten(1), dim=1)  # without a copy of their sizes
        large = [x.repeat_interleave(len(q) // len(x))[:, None] for x in (k, torch.maximum(high, -low))]  # [head, 1]
        allowed = large[1] * unit * (64 + 2 * abs(pattern.scale) * q * large[0])
        worst = max(worst, float(torch.where(seen, error, 0.0).max()))
        bad = seen & ~(error <= allowed)
        if bool(bad.any()):
            head, at = divmod(int(torch.where(bad, error, -1.0).argmax()), len(rows))
            raise Unavailable(
                f"recomputed from queries and keys, row {int(rows[at])} of head {first + head} differs from what the model's "
                f"head read by {float(error[head, at]):.2g} (rounding explains {float(allowed[head, at]):.2g}): this layer "
                "does not compute its attention in a way that mechviz knows"
            )
    return worst


def _of_heads(x: torch.Tensor, heads: slice, count: int) -> torch.Tensor:
    """Those of the key heads ``[key head, key, dim]`` that some of ``count`` heads look at."""
    group = count // len(x)
    return x[heads.start // group : -(-heads.stop // group)]


def _grouped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``x @ y`` of ``[head, row, n]`` and ``[key head, n, m]``, where neighbouring heads share a key head."""
    return (x.reshape(len(y), -1, x.shape[-1]) @ y).reshape(*x.shape[:-1], y.shape[-1])


def _rows_of(pattern: TorchFactored, heads: slice, rows: torch.Tensor) -> torch.Tensor:
    """Rows of several heads, ``[head, row, key]``: what `Factored.rows` gives of one."""
    every = slice(0, pattern.shape[2])
    keys = _of_heads(pattern.keys, heads, pattern.shape[0]).float()
    s = _grouped(pattern.queries[heads][:, rows].float() * pattern.scale, keys.transpose(1, 2))  # [head, row, key]
    if pattern.softcap is not None:
        s = torch.tanh(s / pattern.softcap) * pattern.softcap
    if pattern.bias is not None:
        s = s + _picked(pattern.bias, heads, rows).float()
    rule = type(pattern)(pattern.queries[:1], pattern.keys[:1], causal=pattern.causal_rule, window=pattern.window)
    rule.offset = pattern.offset
    allowed = rule._allowed(0, rows, every)  # [row, key]
    s = s if allowed is None else s.masked_fill(~allowed, -float("inf"))
    s = s if pattern.mask is None else s.masked_fill(~_picked(pattern.mask, heads, rows), -float("inf"))
    total = torch.logsumexp(s, -1, keepdim=True)
    if pattern.sinks is not None:
        sinks = pattern.sinks[heads, None] if pattern.sinks.dim() == 1 else pattern.sinks[heads][:, rows]
        total = torch.logaddexp(total, sinks[..., None])
    return torch.exp(s - torch.where(total == -float("inf"), 0.0, total))


def _picked(x: torch.Tensor, heads: slice, rows: torch.Tensor) -> torch.Tensor:
    """What holds for some heads and rows of ``[1 or head, 1 or query, key]``."""
    x = x[heads] if x.shape[0] > 1 else x
    return x[:, rows] if x.shape[1] > 1 else x


def _rows_to_check(pattern: TorchFactored) -> list[int]:
    last = pattern.shape[1] - 1
    rows = {0, last, *np.random.default_rng(last).integers(0, last + 1, 4).tolist()}
    if pattern.window is not None:
        rows |= {pattern.window - 1, pattern.window, pattern.window + 1}
    if pattern.mask is not None and pattern.mask.shape[1] == 1:
        present = pattern.mask[0, 0].nonzero()
        rows |= {int(present[0]), int(present[-1])} if len(present) else set()
    return sorted(row for row in rows if 0 <= row <= last)
