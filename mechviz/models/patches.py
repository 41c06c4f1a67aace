"""Labels for positions that are no tokens of a text: patches of an image, frames of a sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mechviz.text import Tokens, as_tokens


def tokens_of_inputs(model: nn.Module, length: int, inputs: Mapping[str, Any], provenance: Mapping[str, Any]) -> Tokens:
    """What stands at each position of a stream that no ids went into.

    Patches are labelled "row,column" from the top left, with whatever the model puts in front of them ("CLS", then
    "extra 1", …); other streams are numbered: "frame 0", "frame 1", … for a sound.

    Args:
        model: The model.
        length: Positions of the stream.
        inputs: What the model was called with.
        provenance: Of the trace.
    """
    pixels = inputs.get("pixel_values")
    special = 0
    if isinstance(pixels, torch.Tensor) and pixels.dim() == 4:
        rows, columns = _grid(model, pixels, length)
        special = length - rows * columns
        labels = ["CLS", *(f"extra {i}" for i in range(1, special))][:special]
        labels += [f"{row},{column}" for row in range(rows) for column in range(columns)]
    elif any(name in inputs for name in ("input_features", "input_values")):
        labels = [f"frame {i}" for i in range(length)]
    else:
        labels = [str(i) for i in range(length)]
    tokens = as_tokens(labels)
    return dataclasses.replace(
        tokens,
        special=tuple(i < special for i in range(length)),
        role=tuple("CLS" if i == 0 < special else None for i in range(length)),
        provenance={**provenance, "bos": False},
    )


def _grid(model: nn.Module, pixels: torch.Tensor, length: int) -> tuple[int, int]:
    """Rows and columns of patches; 0 where they are more than the stream has positions, or no size of theirs is known."""
    config: Any = model.config
    for part in (config, getattr(config, "vision_config", None), getattr(config, "encoder", None)):
        size = getattr(part, "patch_size", None)
        if size:
            high, wide = size if isinstance(size, (list, tuple)) else (size, size)
            rows, columns = pixels.shape[-2] // high, pixels.shape[-1] // wide
            if 0 < rows * columns <= length:
                return rows, columns
    return 0, 0
