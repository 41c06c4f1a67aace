"""The tokenizer of the embedded model: byte-level BPE in which every word of the corpus is one token."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .corpus import END_OF_TEXT, Cast, document
from .words import NAMES

MERGES = 160  # pieces of words, for text outside the corpus


def build(seed: int, max_length: int, documents: int = 30_000) -> PreTrainedTokenizerFast:
    """Build the tokenizer from a sample of the corpus.

    Plain BPE spends a third of its vocabulary on fragments that only lead to a longer word. Here the words go into the
    vocabulary whole (`ignore_merges`, as in Llama 3), and a short list of merges serves everything else; all 256 bytes
    are in, so any text has tokens.

    Args:
        seed: seed of the sample.
        max_length: the model's context length, in tokens.
        documents: size of the sample.

    Returns:
        A transformers tokenizer; every name is one token with a leading space, and one without.
    """
    rng = random.Random(seed)
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [text for text in (document(rng, Cast(rng)) for _ in range(documents)) if text]
    found = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    found |= {space + name for name in NAMES for space in ("", "\u0120")}  # U+0120 is how byte-level BPE writes a space

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = split
    trainer = trainers.BpeTrainer(
        vocab_size=1 + len(alphabet) + MERGES,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    learner.train_from_iterator((piece.replace("\u0120", " ") for piece in sorted(found)), trainer)
    learned = json.loads(learner.to_str())["model"]

    vocab: dict[str, int] = learned["vocab"]
    for piece in sorted(found - vocab.keys()):
        vocab[piece] = len(vocab)
    merges = [(left, right) for left, right in learned["merges"]]
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    backend.pre_tokenizer = split
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def save(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write `tokenizer.json` (compact) and a `tokenizer_config.json` with nothing machine-made in it."""
    tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "model_max_length": tokenizer.model_max_length,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
