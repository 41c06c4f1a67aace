"""Dictionaries of features at a site: sparse autoencoders, probe directions, bases, or any pair of functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mechviz.sites import Feature, Neuron, Site, name_dictionary, parse

from .saelens import read_saelens

Function = Callable[..., torch.Tensor]


class Dictionary:
    """Features of the values at a site: what encodes values as features, and what makes values of features again.

    Single features are sites, `mechviz.Feature(dictionary, 1234)`: read with ``trace.at``, ablated, patched and steered like
    a neuron. An edit puts ``decode(f') - decode(f)`` on top of the values (for a linear decoder the feature's direction times
    its change), so what the dictionary does not explain, the *error*, stays: ``Feature(dictionary, "error")``.

    Args:
        encode: ``[position, width] -> [position, feature]``.
        decode: ``[position, feature] -> [position, width]``; ``normalised`` ones are also given the values.
        at: The site, whose values have an axis of that width: a head, an MLP, an attention layer or a residual stream.
        name: What its features are called by, "name/1234"; by default "features@L5.resid_post" and the like.
        n_features: How many there are, if that is known.
        directions: ``[feature, width]``, for a decoder that is linear: what one unit of each feature adds.
        normalised: ``decode`` takes two arguments, the features and the values ``[position, width]`` that they came from,
            because the encoder takes off something, such as their norm, that the features do not know.

    Raises:
        ValueError: ``at`` is a neuron or a feature, or the directions do not fit.

    Example:
        >>> d = Dictionary.from_directions(torch.eye(3)[:2], at="L5.resid_post", name="axes")
        >>> d.encode(torch.tensor([[2.0, 3.0, 4.0]])).tolist()
        [[2.0, 3.0]]
        >>> str(d[1]), d[1] == "axes/1"
        ('axes/1', True)
    """

    def __init__(
        self,
        encode: Function,
        decode: Function,
        *,
        at: Site | str,
        name: str | None = None,
        n_features: int | None = None,
        directions: torch.Tensor | None = None,
        normalised: bool = False,
    ) -> None:
        self.at = parse(at)
        if isinstance(self.at, (Neuron, Feature)):
            raise ValueError(f"at must be a site whose values are vectors; got {str(self.at)!r}")
        if directions is not None:
            if directions.dim() != 2 or n_features not in (None, len(directions)):
                raise ValueError(f"directions must have shape ({n_features}, width); got {tuple(directions.shape)}")
            n_features = len(directions)
        self.name, self.n_features, self.directions = name or f"features@{self.at}", n_features, directions
        self._encode, self._decode, self._normalised = encode, decode, normalised
        name_dictionary(self)

    @classmethod
    def load(cls, folder: str | Path, at: Site | str | None = None, *, name: str | None = None) -> Dictionary:
        """Read a sparse autoencoder that SAELens saved: ``cfg.json`` and ``sae_weights.safetensors``.

        Args:
            folder: Where they are.
            at: Where it belongs; by default where its config says that it was trained.
            name: What its features are called by; by default the folder's name.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: It is of a kind that is not known, its arrays do not fit together, or nothing says where it belongs.
            NotImplementedError: Its config asks for something that is not known, such as a normalisation.

        Example:
            >>> d = Dictionary.load("gpt2-res-jb/8", at="L8.resid_pre")  # doctest: +SKIP
        """
        folder = Path(folder)
        sae = read_saelens(folder)
        if at is None and not sae.hook:
            raise ValueError(
                f"{folder.name}/cfg.json does not say where it belongs: give at=, such as at='L8.resid_pre'"
            )
        called = name or folder.resolve().name
        count = len(sae.weights["W_dec"])
        place, rows = at or sae.hook, sae.directions
        return cls(sae.encode, sae.decode, at=place, name=called, n_features=count, directions=rows, normalised=True)

    @classmethod
    def from_directions(cls, rows: Any, *, at: Site | str, name: str | None = None) -> Dictionary:
        """Directions as features: probes, or a basis.

        A feature's value is the coefficient of its direction; what lies outside all of them is the error. For orthonormal
        rows that is the dot product; for others the least-squares coefficients, so that a value that one direction explains
        alone has no other feature.

        Args:
            rows: ``[feature, width]``, or ``[width]`` for a single direction; linearly independent.
            at: The site.
            name: What its features are called by; by default "features@L5.resid_post" and the like.

        Raises:
            ValueError: Not such an array.
        """
        rows = torch.atleast_2d(torch.as_tensor(rows).detach())
        if rows.dim() != 2 or int(torch.linalg.matrix_rank(rows.double())) < len(rows):
            raise ValueError(f"rows must be linearly independent, [feature, width]; got shape {tuple(rows.shape)}")
        readers = torch.linalg.pinv(rows.double()).T.to(
            rows.dtype
        )  # [feature, width]; the rows, if they are orthonormal
        near = torch.allclose(readers, rows, atol=1e-5)
        readers = rows if near else readers
        return cls(
            lambda x: x @ readers.to(x).T,
            lambda f: f @ rows.to(f),
            at=at,
            name=name,
            n_features=len(rows),
            directions=rows,
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features ``[position, feature]`` of values ``[position, width]``.

        Raises:
            ValueError: The values do not have the width of the directions.
        """
        if self.directions is not None and x.shape[-1] != self.directions.shape[1]:
            raise ValueError(
                f"{self.name} is for values of width {self.directions.shape[1]}; at {self.at} it is {x.shape[-1]}"
            )
        return self._encode(x)

    def decode(self, features: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
        """Values ``[position, width]`` of features ``[position, feature]``.

        Args:
            features: The features.
            like: The values that they came from; needed by dictionaries that normalise, and else not used.
        """
        return self._decode(features, like) if self._normalised else self._decode(features)

    def error(self, x: torch.Tensor) -> torch.Tensor:
        """What stays unexplained of values, ``[position, width]``: ``x - decode(encode(x))``."""
        return x - self.decode(self.encode(x), x).to(x.dtype)

    def read(self, feature: Feature, x: torch.Tensor) -> torch.Tensor:
        """One feature ``[position]``, or the error ``[position, width]``, of values ``[position, width]``."""
        return self.error(x) if feature.feature == "error" else self.encode(x)[:, feature.feature]

    def write(self, feature: Feature, x: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Values with a feature (or the error) changed from what `read` gave to something else; what is equal changes nothing."""
        if feature.feature == "error":
            return x + (new - old).to(x.dtype)
        if self.directions is not None:
            return x + ((new - old)[:, None] * self.directions[feature.feature].to(new)).to(x.dtype)
        features = self.encode(x)  # [position, feature]
        column = torch.zeros_like(features)
        column[:, feature.feature] = 1
        changed = self.decode(torch.where(column.bool(), new[:, None].to(features), features), x)
        return x + (changed - self.decode(features, x)).to(x.dtype)

    def __getitem__(self, feature: int) -> Feature:
        """A feature as a site."""
        return Feature(self, feature)

    def __repr__(self) -> str:
        count = "" if self.n_features is None else f", {self.n_features:,} features"
        return f"Dictionary({self.name!r} at {self.at}{count})"
