"""A token by its text."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Model


def token_id(model: Model, token: Any, name: str) -> int:
    """The id of a token given as an id, or as a text that is just one token.

    Args:
        model: Whose vocabulary.
        token: Such as 262, or " Mary".
        name: Of the argument, for messages.

    Raises:
        ValueError: The text is another number of tokens, or the model has no tokenizer, or no such id.
        TypeError: Neither a text nor an id.
    """
    if isinstance(token, str):
        if model.tokenizer is None:
            raise ValueError(f"{name}={token!r}: this model was loaded without a tokenizer; give the token's id")
        ids = model.tokenizer(token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            there = model.tokenizer.convert_ids_to_tokens(ids)
            hint = "" if token.startswith(" ") else "; words inside a sentence mostly begin with their space"
            raise ValueError(f"{name} must be one token; {token!r} is {len(ids)}: {there}{hint}")
        return int(ids[0])
    try:
        found = index(token)
    except TypeError:
        raise TypeError(f"{name} must be a token's id, or its text; got a {type(token).__name__}") from None
    vocab = model.structure.unembedding.vocab if model.structure.unembedding else 0
    if vocab and not 0 <= found < vocab:
        raise ValueError(f"{name} must be an id 0 … {vocab - 1}; got {found}")
    return found
