"""The features of a dictionary in a trace, computed when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch

from .budget import size
from .dictionary import Dictionary

CHUNK_BYTES = 64 << 20  # of features at a time
ARRAY_LIMIT = 1 << 30  # bytes of all features that one call may make


class Features:
    """Features ``[position, feature]`` of the values at a dictionary's site; index it: ``features[:, 1234]``.

    Attributes:
        dictionary: The dictionary.
        values: What it encodes, ``[position, width]``.

    Example:
        >>> trace.features(dictionary)[:, [3, 17]].shape  # doctest: +SKIP
        torch.Size([24, 2])
    """

    def __init__(self, dictionary: Dictionary, values: torch.Tensor) -> None:
        self.dictionary, self.values = dictionary, values

    @property
    def shape(self) -> tuple[int, int]:
        """``(position, feature)``."""
        count = self.dictionary.n_features
        return len(self.values), self.dictionary.encode(self.values[:1]).shape[1] if count is None else count

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Some positions, or ``[positions, features]``; only what is asked for is held at once."""
        positions, features = index if isinstance(index, tuple) else (index, slice(None))
        one = isinstance(positions, int)
        values = self.values[[positions] if one else positions]
        parts = [part[:, features] for part in self._chunks(values)]
        found = torch.cat(parts) if parts else self.dictionary.encode(values)[:, features]
        return found[0] if one else found

    def dense(self) -> torch.Tensor:
        """All of them.

        Raises:
            MemoryError: They take more than 1 GiB.
        """
        n_bytes = self.shape[0] * self.shape[1] * self.values.element_size()
        if n_bytes > ARRAY_LIMIT:
            raise MemoryError(
                f"{self.shape[1]:,} features at {self.shape[0]:,} positions take {size(n_bytes)} (limit {size(ARRAY_LIMIT)}); "
                "ask for some with features[positions, features], or for .top(k)"
            )
        return self[:]

    def top(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The largest features at each position: ``(values, features)``, each ``[position, k]``."""
        best = [part.topk(k, dim=-1) for part in self._chunks(self.values)]
        return torch.cat([b.values for b in best]), torch.cat([b.indices for b in best])

    @cached_property
    def reconstruction(self) -> torch.Tensor:
        """What the features make of the values, ``[position, width]``."""
        d = self.dictionary
        return torch.cat([d.decode(d.encode(part), part).to(part.dtype) for part in self._pieces(self.values)])

    @property
    def error(self) -> torch.Tensor:
        """What they leave unexplained, ``[position, width]``: the site ``Feature(dictionary, "error")``."""
        return self.values - self.reconstruction

    def _pieces(self, values: torch.Tensor) -> Iterator[torch.Tensor]:
        rows = max(1, CHUNK_BYTES // (4 * max(1, self.shape[1])))
        return (values[first : first + rows] for first in range(0, len(values), rows))

    def _chunks(self, values: torch.Tensor) -> Iterator[torch.Tensor]:
        return (self.dictionary.encode(part) for part in self._pieces(values))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.dense().float().cpu().numpy().astype(dtype or "float32", copy=bool(copy))

    def __repr__(self) -> str:
        return f"Features{self.shape} of {self.dictionary!r}"
