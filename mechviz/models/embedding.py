"""What enters the first block, taken apart: the rows of the token table, those of the positions, and what stands behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mechviz._layered import Unavailable

from .capture import StopForward
from .tape import WeightsMoved
from .unembed import _fit
from .watch import ModuleCall, Watch, first_tensor, replaced

if TYPE_CHECKING:
    from .trace import Trace

MOST = 6  # modules that may be parts of the sum


@dataclass(frozen=True)
class Embeddings:
    """``stream = behind(token + position + others)``, proved on the text itself.

    Attributes:
        token: What the table of tokens adds, ``[position, d_model]``, with the factor that the model gives it.
        position: What a table of positions adds, or None.
        behind: Names of the modules between the sum and the first block, such as a norm.
    """

    token: torch.Tensor
    position: torch.Tensor | None
    behind: tuple[str, ...]


def embeddings(trace: Trace) -> Embeddings:
    """Run the model up to its first block once more, and find the sum that enters it.

    Raises:
        Unavailable: What enters the first block is no sum of rows of tables that could be found.
        WeightsMoved: Something else enters it than at the forward pass.
    """
    first = trace._block(0)
    inside = {m for block in trace._tape.blocks for m in block.module.modules()}
    names = {m: name for name, m in trace.model.module.named_modules() if name and m not in inside}
    inputs, editing = trace._again(())
    entered: list[torch.Tensor] = []

    def stop(module: nn.Module, args: Any, kwargs: Any) -> None:
        x = first_tensor(args, kwargs)
        if x is not None:
            entered.append(x.detach())
        raise StopForward

    watch = Watch(names)
    with trace.model.lock, trace._tape.numerics.restored(), editing.open(alone=True), watch:
        handle = first.register_forward_pre_hook(stop, prepend=True, with_kwargs=True)
        try:
            with suppress(StopForward):
                trace.model.module(**inputs)
        finally:
            handle.remove()
    stream = _rows(entered[0] if entered else None, len(trace))
    edited = any(edit.place == "L0.resid_pre" for edit in trace._tape.editing.edits)  # then it is another one
    if stream is None or not (edited or _close(stream, trace._tape.entering(0))):
        raise WeightsMoved("the model's embeddings have changed since this trace was made: trace the text again")
    with trace.model.lock, trace._tape.numerics.restored():
        found = _sum_of(stream, [call for call in watch.calls if call.finished], names, trace.tokens.ids or ())
    if found is None:
        raise Unavailable(
            f"what enters layer 0 of {trace.model.name} is no sum of rows of tables (of tokens, of positions), with or without "
            "a module behind it"
        )
    return found


def _sum_of(
    stream: torch.Tensor, calls: Sequence[ModuleCall], names: dict[nn.Module, str], ids: Sequence[int]
) -> Embeddings | None:
    """Go back from the stream, module by module, until rows of tables add up to what was there."""
    behind: list[str] = []
    target, length = stream, len(stream)
    leaves = [call for call in calls if not any(True for _ in call.module.children())]
    while True:
        tables = [(call, rows) for call in leaves if (rows := _rows(call.output, length)) is not None]
        tables = [(call, rows) for call, rows in tables if rows.shape == target.shape and call.module in names]
        for parts, scale in _ways(target, tables, ids):
            others = [rows for _, rows in parts[1:]]
            moving = [rows for rows in others if len(rows) < 2 or not torch.equal(rows[:1].expand_as(rows), rows)]
            if len(moving) > 1:
                continue  # which of them is of positions?
            return Embeddings(parts[0][1] * scale, moving[0] if moving else None, tuple(behind))
        step = next((c for c in reversed(leaves) if _equal(c.output, target) and not _equal(c.input, target)), None)
        given = None if step is None else _rows(step.input, length)
        if step is None or given is None or not given.is_floating_point():
            return None
        behind.insert(0, names[step.module])
        leaves = leaves[: leaves.index(step)]
        target = given


Part = tuple[ModuleCall, torch.Tensor]


def _ways(target: torch.Tensor, tables: list[Part], ids: Sequence[int]) -> Iterator[tuple[list[Part], float]]:
    """Sums ``scale * tokens + others`` that are the target: tables whose rows follow the ids, and the scale."""
    for token in [part for part in tables if _follows(part, ids)]:
        others = [part for part in tables if part[0].module is not token[0].module][-MOST:]
        for count in range(len(others) + 1):
            for chosen in combinations(others, count):
                rest = target.float() - sum((rows.float() for _, rows in chosen), torch.zeros(()).to(target.device))
                scale = 1.0 if _close(token[1].float(), rest, target) else _fit(token[1], rest.to(target.dtype))
                if scale is not None and _close(token[1].float() * scale, rest, target):
                    yield [token, *chosen], scale


def _follows(part: Part, ids: Sequence[int]) -> bool:
    """Whether a module was given the very ids, and what it makes of a token is the same wherever that stands."""
    call, rows = part
    given = call.given
    if given is None or given.is_floating_point() or given.flatten().tolist() != list(ids):
        return False
    other = given.flip(-1) if len(ids) > 1 else torch.cat([given, given], -1)
    made = call.module(*replaced(call.args, given, other), **replaced(call.kwargs, given, other))
    turned = _rows(first_tensor((made,), {}), other.numel())
    return turned is not None and torch.equal(turned, rows.flip(0) if len(ids) > 1 else rows.expand(2, -1))


def _rows(x: torch.Tensor | None, length: int) -> torch.Tensor | None:
    """``[position, width]`` of ``[1, position, width]`` and the like."""
    if x is None or x.dim() < 2 or x.shape[-2] != length or x.shape[:-1].numel() != length:
        return None
    return x.detach().reshape(length, x.shape[-1])


def _equal(x: torch.Tensor | None, target: torch.Tensor) -> bool:
    return x is not None and x.numel() == target.numel() and torch.equal(x.detach().reshape(target.shape), target)


def _close(x: torch.Tensor, y: torch.Tensor, like: torch.Tensor | None = None) -> bool:
    """The same but for rounding, in the dtype of ``like``."""
    like = y if like is None else like
    size = torch.maximum(x.abs().amax(), y.abs().amax()).clamp_min(like.abs().amax())
    return x.shape == y.shape and bool(((x - y).abs() <= 4 * torch.finfo(like.dtype).eps * size).all())
