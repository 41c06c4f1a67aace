"""`mv.bars`: one bar a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz import wire
from mechviz._chart_still import Marks, chart_still
from mechviz.view import View, display
from mechviz.views._chart import axis, band_of, numbers, points_of

_LYING = 40  # more bars than these stand: a page is not long enough for them


@display
def bars(
    values: Any,
    labels: Any = None,
    *,
    points: Any = None,
    band: Any = None,
    horizontal: bool | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "Bars",
) -> View:
    """One bar a number, from zero: blue for more, orange for less, its value beside it.

    Hovering reads a bar; a click picks it, Shift-click adds one, a drag selects several. Where `points` says what they
    stand for, this is the selection of the figure. Wheel (after a click into the chart), pinch and ``+`` ``-`` ``0``
    zoom along the bars. A bar's length is its value, so there is no logarithmic axis; where bars are narrower than a
    pixel, each column of pixels reaches as far as its longest.

    Args:
        values: [bar], in the unit that `y_label` names, of any real dtype; or [layer, head] or [layer, neuron].
        labels: A name for each bar; by default the site's or the token's.
        points: What a bar stands for: a list of sites (``["L0.attn", "L0.mlp", "L1H3"]``), `Tokens`, ``"tokens"`` or
            ``"steps"``, or ``"heads"`` or ``"neurons"`` for values of shape (layer, head) or (layer, neuron). Without
            it bars stand for nothing, and are picked in this chart alone.
        band: The error of each value: two arrays, (low, high), of the shape of `values`, drawn as a whisker.
        horizontal: Bars that lie, one below the other, with names to be read. By default up to 40 named bars lie.
        x_label: What a bar is, such as "component"; only under bars that stand.
        y_label: Quantity and unit of the values, such as "logit"; by default those that the array carries.
        limits: Values at the ends of their axis, which should hold 0; by default it holds all.
        title: Heads the picture.

    A value that is NaN or infinite has no bar and is counted in the foot.

    Raises:
        TypeError: an argument holds no real numbers, `labels` are no strings, `points` is none of the above, `band` is
            no pair.
        ValueError: there are no values, shapes or counts do not fit, low is above high, a site is none, or integers lie
            beyond 2**53.

    Example:
        >>> mv.bars([1.2, -0.4], points=["L0.attn", "L0.mlp"], y_label="logit")
        <mechviz bars 'Bars'>
    """
    given = numbers(values, name="values")
    stands = points_of(points, given.shape, labels, count_of="bars")
    ends = band_of(band, given.shape)
    flat = given.ravel()
    low, high = (None, None) if ends is None else (end.ravel() for end in ends)
    known = stands.labels is not None or bool(stands.axes)
    names = stands.names(flat.size) if known else [str(i) for i in range(flat.size)]
    lying = known and flat.size <= _LYING if horizontal is None else bool(horizontal)
    value_axis = axis(y_label, values, "value", False, limits)
    axes = {"x": axis(x_label, None, "", False), "y": value_axis}
    if lying and limits is not None:  # on the screen the values then lie along x
        axes = {"x": {**axes["x"], "limits": value_axis["limits"]}, "y": {**value_axis, "limits": None}}
    props = {
        "values": wire.Array(flat),
        "low": None if low is None else wire.Array(low),
        "high": None if high is None else wire.Array(high),
        "axes": axes,
        "horizontal": lying,
        "points": {**stands.to_props(), "noun": stands.noun if stands.axes else "bar"},
    }
    marks = Marks("bars", np.arange(flat.size), flat, axes, low=low, high=high, names=names, horizontal=lying)
    tall = 44 + 20 * max(3, min(_LYING, flat.size))
    return View.of(
        "bars",
        props if stands.tokens is None else {**props, "tokens": stands.tokens.to_props()},
        title=title,
        provenance=None if stands.tokens is None else stands.tokens.provenance,
        still=lambda: chart_still(marks, title),
        height=lambda width: 56 + 30 + (tall if lying else round(max(240, min(340, 0.42 * min(width, 980))))) + 36,
    )


def example() -> View:
    """What each component adds to the logit of a token, as made-up contributions with the spread over prompts."""
    rng = np.random.default_rng(3)
    sites = [f"L{layer}.{part}" for layer in range(6) for part in ("attn", "mlp")]
    added = rng.normal(0, 0.35, len(sites)) + np.array([0, 0.3, 0.1, -0.4, 0.2, 0, 0.1, 0.5, 2.6, 0.4, 1.4, -1.1])
    spread = 0.1 + 0.25 * rng.random(len(sites)) + 0.1 * np.abs(added)
    return bars(
        added,
        points=sites,
        band=(added - spread, added + spread),
        y_label="contribution to the logit of ·Mary",
        title="Direct logit attribution",
    )
