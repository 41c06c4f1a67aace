"""Structures that were found once serve every model of the same make, and no other."""

from __future__ import annotations

import pytest
import torch
from zoo import OTHERS, ZOO, build, build_other, ids

from mechviz.models import known, load
from mechviz.models.known import make_of


@pytest.fixture
def probes(monkeypatch):
    """A count of the probes, from a clean start."""
    monkeypatch.setattr(known, "_known", type(known._known)())
    run, original = [], known.probe
    monkeypatch.setattr(known, "probe", lambda *args: run.append(1) or original(*args))
    return run


@pytest.mark.parametrize("name", ZOO)
def test_a_second_instance_is_not_probed_and_reads_the_same(name, probes):
    first, second = load(build(name)), load(build(name, seed=1))
    first.trace(ids())
    trace = second.trace(ids())
    # gemma's embedding scale and the like are no scale of the structure; Granite's and Cohere's are, and Mamba has no head
    scaled = name in ("granite", "cohere")
    assert len(probes) == 1 + scaled
    if not scaled:
        assert second.structure is first.structure
    known._known.clear()
    fresh = load(second.module)
    fresh.trace(ids())
    assert fresh.structure == second.structure
    assert torch.equal(trace.attn_out[1], fresh.trace(ids()).attn_out[1])


@pytest.mark.parametrize("name", OTHERS)
def test_stacks_of_a_second_instance_are_not_probed(name, monkeypatch):
    monkeypatch.setattr(known, "_known", type(known._known)())
    run, original = [], known.probe_inputs
    monkeypatch.setattr(known, "probe_inputs", lambda *args: run.append(1) or original(*args))
    module, inputs = build_other(name)
    other, _ = build_other(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.25)
    first, second = load(module).trace(inputs), load(other).trace(inputs)
    scaled = name == "t5"  # which multiplies what its unembedding is given: a scale is believed of these weights only
    assert len(run) == 1 + scaled
    for stack, one in second.stacks.items():
        assert scaled or one.model.structure is first.stacks[stack].model.structure
        assert one.attn_out[1].shape == first.stacks[stack].attn_out[1].shape
    if "decoder_input_ids" in inputs and name != "whisper":  # other inputs, other stacks: looked at anew
        load(other).trace({**inputs, "attention_mask": torch.ones_like(inputs["input_ids"])})
        assert len(run) == 2 + scaled


def test_another_config_of_the_same_class_is_probed(probes):
    load(build("llama")).trace(ids())
    model = build("llama")
    model.model.layers[1].mlp.act_fn = torch.nn.GELU()
    load(model).trace(ids())
    assert len(probes) == 2
    # the same modules, another number in the config: the cap is a part of the structure
    capped = build("gemma2")
    load(capped).trace(ids())
    capped.config.final_logit_softcapping = 7.0
    trace = load(capped).trace(ids())
    assert len(probes) == 4
    with torch.no_grad():
        torch.testing.assert_close(trace.logits, capped(torch.tensor([ids()])).logits[0], atol=1e-5, rtol=0)


def test_hooks_and_settings_that_change_what_is_computed_count():
    model = build("gpt2")
    plain = make_of(model)
    assert make_of(build("gpt2", seed=3)) == plain
    assert make_of(build("gpt2", attn_implementation="eager")) != plain
    assert make_of(build("gpt2").train()) != plain


def test_a_model_with_hooks_of_the_users_is_always_probed(probes):
    load(build("gpt2")).trace(ids())
    model = build("gpt2")
    model.transformer.h[0].register_forward_hook(lambda *_: None)
    load(model).trace(ids())
    load(model).trace(ids())
    assert len(probes) == 3
