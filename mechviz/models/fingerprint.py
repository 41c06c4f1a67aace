"""A short name for a state of the weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

SAMPLE = 16  # values read per parameter


@torch.no_grad()
def fingerprint(model: nn.Module) -> str:
    """Twelve hexadecimal digits that change when the weights do.

    A SHA-256 over every parameter's name, shape, dtype and 16 of its values, evenly spaced: cheap enough for every trace
    (one read from the device), and any step of an optimiser moves it. It is no proof of equality: weights that differ only
    in entries between the samples share it. Of parameters that are not in memory (offloaded) only the names count.
    """
    digest = hashlib.sha256()
    samples = []
    for name, parameter in model.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype};".encode())
        if parameter.device.type != "meta" and parameter.numel():
            flat = parameter.detach().flatten() if parameter.is_contiguous() else parameter.detach().reshape(-1)
            samples.append(flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE].float())
    for device in sorted({sample.device for sample in samples}, key=str):
        together = torch.cat([sample for sample in samples if sample.device == device])
        digest.update(together.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
