"""What every view with a legend does with `name=`, `unit=`, `scale=` and `limits=`."""

from __future__ import annotations

import math
from typing import Any, get_args

from mechviz._visible import prose
from mechviz.arrays import Quantity, Scale


def named(given: Quantity | None, name: str | None, unit: str | None, scale: Scale | None, limits: Any) -> Quantity:
    """The quantity with what the caller says in place of what the array says."""
    if scale is not None and scale not in get_args(Scale):
        raise ValueError(f"scale must be one of {', '.join(get_args(Scale))}; got {scale!r}")
    given = given or Quantity("")
    return Quantity(
        name=prose(str(given.name if name is None else name)),
        unit=prose(str(given.unit if unit is None else unit)),
        scale=scale or given.scale,
        # Limits belong to their scale: another scale takes them from the data.
        limits=_limits(limits) if limits is not None else given.limits if scale in (None, given.scale) else None,
        reference=given.reference,
        reference_name=prose(given.reference_name),
    )


def check_symmetric(limits: tuple[float, float]) -> None:
    """Raise a ValueError unless the limits of a signed scale are as far from zero on both sides."""
    if not math.isclose(limits[0], -limits[1]):
        raise ValueError(f"limits of a signed scale must be symmetric round zero; got ({limits[0]:g}, {limits[1]:g})")


def _limits(limits: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in limits)
    except (TypeError, ValueError):
        raise TypeError(f"limits must be two numbers, (low, high); got {limits!r}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"limits must be finite with low < high; got ({low:g}, {high:g})")
    return low, high
