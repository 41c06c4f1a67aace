"""How Plotly figures look: fonts, colours and scales of tokens.css as templates, and what their makers share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import numpy as np

from mechviz.bundle import tokens_css
from mechviz.still import ramp

Theme = Literal["light", "dark"]
TEMPLATES = {"light": "mechviz", "dark": "mechviz_dark"}

_MISSING = "Plotly is not installed: pip install 'mechviz-interp[plotly]'"
SANS = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
MONO = '"SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace'


def plotly_objects() -> Any:
    """plotly.graph_objects, with our templates registered."""
    try:
        import plotly.graph_objects as go
        import plotly.io
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_MISSING) from error
    for theme, name in TEMPLATES.items():
        if name not in plotly.io.templates:
            plotly.io.templates[name] = template(go, "dark" if theme == "dark" else "light")
    return go


def template(go: Any, theme: Theme) -> Any:
    """Fonts, colours and scales of tokens.css as a Plotly template."""
    color = colors_of(theme)
    axis = {
        "gridcolor": color["line"],
        "linecolor": color["line"],
        "zerolinecolor": color["line2"],
        "zerolinewidth": 1,
        "tickfont": {"size": 10, "color": color["fg3"]},
        "title": {"font": {"size": 11, "color": color["fg2"]}},
        "ticks": "",
        "automargin": True,
        "separatethousands": True,
    }
    ground = "#ffffff" if theme == "light" else "#111418"
    return go.layout.Template(
        layout={
            "font": {"family": SANS, "size": 12, "color": color["fg"]},
            "title": {
                "font": {"size": 14, "weight": 600},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "pad": {"l": 16},
            },
            "paper_bgcolor": ground,
            "plot_bgcolor": ground,
            "colorway": [color[f"cat-{i}"] for i in range(1, 6)],
            "colorscale": {
                "sequential": colorscale("ink", theme),
                "sequentialminus": colorscale("ember", theme)[::-1],
                "diverging": colorscale("signed", theme),
            },
            "coloraxis": {
                "colorbar": {
                    "outlinewidth": 0,
                    "thickness": 8,
                    "ticks": "",
                    "tickfont": {"size": 10, "color": color["fg3"]},
                    "title": {"font": {"size": 11, "color": color["fg2"]}, "side": "right"},
                }
            },
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"font": {"family": SANS, "size": 12}},
            "legend": {"font": {"size": 12, "color": color["fg2"]}},
            "margin": {"l": 56, "r": 16, "t": 48, "b": 48},
        }
    )


def colorscale(name: Literal["ink", "ember", "signed"], theme: Theme = "light") -> list[list[Any]]:
    """A scale of mechviz as Plotly wants it: [share, "#rrggbb"] at 17 even places."""
    colors = ramp(name, theme)
    places = np.linspace(0, 1, 17)
    return [[float(t), "#{:02x}{:02x}{:02x}".format(*colors[round(t * 255)])] for t in places]


def colors_of(theme: Theme) -> dict[str, str]:
    """Colours by name; in the file the light values come first, then the dark ones."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"--mv-([a-z0-9-]+): (#[0-9a-f]{6});", tokens_css().split("/* paper")[0]):
        if theme == "dark" or name not in found:
            found[name] = value
    return found


def plain(text: str) -> str:
    """Plotly reads a little HTML in any text; tokens are full of it."""
    return escape(text, quote=False)


def numbers(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.numbers()


def coloraxis(scale: Mapping[str, Any], label: str, theme: Theme) -> dict[str, Any]:
    low, high = scale["limits"]
    return {
        "cmin": low,
        "cmax": high,
        "colorscale": colorscale(scale["ramp"], theme),
        "colorbar": {"title": plain(label)},
    }


def ticks(labels: Sequence[str], every: int) -> dict[str, Any]:
    places = list(range(0, len(labels), every))
    return {"tickmode": "array", "tickvals": places, "ticktext": [labels[i] for i in places]}
