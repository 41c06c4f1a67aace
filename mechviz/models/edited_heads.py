"""Edits of what attention heads read, and of whom they attend to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mechviz._layered import Unavailable

from .capture import EditedAttention, read_call
from .edit import Edit, KnockOut
from .factored import build_pattern, knocked_rows, positions_of


def edited_heads(z: torch.Tensor, edits: Sequence[Edit], first: int) -> torch.Tensor:
    """What heads read, ``[batch, position, head, dim]``, with every text edited for itself; the first position is ``first``."""
    for edit in edits:
        h = _head(edit, z)
        head = torch.stack([edit.apply(text[:, h], first) for text in z])
        z = torch.cat([z[:, :, :h], head[:, :, None], z[:, :, h + 1 :]], 2)
    return z


def edited_attention(edited: EditedAttention, edits: Sequence[Edit], first: int, call: tuple[Any, ...]) -> Any:
    """The output of an attention function with edits made to it; ``call`` is its module, arguments and output."""
    output = call[-1]
    z = output[0] if isinstance(output, tuple) else output  # [batch, position, head, dim]
    new = z
    edited.computed = z if edited.computed is None else edited.computed
    for edit in edits:
        if isinstance(edit, KnockOut):
            edited.knocked = (*edited.knocked, edit)
            new = _without(edit, new, edited, first, call)
        else:
            new = edited_heads(new, [edit], first)
    return (new, *output[1:]) if isinstance(output, tuple) else new


def _without(
    edit: KnockOut, z: torch.Tensor, edited: EditedAttention, first: int, call: tuple[Any, ...]
) -> torch.Tensor:
    """``z`` with the rows of one head recomputed from its pattern without the keys knocked out."""
    heard = read_call(edited.function, *call, detach=False)
    head = _head(edit, z)
    rows = [p - first for p in positions_of(edit.positions, first + z.shape[1]) if p >= first]
    if not rows:
        return z
    texts = []
    for batch, text in enumerate(z):
        pattern = build_pattern(heard, batch)
        values = heard.values[batch][head // (z.shape[2] // heard.values.shape[1])][: pattern.shape[2]]
        read = (knocked_rows(pattern, edit, rows) @ values.float()).to(z.dtype)  # [row, dim]
        column = text[:, head].index_put((torch.tensor(rows, device=z.device),), read)
        texts.append(torch.cat([text[:, :head], column[:, None], text[:, head + 1 :]], 1))
    return torch.stack(texts)


def _head(edit: Edit, z: torch.Tensor) -> int:
    head = edit.place.head  # type: ignore[union-attr]
    if head >= z.shape[2]:
        raise Unavailable(f"{edit.label}: layer {edit.place.layer} has {z.shape[2]} heads")
    return head
