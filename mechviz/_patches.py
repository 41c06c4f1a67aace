"""Which positions of a text are patches of an image: stretches of tokens that are rows and columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np


class Patches(NamedTuple):
    """A stretch of tokens that are the patches of one image, row by row from its top left.

    Attributes:
        start: The position of the first patch.
        rows: Patches down.
        columns: Patches across.
    """

    start: int
    rows: int
    columns: int

    @property
    def stop(self) -> int:
        """The position behind the last patch."""
        return self.start + self.rows * self.columns


def checked(given: Iterable[Any], length: int) -> tuple[Patches, ...]:
    """Stretches as `Patches`, from left to right.

    Raises:
        TypeError: they are no triples of whole numbers.
        ValueError: one is empty, reaches beyond the tokens, or two share a position.
    """
    found = []
    for item in given:
        try:
            start, rows, columns = map(index, item)
        except (TypeError, ValueError):
            raise TypeError(
                f"patches must hold (start, rows, columns) for every image, whole numbers; got {item!r}"
            ) from None
        found.append(Patches(start, rows, columns))
    found.sort()
    end = 0
    for one in found:
        if one.rows < 1 or one.columns < 1 or one.start < 0 or one.stop > length:
            raise ValueError(
                f"patches must be rows and columns of at least 1 within {length} tokens; got start={one.start}, "
                f"rows={one.rows}, columns={one.columns}"
            )
        if one.start < end:
            raise ValueError(f"patches must not share a position; got {tuple(map(tuple, found))}")
        end = one.stop
    return tuple(found)


def kept(patches: Sequence[Patches], positions: range) -> tuple[Patches, ...]:
    """Those that a slice keeps whole and in order, where they stand in it: part of an image has no rows and columns."""
    if positions.step != 1:
        return ()
    inside = (one for one in patches if positions.start <= one.start and one.stop <= positions.stop)
    return tuple(one._replace(start=one.start - positions.start) for one in inside)


def behind(patches: Sequence[Patches], length: int) -> tuple[Patches, ...]:
    """The same with so many tokens in front."""
    return tuple(one._replace(start=one.start + length) for one in patches)


def places(patches: Sequence[Patches], length: int) -> np.ndarray:
    """Which image, row and column every position is of, ``[position, 3]``; −1 where it is no patch."""
    found = np.full((length, 3), -1)
    for image, one in enumerate(patches):
        at = np.arange(one.rows * one.columns)
        found[one.start : one.stop] = np.stack([np.full_like(at, image), at // one.columns, at % one.columns], axis=1)
    return found
