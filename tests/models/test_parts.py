"""What heads and MLPs read and write adds up to what the model computed, in every architecture of the zoo."""

from __future__ import annotations

import functools

import pytest
import torch
from zoo import LEGACY, ZOO, build, ids

import mechviz.models.head_results as head_results
from mechviz.models import load
from mechviz.pattern import Unavailable

GATED = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "phi3", "olmo2", "granite", "cohere", "deepseek_v3")
NORM_AFTER = ("gemma2", "gemma3", "olmo2")  # a norm between the heads and the stream
OWN_SOFTMAX = [name for name in LEGACY if name != "falcon"]


@functools.cache
def traced(name, dtype=torch.float32):
    return load(build(name, dtype=dtype)).trace(ids())


@pytest.mark.parametrize("name", ZOO)
def test_contributions_lead_from_one_stream_to_the_next(name):
    trace = traced(name)
    for layer in trace.resid_mid.layers:
        if name != "openai":  # norms after each sum
            torch.testing.assert_close(trace.resid_pre[layer] + trace.attn_out[layer], trace.resid_mid[layer])
            torch.testing.assert_close(trace.resid_mid[layer] + trace.mlp_out[layer], trace.resid_post[layer])
    for layer in trace.resid_mid.missing:
        total = trace.resid_pre[layer] + trace.attn_out[layer]
        total = total + trace.mlp_out[layer] if trace.mlp_out.layers else total
        torch.testing.assert_close(total, trace.resid_post[layer])
    assert list(trace.mlp_out.missing) == ([0, 1, 2] if name == "mamba" else [])


@pytest.mark.parametrize("name", [name for name in ZOO if name != "mamba"])
def test_heads_read_what_their_pattern_says(name):
    trace = traced(name)
    for layer in trace.z.layers:
        v, z, pattern = trace.v[layer], trace.z[layer], trace.pattern[layer].dense()
        v = v.repeat_interleave(len(pattern) // v.shape[1], 1)  # grouped queries share a key head
        torch.testing.assert_close(torch.einsum("hqk,khd->qhd", pattern, v), z, atol=1e-5, rtol=1e-5)


def test_queries_and_keys_give_the_scores():
    trace = traced("llama")
    q, k = trace.q[1], trace.k[1].repeat_interleave(2, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * 12**-0.5
    scores = scores.masked_fill(torch.ones(24, 24).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(scores.softmax(-1), trace.pattern[1].dense())
    assert q.shape == (24, 4, 12) and trace.k[1].shape == (24, 2, 12)


@pytest.mark.parametrize("name", OWN_SOFTMAX)
def test_queries_that_were_not_seen_say_so(name):
    trace = traced(name)
    assert not trace.q.layers and trace.z.layers
    with pytest.raises(Unavailable, match="layer 0 has no k: it computes its attention itself"):
        trace.k[0]


@pytest.mark.parametrize("name", [name for name in ZOO if name not in (*NORM_AFTER, "mamba")])
def test_what_heads_write_adds_up_to_attn_out(name):
    trace = traced(name)
    plan = trace.model.structure.plans[1]
    result = trace.result(1)
    bias = getattr(trace._block(1).get_submodule(plan.heads[0]), "bias", None)
    total = result.sum(1) if bias is None else result.sum(1) + bias
    torch.testing.assert_close(total, trace.attn_out[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(trace.result(1, heads=[2], positions=[5, 23]), result[[5, 23]][:, [2]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_results_in_other_dtypes(dtype):
    assert traced("gpt2", dtype).result(0).dtype == torch.float32


def test_a_packed_projection_is_asked_for_its_rows():
    class Packed(torch.nn.Module):  # as a quantised layer: it has no weight that could be read
        in_features = 48

        def __init__(self, linear):
            super().__init__()
            self.hidden = [linear]

        def forward(self, x):
            return self.hidden[0](x)

    module = build("llama")
    projection = module.model.layers[1].self_attn.o_proj
    module.model.layers[1].self_attn.o_proj = Packed(projection)
    torch.testing.assert_close(load(module).trace(ids()).result(1), traced("llama").result(1))


def test_results_that_do_not_exist(monkeypatch):
    with pytest.raises(Unavailable, match="post_attention_layernorm stands between the heads and the stream"):
        traced("gemma2").result(0)
    with pytest.raises(Unavailable, match="layer 0 has no z: no softmax"):
        traced("mamba").result(0)
    monkeypatch.setattr(head_results, "RESULT_LIMIT", 1000)
    with pytest.raises(MemoryError, match=r"4 heads add at 24 positions takes .* ask for some with heads="):
        traced("llama").result(0)


def test_a_sum_that_does_not_come_out_is_refused(monkeypatch):
    monkeypatch.setattr(head_results, "linear_parts", lambda module, given: (module.weight.T * 1.001, None))
    with pytest.raises(Unavailable, match="differ from attn_out by"):
        traced("llama").result(0)


@pytest.mark.parametrize("name", ZOO)
def test_gates(name):
    trace = traced(name)
    if name not in GATED:
        assert not trace.gate.layers and not trace.up.layers
        return
    for layer in trace.neurons.layers:
        block = trace._block(layer)
        act = block.get_submodule(trace.model.structure.plans[layer].act)
        with torch.no_grad():
            assert torch.equal(act(trace.gate[layer]) * trace.up[layer], trace.neurons[layer])


def test_an_mlp_without_a_gate_says_so():
    with pytest.raises(Unavailable, match="layer 0 has no up: its MLP is not gated"):
        traced("gpt2").up[0]
