"""mv.attention of real architectures: key heads, sliding windows and layers without a softmax are told as the model has them."""

from __future__ import annotations

import pytest
import transformers as T
from zoo import VOCAB, build, ids

import mechviz as mv


def shown(model) -> dict:
    trace = model.trace(ids())
    return dict(mv.attention(trace.tokens, trace.attention).flat()[1]["0"][1])


@pytest.mark.parametrize(("name", "windows"), [("mistral", [8, 8, 8]), ("gemma3", [8, None, 8]), ("llama", [None] * 3)])
def test_groups_and_windows(name, windows):
    model = mv.load(build(name))
    heads = shown(model)["heads"]
    assert [head.get("window") for head in heads if head["head"] == 0] == windows
    shared = model.module.config.num_attention_heads // model.module.config.num_key_value_heads
    assert shared > 1
    assert [head["kv"] for head in heads] == [head["head"] // shared for head in heads]


def test_a_hybrid_has_rows_for_what_is_no_attention():
    config = T.JambaConfig(
        vocab_size=VOCAB,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_layer_period=3,
        attn_layer_offset=1,  # layers 1 and 4
        expert_layer_period=9,
        expert_layer_offset=8,  # none
        mamba_d_state=8,
        mamba_dt_rank=4,
        use_mamba_kernels=False,
    )
    got = shown(mv.load(T.JambaForCausalLM(config).eval()))
    assert got["rows"] == ["L0", "L1", "L2–3", "L4"]
    assert [bool(reason) for reason in got["reasons"]] == [True, False, True, False]
    assert all("no softmax" in got["reasons"][i] and "Mamba" in got["reasons"][i] for i in (0, 2))
    assert {(head["row"], head["layer"]) for head in got["heads"]} == {(1, 1), (3, 4)}
