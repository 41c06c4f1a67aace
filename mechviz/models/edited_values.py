"""Edits of tensors that hold several texts: each text is edited for itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mechviz._layered import Unavailable

from .edit import Edit


def edited_texts(
    x: torch.Tensor, edits: Sequence[Edit], shape: tuple[int, int], first: int, scale: float = 1.0
) -> torch.Tensor:
    """``x``, ``[batch, position, width]`` or with these two axes in one, edited.

    Args:
        x: The values.
        edits: The edits, all of these values.
        shape: ``(batch, position)``.
        first: The true position of row 0.
        scale: What is edited is ``scale`` times the values.
    """
    if not edits:
        return x
    old = x if scale == 1 else x * scale
    new = old.reshape(*shape, x.shape[-1])
    for edit in edits:
        new = torch.stack([edit.apply(text, first) for text in new])
    new = new.reshape(x.shape)
    # What stays the same keeps its bits, and its gradient.
    return new if scale == 1 else torch.where(new == old, x + (new - old) / scale, new / scale)


def edited_neurons(x: torch.Tensor, edits: Sequence[Edit], shape: tuple[int, int], first: int) -> torch.Tensor:
    """Neurons, ``[batch, position, neuron]`` or with the first two axes in one, with single ones edited.

    Raises:
        Unavailable: There is no such neuron.
    """
    texts = x.reshape(*shape, x.shape[-1]).clone()
    for edit in edits:
        n = edit.site.neuron  # type: ignore[union-attr]
        if n >= x.shape[-1]:
            raise Unavailable(f"{edit.label}: layer {edit.site.layer} has {x.shape[-1]} neurons")
        column = torch.stack([edit.apply(text[:, n], first) for text in texts])
        texts = torch.cat([texts[..., :n], column[..., None], texts[..., n + 1 :]], -1)
    return texts.reshape(x.shape)
