"""The one encoder: arrays -> ``{dtype, shape, bytes}`` for the browser (decoded by js/src/wire.ts).

An array travels raw, as float16, or as ``sqrt8``: round(255·√p) of a probability, which keeps small weights visible
where linear uint8 would zero 63 % of the entries above 1e-4. A causal pattern may leave out what lies above its
diagonal (`lower`). The header says what was done and whether it lost anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mechviz.arrays import check_integers

Precision = Literal["auto", "exact", "float32", "float16", "sqrt8"]
Layout = Literal["dense", "lower"]
PRECISIONS = ("auto", "exact", "float32", "float16", "sqrt8")

MB = 1 << 20
_FLOAT16_MAX = 65504.0
_SENT_AS_IS = ("float64", "float32", "float16", "int32", "uint32", "int16", "uint16", "int8", "uint8", "bool")


def choose(float32_bytes: int, *, probabilities: bool) -> Precision:
    """The precision for `float32_bytes` of numbers: float32 up to 1 MB, float16 up to 4 MB, then sqrt8 if it may be."""
    if float32_bytes <= MB:
        return "float32"
    if float32_bytes // 2 <= 4 * MB or not probabilities:
        return "float16"
    return "sqrt8"


def are_probabilities(array: np.ndarray) -> bool:
    """Whether every value is finite and in 0 … 1, so that ``sqrt8`` may carry it."""
    if not array.size:
        return False
    low, high = array.min(), array.max()
    return bool(low >= 0 and high <= 1)  # a NaN makes both comparisons false


@dataclass(frozen=True, eq=False)
class Array:
    """An array on its way to the browser, encoded when it is needed.

    Args:
        source: The numbers, or a function that returns them when they are first asked for (then give `shape`).
        precision: ``"exact"`` keeps the dtype; ``"auto"`` is `choose` for its own size.
        layout: ``"lower"`` sends only key <= query of the two last axes.
        lazy: Not part of the first picture: the browser asks for it when a view opens it.
        shape: Needed for a function only.
    """

    source: np.ndarray | Callable[[], Any]
    precision: Precision = "exact"
    layout: Layout = "dense"
    probabilities: bool = False
    lazy: bool = False
    shape: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the precision and take the shape of an array."""
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        if not callable(self.source):
            object.__setattr__(self, "shape", tuple(self.source.shape))

    def numbers(self) -> np.ndarray:
        """The numbers themselves."""
        return np.asarray(self.source() if callable(self.source) else self.source)

    def key(self) -> tuple[Any, ...]:
        """Equal for two `Array`s over the same memory with the same encoding, while both are alive."""
        if callable(self.source):
            return (id(self.source), self.precision, self.layout)
        interface = self.source.__array_interface__
        memory = (interface["data"][0], self.source.shape, self.source.strides, self.source.dtype.str)
        return (*memory, self.precision, self.layout)

    def encode(self) -> Encoded:
        """Encode now."""
        return encode(self.numbers(), self.precision, self.layout, probabilities=self.probabilities)


@dataclass(frozen=True)
class Encoded:
    """What crosses: a header of plain JSON and the bytes that it describes."""

    header: dict[str, Any]
    data: bytes

    def digest(self) -> str:
        """A name for the content: equal arrays have equal names."""
        hasher = hashlib.blake2b(repr(sorted(self.header.items())).encode(), digest_size=12)
        hasher.update(self.data)
        return hasher.hexdigest()


def replace(value: Any, refer: Callable[[Array, str], Any], path: str = "") -> Any:
    """A copy of nested dicts and lists in which every `Array` is ``refer(array, path)``; paths look like "a/0/b"."""
    if isinstance(value, Array):
        return refer(value, path)
    if isinstance(value, Mapping):
        return {key: replace(item, refer, f"{path}/{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace(item, refer, f"{path}/{i}") for i, item in enumerate(value)]
    return value


def encode(
    array: np.ndarray, precision: Precision = "exact", layout: Layout = "dense", *, probabilities: bool = False
) -> Encoded:
    """Encode an array; `decode` gives it back, exactly where the header says ``exact``.

    Raises:
        ValueError: ``layout="lower"`` for an array whose two last axes differ, ``sqrt8`` for what is not a
            probability, or an integer beyond 2**53.
    """
    shape = list(array.shape)
    numbers = pack_lower(array) if layout == "lower" else array
    if precision == "auto":
        is_float = numbers.dtype.kind == "f"
        precision = choose(numbers.size * 4, probabilities=probabilities) if is_float else "exact"
        if precision == "sqrt8" and not are_probabilities(numbers):
            precision = "float16"
    sent, encoding, exact = _convert(numbers, precision)
    header = {"dtype": sent.dtype.name, "shape": shape, "encoding": encoding, "layout": layout, "exact": exact}
    little = sent.astype(sent.dtype.newbyteorder("<"), copy=False)
    return Encoded(header, np.ascontiguousarray(little).tobytes())


def decode(header: dict[str, Any], data: bytes) -> np.ndarray:
    """The inverse of `encode`, as the browser does it."""
    numbers = np.frombuffer(data, dtype=np.dtype(header["dtype"]).newbyteorder("<"))
    if header["encoding"] == "sqrt8":
        numbers = ((numbers.astype(np.float64) / 255) ** 2).astype(np.float32)
    if header["layout"] == "lower":
        return unpack_lower(numbers, tuple(header["shape"]))
    return numbers.reshape(header["shape"])


def pack_lower(array: np.ndarray) -> np.ndarray:
    """``[..., n, n]`` -> ``[..., n·(n+1)/2]``: the triangle on and below the diagonal, row by row."""
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f'layout="lower" needs an array of shape (…, n, n); got {array.shape}')
    n = array.shape[-1]
    packed = np.empty((*array.shape[:-2], n * (n + 1) // 2), array.dtype)
    start = 0
    for row in range(n):
        packed[..., start : start + row + 1] = array[..., row, : row + 1]
        start += row + 1
    return packed


def unpack_lower(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `pack_lower`; zero above the diagonal."""
    n = shape[-1]
    packed = packed.reshape(*shape[:-2], n * (n + 1) // 2)
    out = np.zeros(shape, packed.dtype)
    start = 0
    for row in range(n):
        out[..., row, : row + 1] = packed[..., start : start + row + 1]
        start += row + 1
    return out


def _convert(array: np.ndarray, precision: Precision) -> tuple[np.ndarray, str, bool]:
    """The numbers as they are sent, the encoding's name, and whether nothing was lost."""
    if precision == "sqrt8":
        if not are_probabilities(array):
            raise ValueError('precision "sqrt8" carries probabilities only: finite values in 0 … 1')
        codes = np.sqrt(array, dtype=np.float32)
        codes *= 255
        codes += 0.5
        return codes.astype(np.uint8), "sqrt8", False
    if array.dtype.kind != "f" or precision == "exact":
        return _browser_dtype(array), "raw", True
    if precision == "float16" and _fits_float16(array):
        half = array.astype(np.float16)
        return half, "raw", bool(np.array_equal(half.astype(array.dtype), array, equal_nan=True))
    if array.dtype.itemsize <= 4:
        return _browser_dtype(array), "raw", True
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.array_equal(np.isfinite(single), np.isfinite(array)):
        return array.astype(np.float64), "raw", True  # beyond float32's range
    return single, "raw", bool(np.array_equal(single.astype(array.dtype), array, equal_nan=True))


def _fits_float16(array: np.ndarray) -> bool:
    if array.dtype == np.float16:
        return True
    finite = np.abs(array[np.isfinite(array)])
    return not finite.size or bool(finite.max() <= _FLOAT16_MAX)


def _browser_dtype(array: np.ndarray) -> np.ndarray:
    """The narrowest dtype of the browser's that holds every value."""
    if array.dtype.name in _SENT_AS_IS:
        return array
    if array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low >= -(2**31) and high < 2**31:
            return array.astype(np.int32)
        check_integers(array, name="an array")
    return array.astype(np.float64)
