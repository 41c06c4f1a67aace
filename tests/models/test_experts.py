"""Neurons of experts: read, checked, and edited where tokens are sent to that expert."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest
import torch
from transformers.integrations import use_experts_implementation
from zoo import build, ids, state

from mechviz import Neuron
from mechviz.models import ablate, load, patch, steer
from mechviz.models.experts import edited_experts, fused_experts, read_experts
from mechviz.pattern import Unavailable

ROUTED = ("mixtral", "gpt_oss", "deepseek_v3")


@functools.cache
def traced(name):
    model = load(build(name))
    return model, model.trace(ids())


def busiest(trace):
    """The expert of layer 1 that most tokens are sent to."""
    return int(trace.experts(1).experts.flatten().bincount().argmax())


@pytest.mark.parametrize("name", ROUTED)
def test_neurons_lead_to_what_the_layer_writes(name):
    _, trace = traced(name)
    found = trace.experts(1)
    assert found.experts.shape == found.weights.shape == (24, 2) and len(found.neurons) == 24
    expert = busiest(trace)
    there = (found.experts == expert).any(1)
    values = trace.at(Neuron(1, 7, expert=expert))
    assert torch.equal(values.isnan(), ~there) and there.any() and not there.all()
    row = int(there.nonzero()[0])
    slot = int((found.experts[row] == expert).nonzero()[0])
    assert values[row] == found.neurons[row, slot, 7]


@pytest.mark.parametrize("name", ROUTED)
@pytest.mark.parametrize("implementation", ["grouped_mm", "eager", "batched_mm"])
def test_ablating_a_neuron_is_zeroing_its_column_of_the_down_projection(name, implementation):
    module = build(name)
    module.set_experts_implementation(implementation)
    model, before = load(module), state(module)
    expert = busiest(model.trace(ids()))
    trace = model.trace(ids(), edits=[ablate(f"L1E{expert}N7")])
    assert state(module) == before and trace.tokens.provenance["edits"] == [f"L1E{expert}N7 → zero"]
    assert not trace.at(f"L1E{expert}N7").nan_to_num(0).any()
    experts = fused_experts(module.model.layers[1])
    with torch.no_grad():
        (experts.down_proj[expert, 7] if experts.is_transposed else experts.down_proj[expert, :, 7]).zero_()
    logits = module(torch.tensor([ids()])).logits[0]
    torch.testing.assert_close(trace.logits, logits, atol=5e-6, rtol=5e-6)
    assert not torch.equal(trace.logits, traced(name)[1].logits)


@pytest.mark.parametrize("name", ROUTED)
def test_patching_from_the_same_text_changes_nothing(name):
    model, trace = traced(name)
    expert = busiest(trace)
    edits = [patch(Neuron(1, n, expert=e), trace) for n in (3, 7) for e in (expert, 0, 1)]
    assert torch.equal(model.trace(ids(), edits=edits).logits, trace.logits)


def test_only_where_tokens_are_sent_there():
    model, trace = traced("mixtral")
    expert = busiest(trace)
    values = trace.at(Neuron(1, 7, expert=expert))
    there, away = (int(mask.nonzero()[1]) for mask in (~values.isnan(), values.isnan()))
    site = Neuron(1, 7, expert=expert)
    assert torch.equal(model.trace(ids(), edits=[steer(site, 5.0, positions=[away])]).logits, trace.logits)
    up = model.trace(ids(), edits=[steer(site, 5.0, positions=[there])])
    assert torch.equal(up.logits[:there], trace.logits[:there]) and not torch.equal(
        up.logits[there], trace.logits[there]
    )
    torch.testing.assert_close(up.at(site)[there], values[there] + 5)
    mean = model.trace(ids(), edits=[ablate(site, "mean", reference=trace)])
    assert mean.tokens.provenance["edits"][0].startswith(
        f"{site} → mean of {int((~values.isnan()).sum())} positions in "
    )
    torch.testing.assert_close(mean.at(site)[there], values[~values.isnan()].mean())


def test_several_texts_at_once_and_gradients():
    model, trace = traced("mixtral")
    expert = busiest(trace)
    edits = [ablate(Neuron(1, 7, expert=expert), positions=[-1, -2, -3, 4, 5]), steer(f"L1E{expert}N2", 1.0)]
    texts = torch.tensor([ids(), ids(seed=1)])
    with torch.no_grad(), model.edited(*edits):
        together = model.module(texts).logits
    for text, logits in zip(texts, together, strict=True):
        torch.testing.assert_close(logits, model.trace(text, edits=edits).logits, atol=1e-5, rtol=1e-5)
    site = f"L1E{expert}N7"
    grad = trace.grad(lambda logits: logits[-1, 3], [site])[site]
    up, down = (model.trace(ids(), edits=[steer(site, s)]).logits[-1, 3].item() for s in (1e-2, -1e-2))
    assert abs((up - down) / 2e-2 - float(grad.sum())) <= 1e-2 * abs(float(grad.sum())) + 1e-4


def test_what_there_is_not():
    model, trace = traced("mixtral")
    for edit, message in (
        (ablate("L1N7"), 'name the neuron of an expert, such as "L1E0N7"'),
        (ablate("L1E4N7"), "it has 4 experts"),
    ):
        with pytest.raises(Unavailable, match=message):
            model.trace(ids(), edits=[edit])
    with pytest.raises(Unavailable, match="L1E4N7: it has 4 experts"):
        trace.at("L1E4N7")
    with pytest.raises(Unavailable, match="an expert of layer 1 has 96 neurons"):
        model.trace(ids(), edits=[ablate(Neuron(1, 96, expert=busiest(trace)))])
    with pytest.raises(Unavailable, match="an expert of layer 1 has 96 neurons"):
        trace.at("L1E0N96")
    with pytest.raises(Unavailable, match="layer 0 has no experts that transformers fuses"):
        traced("deepseek_v3")[1].experts(0)
    with pytest.raises(Unavailable, match="it has no experts"):
        traced("deepseek_v3")[1].at("L0E1N3")


def test_experts_that_do_something_else_are_refused(monkeypatch):
    monkeypatch.setattr("mechviz.models.experts.written", lambda module, neurons, expert: neurons[:, :48] * 1.01)
    with pytest.raises(Unavailable, match="layer 1 has no experts that can be trusted: what its experts write"):
        traced("mixtral")[1].experts(1)


@pytest.mark.parametrize(
    "options", [{"has_gate": False}, {"has_post_expert_norm": True}, {"is_transposed": True, "has_bias": True}]
)
def test_experts_of_every_make_that_transformers_knows(options):
    # as Nemotron-H (no gate), Muse Spark (a norm behind each expert), and GPT-OSS have them
    gate, turned, bias = options.get("has_gate", True), options.get("is_transposed"), options.get("has_bias")

    @use_experts_implementation(**options)
    class Fused(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            self.num_experts, self.act_fn = 3, torch.nn.functional.silu
            up, down = (16 if gate else 8, 6), (6, 8)
            for name, shape in (("gate_up_proj" if gate else "up_proj", up), ("down_proj", down)):
                shape = shape[::-1] if turned else shape
                self.register_parameter(name, torch.nn.Parameter(torch.randn(3, *shape)))
            if bias:
                self.gate_up_proj_bias = torch.nn.Parameter(torch.randn(3, 16))
                self.down_proj_bias = torch.nn.Parameter(torch.randn(3, 6))
            self.post_expert_norm = torch.nn.LayerNorm(6)

        def forward(self, tokens, experts, weights):
            raise AssertionError("never called: transformers' own implementations are")

    torch.manual_seed(0)
    module = Fused(SimpleNamespace(_experts_implementation="batched_mm"))
    given = torch.randn(5, 6), torch.tensor([[0, 1], [1, 2], [0, 2], [2, 1], [1, 0]]), torch.rand(5, 2)
    with torch.no_grad():
        output = module(*given)
        found = read_experts(module, given, {}, output, [])
        assert found.neurons.shape == (5, 2, 8)
        off = edited_experts(module, (given, {}), output, [ablate("L0E1N3")], (1, 5), 0)
        (module.down_proj[1, 3] if turned else module.down_proj[1, :, 3]).zero_()
        torch.testing.assert_close(off, module(*given), atol=1e-5, rtol=1e-5)
    assert not torch.equal(off[0], output[0]) and torch.equal(off[2], output[2])  # token 2 is not sent to expert 1
