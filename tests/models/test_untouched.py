"""The user's model is theirs: whatever a trace does, nothing on it stays changed and its outputs keep their bits."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from zoo import ZOO, build, ids, state

from mechviz.models import load
from mechviz.pattern import Unavailable


def read_all(trace):
    for name in ("attention", "q", "v", "z", "attn_out", "mlp_out", "resid_mid", "neurons", "gate", "resid_pre"):
        try:
            list(getattr(trace, name))
        except Unavailable:
            assert name == "attention"
    return trace.logits, trace.loss, repr(trace)


@pytest.mark.parametrize("name", ZOO)
def test_nothing_changes(name):
    model = build(name)
    tokens = torch.tensor([ids()])
    with torch.no_grad():
        expected = model(tokens).logits
    before, config = state(model), copy.deepcopy(model.config.to_dict())
    random = torch.get_rng_state()
    read_all(load(model).trace(ids()))
    assert state(model) == before
    assert model.config.to_dict() == config
    assert torch.equal(torch.get_rng_state(), random)
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, expected)


def test_the_comparison_would_notice():
    model = build("gpt2")
    before = state(model)
    handle = model.transformer.h[1].register_forward_hook(lambda *_: None)
    assert state(model) != before
    handle.remove()
    assert state(model) == before
    model.transformer.h[0].mlp.note = 1
    assert state(model) != before


@pytest.mark.parametrize("where", ["attn", "mlp.c_proj", ""])
def test_an_exception_in_the_middle_of_a_forward_pass(where):
    model = build("gpt2")
    before = state(model)
    target = model.transformer.h[1].get_submodule(where)
    original = target.forward

    def fail(*args, **kwargs):
        raise FloatingPointError("in the middle")

    target.forward = fail
    with pytest.raises(FloatingPointError, match="in the middle"):
        load(model).trace(ids())
    del target.forward
    assert target.forward.__func__ is original.__func__ and state(model) == before

    trace = load(model).trace(ids())
    target.forward = fail
    with pytest.raises(FloatingPointError, match="in the middle"):
        trace.resid_mid[1]
    del target.forward
    assert state(model) == before
    assert trace.resid_mid[1].shape == (24, 48)  # and the trace can go on


def test_the_users_own_hooks_keep_their_order_and_effect():
    model = build("gpt2")
    block, order = model.transformer.h[1], []
    block.register_forward_pre_hook(lambda module, args: (args[0] * 2, *args[1:]))
    block.register_forward_pre_hook(lambda *_: order.append("second"))
    block.register_forward_hook(
        lambda module, args, output: (output[0] + 1,) if isinstance(output, tuple) else output + 1
    )
    before = state(model)
    with torch.no_grad():
        expected = model(torch.tensor([ids()])).logits[0]
    trace = load(model).trace(ids())
    assert torch.equal(trace.logits, expected)  # the trace is of the model with its hooks
    assert trace.attention[1].dense().shape == (4, 24, 24)
    with pytest.raises(Unavailable, match="layer 1 has no resid_mid: no outputs of its modules add up"):
        trace.resid_mid[1]  # what enters is not what the block adds to
    assert trace.resid_mid[0].shape == (24, 48)
    assert state(model) == before and set(order) == {"second"}


def test_training_mode_stays_and_dropout_is_refused():
    model = build("gpt2").train()
    mv_model = load(model)
    random = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"training mode and drew random numbers \(dropout\)"):
        mv_model.trace(ids())
    assert model.training and torch.equal(torch.get_rng_state(), random)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attn_dropout"):
            module.attn_dropout.p = 0.0
    trace = mv_model.trace(ids())  # a model without dropout is traced in the middle of its training
    assert model.training and trace.attention[0].dense().shape == (4, 24, 24)
    assert torch.equal(trace.logits, load(model.eval()).trace(ids()).logits)


def test_gradient_checkpointing_in_the_middle_of_a_training():
    plain = load(build("llama")).trace(ids())
    model = build("llama").train()  # Llama has no dropout
    model.gradient_checkpointing_enable()
    before = state(model)
    trace = load(model).trace(ids())
    assert torch.equal(trace.neurons[1], plain.neurons[1]) and torch.equal(trace.logits, plain.logits)
    assert state(model) == before


def test_gradients_of_a_training_step_are_the_same():
    tokens = torch.tensor([ids()])

    def gradients(traced):
        model = build("llama")
        loss = model(tokens, labels=tokens).loss
        if traced:
            read_all(load(model).trace(ids()))
        loss.backward()
        return [parameter.grad for parameter in model.parameters()]

    assert all(map(torch.equal, gradients(False), gradients(True)))


def test_a_forward_pass_beside_a_trace_keeps_its_bits_and_is_not_recorded():
    model = build("llama")
    tokens = torch.tensor([ids(24, seed=5)])
    with torch.no_grad():
        expected = model(tokens).logits
    mv_model = load(model)
    reference = mv_model.trace(ids()).resid_mid[1]
    results, stop = [], threading.Event()

    def work():
        with torch.no_grad():
            while not stop.is_set():
                results.append(torch.equal(model(tokens).logits, expected))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(15):
            assert torch.equal(mv_model.trace(ids()).resid_mid[1], reference)
    finally:
        stop.set()
        thread.join()
    assert len(results) > 5 and all(results)


def test_traces_from_several_threads():
    mv_model = load(build("gemma2"))
    expected = [mv_model.trace(ids(20 + i)).attention[0].dense() for i in range(4)]
    same = [False] * 4

    def work(i):
        same[i] = all(torch.equal(mv_model.trace(ids(20 + i)).attention[0].dense(), expected[i]) for _ in range(3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same)
