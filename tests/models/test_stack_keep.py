"""`capture=`, `grad=`, `budget=` and edits round the user's own passes, for models with several stacks."""

from __future__ import annotations

import functools

import pytest
import torch
from zoo import OTHERS, build_other, ids, state

import mechviz as mv
from mechviz import Head
from mechviz.models import ablate, edit, load
from mechviz.models.budget import size
from mechviz.models.keeping_stacks import wanted_of_stacks
from mechviz.models.wanted import READINGS
from mechviz.pattern import Unavailable

ACROSS = ("attention", "q", "k", "v", "z")


@functools.cache
def traced(name):
    module, inputs = build_other(name)
    model = load(module)
    return model, inputs, model.trace(inputs)


def same(a, b):
    return torch.equal(a.dense(), b.dense()) if hasattr(a, "dense") else torch.equal(a, b)


def all_of(trace):
    """Every reading of every stack: name -> one for each layer that has it."""
    found = {(stack, r): list(getattr(one, r)) for stack, one in trace.stacks.items() for r in READINGS}
    for stack, one in trace.stacks.items():
        if max(one.model.structure.crossing) >= 0:
            found |= {(stack, "cross", r): list(getattr(one.cross, r)) for r in ACROSS}
            found[stack, "cross_out"] = list(one.cross_out)
    return found


@pytest.mark.parametrize("name", OTHERS)
def test_everything_kept_is_what_replays_give(name, monkeypatch):
    model, inputs, plain = traced(name)
    before, expected = state(model.module), all_of(plain)
    kept = model.trace(inputs, capture="everything")
    assert state(model.module) == before
    monkeypatch.setattr("mechviz.models.tape.Tape._run", None)  # nothing is replayed from here on
    found = all_of(kept)
    assert list(found) == list(expected)
    for key, values in found.items():
        assert len(values) == len(expected[key]) and all(map(same, values, expected[key])), key
    assert name not in ("t5", "bart", "whisper") or found["decoder", "cross", "attention"]


def test_only_what_was_asked_for_is_kept(monkeypatch):
    model, inputs, plain = traced("bart")
    trace = model.trace(inputs, capture=["encoder.L1H2", "L0.mlp", "blocks.1.attn.hook_q", "decoder.L1N5"])
    expected = {site: plain.at(site) for site in ("encoder.L1H2", "decoder.L0.mlp", "L1N5")}
    monkeypatch.setattr("mechviz.models.tape.Tape._run", None)
    assert all(torch.equal(trace.at(site), values) for site, values in expected.items())
    assert sorted(map(str, trace._tape.kept)) == ["('mlp_out', 0)", "('q', 1)", "L1N5"]
    with pytest.raises(TypeError, match="NoneType"):  # a replay
        trace.stacks["encoder"].z[0]


def test_names_are_of_every_stack_and_sites_of_theirs():
    stacks = {"encoder": 3, "decoder": 2}
    found = wanted_of_stacks(["attention", 2, "L1H0", "encoder.L0H1"], stacks, "decoder")
    assert found["decoder"].names == {0: ("attention",), 1: ("attention",)} and found["decoder"].sites == (Head(1, 0),)
    assert set(found["encoder"].names[2]) == {*READINGS} and found["encoder"].sites == (Head(0, 1),)
    found = wanted_of_stacks({"q": [1, 2], "mlp_out": 0}, stacks, "decoder")
    assert found["encoder"].names == {1: ("q",), 2: ("q",), 0: ("mlp_out",)}
    assert found["decoder"].names == {1: ("q",), 0: ("mlp_out",)}
    for wrong, message in (
        ("vision.L0H1", r"capture: vision.L0H1: no stack 'vision' runs; there are encoder, decoder"),
        (3, "layers 0 to 2; got 3"),
        ({"q": 3}, "layers 0 to 2; got 3"),
        ("decoder.L2H0", "layers 0 to 1; got 2"),
        ("patterns", "'patterns' is not a site"),
    ):
        with pytest.raises(ValueError, match=message):
            wanted_of_stacks(wrong, stacks, "decoder")


def test_features_of_a_stack():
    model, inputs, plain = traced("bart")
    rows = torch.linalg.qr(torch.randn(48, 3, generator=torch.Generator().manual_seed(0)))[0].T
    basis = mv.Dictionary.from_directions(rows, at="encoder.L1.resid_post")
    feature = mv.Feature(basis, 1)
    expected = plain.at("encoder.L1.resid_post") @ rows[1]
    torch.testing.assert_close(plain.at(feature), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain.stacks["encoder"].at(feature), expected, atol=1e-5, rtol=1e-4)
    kept = model.trace(inputs, capture=[feature])
    assert torch.equal(kept.at(feature), plain.at(feature)) and feature in kept.stacks["encoder"]._tape.kept


def metric(logits):
    return logits[-1, 3] - logits[2, 8].square()


@pytest.mark.parametrize("name", ["t5", "bart", "whisper", "gemma3_seeing", "bert"])
def test_gradients_of_a_kept_graph(name, monkeypatch):
    module, inputs = build_other(name)
    for key, parameter in module.named_parameters():
        if "mm_input_projection" in key:  # zero in a new model, so that no image would be seen
            torch.nn.init.normal_(parameter, std=0.1)
    model, before = load(module), state(module)
    plain, kept = model.trace(inputs), model.trace(inputs, grad=True)
    assert state(module) == before
    torch.testing.assert_close(kept.logits, plain.logits, atol=1e-5, rtol=0)
    assert name == "t5" or torch.equal(kept.logits, plain.logits)  # whose kernel is another one with gradients
    for stack, one in kept.stacks.items():  # a replay is bit for bit all the same
        dense = plain.stacks[stack].attention[1].dense()
        torch.testing.assert_close(one.attention[1].dense(), dense, atol=1e-5, rtol=0)
        assert not one.neurons[1].requires_grad and not one.resid_mid[1].requires_grad
    stacks = [f"{stack}." if stack else "" for stack in plain.stacks]
    sites = [stack + site for stack in stacks for site in ("L0.resid_pre", "L1.resid_post", "L0H2", "L1.mlp", "L0N7")]
    expected = plain.grad(metric, sites)
    monkeypatch.setattr(module, "forward", None)  # the graph is there: nothing runs again
    for _ in range(2):
        grads = kept.grad(metric, sites)
        for site in sites:
            torch.testing.assert_close(
                grads[site], expected[site], atol=1e-4 * float(expected[site].abs().max()), rtol=0
            )
            assert grads[site].any(), site  # what an encoder sees reaches the logits, and so what an image holds
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_budget_stops_a_stack_in_the_middle():
    model, inputs, _ = traced("t5")
    before = state(model.module)
    with pytest.raises(MemoryError, match=r"after layer 0 of 2 the trace keeps .*; the limit is 10 kB \(budget=\)"):
        model.trace(inputs, capture="everything", budget=10_000)
    # the tape alone: a stream of 24 x 48 float32 before and after each of two layers, then of 11 x 48
    with pytest.raises(MemoryError, match="after layer 1 of 2 the trace keeps"):
        model.trace(inputs, budget=13_000)
    assert model.trace(inputs, budget=100_000).resid_pre[0].shape == (11, 48)
    assert state(model.module) == before
    assert model.estimate(24).tape == 2 * 3 * 24 * 48 * 4, size(model.estimate(24).tape)  # both read a text


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_generation_under_edits(name):
    model, inputs, _ = traced(name)
    module, before = model.module, state(model.module)
    edits = [ablate("encoder.L1H2"), edit("decoder.L0.mlp", lambda x: -x), ablate("L1.attn", positions=[2, 3])]
    free = {"do_sample": False, "eos_token_id": None, "forced_eos_token_id": None}
    plain = model.generate(inputs["input_ids"], 6, **free)
    trace = model.generate(inputs["input_ids"], 6, edits=edits, **free)
    assert trace.tokens.provenance["edits"] == [str(one) for one in edits]
    assert trace.stacks["encoder"].tokens.provenance["edits"] and trace.tokens.ids != plain.tokens.ids
    # step by step with a cache it wrote what it predicts under the same edits when it reads all of it
    assert trace.logits[:-1].argmax(-1).tolist()[trace.tokens.prompt :] == list(
        trace.tokens.ids[trace.tokens.prompt + 1 :]
    )
    assert not trace.stacks["encoder"].z[1][:, 2].any()
    with model.edited(*edits), torch.no_grad():  # a second answer in the same context starts at its own beginning
        for _ in range(2):
            answer = module.generate(inputs["input_ids"], max_new_tokens=6, **free)
            assert answer[0].tolist() == list(trace.tokens.ids)
        inside = model.trace(inputs)
    assert inside.tokens.provenance["edits"] == trace.tokens.provenance["edits"] and state(module) == before
    with torch.no_grad():
        assert torch.equal(module(**inputs).logits[0], traced(name)[2].logits)


def test_the_users_own_pass_of_what_reads_no_text():
    module, inputs = build_other("vit")
    model = load(module)
    with pytest.raises(Unavailable, match="ViTModel does not read texts alone: trace its inputs once"), model.edited():
        pass
    model.trace(inputs)
    edits = [ablate("L1.mlp")]
    expected = model.trace(inputs, edits=edits).resid_post[-1]
    with torch.no_grad(), model.edited(*edits):
        stream = module(**inputs).last_hidden_state[0]
    torch.testing.assert_close(stream, module.layernorm(expected), atol=1e-6, rtol=0)


def test_a_text_in_the_stack_that_reads():
    model, _, _ = traced("gemma3_seeing")
    trace = model.trace(ids(), edits=[ablate("L0H1")])
    with torch.no_grad(), model.edited(ablate("L0H1")):
        assert torch.equal(model.module(torch.tensor([ids()])).logits[0], trace.logits)
