"""Activation patching: the metric at the ends, and place by place what single edits give."""

from __future__ import annotations

import numpy as np
import pytest

import mechviz as mv
from mechviz._layered import Unavailable
from mechviz.analysis import patching
from mechviz.models import load

CLEAN = "Mary and John went to the store, John gave a drink to"
OTHER = "Mary and John went to the store, Mary gave a drink to"


@pytest.fixture(scope="module")
def demo():
    return load()


@pytest.fixture(scope="module")
def traces(demo):
    return [demo.trace(text) for text in (CLEAN, OTHER)]


@pytest.fixture(scope="module")
def metric(demo):
    mary, john = (demo.tokenizer(name)["input_ids"][-1] for name in (" Mary", " John"))
    return lambda logits: logits[-1, mary] - logits[-1, john]


def test_the_stream_position_by_position(demo, traces, metric):
    clean, other = traces
    found = patching(other, clean, metric)
    assert found.metric.shape == (3, len(clean)) and found.layers == (0, 1, 2)
    assert (found.start, found.source) == (float(metric(other.logits)), float(metric(clean.logits)))
    # before layer 0 the texts differ at one token only: there all is restored, elsewhere nothing
    differs = [i for i, (a, b) in enumerate(zip(clean.tokens.ids, other.tokens.ids, strict=True)) if a != b]
    assert len(differs) == 1
    expected = np.zeros(len(clean))
    expected[differs] = 1
    np.testing.assert_allclose(found.restored[0], expected, atol=1e-4)
    by_hand = demo.trace(OTHER, edits=[mv.patch("L2.resid_pre", clean, positions=[10])])
    assert found.metric[2, 10] == float(metric(by_hand.logits))
    assert repr(found).startswith(f"Patching(resid_pre: 3 layers of {len(clean)} positions; from ")


def test_heads_and_their_picture(demo, traces, metric):
    clean, other = traces
    found = patching(other, clean, metric, "heads")
    assert found.restored.shape == (3, 4)
    by_hand = demo.trace(OTHER, edits=[mv.patch("L2H0", clean)])
    assert found.metric[2, 0] == float(metric(by_hand.logits))
    assert np.unravel_index(found.restored.argmax(), (3, 4)) == (2, 0)  # mechviz/demo/model/README.md
    assert found.to_plotly().data[0].z.shape == (3, 4)


def test_nothing_to_restore_is_no_number(demo, traces, metric):
    clean, _ = traces
    assert np.isnan(patching(clean, clean, metric, "heads").restored).all()


def test_what_it_refuses(demo, traces, metric, tmp_path):
    clean, other = traces
    with pytest.raises(ValueError, match="what must be one of resid_pre, .*; got 'neurons'"):
        patching(other, clean, metric, "neurons")
    with pytest.raises(ValueError, match=f"as many tokens; got {len(other)} and 3"):
        patching(other, demo.trace("Mary and"), metric)
    with pytest.raises(ValueError, match=r"without edits; got one with \['L1H0 → zero'\]"):
        patching(demo.trace(OTHER, edits=[mv.ablate("L1H0")]), clean, metric)
    with pytest.raises(ValueError, match=r"metric must give one number; got Tensor of shape \(1160,\)"):
        patching(other, clean, lambda logits: logits[-1], "heads")
    other.save(tmp_path / "trace.mv")
    with pytest.raises(TypeError, match="trace must be one of a model, which runs it again; got a SavedTrace"):
        patching(mv.open(tmp_path / "trace.mv"), clean, metric)


def test_a_model_without_heads_says_so():
    from zoo import build, ids

    trace = load(build("mamba")).trace(ids())
    with pytest.raises(Unavailable, match="no layer has heads: "):
        patching(trace, trace, lambda logits: logits[-1, 0], "heads")
