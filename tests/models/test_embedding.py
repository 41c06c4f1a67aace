"""What enters the first block is taken apart into the rows of its tables, in every architecture that has such."""

from __future__ import annotations

import pytest
import torch
from test_site_map import ATTENTION, published
from zoo import OTHERS, ZOO, build, build_other, ids, state

from mechviz.models import SiteMap, ablate, load
from mechviz.models.embedding import embeddings
from mechviz.models.tape import WeightsMoved
from mechviz.pattern import Unavailable

POSITIONS = ("gpt2", "opt", "gpt_neo", "openai")  # the others have them in their attention


def table(module):
    return module.get_input_embeddings().weight.detach()[ids()]


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tables_add_up_to_the_stream(name, dtype):
    module = build(name, dtype=dtype)
    model, before = load(module), state(module)
    trace = model.trace(ids())
    found = embeddings(trace)
    total = trace.embed if found.position is None else trace.embed + trace.pos_embed
    assert (found.position is not None) == (name in POSITIONS) and state(module) == before
    if name == "bloom":  # a norm stands behind its table
        assert found.behind == ("transformer.word_embeddings_layernorm",)
        total = module.transformer.word_embeddings_layernorm(total)
    assert torch.equal(total, trace.resid_pre[0])
    # by hand: the row of each token, times sqrt(48) for Gemma (rounded as its dtype is) and 1 for the others
    factor = float(trace.embed[0, 0] / table(module)[0, 0])
    assert factor == pytest.approx(48**0.5 if name.startswith("gemma") else 1.0, rel=1e-2)
    torch.testing.assert_close(trace.embed, table(module) * factor, atol=1e-2, rtol=1e-2)
    if name not in POSITIONS:
        with pytest.raises(Unavailable, match="adds no table of positions to the residual stream"):
            trace.pos_embed  # noqa: B018


def test_positions_of_gpt2():
    module = build("gpt2")
    trace = load(module).trace(ids(9))
    assert torch.equal(trace.pos_embed, module.transformer.wpe.weight.detach()[:9])
    assert torch.equal(load(module).trace([7]).pos_embed, module.transformer.wpe.weight.detach()[:1])


@pytest.mark.parametrize("name", OTHERS)
def test_stacks_that_read_ids(name):
    module, inputs = build_other(name)
    trace = load(module).trace(inputs)
    for stack, one in trace.stacks.items():
        if one.tokens.ids is None or f"{name} {stack}" in ("whisper encoder", "gemma3_seeing language"):  # sound, image
            with pytest.raises(Unavailable, match="is no sum of rows of tables"):
                one.embed  # noqa: B018
            continue
        reader = module.text_model if name == "clip" else module
        found, weight = embeddings(one), reader.get_input_embeddings().weight.detach()
        torch.testing.assert_close(found.token, weight[list(one.tokens.ids)])
        assert bool(found.behind) == (name in ("bert", "roberta", "bart"))  # a norm
        assert (found.position is None) == (name == "t5")


def test_a_factor_of_the_models_own_is_found():
    config = build("granite").config
    config.embedding_multiplier = 12.0
    module = type(build("granite"))(config).eval()
    trace = load(module).trace(ids())
    torch.testing.assert_close(trace.embed, 12 * table(module))
    assert embeddings(trace).position is None


def test_edits_of_the_stream_come_behind_it():
    model = load(build("gpt2"))
    plain, edited = model.trace(ids()), model.trace(ids(), edits=[ablate("L0.resid_pre")])
    assert torch.equal(edited.embed, plain.embed) and not edited.resid_pre[0].any()


def test_in_a_batch_and_inside_a_context():
    model = load(build("gpt2"))
    _, short = model.traces([ids(9), ids(5)], progress=False)
    assert torch.equal(short.embed, model.trace(ids(5)).embed)
    with model.edited(ablate("L0.resid_pre")):
        assert torch.equal(short.embed, model.trace(ids(5)).embed)


def test_a_table_that_changed_is_refused():
    module = build("llama")
    trace = load(module).trace(ids())
    module.model.embed_tokens.weight.data[ids()[3]] *= 1.5
    with pytest.raises(WeightsMoved, match="the model's embeddings have changed"):
        trace.embed  # noqa: B018


@pytest.mark.parametrize("ids", [[3, 14, 15, 92], [7]])
def test_a_module_that_adds_positions_itself_is_no_table(ids):
    module, _ = published("induction_2l", layers=2, d_model=48, heads=4, d_head=12, d_mlp=0, vocab=128, context=85)
    trace = load(module, sites=SiteMap(blocks="layers", unembed="unembed", **ATTENTION)).trace(ids)
    with pytest.raises(Unavailable, match="is no sum of rows of tables"):
        trace.embed  # noqa: B018


def test_under_the_names_of_transformer_lens():
    cache = load(build("gpt2")).trace(ids()).as_transformer_lens()
    assert list(cache)[:3] == ["hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre"]
    assert torch.equal(cache["hook_embed"] + cache["hook_pos_embed"], cache["blocks.0.hook_resid_pre"])
    rotary = load(build("llama")).trace(ids()).as_transformer_lens()
    assert "hook_pos_embed" not in rotary
    with pytest.raises(KeyError, match="hook_pos_embed: LlamaForCausalLM adds no table of positions"):
        rotary["hook_pos_embed"]
