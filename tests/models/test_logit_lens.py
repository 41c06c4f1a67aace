"""The logit lens: values from plain formulas, and a last layer that gives the model's own logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import VOCAB, ZOO, build, ids

import mechviz as mv
from mechviz._layered import Unavailable
from mechviz.analysis import logit_lens
from mechviz.models import load
from mechviz.models.tape import WeightsMoved
from mechviz.views._predicted import layers_of

TEXT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module")
def demo():
    return mv.load()


@pytest.fixture(scope="module")
def trace(demo):
    return demo.trace(TEXT)


def test_layer_norm_and_unembedding_by_hand(demo, trace):
    found = logit_lens(trace)
    assert found.layers == (0, 1, 2) and found[0].shape == (len(trace), demo.module.config.vocab_size)
    norm, head = demo.module.transformer.ln_f, demo.module.lm_head.weight.detach().double()
    for layer in (0, 1):
        x = trace.resid_post[layer].double()  # [position, d_model]
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        by_hand = (norm.weight.double() * x + norm.bias.double()) @ head.T
        assert torch.allclose(found[layer][:].double(), by_hand, atol=1e-4)
    # as the model itself has it, bit by bit
    assert torch.equal(found[2][:], trace.logits)


def test_rms_norm_by_hand():
    model = load(build("llama"))
    trace = model.trace(ids())
    norm = model.module.model.norm
    x = trace.resid_post[1][4].double()
    x = norm.weight.double() * x / (x.pow(2).mean() + norm.variance_epsilon).sqrt()
    by_hand = model.module.lm_head.weight.double() @ x
    assert torch.allclose(logit_lens(trace)[1][4].double(), by_hand, atol=1e-5)


def test_a_soft_cap_is_the_models_own():
    model = load(build("gemma2"))
    trace = model.trace(ids())
    found, cap = logit_lens(trace)[0][:], 5.0  # of its configuration
    x = trace.resid_post[0].double()
    norm = model.module.model.norm
    x = x / (x.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * (1 + norm.weight.double())  # as Gemma has it
    plain = x @ model.module.lm_head.weight.double().T
    assert torch.allclose(found.double(), cap * torch.tanh(plain / cap), atol=1e-4)
    assert (plain - found).abs().max() > 0.5  # it does something


# mamba in bfloat16 casts what its unembedding is given: its residual stream is float32
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ZOO)
def test_the_last_layer_is_the_models_own(name, dtype):
    trace = load(build(name, dtype=dtype)).trace(ids())
    found = logit_lens(trace)
    assert found[-1].shape == (len(trace), VOCAB)
    assert torch.equal(found[-1][:], trace.logits)
    assert not torch.equal(found[0][:], trace.logits)


def test_what_an_index_gives(trace):
    one = logit_lens(trace)[1]
    whole = one[:]
    assert len(one) == len(trace) and one.ndim == 2 and str(one).startswith("LensLogits(15, 1160) of")
    assert torch.allclose(one[3], whole[3], atol=1e-5) and torch.allclose(one[-1], whole[-1], atol=1e-5)
    assert torch.allclose(one[2:5, [7, 0]], whole[2:5][:, [7, 0]], atol=1e-5)
    assert np.asarray(one).dtype == np.float32 and np.array_equal(np.asarray(one), whole.numpy())


def test_the_stream_before_and_in_the_middle(trace):
    before, middle, after = (logit_lens(trace, point) for point in ("pre", "mid", "post"))
    # what leaves a block enters the next
    assert torch.equal(before[1][:], after[0][:])
    assert torch.equal(middle[2].stream, trace.resid_mid[2])
    assert not torch.equal(middle[2][:], after[2][:])
    parallel = logit_lens(load(build("gptj")).trace(ids()), "mid")  # attention and MLP side by side
    assert parallel.layers == () and list(parallel.missing) == [0, 1, 2]


def test_a_tuned_lens_changes_the_stream_first(trace):
    turned = logit_lens(trace, translators={0: lambda x: -x})
    assert torch.equal(turned[0].stream, -trace.resid_post[0])
    assert torch.equal(turned[1][:], logit_lens(trace)[1][:])
    with pytest.raises(ValueError, match="translators must be of layers 0, 1, 2; got 7"):
        logit_lens(trace, translators={7: lambda x: x})


def test_what_is_edited_is_seen(demo, trace):
    without = logit_lens(demo.trace(TEXT, edits=mv.ablate("L1H3")))
    assert torch.equal(without[0][:], logit_lens(trace)[0][:])
    assert not torch.equal(without[1][:], logit_lens(trace)[1][:])


def test_the_view_takes_it_a_few_positions_at_a_time(demo):
    trace = demo.trace(" ".join([TEXT] * 8))  # more positions than are worked on at once
    found, asked = logit_lens(trace), []

    class Noting:
        ndim = 2

        def __init__(self, layer: int) -> None:
            self.of = found[layer]
            self.shape = self.of.shape

        def __getitem__(self, part):
            asked.append(part.stop - part.start)
            return self.of[part]

    noting = mv._layered.Layered({layer: lambda layer=layer: Noting(layer) for layer in (0, 2)}, name="lens")
    view = mv.lens(trace.tokens, noting, vocabulary=demo.tokenizer)
    assert len(trace) > 64 and max(asked) == 64
    assert view.flat()[1]["0"][1]["rows"]["axes"]["layers"].numbers().tolist() == [0, 2]
    _, numbers, (_, last) = layers_of(found, len(trace), [1])
    assert (numbers, last) == ([1], 2)
    with pytest.raises(ValueError, match="layers must be of those that logits has; got 5: there are 0, 1, 2"):
        mv.lens(trace.tokens, found, layers=[5])


def test_layers_that_are_shown_are_measured_against_the_last_one_all_the_same(demo):
    trace = demo.trace(TEXT)
    ((_, whole),) = mv.lens(trace.tokens, logit_lens(trace)).flat()[1].values()
    for layers in ([0, 1], [1, 0], [2, 0]):
        ((_, some),) = mv.lens(trace.tokens, logit_lens(trace), layers=layers).flat()[1].values()
        for name in ("kl", "rank", "target_probability"):
            np.testing.assert_array_equal(some[name].numbers(), whole[name].numbers()[layers])
        assert some["kl_to"] == whole["kl_to"] == "L2"


def test_what_is_refused(demo):
    with pytest.raises(ValueError, match="stream must be one of pre, mid, post; got 'final'"):
        logit_lens(demo.trace(TEXT), "final")
    moved = load(build("llama"))
    trace = moved.trace(ids())
    with torch.no_grad():
        moved.module.model.norm.weight += 1
    with pytest.raises(WeightsMoved):
        logit_lens(trace)
    with pytest.raises(Unavailable, match="has no unembedding"):
        logit_lens(load(build("llama").model).trace(ids()))
