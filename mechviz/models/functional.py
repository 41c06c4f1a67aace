"""Attention that does not go through transformers' dispatch, seen as calls of torch functions.

Older architectures (GPT-J, GPT-Neo, Bloom, Falcon, …) call a softmax or torch's attention themselves. While a
`FunctionWatch` is open in this thread, those calls are seen; nothing about them is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from .capture import AttentionCall

_SOFTMAX = {F.softmax, torch.softmax, torch.Tensor.softmax}
_PRODUCTS = {
    torch.matmul,
    torch.bmm,
    torch.einsum,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.Tensor.bmm,
}


@dataclass(frozen=True)
class Weights:
    """Attention weights that a model made itself, and what it did with them.

    ``pattern`` is ``[head, query, key]`` float32; ``values`` and ``z`` are ``[position, head, dim]``, or None where the
    product was not ``weights @ values``.
    """

    pattern: torch.Tensor
    values: torch.Tensor | None = None
    z: torch.Tensor | None = None


class FunctionWatch(TorchFunctionMode):
    """Keeps attention computed by function calls: as factors where torch's attention is called, else as the weights.

    A softmax counts as attention when its result is ``[…, query, key]`` over the text and is then multiplied with
    something, as attention weights are with values; what is kept is what was multiplied.

    Args:
        length: Tokens in the text; it may be set anew while the watch is open, where another stack begins.
        where: Called at each attention; its result stands beside it in ``found``.
    """

    def __init__(self, length: int, where: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.found: list[tuple[Any, AttentionCall | Weights]] = []
        self.length = length
        self._where = where
        self._waiting: torch.Tensor | None = None  # a softmax that nothing was multiplied with yet

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` and look at it if it is one of those."""
        kwargs = kwargs or {}
        operands = _tensors(args) if func in _PRODUCTS and self._waiting is not None else []
        used = next((x for x in operands if self._is_waited_for(x)), None)
        result = func(*args, **kwargs)
        if used is not None:
            self.found.append((self._where(), self._weights(used, operands, result, func is not torch.einsum)))
            self._waiting = None
        if func in _SOFTMAX and result.dim() >= 3 and result.shape[-2:] == (self.length, self.length):
            self._waiting = result.detach()
        elif func is F.scaled_dot_product_attention:
            self.found.append((self._where(), _read(result, *args, **kwargs)))
        return result

    def _is_waited_for(self, x: torch.Tensor) -> bool:
        weights = self._waiting
        if weights is None or x.numel() != weights.numel():
            return False
        return torch.equal(x.detach().reshape(weights.shape), weights.to(x.dtype))

    def _weights(self, used: torch.Tensor, operands: list[torch.Tensor], result: torch.Tensor, matrix: bool) -> Weights:
        pattern = used.detach().reshape(-1, self.length, self.length)
        heads = len(pattern)
        if not matrix or operands[0] is not used or result.shape[-2] != self.length:
            return Weights(pattern.float())
        values, z = (
            x.detach().reshape(-1, self.length, x.shape[-1]).transpose(0, 1) for x in (operands[1], result)
        )  # [position, head, dim]
        return (
            Weights(pattern.float(), values, z) if values.shape[1] == z.shape[1] == heads else Weights(pattern.float())
        )


def _tensors(args: Any) -> list[torch.Tensor]:
    if isinstance(args, torch.Tensor):
        return [args]
    return [x for arg in args for x in _tensors(arg)] if isinstance(args, (tuple, list)) else []


def _read(
    z: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> AttentionCall:
    return AttentionCall(
        None,
        query.detach(),
        key.detach(),
        value.detach(),
        z.detach().transpose(1, 2),
        scale=query.shape[-1] ** -0.5 if scale is None else float(scale),
        mask=attn_mask,
        causal=is_causal,
        dropout=dropout_p,
    )
