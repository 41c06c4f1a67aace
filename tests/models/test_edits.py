"""Edits do what they say, exactly, and leave nothing behind."""

from __future__ import annotations

import functools
import re
import threading

import pytest
import torch
from test_trace import InPlace
from test_untouched import state
from zoo import LEGACY, ZOO, build, ids

import mechviz as mv
from mechviz.models import ablate, edit, knock_out, load, patch, steer
from mechviz.pattern import Unavailable

WITH_HEADS = [name for name in ZOO if name != "mamba"]
EVERYWHERE = ["L1.resid_pre", "L1.resid_mid", "L1.resid_post", "L1.attn", "L1.mlp", "L1H2", "L0N7"]


@functools.cache
def loaded(name):
    return load(build(name))


@functools.cache
def traced(name):
    return loaded(name).trace(ids())


def sites_of(name):
    for site in EVERYWHERE:
        try:
            traced(name).at(site)
        except Unavailable:
            continue
        yield site


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "granite", "phi3", "gptj", "bloom", "falcon"])
def test_ablating_a_head_is_zeroing_its_part_of_the_output_projection(name):
    trace = loaded(name).trace(ids(), edits=[ablate("L1H2")])
    module = build(name)
    plan = loaded(name).structure.plans[1]
    projection = load(module)._stack.blocks[1].get_submodule(plan.heads[0])
    weight = projection.weight.data
    width = traced(name).z[1].shape[2]
    (weight if type(projection).__name__ == "Conv1D" else weight.T)[2 * width : 3 * width] = 0
    with torch.no_grad():
        assert torch.equal(trace.logits, module(torch.tensor([ids()])).logits[0])
    assert not torch.equal(trace.logits, traced(name).logits)
    assert trace.tokens.provenance["edits"] == ["L1H2 → zero"]
    assert not trace.z[1][:, 2].any() and torch.equal(trace.z[1][:, 1], traced(name).z[1][:, 1])
    assert trace.attention[1].dense().shape == (4, 24, 24)  # the pattern is checked against what was computed


@pytest.mark.parametrize("name", ZOO)
def test_patching_from_the_same_text_changes_nothing(name):
    sites = list(sites_of(name))
    assert len(sites) >= (4 if name in ("mamba", "mixtral", "gpt_oss") else 5) - (name == "mamba")
    edits = [patch(site, traced(name)) for site in sites]
    before = state(loaded(name).module)
    trace = loaded(name).trace(ids(), edits=edits)
    assert torch.equal(trace.logits, traced(name).logits)
    for site in sites:
        assert torch.equal(trace.at(site), traced(name).at(site))
    assert state(loaded(name).module) == before


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "granite", "gpt_neox", "openai", "deepseek_v3"])
def test_what_was_put_at_a_site_is_read_there(name):
    for site in sites_of(name):
        old = traced(name).at(site)
        trace = loaded(name).trace(ids(), edits=[edit(site, lambda x: x * 0.5 + 1)])
        tolerance = {} if "mid" in site else {"atol": 2e-6, "rtol": 1e-6}
        torch.testing.assert_close(trace.at(site), old * 0.5 + 1, **tolerance)
        assert trace.resid_pre[0].shape == (24, 48) and trace.tokens.provenance["edits"] == [f"{site} → <lambda>"]
        assert not torch.equal(trace.logits, traced(name).logits)


def test_every_view_of_an_edited_model_says_so():
    edits = [ablate("L1H2"), knock_out("L0H1", 5, 2), steer("L2.mlp", torch.ones(48), positions=[3])]
    trace = loaded("llama").trace(ids(), edits=edits)
    said = ["L1H2 → zero", "L0H1 query 5 ↛ key 2", f"L2.mlp + vector of norm {48**0.5:.3g} at 3"]
    for view in (mv.attention(trace.tokens, trace.attention), mv.tokens(trace.tokens, trace.loss)):
        (spec,) = view._specs()
        assert spec.props["frame"]["edits"] == spec.provenance["edits"] == said
    with loaded("llama").edited(edits[0]):
        inside = loaded("llama").trace(ids(), edits=edits[1:])
    assert inside.tokens.provenance["edits"] == said and torch.equal(inside.logits, trace.logits)
    assert "edits" in str(trace.report()) and "; ".join(said) in str(trace.report())


def test_positions_before_an_edit_keep_their_bits():
    trace = loaded("llama").trace(ids(), edits=[ablate("L0N7", positions=[9, -2])])
    assert trace.tokens.provenance["edits"] == ["L0N7 → zero at 9, -2"]
    assert torch.equal(trace.logits[:9], traced("llama").logits[:9])
    assert not torch.equal(trace.logits[9], traced("llama").logits[9])
    changed = (trace.neurons[0] != traced("llama").neurons[0]).nonzero().tolist()
    assert changed == [[9, 7], [22, 7]]


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "granite"])
def test_neurons_are_read_before_an_edit_of_what_they_write(name):
    model, plain = loaded(name), traced(name)
    trace = model.trace(ids(), edits=[ablate("L1.mlp"), ablate("L2.attn", positions=[3])])
    assert torch.equal(trace.neurons[1], plain.neurons[1]) and not trace.mlp_out[1].any()
    assert trace.gate.layers == plain.gate.layers and all(map(torch.equal, trace.gate[:2], plain.gate[:2]))
    assert not torch.equal(trace.neurons[2], plain.neurons[2])


def test_ablating_to_a_mean():
    model, reference = loaded("gpt2"), loaded("gpt2").trace(ids(24, seed=3))
    z = reference.z[1][:, 2]
    mean = model.trace(ids(), edits=[ablate("L1H2", reference)])
    torch.testing.assert_close(mean.z[1][:, 2], z.mean(0).expand(24, -1))
    (label,) = mean.tokens.provenance["edits"]  # the reference by its hash
    assert re.fullmatch(r"L1H2 → mean of 24 positions in trace [0-9a-f]{6}", label)
    assert repr(ablate("L1H2", "mean", reference=reference)) == label
    each = model.trace(ids(), edits=[ablate("L1H2", [reference, traced("gpt2")], per="position")])
    torch.testing.assert_close(each.z[1][:, 2], (z + traced("gpt2").z[1][:, 2]) / 2)
    with pytest.raises(ValueError, match="the reference has 5 positions; position 23 was to be replaced"):
        model.trace(ids(), edits=[ablate("L1H2", model.trace(ids(5)), per="position")])


def test_resampling_from_other_texts():
    model, references = loaded("gpt2"), [loaded("gpt2").trace(ids(30, seed=seed)) for seed in (3, 4)]
    z = torch.cat([reference.z[1][:, 2] for reference in references])  # [position of either, dim]
    made = ablate("L1H2", "resample", reference=references)
    trace, again = model.trace(ids(), edits=made), model.trace(ids(), edits=made)
    drawn = [(z == row).all(1).nonzero().flatten().tolist() for row in trace.z[1][:, 2]]
    assert all(drawn) and len({at[0] for at in drawn}) > 8  # each row is one of theirs, and not always the same
    assert torch.equal(trace.logits, again.logits)
    other = model.trace(ids(), edits=ablate("L1H2", "resample", reference=references, seed=1))
    assert not torch.equal(other.z[1][:, 2], trace.z[1][:, 2])
    each = model.trace(ids(), edits=ablate("L1H2", "resample", reference=references, per="position"))
    mine = torch.stack([reference.z[1][:24, 2] for reference in references])
    which = (each.z[1][:, 2] == mine).all(-1)  # [reference, position]
    assert (which.sum(0) == 1).all() and which.any(1).all()
    (label,) = each.tokens.provenance["edits"]
    assert re.fullmatch(r"L1H2 → drawn at each position from 2 traces \([0-9a-f]{6}, [0-9a-f]{6}\) \(seed 0\)", label)
    with pytest.raises(ValueError, match="the reference has 5 positions; position 23"):
        model.trace(ids(), edits=ablate("L1H2", "resample", reference=model.trace(ids(5)), per="position"))


def test_patching_positions_from_another_text():
    model, other = loaded("llama"), loaded("llama").trace(ids(9, seed=1))
    trace = model.trace(ids(), edits=[patch("L1.resid_pre", other, positions=[4, -1], from_positions=[8, 0])])
    assert torch.equal(trace.resid_pre[1][[4, 23]], other.resid_pre[1][[8, 0]])
    assert torch.equal(trace.resid_pre[1][5], traced("llama").resid_pre[1][5])
    with pytest.raises(ValueError, match="from_trace has 9 positions"):
        model.trace(ids(), edits=[patch("L1.resid_pre", other)])


def test_a_vector_of_another_width_is_refused_in_words():
    with pytest.raises(ValueError, match=r"vector must have shape \(48,\), or \(24, 48\) at L1.resid_post; got \(7,\)"):
        loaded("llama").trace(ids(), edits=[steer("L1.resid_post", torch.ones(7), 3.0)])


def test_a_trace_says_what_was_edited():
    assert repr(loaded("llama").trace(ids(), edits=[ablate("L1H2")])).endswith("; edited: L1H2 → zero")


def test_steering():
    vector = torch.linspace(-1, 1, 48)
    trace = loaded("llama").trace(ids(), edits=[steer("L1.resid_post", vector, 3.0)])
    torch.testing.assert_close(trace.resid_post[1], traced("llama").resid_post[1] + 3 * vector)
    assert trace.resid_mid[1].shape == (24, 48)  # the block's own equation holds before the edit
    assert trace.tokens.provenance["edits"] == [f"L1.resid_post + 3 · vector of norm {float(vector.norm()):.3g}"]


def test_subspaces():
    model, plain, other = loaded("llama"), traced("llama"), loaded("llama").trace(ids(seed=2))
    whole = model.trace(ids(), edits=[patch("L1.mlp", other, subspace=torch.eye(48))])
    assert torch.equal(whole.logits, model.trace(ids(), edits=[patch("L1.mlp", other)]).logits)
    for make in (ablate, lambda site, **o: steer(site, torch.ones(48), 2.0, **o)):  # the identity is no restriction
        full, within = (model.trace(ids(), edits=[make("L1.attn", **o)]) for o in ({}, {"subspace": torch.eye(48)}))
        assert torch.equal(full.logits, within.logits) and not torch.equal(full.logits, plain.logits)
    up = model.trace(ids(), edits=[steer("L1.mlp", torch.ones(48), subspace=torch.eye(48)[:3])])
    torch.testing.assert_close(up.mlp_out[1] - plain.mlp_out[1], torch.cat([torch.ones(24, 3), torch.zeros(24, 45)], 1))
    basis = torch.linalg.qr(torch.randn(48, 48, generator=torch.Generator().manual_seed(0)))[0]
    part = model.trace(ids(), edits=[patch("L1.mlp", other, subspace=basis[:5])])
    inside, outside = basis[:5].T, basis[5:].T
    torch.testing.assert_close(part.mlp_out[1] @ inside, other.mlp_out[1] @ inside, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part.mlp_out[1] @ outside, plain.mlp_out[1] @ outside, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"orthonormal rows \[k, width\]; got shape \(2, 48\)"):
        patch("L1.mlp", other, subspace=torch.ones(2, 48))
    with pytest.raises(ValueError, match=r"shape \(k, 12\) at this site; got \(48, 48\)"):
        model.trace(ids(), edits=[ablate("L1H0", subspace=torch.eye(48))])


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gpt_oss"])
@pytest.mark.parametrize("renormalise", [True, False])
def test_knocking_out_attention(name, renormalise):
    model, plain = loaded(name), traced(name)
    trace = model.trace(ids(), edits=[knock_out("L1H3", 6, [4, 5], renormalise=renormalise)])
    expected = plain.attention[1].dense().clone()
    rest = 1 - expected[3, 6, [4, 5]].sum() if renormalise else 1.0
    expected[3, 6, [4, 5]] = 0
    expected[3, 6] /= rest
    torch.testing.assert_close(trace.attention[1].dense(), expected)
    v = plain.v[1].repeat_interleave(4 // plain.v[1].shape[1], 1)[:, 3]
    torch.testing.assert_close(trace.z[1][6, 3], expected[3, 6] @ v, atol=1e-5, rtol=1e-5)
    assert torch.equal(trace.z[1][:, :3], plain.z[1][:, :3]) and torch.equal(trace.z[1][7:], plain.z[1][7:])
    assert torch.equal(trace.logits[:6], plain.logits[:6]) and not torch.equal(trace.logits[6], plain.logits[6])


def test_a_query_without_any_key_reads_nothing():
    trace = loaded("llama").trace(ids(), edits=[knock_out("L1H0", None, None)])
    assert not trace.z[1][:, 0].any() and not trace.attention[1].head(0).any()
    assert torch.equal(trace.logits, loaded("llama").trace(ids(), edits=[ablate("L1H0")]).logits)


def test_edits_round_the_users_own_forward_and_generation():
    module = build("llama")
    model, tokens = load(module), torch.tensor([ids(), ids(24, seed=1)])
    before = state(module)
    with torch.no_grad():
        plain = module(tokens).logits
        with model.edited(ablate("L1H2"), ablate("L2.mlp", positions=[25])):
            edited = module(tokens).logits
            # position 25 is generated: with and without a cache it is the same position
            cached, whole = (
                module.generate(tokens, max_new_tokens=4, do_sample=False, use_cache=c) for c in (True, False)
            )
            inside = model.trace(ids())
        assert torch.equal(module(tokens).logits, plain) and state(module) == before
    for text, logits in zip(tokens, edited, strict=True):
        alone = model.trace(text, edits=[ablate("L1H2"), ablate("L2.mlp", positions=[25])])
        torch.testing.assert_close(logits, alone.logits)
    assert torch.equal(cached, whole)
    assert inside.tokens.provenance["edits"] == ["L1H2 → zero", "L2.mlp → zero at 25"]
    assert torch.equal(inside.logits, model.trace(ids(), edits=[ablate("L1H2")]).logits)
    inside.neurons[1]  # replayed with its edits, outside the context


def test_a_plain_trace_is_read_as_it_was_made_inside_a_context():
    model, plain = loaded("gpt2"), traced("gpt2")
    expected = plain.neurons[2]
    with model.edited(ablate("L2.attn")):
        assert torch.equal(plain.neurons[2], expected)


def test_edits_are_local_to_their_thread():
    module, results = build("gpt2"), []
    model, tokens = load(module), torch.tensor([ids()])
    with torch.no_grad():
        plain = module(tokens).logits

    def work():
        with torch.no_grad():
            results.append(torch.equal(module(tokens).logits, plain))

    with model.edited(ablate("L1H0"), ablate("L0.mlp"), steer("L2.resid_pre", torch.ones(48))):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert results == [True]


def test_an_edit_that_fails_leaves_nothing_behind():
    module = build("gpt2")
    model, before = load(module), state(module)

    def fail(x):
        raise FloatingPointError("in the middle")

    for site in ("L1H2", "L1.resid_mid", "L0N7"):
        with pytest.raises(FloatingPointError, match="in the middle"):
            model.trace(ids(), edits=[edit(site, fail)])
        with pytest.raises(ValueError, match=r"were to become \(3,\)"):
            model.trace(ids(), edits=[edit(site, lambda x: torch.ones(3))])
    assert state(module) == before
    assert torch.equal(model.trace(ids()).logits, traced("gpt2").logits)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_compiled_models_are_edited_too(name):
    module = build(name)
    module.compile(backend="eager")
    trace = load(module).trace(ids(), edits=[ablate("L1H2")])
    assert torch.equal(trace.logits, loaded(name).trace(ids(), edits=[ablate("L1H2")]).logits)


def test_sites_that_a_model_lacks_are_refused():
    for name, made, message in (
        ("llama", ablate("L9H0"), "has layers 0 to 2"),
        ("llama", ablate("L1H4"), "layer 1 has 4 heads"),
        ("llama", ablate("L1N96"), "layer 1 has 96 neurons"),
        ("mixtral", ablate("L1N5"), "routes each token to experts"),
        ("gpt_neox", ablate("L1.resid_mid"), "run in parallel"),
        ("mamba", ablate("L1H0"), "no softmax over the tokens"),
        ("gptj", knock_out("L1H0", 3, 2), "single weights cannot be knocked out"),
    ):
        with pytest.raises(Unavailable, match=message):
            loaded(name).trace(ids(), edits=[made])
    for to, options, message in (
        ("median", {}, 'to must be "zero", "mean", "resample" or one or more reference traces'),
        ("mean", {}, 'to="mean" needs reference=, the trace or traces whose mean it is'),
        ("resample", {}, 'to="resample" needs reference=, the trace or traces whose values it is'),
        ("zero", {"reference": traced("llama")}, 'reference= is for to="mean" and to="resample"'),
        ("zero", {"per": "row"}, 'per must be "position" or "all"'),
    ):
        with pytest.raises(ValueError, match=message):
            ablate("L1H0", to, **options)
    with pytest.raises(ValueError, match="is for attention heads"):
        knock_out("L1.mlp", 3, 2)


# Others, such as Llama, compute their norms in float32 whatever their dtype, where finite differences say little.
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "opt", "falcon", "openai"])
def test_gradients_against_finite_differences(name):
    module = build(name, dtype=torch.float64)
    model, generator = load(module), torch.Generator().manual_seed(0)
    trace = model.trace(ids())
    sites = [s for s in sites_of(name) if s != "L1.resid_pre"] + ["L1.resid_pre"]

    def metric(logits):
        return logits[-1, 3] - logits[-1, 8] + logits[10].logsumexp(-1)

    grads = trace.grad(metric, sites)
    for site in sites:
        direction = torch.randn(trace.at(site).shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        up, down = (metric(model.trace(ids(), edits=[steer(site, direction, s)]).logits).item() for s in (step, -step))
        measured, predicted = (up - down) / (2 * step), float((grads[site] * direction).sum())
        assert grads[site].shape == direction.shape
        assert abs(measured) > 1e-3 and abs(measured - predicted) <= 1e-4 * abs(measured), (name, site)
    assert all(p.grad is None for p in module.parameters())


def test_gradients_through_a_scaled_contribution():
    # Granite multiplies what attention and MLP write by 0.25 on its way to the stream: d stream / d contribution is 1
    trace = load(build("granite")).trace(ids())
    grads = trace.grad(lambda logits: logits[-1, 3], ["L1.mlp", "L1.resid_post", "L1.attn", "L1.resid_mid"])
    torch.testing.assert_close(grads["L1.mlp"], grads["L1.resid_post"])
    torch.testing.assert_close(grads["L1.attn"], grads["L1.resid_mid"])


@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral", "gpt_oss"])
def test_gradients_are_those_of_plain_autograd(name):
    module, kept = build(name), []
    block = load(module)._stack.blocks[1]
    handle = block.register_forward_pre_hook(lambda m, args: kept.append(args[0]) or args[0].retain_grad())
    module(torch.tensor([ids()])).logits[0, -1, 3].backward()
    handle.remove()
    grads = traced(name).grad(lambda logits: logits[-1, 3], ["L1.resid_pre"])
    torch.testing.assert_close(grads["L1.resid_pre"], kept[0].grad[0])


def test_gradients_of_an_edited_model_and_of_nothing():
    model = loaded("llama")
    trace = model.trace(ids(), edits=[ablate("L2H1"), knock_out("L1H0", 5, 2)])
    grads = trace.grad(lambda logits: logits[-1, 3], ["L2.resid_pre", "L1N3"])
    assert grads["L2.resid_pre"].any() and grads["L1N3"].shape == (24,)
    with pytest.raises(ValueError, match="one number that depends on the logits"):
        trace.grad(lambda logits: logits[-1], ["L1H0"])
    with pytest.raises(ValueError, match="one number that depends on the logits"):
        trace.grad(lambda logits: 3.0, ["L1H0"])


def test_legacy_models_are_part_of_this():
    assert all(any(site.startswith("L1H") for site in sites_of(name)) for name in (*LEGACY, "gpt2"))


def test_edits_of_blocks_that_write_into_their_input():
    module = build("gpt2")
    module.transformer.h = torch.nn.ModuleList(InPlace(block) for block in module.transformer.h)
    edits = [steer("L1.resid_pre", torch.ones(48)), ablate("L2H1")]
    expected = loaded("gpt2").trace(ids(), edits=edits)
    trace = load(module).trace(ids(), edits=edits)
    torch.testing.assert_close(trace.logits, expected.logits)
    torch.testing.assert_close(trace.resid_pre[1], expected.resid_pre[1])
    torch.testing.assert_close(trace.neurons[1], expected.neurons[1])


def test_a_picture_of_a_difference_says_what_was_taken_from_what():
    model = mv.load()
    clean, edited = model.trace("When Mary and John"), model.trace("When Mary and John", edits=[mv.ablate("L1H1")])
    other = model.trace("When John and Mary")

    def said(tokens, pattern) -> list[str]:
        frame = dict(mv.attention(tokens, pattern).flat("file")[1]["0"][1])["frame"]
        return [part for part in frame["provenance"] if part.startswith("less ")]

    assert said(edited.tokens, edited.attention - clean.attention) == ["less a run without edits"]
    assert said(clean.tokens, clean.attention - edited.attention) == ["less a run with L1H1 → zero"]
    assert said(clean.tokens, (clean.attention - other.attention)[1:]) == ["less text “When John and Mary”"]
    assert said(clean.tokens, clean.attention - clean.attention) == said(clean.tokens, clean.attention) == []
