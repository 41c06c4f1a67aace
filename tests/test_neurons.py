"""`mv.neurons`: what is sent, in which order, what a live picture may ask for, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz._layered import Layered
from mechviz.text import as_tokens
from mechviz.views import _unit_slices, _units

WORDS = ["a", " b", " c"]
# [position, neuron]: N0 fires once, N1 everywhere, N2 nowhere, N3 is the opposite of N1 and one more.
LAYER = np.array([[0, 1, 0, -2], [4, 2, 0, -4], [0, 3, 0, -6]], np.float32)


def props(view):
    _, views = view.flat()
    ((kind, found),) = views.values()
    assert kind == "neurons"
    return found


def sent(array):
    encoded = array.encode()
    return wire.decode(encoded.header, encoded.data)


def columns(layer):
    """Ids and [unit, position] of what a layer keeps."""
    ids = [sent(part["ids"]) for part in layer["parts"]]
    return np.concatenate(ids).tolist(), np.concatenate([sent(part["values"]) for part in layer["parts"]])


def answer(view, name, **args):
    value, arrays = view.answer("0", name, args)
    return value, arrays


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "bool"])
def test_a_small_layer_arrives_whole_and_bit_for_bit(dtype):
    given = LAYER.astype(dtype)
    (layer,) = props(mv.neurons(WORDS, given))["layers"]
    ids, values = columns(layer)
    assert sorted(ids) == [0, 1, 2, 3]
    assert np.array_equal(values, given[:, ids].T)
    assert not any(part["values"].lazy for part in layer["parts"])


def test_large_integers_keep_every_digit():
    given = LAYER.astype(np.int64) + 2**52
    ids, values = columns(props(mv.neurons(WORDS, given))["layers"][0])
    assert np.array_equal(values.astype(np.int64), given[:, ids].T)


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("max", [3, 0, 1, 2]),  # by size: 6, 4, 3, 0
        ("mean", [1, 0, 2, 3]),  # 2, 4/3, 0, −4
        # 1 − (mean |a|)² / mean a²: 1 − (16/9)/(16/3) = 2/3; 1 − 4/(14/3) = 1/7, and the same for twice of it; none
        ("sparsity", [0, 1, 3, 2]),
        ("variance", [0, 3, 1, 2]),  # 32/9, 8/3, 2/3, 0
        ("index", [0, 1, 2, 3]),
    ],
)
def test_orders(order, ids):
    view = mv.neurons(WORDS, LAYER, order=order)
    assert columns(props(view)["layers"][0])[0] == ids
    _, (found, values) = answer(view, "slice", layer=0, order=order, at=None, start=0, count=4)
    assert found.tolist() == ids
    assert np.array_equal(values, LAYER[:, ids].T)


def test_order_of_what_is_not_negative_is_by_the_largest():
    assert columns(props(mv.neurons(WORDS, LAYER[:, :3]))["layers"][0])[0] == [0, 1, 2]


@pytest.mark.parametrize(
    ("order", "at", "ids"),
    [
        ("token", 2, [3, 1, 0, 2]),  # sizes 6, 3, 0, 0
        ("token", 1, [0, 3, 1, 2]),  # 4, 4, 2, 0: equal ones by number
        # with N1: itself 1, N0 0 (it fires in the middle), N3 −1, N2 none
        ("similar", 1, [1, 0, 3, 2]),
    ],
)
def test_orders_by_a_token_and_by_likeness(order, at, ids):
    _, (found, _) = answer(mv.neurons(WORDS, LAYER), "slice", layer=0, order=order, at=at, start=0, count=4)
    assert found.tolist() == ids


def test_the_page_that_holds_a_neuron():
    view = mv.neurons(WORDS, LAYER)
    value, (found, _) = answer(view, "slice", layer=0, order="mean", at=None, count=2, around=2)
    assert (value, found.tolist()) == ({"start": 2}, [2, 3])


def test_certain_columns():
    _, (found, values) = answer(mv.neurons(WORDS, LAYER), "columns", layer=0, ids=[3, 9, 0])
    assert found.tolist() == [3, 0]  # there is no ninth
    assert np.array_equal(values, LAYER[:, [3, 0]].T)


def test_the_strongest_of_each_token_are_of_the_whole_layer():
    (layer,) = props(mv.neurons(WORDS, LAYER, neurons=[2]))["layers"]
    assert sent(layer["top"]).tolist() == [[3, 1, 0, 2], [0, 3, 1, 2], [3, 1, 0, 2]]
    assert sent(layer["top_values"])[1].tolist() == [4, -4, 2, 0]


def test_nan_is_counted_and_left_out_of_orders():
    given = LAYER.copy()
    given[:, 1] = np.nan  # N1 has no score: last in every order but "index"
    given[0, 0] = np.inf
    for order in ("max", "mean", "sparsity", "variance"):
        (layer,) = props(mv.neurons(WORDS, given, order=order))["layers"]
        assert columns(layer)[0][-1] == 1 or order == "sparsity"  # N2 is all 0: no sparsity either
    # limits are of what is finite: −6 … 6; 3 NaN, one infinite above
    assert sent(layer["facts"]).tolist() == [-6, 6, 3, 1, 0]
    assert sent(layer["top"])[0].tolist() == [0, 3, 2, 1]


def test_infinity_is_the_largest_and_left_out_of_other_statistics():
    layer = np.array([[0, 1, np.nan, 2, np.nan], [5, -np.inf, np.inf, 4, np.nan], [9, 1, 3, np.nan, np.nan]])
    signed, plain = _units.ranked(layer, True).scores, _units.ranked(layer, False).scores
    np.testing.assert_array_equal(signed["max"], [9, np.inf, np.inf, 4, np.nan])
    np.testing.assert_array_equal(plain["max"], [9, 1, np.inf, 4, np.nan])
    np.testing.assert_array_equal(plain["mean"], [14 / 3, 1, 3, 3, np.nan])
    np.testing.assert_array_equal(plain["variance"][1:], [0, 0, 1, np.nan])
    assert _units.order_of(_units.ranked(layer, False), layer, "max", None, False).tolist() == [2, 0, 3, 1, 4]
    nothing = np.full((2, 2), -np.inf)
    assert _units.ranked(nothing, False).scores["max"].tolist() == [-np.inf] * 2


def test_likeness_is_over_the_positions_at_which_both_have_a_number():
    given = np.vstack([[np.nan, 5, 1, 0], LAYER])  # what the first token has counts for nothing with N0
    given[1, 2] = np.inf
    # with N0 [4 in the middle of the last three]: N1 and N3 0, N2 is the same at both that count; with N1 (5 1 2 3):
    # N2 (1 . 0 0) 0.94, N3 (0 −2 −4 −6) 0.38, N0 0
    for unit, ids in [(0, [0, 1, 3, 2]), (1, [1, 2, 3, 0])]:
        _, (found, _) = answer(mv.neurons(["x", *WORDS], given), "slice", layer=0, order="similar", at=unit, count=4)
        assert found.tolist() == ids


def large(layers=3, positions=40, neurons=900):
    rng = np.random.default_rng(0)
    return rng.normal(size=(layers, positions, neurons)).astype(np.float32)


def words(n):
    return [f" t{i}" for i in range(n)]


def test_a_large_stack_keeps_the_first_of_its_order(monkeypatch):
    monkeypatch.setattr(_unit_slices, "_SMALL", 1000)
    given = large()
    found = props(mv.neurons(words(40), given, neurons=10, order="variance"))
    for layer, numbers in zip(found["layers"], given, strict=True):
        ids, values = columns(layer)
        assert ids == np.argsort(-numbers.var(0), kind="stable")[:10].tolist()
        assert np.array_equal(values, numbers[:, ids].T)
    assert (found["units"], found["count"], found["whole"]) == (900, 10, False)
    lazy = [[part["values"].lazy for part in layer["parts"]] for layer in found["layers"]]
    assert lazy == [[False], [True], [True]]


def test_all_of_a_layer_is_cut_into_parts():
    given = large(1, 700, 900)
    (layer,) = props(mv.neurons(words(700), given, neurons="all"))["layers"]
    sizes = [len(part["values"].encode().data) for part in layer["parts"]]
    assert max(sizes) <= _units.AT_ONCE
    ids, values = columns(layer)
    assert sorted(ids) == list(range(900))
    assert np.array_equal(values, given[0][:, ids].T)


def test_nothing_larger_than_four_megabytes_crosses_at_once():
    given = np.zeros((12, 1024, 3072), np.float32)
    given[:, ::7, ::5] = 1
    view = mv.neurons(words(1024), given, gate=given, up=given)
    first = view.widget.arrays
    assert sum(map(len, first.values())) < 1 << 20
    later = [array for array in _arrays(props(view)["layers"]) if array.lazy]
    assert len(later) == 5 + 11 * 7 - 3  # ids, values, gate, up, facts, top, top_values; four of the first are there
    assert max(len(array.encode().data) for array in later) < 1 << 20
    for name, args in [
        ("slice", {"order": "mean", "at": None, "start": 64, "count": 4000}),
        ("columns", {"ids": range(3072)}),
    ]:
        _, arrays = answer(view, name, layer=5, **args)
        assert 1 << 20 < sum(array.nbytes for array in arrays) < 4 << 20  # asked for all, given as much as may cross


def _arrays(value):
    if isinstance(value, wire.Array):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [array for item in items for array in _arrays(item)]


def test_chosen_neurons_stand_alone_in_the_order():
    found = props(mv.neurons(WORDS, np.stack([LAYER, LAYER]), neurons={1: [2, 0]}))
    assert [columns(layer)[0] if layer["parts"] else [] for layer in found["layers"]] == [[], [0, 2]]
    assert found["whole"] and found["only"]


@pytest.mark.parametrize("chosen", [["L5N3", mv.Neuron(7, 1)], {7: [3], 5: [1]}, {2: [], 5: [0]}])
def test_the_first_layer_with_a_chosen_neuron_is_open(chosen):
    view = mv.neurons(WORDS, [LAYER] * 3, layers=[2, 5, 7], neurons=chosen)
    assert props(view)["open"] == 1
    assert "1 of 4 neurons, by max" in view.still()
    assert props(mv.neurons(WORDS, [LAYER] * 3, layers=[2, 5, 7], neurons=chosen, layer=2))["open"] == 0


@pytest.mark.parametrize("chosen", [["L7N3", mv.Neuron(7, 1)], {7: [3, 1]}, [3, 1]])
def test_neurons_by_address(chosen):
    found = props(mv.neurons(WORDS, [LAYER], layers=[7], neurons=chosen))
    assert columns(found["layers"][0])[0] == [3, 1]


class Counted(dict):
    """Layers that say when they are read."""

    def __init__(self, layers):
        super().__init__()
        self.read = []
        for number, values in layers.items():
            self[number] = lambda number=number, values=values: (self.read.append(number), values)[1]


def test_a_lazy_stack_is_read_when_it_is_opened():
    made = Counted({2: LAYER, 5: -LAYER})
    stack = Layered(made, name="neurons", missing={3: "it has no MLP"})
    view = mv.neurons(WORDS, stack, layer=5)
    found = props(view)
    assert made.read == [5]
    assert [layer["number"] for layer in found["layers"]] == [2, 5]
    assert found["missing"] == "no neurons of layer 3: it has no MLP"
    assert columns(found["layers"][0])[1].max() == 4
    assert made.read == [5, 2]
    assert [layer["number"] for layer in props(mv.neurons(WORDS, stack, layers=[5]))["layers"]] == [5]


def test_gate_and_up_come_with_what_is_asked():
    view = mv.neurons(WORDS, LAYER, gate=LAYER + 10, up=LAYER + 20)
    (layer,) = props(view)["layers"]
    assert np.array_equal(sent(layer["parts"][0]["gate"]), columns(layer)[1] + 10)
    _, arrays = answer(view, "columns", layer=0, ids=[1])
    assert [array.tolist() for array in arrays] == [[1], [[1, 2, 3]], [[11, 12, 13]], [[21, 22, 23]]]


def test_scale_is_of_each_layer_unless_it_is_asked_for():
    stack = np.stack([LAYER, 2 * LAYER])
    own = [sent(layer["facts"])[:2].tolist() for layer in props(mv.neurons(WORDS, stack))["layers"]]
    assert own == [[-6, 6], [-12, 12]]
    asked = props(mv.neurons(WORDS, stack, limits=(-5, 5)))
    # −6 lies below; of twice of it −8 and −12 below, 6 and 8 above
    assert [sent(layer["facts"]).tolist() for layer in asked["layers"]] == [[-5, 5, 0, 0, 1], [-5, 5, 0, 2, 2]]
    assert asked["ramp"] == "signed"


def test_bfloat16_and_a_trace_of_the_embedded_model():
    torch = pytest.importorskip("torch")
    (layer,) = props(mv.neurons(WORDS, torch.tensor(LAYER, dtype=torch.bfloat16)))["layers"]
    assert np.array_equal(columns(layer)[1], LAYER[:, columns(layer)[0]].T)
    trace = mv.load().trace("Anna gave the key to Peter.")
    found = props(mv.neurons(trace.tokens, trace.neurons))
    for layer in found["layers"]:
        ids, values = columns(layer)
        assert np.array_equal(values, trace.neurons[layer["number"]].numpy()[:, ids].T)


def test_names_and_kinds():
    found = props(mv.neurons(WORDS, LAYER, kind="features", names={3: "dogs\x00"}))
    assert (found["names"], found["axis"], found["letter"]) == ({"3": "dogs⟨U+0000⟩"}, "features", "F")
    assert props(mv.neurons(WORDS, LAYER, kind="directions", names=list("wxyz")))["names"] == list("wxyz")
    assert props(mv.neurons(WORDS, LAYER, kind="residual"))["axis"] is None
    assert "Residual stream" in repr(mv.neurons(WORDS, LAYER, kind="residual"))


def test_a_small_array_that_is_filled_again_does_not_change_the_picture():
    given = LAYER.copy()
    view = mv.neurons(WORDS, given)
    given[:] = 9
    assert answer(view, "columns", layer=0, ids=[1])[1][1].tolist() == [[1, 2, 3]]


def test_still_shows_text_and_cells_and_json_opens_again(tmp_path):
    view = mv.neurons(as_tokens(WORDS), LAYER, name="post", unit="a.u.")
    still = view.still()
    assert "N3" in still and "4 of 4 neurons, by max" in still and "data:image/png" in still
    again = mv.open(view.save(tmp_path / "n.json"))
    assert columns(props(again)["layers"][0])[1].tolist() == columns(props(view)["layers"][0])[1].tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activations": LAYER[:2]}, ValueError, "(position, neuron) == (3, …), one row per token; got (2, 4)"),
        ({"activations": LAYER[:2].T}, ValueError, "got (4, 2)"),
        ({"activations": LAYER.T[:2]}, ValueError, "got (2, 3); transpose it"),
        ({"activations": LAYER[None, None]}, ValueError, "got (1, 1, 3, 4)"),
        ({"activations": np.zeros((3, 0))}, ValueError, "none of them 0; got (3, 0)"),
        ({"activations": ["a", "b", "c"]}, TypeError, "activations must hold real numbers"),
        ({"layers": [1, 2]}, ValueError, "layers must hold 1 different numbers"),
        ({"layer": 4}, ValueError, "layer must be one of"),
        ({"neurons": 0}, ValueError, "neurons must be at least 1; got 0"),
        ({"neurons": [4]}, ValueError, "neurons must be below 4"),
        ({"neurons": ["L3H1"]}, ValueError, "addresses of neurons"),
        (
            {"neurons": ["N2"]},
            ValueError,
            "neurons must be numbers or addresses of neurons such as \"L3N17\"; got 'N2'",
        ),
        ({"neurons": []}, ValueError, "neurons must name at least one; got []"),
        ({"neurons": {3: [1]}}, ValueError, "got one of layer 3: pass layers=[3] if that is its number"),
        ({"neurons": {3: [1]}, "layers": [2]}, ValueError, "the layers that are shown, 2; got layer 3"),
        (
            {"activations": [LAYER, LAYER[:, :3]]},
            ValueError,
            "activations[1] must have shape (position, neuron) == (3, 4)",
        ),
        ({"neurons": "some"}, ValueError, "got 'some'"),
        ({"neurons": 1.5}, TypeError, "got 1.5"),
        ({"order": "size"}, ValueError, "order must be one of max, mean"),
        ({"kind": "heads"}, ValueError, "kind must be one of neurons"),
        ({"names": ["a"]}, ValueError, "one string for each of 4 columns; got 1"),
        ({"names": [1, 2, 3, 4]}, TypeError, "names must be strings"),
        ({"names": {"a": "b"}}, TypeError, "names must be by number where they are a dict; got the key 'a'"),
        ({"names": {4: "b"}}, ValueError, "names must be of numbers 0 … 3; got the key 4"),
        ({"gate": LAYER}, ValueError, "gate and up go together"),
        ({"gate": LAYER, "up": LAYER[:, :2]}, ValueError, "up[0] must have shape"),
        ({"limits": (-1, 2), "scale": "signed"}, ValueError, "symmetric"),
    ],
)
def test_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        mv.neurons(**{"tokens": WORDS, "activations": LAYER, **options})


def test_a_list_of_layers_with_a_gate_for_one_is_refused():
    with pytest.raises(ValueError, match="gate must"):
        mv.neurons(WORDS, [LAYER, LAYER], gate=[LAYER], up=[LAYER])


def test_a_dict_of_layers_by_their_numbers():
    a, b = np.arange(6.0).reshape(2, 3), 10 + np.arange(6.0).reshape(2, 3)
    view = mv.neurons(["x", "y"], {4: a, 7: b}, gate={4: a, 7: b}, up={4: a, 7: b})
    assert [layer["number"] for layer in view.flat()[1]["0"][1]["layers"]] == [4, 7]
    both = {4: a, 7: b}
    (layer,) = mv.neurons(["x", "y"], both, layers=[7], gate=both, up=both).flat()[1]["0"][1]["layers"]
    assert layer["number"] == 7 and layer["top_values"].numbers().max() == 15
    with pytest.raises(ValueError, match=r"layers must be of those that activations has, \[4, 7\]; got 5"):
        mv.neurons(["x", "y"], {4: a, 7: b}, layers=[5])
    with pytest.raises(TypeError, match="the keys of activations must be a list of numbers"):
        mv.neurons(["x", "y"], {"blocks.4": a})
