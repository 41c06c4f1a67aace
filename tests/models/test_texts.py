"""Many texts: run in batches, padded where nobody sees it, each read like a trace of its own."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
import transformers as T
from test_untouched import state
from zoo import build, ids

from mechviz.analysis import attribution
from mechviz.models import WeightsMoved, ablate, load
from mechviz.models.many import _groups

ENCODER = {
    **{"vocab_size": 97, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4},
    **{"max_position_embeddings": 64, "pad_token_id": 0},
}
LENGTHS = (9, 24, 5, 17)
READINGS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "q", "k", "v", "z", "neurons", "gate", "up")
TEXTS = [ids(length, seed=length) for length in LENGTHS]


def assert_same(a, b, *, worst=1e-5):
    """Every reading of two traces, to ``worst`` of its largest entry."""
    assert a.tokens == b.tokens
    for name in READINGS:
        assert getattr(a, name).layers == getattr(b, name).layers
        for layer in getattr(b, name).layers:
            mine, theirs = getattr(a, name)[layer], getattr(b, name)[layer]
            assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
            assert (mine - theirs).abs().max() <= worst * theirs.abs().max(), (name, layer)
    torch.testing.assert_close(a.loss, b.loss, atol=1e-4, rtol=0, equal_nan=True)
    torch.testing.assert_close(a.logits, b.logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "mistral", "gemma2", "gpt_oss", "deepseek_v3", "opt", "mixtral", "mamba"]
)
def test_a_text_in_a_batch_reads_as_alone(name):
    model = load(build(name))
    before = state(model.module)
    traces = list(model.traces(TEXTS, batch_size=4))
    assert [len(trace) for trace in traces] == list(LENGTHS)
    for trace, text in zip(traces, TEXTS, strict=True):
        alone = model.trace(text)
        assert_same(trace, alone)
        assert trace.tokens.provenance["batch"] == [4, 24] and "batch" not in alone.tokens.provenance
        if name != "mamba":
            for layer in alone.attention.layers:
                mine, theirs = trace.attention[layer], alone.attention[layer]
                assert (mine.shape, mine.causal, mine.window) == (theirs.shape, theirs.causal, theirs.window)
                torch.testing.assert_close(mine.dense(), theirs.dense(), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(
                trace.result(1), alone.result(1), atol=1e-4, rtol=1e-4
            ) if name == "llama" else None
    assert state(model.module) == before


@pytest.mark.parametrize("kind", [T.BertForMaskedLM, T.DistilBertModel, T.ModernBertForMaskedLM])
def test_texts_that_are_read_from_both_sides(kind):
    config = kind.config_class(
        **{**ENCODER, "dim": 48, "n_heads": 4, "n_layers": 3, "hidden_dim": 96}
        if kind is T.DistilBertModel
        else ENCODER
    )
    torch.manual_seed(0)
    model = load(kind(config).eval())
    for trace, text in zip(model.traces(TEXTS), TEXTS, strict=True):
        alone = model.trace(text)
        assert trace.tokens.provenance["batch"] == [4, 24]
        for layer in range(3):
            torch.testing.assert_close(trace.resid_post[layer], alone.resid_post[layer], atol=1e-5, rtol=1e-4)
            mine, theirs = trace.attention[layer], alone.attention[layer]
            torch.testing.assert_close(mine.dense(), theirs.dense(), atol=1e-5, rtol=1e-4)
            assert not mine.causal


def test_an_encoder_with_a_decoder_gets_one_text_at_a_time():
    config = T.T5Config(vocab_size=97, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
    torch.manual_seed(0)
    model = load(T.T5ForConditionalGeneration(config).eval())
    traces = list(model.traces(TEXTS[:2]))
    assert [len(trace.stacks["encoder"]) for trace in traces] == [9, 24]
    answered = model.generate(TEXTS[0], 4, do_sample=False)
    assert answered.tokens.prompt == 1 and len(answered.stacks["encoder"]) == 9
    assert answered.logits[:-1].argmax(-1).tolist() == list(answered.tokens.ids[1:])


def test_a_batch_of_one_is_the_trace_bit_for_bit():
    model = load(build("llama"))
    for trace, text in zip(model.traces(TEXTS, batch_size=1), TEXTS, strict=True):
        alone = model.trace(text)
        assert all(torch.equal(trace.resid_post[layer], alone.resid_post[layer]) for layer in range(3))
        assert torch.equal(trace.logits, alone.logits)


def test_half_precision():
    model = load(build("llama", dtype=torch.bfloat16))
    for trace, text in zip(model.traces(TEXTS), TEXTS, strict=True):
        assert "batch" in trace.tokens.provenance
        error = (trace.resid_post[2] - model.trace(text).resid_post[2]).abs().max()
        assert error <= 0.02 * trace.resid_post[2].abs().max()  # a few units of 2^-8


@pytest.mark.parametrize("step", [1e-2, 1e-6])
def test_a_text_of_a_batch_is_never_stale(step):
    model = load(build("llama"))
    first, second = model.traces(TEXTS[:2])
    assert first.neurons[1].shape == (9, 96) and first.attention[1].shape == (4, 9, 9)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.data.mul_(1 + step)
    with pytest.raises(WeightsMoved, match="replaying layer 2 no longer gives what the forward pass gave"):
        second.neurons[2]
    with pytest.raises(WeightsMoved, match="replaying layer 2"):
        second.attention[2]
    with pytest.raises(WeightsMoved):
        second.logits  # noqa: B018
    # what was opened before is of the weights of the pass, for both texts
    assert second.neurons[1].shape == (24, 96)


def test_a_list_of_texts_gives_a_list_of_traces(make_tokenizer):
    model = load(build("gpt2"), make_tokenizer(bos=True))
    traces = model.trace(["Hello", "A longer text", ""])
    assert list(traces[0].tokens) == ["<s>", "H", "e", "l", "l", "o"]
    assert ["".join(trace.tokens.text) for trace in traces] == ["<s>Hello", "<s>A longer text", "<s>"]
    assert all(trace.tokens.provenance["bos"] for trace in traces)
    assert model.trace(["Hello"], bos=False)[0].tokens.ids == model.trace("Hello", bos=False).tokens.ids
    with pytest.raises(MemoryError, match="the limit is 100 bytes"):
        model.trace(["Hello", "there"], budget=100)


def test_what_a_text_of_a_batch_writes_to_a_logit_is_what_it_writes_alone():
    model = load(build("gpt2"))
    batched = list(model.traces(TEXTS))[1]
    assert "batch" in batched.tokens.provenance
    np.testing.assert_allclose(attribution(batched, 3).heads, attribution(model.trace(TEXTS[1]), 3).heads, atol=1e-4)


def test_padding_that_would_show_is_found():
    module = build("gpt2")
    # an average over all positions, padding and all
    module.transformer.h[1].register_forward_hook(lambda m, args, out: out + out.mean(1, keepdim=True))
    model = load(module)
    for trace, text in zip(model.traces(TEXTS), TEXTS, strict=True):
        assert (
            torch.equal(trace.resid_post[2], model.trace(text).resid_post[2]) and "batch" not in trace.tokens.provenance
        )
    assert "the residual stream before layer 2 differs by" in model._alone


def test_texts_that_reach_into_each_other_are_found():
    module = build("gpt2")
    module.transformer.h[1].register_forward_hook(lambda m, args, out: out + out.mean(0, keepdim=True))
    model = load(module)
    texts = [ids(12, seed=seed) for seed in range(3)]  # no padding
    assert not any("batch" in trace.tokens.provenance for trace in model.traces(texts))


def test_texts_of_one_length_need_no_padding():
    model = load(build("gpt2"))
    traces = list(model.traces([ids(12, seed=seed) for seed in range(3)]))
    assert [trace.tokens.provenance["batch"] for trace in traces] == [[3, 12]] * 3 and model._compared == {False}
    assert_same(traces[1], model.trace(ids(12, seed=1)))


def test_models_without_dispatch_run_one_at_a_time():
    model = load(build("bloom"))
    for trace, text in zip(model.traces(TEXTS), TEXTS, strict=True):
        assert torch.equal(trace.attention[1].dense(), model.trace(text).attention[1].dense())
        assert "batch" not in trace.tokens.provenance


def test_edits_are_made_in_each_text_alone():
    model = load(build("llama"))
    edit = ablate("L1H2")
    for trace, text in zip(model.traces(TEXTS, edits=edit), TEXTS, strict=True):
        assert torch.equal(trace.logits, model.trace(text, edits=edit).logits)
        assert trace.tokens.provenance["edits"] == ["L1H2 → zero"]


def test_what_is_captured_needs_no_replay(monkeypatch):
    model = load(build("llama"))
    traces = list(model.traces(TEXTS, capture=["neurons", "attention", "L1H2"]))
    expected = [(model.trace(text).neurons[2], model.trace(text).at("L1H2")) for text in TEXTS]
    monkeypatch.setattr("mechviz.models.tape.Tape._run", lambda *args, **kwargs: pytest.fail("a replay"))
    for trace, (neurons, z) in zip(traces, expected, strict=True):
        torch.testing.assert_close(trace.neurons[2], neurons, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(trace.at("L1H2"), z, atol=1e-4, rtol=1e-4)
        assert trace.attention[0].shape == (4, len(trace), len(trace))


def test_a_stream_keeps_its_order_and_frees_what_was_used():
    model, seen = load(build("gpt2")), []
    texts = [ids(5 + (i * 7) % 20, seed=i) for i in range(64)]
    for text, trace in zip(texts, model.traces(texts, batch_size=4), strict=True):
        assert list(trace.tokens.ids) == text
        seen.append(weakref.ref(trace))
        assert sum(ref() is not None for ref in seen) <= 2  # this one, and the one before while zip holds it
    del trace
    gc.collect()
    assert not any(ref() for ref in seen)


def test_reading_ahead_is_bounded_by_the_budget():
    model, taken = load(build("gpt2")), []

    def texts():
        for i in range(40):
            taken.append(i)
            yield ids(10, seed=i)

    budget = 10 * 10 * model.estimate(10).total // 10  # ten texts of ten tokens
    next(iter(model.traces(texts(), budget=budget)))
    assert len(taken) <= 11


def test_batches_are_of_neighbours_in_length():
    # sorted: 2 3 4 9 9 -> two batches of at most three
    assert _groups([9, 2, 4, 9, 3], 3, None) == [[1, 4, 2], [0, 3]]
    # 4,096 tokens with padding: 2 × 2,000 fit, a third does not
    assert _groups([2000, 2000, 2000], 8, 4096) == [[0, 1], [2]]
    assert [len(group) for group in _groups([4] * 40, 32, 4096)] == [32, 8]


def test_a_bar_for_what_takes_long(capsys, monkeypatch):
    model = load(build("gpt2"))
    list(model.traces(TEXTS))
    assert capsys.readouterr().err == ""  # not for less than a second
    monkeypatch.setattr("mechviz.models.many.DELAY", 0.0)
    list(model.traces(TEXTS))
    assert "4/4" in capsys.readouterr().err
    list(model.traces(TEXTS, progress=False))
    assert capsys.readouterr().err == ""


def test_what_cannot_be_traced():
    model = load(build("gpt2"))
    with pytest.raises(ValueError, match="batch_size must be >= 1; got 0"):
        list(model.traces(TEXTS, batch_size=0))
    with pytest.raises(ValueError, match="the text holds no tokens"):
        list(model.traces([[]]))
    with pytest.raises(ValueError, match="the vocabulary of .*; got 97"):
        list(model.traces([[3, 4], [97]]))
    with pytest.raises(ValueError, match="capture"):
        list(model.traces(TEXTS, capture="no such thing"))
    assert list(model.traces([])) == []
