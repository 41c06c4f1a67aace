"""What each attention head of the embedded model does, measured: where it looks, and what is lost without it.

The kinds are those of Wang et al. 2022, "Interpretability in the Wild" (indirect objects), and of Olsson et al. 2022,
"In-context Learning and Induction Heads".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .evaluate import held_out_sentences
from .sentences import ORDERS, Sentence

KINDS = {
    "previous token": "attention from a token to the one before it, on random tokens",
    "induction": "attention from a token read for the second time to the token that followed it the first time",
    "duplicate token": "attention from the second mention of the subject to the first",
    "S-inhibition": "attention from the end of the sentence to the second mention of the subject",
    "name mover": "attention from the end of the sentence to the indirect object",
    "effect": "logit difference, indirect object minus subject, that is lost when the head is replaced by its mean",
}


def _pad(rows: Sequence[list[int]]) -> torch.Tensor:
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids  # [sentence, position]


def _marks(tokenizer: Any, sentences: Sequence[Sentence]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the token ids `[sentence, position]` and the positions `[sentence]` of S1, S2, IO and END."""
    token = {i: text.lstrip("\u0120") for text, i in tokenizer.get_vocab().items()}
    rows, marks = [], {"S1": [], "S2": [], "IO": [], "END": []}
    for s in sentences:
        row = [tokenizer.bos_token_id, *tokenizer(s.prompt, add_special_tokens=False)["input_ids"]]
        words = [token[i] for i in row]
        rows.append(row)
        marks["S1"].append(words.index(s.subject))
        marks["S2"].append(len(words) - 1 - words[::-1].index(s.subject))
        marks["IO"].append(words.index(s.answer))
        marks["END"].append(len(words) - 1)
    return _pad(rows), {k: torch.tensor(v) for k, v in marks.items()}


def _without(layer: Any, head: int, width: int, mean: torch.Tensor) -> Callable[[], None]:
    """Replace one head's output by `mean` `[width]` from here on; the result undoes it."""

    def replace(_module: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        z = inputs[0].clone()  # [sentence, position, head * width]
        z[..., head * width : (head + 1) * width] = mean
        return (z,)

    return layer.attn.c_proj.register_forward_pre_hook(replace).remove


@torch.no_grad()
def measure(model: Any, tokenizer: Any, count: int = 64, length: int = 30) -> dict[str, torch.Tensor]:
    """Measure every head of a GPT-2 by the kinds of `KINDS`.

    Args:
        model: a `GPT2LMHeadModel` in eval mode with eager attention, which returns its attention weights.
        tokenizer: its tokenizer.
        count: indirect-object sentences per condition (name order, with and without a third name).
        length: tokens in one copy of the random sequences.

    Returns:
        For each kind a tensor `[layer, head]`: a mean attention weight between 0 and 1, or for "effect" a number of logits.
    """
    ids, at = _marks(tokenizer, [s for o in ORDERS for d in (False, True) for s in held_out_sentences(o, d, count, 7)])
    rows = torch.arange(len(ids))
    generator = torch.Generator().manual_seed(7)
    once = torch.randint(1, len(tokenizer), (32, length), generator=generator)  # [sequence, position]
    random_ids = torch.cat([torch.full((32, 1), tokenizer.bos_token_id), once, once], 1)
    index = torch.arange(length + 1, 2 * length)  # second copy, all but its last token

    inputs: list[torch.Tensor] = []
    hooks = [
        block.attn.c_proj.register_forward_pre_hook(lambda _m, x: inputs.append(x[0])) for block in model.transformer.h
    ]
    output = model(input_ids=ids, output_attentions=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    attention = torch.stack(output.attentions, 1)  # [sentence, layer, head, query, key]
    repeats = torch.stack(model(input_ids=random_ids, output_attentions=True, use_cache=False).attentions, 1)

    def look(query: str, key: str) -> torch.Tensor:
        return attention[rows, :, :, at[query], at[key]].mean(0)  # [layer, head]

    scores = {
        "previous token": repeats.diagonal(-1, -2, -1).mean((0, -1)),
        "induction": repeats[..., index, index - length + 1].mean((0, -1)),
        "duplicate token": look("S2", "S1"),
        "S-inhibition": look("END", "S2"),
        "name mover": look("END", "IO"),
    }

    def difference() -> float:
        logits = model(input_ids=ids, use_cache=False).logits[rows, at["END"]]  # [sentence, vocab]
        return (logits[rows, answers] - logits[rows, subjects]).mean().item()

    answers = _with_space(tokenizer, ids[rows, at["IO"]])
    subjects = ids[rows, at["S2"]]
    whole, layers, heads = difference(), *scores["induction"].shape
    width = model.config.hidden_size // heads
    real = torch.arange(ids.shape[1]) <= at["END"][:, None]  # [sentence, position]
    effect = torch.zeros(layers, heads)
    for layer, block in enumerate(model.transformer.h):
        for head in range(heads):
            mean = inputs[layer][..., head * width : (head + 1) * width][real].mean(0)  # [width]
            undo = _without(block, head, width, mean)
            effect[layer, head] = whole - difference()
            undo()
    return scores | {"effect": effect}


def _with_space(tokenizer: Any, ids: torch.Tensor) -> torch.Tensor:
    """Return the ids of the same words with a leading space."""
    vocab = tokenizer.get_vocab()
    text = {i: token for token, i in vocab.items()}
    return torch.tensor([vocab["\u0120" + text[i].lstrip("\u0120")] for i in ids.tolist()])
