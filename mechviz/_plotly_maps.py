"""Matrices as Plotly heat maps: `mechviz.heatmap`, `lens` and `predictions`, and results of analyses (there bars too)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechviz._plotly_look import MONO, TEMPLATES, Theme, coloraxis, colors_of, numbers, plain, plotly_objects, ticks

_LETTERS = {"layer": "L", "head": "H", "neuron": "N"}
_NAMED = 60  # names along an axis


def matrix(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    quantity: str,
    scale: Mapping[str, Any] | None = None,
    title: str = "",
    sides: tuple[str, str] = ("", ""),
    theme: Theme = "light",
) -> Any:
    """A figure of one matrix, for results of analyses; NaN is not drawn.

    Raises:
        ModuleNotFoundError: Plotly is not installed.
        ValueError: `theme` is neither "light" nor "dark".
    """
    go, figure = _begin(theme)
    said = _scale_of(values) if scale is None else scale
    _draw(go, figure, values, rows, columns, quantity=quantity, scale=said, sides=sides, theme=theme)
    return figure.update_layout(template=TEMPLATES[theme], title=plain(title))


def bars(
    names: Sequence[str], values: Sequence[float], *, quantity: str, title: str = "", theme: Theme = "light"
) -> Any:
    """A figure of named numbers, one below the other, for results of analyses: blue for more, orange for less.

    Raises:
        ModuleNotFoundError: Plotly is not installed.
        ValueError: `theme` is neither "light" nor "dark".
    """
    go, figure = _begin(theme)
    more, less = (colors_of(theme)[f"{ramp}-5"] for ramp in ("ink", "ember"))
    color = np.where(np.asarray(values) < 0, less, more)
    figure.add_trace(go.Bar(x=list(values), y=list(map(plain, names)), orientation="h", marker={"color": color}))
    figure.update_layout(xaxis={"title": plain(quantity)}, yaxis={"autorange": "reversed"})
    return figure.update_layout(template=TEMPLATES[theme], title=plain(title))


def _begin(theme: Theme) -> tuple[Any, Any]:
    """plotly.graph_objects and an empty figure."""
    if theme not in TEMPLATES:
        raise ValueError(f"theme must be light or dark; got {theme!r}")
    go = plotly_objects()
    return go, go.Figure()


def heatmap(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    """The matrix that is open, of a `mechviz.heatmap`."""
    rows, columns, layers = (props[side] for side in ("rows", "columns", "matrices"))
    opened = _picked(layers, selection, props["open"])
    names = [_names(side) for side in (rows, columns)]
    values = numbers(props["items"][opened]["values"])
    sides = (rows["title"], columns["title"])
    _draw(go, figure, values, *names, quantity=props["quantity"], scale=props["scale"], sides=sides, theme=theme)
    if layers["count"] > 1:
        figure.update_layout(title=plain(f"{props['frame']['title']} {_names(layers)[opened]}"))


def predicted(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    """Probabilities of a `mechviz.lens` or of `mechviz.predictions`, with the token in each cell."""
    measure = props["measures"][props["open"]]
    values = numbers(measure["values"])  # [row, position]
    top = numbers(props["top"])  # [layer, position, k]
    # Of a lens each row is a layer with its first token, of predictions the first, second, … token of the one layer.
    said = top[..., 0] if props["kl"] is not None else top[0].T
    cells = np.array(props["names"], dtype=object)[said]
    figure_of = {"quantity": measure["name"], "scale": {"ramp": measure["ramp"], "limits": measure["limits"]}}
    sides = (props["rows"]["title"], props["columns"]["title"])
    names = [_names(props[side]) for side in ("rows", "columns")]
    _draw(go, figure, values, *names, **figure_of, sides=sides, theme=theme, cells=cells)


def _draw(
    go: Any,
    figure: Any,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    quantity: str,
    scale: Mapping[str, Any],
    sides: tuple[str, str],
    theme: Theme,
    cells: np.ndarray | None = None,
) -> None:
    down, across = list(map(plain, rows)), list(map(plain, columns))
    # By number, since tokens repeat; names stand at the ticks and in what is said of a cell.
    text, customdata = np.broadcast_arrays(np.array(across)[None, :], np.array(down)[:, None])
    hover = f"{plain(sides[0])} %{{customdata[0]}}, {plain(sides[1])} %{{customdata[1]}}<br>%{{z}}<extra></extra>"
    shown = None if cells is None else np.vectorize(plain, otypes=[object])(cells)
    gap = 1 if max(values.shape) <= 100 else 0
    figure.add_trace(
        go.Heatmap(
            z=values.astype(np.float64),
            coloraxis="coloraxis",
            customdata=np.stack([customdata, text], axis=-1),
            text=shown,
            texttemplate=None if shown is None else "%{text}",
            textfont={"family": MONO, "size": 11},
            hovertemplate=hover,
            xgap=gap,
            ygap=gap,
        )
    )
    side = {"showgrid": False, "zeroline": False, "tickfont": {"size": 11}}
    every = [max(1, -(-len(names) // _NAMED)) for names in (down, across)]
    upright = sum(map(len, columns)) > 120  # names that do not fit beside one another
    figure.update_layout(
        coloraxis=coloraxis(scale, quantity, theme),
        xaxis={
            **side,
            "title": plain(sides[1]),
            "side": "top",
            "tickangle": -90 if upright else 0,
            **ticks(across, every[1]),
        },
        yaxis={**side, "title": plain(sides[0]), "autorange": "reversed", **ticks(down, every[0])},
    )


def _names(side: Mapping[str, Any]) -> list[str]:
    """The names of rows or columns, as the browser has them (sideName in js/src/parts/matrix.ts)."""
    if side["labels"] is not None:
        return list(side["labels"])
    axes = [numbers(column).tolist() for column in side["axes"].values()]
    index = axes[0] if len(axes) == 1 else range(side["count"])
    return [f"{_LETTERS.get(side['noun'], '')}{i}" for i in index]


def _picked(side: Mapping[str, Any], selection: Mapping[str, Sequence[int]], default: int) -> int:
    """The matrix of a stack that is picked; the first one is open where none is."""
    axes = {axis: numbers(column).tolist() for axis, column in side["axes"].items()}
    wanted = [selection[axis][0] if selection[axis] else None for axis in axes]
    if not axes or None in wanted:
        return default
    places = list(zip(*axes.values(), strict=True))
    return places.index(tuple(wanted)) if tuple(wanted) in places else default


def _scale_of(values: np.ndarray) -> dict[str, Any]:
    """Signed where a number is negative, else from 0; symmetric, and never of no width."""
    finite = values[np.isfinite(values)]
    size = float(np.abs(finite).max(initial=0.0)) or 1.0
    return {"ramp": "signed", "limits": [-size, size]} if (finite < 0).any() else {"ramp": "ink", "limits": [0.0, size]}
