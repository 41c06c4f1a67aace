"""Encoders, encoders with decoders, vision and audio: every stack read on its own, cross-attention between them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import transformers
from zoo import OTHERS, VOCAB, build, build_other, ids, state

import mechviz as mv
from mechviz.models import load
from mechviz.pattern import Unavailable

PAIRS = ("t5", "bart", "whisper")


def traced(name):
    model, inputs = build_other(name)
    return model, inputs, load(model).trace(inputs)


def every_stack(trace):
    return trace.stacks.items()


@pytest.mark.parametrize("name", OTHERS)
def test_attention_of_every_stack_is_what_eager_reports(name):
    model, inputs, trace = traced(name)
    eager, _ = build_other(name, attn_implementation="eager")
    eager.load_state_dict(model.state_dict())
    with torch.no_grad():
        output = eager(**inputs, output_attentions=True)
    for stack, one in every_stack(trace):
        if name == "gemma3_seeing" and stack == "vision":
            continue  # not reported
        own = output.get(f"{stack}_attentions" if stack in ("encoder", "decoder") else "attentions")
        own = own or output[f"{stack}_model_output"].attentions
        assert len(own) == one.model.n_layers == len(one.attention)
        for layer, weights in enumerate(own):
            # T5 and CLIP have scores up to some hundreds here, and rounding of float32 with them
            torch.testing.assert_close(one.attention[layer].dense(), weights[0], atol=1e-5, rtol=0)
    if name in PAIRS:
        for layer, weights in enumerate(output.cross_attentions):
            torch.testing.assert_close(trace.cross_attention[layer].dense(), weights[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", OTHERS)
def test_streams_add_up_and_replays_are_exact(name):
    _, _, trace = traced(name)
    for _, one in every_stack(trace):
        for layer in range(
            one.model.n_layers
        ):  # reading any of these replays the block, bit for bit, and checks its sums
            total = one.attn_out[layer] + one.mlp_out[layer]
            total = total + one.cross_out[layer] if layer in one.cross_out.layers else total
            assert one.neurons[layer].shape == (len(one), 96)
            if one._plan(layer).kind == "sequential":
                torch.testing.assert_close(one.resid_post[layer], one.resid_pre[layer] + total, atol=1e-4, rtol=1e-5)
            else:
                assert one._plan(layer).kind == "post-norm"  # BERT, BART: a norm behind every sum


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_changes(name):
    model, inputs = build_other(name)
    outputs = []
    handle = model.register_forward_hook(lambda _, args, kwargs, out: outputs.append(out), with_kwargs=True)
    before, config = state(model), copy.deepcopy(model.config.to_dict())
    trace = load(model).trace(inputs)
    with torch.no_grad():
        bare = model(**inputs, use_cache=False) if name in PAIRS else model(**inputs)
    under = outputs[-2]  # the probe ran before it, the bare pass after
    for key, value in bare.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, under[key])
    for _, one in every_stack(trace):
        list(one.attention), list(one.resid_mid)
    assert state(model) == before and model.config.to_dict() == config
    handle.remove()


def test_each_side_has_its_tokens():
    trace = traced("t5")[2]
    assert list(trace.stacks) == ["encoder", "decoder"] and trace is trace.stacks["decoder"]
    assert trace.stacks["encoder"].tokens.ids == tuple(ids(24)) and trace.tokens.ids == tuple(ids(11, seed=1))
    assert trace.cross.key_tokens.ids == trace.stacks["encoder"].tokens.ids
    assert trace.tokens.provenance["model"] == "T5ForConditionalGeneration (decoder)"

    sound = traced("whisper")[2].stacks["encoder"].tokens
    assert sound.label[:2] == ("frame 0", "frame 1") and len(sound) == 30

    image = traced("vit")[2].tokens  # 32 x 32 pixels in patches of 8
    assert image.label == ("CLS", *(f"{row},{column}" for row in range(4) for column in range(4)))
    assert image.special == (True, *[False] * 16) and image.role[0] == "CLS"
    both = traced("clip")[2]
    assert set(both.stacks) == {"text", "vision"} and both is both.stacks["text"]
    assert len(both) == 12 and both.stacks["vision"].tokens.label == image.label


def test_sites_of_stacks():
    trace = traced("bart")[2]
    encoder = trace.stacks["encoder"]
    assert torch.equal(trace.at("encoder.L1H0"), encoder.z[1][:, 0])
    assert torch.equal(trace.at("decoder.L1H3"), trace.z[1][:, 3]) and torch.equal(trace.at("L1H3"), trace.z[1][:, 3])
    assert torch.equal(encoder.at("decoder.L0.resid_post"), trace.resid_post[0])
    with pytest.raises(Unavailable, match=r"vision.L0H0: .* has no stack 'vision'; it has encoder, decoder"):
        trace.at("vision.L0H0")


def test_cross_attention_reads_the_other_stack():
    trace = traced("bart")[2]
    pattern, cross = trace.cross_attention[0], trace.cross
    assert pattern.shape == (4, 11, 24) and not pattern.causal
    torch.testing.assert_close(pattern.dense().sum(-1), torch.ones(4, 11))
    assert cross.q[0].shape == (11, 4, 12) and cross.k[0].shape == (24, 4, 12)
    z = torch.einsum("hqk,khd->qhd", pattern.dense(), cross.v[0])
    torch.testing.assert_close(z, cross.z[0], atol=1e-5, rtol=0)
    with pytest.raises(Unavailable, match="it reads no other stack"):
        _ = trace.stacks["encoder"].cross_attention
    view = mv.attention(trace.tokens, trace.cross_attention, key_tokens=cross.key_tokens)
    assert view.selection.layers == [0]
    mv.attention(trace.stacks["encoder"].tokens, trace.stacks["encoder"].attention)


@pytest.mark.parametrize("name", PAIRS)
def test_the_decoder_predicts(name):
    model, inputs, trace = traced(name)
    with torch.no_grad():
        expected = model(**inputs).logits[0]
    torch.testing.assert_close(trace.logits, expected, atol=1e-5, rtol=0)
    given = inputs["decoder_input_ids"][0, 1:, None]
    loss = -expected.log_softmax(-1)[:-1].gather(1, given)[:, 0]
    torch.testing.assert_close(trace.loss[1:], loss, atol=1e-5, rtol=1e-5)
    with pytest.raises(Unavailable, match="no unembedding"):
        _ = trace.stacks["encoder"].logits


def test_a_masked_language_model_has_logits_but_no_loss():
    model, inputs, trace = traced("bert")
    with torch.no_grad():
        torch.testing.assert_close(trace.logits, model(**inputs).logits[0], atol=1e-5, rtol=0)
    with pytest.raises(Unavailable, match="reads from both sides"):
        _ = trace.loss
    plain = load(model).trace(ids(24))  # ids alone: the same model, the same numbers
    assert torch.equal(plain.attention[2].dense(), trace.attention[2].dense()) and plain.stacks == {}
    with pytest.raises(Unavailable, match="reads from both sides"):
        _ = plain.loss


def test_padding_of_named_inputs_is_a_rule_of_the_pattern():
    model = build("llama")
    mask = torch.tensor([[0] * 5 + [1] * 19])
    trace = load(model).trace({"input_ids": torch.tensor([ids(24)]), "attention_mask": mask})
    eager = build("llama", attn_implementation="eager")
    with torch.no_grad():
        own = eager(torch.tensor([ids(24)]), attention_mask=mask, output_attentions=True).attentions
    for layer in range(3):
        dense = trace.attention[layer].dense()
        torch.testing.assert_close(dense[:, 5:], own[layer][0, :, 5:], atol=1e-5, rtol=0)
        assert not dense[:, :5].any()  # rows of padding


def test_texts_and_arrays_as_inputs(make_tokenizer):
    model, inputs = build_other("bart")
    mv_model = load(model, make_tokenizer())
    trace = mv_model.trace("Mary gave")
    assert trace.stacks["encoder"].tokens.label == ("M", "a", "r", "y", "·", "g", "a", "v", "e")
    assert trace.tokens.ids == (2,)  # BART's decoder starts with its end token
    named = mv_model.trace({"input_ids": "Mary gave", "decoder_input_ids": [1, 7, 8]})
    assert len(named) == 3 and len(named.stacks["encoder"]) == 9
    assert [len(one.stacks["encoder"]) for one in mv_model.trace(["Mary", "gave it"])] == [4, 7]
    arrays = load(model).trace({name: np.asarray(x) for name, x in inputs.items()})
    assert torch.equal(arrays.logits, load(model).trace(inputs).logits)


def test_what_named_inputs_refuse():
    model, inputs = build_other("bart")
    mv_model = load(model)
    with pytest.raises(ValueError, match=r"takes input_ids, .*; got pixel_values"):
        mv_model.trace({"pixel_values": torch.zeros(1, 3, 8, 8)})
    with pytest.raises(ValueError, match=r"input_ids must be of one text or image, .*; got \(2, 24\)"):
        mv_model.trace({"input_ids": inputs["input_ids"].repeat(2, 1)})


def test_weights_that_moved_are_noticed_in_every_stack():
    model, _, trace = traced("t5")
    with torch.no_grad():
        model.encoder.block[1].layer[0].SelfAttention.q.weight.mul_(1.5)
    trace.stacks["encoder"].attention[0]
    with pytest.raises(RuntimeError, match="replaying layer 1 no longer gives"):
        trace.stacks["encoder"].attention[1]


def test_a_report_and_a_file_of_a_stack(tmp_path):
    trace = traced("t5")[2]
    text = str(trace.stacks["encoder"].report())
    assert "T5ForConditionalGeneration (encoder)" in text and "a bias, not causal" in text
    trace.stacks["encoder"].save(tmp_path / "encoder.mv", ("attention", "resid_post"))
    opened = mv.open(tmp_path / "encoder.mv")
    expected = trace.stacks["encoder"].attention[1].dense()
    np.testing.assert_allclose(np.asarray(opened.attention[1]), expected, atol=1e-6)


def test_a_stack_that_does_not_run_is_left_out():
    config = transformers.CLIPConfig(**build_other("clip")[0].config.to_dict())
    model = transformers.CLIPModel(config).eval()

    class TextOnly(type(model)):
        def forward(self, input_ids=None, **kwargs):
            return self.text_model(input_ids=input_ids)

    model.__class__ = TextOnly
    trace = load(model).trace({"input_ids": torch.randint(5, VOCAB, (1, 9))})
    assert list(trace.stacks) == ["text"]


def test_ids_that_a_pair_does_not_know():
    model, inputs = build_other("bart")
    for name in ("input_ids", "decoder_input_ids"):
        with pytest.raises(ValueError, match="ids must be between 0 and 96, the vocabulary of BartFor.*; got 97"):
            load(model).trace(inputs | {name: torch.tensor([[5, 97]])})


def test_a_language_model_that_also_sees():
    model, inputs, trace = traced("gemma3_seeing")
    assert set(trace.stacks) == {"vision", "language"} and trace is trace.stacks["language"]
    assert len(trace) == 10 and trace.stacks["vision"].tokens.label[:2] == ("0,0", "0,1")
    with torch.no_grad():
        torch.testing.assert_close(trace.logits, model(**inputs).logits[0], atol=1e-5, rtol=0)
    # the four image tokens see each other, also those behind them
    assert float(trace.attention[1].dense()[:, 3, 6].min()) > 0 and not trace.attention[1].dense()[:, 2, 3].any()
    alone = load(model).trace(ids())  # a text runs through the stack that reads, although it is the shorter one
    with torch.no_grad():
        torch.testing.assert_close(alone.logits, model(torch.tensor([ids()])).logits[0], atol=1e-5, rtol=0)
    assert len(alone.attention) == 2
