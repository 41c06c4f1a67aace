"""Anything that holds numbers becomes numpy; anything else is refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

import mechviz as mv
from mechviz.arrays import Quantity, check_shape, quantity_of, to_numpy


@dataclass
class Result:
    layer: int
    effect: np.ndarray
    error: np.ndarray


def test_numpy_is_shared_not_copied():
    array = np.arange(3.0)
    assert to_numpy(array, name="x") is array


def test_lists_numbers_and_tuples():
    np.testing.assert_array_equal(to_numpy([[1, 2], (3, 4)], name="x"), [[1, 2], [3, 4]])
    assert to_numpy(1.5, name="x").shape == ()


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    base = torch.tensor([1.5, -2.25], dtype=torch.bfloat16)
    assert to_numpy(base, name="x").dtype == np.float32  # bfloat16 is a float32 with fewer digits: nothing is lost
    np.testing.assert_array_equal(to_numpy(base, name="x"), [1.5, -2.25])
    np.testing.assert_array_equal(to_numpy(torch.ones(2, requires_grad=True) * 2, name="x"), [2, 2])
    np.testing.assert_array_equal(to_numpy([torch.zeros(2), torch.ones(2)], name="x"), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(to_numpy(torch.eye(2).to_sparse(), name="x"), np.eye(2))
    np.testing.assert_array_equal(to_numpy(torch.nn.Parameter(torch.ones(1)), name="x"), [1])
    assert to_numpy(torch.tensor([True]), name="x").dtype == bool


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ("text", TypeError, "weights must hold numbers; got str 'text'"),
        ([[1], [2, 3]], ValueError, "weights must be a regular array; got ragged lists"),
        (["a", "b"], TypeError, "weights must hold real numbers; got dtype <U1 such as"),
        ([1j], TypeError, "weights must hold real numbers; got dtype complex128"),
        ([object()], TypeError, "weights must hold real numbers; got dtype object"),
        ([None, 1.5], TypeError, "got dtype object, None among them: NaN stands for no number"),
        ({0: [1.0], 2: [2.0]}, TypeError, r"weights must hold numbers; got a dict with the keys \[0, 2\]"),
        (Result(3, np.ones(2), np.ones(2)), TypeError, "got dtype object: a Result has numbers in .effect, .error$"),
        (None, TypeError, "weights must hold real numbers; got dtype object such as None"),
    ],
)
def test_errors_name_the_argument(bad, error, message):
    with pytest.raises(error, match=message):
        to_numpy(bad, name="weights")


def test_what_is_masked_is_no_number():
    masked = np.ma.masked_array([1, 2, 3], mask=[False, True, False])
    np.testing.assert_array_equal(to_numpy(masked, name="x"), [1, np.nan, 3])
    assert to_numpy(np.ma.masked_array([1, 2]), name="x").dtype.kind == "i"  # nothing is hidden


def test_tensors_without_numbers():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="x must hold numbers; got a tensor of shape .* on the meta device"):
        to_numpy(torch.empty(2, device="meta"), name="x")
    with pytest.raises(TypeError, match=r"x must hold real numbers; got dtype torch\.complex64"):
        to_numpy(torch.zeros(2, dtype=torch.complex64), name="x")
    with pytest.raises(ValueError, match=r"x must hold arrays of one shape; got \[\(1,\), \(2,\)\]"):
        to_numpy([torch.zeros(1), torch.zeros(2)], name="x")


def test_quantity_travels_on_the_tensor_and_not_on_what_is_computed_from_it():
    torch = pytest.importorskip("torch")
    loss = torch.zeros(3)
    loss.quantity = Quantity("loss", "nats")
    assert quantity_of(loss) == Quantity("loss", "nats")
    assert quantity_of(loss - 1) is None
    assert quantity_of(np.zeros(3)) is None


def test_check_shape():
    check_shape(np.zeros((3, 2)), ("position", 2), name="values")
    with pytest.raises(ValueError, match=r"values must have shape \(12,\); got \(3, 2\)"):
        check_shape(np.zeros((3, 2)), (12,), name="values")


BIG = np.array([2**53 + 1, 1, 2])


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("values", lambda x: mv.tokens(["a", "b", "c"], x)),
        ("compare", lambda x: mv.tokens(["a", "b", "c"], [1, 2, 3], compare=x)),
        ("values['a']", lambda x: mv.tokens(["a", "b", "c"], {"a": x})),
        ("activations", lambda x: mv.neurons(["a", "b", "c"], x[:, None])),
        ("activations", lambda x: mv.neurons(["a", "b", "c"], np.stack([0 * x, x])[:, :, None])),
        ("gate", lambda x: mv.neurons(["a", "b", "c"], x[:, None] / 2, gate=x[:, None], up=x[:, None])),
        ("values", lambda x: mv.heatmap(x[None])),
        ("y", lambda x: mv.lines(x)),
        ("x", lambda x: mv.scatter(x, x / 2)),
        ("color", lambda x: mv.scatter(x / 2, x / 2, color=x)),
        ("values", lambda x: mv.bars(x)),
    ],
)
def test_integers_that_a_browser_would_change_are_refused_at_once(name, view):
    said = f"integers beyond 2**53 cannot be shown exactly in a browser; {name} has 1 … 9007199254740993: pass floats"
    with pytest.raises(ValueError, match=re.escape(said)):
        view(BIG)
    view(BIG - 1)
