"""What `capture=` keeps is what a replay would give, bit for bit, and a budget stops it before memory runs out."""

from __future__ import annotations

import functools

import pytest
import torch
from test_trace import InPlace
from zoo import ZOO, build, ids, state

from mechviz import Head, Neuron
from mechviz.models import ablate, load
from mechviz.models.budget import size, storages
from mechviz.models.wanted import READINGS, wanted
from mechviz.pattern import Unavailable


@functools.cache
def traced(name):
    model = load(build(name))
    return model, model.trace(ids())


@pytest.fixture
def no_replay(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("replayed")

    monkeypatch.setattr("mechviz.models.tape.Tape._run", refuse)


def same(a, b):
    return torch.equal(a.dense(), b.dense()) if hasattr(a, "dense") else torch.equal(a, b)


@pytest.mark.parametrize("name", ZOO)
def test_everything_kept_is_what_replays_give(name, monkeypatch):
    model, plain = traced(name)
    before = state(model.module)
    kept = model.trace(ids(), capture="everything")
    assert state(model.module) == before and torch.equal(kept.logits, plain.logits)
    readings = [r for r in READINGS if not (name == "mamba" and r == "attention")]
    expected = {r: [getattr(plain, r)[layer] for layer in getattr(plain, r).layers] for r in readings}
    monkeypatch.setattr("mechviz.models.tape.Tape._run", None)  # nothing is replayed from here on
    for reading in readings:
        found = list(getattr(kept, reading))
        assert len(found) == len(expected[reading]) and all(map(same, found, expected[reading]))
        assert getattr(kept, reading).missing == getattr(plain, reading).missing


def test_only_what_was_asked_for_is_kept(no_replay):
    model = load(build("llama"))
    trace = model.trace(ids(), capture=["L1H2", Neuron(0, 7), "attn_out", 2])
    assert trace.at("L1H2").shape == (24, 12) and trace.at("blocks.1.hook_attn_out").shape == (24, 48)
    assert trace.at("L0N7").shape == (24,) and len(trace.attn_out[0]) == 24
    assert trace.neurons[2].shape == (24, 96) and trace.attention[2].dense().shape == (4, 24, 24)
    assert trace.resid_pre[1].shape == (24, 48)  # always there
    for read in (lambda: trace.z[1], lambda: trace.at("L1H1"), lambda: trace.attention[0], lambda: trace.neurons[0]):
        with pytest.raises(AssertionError, match="replayed"):
            read()
    some = model.trace(ids(), capture={"pattern": [0], "mlp_out": 1})
    assert sorted(some._tape.kept) == [("attention", 0), ("mlp_out", 1)]


def test_queries_and_keys_are_kept_without_what_they_were_cut_from():
    # GPT-2 computes q, k and v as one array: keeping parts of it by reference would keep all of it
    trace = load(build("gpt2")).trace(ids(), capture=["attention", "q", "k"])
    held = {place: n for value in trace._tape.kept.values() for place, n in storages(value).items()}
    assert sum(held.values()) == 3 * 2 * 24 * 48 * 4  # layers, q and k, tokens, numbers, bytes


def test_under_edits():
    model = load(build("llama"))
    edits = [ablate("L1H2"), ablate("L2.attn", positions=[3]), ablate("L0N7"), ablate("L2.resid_post", positions=[5])]
    plain, kept = model.trace(ids(), edits=edits), model.trace(ids(), edits=edits, capture="everything")
    for reading in READINGS[:-2]:  # a gate does not lead to neurons that were edited
        assert all(map(same, getattr(kept, reading), getattr(plain, reading)))
    assert not kept.z[1][:, 2].any() and not kept.at("L0N7").any()


def test_blocks_that_write_into_their_tensors():
    module = build("gpt2")
    module.transformer.h = torch.nn.ModuleList(InPlace(block) for block in module.transformer.h)
    model = load(module)
    plain, kept = model.trace(ids()), model.trace(ids(), capture="everything")
    for reading in ("resid_mid", "attn_out", "neurons", "z"):
        assert all(map(same, getattr(kept, reading), getattr(plain, reading)))


def test_under_autocast_and_of_compiled_models():
    model = load(build("llama"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, kept = model.trace(ids()), model.trace(ids(), capture="everything")
    assert kept.v[0].dtype == torch.bfloat16
    assert kept.attention[1].check_error == plain.attention[1].check_error < 1e-2  # recomputed in float32 all the same
    module = build("gpt2")
    module.compile(backend="eager")
    compiled = load(module)
    for one, other in ((plain, kept), (compiled.trace(ids()), compiled.trace(ids(), capture="everything", grad=True))):
        for reading in READINGS:
            assert len(getattr(other, reading)) == len([k for k in other._tape.kept if k[0] == reading])
            assert all(map(same, getattr(other, reading), getattr(one, reading)))
    assert other.grad(metric, ["L1.mlp"])["L1.mlp"].any()


def test_what_capture_may_be():
    assert wanted(None, 3).names == {} and not wanted([], 3) and not wanted("resid_post", 3)
    assert wanted(["q", "attention"], 2).names == {0: ("attention", "q"), 1: ("attention", "q")}
    assert wanted("L1.resid_mid", 3).names == {1: ("resid_mid",)} and wanted("L1H2", 3).sites == (Head(1, 2),)
    for wrong, message in (
        ("patterns", "capture: 'patterns' is not a site. Forms: .* or one of attention, q"),
        ({"neuron": [0]}, "capture must name some of attention, .*; got 'neuron'"),
        (["L3H0"], "capture: this model has layers 0 to 2; got 3"),
        ({"q": 5}, "layers 0 to 2; got 5"),
    ):
        with pytest.raises(ValueError, match=message):
            wanted(wrong, 3)
    with pytest.raises(TypeError, match="site must be a site object or a string"):
        wanted([1.5], 3)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_an_estimate_is_what_is_kept(name, tmp_path, capsys):
    model = load(build(name))
    for capture in ("attention", ["neurons", "z"], {"v": [1]}, "L1H2"):
        trace, expected = model.trace(ids(), capture=capture), model.estimate(24, capture)
        held = {place: n for value in trace._tape.kept.values() for place, n in storages(value).items()}
        assert expected.kept == sum(held.values()) and expected.total == expected.tape + expected.kept
    trace.save(tmp_path / "t.mv")
    assert f": {size(expected.file)} (attention" in capsys.readouterr().out
    assert "of it captured" in str(expected) and "saved it takes" in str(expected)
    assert model.estimate(24, grad=True).graph > 0


def test_a_budget_stops_it_before_and_in_the_middle(monkeypatch):
    module = build("llama")
    model, before = load(module), state(module)
    with pytest.raises(
        MemoryError, match=r"capture fewer layers with capture=\{name: \[layers\]\}, leave out capture="
    ):
        model.trace(ids(), capture="everything", budget=30_000)
    assert model.trace(ids(), capture={"q": [1]}, budget=30_000).q[1].shape == (24, 4, 12)
    monkeypatch.setattr("mechviz.models.budget.Sizes.of_reading", lambda self, name: 0)  # an estimate that is far off
    with pytest.raises(
        MemoryError, match=r"after layer 0 of 3 the trace keeps .* beside the residual stream; the limit"
    ):
        model.trace(ids(), capture="everything", budget=30_000)
    assert state(module) == before


def test_a_kept_pattern_that_cannot_be_trusted_says_so_when_it_is_read(monkeypatch):
    def refuse(call):
        raise Unavailable("rows differ")

    monkeypatch.setattr("mechviz.models.heads.pattern_of", refuse)
    trace = load(build("llama")).trace(ids(), capture="attention")
    with pytest.raises(Unavailable, match="no attention pattern that can be trusted: rows differ"):
        trace.attention[0]


def metric(logits):
    return logits[-1, 3] - logits[-1, 8] + logits[10].logsumexp(-1)


@pytest.mark.parametrize("name", ZOO)
def test_gradients_of_a_kept_graph(name):
    model, plain = traced(name)
    before = state(model.module)
    kept = model.trace(ids(), grad=True)
    assert torch.equal(kept.logits, plain.logits) and state(model.module) == before
    sites = []
    for site in ("L0.resid_pre", "L1.resid_mid", "L1.resid_post", "L1.attn", "L1.mlp", "L1H2", "L0N7"):
        try:
            assert torch.equal(kept.at(site), plain.at(site))
        except Unavailable:
            continue
        sites.append(site)
    expected = plain.grad(metric, sites)
    for _ in range(2):  # the graph is still there for the next metric
        grads = kept.grad(metric, sites)
        assert all(torch.equal(grads[site], expected[site]) for site in sites)
        assert all(grads[site].any() for site in sites)
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_a_kept_graph_runs_nothing_again(monkeypatch):
    module = build("llama").requires_grad_(False)
    trace = load(module).trace(ids(), grad=True, edits=[ablate("L1H2")])
    monkeypatch.setattr(module, "forward", None)
    grads = trace.grad(metric, ["L1H1", "L2.mlp"])
    assert grads["L1H1"].shape == (24, 12) and not any(p.requires_grad for p in module.parameters())
    with pytest.raises(ValueError, match="one number that depends on the logits"):
        trace.grad(lambda logits: logits[-1], ["L1H1"])
