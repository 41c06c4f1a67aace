"""Direct logit attribution: values from a second, plain computation, and sums that are the model's own logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_site_map import ATTENTION, NEURONS, published
from zoo import ZOO, build, ids

import mechviz as mv
from mechviz._layered import Unavailable
from mechviz.analysis import attribution
from mechviz.analysis.attribution import attributed
from mechviz.models import SiteMap, load
from mechviz.models.readout import readout
from mechviz.models.tape import Tape

TEXT = "When Mary and John went to the store, John gave a drink to"
SUMS = [name for name in ZOO if name not in ("openai", "mamba")]


@pytest.fixture(scope="module")
def demo():
    return mv.load()


def adds_up(found, eps: float) -> None:
    values = [term.value for term in found.terms()]
    # by construction; what was left over is itself a term, and has to be no more than the model's own rounding
    assert math.fsum(values) == pytest.approx(found.logit, abs=1e-12 * sum(map(abs, values)))
    assert abs(found.rounding) <= 64 * eps * sum(map(abs, values))


def test_a_head_an_mlp_and_the_embedding_of_gpt2_by_hand(demo):
    trace = demo.trace(TEXT)
    found = attribution(trace, " Mary", minus=" John")
    assert found.layers == (0, 1, 2) and found.heads.shape == (3, 4) and found.position == len(trace) - 1
    adds_up(found, torch.finfo(torch.float32).eps)
    mary, john = (demo.tokenizer(name)["input_ids"][-1] for name in (" Mary", " John"))
    assert (found.token, found.minus) == (mary, john)
    assert found.logit == pytest.approx(float(trace.logits[-1, mary] - trace.logits[-1, john]))

    # W_U[t] · γ ⊙ (c − mean(c)) / σ, with σ² = var(x) + ε of the last stream; in float64
    norm, head = demo.module.transformer.ln_f, demo.module.lm_head.weight.detach().double()
    x = trace.resid_post[2][-1].double()
    sigma = (x.var(unbiased=False) + norm.eps).sqrt()

    def written(c: torch.Tensor) -> float:
        c = c.detach().double()
        return float((head[mary] - head[john]) @ (norm.weight.detach().double() * (c - c.mean()) / sigma))

    for layer, number in ((2, 0), (1, 3)):
        project = demo.module.transformer.h[layer].attn.c_proj.weight.reshape(4, 32, 128)[number]
        by_hand = written(trace.z[layer][-1, number] @ project)
        assert found.heads[layer, number] == pytest.approx(by_hand, abs=1e-4)
    assert found.mlps[1] == pytest.approx(written(trace.mlp_out[1][-1]), abs=1e-4)
    assert found.attention[2] == pytest.approx(written(trace.attn_out[2][-1]), abs=1e-4)
    assert found.biases[2] == pytest.approx(written(demo.module.transformer.h[2].attn.c_proj.bias), abs=1e-4)
    assert found.embedding == pytest.approx(written(trace.resid_pre[0][-1]), abs=1e-4)
    assert found.rest == pytest.approx(float((head[mary] - head[john]) @ norm.bias.double()), abs=1e-4)
    # the name mover of mechviz/demo/model/README.md adds most
    assert found.heads[2, 0] == np.nanmax(found.heads)


def test_it_is_told_in_one_line(demo):
    found = attribution(demo.trace(TEXT), " Mary", minus=" John")
    assert found.top(2) == sorted(found.terms(), key=lambda term: -abs(term.value))[:2]
    assert repr(found).startswith(f"Attribution({found.logit:.2f} logits, token {found.token} less {found.minus} at")
    assert "largest: L2H0 +" in repr(found) and len(repr(found)) < 200


@pytest.mark.parametrize("edits", [(), (mv.ablate("L1H0"), mv.ablate("L0.mlp"))])
def test_a_layer_is_replayed_once_for_its_parts_and_its_pattern(demo, edits, monkeypatch):
    alone, trace = demo.trace(TEXT, edits=edits), demo.trace(TEXT, edits=edits)
    ran, run = [], Tape._run
    monkeypatch.setattr(
        Tape, "_run", lambda self, layer, *args, **kwargs: ran.append(layer) or run(self, layer, *args, **kwargs)
    )
    patterns = {}

    def read(layer: int) -> None:
        patterns[layer] = trace.attention[layer].dense()

    found = attributed(trace, " Mary", " John", -1, meanwhile=read)
    assert ran == [0, 1, 2]
    assert [*found.terms()] == [*attribution(alone, " Mary", minus=" John").terms()]
    for layer, pattern in patterns.items():
        assert torch.equal(pattern, alone.attention[layer].dense())
    ran.clear()
    assert trace.z[1].shape == (len(trace), 4, 32)
    assert ran == [1]  # nothing is held open any more


def test_as_a_plotly_figure(demo):
    pytest.importorskip("plotly")
    found = attribution(demo.trace(TEXT), " Mary", minus=" John")
    (bars,) = found.to_plotly(most=3).data
    largest = sorted(found.terms(), key=lambda term: -abs(term.value))[:3]
    assert list(bars.y[:3]) == [term.name for term in largest] and bars.y[3] == f"{len(found.terms()) - 3} other terms"
    assert list(bars.x[:3]) == [term.value for term in largest]
    assert sum(bars.x) == pytest.approx(found.logit)
    assert len(found.to_plotly(most=99).data[0].y) == len(found.terms())
    with pytest.raises(ValueError, match="most must be at least 1; got 0"):
        found.to_plotly(0)


def test_rms_norm_by_hand():
    model = load(build("llama"))
    trace = model.trace(ids())
    found = attribution(trace, 5, position=7)
    adds_up(found, torch.finfo(torch.float32).eps)
    norm = model.module.model.norm
    x = trace.resid_post[2][7].double()
    scale = norm.weight.double() / (x.pow(2).mean() + norm.variance_epsilon).sqrt()
    by_hand = model.module.lm_head.weight[5].double() @ (scale * trace.mlp_out[0][7].double())
    assert found.mlps[0] == pytest.approx(float(by_hand), abs=1e-5)
    assert found.frozen and found.rest == 0 and found.biases.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_terms_sum_to_the_logit(name, dtype):
    found = attribution(load(build(name, dtype=dtype)).trace(ids()), 5, minus=7)
    adds_up(found, torch.finfo(dtype).eps)
    whole = name in ("gemma2", "gemma3", "olmo2")  # a norm stands behind their heads
    assert np.isnan(found.heads).all() == whole and bool(found.missing) == whole
    assert not np.isnan(found.attention).any()


def test_a_soft_cap_is_frozen_too():
    trace = load(build("gemma2")).trace(ids())
    cap = trace.model.structure.unembedding.softcap
    found = attribution(trace, 5)
    # c · tanh(z / c) = factor · z
    z = cap * math.atanh(found.logit / cap)
    assert found.cap[0] == pytest.approx(found.logit / z, rel=1e-4) and found.cap[0] < 1


@pytest.mark.parametrize("name", ["induction_2l", "grokking_mod113"])
def test_published_models_without_a_norm(name):
    if name == "induction_2l":
        shape = {"layers": 2, "d_model": 48, "heads": 4, "d_head": 12, "d_mlp": 0, "vocab": 128, "context": 85}
        sites, text = SiteMap(blocks="layers", unembed="unembed", **ATTENTION), [3, 14, 15, 92, 65, 35, 89, 79] * 4
    else:
        shape = {"layers": 1, "d_model": 128, "heads": 4, "d_head": 32, "d_mlp": 512, "vocab": 114, "context": 3}
        sites, text = SiteMap(blocks="layers", unembed="unembed", **ATTENTION, **NEURONS), [5, 110, 113]
    module, _ = published(name, **shape)
    trace = load(module, sites=sites).trace(text)
    found = attribution(trace)
    adds_up(found, torch.finfo(torch.float32).eps)
    assert not found.frozen and found.rest == 0
    assert (
        found.token == int(trace.logits[-1].argmax()) == (3 if name == "induction_2l" else 2)
    )  # what followed 79 before; 5 + 110 mod 113
    unembed = module.unembed.W_U[:, found.token].double()
    assert found.heads[0, 1] == pytest.approx(float(trace.result(0)[-1, 1].double() @ unembed), abs=1e-4)


def test_edits_show_in_the_terms(demo):
    whole = attribution(demo.trace(TEXT), " Mary", minus=" John")
    trace = demo.trace(TEXT, edits=mv.ablate("L2H0"))
    found = attribution(trace, " Mary", minus=" John")
    adds_up(found, torch.finfo(torch.float32).eps)
    assert found.heads[2, 0] == 0 and found.logit < whole.logit - 5
    # what stands before it is the same but for the norm's scale, which is one number for all
    ratio = found.heads[:2] / whole.heads[:2]
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-3)

    added = torch.zeros(demo.module.config.n_embd)
    added[3] = 10.0
    steered = attribution(demo.trace(TEXT, edits=mv.steer("L1.resid_post", added)), " Mary", minus=" John")
    adds_up(steered, torch.finfo(torch.float32).eps)
    assert steered.edits != 0 and whole.edits == 0
    assert "edits of the stream" in [term.name for term in steered.terms()]


def test_neurons_sum_to_their_mlp_less_its_bias(demo):
    trace = demo.trace(TEXT)
    found = attribution(trace, " Mary", neurons=3 * 256)
    assert len(found.neurons) == 768
    sizes = [abs(term.value) for term in found.neurons]
    assert sizes == sorted(sizes, reverse=True)
    direction = readout(trace, (found.token,), found.position).direction
    for layer in range(3):
        total = math.fsum(term.value for term in found.neurons if term.site.layer == layer)
        bias = demo.module.transformer.h[layer].mlp.c_proj.bias.double()  # written by no neuron
        assert total + float(bias @ direction) == pytest.approx(found.mlps[layer], abs=1e-4)
    assert attribution(trace, " Mary", neurons=2).neurons == found.neurons[:2]
    assert attribution(load(build("gemma2")).trace(ids()), 5, neurons=4).neurons == ()  # a norm stands behind its MLPs


def test_what_it_refuses(demo):
    trace = demo.trace(TEXT)
    with pytest.raises(ValueError, match=r"token must be one token; ' Mary and' is 2: .*Mary"):
        attribution(trace, " Mary and")
    with pytest.raises(ValueError, match=r"minus must be an id 0 … 1159; got 1160"):
        attribution(trace, 5, minus=1160)
    with pytest.raises(TypeError, match=r"token must be a token's id, or its text; got a float"):
        attribution(trace, 1.5)
    with pytest.raises(ValueError, match=r"position must be -15 … 14 in a text of 15 tokens; got 15"):
        attribution(trace, position=15)
    with pytest.raises(ValueError, match="loaded without a tokenizer; give the token's id"):
        attribution(load(build("llama")).trace(ids()), " a")
    with pytest.raises(Unavailable, match="normalises the residual stream itself, so the last stream is no sum"):
        attribution(load(build("openai")).trace(ids()), 5)
