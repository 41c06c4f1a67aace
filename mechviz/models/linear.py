"""The matrix and bias of a linear layer, however it holds them."""

from __future__ import annotations

import torch
from torch import nn


def linear_parts(module: nn.Module, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A linear layer's matrix ``[in, out]`` and bias; of packed or offloaded weights by asking it, one basis vector a row."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, torch.Tensor) and weight.is_floating_point() and weight.device.type != "meta":
        plain = type(module) is nn.Linear
        if plain or type(module).__name__ == "Conv1D":
            return (weight.T if plain else weight).detach(), getattr(module, "bias", None)
    width = given.shape[-1]
    bias = module(torch.zeros(1, 1, width, dtype=given.dtype, device=given.device))[0, 0].float()
    rows = module(torch.eye(width, dtype=given.dtype, device=given.device)[None])[0].float()
    return rows - bias, bias
