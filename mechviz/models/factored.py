"""Factored patterns on torch tensors, made from a captured attention call and checked against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

from mechviz.arrays import to_numpy
from mechviz.pattern import ArrayPattern, Factored, Unavailable

from .capture import AttentionCall

PORTABLE_CELLS = 1 << 24
CHECK_BYTES = 256 << 20  # that checking a pattern may take for a moment


class TorchOps:
    """`mechviz.pattern.NumpyOps` for torch."""

    where: ClassVar[Callable[..., Any]] = staticmethod(torch.where)
    exp: ClassVar[Callable[..., Any]] = staticmethod(torch.exp)
    tanh: ClassVar[Callable[..., Any]] = staticmethod(torch.tanh)
    maximum: ClassVar[Callable[..., Any]] = staticmethod(torch.maximum)

    @staticmethod
    def real(x: torch.Tensor, *, name: str) -> torch.Tensor:
        """Any tensor."""
        return x.detach()

    @staticmethod
    def float32(x: torch.Tensor) -> torch.Tensor:
        """As float32, without a copy where it is already."""
        return x.float()

    @staticmethod
    def positions(count: int, like: torch.Tensor) -> torch.Tensor:
        """0, 1, … count - 1, where ``like`` lives."""
        return torch.arange(count, device=like.device)

    @staticmethod
    def filled(shape: tuple[int, ...], value: float, like: torch.Tensor) -> torch.Tensor:
        """A float32 tensor of one value, where ``like`` lives."""
        return torch.full(shape, value, dtype=torch.float32, device=like.device)

    @staticmethod
    def above_diagonal(x: torch.Tensor) -> torch.Tensor:
        """``[query, key]`` with everything at key <= query set to 0."""
        return x.triu(1)

    @staticmethod
    def amax(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        """Largest entry over ``axes``; NaN wins."""
        return x.amax(dim=axes)

    @staticmethod
    def softmax_parts(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(top, Σ exp(x - top))`` over the last axis, kept as an axis of length 1; ``x`` is overwritten."""
        top = x.amax(dim=-1, keepdim=True)
        return top, x.sub_(torch.where(top == -float("inf"), 0.0, top)).exp_().sum(dim=-1, keepdim=True)


class TorchFactored(Factored):
    """`mechviz.pattern.Factored` on torch tensors: what it returns is float32 on the model's device."""

    ops: ClassVar[Any] = TorchOps
    queries: torch.Tensor
    keys: torch.Tensor
    check_error: float | None = None  # largest difference that `pattern_of` found

    def portable(self) -> Factored:
        """The same pattern in numpy, which computes the very bits that a saved trace gives, opened without torch.

        Itself where an accelerator is so much quicker that the last bit does not count: for many tokens.
        """
        if self.queries.device.type != "cpu" and math.prod(self.shape) > PORTABLE_CELLS:
            return self
        parts = {name: None if x is None else to_numpy(x, name=name) for name, x in self.parts().items()}
        whole = {name: None if x is None else np.ascontiguousarray(x) for name, x in parts.items()}
        options = {name: getattr(self, name) for name in ("scale", "window", "offset", "softcap", "names")}
        return Factored(**whole, causal=self.causal_rule, **options)  # type: ignore[arg-type]

    def parts(self) -> dict[str, torch.Tensor | None]:
        """What it is made of, by the names that `mechviz.pattern.Factored` takes them under."""
        return {name: getattr(self, name) for name in ("queries", "keys", "sinks", "bias", "mask")}


class TorchDense(ArrayPattern):
    """A pattern that the model itself made as a matrix, on a torch tensor."""

    ops: ClassVar[Any] = TorchOps
    array: torch.Tensor
    check_error: float | None = None  # as that of `TorchFactored`, for one that was made from its rows


def pattern_of(call: AttentionCall, batch: int = 0) -> TorchFactored | TorchDense:
    """The pattern of one text of a captured call, proved by recomputing rows of the model's own head outputs.

    Args:
        call: What `Recorder` kept.
        batch: Which text of the batch.

    Raises:
        Unavailable: The rows do not agree, or the call is of a kind that has no pattern; the message says which.
    """
    if call.dropout:
        raise Unavailable(f"attention dropout ({call.dropout}) was active, so the weights used are not the pattern")
    try:
        pattern = _build(call, batch)
    except ValueError as reason:
        raise Unavailable(f"its queries, keys and mask do not fit together: {reason}") from None
    if tuple(call.z.shape[1:3]) != (pattern.shape[1], pattern.shape[0]):
        raise Unavailable(f"its heads read {tuple(call.z.shape)}, which is not (batch, query, head, dim)")
    pattern.check_error = _check(
        pattern, call.values[batch], (call.z if call.computed is None else call.computed)[batch]
    )
    if not call.knocked:
        return pattern
    dense = pattern.dense()
    for knock in call.knocked:
        rows = positions_of(knock.positions, pattern.shape[1])
        dense[knock.site.head, rows] = knocked_rows(pattern, knock, rows)
    changed = TorchDense(dense, causal=pattern.causal)
    changed.check_error = pattern.check_error
    return changed


def positions_of(positions: tuple[int, ...] | None, length: int) -> list[int]:
    """Positions counted from the start, those that a text of that length has; None is all of them."""
    chosen = range(length) if positions is None else [p + length * (p < 0) for p in positions]
    return [p for p in chosen if 0 <= p < length]


def knocked_rows(pattern: TorchFactored, knock: Any, rows: list[int]) -> torch.Tensor:
    """Rows of a head without the keys that are knocked out, ``[row, key]``; see `mechviz.models.edits.knock_out`."""
    head, keys = knock.site.head, pattern.shape[2]
    gone = positions_of(knock.keys, keys)
    scores = pattern.scores(head, rows, slice(0, keys))  # [row, key]
    hidden = torch.zeros(keys, dtype=torch.bool, device=scores.device)
    hidden[gone] = True
    if knock.renormalise:
        scores = scores.masked_fill(hidden, -float("inf"))
    return pattern.softmax(head, scores, rows).masked_fill(hidden, 0.0)


def build_pattern(call: AttentionCall, batch: int = 0) -> TorchFactored:
    """The pattern of one text of a call, not checked; `pattern_of` checks it."""
    return _build(call, batch)


def _build(call: AttentionCall, batch: int) -> TorchFactored:
    queries, keys = call.queries[batch], call.keys[batch]
    if not call.shared:
        queries, keys = _own(queries), _own(keys)
    mask, bias = call.mask, None if call.bias is None else _one(call.bias, batch)
    causal, window = call.causal, call.window
    if mask is not None and not isinstance(mask, torch.Tensor):
        raise Unavailable(f"the attention mask is a {type(mask).__name__}, which mechviz cannot read")
    if mask is not None and mask.dim() == 2:  # padding, [batch, key]
        mask = mask[batch].bool()[None, None]
        mask = None if bool(mask.all()) else mask
    elif mask is not None:
        mask, added = _split(_one(mask, batch)[..., : keys.shape[1]])
        bias = added if bias is None else bias if added is None else bias + added
        rule = _describe(mask, queries.shape[1])
        if rule is not None:
            causal, (window, mask) = True, rule
        elif mask.shape[1] > 1 and torch.equal(mask, mask[:, :1].expand_as(mask)):  # padding, the same for every query
            mask = None if bool(mask.all()) else mask[:, :1].clone()
    if bias is not None:
        bias = bias[..., : keys.shape[1]]
    return TorchFactored(
        queries,
        keys,
        call.scale,
        causal=causal,
        window=window,
        offset=call.offset,
        softcap=call.softcap,
        sinks=call.sinks if call.sinks is None or call.sinks.dim() < 4 else _one(call.sinks, batch),
        bias=bias,
        mask=mask,
    )


def _one(x: torch.Tensor, batch: int) -> torch.Tensor:
    return x[batch if x.shape[0] > 1 else 0]


def _own(x: torch.Tensor) -> torch.Tensor:
    """A copy if ``x`` is a view that would keep much more memory alive (fused queries, keys and values)."""
    return x.clone() if x.untyped_storage().nbytes() > 1.5 * x.nbytes else x


def _split(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A mask as (True where a query may look, what is added to the scores there or None)."""
    if mask.dtype == torch.bool:
        return mask, None
    allowed = mask > torch.finfo(mask.dtype).min / 2  # models write "never" as -inf or as the dtype's minimum
    added = mask.masked_fill(~allowed, 0)
    return allowed, added if bool(added.any()) else None


def _describe(allowed: torch.Tensor, queries: int) -> tuple[int | None, torch.Tensor | None] | None:
    """``(window, key mask)`` if the mask ``[1, query, key]`` is causal with a window and padding, else None.

    A rule takes no memory. Rows before the first key that may be seen are padding and not compared: models fill them
    as their kernels like.
    """
    if allowed.shape[0] != 1 or allowed.shape[1] != queries or allowed.shape[2] != queries:
        return None
    grid = allowed[0]
    present = grid.diagonal()  # [key]
    real = present.nonzero()
    if not len(real):
        return None
    start, last = int(real[0]), int(real[-1])
    oldest = int(grid[last].nonzero()[0])
    window = last - oldest + 1 if oldest > start else None
    there = torch.arange(queries, device=grid.device)
    for first in range(start, queries, 1024):
        here = there[first : first + 1024, None]
        rule = (there <= here) & present
        if window is not None:
            rule &= there > here - window
        if not torch.equal(rule, grid[first : first + 1024]):
            return None
    return window, None if bool(present.all()) else present[None, None].clone()


def _check(pattern: TorchFactored, values: torch.Tensor, z: torch.Tensor) -> float:
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
    rule = TorchFactored(pattern.queries[:1], pattern.keys[:1], causal=pattern.causal_rule, window=pattern.window)
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
