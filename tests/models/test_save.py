"""A saved trace opens where there is no torch and no model, and shows what it showed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
import torch
from zoo import build, ids

import mechviz as mv
from mechviz import trace_file
from mechviz.arrays import to_numpy
from mechviz.models import ablate, load
from mechviz.pattern import Unavailable

EVERYTHING = ("attention", *trace_file.LAYERED, *trace_file.WHOLE)


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma2", "gptj", "mamba", "deepseek_v3"])
def test_what_was_saved_reads_as_it_did(name, tmp_path, capsys):
    trace = load(build(name)).trace(ids(), edits=[ablate("L1.attn")])
    trace.save(tmp_path / "trace.mv", EVERYTHING)
    assert "kB (attention " in capsys.readouterr().out
    opened = mv.open(tmp_path / "trace.mv")
    assert opened.tokens == trace.tokens and opened.tokens.provenance["edits"] == ["L1.attn → zero"]
    assert np.array_equal(opened.logits, trace.logits.numpy())
    assert np.array_equal(opened.loss, trace.loss.numpy(), equal_nan=True)
    assert opened.loss.quantity == trace.loss.quantity
    for kind in trace_file.LAYERED:
        assert getattr(opened, kind).layers == getattr(trace, kind).layers
        for layer in getattr(opened, kind).layers:
            assert np.array_equal(getattr(opened, kind)[layer], getattr(trace, kind)[layer].numpy())
        assert getattr(opened, kind).missing == getattr(trace, kind).missing
    if name == "mamba":
        with pytest.raises(Unavailable, match="MambaForCausalLM has no attention to show: no softmax over the tokens"):
            opened.attention[0]
        return
    for layer in range(3):
        mine, theirs = opened.pattern[layer], trace.pattern[layer]
        assert (mine.shape, mine.causal) == (theirs.shape, theirs.causal)
        np.testing.assert_allclose(mine.dense(), theirs.dense().numpy(), atol=1e-6)


def test_half_precision_is_kept_to_the_bit(tmp_path, capsys):
    trace = load(build("llama", dtype=torch.bfloat16)).trace(ids())
    trace.save(tmp_path / "t.mv", ["resid_post", "attention"], layers=[1])
    opened = mv.open(tmp_path / "t.mv")
    assert np.array_equal(opened.resid_post[1], to_numpy(trace.resid_post[1], name="x"))
    assert opened.attention.layers == (1,)
    np.testing.assert_allclose(opened.attention[1].dense(), trace.attention[1].dense().numpy(), atol=1e-6)
    with pytest.raises(
        Unavailable, match="layer 0 has no resid_post: it was not saved; the file holds resid_post, att"
    ):
        opened.resid_post[0]
    with pytest.raises(Unavailable, match="logits was not saved"):
        opened.logits  # noqa: B018
    with pytest.raises(AttributeError, match="no 'grad': that needs the model"):
        opened.grad  # noqa: B018


def test_it_opens_without_torch_and_feeds_views(tmp_path, capsys):
    trace = load(build("llama")).trace(ids())
    trace.save(tmp_path / "t.mv")
    code = """
        import sys
        for name in ("torch", "transformers", "safetensors"):
            sys.modules[name] = None  # as if it were not installed
        import mechviz as mv
        trace = mv.open(sys.argv[1])
        assert len(trace) == 24, trace
        views = [mv.attention(trace.tokens, trace.attention), mv.tokens(trace.tokens, trace.loss)]
        print(len(views), trace.resid_post[2].shape)
    """
    run = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "t.mv")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "2 (24, 48)"


def test_files_that_are_no_trace_of_ours(tmp_path, capsys):
    path = tmp_path / "t.mv"
    load(build("llama")).trace(ids()).save(path, ["loss"])
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(file.read("trace.json"))

    def rewritten(text, *, arrays=True):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("trace.json", text)
            if arrays:
                file.writestr("loss.npy", b"")

    rewritten(json.dumps(manifest | {"version": 99, "mechviz": "9.0"}))
    with pytest.raises(ValueError, match=r"t.mv has trace format 99, written by mechviz 9.0; .* upgrade mechviz"):
        mv.open(path)
    rewritten(json.dumps({"format": "other"}))
    with pytest.raises(ValueError, match="mechviz did not write as a trace"):
        mv.open(path)
    rewritten(json.dumps(manifest), arrays=False)
    with pytest.raises(ValueError, match=r"damaged: it lacks loss.npy"):
        mv.open(path)
    rewritten(json.dumps({k: v for k, v in manifest.items() if k != "tokens"}))
    with pytest.raises(ValueError, match="damaged: KeyError 'tokens'"):
        mv.open(path)
    rewritten("{")
    with pytest.raises(ValueError, match="damaged"):
        mv.open(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("words.txt", "")
    with pytest.raises(ValueError, match=r"did not write: it holds no trace.json"):
        mv.open(path)


def test_unknown_names_write_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"sites must be among attention, .*; got 'patterns'"):
        load(build("llama")).trace(ids()).save(tmp_path / "t.mv", ["patterns"])
    assert not list(tmp_path.iterdir())
