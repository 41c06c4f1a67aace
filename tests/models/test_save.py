"""A saved trace opens where there is no torch and no model, and shows what it showed."""

from __future__ import annotations

import hashlib
import inspect
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
from mechviz.models import ablate, load, patch
from mechviz.pattern import Unavailable

EVERYTHING = ("attention", *trace_file.LAYERED, "embed", "logits", "loss")


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma2", "gptj", "mamba", "deepseek_v3"])
def test_what_was_saved_reads_as_it_did(name, tmp_path, capsys):
    trace = load(build(name)).trace(ids(), edits=[ablate("L1.attn")])
    trace.save(tmp_path / "trace.mv", EVERYTHING)
    assert "kB (attention " in capsys.readouterr().out
    opened = mv.open(tmp_path / "trace.mv")
    assert opened.tokens == trace.tokens and opened.tokens.provenance["edits"] == ["L1.attn → zero"]
    assert np.array_equal(opened.logits, trace.logits.numpy()) and np.array_equal(opened.embed, trace.embed.numpy())
    with pytest.raises(Unavailable, match="pos_embed was not saved; the file holds"):
        opened.pos_embed  # noqa: B018
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
        Unavailable, match="layer 0 has no resid_post: it was not saved; the file holds attention, resid_post"
    ):
        opened.resid_post[0]
    with pytest.raises(Unavailable, match="logits was not saved"):
        opened.logits  # noqa: B018
    with pytest.raises(AttributeError, match="no 'grad': that needs the model"):
        opened.grad  # noqa: B018


def pages(trace):
    views = mv.attention(trace.tokens, trace.attention, head="L1H2"), mv.tokens(trace.tokens, trace.loss)
    return [hashlib.sha256(view.to_html().encode()).hexdigest() for view in views]


def test_it_opens_without_torch_and_shows_the_same_bytes(tmp_path, capsys):
    kinds = {"llama": torch.float32, "gemma2": torch.bfloat16, "gpt_oss": torch.float16, "bloom": torch.float32}
    expected = []
    for name, dtype in kinds.items():
        trace = load(build(name, dtype=dtype)).trace(ids(), edits=[ablate("L0H1")])
        trace.save(tmp_path / f"{name}.mv")
        expected += pages(trace)
    code = """
        import hashlib, sys
        for name in ("torch", "transformers", "safetensors"):
            sys.modules[name] = None  # as if it were not installed
        import mechviz as mv
        for path in sys.argv[1:]:
            trace = mv.open(path)
            assert len(trace) == 24 and trace.resid_post[2].shape == (24, 48), trace
            assert trace.tokens.provenance["edits"] == ["L0H1 → zero"]
            print(*pages(trace))
    """
    code = textwrap.dedent(code).replace("for path", inspect.getsource(pages) + "for path", 1)
    run = [sys.executable, "-c", code, *(str(tmp_path / f"{name}.mv") for name in kinds)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.split() == expected


def test_single_sites_and_layers(tmp_path, capsys):
    model = load(build("llama"))
    axes = mv.Dictionary.from_directions(torch.eye(48)[:3], at="L1.resid_post", name="axes")
    trace = model.trace(ids())
    trace.save(tmp_path / "t.mv", ["L1H2", mv.Neuron(0, 7), axes[1], "L2.mlp", 0])
    opened = mv.open(tmp_path / "t.mv")
    for site in ("L1H2", "L0N7", "axes/1", "L2.mlp", "L0H3", "L0N5", "L0.resid_mid", "L0.resid_pre", axes[1]):
        assert np.array_equal(opened.at(site), trace.at(site).numpy()), site
    assert opened.mlp_out.layers == (0, 2) and opened.attention.layers == opened.resid_post.layers == (0,)
    with pytest.raises(Unavailable, match="layer 1 has no z: it was not saved; the file holds attention, q"):
        opened.at("L1H3")
    with pytest.raises(Unavailable, match=r"L0E1N2 was not saved; the file holds .*, L1H2, L0N7, axes/1"):
        opened.at("L0E1N2")
    trace.save(tmp_path / "t.mv", {"pattern": [1], "z": 2})
    opened = mv.open(tmp_path / "t.mv")
    assert opened.attention.layers == (1,) and opened.z.layers == (2,)
    trace.save(tmp_path / "t.mv", "loss")
    assert str(mv.open(tmp_path / "t.mv").report()).endswith("saved  loss")


def test_values_of_a_saved_trace_are_patched_in(tmp_path, capsys):
    model = load(build("llama"))
    other = model.trace(ids(seed=1))
    other.save(tmp_path / "t.mv", ["L1H2", "L2.mlp"])
    saved = mv.open(tmp_path / "t.mv")
    for make in (
        patch,
        lambda site, trace: ablate(site, trace),
        lambda site, trace: ablate(site, "resample", reference=trace),
    ):
        for site in ("L1H2", "L2.mlp"):
            live, loaded = (model.trace(ids(), edits=[make(site, trace)]) for trace in (other, saved))
            assert torch.equal(live.logits, loaded.logits)
            assert live.tokens.provenance["edits"] == loaded.tokens.provenance["edits"]


def test_its_report_comes_along(tmp_path, capsys):
    trace = load(build("gpt_oss")).trace(ids())
    trace.save(tmp_path / "t.mv")
    found = mv.open(tmp_path / "t.mv").report()
    assert found.lines[:-1] == trace.report().lines
    assert found.lines[-1] == ("saved", "attention, resid_pre, resid_post, loss")


def test_arrays_that_were_changed(tmp_path, capsys):
    path = tmp_path / "t.mv"
    load(build("llama")).trace(ids()).save(path, ["resid_post"])
    data = bytearray(path.read_bytes())
    data[data.index(b"NUMPY") + 200] ^= 1  # one bit of an array
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"t.mv is damaged or was changed: resid_post.0.npy: Bad CRC-32"):
        mv.open(path).resid_post[0]
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="t.mv is damaged"):
        mv.open(path)


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
    with pytest.raises(
        ValueError,
        match=r"sites: 'patterns' is not a site. .* or one of attention, q, .*, embed, pos_embed, logits, loss",
    ):
        load(build("llama")).trace(ids()).save(tmp_path / "t.mv", ["patterns"])
    assert not list(tmp_path.iterdir())
