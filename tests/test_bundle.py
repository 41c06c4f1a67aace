"""Which bundle draws which figure: the plain one unless a larger view, or a user's component, is among its views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mechviz as mv
from mechviz.bundle import BUNDLE, LAB, LAB_KINDS, bundle_for, bundle_text, pack_text

VIEWS = Path(__file__).parents[1] / "js" / "src" / "views"
WORDS = ["The", " cat"]


def neurons():
    return mv.neurons(WORDS, np.arange(6.0).reshape(2, 3))


@pytest.mark.skipif(not VIEWS.exists(), reason="needs the sources of a clone")
def test_the_larger_views_are_those_of_their_folder():
    assert {path.stem for path in (VIEWS / "lab").glob("*.svelte")} == LAB_KINDS


def test_a_page_carries_the_smallest_bundle_that_draws_it():
    plain, lab = pack_text(bundle_text(BUNDLE)), pack_text(bundle_text(LAB))
    assert bundle_for(["tokens", "scatter"]) == BUNDLE and bundle_for(["tokens", "attention"]) == LAB
    assert plain in mv.tokens(WORDS).to_html()
    for view in (neurons(), mv.row(mv.tokens(WORDS), neurons())):
        html = view.to_html()
        assert lab in html and plain not in html
    page = mv.page("Both", [mv.tokens(WORDS), neurons()]).to_html()
    assert page.count(lab) == 1 and plain not in page


def test_so_does_a_widget():
    assert type(mv.tokens(WORDS).widget).__name__ == "FigureWidget"
    assert type(mv.row(mv.tokens(WORDS), neurons()).widget).__name__ == "LabWidget"
    assert len(mv.tokens(WORDS).widget._esm) < len(neurons().widget._esm)
