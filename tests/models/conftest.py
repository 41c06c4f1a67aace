from __future__ import annotations

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from zoo import VOCAB

transformers.logging.set_verbosity_error()  # tiny configs provoke warnings about special tokens


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny matrices: threads only cost."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_tokenizer():
    """A byte-level tokenizer over printable ASCII that fits the zoo's vocabulary; ``bos=True`` adds a BOS by itself."""

    def make(*, bos: bool = False) -> transformers.PreTrainedTokenizerFast:
        alphabet = [chr(code) for code in range(33, 123)]
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        special = ["<pad>", "<s>", "</s>"]
        backend.train_from_iterator(
            [], trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, initial_alphabet=[*alphabet, "\u0120"])
        )
        if bos:
            backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        )

    return make
