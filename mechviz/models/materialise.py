"""A layer's attention as the matrix that the model's own eager code makes: for layers whose factors were not understood."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from mechviz._layered import Unavailable

from .capture import AttentionCall, EditedAttention, StopForward, _arguments, listen, read_call
from .factored import TorchDense
from .tape import Tape, _moved, _same_bits, _witness

ROUNDING = 4096  # rounding units of the largest value by which weights times values may miss what a head read


class _Eager:
    """A listener that lets one attention call be computed as it is, and then once more by eager code, for its weights."""

    def __init__(self, which: int) -> None:
        self._left = which
        self.call: AttentionCall | None = None
        self.weights: torch.Tensor | None = None
        self.why = ""

    def __call__(self, function: Callable[..., Any], module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output = function(module, *args, **kwargs)
        if self._left:
            self._left -= 1
            return output
        self.call = read_call(function, module, args, kwargs, output)
        reported = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        if isinstance(reported, torch.Tensor):
            self.weights = reported
        elif eager is None:
            self.why = f"{type(module).__name__} comes without eager code"
        else:
            plain = function.function if isinstance(function, EditedAttention) else function
            given = _arguments(plain, module, args, kwargs)
            given |= {"attention_mask": _added(self.call), "module": module}
            self.weights = eager(**given)[1]
        raise StopForward


def materialise(tape: Tape, layer: int, which: int) -> TorchDense:
    """The weights of one attention call of a layer, ``[head, query, key]`` float32; takes as much memory as that says.

    Args:
        tape: The tape.
        layer: The layer.
        which: Which of its attention calls.

    Raises:
        Unavailable: Its code makes no weights, or weights that do not give what the heads read.
        WeightsMoved: The model has changed since the trace was made.
    """
    heard = _Eager(which)
    with suppress(StopForward), listen(heard):
        tape.replay(layer)
    call, weights = heard.call, heard.weights
    if call is None or weights is None:
        raise Unavailable(f"layer {layer} cannot be materialised: {heard.why or 'it asked for no attention function'}")
    if not _same_bits(_witness(call), tape.witnesses[layer][which]):
        raise _moved(layer)
    row, queries = getattr(tape, "number", 0), call.queries.shape[2]  # of a batch, the text's own part
    n = tape.length if len(weights) > 1 else queries
    there = n if weights.shape[-1] == queries else weights.shape[-1]
    weights, values = (
        weights[row, :, :n, :there].float(),
        call.values[row].float(),
    )  # [head, query, key], [key head, key, dim]
    values = values.repeat_interleave(len(weights) // len(values), 0)
    keys = min(weights.shape[-1], values.shape[1])  # some report a sink's column behind the keys
    z = (weights[..., :keys] @ values[:, :keys]).transpose(0, 1)  # [query, head, dim]
    error, unit = float((z - call.z[row, :n].float()).abs().max()), torch.finfo(call.z.dtype).eps
    if not error <= min(ROUNDING * unit, 0.05) * float(values.abs().max()):
        raise Unavailable(
            f"layer {layer} cannot be materialised: the weights of its eager code differ by {error:.2g} from what its heads read"
        )
    pattern = TorchDense(weights[..., :keys])
    pattern.check_error = error
    return pattern


def _added(call: AttentionCall) -> torch.Tensor | None:
    """The mask of a call as eager code takes it: a number added to each score."""
    mask, queries, keys = call.mask, call.queries.shape[2], call.keys.shape[2]
    lowest = torch.finfo(call.queries.dtype).min
    if isinstance(mask, torch.Tensor) and mask.dim() == 4 and mask.dtype != torch.bool:
        return mask
    if mask is None and not call.causal:
        return None
    allowed = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=call.queries.device)
    if call.causal:
        allowed = allowed.tril(call.offset)
    if isinstance(mask, torch.Tensor):
        allowed = allowed & (mask if mask.dim() == 4 else mask[:, None, None].bool())
    if call.window is not None:
        allowed = allowed & ~torch.ones_like(allowed).tril(call.offset - call.window)
    return torch.zeros(allowed.shape, dtype=call.queries.dtype, device=allowed.device).masked_fill(~allowed, lowest)
