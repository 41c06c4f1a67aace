"""Charts drawn in Python: axes, marks and names as one image, for where no script runs; light theme."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from mechviz._visible import prose
from mechviz.bundle import tokens_css
from mechviz.still import image, ramp

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_WIDTH, _HEIGHT = 640, 320
_TALLEST = 840
_SCALE = 2  # pixels for one CSS pixel: text is smooth
_CROWD = 2000
_SIDES = (0, 4, 3, -4, 5, 0)  # of the marker of each group; −4 is a square on its corner
_SIGNS = "●■▲◆⬟"
_MOST = 20_000  # points of a line that are drawn one by one
_TEXT, _LINE, _GREY, _GROUND = (0x64, 0x6B, 0x74), (0xD9, 0xDD, 0xE2), (0x86, 0x8D, 0x96), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Marks:
    """What a chart draws: the same columns as the browser's (js/src/parts/chartmodel.svelte.ts)."""

    kind: str
    x: np.ndarray
    y: np.ndarray
    axes: Mapping[str, Mapping[str, Any]]
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    group: np.ndarray | None = None
    shade: Mapping[str, Any] | None = None
    names: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    horizontal: bool = False


def chart_still(marks: Marks, title: str) -> str:
    """One image of a chart, 640 CSS pixels wide, under its title; what cannot be placed is left out."""
    height = min(_TALLEST, 44 + 20 * max(3, marks.y.size)) if marks.horizontal else _HEIGHT
    drawing = _Drawing(marks, height)
    drawing.draw()
    title = prose(title)
    what = {"points": "point", "lines": "value", "bars": "bar"}[marks.kind]
    count = f"{marks.y.size:,} {what}{'' if marks.y.size == 1 else 's'}"
    label = marks.axes["y"]["label"]
    words = f"{title}: {count}, {label}" + ("" if marks.kind == "bars" else f" by {marks.axes['x']['label']}")
    picture = image(np.asarray(drawing.canvas), alt=words, width=_WIDTH, height=height, smooth=True)
    legend = _legend(marks.groups) if marks.groups else ""
    return f"<div><b>{escape(title)}</b> {escape(words[len(title) + 2 :])}</div>{legend}{picture}"


class _Drawing:
    def __init__(self, marks: Marks, height: int) -> None:
        from PIL import Image, ImageDraw, ImageFont

        self.marks = marks
        self.canvas = Image.new("RGB", (_WIDTH * _SCALE, height * _SCALE), _GROUND)
        self.pen: ImageDraw.ImageDraw = ImageDraw.Draw(self.canvas)
        self.font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.load_default(10 * _SCALE)
        flat = marks.horizontal
        along, up = (marks.y, marks.x) if flat else (marks.x, marks.y)
        self.logs = {direction: bool(marks.axes[direction]["log"]) for direction in "xy"}
        self.x, self.y = _placed(along, self.logs["x"]), _placed(up, self.logs["y"])
        ends = "x" if flat else "y"
        self.low, self.high = (
            None if end is None else _placed(end, self.logs[ends]) for end in (marks.low, marks.high)
        )
        self.reach = {"x": self._reach("x"), "y": self._reach("y")}
        names = max((len(name) for name in marks.names or ()), default=0) if flat else 0
        self.box = (
            max(46, min(180, 10 + 6 * names)),
            8 if flat else 22,
            _WIDTH - (70 if marks.kind == "lines" else 16),
            height - 36,
        )

    def _reach(self, direction: str) -> tuple[float, float]:
        marks, limits = self.marks, self.marks.axes[direction]["limits"]
        if limits is not None:
            return tuple(_placed(np.array(limits), self.logs[direction]).tolist())  # type: ignore[return-value]
        bars, base = marks.kind == "bars", "y" if marks.horizontal else "x"
        if bars and direction == base:
            return -0.5, marks.y.size - 0.5
        columns = [getattr(self, direction)] + [
            end for end in (self.low, self.high) if end is not None and direction != base
        ]
        values = np.concatenate([column.ravel() for column in columns])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        if bars:
            low, high = min(low, 0.0), max(high, 0.0)
        room = (high - low) * (0.0 if marks.kind == "lines" and direction == "x" else 0.05) or (
            0.5 if low == high else 0
        )
        return low - room * (low != 0 or not bars), high + room * (high != 0 or not bars or low == high)

    def at(self, direction: str, values: np.ndarray) -> np.ndarray:
        """Pixels of values in units of an axis."""
        low, high = self.reach[direction]
        left, top, right, bottom = self.box
        down = direction == "y" and not self.marks.horizontal
        start, end = ((bottom, top) if down else (top, bottom)) if direction == "y" else (left, right)
        return (start + (np.asarray(values, np.float64) - low) / (high - low) * (end - start)) * _SCALE

    def draw(self) -> None:
        """All of it: grid and ticks, marks, names."""
        self._grid()
        with np.errstate(invalid="ignore"):
            {"points": self._points, "lines": self._lines, "bars": self._bars}[self.marks.kind]()

    def _grid(self) -> None:
        left, top, right, bottom = (edge * _SCALE for edge in self.box)
        marks, flat = self.marks, self.marks.horizontal
        for direction in "xy":
            if marks.kind == "bars" and direction == ("y" if flat else "x"):
                continue
            for value, text in ticks(*self.reach[direction], self.logs[direction]):
                at = float(self.at(direction, np.array(value)))
                ends = (at, top, at, bottom) if direction == "x" else (left, at, right, at)
                self.pen.line(ends, fill=_LINE, width=1)
                where = (at, bottom + 4 * _SCALE) if direction == "x" else (left - 6 * _SCALE, at)
                self._text(where, text, "ma" if direction == "x" else "rm")
        x_label = marks.axes["y" if flat else "x"]["label"]
        self._text((right, bottom + 18 * _SCALE), x_label, "ra")
        if not flat:
            self._text((0, 4 * _SCALE), marks.axes["y"]["label"], "la")

    def _points(self) -> None:
        x, y = self.at("x", self.x), self.at("y", self.y)
        left, top, right, bottom = (edge * _SCALE for edge in self.box)
        inside = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))  # NaN is not
        colors = self._colors()
        if inside.size > _CROWD:
            pixels = np.asarray(self.canvas).copy()
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                pixels[y[inside].astype(int) + dy, x[inside].astype(int) + dx] = colors[inside]
            from PIL import Image

            self.canvas = Image.fromarray(pixels)
            return
        r = 3 * _SCALE
        for i in inside.tolist():
            left, top = float(x[i]), float(y[i])
            edge = _GREY if self.marks.shade else _GROUND
            look = {"fill": tuple(colors[i].tolist()), "outline": edge}
            sides = 0 if self.marks.group is None else _SIDES[min(int(self.marks.group[i]), 5)]
            if sides:
                self.pen.regular_polygon((left, top, r * 1.2), abs(sides), rotation=45 if sides < 0 else 0, **look)
            else:
                self.pen.ellipse((left - r, top - r, left + r, top + r), **look)

    def _colors(self) -> np.ndarray:
        """uint8 [point, 3]."""
        palette, count, shade = _categories(), self.marks.y.size, self.marks.shade
        if shade is not None:
            low, high = shade["scale"]["limits"]
            half = shade["values"].astype(np.float64) / 2  # of halves the difference is finite
            place = np.clip((half - low / 2) / (high / 2 - low / 2), 0, 1)
            index = np.round(np.where(np.isnan(place), 0, place) * 255).astype(int)
            return np.where(np.isnan(place)[:, None], np.array(_GREY, np.uint8), ramp(shade["scale"]["ramp"])[index])
        group = np.zeros(count, int) if self.marks.group is None else np.minimum(self.marks.group, 5).astype(int)
        return palette[group]

    def _lines(self) -> None:
        x = self.at("x", self.x)
        every = max(1, self.x.size // _MOST)
        palette = _categories()
        order = range(self.y.shape[0] - 1, -1, -1)  # the first lies on top
        low, high = (None if end is None else self.at("y", end) for end in (self.low, self.high))
        for line in order:
            if low is None or high is None:
                break
            pale = tuple(round(0.84 * 255 + 0.16 * c) for c in palette[min(line, 5)].tolist())
            for along, below, above in _runs(x, low[line], high[line]):
                outline = np.concatenate([along, along[::-1], below, above[::-1]]).reshape(2, -1).T
                self.pen.polygon(outline.ravel().tolist(), fill=pale)
        for line in order:
            color = tuple(palette[min(line, 5)].tolist())
            y = self.at("y", self.y[line])
            for part in _runs(x, y):
                places: list[float] = np.stack(part, 1)[::every].ravel().tolist()
                if len(places) > 2:
                    self.pen.line(places, fill=color, width=round(1.5 * _SCALE))
                else:  # alone between gaps
                    self.pen.point(places, fill=color)
            finite = np.flatnonzero(np.isfinite(y))
            if self.marks.names and self.y.shape[0] > 1 and finite.size and line < 8:
                where = (float(x[finite[-1]]) + 5 * _SCALE, float(y[finite[-1]]))
                self._text(where, self.marks.names[line], "lm", color)

    def _bars(self) -> None:
        flat = self.marks.horizontal
        base, value = ("y", "x") if flat else ("x", "y")
        more, less = _color("ink-5"), _color("ember-5")
        zero = float(self.at(value, np.array(0.0)))
        ends, places = self.at(value, self.marks.y), self.at(base, np.arange(self.marks.y.size))
        half = max(0.5, 0.36 * abs(float(places[1] - places[0]) if places.size > 1 else 14 * _SCALE))
        for i in np.flatnonzero(np.isfinite(ends)).tolist():
            along, across = sorted((zero, float(ends[i]))), (float(places[i]) - half, float(places[i]) + half)
            box = (along[0], across[0], along[1], across[1]) if flat else (across[0], along[0], across[1], along[1])
            self.pen.rectangle(box, fill=more if self.marks.y[i] >= 0 else less)
        if flat and self.marks.names:
            for place, name in zip(places.tolist(), self.marks.names, strict=True):
                self._text(((self.box[0] - 6) * _SCALE, place), name[:28], "rm")

    def _text(self, where: tuple[float, float], text: str, anchor: str, color: tuple[int, ...] = _TEXT) -> None:
        # The built-in font has few glyphs; what it lacks would be a box.
        plain = (
            text.translate({ord("·"): " ", ord("−"): "-", ord("…"): "..."})
            .encode("latin-1", "replace")
            .decode("latin-1")
        )
        self.pen.text(where, plain, fill=color, font=self.font, anchor=anchor)


def ticks(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Round ticks in units of an axis, and their texts: 1, 2 or 5 times a power of ten apart, or powers of ten."""
    if log and high - low >= 1:
        every = max(1, math.ceil((high - low) / 6))
        return [
            (float(p), f"{10.0**p:g}")
            for p in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
            if p % every == 0
        ]
    if log:
        return [(math.log10(v), t) for v, t in ticks(10**low, 10**high, False) if v > 0]
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    values = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return [
        (value, f"{value:,.{decimals}f}" if abs(value) < 1e6 and decimals < 6 else f"{value:g}") for value in values
    ]


def _placed(values: np.ndarray, log: bool) -> np.ndarray:
    if not log:
        return values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values.astype(np.float64)), np.nan)


def _runs(*columns: np.ndarray) -> list[list[np.ndarray]]:
    """The stretches without a gap, of several columns alike."""
    finite = np.isfinite(np.stack(columns)).all(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(int)))
    return [[column[a:b] for column in columns] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _categories() -> np.ndarray:
    """Five colours and grey, uint8 [6, 3]."""
    return np.array([*(_color(f"cat-{i}") for i in range(1, 6)), _GREY], np.uint8)


def _color(name: str) -> tuple[int, ...]:
    """A colour of tokens.css, where the light values come first."""
    found = re.search(rf"--mv-{name}: #([0-9a-f]{{6}})", tokens_css())
    if found is None:
        raise LookupError(f"tokens.css has no colour {name}")
    return tuple(bytes.fromhex(found[1]))


def _legend(names: Sequence[str]) -> str:
    """Groups by marker, which the sanitisers of notebooks leave alone."""
    items = []
    for i, name in enumerate(names[:5]):
        color = "#{:02x}{:02x}{:02x}".format(*_color(f"cat-{i + 1}"))
        items.append(f'<span style="color:{color}">{_SIGNS[i]}</span>&nbsp;{escape(name)}')
    if len(names) > 5:
        items.append(f'<span style="color:#868d96">{_SIGNS[0]}</span>&nbsp;{escape(", ".join(names[5:]))}')
    return f"<div>{' &ensp; '.join(items)}</div>"
