"""A text, ids or a chat -> the ids that go into the model, with or without a beginning-of-sequence token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechviz.arrays import to_numpy


@dataclass(frozen=True)
class Encoded:
    """What goes into the model, and what is known of where it came from.

    Attributes:
        ids: Token ids, one per position.
        text: The text that they spell, of a chat as its template wrote it; None where only ids were given.
        prompt: Positions before the answer, of a chat; else None.
    """

    ids: list[int]
    text: str | None = None
    prompt: int | None = None


def is_chat(x: Any) -> bool:
    """Whether ``x`` is messages: a list of mappings such as ``{"role": "user", "content": "Hello"}``."""
    return isinstance(x, Sequence) and not isinstance(x, str) and len(x) > 0 and isinstance(x[0], Mapping)


def is_many(x: Any) -> bool:
    """Whether ``x`` is a list of texts or of chats, as against one text, one chat or ids."""
    return isinstance(x, (list, tuple)) and len(x) > 0 and (isinstance(x[0], str) or is_chat(x[0]))


def encode(tokenizer: Any, x: Any, bos: bool | None, *, default: bool | None = None, answer: bool = False) -> Encoded:
    """Token ids of one text; `mechviz.models.Model.trace` says what ``bos`` does.

    Args:
        tokenizer: The tokenizer, or None.
        x: Text, ids or messages.
        bos: Whether a beginning-of-sequence token stands in front.
        default: What ``bos=None`` means for a text.
        answer: The model is going to go on from here: what an assistant has begun in the last message stays open.

    Raises:
        TypeError: ``x`` is none of these.
        ValueError: It holds no tokens, or more than one text, or there is no token to begin with, or no chat template.
    """
    start = getattr(tokenizer, "bos_token_id", None)
    if isinstance(x, str):
        bos = default if bos is None else bos
        found = Encoded(_spell(tokenizer, x, bos), x)
    else:
        found = _chat(tokenizer, x, answer) if is_chat(x) else Encoded(_integers(x))
    ids, prompt = found.ids, found.prompt
    if found.prompt is not None and bos is False and ids[:1] == [start]:  # the template wrote it
        ids, prompt = ids[1:], found.prompt - 1
    if bos and ids[:1] != [start]:
        if start is None:
            raise ValueError("bos=True, but this tokenizer has no beginning-of-sequence token")
        ids, prompt = [start, *ids], None if prompt is None else prompt + 1
    if not ids:
        raise ValueError("the text holds no tokens")
    return Encoded(ids, found.text, prompt)


def _spell(tokenizer: Any, text: str, bos: bool | None) -> list[int]:
    if tokenizer is None:
        raise ValueError("this model was loaded without a tokenizer: give load() one, or trace token ids")
    ids = list(tokenizer(text, add_special_tokens=bos is not False, return_attention_mask=False)["input_ids"])
    start = getattr(tokenizer, "bos_token_id", None)
    if len(ids) > 1 and ids[0] == ids[1] == start and text.startswith(str(tokenizer.bos_token)):
        ids = ids[1:]  # a chat template wrote it, then the tokenizer did too
    return ids


def _chat(tokenizer: Any, messages: Sequence[Any], answer: bool) -> Encoded:
    """The tokens of a chat, as the tokenizer's template writes them, and where its last answer starts."""
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            got = f"keys {sorted(map(str, message))}" if isinstance(message, Mapping) else type(message).__name__
            raise TypeError(f'messages[{number}] must be a mapping with "role" and "content"; got {got}')
    if not getattr(tokenizer, "chat_template", None):
        whose = (
            "this model was loaded without a tokenizer" if tokenizer is None else "this tokenizer has no chat template"
        )
        raise ValueError(f"{whose}, so messages cannot be spelled: set tokenizer.chat_template, or trace a text")
    given = list(messages)
    if messages[-1]["role"] != "assistant":
        ids, text = _render(tokenizer, given, add_generation_prompt=True)
        return Encoded(ids, text, len(ids))
    options = {"continue_final_message": True} if answer else {}
    ids, text = _render(tokenizer, given, **options)
    asked, _ = _render(tokenizer, given[:-1], add_generation_prompt=True) if given[:-1] else ([], "")
    if answer:
        return Encoded(ids, text, len(ids))
    return Encoded(ids, text, len(asked) if ids[: len(asked)] == asked else _shared(ids, asked))


def _render(tokenizer: Any, messages: list[Any], **options: Any) -> tuple[list[int], str]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
    start = getattr(tokenizer, "bos_token_id", None)
    ids = [int(i) for i in ids]
    while start is not None and ids[:2] == [start, start]:  # a template that writes it beside a tokenizer that does
        ids = ids[1:]
    return ids, text


def _shared(ids: list[int], asked: list[int]) -> int:
    """How many tokens at the beginning are the same."""
    return next((k for k, (a, b) in enumerate(zip(ids, asked, strict=False)) if a != b), min(len(ids), len(asked)))


def _integers(x: Any) -> list[int]:
    array = to_numpy(x, name="ids")
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 1:
        many = "; model.traces takes several texts" if array.ndim == 2 else ""
        raise ValueError(f"ids must have shape (position,) or (1, position); got {array.shape}{many}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"trace takes a text, messages or integer ids; got {array.dtype} values")
    return [int(i) for i in array]
