from __future__ import annotations

import numpy as np
import pytest

from mechviz.sites import MLP, Attention, Head, Neuron, Residual, hook_of, parse

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
    with pytest.raises(
        ValueError, match=rf'of layer 5; a site is one .* such as "{example}" or "blocks.5.{hook}\[0\]"'
    ):
        parse(f"blocks.5.{hook}")
    with pytest.raises(ValueError, match=r'names every head of layer 5; a site is one head, such as "L5H0"$'):
        parse("blocks.5.attn.hook_k")


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("blocks.5.attn.hook_z[3]", "L5H3"),
        ("blocks.5.attn.hook_z[:, :, 3]", "L5H3"),
        ("blocks.5.attn.hook_pattern[:,3]", "L5H3"),
        ("blocks.5.attn.hook_pattern[:, 3, :, :]", "L5H3"),
        ("blocks.5.attn.hook_result[:, :, 3]", "L5H3"),
        ("blocks.0.mlp.hook_post[17]", "L0N17"),
        ("blocks.0.mlp.hook_pre[:, :, 17]", "L0N17"),
    ],
)
def test_one_unit_of_a_hook(name, site):
    assert parse(name) == site


@pytest.mark.parametrize("index", [":, 3", "1, 2", ":", "3, :, :", "", ":, :, 1:2"])
def test_an_index_that_is_no_one_head(index):
    with pytest.raises(ValueError, match="is not a site"):
        parse(f"blocks.5.attn.hook_z[{index}]")


def test_a_key_head_may_be_read_by_several_heads():
    with pytest.raises(ValueError, match="is not a site"):
        parse("blocks.5.attn.hook_k[1]")


def test_names_of_whole_layers():
    assert hook_of("blocks.5.attn.hook_pattern") == ("pattern", 5)
    assert hook_of("blocks.2.hook_resid_mid") == ("resid_mid", 2)
    assert [hook_of(x) for x in ("L5H1", "blocks.5.attn.hook_z[1]", "blocks.5.ln1.hook_scale", Head(5, 1))] == [
        None
    ] * 4


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
