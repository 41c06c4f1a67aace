"""A layer whose attention is not understood: refused with its reason, the others drawn, and the matrix on demand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.modeling_utils import AttentionInterface
from zoo import build, ids

import mechviz as mv
from mechviz.models import load
from mechviz.pattern import Dense, Factored, PatternStack, Unavailable


@pytest.fixture
def odd():
    """A Llama whose layer 1 attends with a rule of its own: every query also averages over what it attends to."""
    model = build("llama")
    layer = model.model.layers[1].self_attn

    def attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=True
        )
        if module is layer:
            out = (out + out.flip(1)) / 2  # each head reads what another one does, too
        return out.transpose(1, 2), None

    AttentionInterface.register("odd", attend)
    model.config._attn_implementation_internal = "odd"
    yield load(model).trace(ids())
    AttentionInterface._global_mapping.pop("odd")


def test_the_other_layers_are_there(odd):
    stack = odd.attention
    assert stack.layers == (0, 1, 2)
    found = dict(stack.items())
    assert list(found) == [0, 2] == list(stack.layers)
    assert stack[-1] is found[2] and stack[-3] is found[0]
    for _ in range(2):
        with pytest.raises(Unavailable, match="layer 1 has no attention pattern"):
            stack[-2]  # the same layer as before it was known to have none
    assert "layer 1 has no attention pattern that can be trusted: recomputed from queries" in stack.missing[1]
    with pytest.raises(Unavailable, match=r"layer 1 .* trace.materialised\(1\) asks its eager code"):
        stack[1]
    assert "layer 1 has no attention pattern that can be trusted" in str(odd.report())


def test_a_view_draws_the_others_and_says_which_is_missing(odd):
    view = mv.attention(odd.tokens, odd.attention)
    props = view.flat()[1]["0"][1]
    assert props["rows"] == ["L0", "L1", "L2"]  # in its place, with the reason and no heads
    assert [reason is None for reason in props["reasons"]] == [True, False, True]
    assert props["reasons"][1].startswith("recomputed from queries and keys, row")
    line = " ".join(props["frame"]["provenance"])
    assert "no pattern of layer 1: recomputed from queries and keys, row" in line


def test_a_matrix_that_does_not_give_what_the_heads_read_is_refused(odd):
    with pytest.raises(Unavailable, match="the weights of its eager code differ by .* from what its heads read"):
        odd.materialised(1)
    torch.testing.assert_close(odd.materialised(0).dense(), odd.attention[0].dense(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "gpt2", "deepseek_v3", "gpt_oss"])
def test_the_matrix_of_eager_code_is_the_pattern(name, implementation):
    if implementation == "sdpa" and name in ("gemma2", "gpt_oss"):
        pytest.skip("transformers has no sdpa for it")
    trace = load(build(name, attn_implementation=implementation)).trace(ids())
    for layer in range(3):
        made = trace.materialised(layer)
        torch.testing.assert_close(made.dense(), trace.attention[layer].dense(), atol=1e-5, rtol=0)
        assert made.causal


def test_a_matrix_of_other_weights_is_noticed():
    model = build("llama")
    trace = load(model).trace(ids())
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight.mul_(1.5)
    with pytest.raises(RuntimeError, match="replaying layer 0 no longer gives"):
        trace.materialised(0)


def test_no_code_to_ask():
    trace = load(build("mamba")).trace(ids())
    with pytest.raises(Unavailable, match="layer 0 has no attention pattern: no softmax"):
        trace.materialised(0)


def test_the_sinks_column_is_drawn_and_labelled():
    trace = load(build("gpt_oss")).trace(ids())
    pattern = trace.attention[1]
    total = pattern.dense().sum(-1) + torch.stack([pattern.sink(head) for head in range(4)])
    torch.testing.assert_close(total, torch.ones(4, 24), atol=1e-6, rtol=0)
    torch.testing.assert_close(pattern.sink(2, [3, 20]), pattern.sink(2)[[3, 20]])

    props = mv.attention(trace.tokens, trace.attention).flat()[1]["0"][1]
    keys, queries = props["key_tokens"], props["tokens"]
    assert keys["label"] == [*queries["label"], "sink"] and not props["causal"]
    head = props["heads"][5].copy()  # L1H1
    encoded = head["values"].encode()
    drawn = decode(encoded)
    np.testing.assert_allclose(drawn[:, :24], pattern.head(1), atol=1e-6)
    np.testing.assert_allclose(drawn[:, 24], pattern.sink(1), atol=1e-6)
    assert props["probabilities"]  # rows are whole again


def decode(encoded):
    from mechviz import wire

    return wire.decode(encoded.header, encoded.data)


def test_sinks_beside_layers_without_any():
    q = k = np.zeros((1, 3, 2), np.float32)
    stack = PatternStack(
        [Factored(q, k, causal=True, sinks=np.zeros(1, np.float32)), Dense(np.tri(3)[None] / [[1], [2], [3]])]
    )
    props = mv.attention(["a", "b", "c"], stack).flat()[1]["0"][1]
    first, second = (decode(head["values"].encode()) for head in props["heads"])
    # all scores are 0: query i shares its weight between i + 1 keys and the sink
    np.testing.assert_allclose(first, [[1 / 2, 0, 0, 1 / 2], [1 / 3, 1 / 3, 0, 1 / 3], [1 / 4] * 4], atol=1e-6)
    np.testing.assert_allclose(second[:, 3], 0)


def test_a_sink_of_its_own_for_every_query():
    q = k = np.zeros((2, 3, 2), np.float32)
    sinks = np.log(np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]], np.float32))
    pattern = Factored(q, k, causal=True, sinks=sinks)
    np.testing.assert_allclose(pattern.sink(0), [1 / 2, 2 / 4, 3 / 6], atol=1e-6)  # s / (keys seen + s)
    np.testing.assert_allclose(pattern.rows(0, [2])[0], [1 / 6] * 3, atol=1e-6)
    with pytest.raises(ValueError, match=r"sinks must have shape \(2,\) or \(2, 3\); got \(3,\)"):
        Factored(q, k, sinks=np.zeros(3, np.float32))
