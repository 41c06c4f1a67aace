from __future__ import annotations

import contextvars
import dataclasses
import threading

import pytest
import torch
import transformers
from transformers.modeling_utils import AttentionInterface
from zoo import build, build_other, ids

from mechviz.models.capture import Recorder, StopForward, install, listen
from mechviz.models.factored import pattern_of
from mechviz.pattern import Unavailable


def run(model, **inputs):
    with torch.no_grad():
        return model(use_cache=False, **inputs)


def captured(name, mask=None, tokens=None, **options):
    """A model's attention calls, and the patterns that its eager twin reports."""
    model = build(name, **options)
    tokens = torch.tensor([ids()]) if tokens is None else tokens
    recorder = Recorder()
    with listen(recorder):
        run(model, input_ids=tokens, attention_mask=mask)
    eager = build(name, attn_implementation="eager")
    eager.load_state_dict(model.state_dict())
    return recorder.calls, run(eager, input_ids=tokens, attention_mask=mask, output_attentions=True).attentions


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_left_padding_beside_a_longer_text(name, implementation):
    # text 1 of the batch starts with 9 padding tokens
    tokens = torch.tensor([ids(24, seed=0), [0] * 9 + ids(15, seed=1)])
    mask = torch.ones_like(tokens)
    mask[1, :9] = 0
    calls, eager = captured(name, mask, tokens, attn_implementation=implementation)
    for call, expected in zip(calls, eager, strict=True):
        whole, padded = pattern_of(call, batch=0), pattern_of(call, batch=1)
        torch.testing.assert_close(whole.dense(), expected[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(padded.dense()[:, 9:], expected[1][:, 9:], atol=1e-5, rtol=0)
        assert not padded.dense()[:, :9].any()  # a row of padding has no allowed key: 0, not the uniform row of eager
        # masks are kept as rules, not as matrices
        assert padded.causal and padded.window == whole.window == (8 if name == "mistral" else None)
        assert padded.mask.shape == (1, 1, 24) and whole.mask is None


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_padding_of_an_encoder_is_kept_as_a_rule(implementation):
    model, inputs = build_other("bert", attn_implementation=implementation)
    eager, _ = build_other("bert", attn_implementation="eager")
    mask = torch.tensor([[1] * 17 + [0] * 7])
    recorder = Recorder()
    with torch.no_grad(), listen(recorder):
        model(**inputs, attention_mask=mask)
        expected = eager(**inputs, attention_mask=mask, output_attentions=True).attentions
    for call, weights in zip(recorder.calls[:3], expected, strict=True):
        pattern = pattern_of(call)
        torch.testing.assert_close(pattern.dense(), weights[0], atol=1e-5, rtol=0)
        assert not pattern.causal and pattern.mask.shape == (1, 1, 24)  # not a matrix


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_half_precision_is_recomputed_in_float32(dtype, tolerance):
    model = build("llama", dtype=dtype)
    recorder = Recorder()
    with listen(recorder):
        run(model, input_ids=torch.tensor([ids()]))
    for call in recorder.calls:
        dense = pattern_of(call).dense()
        assert dense.dtype == torch.float32
        q, k = call.queries[0].double(), call.keys[0].double().repeat_interleave(2, 0)
        scores = (q @ k.mT * call.scale).masked_fill(torch.ones(24, 24).triu(1).bool(), -torch.inf)
        torch.testing.assert_close(dense.double(), scores.softmax(-1), atol=1e-6, rtol=0)
        torch.testing.assert_close(dense.sum(-1), torch.ones(4, 24), atol=1e-6, rtol=0)
        z = (dense @ call.values[0].float().repeat_interleave(2, 0)).transpose(0, 1)
        assert (z - call.z[0].float()).abs().max() <= tolerance * call.values.float().abs().max()


def flash_reference(query, key, value, mask, *, is_causal, softmax_scale, sliding_window, softcap, s_aux, **_):
    """What the flash-attention kernel computes, for machines without one: ``[batch, position, head, dim]`` in and out."""
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    s = q @ k.mT * softmax_scale
    s = s if softcap is None else torch.tanh(s / softcap) * softcap
    i, j = torch.arange(q.shape[2])[:, None], torch.arange(k.shape[2])[None]
    hidden = (j > i) if is_causal else torch.zeros(len(i), j.shape[1], dtype=torch.bool)
    if sliding_window is not None:
        hidden = hidden | (j < i - (sliding_window - 1))
    s = s.masked_fill(hidden, -torch.inf)
    if mask is not None:
        s = s.masked_fill(~mask[:, None, None].bool(), -torch.inf)
    if s_aux is not None:
        s = torch.cat([s, s_aux.view(1, -1, 1, 1).expand(*s.shape[:3], 1)], -1)
    return (s.softmax(-1)[..., : k.shape[2]] @ v).transpose(1, 2)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "gpt_oss", "deepseek_v3"])
def test_flash_attention_as_transformers_calls_it(name, padded, monkeypatch):
    monkeypatch.setattr("transformers.integrations.flash_attention._flash_attention_forward", flash_reference)
    tokens = torch.tensor([ids(24, seed=0), ids(24, seed=1)])
    mask = torch.ones_like(tokens)
    mask[1, 24 - 5 * padded :] = 0  # padding on the right
    model, eager = build(name), build(name, attn_implementation="eager")
    for module in model.modules():
        if hasattr(module, "config"):
            module.config._attn_implementation_internal = "flash_attention_2"
    recorder = Recorder()
    with listen(recorder):
        run(model, input_ids=tokens, attention_mask=mask)
    expected = run(eager, input_ids=tokens, attention_mask=mask, output_attentions=True).attentions
    for call, one in zip(recorder.calls, expected, strict=True):
        assert call.causal and (call.mask is not None) == padded
        for batch, length in ((0, 24), (1, 24 - 5 * padded)):
            dense = pattern_of(call, batch).dense()[:, :length]
            torch.testing.assert_close(dense, one[batch][:, :length], atol=1e-5, rtol=0)


def wrong(call, **changes):
    return dataclasses.replace(call, **changes)


def test_the_row_check_catches_what_the_formula_does_not_know():
    call = captured("mistral")[0][0]
    pattern_of(call)
    for changes in (
        {"scale": call.scale * 1.01},
        {"softcap": 5.0},
        {"sinks": torch.full((4,), -2.0)},
        {"bias": 0.05 * torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(0))},
        {"values": call.values + 0.01},
        {"keys": call.keys.flip(1)},
    ):
        with pytest.raises(Unavailable, match="differs from what the model's head read by"):
            pattern_of(wrong(call, **changes))


def test_a_window_that_is_one_too_wide_is_caught():
    call = captured("mistral")[0][0]
    i, j = torch.arange(24)[:, None], torch.arange(24)[None]
    for window in (7, 9):
        mask = ((j <= i) & (j > i - window))[None, None]
        with pytest.raises(Unavailable, match="row"):
            pattern_of(wrong(call, mask=mask))


def test_attention_dropout_is_refused():
    call = captured("llama")[0][0]
    with pytest.raises(Unavailable, match=r"attention dropout \(0.1\) was active"):
        pattern_of(wrong(call, dropout=0.1))


def test_arguments_may_come_by_keyword():
    # afmoe and doge call the function so
    seen = {}

    def attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
        seen.update(kwargs)
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=scaling).transpose(1, 2), None

    q = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    recorder = Recorder()
    out = recorder(attend, torch.nn.Identity(), query=q, key=q + 1, value=q, attention_mask=None, scaling=0.3, extra=7)
    assert out[0].shape == (1, 5, 2, 4) and seen == {"extra": 7}
    (call,) = recorder.calls
    assert call.queries.data_ptr() == q.data_ptr() and call.scale == 0.3 and call.mask is None


def test_static_cache_prefill():
    model = build("llama")
    cache = transformers.StaticCache(config=model.config, max_cache_len=32)
    recorder = Recorder()
    with torch.no_grad(), listen(recorder):
        model(torch.tensor([ids()]), past_key_values=cache, use_cache=True)
    for call in recorder.calls:  # keys come with room for 32 tokens, and the rest is cut or masked
        pattern = pattern_of(call)
        assert pattern.shape[:2] == (4, 24) and not pattern.dense()[..., 24:].any()
        torch.testing.assert_close(pattern.dense()[..., :24].sum(-1), torch.ones(4, 24))


def test_generation_is_heard_step_by_step():
    recorder = Recorder()
    with listen(recorder):
        build("llama").generate(torch.tensor([ids()]), max_new_tokens=3, do_sample=False)
    shapes = [pattern_of(call).shape[1:] for call in recorder.calls]
    assert shapes == [(24, 24)] * 3 + [(1, 25)] * 3 + [(1, 26)] * 3


def test_stopping_early_leaves_nothing_behind():
    model = build("llama")
    expected = run(model, input_ids=torch.tensor([ids()])).logits
    recorder = Recorder(stop_after=2)
    with pytest.raises(StopForward), listen(recorder):
        run(model, input_ids=torch.tensor([ids()]))
    assert len(recorder.calls) == 2
    assert torch.equal(run(model, input_ids=torch.tensor([ids()])).logits, expected)
    assert len(recorder.calls) == 2  # nobody listens any more


def test_each_thread_hears_its_own():
    model = build("llama")
    tokens = torch.tensor([ids()])
    recorders = [Recorder() for _ in range(4)]
    start = threading.Barrier(4)

    def work(recorder, listening):
        start.wait()
        if listening:
            with listen(recorder):
                run(model, input_ids=tokens)
        else:
            run(model, input_ids=tokens)

    threads = [threading.Thread(target=work, args=(r, i % 2 == 0)) for i, r in enumerate(recorders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(r.calls) for r in recorders] == [3, 0, 3, 0]


def test_a_new_thread_hears_nothing_unless_it_is_given_the_context():
    model = build("llama")
    tokens = torch.tensor([ids()])
    for copied, calls in ((False, 0), (True, 3)):
        recorder = Recorder()
        with listen(recorder):
            work = contextvars.copy_context().run if copied else lambda f, **kw: f(**kw)
            thread = threading.Thread(target=work, args=(lambda **kw: run(model, **kw),), kwargs={"input_ids": tokens})
            thread.start()
            thread.join()
        assert len(recorder.calls) == calls


def test_the_wrap_is_installed_once_and_finds_what_it_wraps_finds():
    install()
    wrapped = AttentionInterface.get_interface
    install()
    assert AttentionInterface.get_interface is wrapped
    lookup = wrapped.__wrapped__
    table = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS

    for name in ("sdpa", "eager"):
        assert wrapped(table, name, None) is lookup(table, name, None)  # while nobody listens


def test_the_wrap_does_not_break_the_graph_of_a_compiled_model():
    model = build("llama")
    tokens = torch.tensor([ids()])
    expected = run(model, input_ids=tokens).logits
    install()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(run(compiled, input_ids=tokens).logits, expected)
