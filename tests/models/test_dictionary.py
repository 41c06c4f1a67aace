"""Features are read, ablated, patched and steered like neurons, and what a dictionary does not explain stays as it was."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from zoo import build, ids

import mechviz as mv
from mechviz import Dictionary, Feature
from mechviz.models import ablate, edit, load, patch, steer
from mechviz.pattern import Unavailable
from mechviz.sites import parse

AT = "L1.resid_post"
WIDTH, COUNT = 48, 100


@functools.cache
def traced(name="llama", seed=0):
    model = load(build(name))
    return model, model.trace(ids(seed=seed))


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"W_enc": (WIDTH, COUNT), "W_dec": (COUNT, WIDTH), "b_dec": (WIDTH,), "b_enc": (COUNT,)}
    sizes |= {name: (COUNT,) for name in ("b_gate", "b_mag", "r_mag")}
    made = {name: torch.randn(size, generator=generator) * 0.3 for name, size in sizes.items()}
    return made | {"threshold": torch.rand(COUNT, generator=generator) + 0.5}


def write(folder, config, *names):
    folder.mkdir()
    (folder / "cfg.json").write_text(json.dumps({"d_in": WIDTH, "d_sae": COUNT, "dtype": "float32"} | config))
    save_file(
        {name: weights()[name] for name in ("W_enc", "W_dec", "b_dec", *names)}, folder / "sae_weights.safetensors"
    )
    return folder


# What SAELens computes, one position at a time and in numpy: an independent spelling of each kind.
def expected(config, x):
    w = {name: value.numpy() for name, value in weights().items()}
    out = []
    for row in x.numpy():
        if config.get("normalize_activations") == "layer_norm":
            row = (row - row.mean()) / (row.std(ddof=1) + 1e-5)
        row = row - w["b_dec"] if config.get("apply_b_dec_to_input", True) else row
        before = row @ w["W_enc"] + w["b_enc"]
        kind = config.get("architecture", "standard")
        if kind == "gated":
            size = np.maximum(row @ w["W_enc"] * np.exp(w["r_mag"]) + w["b_mag"], 0)
            features = np.where(row @ w["W_enc"] + w["b_gate"] > 0, size, 0)
        elif kind == "jumprelu":
            features = np.where(before > w["threshold"], before, 0)
        elif "k" in config or "activation_fn_kwargs" in config:
            if config.get("rescale_acts_by_decoder_norm"):
                before = before * np.linalg.norm(w["W_dec"], axis=1)
            k = config.get("k") or config["activation_fn_kwargs"]["k"]
            best = np.argsort(before)[-k:]
            features = np.zeros_like(before)
            features[best] = np.maximum(before[best], 0)
        else:
            features = np.maximum(before, 0)
        out.append(features)
    return torch.tensor(np.stack(out))


NOW = {"metadata": {"hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.21.0"}}
KINDS = {
    "standard": ({"architecture": "standard", "apply_b_dec_to_input": False} | NOW, "b_enc"),
    "old": (
        {"hook_point": "blocks.1.hook_resid_post", "activation_fn_str": "relu", "normalize_activations": True},
        "b_enc",
    ),
    "jumprelu": ({"architecture": "jumprelu"} | NOW, "b_enc", "threshold"),
    "gated": ({"architecture": "gated"} | NOW, "b_gate", "b_mag", "r_mag"),
    "topk": ({"architecture": "topk", "k": 7} | NOW, "b_enc"),
    "topk by norm": ({"architecture": "topk", "k": 7, "rescale_acts_by_decoder_norm": True} | NOW, "b_enc"),
    "old topk": (
        {"activation_fn": "topk", "activation_fn_kwargs": {"k": 5}, "hook_name": "blocks.1.hook_resid_post"},
        "b_enc",
    ),
    "layer norm": ({"architecture": "standard", "normalize_activations": "layer_norm"} | NOW, "b_enc"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_autoencoders_of_saelens(kind, tmp_path):
    config, *names = KINDS[kind]
    d = Dictionary.load(write(tmp_path / "sae", config, *names))
    model, trace = traced()
    assert d.at == AT and d.n_features == COUNT and d.name == "sae"
    x = trace.resid_post[1]
    features = trace.features(d)
    assert features.shape == (24, COUNT) and (features.dense() > 0).any()
    torch.testing.assert_close(features.dense(), expected(config, x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features[:, 17], trace.at("sae/17"))
    torch.testing.assert_close(features.reconstruction + features.error, x)
    if kind == "layer norm":  # its reconstruction gets the centre and size that its input had
        plain = expected(config, x) @ weights()["W_dec"] + weights()["b_dec"]
        again = plain * x.std(-1, keepdim=True) + x.mean(-1, keepdim=True)
        torch.testing.assert_close(features.reconstruction, again, atol=1e-4, rtol=1e-4)
    # ablating takes exactly the feature's part off, and the error stays
    number = int(features.dense().sum(0).argmax())
    off = model.trace(ids(), edits=[ablate(Feature(d, number))]).resid_post[1]
    f = features.dense().clone()
    f[:, number] = 0
    part = d.decode(features.dense(), x) - d.decode(f, x)
    torch.testing.assert_close(off, x - part, atol=1e-4, rtol=1e-4)
    assert part.abs().max() > 0.1


def test_directions():
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)))[0]
    d = Dictionary.from_directions(basis[:5], at=AT, name="probe")
    model, trace = traced()
    x = trace.resid_post[1]
    torch.testing.assert_close(trace.features(d).dense(), x @ basis[:5].T)
    torch.testing.assert_close(trace.features(d).error, x - x @ basis[:5].T @ basis[:5], atol=1e-5, rtol=1e-5)
    off = model.trace(ids(), edits=[ablate("probe/2")])
    assert off.tokens.provenance["edits"] == ["probe/2 → zero"]
    torch.testing.assert_close(off.at("probe/2"), torch.zeros(24), atol=1e-5, rtol=0)
    torch.testing.assert_close(off.at("probe/3"), trace.at("probe/3"), atol=1e-5, rtol=1e-5)
    # one direction ablated is the same edit as zeroing that subspace
    same = model.trace(ids(), edits=[ablate(AT, subspace=basis[2:3])])
    torch.testing.assert_close(off.logits, same.logits, atol=1e-4, rtol=1e-4)
    up = model.trace(ids(), edits=[steer(d[2], 4.0, positions=[5])])
    torch.testing.assert_close(up.resid_post[1][5], x[5] + 4 * basis[2])
    assert torch.equal(up.resid_post[1][:5], x[:5])
    # without its directions, nothing of the error is left where they are taken off, too
    none = model.trace(ids(), edits=[ablate(Feature(d, "error")), *(ablate(d[i]) for i in range(5))])
    torch.testing.assert_close(none.resid_post[1], torch.zeros(24, WIDTH), atol=1e-5, rtol=0)


def test_directions_that_are_not_orthonormal():
    rows = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    d = Dictionary.from_directions(rows, at="L0.mlp", name="oblique")
    # (3, 2, 5) = 1 * (1, 0, 0) + 2 * (1, 1, 0) + (0, 0, 5)
    torch.testing.assert_close(d.encode(torch.tensor([[3.0, 2.0, 5.0]])), torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(d.error(torch.tensor([[3.0, 2.0, 5.0]])), torch.tensor([[0.0, 0.0, 5.0]]))
    with pytest.raises(ValueError, match=r"linearly independent, \[feature, width\]; got shape \(2, 3\)"):
        Dictionary.from_directions(rows[[0, 0]], at="L0.mlp")
    with pytest.raises(ValueError, match="oblique is for values of width 3; at L0.mlp it is 48"):
        traced()[1].features(d)


def test_patching_a_feature_from_the_same_text_changes_nothing(tmp_path):
    d = Dictionary.load(write(tmp_path / "same", {"architecture": "jumprelu"}, "b_enc", "threshold"), at="L1.mlp")
    model, trace = traced()
    _, other = traced(seed=1)
    sites = [d[3], d[4], Feature(d, "error")]
    assert torch.equal(model.trace(ids(), edits=[patch(site, trace) for site in sites]).logits, trace.logits)
    number = int((trace.at(d[3]) - other.at(d[3])).abs().sum() == 0)  # one of two that differ
    moved = model.trace(ids(), edits=[patch(d[3 + number], other)])
    change = (other.at(d[3 + number]) - trace.at(d[3 + number]))[:, None] * weights()["W_dec"][3 + number]
    torch.testing.assert_close(moved.mlp_out[1], trace.mlp_out[1] + change, atol=1e-5, rtol=1e-5)


def test_two_functions():
    d = Dictionary(lambda x: x.relu(), lambda f: f.square(), at="L1H2", name="square")
    model, trace = traced()
    z = trace.z[1][:, 2]
    assert trace.features(d).shape == (24, 12) and torch.equal(trace.at("square/4"), z[:, 4].relu())
    torch.testing.assert_close(trace.features(d).error, z - z.relu().square())
    doubled = model.trace(ids(), edits=[edit("square/4", lambda f: f * 2)])
    change = torch.zeros(24, 12)
    change[:, 4] = 3 * z[:, 4].relu().square()  # (2 f)^2 - f^2
    torch.testing.assert_close(doubled.z[1][:, 2], z + change)
    assert torch.equal(doubled.z[1][:, 1], trace.z[1][:, 1])


def test_gradients_at_features():
    model, plain = traced()
    d = Dictionary.from_directions(torch.eye(WIDTH)[3:6], at=AT, name="axes")
    kept = model.trace(ids(), grad=True)
    sites = [d[1], Feature(d, "error"), AT]
    for trace in (plain, kept):
        grads = trace.grad(lambda logits: logits[-1, 3], sites)
        torch.testing.assert_close(grads["axes/1"], grads[AT][:, 4])  # that direction's part of the stream's gradient
        torch.testing.assert_close(grads["axes/error"], grads[AT])


def test_features_kept_in_the_pass(monkeypatch):
    model, plain = traced()
    d = Dictionary.from_directions(torch.eye(WIDTH)[3:6], at="L1.attn", name="kept")
    assert d.n_features == 3
    h = Dictionary.from_directions(torch.eye(12)[3:6], at="L1H2", name="head")
    trace = model.trace(ids(), capture=["kept/1", h[0]])
    expected = plain.at("kept/1"), plain.at("head/0")
    monkeypatch.setattr("mechviz.models.tape.Tape._run", None)
    assert torch.equal(trace.at("kept/1"), expected[0]) and torch.equal(trace.at("head/0"), expected[1])


def test_many_features_are_read_in_parts(monkeypatch):
    d = Dictionary.from_directions(torch.eye(WIDTH), at=AT, name="all")
    x, features = traced()[1].resid_post[1], traced()[1].features(d)
    monkeypatch.setattr("mechviz.models.features.CHUNK_BYTES", 4 * WIDTH * 5)  # five positions at a time
    assert torch.equal(features[:, [3, 7]], x[:, [3, 7]]) and torch.equal(features[5], x[5])
    assert torch.equal(features[[2, 9], 3], x[[2, 9], 3])
    best, which = features.top(2)
    assert torch.equal(best, x.topk(2).values) and torch.equal(which, x.topk(2).indices)
    np.testing.assert_array_equal(np.asarray(features), x.numpy())
    monkeypatch.setattr("mechviz.models.features.ARRAY_LIMIT", 1000)
    with pytest.raises(MemoryError, match=r"48 features at 24 positions take 4.61 kB \(limit 1 kB\); ask for some"):
        features.dense()


def test_features_as_addresses():
    d = Dictionary.from_directions(torch.eye(4), at="L5.resid_pre", name="gpt2-res/8")
    assert d[2] == "gpt2-res/8/2" == mv.Feature(d, np.int64(2)) and parse("gpt2-res/8/2").dictionary is d
    assert repr(d[2]) == "Feature('gpt2-res/8', 2)" and str(parse("gpt2-res/8/error")) == "gpt2-res/8/error"
    assert repr(d) == "Dictionary('gpt2-res/8' at L5.resid_pre, 4 features)"
    one, two = (Dictionary.from_directions(rows, at="L1.mlp") for rows in (torch.eye(2), torch.eye(3)))
    assert one[0] == one[0] == "features@L1.mlp/0" == two[0] != one[0]  # of one name, but not the same
    assert parse("features@L1.mlp/0") == two[0] and len({one[0], two[0], one[0]}) == 2
    with pytest.raises(ValueError, match="gpt2-res/8 has features 0 to 3; got 4"):
        d[4]
    with pytest.raises(ValueError, match="feature must be an integer >= 0; got 'all'"):
        Feature(d, "all")
    del d
    with pytest.raises(ValueError, match="no dictionary in use is called 'gpt2-res/8'"):
        parse("gpt2-res/8/2")
    with pytest.raises(ValueError, match="at must be a site whose values are vectors; got 'L3N17'"):
        Dictionary.from_directions(torch.eye(4), at="L3N17")
    with pytest.raises(ValueError, match="is one number at each position: it has no subspace"):
        ablate(Dictionary.from_directions(torch.eye(4), at=AT)[0], subspace=torch.eye(4))
    with pytest.raises(Unavailable, match="axes/0: this model has layers 0 to 2"):
        far = Dictionary.from_directions(torch.eye(4), at="L9.mlp", name="axes")
        traced()[0].trace(ids(), edits=[ablate(far[0])])


@pytest.mark.parametrize(
    ("config", "names", "error", "message"),
    [
        ({}, ("b_enc",), ValueError, "does not say where it belongs: give at="),
        ({"architecture": "transcoder"} | NOW, ("b_enc",), ValueError, "architecture 'transcoder'; known are standard"),
        ({"architecture": "jumprelu"} | NOW, ("b_enc",), ValueError, "safetensors lacks threshold; it holds"),
        ({"architecture": "topk", "k": 0} | NOW, ("b_enc",), ValueError, "k must be between 1 and 100; cfg.json has 0"),
        ({"activation_fn": "tanh-relu"} | NOW, ("b_enc",), NotImplementedError, "has the activation 'tanh-relu'"),
        ({"normalize_activations": "x"} | NOW, ("b_enc",), NotImplementedError, "has normalize_activations 'x'"),
    ],
)
def test_folders_that_are_not_known(config, names, error, message, tmp_path):
    with pytest.raises(error, match=message):
        Dictionary.load(write(tmp_path / "sae", config, *names))


def test_features_of_a_trace_are_shown_as_they_are():
    _, trace = traced()
    rows = torch.linalg.qr(weights()["W_enc"][:, :WIDTH])[0].T[:7]  # [feature, width], orthonormal
    found = trace.features(Dictionary.from_directions(rows, at=AT))
    view = mv.neurons(trace.tokens, found, kind="features", neurons=[5, 2], names={5: "fifth"})
    part = view.flat()[1]["0"][1]["layers"][0]["parts"][0]
    # The feature of an orthonormal row is the dot product with it.
    by_hand = (trace.at(AT) @ rows.T).numpy()
    np.testing.assert_allclose(part["values"].numbers(), by_hand[:, part["ids"].numbers()].T, atol=1e-5)
    assert sorted(part["ids"].numbers().tolist()) == [2, 5]
