"""What a trace says about itself, and about memory before it runs."""

from __future__ import annotations

import pytest
import torch
from zoo import build, ids

from mechviz.models import ablate, load


def lines(name, **options):
    return dict(reversed([(key, text) for key, text in load(build(name)).trace(ids(), **options).report().lines]))


def test_a_report_of_a_trace():
    found = lines("mistral", edits=[ablate("L1H0")])
    assert found["model"].startswith("MistralForCausalLM, weights ") and found["model"].endswith("float32 on cpu")
    assert found["text"] == "24 tokens, without a beginning-of-sequence token" and found["edits"] == "L1H0 → zero"
    # 4 streams of 24 tokens, 48 numbers of 4 bytes, and the rotary angles that the blocks share
    assert found["kept"].startswith("2") and found["kept"].endswith("kB: the residual stream of 3 layers")
    assert found["attention"] == "layers 0-2: 4 heads, groups of 2 share a key head, window 8, causal"
    assert "differ from what heads read by at most" in found["check"] and "missing" not in found
    assert found["run"].startswith("sdpa attention, transformers 5.") and "captured" not in found


def test_a_report_says_what_was_kept_and_how_it_ran():
    model = load(build("gpt2"))
    made = model.trace(ids(), capture=["L0H1", 0, "q"], grad=True).report().lines
    captured = [text for name, text in made if name == "captured"]
    # q of 3 layers; of layer 0 everything else, too; a head of 12 numbers
    assert captured[0].endswith(
        ": attention of layer 0, q of layers 0-2, k of layer 0, v of layer 0, z of layer 0, attn_out of layer 0, "
        "mlp_out of layer 0, resid_mid of layer 0, neurons of layer 0, L0H1"
    )
    assert captured[1] == "what gradients need: a metric costs one backward pass"
    _, short = model.traces([ids(9), ids(5)], progress=False)
    lines = dict(short.report().lines)
    assert lines["text"].startswith("5 tokens") and lines["run"].endswith(", in a batch of 2 texts padded to 9 tokens")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gpt_oss", "neurons, gate, up of layers 0-2: its MLP routes each token to experts"),
        ("gptj", "q, k of layers 0-2: it computes its attention itself"),
        ("gpt_neox", "resid_mid of layers 0-2: attention and MLP of this block run in parallel"),
        ("mamba", "attention, q, k, v, z of layers 0-2: no softmax over the tokens"),
    ],
)
def test_a_report_says_why_something_is_missing(name, part):
    trace = load(build(name)).trace(ids())
    text = str(trace.report())
    assert part in text
    assert f'<td style="text-align:left">{part}' in trace._repr_html_()
    if name == "gpt_oss":
        assert "layers 0, 2: 4 heads, groups of 2 share a key head, window 8, a sink per head" in text


def test_an_estimate_is_what_a_trace_keeps():
    for name in ("gpt2", "llama"):
        model = load(build(name))
        expected = model.estimate(24)
        assert expected.tape == 4 * 24 * 48 * 4
        assert expected.tape <= model.trace(ids())._tape.n_bytes <= 1.5 * expected.tape
        assert expected.pattern == 4 * 24 * 24 * 4 and expected.logits == 24 * 97 * 4
    assert str(expected).startswith("a trace of 24 tokens keeps 18.4 kB; ")
    with pytest.raises(ValueError, match="n_tokens must be >= 1; got 0"):
        model.estimate(0)


def test_a_trace_over_the_budget_does_not_run(monkeypatch):
    module = build("llama")
    model = load(module)
    monkeypatch.setattr(module, "forward", None)
    with pytest.raises(MemoryError, match=r"limit is 9 kB \(budget=\). Trace at most 11 tokens"):
        model.trace(ids(), budget=9000)
    monkeypatch.setattr("mechviz.models.budget.free_memory", lambda device: 40_000)
    with pytest.raises(MemoryError, match="a quarter of the 40 kB that are free on cpu"):
        model.trace(ids())


def test_half_precision_halves_it():
    assert load(build("llama", dtype=torch.bfloat16)).estimate(24).tape == 4 * 24 * 48 * 2
