"""The card of the embedded model, written from measurements: `model/README.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from . import evaluate, heads

PROMPT = "When Mary and John went to the store, John gave a drink to"

TEXT = """\
---
license: apache-2.0
language: en
library_name: transformers
---

# The embedded model of mechviz

A language model in the architecture of GPT-2 with {layers} layers of {heads} heads, width {width}, {positions} positions,
a vocabulary of {vocab:,} tokens and {parameters:,} parameters, {kilobytes:,} kB with its tokenizer. The weights are stored in
float16 and computed in float32. Licence: Apache-2.0.

It was trained from scratch on synthetic text alone, by `python -m mechviz.demo.train` (`mechviz/demo/`): a grammar of
simple English with 112 first names, {facts} facts, and random tokens said twice. It knows nothing else and serves only to
look inside a language model.

## What it can do

Names: pairs that never occurred together in a training window (`words.held_out`, one pair in twenty, Mary and John among
them). Accuracy: the indirect object has a higher logit than every other name of the sentence. Top-1: it is the most
likely token of all. {count} sentences per row.

| sentence | accuracy | top-1 | logit difference to the subject |
|---|---|---|---|
{objects}

- {prompt} → " Mary" with probability {probability:.3f}.
- Random tokens, the second of two copies of 30: {induction:.3f} right (loss {loss_first:.2f} on the first copy and
  {loss_second:.2f} on the second, in nats).
- Facts: {known:.3f} of {facts} completed right ("The capital of Italy is" → " Rome").

## Its heads

The strongest heads of each kind (`heads.measure`). Weights are means over held-out sentences, or over random tokens.

| kind | measured as | heads |
|---|---|---|
{kinds}
"""


def write(directory: Path, count: int = 250) -> dict[str, float]:
    """Measure the model in `directory` and write its card there.

    Args:
        directory: a transformers model directory with a GPT-2 and a tokenizer.
        count: indirect-object sentences per condition.

    Returns:
        What `evaluate.report` measured.
    """
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        directory, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    scores = evaluate.report(model, tokenizer, count)
    config = model.config
    files = sum(path.stat().st_size for path in directory.iterdir() if path.suffix in (".json", ".safetensors"))
    answer = evaluate.first_token(tokenizer, "Mary")
    text = TEXT.format(
        layers=config.n_layer, heads=config.n_head, width=config.n_embd, positions=config.n_positions,
        vocab=config.vocab_size, parameters=model.num_parameters(), kilobytes=round(files / 1000),
        facts=len(evaluate.FACTS), count=count, objects="\n".join(_objects(scores)), prompt=f'"{PROMPT}"',
        probability=evaluate.last_logits(model, tokenizer, [PROMPT]).softmax(-1)[0, answer].item(),
        induction=scores["induction"], known=scores["facts"], kinds="\n".join(_kinds(heads.measure(model, tokenizer))),
        **{k: v for k, v in evaluate.induction(model, tokenizer).items() if k != "accuracy"},
    )  # fmt: skip
    (directory / "README.md").write_text(text, encoding="utf-8")
    return scores


def _objects(scores: dict[str, float]) -> list[str]:
    rows = {
        "A and B … B gave … to A": "ioi ABB",
        "A and B … B gave … to A, with a third name": "ioi ABB +name",
        "B and A … B gave … to A": "ioi BAB",
        "B and A … B gave … to A, with a third name": "ioi BAB +name",
    }
    return [
        f"| {text} | {scores[key]:.3f} | {scores[f'{key} top1']:.3f} | {scores[f'{key} difference']:.1f} |"
        for text, key in rows.items()
    ]


def _kinds(measured: dict[str, torch.Tensor], most: int = 3) -> list[str]:
    rows = []
    for kind, scores in measured.items():
        best = sorted(((v.item(), i) for i, v in enumerate(scores.flatten())), reverse=True)[:most]
        width = scores.shape[1]
        named = ", ".join(f"L{i // width}H{i % width} {v:.2f}" for v, i in best if v > 0.05)
        rows.append(f"| {kind} | {heads.KINDS[kind]} | {named or 'none'} |")
    return rows
