"""`mv.heatmap`: any matrix, or a stack of them, as cells of one colour scale with the names of rows and columns."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._matrix_still import matrix_still, pooled
from mechviz.arrays import Quantity, Scale, quantity_of, to_numpy
from mechviz.view import View, display
from mechviz.views._matrix import beyond, check_size, height_of, is_large, scaled, side_of, size_of
from mechviz.views._matrix_asked import LARGE, Asked
from mechviz.views._quantity import named

_PREVIEW = 128


@display
def heatmap(
    values: Any,
    *,
    rows: Any = None,
    columns: Any = None,
    matrices: Any = None,
    row_points: Any = None,
    column_points: Any = None,
    matrix_points: Any = None,
    row_label: str | None = None,
    column_label: str | None = None,
    matrix: int = 0,
    name: str | None = None,
    unit: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    precision: wire.Precision = "auto",
    title: str = "Heat map",
) -> View:
    """A matrix of numbers as coloured cells, or a stack of matrices one of which is open: patching, scores, weights.

    Hovering a cell reads the names of its row and column and its number; a click picks it. Where `row_points` and
    `column_points` say what rows and columns stand for, this is the selection of the figure: with layers down and heads
    across a click opens the head in `mechviz.attention` beside it, with positions it marks the token in
    `mechviz.tokens`. Arrow keys move, Enter picks, Esc lets go, ``[`` and ``]`` open the matrix before and after.
    Plus, minus and Ctrl with the wheel show a part of a large matrix, a drag moves it, 0 shows all again. Names that would
    collide are left out; the one that is pointed at is always there. What is smaller than a pixel is
    pooled, and says so: a cell then shows the largest number of a rectangle (signed: the one furthest from 0).

    Args:
        values: [row, column] or [matrix, row, column], of any real dtype, up to 16,777,216 numbers. A `Quantity` on
            the array sets name, unit, scale and limits, as far as they are not given here.
        rows: A name for each row: a list of strings, or `Tokens`, which then are what rows stand for. The same name
            may stand several times. By default 0, 1, … or what `row_points` are called.
        columns: The same for columns.
        matrices: The same for the matrices of a stack.
        row_points: What rows stand for: "layers", "heads", "neurons", "features", "positions", "queries", "keys",
            "steps", "texts" or "vocabulary" where they are 0, 1, …; ``{"layers": [4, 8]}`` where they are others; a list
            of sites (``["L0H0", mv.Neuron(3, 17)]``); or `Tokens`. Without it rows stand for nothing.
        column_points: The same for columns.
        matrix_points: The same for the matrices of a stack.
        row_label: What rows are, beside the axis; by default what they stand for.
        column_label: The same for columns.
        matrix: The matrix that is open at first.
        name: What the numbers are, such as "logit difference".
        unit: Their unit.
        scale: "ink" (zero to more), "ember" (zero to more surprise) or "signed" (symmetric round zero). By default
            "signed" when a number is negative, else "ink".
        limits: Numbers at the two ends of the scale, symmetric for "signed". By default from 0 to the largest of all
            matrices, or to the largest size on both sides. They are printed on the colour bar.
        precision: How numbers travel: "exact" for the dtype of `values`, "float32", "float16" or "sqrt8" (8 bits of the
            square root, for numbers in 0 … 1); "auto" takes the dtype up to 1 MB, then float16, or sqrt8 where that may
            be. In a live picture the row that is read is asked from the kernel and exact all the same, and of a matrix
            of more than 4 MB so is what is drawn, as it is looked at; elsewhere numbers say their error.
        title: Heads the picture.

    NaN is hatched and counted in the foot, and hides what it is pooled with; a number beyond the limits, infinity among
    them, has the end's colour with a bar on top and is counted.

    Raises:
        TypeError: `values` are no real numbers, names are no strings, points none of the above.
        ValueError: `values` have another number of axes, no row or column, or too many cells; names or points are more
            or fewer than rows; integers lie beyond 2**53; `matrix`, `scale`, `limits` or `precision` do not fit, or make too
            many bytes.

    Example:
        >>> mv.heatmap([[0.1, -0.4], [0.0, 0.9]], rows=["L0", "L1"], columns=["H0", "H1"], name="logit difference")
        <mechviz heatmap 'Heat map'>
    """
    stack = _stack(values)
    count, down, across = stack.shape
    sides = {
        "rows": side_of(rows, row_points, down, name="rows", points_name="row_points", title=row_label),
        "columns": side_of(
            columns, column_points, across, name="columns", points_name="column_points", title=column_label
        ),
    }
    layers = side_of(matrices, matrix_points, count, name="matrices", points_name="matrix_points", title=None)
    opened = _opened(matrix, count)
    travels = check_size(stack, precision, name="values")
    quantity = named(quantity_of(values), name, unit, scale, limits)
    ramp, ends = scaled(stack, quantity)
    said = Quantity(quantity.name, quantity.unit, ramp, ends)
    large = is_large(stack, travels)
    unit_interval = travels == "sqrt8"

    asked = size_of(stack[0], travels) > LARGE
    outside = [beyond(matrix, ends) for matrix in stack]

    def items(*, live: bool) -> list[dict[str, Any]]:
        def values(i: int) -> Any:
            if live and asked:
                return {"remote": [down, across]}
            return wire.Array(stack[i], travels, probabilities=unit_interval, lazy=large)

        return [{"values": values(i), **outside[i]} for i in range(count)]

    tokens = next((side.points.tokens for side in sides.values() if side.points.tokens is not None), None)
    small = pooled(stack[opened], (_PREVIEW, _PREVIEW), signed=ramp == "signed") if large else None
    return View.of(
        "heatmap",
        {
            "items": items(live=True),
            "matrices": layers.to_props(),
            **{key: side.to_props() for key, side in sides.items()},
            "open": opened,
            "preview": None if small is None else wire.Array(small.astype(np.float32)),
            "quantity": ", ".join(filter(None, (quantity.name, quantity.unit))),
            "scale": {"ramp": ramp, "limits": list(ends)},
        },
        title=title,
        provenance=({} if tokens is None else dict(tokens.provenance)) | {"precision": travels},
        answers={
            "value": lambda args: stack[index(args["head"])][index(args["query"])],
            **(Asked(stack, signed=ramp == "signed").answers() if asked else {}),
        },
        saved=(lambda _twin: {"items": items(live=False)}) if asked else None,
        still=lambda: matrix_still(
            stack[opened],
            said,
            title if count == 1 else f"{title} {layers.name(opened)}",
            f"{down} × {across} cells ({sides['rows'].title} by {sides['columns'].title})",
        ),
        height=lambda width: 56 + 30 + (30 if count > 1 else 0) + 50 + height_of(width, down, across) + 40,
    )


def _stack(values: Any) -> np.ndarray:
    """[matrix, row, column], a copy: a buffer that is filled again would change what the scale was made for."""
    array = to_numpy(values, name="values")
    if array.ndim not in (2, 3):
        raise ValueError(f"values must have shape (row, column) or (matrix, row, column); got {array.shape}")
    if not array.size:
        raise ValueError(f"values must hold at least one row and one column; got shape {array.shape}")
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array.copy()
    return array if array.ndim == 3 else array[None]


def _opened(matrix: Any, count: int) -> int:
    try:
        found = index(matrix)
    except TypeError:
        raise TypeError(f"matrix must be the number of a matrix; got {matrix!r}") from None
    if not 0 <= found < count:
        raise ValueError(f"matrix must be 0 to {count - 1}; got {found}")
    return found


def example() -> View:
    """How much a logit difference comes back when one layer's output at one position is patched; made up."""
    words = "When| Mary| and| John| went| to| the| shop|,| John| gave| a| drink| to".split("|")
    layer, position = np.mgrid[:8, : len(words)]
    rng = np.random.default_rng(7)
    early = np.exp(-((layer - 1.5) ** 2) / 4) * (position == 9)
    late = np.exp(-((layer - 7) ** 2) / 6) * (position == 13)
    back = np.exp(-((layer - 4) ** 2) / 1.5) * (position == 9)
    values = np.stack(
        [0.9 * early + late, 0.1 * early + 0.8 * late - 0.35 * back, 0.7 * early * (layer < 3) - 0.2 * back]
    )
    values = (values + rng.normal(0, 0.03, values.shape)).astype(np.float32)
    return heatmap(
        values,
        row_points="layers",
        columns=words,
        column_points="positions",
        matrices=["residual", "attention", "MLP"],
        name="logit difference recovered",
        title="Patching",
    )
