"""Images that `mv.attention` draws patches over: what was given, found among the tokens, and sent as bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz.arrays import to_numpy
from mechviz.text import Patches, as_tokens

# Pixels of the longer side that travel; larger pictures are made smaller.
LONGEST = 512
_ACCEPTED = "(height, width), (height, width, channel) or (channel, height, width) with 1, 3 or 4 channels"


@dataclass(frozen=True, eq=False)
class Image:
    """An image whose patches are tokens, for ``mv.attention(..., image=)``.

    The pixels must be all that the patches cover: where a processor crops, give what it made (``pixel_values``), not the
    file that it read.

    Args:
        pixels: ``[height, width]``, ``[height, width, channel]`` or ``[channel, height, width]`` with 1, 3 or 4 channels,
            also with a batch of one in front: numpy, torch, or a PIL image. Whole numbers are 0 … 255, floats 0 … 1.
            Floats beyond that have been normalised: give `mean` and `std`, or they are stretched from their least to
            their largest number, which is said below the picture.
        start: The position of the first patch; by default where ``tokens.patches`` says.
        rows: Patches down.
        columns: Patches across.
        mean: What was subtracted, one number or one for each channel (``processor.image_mean``).
        std: What it was divided by then (``processor.image_std``).

    Raises:
        TypeError: `pixels` are no real numbers, or `start`, `rows`, `columns` are no whole numbers.
        ValueError: `pixels` have another shape, or are not finite or outside of 0 … 255; only one of `mean` and `std`, or
            some of `start`, `rows` and `columns`, are given.
    """

    pixels: Any
    start: int | None = None
    rows: int | None = None
    columns: int | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    levels: np.ndarray = field(init=False, repr=False)  # [height, width] or [height, width, 3], uint8
    said: str = field(init=False, repr=False)  # what was done to the numbers

    def __post_init__(self) -> None:
        """Check what can be checked without the tokens."""
        given = [value is not None for value in (self.start, self.rows, self.columns)]
        if any(given) and not all(given):
            raise ValueError("image must have all of start=, rows= and columns=, or none where the tokens say them")
        if (self.mean is None) != (self.std is None):
            raise ValueError("image must have both of mean= and std=, or neither")
        levels, said = _levels(self.pixels, self.mean, self.std)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "said", said)

    @property
    def patches(self) -> Patches | None:
        """Where its patches are, where that was given."""
        if self.start is None or self.rows is None or self.columns is None:
            return None
        try:
            return Patches(index(self.start), index(self.rows), index(self.columns))
        except TypeError:
            raise TypeError(
                f"image must have whole numbers start, rows and columns; got {self.start!r}, {self.rows!r}, "
                f"{self.columns!r}"
            ) from None


@dataclass(frozen=True)
class Placed:
    """Patches of one image among queries and keys, and its pixels where they are known."""

    query: int | None  # position of the first patch among the queries
    key: int | None
    rows: int
    columns: int
    image: Image | None


def placed(tokens: Any, key_tokens: Any, image: Any) -> tuple[Any, Any, list[Placed]]:
    """Tokens that know their patches, and the patches with their images.

    Args:
        tokens: As the caller gave them; left as they are where there is no image.
        key_tokens: The same; None where they are the same tokens.
        image: An image, a list of images in the order of their patches, or None.

    Raises:
        ValueError: There are more images than stretches of patches, or fewer; or the tokens say of no patches, and the
            image neither.
    """
    images = _images(image)
    if images and any(one.patches for one in images):
        if not all(one.patches for one in images):
            raise ValueError("image must say start=, rows= and columns= of every image, or of none")
        marks = tuple(one.patches for one in images if one.patches)
        order = sorted(range(len(marks)), key=lambda i: marks[i])
        images = [images[i] for i in order]
        if key_tokens is None:
            tokens = dataclasses.replace(as_tokens(tokens), patches=marks)
        else:  # what is read
            key_tokens = dataclasses.replace(as_tokens(key_tokens, name="key_tokens"), patches=marks)
            tokens = dataclasses.replace(as_tokens(tokens), patches=())
    known = [getattr(tokens, "patches", ()), getattr(tokens if key_tokens is None else key_tokens, "patches", ())]
    queries, keys = ([one for one in side if isinstance(one, Patches)] for side in known)
    if [one[1:] for one in queries] == [one[1:] for one in keys]:
        found = [Placed(q.start, k.start, q.rows, q.columns, None) for q, k in zip(queries, keys, strict=True)]
    else:
        found = [Placed(None, k.start, k.rows, k.columns, None) for k in keys]
        found += [Placed(q.start, None, q.rows, q.columns, None) for q in queries]
    if not images:
        return tokens, key_tokens, found
    if not found:
        raise ValueError(
            "image needs to know which tokens are its patches, and the tokens do not say (tokens.patches): give "
            "image=mv.Image(pixels, start=, rows=, columns=)"
        )
    if len(images) != len(found):
        raise ValueError(f"image must be one for each of {len(found)} stretches of patches; got {len(images)}")
    return tokens, key_tokens, [dataclasses.replace(at, image=one) for at, one in zip(found, images, strict=True)]


def images_props(found: Sequence[Placed], *, lazy: bool) -> list[dict[str, Any]]:
    """What js/src/parts/patches.ts reads as ImageJson."""
    return [
        {"query": at.query, "key": at.key, "rows": at.rows, "columns": at.columns, **_picture(at.image, lazy)}
        for at in found
    ]


def images_height(found: Sequence[Placed], room: float) -> float:
    """About how many CSS pixels high they are drawn, as js/src/parts/PatchImages.svelte does."""
    if not found:
        return 0
    most = max(120.0, min(280.0 if len(found) > 1 else 400.0, room))
    across = max(1, int((room + 24) // (most + 24)))
    return 46 + -(-len(found) // across) * (most + 50)


def _picture(image: Image | None, lazy: bool) -> dict[str, Any]:
    if image is None:
        return {"pixels": None, "size": None, "said": ""}
    high, wide = image.levels.shape[:2]
    return {"pixels": wire.Array(smaller(image.levels, LONGEST), lazy=lazy), "size": [wide, high], "said": image.said}


def _images(image: Any) -> list[Image]:
    if image is None:
        return []
    several = isinstance(image, list | tuple) and len(image) > 0 and all(map(_is_image, image))
    return [one if isinstance(one, Image) else Image(one) for one in (image if several else [image])]


def _is_image(x: Any) -> bool:
    return isinstance(x, Image) or _is_picture(x) or len(getattr(x, "shape", ())) >= 2


def _is_picture(x: Any) -> bool:
    """A PIL image, which has no shape."""
    return hasattr(x, "getbands") and hasattr(x, "size")


def _levels(pixels: Any, mean: Any, std: Any) -> tuple[np.ndarray, str]:
    """``[height, width]`` or ``[height, width, 3]`` uint8, and what was done to them."""
    if isinstance(pixels, Image):
        raise TypeError("image must be pixels; got an Image of an Image")
    if _is_picture(pixels):
        pixels = pixels.convert("L" if pixels.mode in ("1", "L") else "RGB")
    array = to_numpy(np.asarray(pixels) if _is_picture(pixels) else pixels, name="image")
    while array.ndim > 2 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ValueError(f"image must have shape {_ACCEPTED}; got {array.shape}")
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if not np.isfinite(array).all():
        raise ValueError("image must hold finite numbers; got NaN or infinity")
    if mean is not None:
        array = array * np.asarray(std, np.float64) + np.asarray(mean, np.float64)
        array, said = np.clip(array, 0, 1), ""
    else:
        array, said = _unit(array)
    if array.ndim == 3 and array.shape[2] == 4:  # over white
        alpha = array[:, :, 3:]
        array = array[:, :, :3] * alpha + (1 - alpha)
    return np.round(array * 255).astype(np.uint8), said


def _unit(array: np.ndarray) -> tuple[np.ndarray, str]:
    """Numbers of 0 … 1, and how they were made into these."""
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "b":
        return array.astype(np.float64), ""
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise ValueError(f"image must hold whole numbers of 0 … 255; got {low:g} … {high:g}")
        return array / 255, ""
    if low >= 0 and high <= 1:
        return array.astype(np.float64), ""
    spread = (array.astype(np.float64) - low) / ((high - low) or 1)
    return spread, f"stretched from {low:.3g} … {high:.3g}"


def smaller(levels: np.ndarray, longest: int) -> np.ndarray:
    """The same picture with at most so many pixels on its longer side, each the mean of the area that it stands for."""
    high, wide = levels.shape[:2]
    factor = max(high, wide) / longest
    if factor <= 1:
        return levels
    rows, columns = max(1, round(high / factor)), max(1, round(wide / factor))
    planes = levels.reshape(high, wide, -1).astype(np.float32)
    down, across = _means(high, rows), _means(wide, columns)
    made = np.stack([down @ planes[:, :, c] @ across.T for c in range(planes.shape[2])], axis=-1)
    return np.round(made).astype(np.uint8).reshape(rows, columns, *levels.shape[2:])


def _means(size: int, cells: int) -> np.ndarray:
    """``[cell, pixel]``: how much of each cell's mean comes from each pixel."""
    edges = np.linspace(0, size, cells + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
