"""Text or ids -> the ids that go into the model, with or without a beginning-of-sequence token."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz.arrays import to_numpy


def encode(tokenizer: Any, x: Any, bos: bool | None) -> list[int]:
    """Token ids of one text; `mechviz.models.Model.trace` says what ``bos`` does.

    Raises:
        TypeError: ``x`` is neither text nor integers.
        ValueError: It holds no tokens, or more than one text, or there is no token to begin with.
    """
    if isinstance(x, str):
        if tokenizer is None:
            raise ValueError("this model was loaded without a tokenizer: give load() one, or trace token ids")
        ids = list(tokenizer(x, add_special_tokens=bos is not False, return_attention_mask=False)["input_ids"])
    else:
        ids = _integers(x)
    start = getattr(tokenizer, "bos_token_id", None)
    if isinstance(x, str) and len(ids) > 1 and ids[0] == ids[1] == start and x.startswith(str(tokenizer.bos_token)):
        ids = ids[1:]  # a chat template wrote it, then the tokenizer did too
    if bos and ids[:1] != [start]:
        if start is None:
            raise ValueError("bos=True, but this tokenizer has no beginning-of-sequence token")
        ids = [start, *ids]
    if not ids:
        raise ValueError("the text holds no tokens")
    return ids


def _integers(x: Any) -> list[int]:
    array = to_numpy(x, name="ids")
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 1:
        raise ValueError(f"ids must have shape (position,) or (1, position); got {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"trace takes a text or integer ids; got {array.dtype} values")
    return [int(i) for i in array]
