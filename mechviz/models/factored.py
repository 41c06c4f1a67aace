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
from .rowcheck import check_rows

PORTABLE_CELLS = 1 << 24


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
        # Of a long text they stay where they are, strides and all: a copy would be as large as what the trace keeps.
        small = math.prod(self.shape) <= PORTABLE_CELLS
        whole = {name: np.ascontiguousarray(x) if small and x is not None else x for name, x in parts.items()}
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
    pattern.check_error = check_rows(
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
