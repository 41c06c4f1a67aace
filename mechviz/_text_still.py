"""Token text drawn in Python: spans with background colours, for where no script runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from mechviz._visible import prose
from mechviz.arrays import Quantity, Scale
from mechviz.still import ramp
from mechviz.text import Tokens

# A still stands beside the live picture in every saved notebook: it may not outweigh it.
_STILL_TOKENS = 2000
_FOREGROUND = (0x16, 0x19, 0x1D)
_PLATE = "#f2f4f6"


def text_still(
    text: Tokens,
    values: np.ndarray | None,
    ramp_name: Scale,
    limits: tuple[float, float],
    title: str,
    quantity: Quantity,
    texts: Mapping[str, Any] | None = None,
    channels: int = 1,
) -> str:
    """The text as spans with background colours, which survive the sanitisers of notebooks; light theme.

    Args:
        text: The tokens; of a long text the first 2,000 are drawn, and the number of the others is said.
        values: One number per token; NaN is left without a fill. None draws every token on the plate.
        ramp_name: The scale's ramp.
        limits: Values at its ends.
        title: Stands above.
        quantity: Named beside the scale.
        texts: Of several texts the position at which each starts, and its label.
        channels: How many there are; the values are those of the first.
    """
    n = min(len(text), _STILL_TOKENS)
    styles = [f"background-color:{_PLATE};color:#16191d"] * n
    legend = ""
    if values is not None:
        palette = _styles(ramp_name)
        low, high = limits
        with np.errstate(invalid="ignore"):
            # Halves, whose difference is finite.
            places = np.clip((values[:n].astype(np.float64) / 2 - low / 2) / (high / 2 - low / 2), 0, 1) * 255
        styles = ["" if math.isnan(place) else palette[round(place)] for place in places.tolist()]
        swatches = "".join(f'<span style="{palette[k]}">&nbsp;&nbsp;</span>' for k in range(0, 256, 17))
        label = ", ".join(filter(None, (quantity.name, quantity.unit)))
        if not np.isnan(values).all():
            others = f" · the first of {channels} channels" if channels > 1 else ""
            legend = f"<div>{escape(label)} {low:.3g} {swatches} {high:.3g}{others}</div>"
    heads = dict(zip(texts["starts"], texts["labels"], strict=True)) if texts else {}
    spans = "".join(
        (f"{'<br>' * (k > 0)}<b>{escape(heads[k])}</b> " if k in heads else "")
        + f'<span style="{style}">{_prose(_based(shown or label, label))}</span>'
        + ("<br>" if shown.endswith("\n") else "")
        for k, (style, shown, label) in enumerate(zip(styles, text.shown[:n], text.label[:n], strict=True))
    )
    more = f"<div>… {len(text) - n:,} more tokens</div>" if len(text) > n else ""
    head = f"<div><b>{escape(prose(title))}</b></div>{legend}"
    return f'{head}<div style="font-family:monospace;white-space:pre-wrap;line-height:1.8">{spans}</div>{more}'


def _based(shown: str, label: str) -> str:
    """On the dotted circle of its label, where a text begins with a mark that would sit on the token before."""
    return f"◌{shown}" if label.startswith("◌") and not shown.startswith("◌") else shown


def _prose(shown: str) -> str:
    visible = "·" * len(shown) if not shown.strip(" ") else shown
    visible = visible.removesuffix("\n") + ("↵" if visible.endswith("\n") else "")
    return escape(visible.replace("\t", "⇥")).replace("\n", "↵<br>")


def _styles(ramp_name: Scale) -> list[str]:
    """Background and text colour of each of the 256 steps, text chosen as in js/src/color.ts."""
    return [
        f"background-color:#{r:02x}{g:02x}{b:02x};color:{_text_on((r, g, b))}" for r, g, b in ramp(ramp_name).tolist()
    ]


def _text_on(fill: tuple[int, int, int]) -> str:
    if _contrast(fill, _FOREGROUND) >= 7:
        return "#16191d"
    return "#000000" if _contrast(fill, (0, 0, 0)) >= _contrast(fill, (255, 255, 255)) else "#ffffff"


def _contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: tuple[int, int, int]) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
