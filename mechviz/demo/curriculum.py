"""What the embedded model reads while it learns: three kinds of batch, each harder as it is mastered.

Reading only the finished corpus, a model of this size sits for thousands of steps at "one of the two names, whichever".
What moves it, found by trial: a batch of sentences scored at their answer alone, short repeats before long ones, and the
third name only once two are told apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from .corpus import Cast, document, giving
from .sentences import indirect_object
from .words import NAMES, held_out

SHORT, CONTEXT = 48, 128
TEXT_TOKENS_SHORT, TEXT_TOKENS = 768, 1280
SENTENCES = 64
REPEAT_TOKENS = 1200


@dataclass
class Batch:
    """Token ids, and which of the next tokens count.

    Attributes:
        task: "repeats", "text" or "objects".
        ids: `[row, position]`, one position more than is read: the last token is only a target.
        counts: bool `[row, position]`: whether the token after this position is scored.
    """

    task: str
    ids: Tensor
    counts: Tensor


class Curriculum:
    """Batches for one training run, in the order in which a step reads them.

    Args:
        tokenizer: the model's tokenizer; token 0 is the end-of-text token.
        seed: seed of the text. Random tokens come from torch's own generator.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.rng = random.Random(seed + 1)
        self.encode = tokenizer.backend_tokenizer.encode
        self.vocab = tokenizer.get_vocab()
        self.size = len(tokenizer)
        # U+0120 is how byte-level BPE writes a leading space
        self.names = {self.vocab[space + name]: name for name in NAMES for space in ("", "\u0120")}
        self.longest_repeat, self.farthest_repeat = 8.0, 0.0
        self.third = 0.0
        self.right = {"repeats": 0.0, "objects": 0.0}

    def step(self, long: bool) -> Iterator[Batch]:
        """Yield the batches of one step; `long` when the windows of text fill the context."""
        yield self.repeats()
        yield self.text(long)
        yield self.objects()

    def learned(self, task: str, share: float) -> None:
        """Take note that `share` of a batch's answers were right, and make the task harder if it is mastered."""
        if task == "repeats":
            self.right[task] = 0.9 * self.right[task] + 0.1 * share
            if self.right[task] > 0.55:
                self.longest_repeat = min(60.0, self.longest_repeat * 1.006)
                self.farthest_repeat = min(120.0, (self.farthest_repeat + 0.1) * 1.01)
        elif task == "objects":
            self.right[task] = 0.95 * self.right[task] + 0.05 * share
            if self.right[task] > 0.85:
                self.third = min(1.0, self.third + 0.004)

    def repeats(self) -> Batch:
        """Return random tokens said twice, after other random tokens; the second time counts."""
        length = self.rng.randint(4, int(self.longest_repeat))
        before = self.rng.randint(0, max(0, min(int(self.farthest_repeat), CONTEXT - 2 - 2 * length)))
        rows = max(8, min(48, REPEAT_TOKENS // (2 * length + before)))
        once = 1 + torch.rand(rows, self.size - 1).topk(length, 1).indices  # [row, position]
        prefix = torch.randint(1, self.size, (rows, before))
        self.part(prefix, once)
        ids = torch.cat([torch.zeros(rows, 1, dtype=torch.long), prefix, once, once], 1)
        counts = torch.zeros(rows, before + 2 * length, dtype=torch.bool)
        counts[:, before + length :] = True
        return Batch("repeats", ids, counts)

    def part(self, prefix: Tensor, once: Tensor) -> None:
        """Put an ordinary token in place of every name that would complete a held-out pair, in `prefix` and `once`."""
        both = torch.cat([prefix, once], 1)  # [row, position]
        for row, tokens in enumerate(both.tolist()):
            seen: list[str] = []
            for position, token in enumerate(tokens):
                name = self.names.get(token)
                if name is None:
                    continue
                if not any(held_out(name, other) for other in seen):
                    seen.append(name)
                    continue
                both[row, position] = next(t for t in range(1, self.size) if t not in self.names and t not in tokens)
        prefix.copy_(both[:, : prefix.shape[1]])
        once.copy_(both[:, prefix.shape[1] :])

    def text(self, long: bool) -> Batch:
        """Return windows of documents side by side, an end-of-text token before each; every token counts.

        Every window has its own cast of names, so none holds a held-out pair. A tenth of them lack the first
        end-of-text token, so that the model also takes text without one.
        """
        window = CONTEXT if long else SHORT
        rows = []
        for _ in range((TEXT_TOKENS if long else TEXT_TOKENS_SHORT) // window):
            cast, row = Cast(self.rng, self.third), []
            while len(row) < window + 2:
                row += [0, *self.encode(self.document(cast, long)).ids]
            start = self.rng.random() < 0.1
            rows.append(row[start : start + window + 1])
        ids = torch.tensor(rows)
        return Batch("text", ids, torch.ones_like(ids[:, 1:], dtype=torch.bool))

    def document(self, cast: Cast, long: bool) -> str:
        """Return a document: of any kind in long windows, mostly indirect objects in short ones."""
        text = None
        while text is None:  # None stands for a repeat, which has batches of its own
            text = document(self.rng, cast) if long or self.rng.random() < 0.3 else giving(self.rng, cast)
        return text

    def objects(self) -> Batch:
        """Return indirect-object sentences, one a row; only the answer counts."""
        rows = []
        for _ in range(SENTENCES):
            cast = Cast(self.rng, self.third)
            subject, answer, third = cast.draw(3)
            sentence = indirect_object(self.rng, subject, answer, third if cast.distracts() else None)
            rows.append([0, *self.encode(sentence.prompt).ids, self.vocab["\u0120" + answer]])
        ids = torch.zeros(SENTENCES, max(map(len, rows)), dtype=torch.long)  # padded on the right, which nothing reads
        counts = torch.zeros(SENTENCES, ids.shape[1] - 1, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            counts[i, len(row) - 2] = True
        return Batch("objects", ids, counts)
