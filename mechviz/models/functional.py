"""Attention that does not go through transformers' dispatch, seen as calls of torch functions.

Older architectures (GPT-J, GPT-Neo, Bloom, Falcon, …) call a softmax or torch's attention themselves. While a
`FunctionWatch` is open in this thread, those calls are seen; nothing about them is changed.
"""

from __future__ import annotations

from collections.abc import Callable
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


class FunctionWatch(TorchFunctionMode):
    """Keeps attention computed by function calls: as factors where torch's attention is called, else as the weights.

    A softmax counts as attention when its result is ``[…, query, key]`` over the text and is then multiplied with
    something, as attention weights are with values; what is kept is what was multiplied.

    Args:
        length: Tokens in the text.
        where: Called at each attention; its result stands beside it in ``found``.
    """

    def __init__(self, length: int, where: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.found: list[tuple[Any, AttentionCall | torch.Tensor]] = []
        self._length = length
        self._where = where
        self._waiting: torch.Tensor | None = None  # a softmax that nothing was multiplied with yet

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` and look at it if it is one of those."""
        kwargs = kwargs or {}
        if func in _PRODUCTS and self._waiting is not None:
            self._take_used(self._waiting, _tensors(args))
        result = func(*args, **kwargs)
        if func in _SOFTMAX and result.dim() >= 3 and result.shape[-2:] == (self._length, self._length):
            self._waiting = result.detach()
        elif func is F.scaled_dot_product_attention:
            self.found.append((self._where(), _read(result, *args, **kwargs)))
        return result

    def _take_used(self, weights: torch.Tensor, operands: list[torch.Tensor]) -> None:
        for x in operands:
            if x.numel() == weights.numel() and torch.equal(x.detach().reshape(weights.shape), weights.to(x.dtype)):
                self.found.append((self._where(), x.detach().float().reshape(-1, self._length, self._length)))
                self._waiting = None
                return


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
