"""Batches on an accelerator: their texts read as alone, and their replays give the same bits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
from zoo import build, ids  # noqa: E402

from mechviz.models import load  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "mixtral", "mamba"])
def test_texts_in_a_batch(name):
    model = load(build(name).to("cuda"))
    texts = [ids(length, seed=length) for length in (9, 24, 5, 17)]
    for trace, text in zip(model.traces(texts, batch_size=4), texts, strict=True):
        alone = model.trace(text)
        for layer in range(3):  # each a replay, which raises unless it gives the same bits
            torch.testing.assert_close(trace.resid_post[layer], alone.resid_post[layer], atol=1e-2, rtol=1e-2)
            torch.testing.assert_close(trace.attn_out[layer], alone.attn_out[layer], atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(trace.loss, alone.loss, atol=1e-2, rtol=1e-2, equal_nan=True)
