"""Models in the states that people have them in: quantised, offloaded, compiled, half precision, caches, in the middle of things."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import threading
import warnings

import pytest
import torch
from torch import nn
from zoo import build, build_other, ids, state

from mechviz.models import load
from mechviz.pattern import Unavailable


def quantised(name):
    """Linear layers with packed int8 weights: no ``weight`` tensor that could be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(build(name), {nn.Linear}, dtype=torch.qint8)


def read_all(trace):
    for name in ("attention", "q", "v", "z", "attn_out", "mlp_out", "resid_mid", "neurons", "resid_pre"):
        list(getattr(trace, name))
    return trace.logits, trace.loss


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox"])
def test_quantised_weights(name):
    model = quantised(name)
    tokens = torch.tensor([ids()])
    with torch.no_grad():
        expected = model(tokens, use_cache=False).logits
    before = state(model)
    trace = load(model).trace(ids())
    for layer in range(3):
        assert trace.attention[layer].dense().shape == (4, 24, 24)
        torch.testing.assert_close(
            trace.resid_post[layer],
            trace.resid_pre[layer] + trace.attn_out[layer] + trace.mlp_out[layer],
            atol=1e-5,
            rtol=1e-5,
        )
        # W_O is packed: what each head writes is found by asking the layer for each of its inputs. Inputs are quantised
        # too, so that the parts add up only roughly; then that is said.
        try:
            trace.result(layer)
        except Unavailable as reason:
            assert "differ from attn_out by" in str(reason) or name == "gemma2"  # which has a norm behind its heads
    assert torch.equal(trace.logits, expected[0]) or float((trace.logits - expected[0]).abs().max()) < 1e-4
    assert state(model) == before
    with torch.no_grad():
        assert torch.equal(model(tokens, use_cache=False).logits, expected)


class Offload:
    """Weights of each leaf module on the meta device, brought back for its forward only: what `device_map` does."""

    def __init__(self, model):
        self.kept = {}
        for name, module in model.named_modules():
            if list(module.children()) or not list(module.parameters(recurse=False)) or "embed" in name:
                continue
            self.kept[module] = {key: p.detach().clone() for key, p in module.named_parameters(recurse=False)}
            self.drop(module)
            module.register_forward_pre_hook(self.fetch)
            module.register_forward_hook(self.drop)

    def fetch(self, module, args):
        for key, value in self.kept[module].items():
            setattr(module, key, nn.Parameter(value, requires_grad=False))

    def drop(self, module, *_):
        for key, value in self.kept[module].items():
            setattr(module, key, nn.Parameter(value.to("meta"), requires_grad=False))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_offloaded_weights(name):
    plain, model = load(build(name)).trace(ids()), build(name)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())  # not the embedding's, which stays
    Offload(model)
    where = {key: p.device.type for key, p in model.named_parameters()}
    assert "meta" in where.values()
    trace = load(model).trace(ids())
    assert torch.equal(trace.logits, plain.logits) and torch.equal(trace.neurons[1], plain.neurons[1])
    assert torch.equal(trace.attention[2].dense(), plain.attention[2].dense())
    torch.testing.assert_close(trace.result(1), plain.result(1), atol=1e-5, rtol=1e-5)
    assert {key: p.device.type for key, p in model.named_parameters()} == where


def test_a_model_without_weights_says_so():
    with pytest.raises(
        ValueError, match=r"LlamaForCausalLM has no weights in memory: its parameters are on the meta device"
    ):
        load(build("llama").to("meta")).trace(ids())


SPREAD = """
import os, sys, torch, transformers
import torch.distributed as dist
from mechviz.models import load
dist.init_process_group("gloo")
module = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], tp_plan="auto")
try:
    load(module)
except NotImplementedError as reason:
    print(reason)
dist.destroy_process_group()
"""


def test_weights_that_are_spread_over_processes_are_refused():
    module = build("llama")
    module._tp_size = 2
    with pytest.raises(
        NotImplementedError, match=r"weights of LlamaForCausalLM are spread .* with device_map=\"auto\""
    ):
        load(module)
    module._tp_size = 1
    load(module)


@pytest.mark.slow
def test_tensor_parallel_shards_are_told(tmp_path):
    pytest.importorskip("accelerate", reason="transformers asks for accelerate to spread a model")
    build("llama").save_pretrained(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", SPREAD, str(tmp_path)]
    both = [
        subprocess.Popen(run, env={**world, "RANK": rank, "LOCAL_RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert "are spread over several processes (tensor parallel or FSDP)" in out and process.returncode == 0


@pytest.mark.parametrize(
    ("name", "options"), [("llama", {"cache_implementation": "static"}), ("mistral", {}), ("gemma3", {})]
)
def test_generation_with_static_and_sliding_caches(name, options):
    model = build(name)
    before = state(model)
    trace = load(model).generate(ids(), 12, do_sample=False, eos_token_id=None, disable_compile=True, **options)
    # what it wrote step by step is what it predicts when it reads all of it
    assert len(trace) == 36 and trace.tokens.prompt == 24
    assert trace.logits[23:-1].argmax(-1).tolist() == list(trace.tokens.ids[24:])
    windows = {pattern.window for pattern in trace.attention}
    assert windows == ({None} if name == "llama" else {8} if name == "mistral" else {8, None})
    after = state(model)
    assert {key: value[1:] for key, value in after.items()} == {key: value[1:] for key, value in before.items()}


def test_a_cache_that_is_filled_by_the_users_own_pass():
    model = build("llama")
    with torch.no_grad():
        own = model(torch.tensor([ids()]), use_cache=True).past_key_values
    length = own.get_seq_length()
    trace = load(model).trace(ids())
    read_all(trace)
    assert own.get_seq_length() == length == 24  # a trace keeps no cache and fills none
    with pytest.raises(TypeError, match="past_key_values must be a tensor or an array; a trace starts without a cache"):
        load(model).trace({"input_ids": torch.tensor([ids()]), "past_key_values": own})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["bert", "t5", "bart", "vit"])
def test_half_precision_of_every_stack(name, dtype):
    model, inputs = build_other(name)
    model = model.to(dtype)
    inputs = {key: x.to(dtype) if x.is_floating_point() else x for key, x in inputs.items()}
    before = state(model)
    trace = load(model).trace(inputs)
    for one in trace.stacks.values():
        for layer in range(one.model.n_layers):
            dense = one.attention[layer].dense()  # passes the row check, at this dtype's rounding
            assert dense.dtype == torch.float32
            torch.testing.assert_close(dense.sum(-1), torch.ones(dense.shape[:2]), atol=1e-5, rtol=0)
            assert one.mlp_out[layer].dtype == dtype
    assert state(model) == before


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_an_exception_in_one_of_two_stacks(stack):
    model, inputs = build_other("bart")
    before = state(model)
    target = model.model.get_submodule(stack).layers[1].fc1

    def fail(*args, **kwargs):
        raise FloatingPointError("in the middle")

    target.forward = fail
    with pytest.raises(FloatingPointError, match="in the middle"):
        load(model).trace(inputs)
    del target.forward
    assert state(model) == before
    trace = load(model).trace(inputs)
    target.forward = fail
    with pytest.raises(FloatingPointError, match="in the middle"):
        trace.stacks[stack].neurons[1]
    del target.forward
    assert state(model) == before and trace.stacks[stack].neurons[1].shape[1] == 96


def test_compiled_pairs_are_traced_as_they_are():
    model, inputs = build_other("t5")
    plain = load(model).trace(inputs)
    compiled = torch.compile(copy.deepcopy(model), backend="eager")
    with torch.no_grad():
        compiled(**inputs)
    trace = load(compiled).trace(inputs)
    assert torch.equal(trace.logits, plain.logits)
    assert torch.equal(trace.stacks["encoder"].neurons[1], plain.stacks["encoder"].neurons[1])


def test_gradient_checkpointing_of_pairs_in_training():
    model, inputs = build_other("t5")
    plain = load(model).trace(inputs)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    model.gradient_checkpointing_enable()
    before = state(model)
    trace = load(model).trace(inputs)
    with torch.no_grad():
        own = model(**inputs, use_cache=False).logits[0]
    torch.testing.assert_close(trace.logits, own, atol=1e-6, rtol=0)
    # checkpointed, T5 rounds differently by itself
    torch.testing.assert_close(trace.cross_attention[1].dense(), plain.cross_attention[1].dense(), atol=1e-5, rtol=0)
    assert model.training and state(model) == before


def test_blocks_of_a_pair_that_write_into_their_input():
    model, inputs = build_other("bart")
    plain = load(copy.deepcopy(model)).trace(inputs)
    for block in model.model.encoder.layers:
        block.register_forward_pre_hook(lambda _, args, kwargs: None, with_kwargs=True)

    class InPlace(type(model.model.encoder.layers[0])):
        def forward(self, hidden_states, *args, **kwargs):
            out = super().forward(hidden_states.clone(), *args, **kwargs)
            hidden_states.copy_(out)  # the stream itself is overwritten
            return out

    for block in model.model.encoder.layers:
        block.__class__ = InPlace
    trace = load(model).trace(inputs)
    for layer in range(2):
        assert torch.equal(trace.stacks["encoder"].resid_pre[layer], plain.stacks["encoder"].resid_pre[layer])
        assert torch.equal(
            trace.stacks["encoder"].attention[layer].dense(), plain.stacks["encoder"].attention[layer].dense()
        )
    assert torch.equal(trace.logits, plain.logits)


def test_stacks_from_several_threads():
    model, inputs = build_other("bart")
    mv_model = load(model)
    expected = mv_model.trace(inputs).cross_attention[1].dense()
    same = [False] * 4

    def work(i):
        same[i] = all(torch.equal(mv_model.trace(inputs).cross_attention[1].dense(), expected) for _ in range(3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same)
