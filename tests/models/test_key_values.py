"""What stands behind each key: lengths of values, and what heads would write for them; by hand, and summed to the heads' results."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import build, ids

import mechviz as mv
from mechviz import _key_values
from mechviz._layered import Unavailable
from mechviz.analysis import contribution_norms, contributions, value_norms
from mechviz.models import load


def with_projection(matrix: torch.Tensor):
    """A llama (4 heads of 12, which share 2 values; width 48) whose output projection in layer 1 is a given matrix."""
    module = build("llama")
    with torch.no_grad():
        module.model.layers[1].self_attn.o_proj.weight.copy_(matrix)  # [d_model, head * d_head]
    return load(module).trace(ids())


def test_lengths_of_given_values():
    # two keys, one value head of width 2: ‖(3, 4)‖ = 5, ‖(0, 2)‖ = 2; two query heads share it
    v = np.array([[[3.0, 4.0]], [[0.0, 2.0]]])  # [key, value head, d_head]
    q = np.zeros((2, 2, 2))  # [position, head, d_head]
    cache = {"blocks.3.attn.hook_v": v[None], "blocks.3.attn.hook_q": q[None]}
    found = value_norms(mv.from_cache(cache, ["a", "b"]))
    assert found.layers == (3,) and found.values.tolist() == [[[5, 2], [5, 2]]]
    assert found[3].tolist() == [[5, 2], [5, 2]]
    assert found.quantity.name == "‖v‖"
    pytest.importorskip("plotly")
    figure = found.to_plotly()
    assert figure.data[0].z.tolist() == [[5, 2], [5, 2]]
    assert list(figure.layout.yaxis.ticktext) == ["L3H0", "L3H1"]
    with pytest.raises(Unavailable, match=r"layer 1 has no ‖v‖: "):
        found[1]
    with pytest.raises(IndexError, match=r"layer must be one of \[3\]; got 4"):
        found[4]
    without = mv.from_cache({"blocks.3.attn.hook_v": v[None]}, ["a", "b"])
    with pytest.raises(Unavailable, match="nothing says how many heads share a value"):
        value_norms(without)


def test_values_of_gpt2_by_hand():
    module = build("gpt2")
    trace = load(module).trace(ids())
    block = module.transformer.h[1]
    with torch.no_grad():
        v = block.attn.c_attn(block.ln_1(trace.resid_pre[1]))[:, 96:].reshape(24, 4, 12)  # after 48 of q and 48 of k
        written = torch.einsum("khd,hdm->hkm", v, block.attn.c_proj.weight.reshape(4, 12, 48))
    direction = torch.linspace(-1, 1, 48)
    assert value_norms(trace).values.shape == (3, 4, 24)
    assert repr(value_norms(trace)) == "KeyValues(‖v‖: 12 heads, 24 keys)"
    np.testing.assert_allclose(value_norms(trace)[1], v.norm(dim=-1).T, rtol=1e-5)
    np.testing.assert_allclose(contribution_norms(trace)[1], written.norm(dim=-1), rtol=1e-4)
    np.testing.assert_allclose(contributions(trace, direction)[1], written @ direction, atol=1e-4)


def test_grouped_heads_share_values_and_not_contributions():
    # W_O is twice the identity: head h writes 2 v[h // 2] into the twelve columns 12 h … 12 h + 11, and nothing elsewhere
    trace = with_projection(2 * torch.eye(48))
    v = trace.v[1].numpy()  # [key, value head, d_head]
    norms = np.linalg.norm(v, axis=-1).T.repeat(2, axis=0)  # heads 0, 1 of value 0; 2, 3 of value 1
    np.testing.assert_allclose(value_norms(trace)[1], norms, rtol=1e-5)
    np.testing.assert_allclose(contribution_norms(trace)[1], 2 * norms, rtol=1e-5)
    direction = np.zeros(48)
    direction[12 * 2 + 5] = 1.0  # head 2, its value's sixth number
    along = contributions(trace, direction)[1]
    np.testing.assert_allclose(along[2], 2 * v[:, 1, 5], rtol=1e-5)
    assert not along[[0, 1, 3]].any()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_oss", "deepseek_v3", "gptj"])
def test_weighted_with_the_pattern_they_are_the_heads_results(name):
    trace = load(build(name)).trace(ids())
    direction = torch.randn(48, generator=torch.Generator().manual_seed(0))
    along = contributions(trace, direction)
    for layer in along.layers:
        pattern = np.asarray(trace.attention[layer])[..., -24:]  # without a sink's column
        expected = (trace.result(layer) @ direction).T.numpy()  # [head, query]
        np.testing.assert_allclose((pattern * along[layer][:, None]).sum(-1), expected, atol=2e-3, rtol=1e-3)


def test_bfloat16_and_long_texts_in_blocks(monkeypatch):
    trace = load(build("llama", dtype=torch.bfloat16)).trace(ids())
    whole = contribution_norms(trace).values
    assert whole.dtype == np.float32 and np.isfinite(whole).all()
    monkeypatch.setattr("mechviz._key_values.CHUNK", 48 * 7)  # seven keys at a time
    np.testing.assert_allclose(contribution_norms(trace).values, whole, rtol=1e-6)


def test_what_has_no_output_projection_of_its_own_says_so(tmp_path):
    trace = load(build("gemma2")).trace(ids())
    assert value_norms(trace).layers == (0, 1, 2)
    with pytest.raises(Unavailable, match="no layer has ‖W_O v‖: post_attention_layernorm stands between the heads"):
        contribution_norms(trace)
    with pytest.raises(Unavailable, match="no layer has ‖v‖: no softmax over the tokens was seen"):
        value_norms(load(build("mamba")).trace(ids()))
    whole = load(build("llama")).trace(ids())
    whole.save(tmp_path / "t.mv", ["v", "q"])
    saved = mv.open(tmp_path / "t.mv")
    np.testing.assert_array_equal(value_norms(saved).values, value_norms(whole).values)
    with pytest.raises(
        TypeError, match="trace must be a Trace, which has the model's output projections; got a SavedTrace"
    ):
        contribution_norms(saved)
    with pytest.raises(ValueError, match=r"direction must have shape \(d_model,\) == \(48,\); got \(3,\)"):
        contributions(whole, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="direction must be finite"):
        contributions(whole, np.full(48, np.nan))


def test_layers_with_another_head_count_and_layers_without():
    # layer 1's projection is one that no equation holds of: it is gated behind the heads
    trace = with_projection(torch.eye(48))
    projection = trace.model.module.model.layers[1].self_attn.o_proj

    class Gated(torch.nn.Module):
        def forward(self, x):
            return projection(x) * x.sigmoid()

    module = build("llama")
    module.model.layers[1].self_attn.o_proj = Gated()
    found = contribution_norms(load(module).trace(ids()))
    assert found.layers == (0, 2) and found.values.shape == (2, 4, 24) and list(found.missing) == [1]
    with pytest.raises(Unavailable, match=r"layer 1 has no ‖W_O v‖: "):
        found[1]


def test_attention_of_a_trace_is_weighed_by_what_the_trace_knows():
    trace = load(build("llama")).trace(ids())
    direction = torch.linspace(-1, 1, 48)
    view = mv.attention(trace.tokens, trace.attention, directions={"up": direction})
    norms, written, up = (view.answer("0", "weigh", {"sheet": 0, "which": i})[1][0] for i in range(3))
    every = trace.attention.layers
    np.testing.assert_array_equal(norms, np.concatenate([value_norms(trace)[layer] for layer in every]))
    np.testing.assert_array_equal(written, np.concatenate([contribution_norms(trace)[layer] for layer in every]))
    # Times the weights, summed over keys: what the head writes along the direction.
    weights = np.concatenate([trace.attention[layer].dense().numpy() for layer in every])
    summed = (weights * up[:, None]).sum(-1)  # [head, query]
    results = torch.cat([trace.result(layer).permute(1, 0, 2) for layer in every]) @ direction
    np.testing.assert_allclose(summed, results, atol=1e-5)


def test_a_saved_trace_knows_what_stood_behind_its_keys(tmp_path):
    trace = load(build("llama")).trace(ids())
    trace.save(tmp_path / "t.mv", sites="attention")
    saved = mv.open(tmp_path / "t.mv")
    for name, wanted in (("value_norms", value_norms(trace)), ("contribution_norms", contribution_norms(trace))):
        found = getattr(saved.attention.behind, name)()
        assert np.array_equal(found.values, wanted.values) and found.quantity == wanted.quantity
        assert (found.layers, found.heads, found.missing) == (wanted.layers, wanted.heads, wanted.missing)
    view = mv.attention(saved.tokens, saved.attention, directions={"up": np.ones(48)})
    _, (norms,) = view.answer("0", "weigh", {"sheet": 0, "which": 1})
    assert np.array_equal(norms, contribution_norms(trace).values.reshape(12, 24))
    assert "no layer has W_O v" in view.answer("0", "weigh", {"sheet": 0, "which": 2})["reason"]


def test_a_saved_trace_says_why_there_was_nothing_behind_its_keys(tmp_path, monkeypatch):
    def refuse(*_):
        raise Unavailable("a norm is behind it")

    monkeypatch.setattr(_key_values, "_per_head", refuse)
    load(build("llama")).trace(ids()).save(tmp_path / "t.mv", sites="attention")
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="no layer has ‖W_O v‖: a norm is behind it"):
        mv.open(tmp_path / "t.mv").attention.behind.contribution_norms()
