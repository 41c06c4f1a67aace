"""`mv.heatmap`: what is sent, which scale is chosen, what rows and columns stand for, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz._matrix_still import pooled
from mechviz.views import _matrix


def props(view):
    _, views = view.flat()
    ((kind, found),) = views.values()
    assert kind == "heatmap"
    return found


def sent(array):
    encoded = array.encode()
    return wire.decode(encoded.header, encoded.data)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_small_matrices_arrive_bit_for_bit(dtype):
    values = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
    (item,) = props(mv.heatmap(values))["items"]
    assert not item["values"].lazy
    assert sent(item["values"]).tolist() == values.tolist()


def test_a_stack_is_one_array_a_matrix_and_one_scale():
    found = props(mv.heatmap(np.array([[[0.0, 1.0]], [[-3.0, np.nan]]]), matrices=["a", "b"], matrix=1))
    assert [sent(item["values"]).shape for item in found["items"]] == [(1, 2), (1, 2)]
    assert found["scale"] == {"ramp": "signed", "limits": [-3.0, 3.0]}
    assert [item["nan"] for item in found["items"]] == [0, 1]
    assert found["open"] == 1
    assert found["matrices"]["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "options", "scale"),
    [
        ([[0, 2]], {}, ("ink", [0, 2])),
        ([[1, 2]], {}, ("ink", [0, 2])),
        ([[-1, 4]], {}, ("signed", [-4, 4])),
        ([[0.0, -np.inf]], {}, ("signed", [-1, 1])),
        ([[0, 0]], {}, ("ink", [0, 1])),
        ([[np.nan, np.nan]], {}, ("ink", [0, 1])),
        ([[1, 2]], {"scale": "signed"}, ("signed", [-2, 2])),
        ([[1, 2]], {"limits": (1, 3)}, ("ink", [1, 3])),
    ],
)
def test_limits_are_of_the_data_unless_they_are_given(values, options, scale):
    found = props(mv.heatmap(values, **options))["scale"]
    assert (found["ramp"], found["limits"]) == scale


def test_numbers_beyond_the_limits_are_counted():
    (item,) = props(mv.heatmap([[0.0, 1.5, np.inf], [-0.5, np.nan, 1.0 + 1e-9]], scale="ink", limits=(0, 1)))["items"]
    assert (item["above"], item["below"], item["nan"]) == (2, 1, 1)


def test_what_rows_and_columns_stand_for():
    tokens = mv.Tokens(("a", "·a"), ("a", " a"), (0, 1), (False,) * 2, (None,) * 2)
    found = props(mv.heatmap(np.zeros((3, 2)), row_points={"layers": [4, 8, 9]}, columns=tokens))
    assert found["rows"]["axes"]["layers"].numbers().tolist() == [4, 8, 9]
    assert found["rows"]["noun"] == found["rows"]["title"] == "layer"
    assert found["columns"]["axes"]["positions"].numbers().tolist() == [0, 1]
    assert found["columns"]["labels"] == ["a", "·a"]
    assert found["columns"]["mono"]
    sites = props(mv.heatmap(np.zeros((2, 2)), row_points=["L0H3", mv.Head(5, 1)], column_label="key"))
    assert sites["rows"]["labels"] == ["L0H3", "L5H1"]
    assert {axis: column.numbers().tolist() for axis, column in sites["rows"]["axes"].items()} == {
        "layers": [0, 5],
        "heads": [3, 1],
    }
    assert sites["columns"]["axes"] == {}
    assert sites["columns"]["title"] == "key"


def test_the_same_name_may_stand_twice():
    assert props(mv.heatmap(np.zeros((2, 2)), rows=["x", "x"]))["rows"]["labels"] == ["x", "x"]


def test_a_large_matrix_is_fetched_when_it_is_needed_and_shown_small_until_then():
    values = np.zeros((600, 500))
    values[599, 499] = -2
    found = props(mv.heatmap(values))
    array = found["items"][0]["values"]
    # 300,000 numbers are 2.4 MB as float64; float16 makes 0.6 MB of them, which is sent at once.
    assert (array.encode().header["dtype"], array.lazy) == ("float16", False)
    # 1.2 MB is not.
    found = props(mv.heatmap(np.tile(values, (1, 2)), limits=(-2, 2)))
    assert found["items"][0]["values"].lazy
    small = found["preview"].numbers()
    # 5 rows and 8 columns to a cell: ceil(600 / 128), ceil(1000 / 128)
    assert small.shape == (120, 125)
    assert small.min() == -2


def test_pooling_keeps_the_largest_and_never_hides_a_nan():
    matrix = np.array([[1.0, -5.0, 0.0, np.nan], [2.0, 3.0, 0.0, 0.0]])
    assert pooled(matrix, (1, 2), signed=False)[0, 0] == 3
    assert pooled(matrix, (1, 2), signed=True)[0, 0] == -5
    assert np.isnan(pooled(matrix, (1, 2), signed=True)[0, 1])


def test_a_live_picture_asks_for_rows_exactly():
    values = np.random.default_rng(0).random((3, 4, 5))
    view = mv.heatmap(values, precision="sqrt8")
    assert view.answer("0", "value", {"head": 2, "query": 1}).tolist() == values[2, 1].tolist()


def test_the_buffer_may_be_filled_again():
    values = np.ones((2, 2))
    view = mv.heatmap(values)
    values[:] = 7
    assert sent(props(view)["items"][0]["values"]).tolist() == [[1, 1], [1, 1]]


def test_still_says_what_is_drawn():
    html = mv.heatmap([[0.0, 2.0]], row_points="layers", name="norm").still()
    assert "norm from 0 to 2" in html
    assert "1 × 2 cells (layer by column)" in html
    assert 'src="data:image/png' in html


@pytest.mark.parametrize(
    ("error", "match", "values", "options"),
    [
        (ValueError, r"values must have shape \(row, column\) or \(matrix, row, column\); got \(3,\)", [1, 2, 3], {}),
        (ValueError, r"at least one row and one column; got shape \(0, 3\)", np.zeros((0, 3)), {}),
        (TypeError, "values must hold real numbers", [["a"]], {}),
        (ValueError, "rows must hold one string for each of 1 rows; got 2", [[1]], {"rows": ["a", "b"]}),
        (TypeError, r"columns must be a list of strings.*got \[3\]: write numbers as", [[1]], {"columns": [3]}),
        (ValueError, r"beyond 2\*\*53 .*; values has 1 … 9007199254740993: pass floats", [[1, 2**53 + 1]], {}),
        (TypeError, "rows must be a list of strings", [[1]], {"rows": "a"}),
        (ValueError, "row_points must be one of layers", [[1]], {"row_points": "planets"}),
        (
            ValueError,
            "column_points must hold one entry for each of 1 columns; got 2",
            [[1]],
            {"column_points": ["L0H0"] * 2},
        ),
        (ValueError, r"row_points\['layers'\] must hold 1 indices", [[1]], {"row_points": {"layers": [1, 2]}}),
        (ValueError, "must name axes of a selection", [[1]], {"row_points": {"planets": [1]}}),
        (ValueError, "matrix must be 0 to 0; got 1", [[1]], {"matrix": 1}),
        (TypeError, "matrix must be the number", [[1]], {"matrix": "a"}),
        (ValueError, "symmetric", [[1]], {"scale": "signed", "limits": (0, 1)}),
        (ValueError, 'precision="sqrt8" carries', [[2.0]], {"precision": "sqrt8"}),
        (ValueError, "precision must be one of", [[2.0]], {"precision": "int4"}),
    ],
)
def test_what_does_not_fit_is_refused(error, match, values, options):
    with pytest.raises(error, match=match):
        mv.heatmap(values, **options)


def test_too_many_cells_or_bytes_name_the_argument():
    one = np.zeros(1)
    with pytest.raises(ValueError, match=r"values must hold at most 16,777,216 numbers; got \(4097, 4096\)"):
        _matrix.check_size(np.broadcast_to(one, (4097, 4096)), "auto", name="values")
    # 3000 × 3000 × 8 bytes are 68.7 MiB
    with pytest.raises(ValueError, match=re.escape("precision='exact' makes 69 MB of values")):
        _matrix.check_size(np.broadcast_to(one, (3000, 3000)), "exact", name="values")
    assert _matrix.check_size(np.broadcast_to(one - 1, (4096, 4096)), "auto", name="values") == "float16"


def test_a_special_token_goes_by_its_role_on_an_axis():
    text = mv.Tokens(("<|end|>", "·cat"), ("<|end|>", " cat"), (0, 1), (True, False), ("BOS", None), (0, 1))
    columns = props(mv.heatmap([[1.0, 2.0]], columns=text))["columns"]
    assert columns["labels"] == ["BOS", "·cat"]
    assert props(mv.heatmap([[1.0, 2.0]], column_points=text))["columns"]["labels"] == ["BOS", "·cat"]


# ---- what stays in the kernel -----------------------------------------------------------------------------------------


def ask(view, name, **args):
    return view.answer("0", name, {"heads": [0], "reading": None, **args})


def large(dtype=np.float32, **options):
    """5.2 million numbers: more than one message carries."""
    values = np.random.default_rng(0).normal(0, 1, (2300, 2270)).astype(dtype)
    return values, mv.heatmap(values, precision="exact", **options)


def test_a_large_matrix_stays_in_the_kernel_and_travels_with_a_file():
    values, view = large()
    (item,) = props(view)["items"]
    assert item["values"] == {"remote": [2300, 2270]}
    assert props(view)["preview"].shape == (128, 127)
    saved = view.flat("file")[1]["0"][1]["items"][0]["values"]
    assert saved.lazy and saved.source is not None
    np.testing.assert_array_equal(sent(saved), values)
    assert "remote" not in view.to_html()
    small = mv.heatmap(values[:1000, :1000], precision="float16")  # 2 MB
    assert "value" in small._spec.answers and "cells" not in small._spec.answers


def every(view, rows, cols):
    """All bands of a rectangle of cells, and the largest message."""
    found, sizes = [], []
    while sum(map(len, found)) < len(rows) - 1:
        _, (cells,) = ask(view, "cells", rows=rows, cols=cols, **{"from": sum(map(len, found)), "pooling": "max"})
        found.append(cells)
        sizes.append(cells.nbytes)
    return np.concatenate(found), max(sizes)


@pytest.mark.parametrize("scale", ["signed", "ink"])
@pytest.mark.parametrize("step", [(1, 1), (3, 5)])
def test_cells_are_pooled_as_the_browser_pools_them_and_no_message_is_large(scale, step):
    values, _ = large()
    values[7, 9], values[100, 200] = np.nan, -9
    view = mv.heatmap(values, precision="exact", scale=scale)
    down, across = step
    rows, cols = [*range(0, 2300, down), 2300], [*range(0, 2270, across), 2270]
    cells, largest = every(view, rows, cols)
    assert largest <= 2.1 * wire.MB
    squares = np.full((-(-2300 // down) * down, -(-2270 // across) * across), -np.inf, np.float32)
    squares[:2300, :2270] = values
    squares = squares.reshape(len(rows) - 1, down, len(cols) - 1, across)
    high = squares.max((1, 3))
    squares[squares == -np.inf] = np.inf
    low = squares.min((1, 3))
    np.testing.assert_array_equal(cells, np.where(np.abs(low) > np.abs(high), low, high) if scale == "signed" else high)
    assert np.isnan(cells[7 // down, 9 // across])  # never hidden
    # edges that are even travel as three numbers
    part, _ = every(view, [10, 20, 30], [5, 6])
    _, (same,) = ask(view, "cells", rows={"from": 10, "to": 30, "step": 10}, cols=[5, 6], **{"from": 0})
    np.testing.assert_array_equal(part, same)


def test_rows_columns_and_peaks_are_the_numbers_themselves():
    values, view = large(np.float64)
    _, (row,) = ask(view, "line", direction="from", index=17)
    _, (column,) = ask(view, "line", direction="by", index=2269)
    assert row.dtype == np.float64
    np.testing.assert_array_equal(row, values[17])
    np.testing.assert_array_equal(column, values[:, 2269])
    query, key = np.unravel_index(np.abs(values[50:60, 60:70]).argmax(), (10, 10))
    assert ask(view, "peak", rows=[50, 60], cols=[60, 70]) == {"query": 50 + query, "key": 60 + key}
    values[52, 61], values[55, 65] = np.nan, -20  # NaN is what a cell shows
    assert ask(mv.heatmap(values, precision="exact"), "peak", rows=[50, 60], cols=[60, 70]) == {"query": 52, "key": 61}


@pytest.mark.filterwarnings("error")
def test_stills_of_numbers_as_far_apart_as_they_reach_have_the_colours_of_small_ones():
    values = np.array([-1.5, 0, 1.0])

    def colours(view):
        return re.findall(r'src="[^"]*"|background[^;"]*', view.still())

    for view in (lambda x: mv.heatmap(x[None]), lambda x: mv.tokens(["a", "b", "c"], x)):
        assert colours(view(1e308 * values)) == colours(view(values))
