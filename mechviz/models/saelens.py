"""Sparse autoencoders in the format of SAELens: a folder with ``cfg.json`` and ``sae_weights.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

NEEDED = {
    "standard": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "topk": ("b_enc",),
    "gated": ("b_gate", "b_mag", "r_mag"),
}
NORMALISATIONS = ("none", "expected_average_only_in", "layer_norm", "constant_norm_rescale")


@dataclass(frozen=True)
class SparseAutoencoder:
    """``encode`` and ``decode`` as SAELens computes them; features ``[position, feature]``, values ``[position, width]``.

    Attributes:
        kind: "standard", "jumprelu", "topk" or "gated".
        weights: By SAELens's names, on the device that values come from last.
        k: How many features of a position "topk" keeps.
        centred: The decoder's bias is taken off the values first.
        by_norm: Features are counted in the units of their directions' lengths ("topk" only).
        normalisation: What happens to values first: "none", "layer_norm" or "constant_norm_rescale".
        hook: Where it was trained, by TransformerLens's name; empty if nothing says.
    """

    kind: str
    weights: dict[str, torch.Tensor]
    k: int = 0
    centred: bool = True
    by_norm: bool = False
    normalisation: str = "none"
    hook: str = ""

    @property
    def directions(self) -> torch.Tensor | None:
        """``[feature, width]``, where one unit of a feature always adds the same."""
        if self.normalisation != "none":
            return None
        rows = self.weights["W_dec"]
        return rows / rows.norm(dim=-1, keepdim=True) if self.by_norm else rows

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features of values."""
        w = self._like(x)
        x = x.to(w["W_enc"].dtype)
        x = self._normalised(x)[0] - (w["b_dec"] if self.centred else 0)  # [position, width]
        if self.kind == "gated":
            magnitude = (x @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu()
            return (x @ w["W_enc"] + w["b_gate"] > 0) * magnitude
        before = x @ w["W_enc"] + w["b_enc"]  # [position, feature]
        if self.by_norm:
            before = before * w["W_dec"].norm(dim=-1)
        if self.kind == "jumprelu":
            return before.relu() * (before > w["threshold"])
        if self.kind == "topk":
            best = before.topk(self.k, dim=-1)
            return torch.zeros_like(before).scatter(-1, best.indices, best.values.relu())
        return before.relu()

    def decode(self, features: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
        """Values of features; ``like`` are the values they came from, whose centre and size a normalisation had taken off."""
        w = self._like(features)
        features = features.to(w["W_dec"].dtype)
        rows = w["W_dec"] / w["W_dec"].norm(dim=-1, keepdim=True) if self.by_norm else w["W_dec"]
        x = features @ rows + w["b_dec"]
        if like is None:
            return x
        _, centre, scale = self._normalised(like.to(x.dtype))
        return x * scale + centre

    def _normalised(self, x: torch.Tensor) -> tuple[torch.Tensor, Any, Any]:
        if self.normalisation == "layer_norm":
            centre = x.mean(-1, keepdim=True)
            scale = (x - centre).std(-1, keepdim=True)
            return (x - centre) / (scale + 1e-5), centre, scale
        if self.normalisation == "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
            return x / scale, 0.0, scale
        return x, 0.0, 1.0

    def _like(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.weights["W_enc"].device != x.device:
            self.weights.update({name: weight.to(x.device) for name, weight in self.weights.items()})
        return self.weights


def read_saelens(folder: Path) -> SparseAutoencoder:
    """Read a folder; `mechviz.models.Dictionary.load` says what it raises."""
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "sae_weights.safetensors")
    meta: Mapping[str, Any] = config | (config.get("metadata") or {})
    kind, k = config.get("architecture", "standard"), config.get("k") or 0
    activation = config.get("activation_fn") or config.get("activation_fn_str") or "relu"
    if activation == "topk":  # before version 6
        kind, k = "topk", (config.get("activation_fn_kwargs") or {}).get("k", k)
    elif activation != "relu":
        raise NotImplementedError(
            f"cfg.json has the activation {activation!r}; relu, jumprelu, topk and gated are known"
        )
    normalisation = config.get("normalize_activations") or "none"
    normalisation = "expected_average_only_in" if normalisation is True else normalisation
    if normalisation not in NORMALISATIONS:
        raise NotImplementedError(f"cfg.json has normalize_activations {normalisation!r}; known are {NORMALISATIONS}")
    _check(folder, kind, weights, k)
    return SparseAutoencoder(
        kind=kind,
        weights=_scaled(weights),
        k=k,
        centred=bool(config.get("apply_b_dec_to_input", True)),
        by_norm=bool(config.get("rescale_acts_by_decoder_norm", False)),
        # of this one SAELens folds the factor into the weights when it is known, and leaves the values as they are if not
        normalisation="none" if normalisation == "expected_average_only_in" else normalisation,
        hook=str(meta.get("hook_name") or meta.get("hook_point") or ""),
    )


def _check(folder: Path, kind: str, weights: Mapping[str, torch.Tensor], k: int) -> None:
    if kind not in NEEDED:
        raise ValueError(f"{folder.name}/cfg.json has architecture {kind!r}; known are {', '.join(NEEDED)}")
    needed = ("W_enc", "W_dec", "b_dec", *NEEDED[kind])
    if lacking := [name for name in needed if name not in weights]:
        raise ValueError(
            f"{folder.name}/sae_weights.safetensors lacks {', '.join(lacking)}; it holds {', '.join(weights)}"
        )
    width, count = weights["W_enc"].shape
    shapes = {name: tuple(weights[name].shape) for name in needed}
    expected = {name: (count,) for name in NEEDED[kind]} | {"W_enc": (width, count), "W_dec": (count, width)}
    for name, shape in (expected | {"b_dec": (width,)}).items():
        if shapes[name] != shape:
            raise ValueError(f"{name} must have shape {shape}, as W_enc {(width, count)} says; got {shapes[name]}")
    if kind == "topk" and not 0 < k <= count:
        raise ValueError(f"k must be between 1 and {count}; cfg.json has {k}")


def _scaled(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Before version 6 a factor per feature could stand between encoder and decoder: part of its direction."""
    factor = weights.pop("scaling_factor", None)
    if factor is None or bool((factor == 1).all()):
        return weights
    raise NotImplementedError("sae_weights.safetensors has a scaling_factor that is not 1: fold it into W_dec first")
