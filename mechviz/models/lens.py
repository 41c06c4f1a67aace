"""A trace under the names and shapes of TransformerLens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from mechviz._layered import Unavailable
from mechviz.sites import HOOKS, hook_of

from .budget import size
from .embedding import embeddings

if TYPE_CHECKING:
    from .trace import Trace

PATTERN_LIMIT = 1 << 30  # bytes of one layer's pattern as an array
# In the order of a forward pass, as `run_with_cache` has them.
ORDER = (
    "hook_resid_pre",
    "attn.hook_q",
    "attn.hook_rot_q",
    "attn.hook_k",
    "attn.hook_rot_k",
    "attn.hook_v",
    "attn.hook_pattern",
    "attn.hook_z",
    "hook_attn_out",
    "hook_resid_mid",
    "mlp.hook_pre",
    "mlp.hook_pre_linear",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_resid_post",
)
EMBEDDINGS = ("hook_embed", "hook_pos_embed")
LOGITS = "unembed.hook_out"


class LensCache(Mapping[str, torch.Tensor]):
    """`mechviz.models.Trace.as_transformer_lens` says what this is."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._turned: dict[tuple[str, int], bool] = {}

    def __getitem__(self, name: str | tuple[str, int]) -> torch.Tensor:
        name = self._full(name)
        try:
            if name == LOGITS:
                self._check_logits()
                return self._trace.logits[None]
            if name in EMBEDDINGS:
                return (self._trace.embed if name == EMBEDDINGS[0] else self._trace.pos_embed)[None]
            hook = hook_of(name)
            if hook is None:
                raise KeyError(
                    f"{name!r} is no hook that a trace has; there are {', '.join(EMBEDDINGS)}, {LOGITS}, and in each block {', '.join(ORDER)}"
                )
            return self._read(name, *hook)[None]
        except (Unavailable, IndexError) as reason:
            raise KeyError(f"{name}: {reason}") from None

    def __iter__(self) -> Iterator[str]:
        yield from self._embeddings
        for layer in range(self._trace.model.n_layers):
            yield from (f"blocks.{layer}.{hook}" for hook in ORDER if self._has(hook, layer))
        try:
            self._check_logits()
        except Unavailable:
            return
        yield LOGITS

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __repr__(self) -> str:
        return f"LensCache of {len(self._trace)} tokens: {', '.join(self)}"

    @cached_property
    def _embeddings(self) -> tuple[str, ...]:
        try:
            found = embeddings(self._trace)
        except Unavailable:
            return ()
        return EMBEDDINGS[: 1 if found.position is None else 2]

    def _check_logits(self) -> None:
        found = self._trace._unembedding
        if found.softcap is not None or found.scales[-1] != 1:
            raise Unavailable(
                "this model changes what its unembedding gives; trace.logits is what comes out at the end"
            )

    def _full(self, name: str | tuple[str, int]) -> str:
        """The whole name of a short one: ("pattern", 5), with layers counted from the end where negative."""
        if not isinstance(name, tuple):
            return name
        short, layer = name[0], name[1]
        layer = layer + self._trace.model.n_layers if layer < 0 else layer
        hook = next((hook for hook in HOOKS if hook.rpartition("hook_")[2] == short), f"hook_{short}")
        return f"blocks.{layer}.{hook}"

    def _read(self, name: str, reading: str, layer: int) -> torch.Tensor:
        trace, hook = self._trace, name.partition(".")[2].partition(".")[2]
        if hook in ("attn.hook_q", "attn.hook_k", "attn.hook_rot_q", "attn.hook_rot_k") and not self._has(hook, layer):
            other = "attn.hook_rot_" if "rot" not in hook else "attn.hook_"
            there = trace.q.layers if reading == "q" else trace.k.layers
            if layer in there:
                raise Unavailable(f"what enters the dot product in this layer is {other}{reading}")
        if reading == "pattern":
            shape = trace.pattern[layer].shape
            n_bytes = 4 * shape[0] * shape[1] * shape[2]
            if n_bytes > PATTERN_LIMIT:
                raise MemoryError(
                    f"{name} as an array takes {size(n_bytes)} (limit {size(PATTERN_LIMIT)}); "
                    f"trace.pattern[{layer}].tile(head, rows, cols) gives parts of it"
                )
            return trace.pattern[layer].dense()
        if reading == "result":
            return trace.result(layer)
        if hook == "mlp.hook_pre" and not trace._plan(layer).up:
            return trace._open_gate(layer)[0]
        return getattr(trace, reading)[layer]

    def _has(self, hook: str, layer: int) -> bool:
        trace, reading = self._trace, HOOKS[hook]
        if hook == "mlp.hook_pre":
            plan = trace._plan(layer)
            return bool(plan.act) and not plan.no_neurons
        try:
            there = layer in getattr(trace, reading).layers
        except Unavailable:  # no layer has attention
            return False
        if there and reading in ("q", "k"):
            return self._is_turned(reading, layer) == ("rot" in hook)
        return there

    def _is_turned(self, name: str, layer: int) -> bool:
        """Whether queries or keys are something else than what a linear layer wrote: rotated, normalised."""
        if (name, layer) not in self._turned:
            last = getattr(self._trace, name)[layer][-1].flatten()  # [head * dim]; the first position is not rotated
            leaves = {str(i): m for i, m in enumerate(self._trace._block(layer).modules()) if not list(m.children())}
            outputs = (call.output for call in self._trace._replayed(layer, leaves).calls)
            written = (x.reshape(len(self._trace), -1)[-1] for x in outputs if x is not None and x.numel())
            self._turned[name, layer] = not any(bool(torch.isin(last, row).all()) for row in written)
        return self._turned[name, layer]
