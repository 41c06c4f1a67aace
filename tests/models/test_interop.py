"""TransformerLens's names and shapes, both ways; and what other libraries kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import build, ids

import mechviz as mv
from mechviz.models import load
from mechviz.models.lens import ORDER
from mechviz.pattern import Unavailable


def lens(name, **options):
    trace = load(build(name)).trace(ids(), **options)
    return trace, trace.as_transformer_lens()


class Cache:
    """As TransformerLens's: no Mapping, but it has keys and items."""

    def __init__(self, arrays):
        self.arrays = arrays

    def keys(self):
        return self.arrays.keys()

    def __getitem__(self, key):
        return self.arrays[key]


class Proxy:
    """As nnsight's: what was saved is its value."""

    def __init__(self, value):
        self.value = value


def test_names_and_shapes():
    trace, cache = lens("llama")  # 4 heads of 12 on 2 key heads, 48 wide, 96 neurons, 97 words
    assert {name: tuple(cache[name].shape) for name in cache if name.startswith("blocks.1.")} == {
        "blocks.1.hook_resid_pre": (1, 24, 48),
        "blocks.1.attn.hook_rot_q": (1, 24, 4, 12),
        "blocks.1.attn.hook_rot_k": (1, 24, 2, 12),
        "blocks.1.attn.hook_v": (1, 24, 2, 12),
        "blocks.1.attn.hook_pattern": (1, 4, 24, 24),
        "blocks.1.attn.hook_z": (1, 24, 4, 12),
        "blocks.1.hook_attn_out": (1, 24, 48),
        "blocks.1.hook_resid_mid": (1, 24, 48),
        "blocks.1.mlp.hook_pre": (1, 24, 96),
        "blocks.1.mlp.hook_pre_linear": (1, 24, 96),
        "blocks.1.mlp.hook_post": (1, 24, 96),
        "blocks.1.hook_mlp_out": (1, 24, 48),
        "blocks.1.hook_resid_post": (1, 24, 48),
    }
    assert cache["unembed.hook_out"].shape == (1, 24, 97) and len(cache) == 1 + 3 * 13 + 1
    assert torch.equal(cache["blocks.2.attn.hook_pattern"][0], trace.pattern[2].dense())
    assert torch.equal(cache["blocks.2.mlp.hook_pre"][0], trace.gate[2])
    assert torch.equal(cache["resid_post", -1][0], trace.resid_post[2])
    assert torch.equal(cache["pattern", 0], cache["blocks.0.attn.hook_pattern"])
    assert cache["blocks.1.attn.hook_result"].shape == (1, 24, 4, 48) and "blocks.1.attn.hook_result" not in cache


def test_only_what_the_model_has_is_listed():
    _, cache = lens("gpt2")  # learned positions: what enters the dot product is what a linear layer wrote
    assert "blocks.0.attn.hook_q" in cache and "blocks.0.attn.hook_rot_q" not in cache
    assert "blocks.0.mlp.hook_pre" in cache and "blocks.0.mlp.hook_pre_linear" not in cache
    with pytest.raises(KeyError, match="what enters the dot product in this layer is attn.hook_q"):
        cache["blocks.0.attn.hook_rot_q"]
    _, neox = lens("gpt_neox")
    with pytest.raises(KeyError, match="attention and MLP of this block run in parallel"):
        neox["blocks.0.hook_resid_mid"]
    _, gemma = lens("gemma2")  # its logits are capped
    assert "unembed.hook_out" not in gemma
    with pytest.raises(KeyError, match=r"trace.logits is what comes out"):
        gemma["unembed.hook_out"]
    _, mamba = lens("mamba")
    assert not any("attn.hook_pattern" in name for name in mamba) and "blocks.0.hook_resid_post" in mamba
    with pytest.raises(KeyError, match="is no hook that a trace has"):
        cache["blocks.0.ln1.hook_scale"]


def test_a_pattern_too_large_for_an_array(monkeypatch):
    _, cache = lens("gpt2")
    monkeypatch.setattr("mechviz.models.lens.PATTERN_LIMIT", 9000)  # 4 heads × 24 × 24 × 4 bytes = 9,216
    with pytest.raises(MemoryError, match=r"takes 9.22 kB \(limit 9 kB\); trace.pattern\[0\].tile"):
        cache["blocks.0.attn.hook_pattern"]


def test_hook_names_are_sites_of_a_trace():
    trace = load(build("llama")).trace(ids(), capture=["blocks.1.attn.hook_pattern", "blocks.2.mlp.hook_post[5]"])
    assert ("attention", 1) in trace._tape.kept and ("attention", 0) not in trace._tape.kept
    assert torch.equal(trace.at("blocks.2.mlp.hook_post[5]"), trace.neurons[2][:, 5])
    assert torch.equal(trace.at("blocks.0.attn.hook_z[:, :, 3]"), trace.z[0][:, 3])
    assert trace.at("blocks.1.attn.hook_pattern") is trace.pattern[1]
    assert torch.equal(trace.at("blocks.1.hook_resid_mid"), trace.resid_mid[1])
    assert trace.at("blocks.1.attn.hook_result").shape == (24, 4, 48)


@pytest.mark.parametrize("wrap", [dict, Cache])
def test_there_and_back(wrap):
    trace, cache = lens("llama")
    back = mv.from_cache(wrap({name: cache[name] for name in cache}), trace.tokens)
    for name in (
        "resid_pre",
        "resid_mid",
        "resid_post",
        "attn_out",
        "mlp_out",
        "q",
        "k",
        "v",
        "z",
        "neurons",
        "gate",
        "up",
    ):
        assert getattr(back, name).layers == (0, 1, 2)
        assert np.array_equal(getattr(back, name)[1], getattr(trace, name)[1].numpy())
    assert np.array_equal(back.attention[2].dense(), trace.attention[2].dense().numpy()) and back.attention[2].causal
    np.testing.assert_allclose(back.loss, trace.loss.numpy(), atol=1e-5)
    assert back.loss.quantity == trace.loss.quantity and back.unused == ()
    assert mv.attention(back.tokens, back.attention).to_html() and mv.tokens(back.tokens, back.loss).to_html()


def test_what_a_cache_holds_beside_is_told():
    pattern = np.tri(3)[None, None]
    cache = {
        "blocks.1.attn.hook_pattern": pattern,
        "blocks.1.ln1.hook_scale": pattern,
        "blocks.1.mlp.hook_pre": pattern,
    }
    trace = mv.from_cache(cache, ["a", "b", "c"], model="mine")
    assert trace.unused == ("blocks.1.ln1.hook_scale", "blocks.1.mlp.hook_pre")  # no gate: nothing multiplies it
    assert repr(trace) == "CachedTrace of mine: 3 tokens; holds attention; 2 names are no part of a trace: .unused"
    assert trace.attention.layers == (1,)
    with pytest.raises(
        Unavailable, match="layer 0 has no attention pattern: it is not in the cache, which holds attention"
    ):
        trace.attention[0]
    with pytest.raises(Unavailable, match="logits is not in the cache"):
        trace.logits  # noqa: B018
    with pytest.raises(AttributeError, match="a trace from a cache has no 'grad'"):
        trace.grad  # noqa: B018


def test_names_of_other_libraries():
    tokens, stream = ["a", "b"], np.arange(6.0).reshape(2, 3)
    trace = mv.from_cache(
        {
            "L0.resid_post": Proxy(torch.tensor(stream)),
            ("neurons", 1): Proxy(stream),
            "attention": np.ones((2, 4, 2, 2)),  # [layer, head, query, key]
            "mlp_out": [stream, 2 * stream],
            "attn_out": {1: stream[None]},
            "L1.attn": stream + 1,
            "z.0": np.ones((1, 2, 4, 8)),
        },
        tokens,
    )
    assert np.array_equal(trace.resid_post[0], stream) and trace.attention[1].shape == (4, 2, 2)
    assert np.array_equal(trace.mlp_out[1], 2 * stream) and trace.neurons.layers == (1,)
    assert np.array_equal(trace.attn_out[1], stream)  # the first name counts
    assert trace.z[0].shape == (2, 4, 8) and trace.unused == ()


def test_sites_of_what_has_no_model():
    trace, cache = lens("llama")
    back = mv.from_cache({name: cache[name] for name in cache}, trace.tokens)
    for site in (
        "L1H3",
        "L2N17",
        "L0.resid_mid",
        "L1.mlp",
        "L2.attn",
        "blocks.1.attn.hook_z[:, :, 3]",
        "blocks.1.mlp.hook_post",
    ):
        assert np.array_equal(back.at(site), trace.at(site).numpy()), site
    assert back.at("blocks.1.attn.hook_pattern") is back.pattern[1]
    with pytest.raises(Unavailable, match="L1H4: layer 1 has 4 of them"):
        back.at("L1H4")
    with pytest.raises(Unavailable, match="encoder.L1H1: a trace from a cache is of one stack"):
        back.at("encoder.L1H1")


def test_one_text_of_several():
    cache = {"blocks.0.hook_resid_post": np.arange(12.0).reshape(2, 2, 3)}
    assert mv.from_cache(cache, ["a", "b"], text=1).resid_post[0][0, 0] == 6
    with pytest.raises(ValueError, match="blocks.0.hook_resid_post holds 2 texts: say which with text="):
        mv.from_cache(cache, ["a", "b"])
    with pytest.raises(ValueError, match="text must be one of the 2 texts of .*; got 2"):
        mv.from_cache(cache, ["a", "b"], text=2)


def test_what_is_no_cache():
    with pytest.raises(TypeError, match="cache must be a mapping from names to arrays; got list"):
        mv.from_cache([1, 2], ["a"])
    with pytest.raises(ValueError, match="no name that a trace has: it holds x. Names: TransformerLens's"):
        mv.from_cache({"x": 1}, ["a"])
    with pytest.raises(
        ValueError,
        match=r"hook_pattern must have shape \(head, query, key\), with an axis of texts in front or none, for 2 tokens; got "
        r"\(1, 4, 3, 3\)",
    ):
        mv.from_cache({"blocks.0.attn.hook_pattern": np.ones((1, 4, 3, 3))}, ["a", "b"])


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "mixtral"])
def test_against_transformer_lens_itself(name):
    builder = pytest.importorskip(
        "transformer_lens.model_bridge.sources._bridge_builder", reason="TransformerLens is not installed here"
    )
    trace, mine = lens(name)
    module = build(name)
    bridge = builder.build_bridge_from_module(module, type(module).__name__, hf_config=module.config)
    _, theirs = bridge.run_with_cache(torch.tensor([ids()]))
    assert set(mine) <= set(theirs.keys()) and len(ORDER) > 10
    for hook in mine:
        torch.testing.assert_close(mine[hook], theirs[hook], atol=1e-4, rtol=1e-4)
    back = mv.from_cache(theirs, trace.tokens)
    np.testing.assert_allclose(back.attention[1].dense(), trace.attention[1].dense().numpy(), atol=1e-5)
    bridged = load(bridge).trace(ids())
    torch.testing.assert_close(bridged.logits, trace.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bridged.attention[1].dense(), trace.attention[1].dense(), atol=1e-4, rtol=1e-4)


def test_a_bridge_is_traced_as_the_model_that_it_holds(make_tokenizer):
    class Bridge(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.original_model, self.tokenizer = build("llama"), make_tokenizer()

    bridge = Bridge()
    model = load(bridge)
    assert model.module is bridge.original_model and model.tokenizer is bridge.tokenizer
    assert torch.equal(model.trace(ids()).logits, load(build("llama")).trace(ids()).logits)
