"""Labels for positions that are no tokens of a text: patches of an image, frames of a sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import nn

from mechviz.text import Patches, Tokens, as_tokens


def tokens_of_inputs(model: nn.Module, length: int, inputs: Mapping[str, Any], provenance: Mapping[str, Any]) -> Tokens:
    """What stands at each position of a stream that no ids went into.

    Patches are labelled "row,column" from the top left, with whatever the model puts in front of them ("CLS", then
    "extra 1", …), and ``.patches`` says where they are; other streams are numbered: "frame 0", "frame 1", … for a sound.

    Args:
        model: The model.
        length: Positions of the stream.
        inputs: What the model was called with.
        provenance: Of the trace.
    """
    pixels = inputs.get("pixel_values")
    special = rows = columns = 0
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
        patches=(Patches(special, rows, columns),) if rows else (),
    )


def with_patches(tokens: Tokens, model: nn.Module, inputs: Mapping[str, Any]) -> Tokens:
    """Tokens of a text beside an image, its image tokens marked as patches.

    A stretch of image tokens is marked where its rows and columns are beyond doubt: as many as the image has patches, or
    as squares of so many patches that the model merges into one.
    """
    config: Any = model.config
    image = next((i for name in _IMAGE_IDS if (i := getattr(config, name, None)) is not None), None)
    if image is None or tokens.ids is None:
        return tokens
    runs = list(_runs(tokens.ids, image))
    grids = _grids(model, inputs, len(runs))
    if len(grids) != len(runs):
        return tokens
    shapes = [_merged(*grid, length) for grid, (_, length) in zip(grids, runs, strict=True)]
    if None in shapes:  # one that is not understood leaves open which image is whose
        return tokens
    found = [Patches(start, *shape) for (start, _), shape in zip(runs, shapes, strict=True) if shape]
    return dataclasses.replace(tokens, patches=tuple(found))


_IMAGE_IDS = ("image_token_id", "image_token_index")


def _runs(ids: Sequence[int], wanted: int) -> Iterator[tuple[int, int]]:
    """Start and length of every stretch of one id."""
    for same, group in groupby(enumerate(ids), key=lambda item: item[1] == wanted):
        if same:
            positions = [position for position, _ in group]
            yield positions[0], len(positions)


def _merged(rows: int, columns: int, length: int) -> tuple[int, int] | None:
    """Rows and columns of so many tokens that stand for the patches of one image, squares of them merged alike."""
    sides = range(1, min(rows, columns) + 1)
    fits = (n for n in sides if rows % n == 0 == columns % n and rows * columns == length * n * n)
    return next(((rows // n, columns // n) for n in fits), None)


def _grids(model: nn.Module, inputs: Mapping[str, Any], images: int) -> list[tuple[int, int]]:
    """Rows and columns of patches of every image; none where they are not known."""
    sizes = inputs.get("image_grid_thw")  # of images of any size, as Qwen2-VL reads them
    if sizes is not None:
        listed = torch.as_tensor(sizes).reshape(-1, 3).tolist()
        return [(int(rows), int(columns)) for time, rows, columns in listed if time == 1]
    pixels = inputs.get("pixel_values")
    if not isinstance(pixels, torch.Tensor) or pixels.dim() != 4:
        return []
    rows, columns = _grid(model, pixels, pixels.shape[-2] * pixels.shape[-1])
    return [(rows, columns)] * images if rows else []


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
