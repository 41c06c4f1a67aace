"""Every architecture of the zoo: what a trace shows is what the model computed."""

from __future__ import annotations

import functools
import math

import pytest
import torch
import transformers
from zoo import LEGACY, VOCAB, ZOO, build, ids

import mechviz.models.unembed as unembed
from mechviz.arrays import Quantity
from mechviz.models import load
from mechviz.models.tape import WeightsMoved
from mechviz.pattern import Pattern, PatternStack, Unavailable

WINDOWS = {"mistral": [8, 8, 8], "gemma2": [8, None, 8], "gemma3": [8, None, 8], "gpt_oss": [8, None, 8]}
NO_MID = {
    **dict.fromkeys(("gpt_neox", "cohere", "gptj", "falcon"), "in parallel"),
    "mamba": "one part only",
}
NO_NEURONS = {"mixtral": [0, 1, 2], "gpt_oss": [0, 1, 2], "deepseek_v3": [1, 2], "mamba": [0, 1, 2]}


@functools.cache
def traced(name):
    model = load(build(name))
    return model, model.trace(ids())


@functools.cache
def output(name, **options):
    model = build(name, **options)
    model.load_state_dict(traced(name)[0].module.state_dict())
    with torch.no_grad():
        keep = {} if name == "mamba" else {"output_attentions": "attn_implementation" in options}
        return model(torch.tensor([ids()]), use_cache=False, output_hidden_states=True, **keep)


@pytest.mark.parametrize("name", [name for name in ZOO if name != "mamba"])
def test_attention_is_what_the_eager_model_reports(name):
    model, trace = traced(name)
    expected = output(name, attn_implementation="eager").attentions
    assert isinstance(trace.attention, PatternStack)
    assert trace.attention.layers == tuple(range(model.n_layers)) and not trace.attention.missing
    for layer, pattern in enumerate(trace.attention):
        dense = pattern.dense()
        assert isinstance(pattern, Pattern) and pattern.causal
        assert dense.dtype == torch.float32 and tuple(dense.shape) == pattern.shape == (4, 24, 24)
        # a materialised pattern is the model's own; a factored one is recomputed, and sdpa's z is not eager's
        materialised = type(pattern).__name__ == "TorchDense"
        assert materialised == (name in LEGACY and name != "falcon")
        torch.testing.assert_close(dense, expected[layer][0], atol=0 if materialised else 1e-5, rtol=0)
    assert [getattr(pattern, "window", None) for pattern in trace.attention] == WINDOWS.get(
        name, [None] * model.n_layers
    )


def test_heads_tiles_rows_and_overviews_agree():
    for name in ("llama", "gptj"):  # factored; materialised
        pattern = traced(name)[1].attention[1]
        head = pattern.dense()[2]
        torch.testing.assert_close(pattern.head(2), head)
        torch.testing.assert_close(pattern.tile(2, slice(5, 9), slice(0, 6)), head[5:9, :6])
        torch.testing.assert_close(pattern.rows(2, [23, 4]), head[[23, 4]])
        torch.testing.assert_close(pattern.overview(2, 8), head.reshape(8, 3, 8, 3).amax((1, 3)))


def test_a_sink_takes_what_the_rows_leave():
    pattern = traced("gpt_oss")[1].attention[0]
    rows = pattern.dense().sum(-1)
    assert rows.max() < 0.999
    torch.testing.assert_close(torch.stack([pattern.sink(h) for h in range(4)]), 1 - rows, atol=1e-6, rtol=0)


def test_a_model_without_attention_says_so_and_traces_the_rest():
    _, trace = traced("mamba")
    with pytest.raises(Unavailable, match="no attention to show: no softmax .* MambaMixer"):
        trace.attention  # noqa: B018
    assert len(trace.resid_post) == 3 and trace.loss.shape == (24,)
    assert "no attention in layers [0, 1, 2]" in repr(trace)


@pytest.mark.parametrize("name", ZOO)
def test_residual_stream(name):
    model, trace = traced(name)
    hidden = output(name).hidden_states
    for layer in range(model.n_layers):
        own = (
            trace.resid_post if name == "mamba" else trace.resid_pre
        )  # transformers counts Mamba's from the first output
        assert torch.equal(own[layer], hidden[layer][0])
        if layer:
            assert torch.equal(trace.resid_pre[layer], trace.resid_post[layer - 1])
    assert trace.resid_post[0].shape == (24, 48)


@pytest.mark.parametrize("name", ZOO)
def test_residual_mid_lies_between_two_parts(name):
    model, trace = traced(name)
    if name in NO_MID:
        assert len(trace.resid_mid) == 0
        with pytest.raises(Unavailable, match=f"layer 0 has no resid_mid: .*{NO_MID[name]}"):
            trace.resid_mid[0]
        return
    for layer in range(model.n_layers):
        mid = trace.resid_mid[layer]
        assert mid.shape == (24, 48)
        assert not torch.equal(mid, trace.resid_pre[layer]) and not torch.equal(mid, trace.resid_post[layer])


def test_residual_mid_is_the_input_of_the_second_norm():
    model, trace = traced("llama")
    block, seen = model.module.model.layers[1], []
    handle = block.post_attention_layernorm.register_forward_pre_hook(lambda module, args: seen.append(args[0][0]))
    with torch.no_grad():
        model.module(torch.tensor([ids()]))
    handle.remove()
    assert torch.equal(trace.resid_mid[1], seen[0])


@pytest.mark.parametrize("name", ZOO)
def test_neurons(name):
    _, trace = traced(name)
    assert list(trace.neurons.missing) == NO_NEURONS.get(name, [])
    for layer in trace.neurons.layers:
        assert trace.neurons[layer].shape[0] == 24
    for reason in trace.neurons.missing.values():
        assert "experts" in reason or name == "mamba"


def test_neurons_are_the_gated_activations():
    model, trace = traced("llama")
    block = model.module.model.layers[2]
    with torch.no_grad():
        x = block.post_attention_layernorm(trace.resid_mid[2])
        expected = block.mlp.act_fn(block.mlp.gate_proj(x)) * block.mlp.up_proj(x)
    torch.testing.assert_close(trace.neurons[2], expected)
    contribution = trace.neurons[2] @ block.mlp.down_proj.weight.T
    torch.testing.assert_close(trace.resid_mid[2] + contribution, trace.resid_post[2])


@pytest.mark.parametrize("name", ZOO)
def test_logits_and_loss(name):
    _, trace = traced(name)
    expected = output(name).logits[0]
    assert torch.equal(trace.logits, expected)
    # loss[i] is the surprise at token i, from the logits before it
    surprise = -expected[:-1].log_softmax(-1).gather(1, torch.tensor(ids()[1:])[:, None])[:, 0]
    torch.testing.assert_close(trace.loss[1:], surprise)
    assert trace.loss.isnan().tolist() == [True] + [False] * 23


def test_loss_says_what_it_is():
    guess = math.log(VOCAB)
    expected = Quantity("loss", "nats", "ember", (0.0, guess), guess, "uniform guess")
    assert traced("llama")[1].loss.quantity == expected


def test_logits_in_chunks(monkeypatch):
    monkeypatch.setattr(unembed, "CHUNK_BYTES", 4 * VOCAB * 5)  # five positions at a time
    model, trace = traced("gemma2")
    again = model.trace(ids())
    torch.testing.assert_close(again.logits, trace.logits)
    torch.testing.assert_close(again.loss, trace.loss, equal_nan=True)


def test_one_token():
    trace = traced("llama")[0].trace(ids(1))
    assert trace.attention[0].dense().tolist() == [[[1.0]]] * 4
    assert trace.loss.isnan().all() and trace.logits.shape == (1, VOCAB)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, change) for name in ("gpt2", "gptj") for change in ("fused", "data", "head", "hook")),
        ("gpt2", "dropout"),
    ],
)
def test_a_model_that_changed_is_refused(name, change):
    module = build(name)
    trace = load(module).trace(ids())
    first = module.transformer.h[0]
    if change == "fused":
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True).step()
    elif change == "data":  # moves no version counter
        weight = first.attn.c_attn.weight if name == "gpt2" else first.attn.q_proj.weight
        weight.data[0, 0] += 1e-3
    elif change == "head":
        module.lm_head.weight.data += 1e-3
    elif change == "hook":
        first.register_forward_pre_hook(lambda module, args: (args[0] * 1.01, *args[1:]))
    else:
        module.train()
    if change != "head":
        with pytest.raises(WeightsMoved, match="layer 0 no longer gives what the forward pass gave"):
            trace.attention[0]
        with pytest.raises(WeightsMoved, match="trace the text again"):
            trace.resid_mid[0] if name == "gpt2" else trace.neurons[0]
    if change in ("head", "fused"):
        with pytest.raises(WeightsMoved, match="weights have changed"):
            trace.loss  # noqa: B018
    assert trace.resid_pre[1].shape == (24, 48)  # what the tape holds stays readable


class InPlace(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, hidden_states, *args, **kwargs):
        output = self.block(hidden_states, *args, **kwargs)
        if isinstance(output, tuple):  # transformers before 5.2
            return hidden_states.copy_(output[0]), *output[1:]
        return hidden_states.copy_(output)


def test_blocks_that_write_into_their_input():
    module = build("gpt2")
    module.transformer.h = torch.nn.ModuleList(InPlace(block) for block in module.transformer.h)
    trace, plain = load(module).trace(ids()), traced("gpt2")[1]
    for layer in range(3):
        torch.testing.assert_close(trace.resid_pre[layer], plain.resid_pre[layer])
        torch.testing.assert_close(trace.resid_mid[layer], plain.resid_mid[layer])
        torch.testing.assert_close(trace.attention[layer].dense(), plain.attention[layer].dense())
        torch.testing.assert_close(trace.attention[layer].dense(), plain.attention[layer].dense())


def test_a_stream_that_is_not_one_vector_a_token():
    # CPM-Ant puts 32 prompt positions of its own before the text, so its positions are not the text's
    config = transformers.CpmAntConfig(
        vocab_size=VOCAB, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, dim_head=12, dim_ff=96
    )
    trace = load(transformers.CpmAntForCausalLM(config).eval()).trace(ids())
    with pytest.raises(Unavailable, match=r"has shape \(1, 56, 48\), not one vector for each of 24 tokens"):
        trace.resid_pre[0]


def test_a_plain_module_list_is_a_stack_only_if_the_stream_runs_through_it():
    class Plain(torch.nn.Module):  # as in code that comes with a checkpoint: no class of transformers'
        def __init__(self, block):
            super().__init__()
            self.block = block

        def forward(self, hidden_states, *args, **kwargs):
            return self.block(hidden_states, *args, **kwargs)

    module = build("gpt2")
    module.transformer.h = torch.nn.ModuleList(Plain(block) for block in module.transformer.h)
    trace = load(module).trace(ids())
    torch.testing.assert_close(trace.attention[2].dense(), traced("gpt2")[1].attention[2].dense())
    torch.testing.assert_close(trace.neurons[2], traced("gpt2")[1].neurons[2])

    # XLM has no blocks, only a list of attentions, a list of norms, …: none of them is a stack
    config = transformers.XLMConfig(vocab_size=VOCAB, emb_dim=48, n_layers=3, n_heads=4, pad_index=0)
    xlm = transformers.AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(NotImplementedError, match=r"leaves block 0 of transformer\.\w+ does not enter the next"):
        load(xlm).trace(ids())

    module.transformer.h = torch.nn.ModuleDict()
    with pytest.raises(NotImplementedError, match="has no list of transformer blocks"):
        load(module)


@pytest.mark.parametrize(
    "compile_it", [lambda m: torch.compile(m, backend="eager"), lambda m: m.compile(backend="eager") or m]
)
def test_compiled_models_are_traced_as_they_are(compile_it):
    module = compile_it(build("llama"))
    trace = load(module).trace(ids())
    torch.testing.assert_close(trace.attention[1].dense(), traced("llama")[1].attention[1].dense())
    assert torch.equal(trace.logits, traced("llama")[1].logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox", "gptj", "bloom", "falcon"])
def test_half_precision(name, dtype):
    model = load(build(name, dtype=dtype))
    trace = model.trace(ids())
    assert trace.logits.dtype == dtype and trace.loss.dtype == torch.float32
    assert len(trace.attention) == 3 and all(p.dense().dtype == torch.float32 for p in trace.attention)
    with torch.no_grad():
        assert torch.equal(trace.logits, model.module(torch.tensor([ids()])).logits[0])
    assert len([trace.neurons[layer] for layer in range(3)]) == 3


def test_autocast_and_inference_mode_around_a_trace():
    model = load(build("llama"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.trace(ids())
    with torch.inference_mode():
        plain = model.trace(ids())
    # both are replayed under the settings they were made under
    assert mixed.resid_mid[2].shape == plain.resid_mid[2].shape
    assert not torch.equal(mixed.logits.float(), plain.logits)
    torch.testing.assert_close(plain.logits, traced("llama")[1].logits)


def test_numbers_do_not_depend_on_how_the_trace_was_read():
    model, trace = traced("qwen3")
    before = trace.attention[0].dense()
    other = model.trace(ids(9, seed=3))
    assert other.attention[0].shape == (4, 9, 9)
    other.loss  # noqa: B018
    assert torch.equal(model.trace(ids()).attention[0].dense(), before)
