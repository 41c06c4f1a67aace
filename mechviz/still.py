"""Pictures drawn in Python: what is seen where no script runs (untrusted notebooks, thumbnails)."""

from __future__ import annotations

import base64
import functools
import io
import re
from html import escape
from typing import Literal

import numpy as np

from mechviz.bundle import tokens_css

Theme = Literal["light", "dark"]


def image(rgb: np.ndarray, *, alt: str, width: int, height: int, smooth: bool = False) -> str:
    """An ``<img>`` of an array.

    Args:
        rgb: uint8 ``[row, column, 3]``, or ``[row, column, 4]`` with alpha.
        alt: What the picture shows, in words.
        width: Width on screen in CSS pixels.
        height: Height on screen in CSS pixels.
        smooth: Whether the array's pixels may be smoothed where they are scaled; cells may not, text should.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=4)  # made for every display: fast before small
    data = base64.b64encode(buffer.getvalue()).decode()
    style = f"{'' if smooth else 'image-rendering:pixelated;'}width:{width}px;height:{height}px"
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" style="{style}" src="data:image/png;base64,{data}">'


@functools.cache
def ramp(name: Literal["ink", "ember", "signed"], theme: Theme = "light") -> np.ndarray:
    """The 256 colours of a scale, uint8 ``[256, 3]``, from the same tokens.css as the browser's (js/src/color.ts)."""
    signed = name == "signed"
    stops = [*_arm("ember", theme)[::-1], *_arm("ink", theme)[1:]] if signed else _arm(name, theme)
    grid = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(grid, np.arange(len(stops)), [stop[c] for stop in stops]) for c in range(3)]
    colors = np.round(np.stack(channels, axis=1)).astype(np.uint8)
    colors.flags.writeable = False
    return colors


def _arm(name: str, theme: Theme) -> list[tuple[int, ...]]:
    # The light values come first in the file, the dark ones after them (twice, the same).
    css = tokens_css()
    stops = []
    for i in range(9):
        found = re.findall(rf"--mv-{name}-{i}: #([0-9a-f]{{6}})", css)
        stops.append(tuple(bytes.fromhex(found[0 if theme == "light" else 1])))
    return stops
