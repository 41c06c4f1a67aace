"""What the embedded model can do, measured: indirect objects, induction, facts.

The same functions report progress during training, guard the shipped weights in the tests, and may be called on any
causal language model whose tokenizer has the names as single tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch

from .corpus import FACTS
from .sentences import ORDERS, Sentence, indirect_object
from .words import NAMES, held_out


def held_out_sentences(order: str, distractor: bool, count: int, seed: int = 0) -> list[Sentence]:
    """Write indirect-object sentences whose pair of names never occurred in training.

    Args:
        order: "ABB" or "BAB", see `sentences.Sentence`.
        distractor: whether a third name stands in the way.
        count: how many.
        seed: same seed, same sentences.

    Returns:
        `count` sentences; the pairs are those for which `words.held_out` holds.

    Raises:
        ValueError: an order that is neither "ABB" nor "BAB".
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}; got {order!r}")
    rng = random.Random(f"{order} {distractor} {seed}")
    pairs = [pair for pair in combinations(NAMES, 2) if held_out(*pair)]
    sentences = []
    for _ in range(count):
        subject, answer = rng.sample(rng.choice(pairs), 2)
        third = rng.choice([name for name in NAMES if name not in (subject, answer)])
        sentences.append(indirect_object(rng, subject, answer, third if distractor else None, order))
    return sentences


@torch.no_grad()
def last_logits(model: Any, tokenizer: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Return the logits after each prompt, `[prompt, vocab]`, with a BOS token in front of each.

    Shorter prompts are padded on the right, which a causal model does not see.
    """
    rows = [[tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]] for prompt in prompts]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)  # [prompt, position]
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    logits = model(input_ids=ids, use_cache=False).logits  # [prompt, position, vocab]
    return logits[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])].float()


def first_token(tokenizer: Any, word: str) -> int:
    """Return the first token of a word that stands after a space."""
    return tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0]


def indirect_objects(model: Any, tokenizer: Any, sentences: Sequence[Sentence]) -> dict[str, float]:
    """Measure indirect-object identification.

    Args:
        model: a causal language model of transformers, in eval mode.
        tokenizer: its tokenizer.
        sentences: what to complete.

    Returns:
        `accuracy`: share of sentences where the indirect object has a higher logit than every other name in the
        sentence; `top1`: share where it is the most likely token of all; `difference`: mean logit of the indirect
        object minus that of the subject.
    """
    logits = last_logits(model, tokenizer, [s.prompt for s in sentences])  # [sentence, vocab]
    rows = torch.arange(len(sentences))
    answer = logits[rows, torch.tensor([first_token(tokenizer, s.answer) for s in sentences])]  # [sentence]
    subject = logits[rows, torch.tensor([first_token(tokenizer, s.subject) for s in sentences])]
    third = logits[rows, torch.tensor([first_token(tokenizer, s.distractor or s.subject) for s in sentences])]
    return {
        "accuracy": (answer > torch.maximum(subject, third)).float().mean().item(),
        "top1": (answer == logits.max(-1).values).float().mean().item(),
        "difference": (answer - subject).mean().item(),
    }


@torch.no_grad()
def induction(model: Any, tokenizer: Any, count: int = 64, length: int = 30, seed: int = 0) -> dict[str, float]:
    """Measure how well the model continues random tokens that it reads for the second time.

    Args:
        model: a causal language model of transformers, in eval mode.
        tokenizer: its tokenizer.
        count: number of sequences.
        length: tokens in one copy, drawn uniformly from the vocabulary without the special tokens.
        seed: same seed, same sequences.

    Returns:
        `accuracy`: share of the tokens of the second copy, from its second token on, that are the most likely token;
        `loss_first` and `loss_second`: mean loss on each copy, in nats.
    """
    generator = torch.Generator().manual_seed(1_000_003 + seed)
    ids = torch.randint(1, len(tokenizer), (count, length), generator=generator)  # token 0 is the special one
    bos = torch.full((count, 1), tokenizer.bos_token_id)
    x = torch.cat([bos, ids, ids], 1)  # [sequence, position]
    logits = model(input_ids=x, use_cache=False).logits[:, :-1].float()  # [sequence, position, vocab]
    target = x[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")  # [sequence, position]
    # target[:, length] is the first token of the second copy: nothing tells that the copy begins there.
    right = (logits.argmax(-1) == target)[:, length + 1 :]
    return {
        "accuracy": right.float().mean().item(),
        "loss_first": loss[:, :length].mean().item(),
        "loss_second": loss[:, length + 1 :].mean().item(),
    }


def facts(model: Any, tokenizer: Any) -> dict[str, float]:
    """Measure the share of `corpus.FACTS` whose completion is the most likely next token."""
    logits = last_logits(model, tokenizer, [prompt for prompt, _ in FACTS])  # [fact, vocab]
    answers = torch.tensor([first_token(tokenizer, completion) for _, completion in FACTS])
    return {"accuracy": (logits.argmax(-1) == answers).float().mean().item()}


def report(model: Any, tokenizer: Any, count: int = 100) -> dict[str, float]:
    """Measure everything, `count` sentences per condition; keys such as "ioi ABB", "ioi BAB +name", "induction"."""
    training = model.training
    model.eval()
    scores: dict[str, float] = {}
    for order in ORDERS:
        for distractor in (False, True):
            measured = indirect_objects(model, tokenizer, held_out_sentences(order, distractor, count))
            key = f"ioi {order}{' +name' if distractor else ''}"
            scores[key] = measured["accuracy"]
            scores[f"{key} top1"] = measured["top1"]
            scores[f"{key} difference"] = measured["difference"]
    scores["induction"] = induction(model, tokenizer)["accuracy"]
    scores["facts"] = facts(model, tokenizer)["accuracy"]
    model.train(training)
    return scores


def summary(scores: dict[str, float]) -> dict[str, float]:
    """Return the three figures of a `report`: the worst indirect-object condition, induction, facts."""
    worst = min(scores[f"ioi {order}{name}"] for order in ORDERS for name in ("", " +name"))
    return {"objects": worst, "induction": scores["induction"], "facts": scores["facts"]}
