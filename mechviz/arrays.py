"""Any array -> numpy, with errors that name the argument, say what was expected and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

Scale = Literal["ink", "ember", "signed"]


@dataclass(frozen=True)
class Quantity:
    """What an array measures, so that a view can name it and choose its scale.

    A tensor or array made by mechviz may carry one as its attribute ``quantity`` (``trace.loss.quantity``). Any
    operation on the array drops it, which is right: a difference of two losses is not a loss.

    Args:
        name: What the numbers are, such as ``"loss"``.
        unit: Their unit, such as ``"nats"``; empty if there is none.
        scale: ``"ink"`` (zero to more), ``"ember"`` (zero to more surprise) or ``"signed"`` (symmetric round zero).
        limits: Values at the two ends of the scale, or None to take them from the data.
        reference: A value to mark on the colour bar.
        reference_name: What the reference is, such as ``"uniform guess"``.
    """

    name: str
    unit: str = ""
    scale: Scale | None = None
    limits: tuple[float, float] | None = None
    reference: float | None = None
    reference_name: str = ""


def quantity_of(x: Any) -> Quantity | None:
    """The `Quantity` that an array carries, or None."""
    quantity = getattr(x, "quantity", None)
    return quantity if isinstance(quantity, Quantity) else None


def to_numpy(x: Any, *, name: str) -> np.ndarray:
    """Any real-valued array as numpy, sharing memory where it can.

    Args:
        x: A numpy array (what a masked one hides becomes NaN), a torch tensor on any device (bfloat16 becomes float32,
            which is exact), a jax array, a number, or nested lists of these.
        name: The argument's name, for the error.

    Returns:
        An array of a bool, integer or float dtype that numpy knows.

    Raises:
        TypeError: `x` is text, complex, an object or a tensor without data (on the meta device).
        ValueError: the nested lists are ragged.

    Example:
        >>> to_numpy([[1, 2], [3, 4]], name="values").shape
        (2, 2)
    """
    if isinstance(x, (str, bytes)):
        raise TypeError(f"{name} must hold numbers; got {type(x).__name__} {x[:40]!r}")
    if isinstance(x, Mapping):
        raise TypeError(f"{name} must hold numbers; got a {type(x).__name__} with the keys {list(x)!r:.60}")
    if _is_torch(x):
        return _from_torch(x, name)
    if isinstance(x, Sequence) and any(_is_torch(item) for item in x):
        return _stack([to_numpy(item, name=f"{name}[{i}]") for i, item in enumerate(x)], name)
    if isinstance(x, np.ma.MaskedArray) and x.dtype.kind in "biuf" and x.mask.any():
        x = np.ma.filled(x.astype(np.result_type(x.dtype, np.float32)), np.nan)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be a regular array; got ragged lists ({error})") from None
    if array.dtype.kind == "V" or array.dtype.name == "bfloat16":  # ml_dtypes, as jax gives them
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        example = f" such as {array.flat[0]!r:.60}" if array.size else ""
        if is_dataclass(x) and (inside := [f.name for f in fields(x) if isinstance(getattr(x, f.name), np.ndarray)]):
            example = f": a {type(x).__name__} has numbers in .{', .'.join(inside[:4])}"
        if array.ndim and array.dtype.kind == "O" and any(item is None for item in array.flat):
            example = ", None among them: NaN stands for no number"
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}{example}")
    return array


def check_integers(array: np.ndarray, *, name: str) -> np.ndarray:
    """The same array, or a ValueError where it holds integers that the numbers of a browser, float64, would change."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > 2**53:
            raise ValueError(
                f"integers beyond 2**53 cannot be shown exactly in a browser; {name} has {low} … {high}: pass floats"
            )
    return array


def check_shape(array: np.ndarray, expected: Sequence[int | str], *, name: str) -> None:
    """Raise a ValueError unless `array` has the expected shape; a string in `expected` fits any length.

    Example:
        >>> check_shape(np.zeros((3, 2)), ("position", 2), name="values")
    """
    fits = array.ndim == len(expected) and all(
        isinstance(wanted, str) or wanted == n for wanted, n in zip(expected, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        raise ValueError(f"{name} must have shape ({wanted}); got {tuple(array.shape)}")


def _is_torch(x: Any) -> bool:
    # Asked of the type, so that mechviz never has to import torch for those who do not use it.
    return any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in type(x).__mro__)


def _from_torch(tensor: Any, name: str) -> np.ndarray:
    if tensor.device.type == "meta":
        raise TypeError(f"{name} must hold numbers; got a tensor of shape {tuple(tensor.shape)} on the meta device")
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers; got dtype {tensor.dtype}")
    tensor = tensor.detach()
    if tensor.layout != _strided(tensor):
        tensor = tensor.to_dense()
    tensor = tensor.cpu()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16, float8: numpy has no such dtype; float32 holds every value of them
        return tensor.float().numpy()


def _strided(tensor: Any) -> Any:
    import sys

    return sys.modules["torch"].strided


def _stack(arrays: list[np.ndarray], name: str) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"{name} must hold arrays of one shape; got {sorted(shapes)}")
    return np.stack(arrays)
