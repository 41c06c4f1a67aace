"""How much memory a trace takes, said before anything runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .wanted import READINGS, Wanted

if TYPE_CHECKING:
    from .model import Model

SHARE = 0.25  # of the memory that is free, for one trace unless its budget says otherwise


@dataclass(frozen=True)
class Estimate:
    """Bytes that tracing a text takes; it prints as a sentence.

    Attributes:
        n_tokens: Tokens in the text.
        tape: What every trace keeps: the residual stream of every layer.
        kept: What ``capture=`` keeps beside it.
        graph: What ``grad=True`` keeps beside it, for the gradients.
        layer: What reading one layer takes for a moment, at most: its replay with queries, keys, values and neurons.
        pattern: One layer's attention as an array ``[head, query, key]`` float32; opened as a `Pattern` it takes no such array.
        logits: All logits, if they are asked for.
        file: What `mechviz.models.Trace.save` writes unless it is told what: the attention of every layer as queries and
            keys with the lengths of what stands behind keys, the residual stream and the loss.
    """

    n_tokens: int
    tape: int
    kept: int
    graph: int
    layer: int
    pattern: int
    logits: int
    file: int

    @property
    def total(self) -> int:
        """Bytes that the trace keeps altogether."""
        return self.tape + self.kept + self.graph

    def __str__(self) -> str:
        parts = [("captured", self.kept), ("for gradients", self.graph)]
        more = "".join(f", {size(n)} of it {what}" for what, n in parts if n)
        return (
            f"a trace of {self.n_tokens:,} tokens keeps {size(self.total)}{more}; reading a layer takes up to "
            f"{size(self.layer)} meanwhile, a layer's attention as an array {size(self.pattern)}, all logits "
            f"{size(self.logits)}; saved it takes {size(self.file)}"
        )


@dataclass(frozen=True)
class Limit:
    """How many bytes may be kept, None for any number, and why; it prints as half a sentence."""

    n_bytes: int | None
    why: str = ""

    def __str__(self) -> str:
        return f"the limit is {size(self.n_bytes or 0)} ({self.why})"

    def less(self, n_bytes: int) -> Limit:
        """What is left of it."""
        return self if self.n_bytes is None else Limit(self.n_bytes - n_bytes, self.why)


@dataclass(frozen=True)
class Sizes:
    """A model's numbers, as its config has them; 0 for those that it lacks."""

    layers: int
    stacks: int
    d_model: int
    inner: int
    heads: int
    key_heads: int
    d_head: int
    d_value: int
    vocab: int
    width: int  # bytes per number

    @classmethod
    def of(cls, model: Model) -> Sizes:
        """Read them."""
        config: Any = getattr(model.module, "config", None)
        config = getattr(config, "get_text_config", lambda: config)()
        d_model = _number(config, "hidden_size", "n_embd", "d_model")
        heads = _number(config, "num_attention_heads", "n_head", "num_heads")
        d_head = _number(config, "head_dim") or d_model // max(heads, 1)
        latent = _number(config, "qk_nope_head_dim")  # MLA: every head has keys of its own
        both = getattr(getattr(model.module, "config", None), "is_encoder_decoder", False)  # each reads a text
        return cls(
            layers=sum(len(stack.blocks) for stack in model.stacks) if both else model.n_layers,
            stacks=len(model.stacks) if both else 1,
            d_model=d_model,
            inner=_number(
                config, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "decoder_ffn_dim"
            )
            or 4 * d_model,
            heads=heads,
            key_heads=heads if latent else _number(config, "num_key_value_heads") or heads,
            d_head=latent + _number(config, "qk_rope_head_dim") if latent else d_head,
            d_value=_number(config, "v_head_dim") or d_head,
            vocab=_number(config, "vocab_size"),
            width=torch.finfo(model.dtype).bits // 8,
        )

    def of_reading(self, name: str) -> int:
        """Numbers per position and layer of one reading."""
        if name == "attention":
            return self.of_reading("q") + self.of_reading("k")
        wide = {"q": self.heads * self.d_head, "k": self.key_heads * self.d_head}
        wide |= {"v": self.key_heads * self.d_value, "z": self.heads * self.d_value}
        return wide.get(name, self.inner if name in ("neurons", "gate", "up") else self.d_model)


def estimate(model: Model, n_tokens: int, wanted: Wanted | None = None, *, grad: bool = False) -> Estimate:
    """`mechviz.models.Model.estimate` says what this is."""
    if n_tokens < 1:
        raise ValueError(f"n_tokens must be >= 1; got {n_tokens}")
    sizes, kept = Sizes.of(model), 0
    for names in wanted.names.values() if wanted else ():
        held = [name for name in names if not ("attention" in names and name in ("q", "k"))]  # held once
        kept += sum(map(sizes.of_reading, held))
    kept += sum(sizes.d_head if hasattr(site, "head") else 1 for site in (wanted.sites if wanted else ()))
    each = n_tokens * sizes.width
    tape = (sizes.layers + sizes.stacks) * sizes.d_model * each
    inside = sum(map(sizes.of_reading, READINGS)) - sizes.of_reading("attention") + 4 * sizes.d_model
    return Estimate(
        n_tokens,
        tape=tape,
        kept=kept * each,
        graph=sizes.layers * inside * each if grad else 0,
        layer=(8 * sizes.d_model + 3 * sizes.inner) * each,
        pattern=sizes.heads * n_tokens**2 * 4,
        logits=sizes.vocab * each,
        # and two float32 numbers behind each key of each head, the loss
        file=sizes.layers * ((2 * sizes.d_model + sizes.of_reading("attention")) * each + 8 * sizes.heads * n_tokens)
        + 4 * n_tokens,
    )


def check_budget(
    model: Model, n_tokens: int, budget: int | None, wanted: Wanted | None = None, *, grad: bool = False
) -> Limit:
    """What a trace may keep: ``budget`` bytes, by default a quarter of the free memory.

    Raises:
        MemoryError: It is expected to keep more; the message says what to ask for instead.
    """
    limit = limit_of(model, budget)
    expected = estimate(model, n_tokens, wanted, grad=grad)
    if limit.n_bytes is not None and expected.total > limit.n_bytes:
        fits = limit.n_bytes * n_tokens // expected.total
        extra = [what for what, n in (("capture=", expected.kept), ("grad=True", expected.graph)) if n]
        less = f"leave out {' and '.join(extra)} ({size(expected.tape)} then), " if extra else ""
        if expected.kept:
            less = "capture fewer layers with capture={name: [layers]}, " + less
        raise MemoryError(f"{expected}; {limit}. Trace at most {fits:,} tokens, {less}or give budget=<bytes>")
    return limit


def limit_of(model: Model, budget: int | None) -> Limit:
    """``budget`` bytes, by default a quarter of the free memory."""
    free = free_memory(model.device) if budget is None else None
    if budget is not None:
        return Limit(budget, "budget=")
    if free is None:
        return Limit(None)
    return Limit(int(SHARE * free), f"a quarter of the {size(free)} that are free on {model.device}")


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


def storages(value: Any) -> dict[int, int]:
    """Where the numbers of a reading lie, and how many bytes that keeps alive."""
    parts = [value] if isinstance(value, torch.Tensor) else value if isinstance(value, list) else vars(value).values()
    held = [x.untyped_storage() for x in parts if isinstance(x, torch.Tensor)]
    return {storage.data_ptr(): storage.nbytes() for storage in held}


def _number(config: Any, *names: str) -> int:
    """A size by the first name that the config knows; where layers have sizes of their own, the largest."""
    parts = [config] if vars(config).get("_heterogeneity_spec") is None else list(config.per_layer_config)
    found = (max(int(getattr(part, name, None) or 0) for part in parts) for name in names)
    return next((size for size in found if size), 0)
