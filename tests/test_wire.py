"""Every number that crosses comes back: exactly, or within the error that its precision names."""

from __future__ import annotations

import numpy as np
import pytest

from mechviz import wire

RNG = np.random.default_rng(0)
EDGES = np.array([0.0, -0.0, 1e-30, -1e-30, 1.0, np.inf, -np.inf, np.nan, 65504.0, 3.4e38])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint32", "int16", "uint16", "int8", "uint8", "bool"])
def test_exact_keeps_dtype_and_values(dtype):
    array = (RNG.random((2, 3)) * 100).astype(dtype)
    encoded = wire.encode(array)
    assert encoded.header == {"dtype": dtype, "shape": [2, 3], "encoding": "raw", "layout": "dense", "exact": True}
    np.testing.assert_array_equal(wire.decode(encoded.header, encoded.data), array)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_nan_infinities_and_tiny_numbers_survive(dtype):
    with np.errstate(over="ignore"):
        array = EDGES.astype(dtype)
    encoded = wire.encode(array)
    back = wire.decode(encoded.header, encoded.data)
    np.testing.assert_array_equal(back.view(np.uint8), array.view(np.uint8))  # also the sign of zero


def test_int64_becomes_the_narrowest_the_browser_has():
    assert wire.encode(np.array([1, 2**31 - 1])).header["dtype"] == "int32"
    assert wire.encode(np.array([1, 2**40])).header["dtype"] == "float64"
    with pytest.raises(ValueError, match=r"beyond 2\*\*53"):
        wire.encode(np.array([2**60]))


def test_sqrt8_is_within_its_error():
    p = RNG.dirichlet(np.ones(40) * 0.1, size=30).astype(np.float32)
    encoded = wire.encode(p, "sqrt8")
    back = wire.decode(encoded.header, encoded.data)
    # p = (u/255)² with u off by at most a half: |Δp| <= (u + 1/4) / 255²
    bound = (np.round(np.sqrt(p) * 255) + 0.25) / 255**2
    assert np.all(np.abs(back - p) <= bound + 1e-7)
    assert encoded.header["exact"] is False
    assert len(encoded.data) == p.size


@pytest.mark.parametrize("bad", [np.array([0.5, -0.1]), np.array([0.5, 1.5]), np.array([0.5, np.nan])])
def test_sqrt8_refuses_what_is_no_probability(bad):
    with pytest.raises(ValueError, match="probabilities only"):
        wire.encode(bad, "sqrt8")


def test_float16_says_whether_it_lost_anything():
    assert wire.encode(np.array([0.5, 0.25], np.float32), "float16").header["exact"] is True
    assert wire.encode(np.array([0.1], np.float32), "float16").header["exact"] is False
    # 1e6 does not fit: it is sent as it is, never as infinity
    assert wire.encode(np.array([1e6], np.float32), "float16").header["dtype"] == "float32"


def test_float32_of_float64_says_whether_it_lost_anything():
    assert wire.encode(np.array([0.5]), "float32").header == {
        "dtype": "float32",
        "shape": [1],
        "encoding": "raw",
        "layout": "dense",
        "exact": True,
    }
    assert wire.encode(np.array([0.1]), "float32").header["exact"] is False
    assert wire.encode(np.array([1e300]), "float32").header["dtype"] == "float64"


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (2, 3, 4, 4)])
@pytest.mark.parametrize("precision", ["exact", "float16", "sqrt8"])
def test_lower_triangle(shape, precision):
    array = np.tril(RNG.random(shape).astype(np.float32))
    encoded = wire.encode(array, precision, "lower")
    n, planes = shape[-1], int(np.prod(shape[:-2]))
    width = {"exact": 4, "float16": 2, "sqrt8": 1}[precision]
    assert len(encoded.data) == planes * n * (n + 1) // 2 * width
    np.testing.assert_allclose(wire.decode(encoded.header, encoded.data), array, atol=5e-3)


def test_lower_needs_a_square():
    with pytest.raises(ValueError, match=r"\(…, n, n\); got \(2, 3\)"):
        wire.encode(np.zeros((2, 3)), "exact", "lower")


def test_choose_follows_the_budget():
    # float32 up to 1 MB; float16 up to 4 MB (8 MB of float32); then sqrt8 for probabilities alone
    assert wire.choose(wire.MB, probabilities=True) == "float32"
    assert wire.choose(wire.MB + 1, probabilities=True) == "float16"
    assert wire.choose(8 * wire.MB, probabilities=True) == "float16"
    assert wire.choose(8 * wire.MB + 2, probabilities=True) == "sqrt8"
    assert wire.choose(8 * wire.MB + 2, probabilities=False) == "float16"


def test_auto_never_makes_sqrt8_of_signed_data():
    array = RNG.normal(size=(3, 1000, 1000)).astype(np.float32)
    assert wire.encode(array, "auto", probabilities=True).header["dtype"] == "float16"
    assert wire.encode(np.abs(array) / 10, "auto", probabilities=True).header["encoding"] == "sqrt8"


def test_digest_names_content():
    a, b = np.arange(4.0), np.arange(4.0)
    assert wire.encode(a).digest() == wire.encode(b).digest()
    b[0] = -0.0
    assert wire.encode(a).digest() != wire.encode(b).digest()
    assert wire.encode(a).digest() != wire.encode(a.reshape(2, 2)).digest()


def test_replace_reaches_arrays_at_any_depth():
    array = wire.Array(np.zeros(2))
    value = {"a": [array, 1], "b": {"c": (array,)}}
    assert wire.replace(value, lambda _, path: path) == {"a": ["/a/0", 1], "b": {"c": ["/b/c/0"]}}


def test_unknown_precision():
    with pytest.raises(ValueError, match="precision must be one of auto, exact, float32, float16, sqrt8; got 'uint8'"):
        wire.Array(np.zeros(2), precision="uint8")  # type: ignore[arg-type]
