"""What an edit is: a change of the values at a site, and how it is made to the rows of one text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mechviz.sites import Feature, Site

Change = Callable[[torch.Tensor, list[int]], Any]  # (values [position, width], their true positions) -> new values


def place_of(site: Site) -> Site:
    """The site whose values hold a site: of a feature that of its dictionary, else itself."""
    return site.dictionary.at if isinstance(site, Feature) else site


@dataclass(frozen=True, eq=False, repr=False)
class Edit:
    """A change at a site; `ablate`, `patch`, `steer`, `knock_out` and `edit` make them. It prints as what it does.

    Attributes:
        site: Where.
        label: What it does, as every picture made under it says: "L5H1 → zero".
        change: ``(values [position, width], their positions) -> new values``; those of a neuron or feature are ``[position]``.
        positions: Which positions of the text, counted from its start (or end, if negative); None for all.
        subspace: Orthonormal rows ``[k, width]``: only the part of the change inside their span is made.
    """

    site: Site
    label: str
    change: Change
    positions: tuple[int, ...] | None = None
    subspace: torch.Tensor | None = None

    def __repr__(self) -> str:
        return self.label

    @property
    def place(self) -> Site:
        """The site whose values are changed: of a feature that of its dictionary."""
        return place_of(self.site)

    def apply(self, x: torch.Tensor, first: int = 0) -> torch.Tensor:
        """The values ``[position, width]`` of one text, changed; row 0 is position ``first``. ``x`` itself stays as it is.

        Raises:
            ValueError: The change gives another shape.
        """
        return self.apply_at(x, range(first, first + len(x)), first + len(x))

    def apply_at(self, x: torch.Tensor, at: Sequence[int], length: int) -> torch.Tensor:
        """The same for rows that stand at some positions only, of a text of that length."""
        row = {position: k for k, position in enumerate(at)}
        chosen = at if self.positions is None else [p + length * (p < 0) for p in self.positions]
        chosen = [p for p in chosen if p in row]
        if not chosen:
            return x
        rows = [row[p] for p in chosen]
        whole = rows == list(range(len(x)))
        new = self._changed(x if whole else x[rows], chosen)
        return new if whole else x.index_put((torch.tensor(rows, device=x.device),), new)

    def _changed(self, x: torch.Tensor, at: list[int]) -> torch.Tensor:
        if isinstance(self.site, Feature):
            dictionary = self.site.dictionary
            old = dictionary.read(self.site, x)
            return dictionary.write(self.site, x, old, self._new(old, at))
        return self._new(x, at)

    def _new(self, old: torch.Tensor, at: list[int]) -> torch.Tensor:
        new = torch.as_tensor(self.change(old, at)).to(old)
        try:
            new = new.expand(old.shape)
        except RuntimeError:
            raise ValueError(
                f"{self.label}: values of shape {tuple(old.shape)} were to become {tuple(new.shape)}"
            ) from None
        return new if self.subspace is None else _inside(self.subspace, old, new)


@dataclass(frozen=True, eq=False, repr=False)
class KnockOut(Edit):
    """Attention from queries to keys taken away, in one head."""

    keys: tuple[int, ...] | None = None
    renormalise: bool = True
    change: Change = field(default=lambda x, at: x)


def _inside(subspace: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    if subspace.shape[-1] != old.shape[-1] or old.dim() != 2:
        raise ValueError(f"subspace must have shape (k, {old.shape[-1]}) at this site; got {tuple(subspace.shape)}")
    if len(subspace) == subspace.shape[1]:
        return new  # it spans everything
    basis = subspace.to(old)
    return old + (new - old) @ basis.T @ basis
