"""How much memory a trace takes, said before anything runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .model import Model

SHARE = 0.25  # of the memory that is free, for one trace unless its budget says otherwise


@dataclass(frozen=True)
class Estimate:
    """Bytes that tracing a text takes; it prints as a sentence.

    Attributes:
        n_tokens: Tokens in the text.
        tape: What the trace keeps: the residual stream of every layer.
        layer: What reading one layer takes for a moment, at most: its replay with queries, keys, values and neurons.
        pattern: One layer's attention as an array ``[head, query, key]`` float32; opened as a `Pattern` it takes no such array.
        logits: All logits, if they are asked for.
    """

    n_tokens: int
    tape: int
    layer: int
    pattern: int
    logits: int

    def __str__(self) -> str:
        return (
            f"a trace of {self.n_tokens:,} tokens keeps {size(self.tape)}; reading a layer takes up to {size(self.layer)} "
            f"meanwhile, a layer's attention as an array {size(self.pattern)}, all logits {size(self.logits)}"
        )


def estimate(model: Model, n_tokens: int) -> Estimate:
    """`mechviz.models.Model.estimate` says what this is."""
    if n_tokens < 1:
        raise ValueError(f"n_tokens must be >= 1; got {n_tokens}")
    config, width = model.module.config.get_text_config(), torch.finfo(model.dtype).bits // 8  # type: ignore[union-attr, operator]
    d_model = _number(config, "hidden_size", "n_embd", "d_model")
    inner = _number(config, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size") or 4 * d_model
    heads = _number(config, "num_attention_heads", "n_head", "num_heads")
    vocab = _number(config, "vocab_size")
    return Estimate(
        n_tokens,
        tape=(model.n_layers + 1) * n_tokens * d_model * width,
        layer=n_tokens * (8 * d_model + 3 * inner) * width,
        pattern=heads * n_tokens**2 * 4,
        logits=n_tokens * vocab * width,
    )


def check_budget(model: Model, n_tokens: int, budget: int | None) -> None:
    """Raise a MemoryError if what a trace keeps is more than ``budget`` bytes, by default a quarter of the free memory."""
    free = free_memory(model.device) if budget is None else None
    limit = budget if budget is not None else None if free is None else int(SHARE * free)
    expected = estimate(model, n_tokens)
    if limit is not None and expected.tape > limit:
        whose = "budget=" if free is None else f"a quarter of the {size(free)} that are free on {model.device}"
        raise MemoryError(
            f"{expected}; the limit is {size(limit)} ({whose}). Trace at most {limit * n_tokens // expected.tape:,} tokens, "
            "or give budget=<bytes>"
        )


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return None


def size(n_bytes: int) -> str:
    """Bytes for reading: "36 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes} bytes"


def _number(config: Any, *names: str) -> int:
    return next((int(value) for name in names if (value := getattr(config, name, None))), 0)
