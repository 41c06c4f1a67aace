"""Edits in encoders, in encoders with decoders, and beside images: each in the stack that its address names."""

from __future__ import annotations

import functools

import pytest
import torch
from zoo import OTHERS, build_other, state

from mechviz.models import ablate, edit, knock_out, load, patch, steer
from mechviz.pattern import Unavailable

EVERYWHERE = ["L1.resid_pre", "L1.resid_mid", "L1.resid_post", "L1.attn", "L1.mlp", "L1H2", "L0N7"]


@functools.cache
def traced(name):
    module, inputs = build_other(name)
    model = load(module)
    return model, inputs, model.trace(inputs)


def sites_of(trace):
    return [f"{stack}.{site}" if stack else site for stack in trace.stacks for site in EVERYWHERE]


@pytest.mark.parametrize("name", OTHERS)
def test_patching_every_site_from_the_same_input_changes_nothing(name):
    model, inputs, plain = traced(name)
    before = state(model.module)
    trace = model.trace(inputs, edits=[patch(site, plain) for site in sites_of(plain)])
    assert state(model.module) == before and len(trace.tokens.provenance["edits"]) == 7 * len(plain.stacks)
    for stack, one in plain.stacks.items():
        for layer, stream in enumerate(one.resid_post):
            assert torch.equal(trace.stacks[stack].resid_post[layer], stream)


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_put_at_a_site_is_read_there(name):
    model, inputs, plain = traced(name)
    for site in sites_of(plain):
        trace = model.trace(inputs, edits=[edit(site, lambda x: x * 0.5 + 1)])
        old = plain.at(site)
        torch.testing.assert_close(trace.at(site), old * 0.5 + 1, atol=1e-5 * (1 + float(old.abs().max())), rtol=1e-5)


def test_an_encoder_reaches_its_decoder_and_not_the_other_way_round():
    model, inputs, plain = traced("bart")
    inside = model.trace(inputs, edits=[ablate("encoder.L1.mlp")])
    assert not torch.equal(inside.cross.k[0], plain.cross.k[0]) and not torch.equal(inside.logits, plain.logits)
    after = model.trace(inputs, edits=[ablate("L1.mlp")])  # of the stack that the logits come from
    assert torch.equal(after.at("encoder.L1.resid_post"), plain.at("encoder.L1.resid_post"))
    assert not after.at("decoder.L1.mlp").any() and plain.at("decoder.L1.mlp").any()


def test_a_head_is_that_of_the_text_itself_not_of_what_it_reads_across():
    model, inputs, _ = traced("bart")
    trace = model.trace(inputs, edits=[ablate("decoder.L0H2"), knock_out("decoder.L1H1", 5, [0, 1])])
    assert not trace.z[0][:, 2].any()
    read = torch.einsum("hqk,khd->qhd", trace.cross_attention[0].dense(), trace.cross.v[0])
    torch.testing.assert_close(trace.cross.z[0], read, atol=1e-5, rtol=0)  # head 2 reads the encoder as before
    assert trace.cross.z[0][:, 2].any()
    assert not trace.attention[1].dense()[1, 5, :2].any()
    torch.testing.assert_close(trace.attention[1].dense()[1, 5].sum(), torch.tensor(1.0))


def test_stacks_that_do_not_run_are_named():
    model, inputs, _ = traced("clip")
    with pytest.raises(
        Unavailable, match=r"decoder.L0H1 → zero: no stack 'decoder' runs; there are text, vision|vision, text"
    ):
        model.trace(inputs, edits=[ablate("decoder.L0H1")])
    with pytest.raises(Unavailable, match="vision.L9H1: this model has layers 0 to"):
        model.trace(inputs, edits=[ablate("vision.L9H1")])


@pytest.mark.parametrize("name", ["bart", "whisper"])
def test_gradients_against_finite_differences(name):
    module, inputs = build_other(name)
    inputs = {key: x.double() if x.is_floating_point() else x for key, x in inputs.items()}
    model, generator = load(module.double()), torch.Generator().manual_seed(0)
    trace = model.trace(inputs, edits=[ablate("encoder.L0H1")])
    sites = ["encoder.L1.mlp", "encoder.L0H2", "decoder.L0.attn", "L1.resid_pre", "decoder.L0N7"]

    def metric(logits):
        return logits[-1, 3] - logits[2, 8].square()

    grads = trace.grad(metric, sites)
    for site in sites:
        direction = torch.randn(trace.at(site).shape, generator=generator, dtype=torch.float64)
        edits = ([ablate("encoder.L0H1"), steer(site, direction, step)] for step in (1e-6, -1e-6))
        up, down = (metric(model.trace(inputs, edits=made).logits).item() for made in edits)
        measured, predicted = (up - down) / 2e-6, float((grads[site] * direction).sum())
        assert abs(measured) > 1e-3 and abs(measured - predicted) <= 1e-4 * abs(measured), (site, measured, predicted)
    with pytest.raises(Unavailable, match="ViTModel has no unembedding, so no logits and no gradient"):
        traced("vit")[2].grad(lambda logits: logits[0], ["L1.mlp"])
