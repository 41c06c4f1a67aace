"""`mv.scatter`: points by two numbers each."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz import wire
from mechviz._chart_still import Marks, chart_still
from mechviz._visible import prose
from mechviz.arrays import Scale, check_integers, quantity_of, to_numpy
from mechviz.view import View, display
from mechviz.views._chart import Log, Points, axis, check_log, numbers, points_of
from mechviz.views._quantity import check_symmetric, named


@display
def scatter(
    x: Any,
    y: Any,
    *,
    points: Any = None,
    labels: Any = None,
    color: Any = None,
    x_label: str | None = None,
    y_label: str | None = None,
    color_label: str | None = None,
    log: Log | None = None,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "Scatter",
) -> View:
    """Points by two numbers each, up to hundreds of thousands: what lies apart from the rest, and what goes together.

    Hovering a point reads its numbers; a click picks it, Shift-click adds one, a drag selects a rectangle. Where `points`
    says what they stand for, this is the selection of the figure: a scatter of heads opens the head that is clicked in
    `mechviz.attention` beside it, one of tokens marks the token in `mechviz.tokens`. Wheel (after a click into the
    chart), pinch and ``+`` ``-`` ``0`` zoom, a drag on an axis moves along it, ``l`` makes axes logarithmic. The points
    furthest from the middle are named, as far as there is room. Of more than 2,000 points in view each is a speck, and
    the colour is denser where they overlap.

    Args:
        x: [point], in the unit that `x_label` names, of any real dtype; or [layer, head] or [layer, neuron].
        y: As `x`, of the same shape.
        points: What a point stands for: a list of sites (``["L0H0", mv.Neuron(3, 17)]``), `Tokens` (``trace.tokens``),
            ``"tokens"`` or ``"steps"`` (points are positions or steps 0, 1, …), or ``"heads"`` or ``"neurons"`` for
            arrays of shape (layer, head) or (layer, neuron). Several heads are picked as pairs: ``selection.layers[i]``
            goes with ``selection.heads[i]``. Without it points stand for nothing, and are picked in this chart alone.
        labels: A name for each point, [point]; by default the site's or the token's.
        color: A group for each point (a list of strings: five colours, each with a marker of its own, then grey), or a
            number for each, [point], coloured on a scale.
        x_label: Quantity and unit, such as "loss, nats"; by default those that the array carries.
        y_label: The same for `y`.
        color_label: The same for a `color` of numbers.
        log: Logarithmic axes at first: "x", "y" or "xy".
        x_limits: What is shown at first; by default all points.
        y_limits: The same for `y`.
        scale: For a `color` of numbers: "ink", "ember" or "signed"; by default "signed" when one is negative, else "ink".
        limits: Numbers at the two ends of that scale.
        title: Heads the picture.

    A point whose x or y is NaN or infinite is left out and counted in the foot, and so is one that is not above 0 on a
    logarithmic axis; one whose color is NaN is grey.

    Raises:
        TypeError: an argument holds no real numbers, `points` is none of the above, `labels` are no strings, a limit is
            no number.
        ValueError: there are no points, shapes or counts do not fit, a site is none, or `log`, `scale` or limits do not
            fit; integers lie beyond 2**53.

    Example:
        >>> mv.scatter([0.1, 0.9], [0.8, 0.2], points=["L0H0", "L0H1"], x_label="entropy, nats", y_label="score")
        <mechviz scatter 'Scatter'>
    """
    along, up = numbers(x, name="x"), numbers(y, name="y")
    if along.shape != up.shape:
        raise ValueError(f"x and y must have one shape; got x {along.shape} and y {up.shape}")
    stands = points_of(points, along.shape, labels)
    logs = check_log(log)
    axes = {
        "x": axis(x_label, x, "x", "x" in logs, x_limits, name="x_limits"),
        "y": axis(y_label, y, "y", "y" in logs, y_limits, name="y_limits"),
    }
    groups, shade = _color(color, along.shape, color_label, scale, limits)
    along, up = along.ravel(), up.ravel()
    props = {
        "x": wire.Array(along),
        "y": wire.Array(up),
        "axes": axes,
        "points": stands.to_props(),
        "groups": groups and {"index": wire.Array(groups[0]), "names": groups[1]},
        "shade": shade and {**shade, "values": wire.Array(shade["values"])},
    }
    marks = Marks(
        "points",
        along,
        up,
        axes,
        group=groups and groups[0],
        groups=groups and groups[1],
        shade=shade,
        names=_few_names(stands, along.size),
    )
    return View.of(
        "scatter",
        props if stands.tokens is None else {**props, "tokens": stands.tokens.to_props()},
        title=title,
        provenance=None if stands.tokens is None else stands.tokens.provenance,
        still=lambda: chart_still(marks, title),
        height=lambda width: 56 + 30 + round(max(240, min(460, 0.68 * min(width, 760)))) + 36,
    )


def _few_names(stands: Points, count: int) -> list[str] | None:
    """Names where there are few enough points for some of them to be drawn."""
    known = stands.axes or stands.labels is not None
    return stands.names(count) if known and count <= 400 else None


def _color(
    color: Any, shape: tuple[int, ...], label: str | None, scale: Scale | None, limits: Any
) -> tuple[tuple[np.ndarray, list[str]] | None, dict[str, Any] | None]:
    """Groups by name, in the order in which they come, or numbers on a scale."""
    if color is None:
        return None, None
    if isinstance(color, str):
        raise TypeError(f"color must be a group or a number for each point; got {color!r}")
    if _are_groups(color):
        return _groups([str(item) for item in np.asarray(color, dtype=object).ravel()], shape), None
    values = check_integers(to_numpy(color, name="color"), name="color")
    if values.shape != shape:
        raise ValueError(f"color must have the shape of x and y, {shape}; got {values.shape}")
    quantity = named(quantity_of(color), label, None, scale, limits)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    chosen: Scale = quantity.scale or ("signed" if low < 0 else "ink")
    size = max(-low, high) or 1.0
    ends = quantity.limits or (
        (-size, size) if chosen == "signed" else (min(low, 0.0), high if high > min(low, 0) else 1.0)
    )
    if chosen == "signed":
        check_symmetric(ends)
    said = ", ".join(filter(None, (quantity.name, quantity.unit))) or "color"
    flat = values.astype(np.uint8).ravel() if values.dtype.kind == "b" else values.ravel().copy()
    return None, {"values": flat, "label": prose(said), "scale": {"ramp": chosen, "limits": list(ends)}}


def _are_groups(color: Any) -> bool:
    if isinstance(color, np.ndarray):
        return color.dtype.kind == "U"
    items = color if isinstance(color, list | tuple) else ()
    while items and isinstance(items[0], list | tuple):
        items = items[0]
    return bool(items) and isinstance(items[0], str)


def _groups(names: list[str], shape: tuple[int, ...]) -> tuple[np.ndarray, list[str]]:
    if len(names) != int(np.prod(shape)):
        raise ValueError(f"color must hold a group for each of {int(np.prod(shape))} points; got {len(names)}")
    known = list(dict.fromkeys(names))
    place = {name: i for i, name in enumerate(known)}
    return np.array([place[name] for name in names], np.uint16), [prose(name) for name in known]


def example() -> View:
    """Eight layers of eight heads by two scores; made up so that most heads have neither and a few have one."""
    rng = np.random.default_rng(4)
    previous, induction = 0.06 * rng.gamma(1.2, 1.0, (2, 8, 8))
    previous[1:3] += 0.9 * rng.beta(0.3, 1.2, (2, 8))
    induction[4:7] += 0.7 * rng.beta(0.3, 1.2, (3, 8))
    kind = np.where(previous > 0.4, "previous token", np.where(induction > 0.4, "induction", "neither"))
    return scatter(
        previous,
        induction,
        points="heads",
        color=kind,
        x_label="previous-token score",
        y_label="induction score",
        title="Heads by two scores",
    )
