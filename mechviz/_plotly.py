"""Views as Plotly figures, for people's own layouts: `View.to_plotly`, in one template that looks as mechviz does.

The templates "mechviz" and "mechviz_dark" are registered when the first figure is made, and can then be used for
figures of one's own: ``fig.update_layout(template="mechviz")``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mechviz._factor_pack import weights_from
from mechviz._plotly_look import MONO, TEMPLATES, Theme, coloraxis, colors_of, numbers, plain, plotly_objects, ticks
from mechviz._plotly_maps import heatmap, predicted

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_MARKERS = ("circle", "square", "triangle-up", "diamond", "cross")


def figure_of(kind: str, props: Mapping[str, Any], selection: Mapping[str, Sequence[int]], theme: Theme) -> Any:
    """The Plotly figure of one view.

    Args:
        kind: The view's: "scatter", "lines", "bars", "attention" or "tokens".
        props: What its component is given.
        selection: What is picked; the head that is open.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ModuleNotFoundError: Plotly is not installed.
        TypeError: a view of this kind has no Plotly figure.
        ValueError: `theme` is something else.
    """
    if theme not in TEMPLATES:
        raise ValueError(f"theme must be light or dark; got {theme!r}")
    if kind not in _MAKERS:
        raise TypeError(f"to_plotly() is there for {', '.join(_MAKERS)}; a {kind} view has no Plotly figure")
    go = plotly_objects()
    figure = go.Figure()
    _MAKERS[kind](go, figure, props, theme, selection)
    title = " ".join(filter(None, (props["frame"]["title"], props["frame"]["site"])))
    figure.update_layout(template=TEMPLATES[theme], title=figure.layout.title.text or plain(title))
    return figure


def _scatter(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    x, y = numbers(props["x"]), numbers(props["y"])
    names = _names(props, x.size)
    said = {direction: plain(axis["label"]) for direction, axis in props["axes"].items()}
    hover = f"%{{text}}<br>{said['x']} %{{x}}<br>{said['y']} %{{y}}<extra></extra>"
    common = {"mode": "markers", "hovertemplate": hover}
    draw = go.Scattergl if x.size > 5000 else go.Scatter  # what browsers draw without a pause
    groups, shade = props["groups"], props["shade"]
    if groups is None:
        marker: dict[str, Any] = {"size": _size(x.size)}
        if shade is not None:
            marker |= {"color": numbers(shade["values"]), "coloraxis": "coloraxis"}
            figure.update_layout(coloraxis=coloraxis(shade["scale"], shade["label"], theme))
        figure.add_trace(draw(x=x, y=y, text=names, marker=marker, **common))
    else:
        index = numbers(groups["index"])
        for i, name in enumerate(map(plain, groups["names"])):
            mine = index == i
            marker = {"size": _size(x.size), "symbol": _MARKERS[min(i, 4)]} | (
                {} if i < 5 else {"color": colors_of(theme)["line2"]}
            )
            text = [label for label, here in zip(names, mine.tolist(), strict=True) if here]
            figure.add_trace(draw(x=x[mine], y=y[mine], name=name, text=text, marker=marker, **common))
    _axes(figure, props["axes"])


def _lines(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    x, y = numbers(props["x"]), numbers(props["y"])
    low, high = (None if props[end] is None else numbers(props[end]) for end in ("low", "high"))
    color = colors_of(theme)
    colors = [color[f"cat-{i}"] for i in range(1, 6)]
    for line, name in enumerate(map(plain, props["names"])):
        drawn = colors[line] if line < 5 else color["line2"]
        if low is not None and high is not None:
            fill = "rgba({}, {}, {}, 0.16)".format(*bytes.fromhex(drawn[1:]))
            edge = {"x": x, "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
            figure.add_trace(go.Scatter(y=low[line], legendgroup=name, **edge))
            figure.add_trace(go.Scatter(y=high[line], fill="tonexty", fillcolor=fill, legendgroup=name, **edge))
        style = {"color": drawn} | ({"width": 1.75, "dash": _DASHES[line]} if line < 5 else {"width": 1})
        figure.add_trace(go.Scatter(x=x, y=y[line], name=name, legendgroup=name, mode="lines", line=style))
    figure.update_layout(showlegend=len(props["names"]) > 1)
    _axes(figure, props["axes"])


def _bars(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    values = numbers(props["values"])
    names = _names(props, values.size)
    more, less = (colors_of(theme)[f"{name}-5"] for name in ("ink", "ember"))
    error = None
    if props["low"] is not None:
        low, high = numbers(props["low"]), numbers(props["high"])
        error = {"type": "data", "array": high - values, "arrayminus": values - low, "thickness": 1, "width": 3}
        error["color"] = colors_of(theme)["fg"]
    flat = props["horizontal"]
    along, ends = ("y", "x") if flat else ("x", "y")
    color = np.where(values < 0, less, more)
    trace = go.Bar({along: names, ends: values, f"error_{ends}": error, "marker": {"color": color}})
    figure.add_trace(trace.update(orientation="h" if flat else "v"))
    axis = props["axes"]["y"]
    title = {"text": plain(axis["label"])}
    limits = props["axes"][ends]["limits"]
    if flat:
        figure.update_layout(xaxis={"title": title, "range": limits}, yaxis={"autorange": "reversed"})
    else:
        figure.update_layout(
            yaxis={"title": title, "range": limits}, xaxis={"title": {"text": plain(props["axes"]["x"]["label"])}}
        )


def _attention(
    go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Mapping[str, Sequence[int]]
) -> None:
    """The open head as a heat map; what is masked is not drawn."""
    props = _sheet(props, selection)
    heads = props["heads"]
    first = heads[props["open"]]
    picked = [*selection["layers"][:1], first["layer"]][0], [*selection["heads"][:1], first["head"]][0]
    head = next((head for head in heads if (head["layer"], head["head"]) == picked), first)
    weights = _weights(head["values"]).astype(np.float64)
    if props["causal"]:
        weights = np.where(np.tri(*weights.shape, dtype=bool), weights, np.nan)
    queries, keys = (list(map(plain, (tokens or props["tokens"])["label"])) for tokens in (None, props["key_tokens"]))
    hover = "%{customdata} reads from %{text}<br>%{z}<extra></extra>"
    text, customdata = np.broadcast_arrays(np.array(keys)[None, :], np.array(queries)[:, None])
    trace = go.Heatmap(
        z=weights, coloraxis="coloraxis", text=text, customdata=customdata, hovertemplate=hover, xgap=1, ygap=1
    )
    figure.add_trace(trace)
    # By number, since tokens repeat; tokens are named by the ticks.
    side = {"tickfont": {"family": MONO, "size": 11}, "showgrid": False, "zeroline": False}
    every_q, every_k = (max(1, -(-len(names) // 40)) for names in (queries, keys))
    figure.update_layout(
        title=plain(" ".join((props["frame"]["title"], head["name"]))),
        coloraxis=coloraxis(props["scale"], props["quantity"], theme),
        xaxis={
            **side,
            "title": "key",
            "side": "top",
            "constrain": "domain",
            "constraintoward": "left",
            "tickangle": -90,
            **ticks(keys, every_k),
        },
        yaxis={
            **side,
            "title": {"text": "query", "standoff": 8},
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
            **ticks(queries, every_q),
        },
    )


def _sheet(props: Mapping[str, Any], selection: Mapping[str, Sequence[int]]) -> Mapping[str, Any]:
    """The stack and the text that are open, where there are several."""
    if "sheets" not in props:
        return props
    count, part = len(props["texts"]), props["part"]
    text = next((text for text in selection["texts"] if text < count), 0)
    sheet, first = (props["sheets"][part * count + i] for i in (text, 0))
    heads = sheet["heads"]
    if heads is None:  # they travel together
        whole = numbers(sheet["values"])
        heads = [{**head, "values": whole[i]} for i, head in enumerate(first["heads"])]
    return {**props, **sheet, "heads": heads}


def _tokens_bars(go: Any, figure: Any, props: Mapping[str, Any], theme: Theme, selection: Any) -> None:
    """One bar a token, in the colours of its scale."""
    if props["values"] is None:
        raise TypeError("to_plotly() draws the values of tokens, and this view has none")
    values, labels = numbers(props["values"]), list(map(plain, props["tokens"]["label"]))
    quantity = ", ".join(filter(None, (props["quantity"]["name"], props["quantity"]["unit"]))) or "value"
    hover = f"%{{customdata}}, position %{{x}}<br>{quantity} %{{y}}<extra></extra>"
    figure.add_trace(
        go.Bar(y=values, customdata=labels, hovertemplate=hover, marker={"color": values, "coloraxis": "coloraxis"})
    )
    if props["scale"] is not None:
        figure.update_layout(coloraxis={**coloraxis(props["scale"], quantity, theme), "showscale": False})
    named = ticks(labels, max(1, -(-len(labels) // 60)))
    figure.update_layout(
        yaxis={"title": quantity},
        xaxis={"tickfont": {"family": MONO, "size": 11}, "tickangle": -90, "showgrid": False, **named},
    )


def _weights(values: Any) -> np.ndarray:
    """A head of attention, [query, key]: as it is, or computed from its queries and keys."""
    return weights_from(values, numbers) if isinstance(values, Mapping) else numbers(values)


def _names(props: Mapping[str, Any], count: int) -> list[str]:
    """A name for each point, as the browser has it (js/src/parts/charttrack.svelte.ts)."""
    points = props["points"]
    if points["labels"] is not None or "tokens" in props:
        return list(map(plain, points["labels"] or props["tokens"]["label"]))
    axes = {axis: numbers(column).tolist() for axis, column in points["axes"].items()}
    for axis, letter in (("heads", "H"), ("neurons", "N")):
        if axis in axes:
            return [f"L{layer}{letter}{unit}" for layer, unit in zip(axes["layers"], axes[axis], strict=True)]
    return [f"{points['noun']} {i}" for i in range(count)]


def _axes(figure: Any, axes: Mapping[str, Any]) -> None:
    for name, axis in axes.items():
        limits = axis["limits"]
        reach = np.log10(limits).tolist() if limits and axis["log"] else limits
        figure.update_layout(
            {
                f"{name}axis": {
                    "title": plain(axis["label"]),
                    "type": "log" if axis["log"] else "linear",
                    "range": reach,
                }
            }
        )


def _size(count: int) -> float:
    return 8 if count <= 150 else 6 if count <= 600 else 4 if count <= 5000 else 2


_MAKERS: dict[str, Callable[[Any, Any, Mapping[str, Any], Theme, Any], None]] = {
    "scatter": _scatter,
    "lines": _lines,
    "bars": _bars,
    "attention": _attention,
    "tokens": _tokens_bars,
    "heatmap": heatmap,
    "lens": predicted,
    "predictions": predicted,
}
