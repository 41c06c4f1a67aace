from __future__ import annotations

import numpy as np
import pytest

from mechviz.sites import MLP, Attention, Head, Neuron, Residual, parse

CANONICAL = [
    (Head(5, 1), "L5H1"),
    (Neuron(3, 17), "L3N17"),
    (Residual(5, "pre"), "L5.resid_pre"),
    (Residual(0, "mid"), "L0.resid_mid"),
    (Residual(11, "post"), "L11.resid_post"),
    (MLP(3), "L3.mlp"),
    (Attention(3), "L3.attn"),
    (Head(5, 1, stack="encoder"), "encoder.L5H1"),
    (Residual(2, "post", stack="vision.encoder"), "vision.encoder.L2.resid_post"),
]


@pytest.mark.parametrize(("site", "string"), CANONICAL)
def test_a_site_is_its_string(site, string):
    assert str(site) == string
    assert site == string and string == site
    assert {site: "found"}[string] == "found"
    assert parse(string) == site and type(parse(string)) is type(site)
    assert parse(site) is site


@pytest.mark.parametrize(
    ("other", "site"),
    [
        ("5.1", Head(5, 1)),
        (" L5H1 ", Head(5, 1)),
        ("decoder.5.1", Head(5, 1, stack="decoder")),
        ("L5.pre", Residual(5, "pre")),
        ("blocks.5.hook_resid_pre", Residual(5, "pre")),
        ("blocks.5.hook_resid_mid", Residual(5, "mid")),
        ("blocks.12.hook_out", Residual(12, "post")),
        ("blocks.5.hook_attn_out", Attention(5)),
        ("blocks.5.mlp.hook_out", MLP(5)),
    ],
)
def test_other_spellings(other, site):
    assert parse(other) == site


def test_sites_that_differ_are_not_equal():
    assert Head(5, 1) != Head(1, 5)
    assert Head(5, 1) != Neuron(5, 1)
    assert Residual(5, "pre") != Residual(5, "post")
    assert Head(5, 1) != Head(5, 1, stack="encoder")
    assert Head(5, 1) != 51


def test_repr_can_be_typed_back():
    assert [repr(site) for site, _ in CANONICAL[:3]] == ["Head(5, 1)", "Neuron(3, 17)", "Residual(5, 'pre')"]
    assert eval(repr(Head(5, 1, stack="encoder"))) == Head(5, 1, stack="encoder")


@pytest.mark.parametrize(
    "bad", ["L5", "H1", "L5H", "L-1H0", "resid_pre", "L5.resid", "L5H1.pre", "", "blocks.5.hook_scale"]
)
def test_what_is_no_site_lists_the_forms(bad):
    with pytest.raises(ValueError, match=r'is not a site. Forms: a head "L5H1" or "5.1", a neuron "L3N17"'):
        parse(bad)


@pytest.mark.parametrize(("hook", "example"), [("attn.hook_pattern", "L5H0"), ("mlp.hook_post", "L5N0")])
def test_hooks_that_name_every_unit_say_so(hook, example):
    with pytest.raises(ValueError, match=f'of layer 5; a site is one .* such as "{example}"'):
        parse(f"blocks.5.{hook}")


def test_numbers_that_arrays_give():
    head = Head(*np.unravel_index(np.argmax([[0, 1], [3, 2]]), (2, 2)))
    assert head == "L1H0" and repr(head) == "Head(1, 0)"
    with pytest.raises(ValueError, match=r"layer must be an integer >= 0; got array"):
        MLP(np.array([1.0]))


def test_impossible_sites():
    with pytest.raises(ValueError, match=r'point must be "pre", "mid" or "post"; got \'in\''):
        Residual(5, "in")
    with pytest.raises(ValueError, match="head must be an integer >= 0; got -1"):
        Head(5, -1)
    with pytest.raises(ValueError, match="layer must be an integer >= 0; got 1.5"):
        MLP(1.5)
    with pytest.raises(TypeError, match="got int"):
        parse(5)
