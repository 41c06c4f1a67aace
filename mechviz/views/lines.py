"""`mv.lines`: lines over one axis, with error bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._chart_still import Marks, chart_still
from mechviz._visible import prose
from mechviz.view import View, display
from mechviz.views._chart import Log, Points, axis, band_of, check_log, numbers, points_of


@display
def lines(
    y: Any,
    x: Any = None,
    *,
    band: Any = None,
    names: Sequence[str] | None = None,
    points: Any = None,
    sites: Any = None,
    labels: Any = None,
    x_label: str | None = None,
    y_label: str | None = None,
    log: Log | None = None,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    title: str = "Lines",
) -> View:
    """Lines over one axis: losses over training steps, scores over layers, probabilities over positions.

    Hovering reads the nearest line and the others at that step; a click picks the step, a drag selects a range of steps,
    Shift adds. Where `points` says what a step stands for, or `sites` what a line does, this is the selection of the
    figure. Wheel (after a click into the chart), pinch and ``+`` ``-`` ``0`` zoom along x, and y follows what is in
    view; ``l`` makes axes logarithmic. The first five lines have a colour and a dash of their own, all others are grey;
    their names stand at their ends. Where several steps share a pixel the line spans the smallest to the largest of
    them, so that no peak is lost.

    Args:
        y: [step] or [line, step], in the unit that `y_label` names, of any real dtype; or a dict of [step] by name.
        x: [step], ascending; by default 0, 1, 2, …
        band: An error band for every line: two arrays, (low, high), each of the shape of `y`.
        names: A name for each line; by default the keys of `y`, those of `sites`, or "0", "1", …
        points: What a step stands for: ``"steps"``, ``"tokens"``, `Tokens` (``trace.tokens``) or a list of sites, one a
            step. Without it steps stand for nothing, and are picked in this chart alone.
        sites: What a line stands for: a list of sites, one a line; a click then picks it.
        labels: A name for each step, for the read-out.
        x_label: Quantity and unit, such as "training step"; by default those that the array carries.
        y_label: The same for `y`, such as "loss, nats".
        log: Logarithmic axes at first: "x", "y" or "xy".
        x_limits: What is shown at first; by default all steps.
        y_limits: The same for `y`; it then stays while x is zoomed.
        title: Heads the picture.

    NaN and infinity are gaps, counted in the foot, and so are values not above 0 on a logarithmic axis. A band is open
    where either of its ends is NaN.

    Raises:
        TypeError: an argument holds no real numbers, `band` is no pair, `names` or `labels` are no strings, `points` or
            `sites` are none of the above.
        ValueError: there are no numbers, `y` has another number of axes, `x` does not ascend, shapes or counts do not
            fit, low is above high, a site is none, or `log` or limits do not fit;
            integers lie beyond 2**53.

    Example:
        >>> mv.lines([[3.2, 2.1, 1.7], [3.1, 2.4, 2.0]], names=["seed 0", "seed 1"], points="steps")
        <mechviz lines 'Lines'>
    """
    if isinstance(y, Mapping):
        if names is not None:
            raise ValueError("names must be left out where y is a dict: its keys are the names")
        names, y = [str(name) for name in y], list(y.values())
    values = numbers(_of_one_length(y), name="y")
    if values.ndim not in (1, 2):
        raise ValueError(f"y must have shape (step,) or (line, step); got {values.shape}")
    ends = band_of(band, values.shape)
    values = np.atleast_2d(values)
    low, high = (None, None) if ends is None else map(np.atleast_2d, ends)
    count, steps = values.shape
    along = _ascending(x, steps)
    stands = points_of(points, (steps,), labels, count_of="steps")
    of_lines = points_of(sites, (count,), names, name="sites", count_of="lines")
    named = of_lines.names(count) if sites is not None or names is not None else [str(i) for i in range(count)]
    logs = check_log(log)
    axes = {
        "x": axis(x_label, x, _fallback(stands), "x" in logs, x_limits, name="x_limits"),
        "y": axis(y_label, y, "y", "y" in logs, y_limits, name="y_limits"),
    }
    props = {
        "x": wire.Array(along),
        "y": wire.Array(values),
        "low": None if low is None else wire.Array(low),
        "high": None if high is None else wire.Array(high),
        "names": [prose(name) for name in named],
        "axes": axes,
        "points": stands.to_props(),
        "lines": {**of_lines.to_props(), "noun": of_lines.noun if sites is not None else "line"},
    }
    marks = Marks("lines", along, values, axes, low=low, high=high, names=named)
    return View.of(
        "lines",
        props if stands.tokens is None else {**props, "tokens": stands.tokens.to_props()},
        title=title,
        provenance=None if stands.tokens is None else stands.tokens.provenance,
        still=lambda: chart_still(marks, title),
        height=lambda width: 56 + 30 + round(max(240, min(340, 0.42 * min(width, 980)))) + 36,
    )


def _fallback(stands: Points) -> str:
    return {"token": "position", "step": "step"}.get(stands.noun, "x")


def _of_one_length(y: Any) -> Any:
    """Give back y; raise an error that counts where it is a list of lines of other lengths."""
    if isinstance(y, list | tuple):
        lengths = [len(line) if hasattr(line, "__len__") else None for line in y]
        if len({*lengths}) > 1 and None not in lengths:
            raise ValueError(
                f"y must have as many steps in every line, NaN where there is none; got lengths {lengths[:9]}"
            )
    return y


def _ascending(x: Any, steps: int) -> np.ndarray:
    """x, or 0, 1, 2, …; an error where it goes back."""
    if x is None:
        return np.arange(steps, dtype=np.int32)
    along = numbers(x, name="x")
    if along.shape != (steps,):
        raise ValueError(f"x must have shape (step,) == ({steps},); got {along.shape}")
    falls = ~(np.diff(along.astype(np.float64)) >= 0)  # NaN falls, too
    if falls.any() or not np.isfinite(along).all():
        first = int(np.argmax(falls)) if falls.any() else int(np.argmin(np.isfinite(along)))
        raise ValueError(
            f"x must ascend and be finite; got {', '.join(f'{value:g}' for value in along[first : first + 2])} from index "
            f"{first}: sort x and y by x, or call mv.scatter(x, y)"
        )
    return along


def example() -> View:
    """The loss of three models over training, each the mean of five made-up seeds within their smallest and largest."""
    rng = np.random.default_rng(0)
    step = np.arange(0, 4001, 10)
    floors, speeds = np.array([[2.9], [2.35], [1.9]]), np.array([[260.0], [330.0], [420.0]])
    mean = floors + (6.68 - floors) / (1 + step / speeds) ** 1.1
    mean[2] -= 0.28 / (1 + np.exp(-(step - 1500) / 90))  # an induction head forms
    noise = rng.normal(0, 1, (5, 3, step.size)).cumsum(-1)
    noise -= np.linspace(0, 1, step.size) * noise[..., -1:]
    seeds = mean + 0.008 * noise + rng.normal(0, 0.02, noise.shape)
    return lines(
        seeds.mean(0),
        step,
        band=(seeds.min(0), seeds.max(0)),
        names=["1 layer", "2 layers", "3 layers"],
        points="steps",
        x_label="training step",
        y_label="loss, nats",
        title="Loss over training",
    )
