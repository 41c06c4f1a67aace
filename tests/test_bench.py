"""`mv.bench` without a browser: every run against one made by hand, what a file carries, what is refused."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz._bench_runs import Runs
from mechviz._layered import Unavailable
from mechviz.analysis import attribution
from mechviz.models.tape import Tape

TEXT = "When Mary and John went to the store, John gave a drink to"
OTHER = "When Mary and John went to the store, Mary gave a drink to"


@pytest.fixture(scope="module")
def model():
    return mv.load()


@pytest.fixture(scope="module")
def view(model):
    # A file of it carries no table: the tests say what is run.
    return mv.bench(model, TEXT, token=" Mary", minus=" John", patch=OTHER, neurons=2, table=())


def ids(model):
    return [model.tokenizer(name, add_special_tokens=False)["input_ids"][0] for name in (" Mary", " John")]


def ask(view, sites, mode):
    """What the browser reads of an answer (js/src/parts/bench.ts)."""
    value, (numbers, bars, loss, *thumbs) = view.answer("0", "run", {"sites": sites, "mode": mode})
    (entry,) = value["entries"]
    return entry, numbers[0], bars[0], loss[0], thumbs


EDITS = {
    "L2H0 zero": lambda clean, other: [mv.ablate("L2H0")],
    "L1H1 mean": lambda clean, other: [mv.ablate("L1H1", "mean", reference=clean)],
    "L0H2 resample": lambda clean, other: [mv.ablate("L0H2", "resample", reference=clean)],
    "L2H0 patch": lambda clean, other: [mv.patch("L2H0", other)],
    "L1 zero": lambda clean, other: [mv.ablate("L1.attn"), mv.ablate("L1.mlp")],
    "L0.mlp zero": lambda clean, other: [mv.ablate("L0.mlp")],
    "L0N23 zero": lambda clean, other: [mv.ablate("L0N23")],
}


@pytest.mark.parametrize("key", EDITS)
def test_a_click_is_the_pass_of_the_edited_model(model, view, key):
    site, mode = key.split()
    edits = EDITS[key](model.trace(TEXT), model.trace(OTHER))
    expected, clean = model.trace(TEXT, edits=edits), model.trace(TEXT)
    entry, numbers, bars, loss, _ = ask(view, [site], mode)
    mary, john = ids(model)
    logits = expected.logits[-1].double()
    assert numbers[0] == pytest.approx(float(logits[mary] - logits[john]), abs=1e-5)
    # what the parts add is the logit, whatever was changed
    assert sum(numbers[1:]) == pytest.approx(numbers[0], abs=1e-9)
    np.testing.assert_array_equal(loss, expected.loss.numpy())
    before, after = (torch.softmax(t.logits[-1].double(), -1).numpy() for t in (clean, expected))
    largest = np.argsort(-np.maximum(before, after), kind="stable")[:12]
    np.testing.assert_allclose(bars, np.stack([before[largest], after[largest]]), atol=1e-6)
    assert entry["key"] == key and entry["label"].startswith(f"{site} ") and entry["label"] != f"{site} "


@pytest.mark.parametrize("mode", ["zero", "mean", "patch"])
def test_what_layers_before_an_edit_wrote_is_that_of_the_clean_run_and_not_read_again(model, mode, monkeypatch):
    runs = Runs(model, TEXT, token=" Mary", minus=" John", position=-1, references=[OTHER], patch=OTHER, neurons=1)
    ran, run = set(), Tape._run
    monkeypatch.setattr(
        Tape, "_run", lambda self, layer, *rest, **more: ran.add(layer) or run(self, layer, *rest, **more)
    )
    for site in [*runs.sites(), "L2N3"]:
        edits = runs._all([site], mode)
        ran.clear()
        made = runs.run([site], mode)
        assert ran == set(range(int(site[1]), 3))
        alone = attribution(model.trace(TEXT, edits=edits), " Mary", minus=" John")
        assert made.terms == {term.name: term.value for term in alone.terms()}


def test_a_part_that_is_set_to_zero_adds_nothing_and_only_later_heads_move(model, view):
    parts = [part["site"] for part in view.flat()[1]["0"][1]["parts"]]
    _, numbers, _, _, thumbs = ask(view, ["L1H1"], "zero")
    assert numbers[1 + parts.index("L1H1")] == 0
    # layers 0 and 1 read what they read before; layer 2 has 4 heads of 15 × 15
    assert [thumb.shape for thumb in thumbs] == [(4, 15, 15)]
    expected = model.trace(TEXT, edits=[mv.ablate("L1H1")]).attention[2]
    for head in range(4):
        np.testing.assert_allclose(thumbs[0][head], np.asarray(expected.head(head)), atol=1e-6)
    assert not ask(view, ["L2H0"], "zero")[4]  # no head is behind the last layer


SITES = ["L1H2", "L1.attn", "L0.mlp", "L2", "L0N17", "L0.resid_pre", "L2.resid_mid", "L1.resid_post"]


@pytest.mark.parametrize("mode", ["zero", "mean", "resample", "patch"])
def test_every_part_of_an_edited_run_has_a_row_and_the_rows_sum_to_the_logit(model, view, mode):
    """Heads whose attention is replaced as a whole are one term, which the model as it is does not have."""
    clean = view.flat()[1]["0"][1]["parts"]
    found = set()
    for sites in [*([site] for site in SITES), ["L1.attn", "L2"]]:
        value, (numbers, *_) = view.answer("0", "run", {"sites": sites, "mode": mode})
        parts = value["parts"] or clean
        names = [part["name"] for part in parts]
        assert len(names) == len(set(names)) == numbers.shape[1] - 1
        assert [part for part in parts if part in clean] == clean  # in their order, whatever stands between them
        assert sum(numbers[0, 1:]) == pytest.approx(numbers[0, 0], abs=1e-9)
        found |= {part["name"] for part, value in zip(parts, numbers[0, 1:], strict=True) if value} - {
            part["name"] for part in clean
        }
    # what is set to zero adds nothing, under whatever name; what is done to the middle of a layer is its attention's
    whole = {"L1 attention", "L2 attention"} if mode != "zero" else {"L2 attention"}
    assert found == {*whole, "edits of the stream"}


def test_a_file_has_a_row_for_every_part_of_its_runs(model, monkeypatch):
    monkeypatch.setattr(Runs, "sites", lambda self: iter(["L2H0", "L1.attn"]))
    view = mv.bench(model, TEXT, token=" Mary", minus=" John", patch=OTHER, neurons=0, table=["zero", "patch"])
    table = view.flat("file")[1]["0"][1]["table"]
    names = [part["name"] for part in table["parts"]]
    assert names[names.index("L1H3") : names.index("L1 MLP")] == ["L1H3", "L1 attention bias", "L1 attention"]
    assert dict((p["name"], p["site"]) for p in table["parts"])["L1 attention"] == "L1.attn"
    numbers = table["numbers"].numbers()
    assert [entry["key"] for entry in table["entries"]][3] == "L1.attn patch"
    assert abs(numbers[3, 1 + names.index("L1 attention")]) > 1
    np.testing.assert_allclose(numbers[:, 1:].sum(1), numbers[:, 0], atol=1e-9)


def test_several_sites_at_once(model, view):
    expected = model.trace(TEXT, edits=[mv.ablate("L2H0"), mv.ablate("L1H1")]).logits[-1].double()
    mary, john = ids(model)
    entry, numbers, *_ = ask(view, ["L2H0", "L1H1"], "zero")
    assert numbers[0] == pytest.approx(float(expected[mary] - expected[john]), abs=1e-5)
    assert (entry["key"], entry["label"]) == ("L2H0+L1H1 zero", "L2H0 + L1H1 → zero")


def test_an_answer_says_of_which_text_it_is(model):
    """The browser drops one that was asked before an update, or is answered after it."""
    view = mv.bench(model, TEXT, token=" Mary", neurons=0, table=["zero"])
    before = view.flat()[1]["0"][1]["desk"]
    view.update(text=OTHER)
    desk = view.flat()[1]["0"][1]["desk"]
    asked = [("run", {"sites": ["L2H0"], "mode": "zero"}), ("scan", {"from": 0})]
    asked.append(("next", {"sites": [], "mode": "zero", "position": 3}))
    assert [view.answer("0", *one)[0]["desk"] for one in asked] == [desk] * 3
    assert desk != before


class Attention(torch.nn.Module):
    """Two heads whose output passes a tanh before its linear layer: no head can be changed by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 2, -1).permute(2, 0, 3, 1, 4)
        read = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(read.transpose(1, 2).reshape(x.shape).tanh())


class Block(torch.nn.Module):
    """Attention alone."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention(8)

    def forward(self, x):
        return x + self.attn(x)


class Blocks(torch.nn.Module):
    """Two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.unembed = torch.nn.Embedding(11, 8), torch.nn.Linear(8, 11, bias=False)
        self.layers = torch.nn.ModuleList(Block() for _ in range(2))

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.unembed(x)


def test_what_cannot_be_changed_is_left_out_and_why_is_said(tmp_path):
    torch.manual_seed(0)
    model = mv.load(Blocks(), sites=mv.SiteMap(blocks="layers", attn="attn", embed="embed", unembed="unembed"))
    view = mv.bench(model, [3, 1, 4], neurons=0, table=["zero"])
    props = view.flat()[1]["0"][1]
    fixed = {site: one["why"] for one in props["fixed"] for site in one["sites"]}
    assert [site for site in fixed if site.endswith("mlp")] == ["L0.mlp", "L1.mlp"]
    assert "no MLP" in fixed["L0.mlp"]
    saved = view.flat("file")[1]["0"][1]
    left = [f"L{layer}H{head}" for layer, heads in props["layers"] for head in range(heads)]
    assert all(site in fixed for site in left)
    keys = [entry["key"] for entry in saved["table"]["entries"]]
    assert keys == ["L0.attn zero", "L0 zero", "L1.attn zero", "L1 zero"]
    assert view.save(tmp_path / "x.html").stat().st_size
    assert view._twin()
    # a layer without an MLP is its attention
    whole, alone = (ask(view, [site], "zero")[1][0] for site in ("L0", "L0.attn"))
    assert whole == alone


def test_a_model_that_reads_from_both_sides_says_what_stands_at_a_position(model, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = mv.load(BertForMaskedLM(BertConfig(vocab_size=len(model.tokenizer), **small)).eval(), model.tokenizer)
    view = mv.bench(bert, TEXT, token=" Mary", neurons=0, position=2, table=["zero"])
    props = view.flat()[1]["0"][1]
    assert "reads from both sides" in props["lossless"]
    _, numbers, bars, loss, _ = ask(view, ["L0H1"], "zero")
    expected = bert.trace(TEXT, edits=[mv.ablate("L0H1")]).logits[2].double()
    assert numbers[0] == pytest.approx(float(expected[ids(model)[0]]), abs=1e-5)
    assert bars[1].max() == pytest.approx(float(expected.softmax(-1).max()), abs=1e-6)
    assert np.isnan(loss).all() and loss.shape == (14,)
    table = view.flat("file")[1]["0"][1]["table"]
    assert [e["key"] for e in table["entries"]] == [f"{s} zero" for s in ("L0H0", "L0H1", "L0.attn", "L0.mlp", "L0")]
    assert view.save(tmp_path / "x.html").stat().st_size
    assert "loss" not in view.still()
    assert mv.bench(model, TEXT, table=()).flat()[1]["0"][1]["lossless"] is None


def test_what_has_no_mean_is_left_out_of_a_table_and_a_scan_goes_past_it(model, monkeypatch):
    run = Runs.run

    def without(self, sites, mode):
        if mode == "mean" and sites != ["L1H1"]:
            raise Unavailable("there is no mean")
        return run(self, sites, mode)

    monkeypatch.setattr(Runs, "run", without)
    monkeypatch.setattr(Runs, "sites", lambda self: iter(["L2H0", "L1H1", "L0H0"]))
    view = mv.bench(model, TEXT, neurons=0, table=["mean"])
    keys = [entry["key"] for entry in view.flat("file")[1]["0"][1]["table"]["entries"]]
    assert keys == ["L1H1 mean"]
    first, _ = view.answer("0", "scan", {"from": 0})
    assert [entry["key"] for entry in first["entries"]] == keys and first["next"] >= 2
    last, arrays = view.answer("0", "scan", {"from": 2})
    assert (last["entries"], last["next"], arrays) == ([], 3, [])


def test_what_is_typed_is_called_as_its_button_is(view):
    entry, numbers, *_ = ask(view, ["2.0", "L1H1", "L2H0"], "zero")
    assert (entry["key"], entry["label"]) == ("L2H0+L1H1 zero", "L2H0 + L1H1 → zero")
    assert numbers[0] == ask(view, ["L2H0", "L1H1"], "zero")[1][0]


def test_the_model_is_as_it_was(model):
    inputs = torch.tensor([model.trace(TEXT).tokens.ids])
    with torch.no_grad():
        before = model.module(inputs).logits
        mv.bench(model, TEXT, edit="L2H0")
        assert torch.equal(before, model.module(inputs).logits)


def test_a_file_carries_the_runs_of_its_table(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Runs, "sites", lambda self: iter(["L2H0", "L1.mlp", "L0"]))
    view = mv.bench(model, TEXT, token=" Mary", minus=" John", edit="L1H0", neurons=0)
    live = view.flat()[1]["0"][1]
    assert [entry["key"] for entry in live["table"]["entries"]] == ["L1H0 zero"]  # what is shown at first
    saved = view.flat("file")[1]["0"][1]
    keys = [f"{site} {mode}" for mode in ("zero", "mean") for site in ("L2H0", "L1.mlp", "L0")]
    # what is changed at first is there, whatever else the table has
    assert [entry["key"] for entry in saved["table"]["entries"]] == ["L1H0 zero", *keys]
    numbers = saved["table"]["numbers"].numbers()[1:]
    names = [part["name"] for part in saved["table"]["parts"]]
    for i, key in enumerate(keys):
        site, mode = key.split()
        asked, (expected, *_) = view.answer("0", "run", {"sites": [site], "mode": mode})
        own = ["logit", *(part["name"] for part in asked["parts"] or saved["parts"])]
        row = dict(zip(["logit", *names], numbers[i], strict=True))
        assert {name: value for name, value in row.items() if value or name in own} == dict(
            zip(own, expected[0], strict=True)
        )
    # thumbnails are fetched when they are looked at; the last layer's edit has none
    thumbs = saved["table"]["patterns"][1:]
    assert thumbs[0] is None and thumbs[2].lazy and thumbs[2].shape == (8, 15, 15)
    path = view.save(tmp_path / "x.json")
    again = mv.open(path).flat()[1]["0"][1]
    assert [entry["key"] for entry in again["table"]["entries"]] == ["L1H0 zero", *keys]
    assert path.read_bytes() == view.save(tmp_path / "y.json").read_bytes()
    assert json.loads(path.read_text())["views"]["0"]["kind"] == "bench"


def test_a_file_without_a_table_shows_the_edit_it_was_made_with(model):
    saved = mv.bench(model, TEXT, edit="L0N17", neurons=0, table=()).flat("file")[1]["0"][1]
    assert [entry["label"] for entry in saved["table"]["entries"]] == ["L0N17 → zero"]


@pytest.mark.parametrize(
    ("edit", "site"), [(mv.Head(1, 0), "L1H0"), ("1.0", "L1H0"), (mv.Neuron(0, 17), "L0N17"), ("L1", "L1")]
)
def test_what_is_changed_at_first_is_called_as_in_the_picture(model, edit, site):
    made = mv.bench(model, TEXT, edit=edit, neurons=0, table="mean")
    picked = {"L1H0": ([1], [0], []), "L0N17": ([0], [], [17]), "L1": ([], [], [])}[site]
    assert (made.selection.layers, made.selection.heads, made.selection.neurons) == picked
    props = made.flat()[1]["0"][1]
    assert (props["edit"], [entry["key"] for entry in props["table"]["entries"]]) == (site, [f"{site} zero"])
    assert props["places"] == 3 * (4 + 3)  # of one kind: 4 heads, attention, MLP and the whole of each of 3 layers


def test_other_texts_are_told_by_their_words(model, view):
    props = view.flat()[1]["0"][1]
    assert props["references"] == "this text"
    assert props["patch"] == f"“{OTHER}”, 15 tokens"
    assert ask(view, ["L2H0"], "patch")[0]["label"] == "L2H0 → patch"
    long = " ".join(["red cat"] * 20)
    told = mv.bench(model, TEXT, references=["red cat", long], neurons=0, table=()).flat()[1]["0"][1]["references"]
    assert told == f"“red cat”, 4 tokens; “{long[:63]}…”, 42 tokens"


@pytest.mark.parametrize("room", [1 << 20, 0])
def test_a_scan_goes_through_the_table_a_little_at_a_time(model, monkeypatch, room):
    """With thumbnails as a click's own where a browser has room for those of all edits."""
    monkeypatch.setattr(import_module("mechviz.bench"), "_SCAN_BYTES", room)
    monkeypatch.setattr(Runs, "sites", lambda self: iter(["L2H0", "L1H1", "L0H0"]))
    view = mv.bench(model, TEXT, neurons=0, table=["zero"])
    seen: list[str] = []
    while len(seen) < 3:
        value, arrays = view.answer("0", "scan", {"from": len(seen)})
        assert value["entries"] and value["whole"] == (room > 0)
        thumbs = arrays[3:]
        for entry, own in zip(value["entries"], value["patterns"], strict=True):
            seen.append(entry["key"])
            site, mode = entry["key"].split()
            asked, (_, _, _, *expected) = view.answer("0", "run", {"sites": [site], "mode": mode})
            assert asked["whole"] and own == (room > 0 and asked["patterns"][0])
            assert not own or np.array_equal(thumbs.pop(0), expected[0])
        assert not thumbs
    assert seen == ["L2H0 zero", "L1H1 zero", "L0H0 zero"]


def test_thumbnails_say_how_many_weights_a_cell_has(model):
    steps = [mv.bench(model, " cat" * n, neurons=0, table=()).flat()[1]["0"][1]["step"] for n in (47, 48, 97)]
    assert steps == [1, 2, 3]  # with BOS 48, 49 and 98 tokens to at most 48 cells


def test_without_a_token_it_is_the_most_probable_one(model):
    props = mv.bench(model, TEXT, neurons=0, table=()).flat()[1]["0"][1]
    assert (props["token"], props["minus"], props["position"]) == ("·Mary", None, 14)
    logit = props["clean"]["numbers"].numbers()[0, 0]
    assert logit == pytest.approx(float(model.trace(TEXT).logits[-1].max()), abs=1e-5)


def test_what_it_refuses(model, view):
    with pytest.raises(ValueError, match=r"patch must have as many tokens as the text, 15: .* got 3"):
        mv.bench(model, TEXT, patch="When Mary")
    with pytest.raises(ValueError, match="table must name kinds of edits, zero, mean, resample; got 'noise'"):
        mv.bench(model, TEXT, table=["noise"])
    with pytest.raises(ValueError, match="position must be"):
        mv.bench(model, TEXT, position=15)
    with pytest.raises(TypeError, match="position must be a whole number; got 'last'"):
        mv.bench(model, TEXT, position="last")
    with pytest.raises(ValueError, match="neurons must be at least 0; got -1"):
        mv.bench(model, TEXT, neurons=-1)
    with pytest.raises(TypeError, match="model must be one that mv.load gives, .*; got a str"):
        mv.bench("gpt2", TEXT)
    # one text would be as many as it has characters
    with pytest.raises(TypeError, match="references must be a list of texts; got the single text 'red cat'"):
        mv.bench(model, TEXT, references="red cat")
    with pytest.raises(ValueError, match="edit: 'L2Q0' is not a site"):
        mv.bench(model, TEXT, edit="L2Q0")
    with pytest.raises(ValueError, match="an edit is one of zero, mean, resample, patch; got 'half'"):
        ask(view, ["L2H0"], "half")
    with pytest.raises(ValueError, match="'L2Q0' is not a site"):
        ask(view, ["L2Q0"], "zero")
