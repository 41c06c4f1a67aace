"""Answers are the model's own, and traced together with their prompt."""

from __future__ import annotations

import torch
from test_untouched import state
from zoo import build, ids

from mechviz.models import ablate, load


def test_generation_then_one_trace():
    module = build("llama")
    before = state(module)
    trace = load(module).generate(ids(), 5, do_sample=False)
    expected = module.generate(torch.tensor([ids()]), max_new_tokens=5, do_sample=False)[0].tolist()
    assert list(trace.tokens.ids) == expected and expected[:24] == ids()
    assert trace.tokens.provenance["prompt_tokens"] == 24 and len(trace.loss) == len(expected)
    # greedy: each token of the answer is the likeliest after what stands before it
    assert trace.logits[23:-1].argmax(-1).tolist() == expected[24:]
    assert state(module) == before


def test_generation_under_edits():
    model = load(build("llama"))
    edits = [ablate("L0.mlp"), ablate("L1H2")]
    trace = model.generate(ids(), 6, edits=edits, do_sample=False)
    assert trace.tokens.provenance["edits"] == ["L0.mlp → zero", "L1H2 → zero"]
    assert trace.logits[23:-1].argmax(-1).tolist() == list(trace.tokens.ids[24:])
    assert trace.tokens.ids != model.generate(ids(), 6, do_sample=False).tokens.ids


def test_a_prompt_keeps_its_beginning(make_tokenizer):
    trace = load(build("gpt2"), make_tokenizer()).generate("Hello", 3, bos=True, do_sample=False)
    assert trace.tokens.ids[:2] != (1, 1) and trace.tokens.ids[0] == 1
    assert trace.tokens.provenance["prompt_tokens"] == 6 and trace.tokens.provenance["bos"]
