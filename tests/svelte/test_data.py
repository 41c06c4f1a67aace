"""Data into a component and back: nothing is rounded, shapes arrive, what cannot be said is refused by name."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
from typing import Any

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz._svelte.data import equal, from_props, to_props

# What a component sees of its prop, as text: types, shapes, and numbers to the last bit.
SEES = """
<script>
  import { NdArray } from 'mechviz';
  let { x } = $props();
  const see = (v) =>
    v instanceof NdArray ? `${v.data.constructor.name}(${v.shape}) ${[...v.data].join(' ')}`
    : Array.isArray(v) ? `[${v.map(see).join(', ')}]`
    : v && typeof v === 'object' ? `{${Object.entries(v).map(([k, w]) => `${k}: ${see(w)}`).join(', ')}}`
    : typeof v === 'string' ? `'${v}'` : String(v);
</script>
<pre>{see(x)}</pre>
"""


@dataclasses.dataclass
class Run:
    name: str
    loss: Any


class Kind(enum.Enum):
    A = "a"


def seen() -> dict[str, tuple[Any, str]]:
    torch = pytest.importorskip("torch")
    return {
        "float64": (np.array([[0.1, np.nan], [np.inf, -0.0]]), "Float64Array(2,2) 0.1 NaN Infinity 0"),
        "float32": (np.float32([0.1]), "Float32Array(1) 0.10000000149011612"),
        "float16": (np.float16([0.1]), "Float32Array(1) 0.0999755859375"),
        "bool": (np.array([True, False]), "Uint8Array(2) 1 0"),
        "int64": (np.array([2**31, -1]), "Float64Array(2) 2147483648 -1"),
        "uint8": (np.uint8([255]), "Uint8Array(1) 255"),
        "empty": (np.zeros((0, 3), np.float32), "Float32Array(0,3)"),
        "no axes": (np.array(1.5), "Float64Array() 1.5"),
        "not contiguous": (np.arange(6, dtype=np.int32).reshape(2, 3).T, "Int32Array(3,2) 0 3 1 4 2 5"),
        "strings": (np.array([["a", "b"]]), "[['a', 'b']]"),
        "torch bfloat16 with a gradient": (
            torch.tensor([1.5, 3.0], dtype=torch.bfloat16, requires_grad=True),
            "Float32Array(2) 1.5 3",
        ),
        "scalars": (
            [1, 2.5, True, None, "é", math.nan, -math.inf, np.float32(0.5), np.int8(3)],
            "[1, 2.5, true, null, 'é', NaN, -Infinity, 0.5, 3]",
        ),
        "a long list": (
            [0.1 * i for i in range(20)] + [math.nan],
            "[" + ", ".join(str(0.1 * i).removesuffix(".0") for i in range(20)) + ", NaN]",
        ),
        "nested": ({"a": [{"b": np.int32([1])}], "c": (1, 2)}, "{a: [{b: Int32Array(1) 1}], c: [1, 2]}"),
        "keys that mean something on the way": ({"$array": 1, "$number": "x"}, "{$array: 1, $number: 'x'}"),
        "whole numbers as keys": ({3: "x"}, "{3: 'x'}"),
        "a dataclass": (Run("r", np.float32([2])), "{name: 'r', loss: Float32Array(1) 2}"),
        "an enum, a site": ([Kind.A, mv.Head(5, 1)], "['a', 'L5H1']"),
        "hostile text": ("</script><!--\u2028{x}", "'</script><!--\u2028{x}'"),
        "asked to be smaller": (wire.Array(np.float32([0.1]), precision="float16"), "Float32Array(1) 0.0999755859375"),
    }


def test_what_a_component_sees(write, page):
    Sees = mv.svelte(write(Sees_svelte=SEES))
    cases = seen()
    page.open(mv.column(*(Sees(x=value) for value, _ in cases.values())))
    page.component.nth(len(cases) - 1).wait_for()
    texts = [text.strip().replace("-0", "0") for text in page.component.all_inner_texts()]
    assert dict(zip(cases, texts, strict=True)) == {name: text for name, (_, text) in cases.items()}


def test_tokens_arrive_as_token_text_takes_them(write, page):
    path = write(
        T_svelte="<script>import {TokenText} from 'mechviz'; let {tokens, v} = $props();</script><TokenText {tokens} values={v} />"
    )
    page.show(path, tokens=mv.tokens.__wrapped__ and ["The", " cat"], v=np.float32([0, 1]))
    assert page.component.get_by_role("option").count() == 2


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (lambda: 1, TypeError, "x must be data .*; got a function"),
        ([1, {"a": object()}], TypeError, r"x\[1\]\['a'\] must be data .*; got a object"),
        (2**60, ValueError, r"x must lie within ±2\*\*53"),
        ({(1, 2): 3}, TypeError, "keys of x must be text"),
        (np.array([1j]), TypeError, "x must hold real numbers; got dtype complex128"),
    ],
)
def test_what_a_browser_cannot_have(value, error, words):
    with pytest.raises(error, match=words):
        to_props(value, "x")


def test_a_value_that_contains_itself():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match=r"contains itself"):
        to_props(value, "x")


def test_back_from_the_browser():
    # As js/src/user/values.ts writes them: 1.5 and NaN as little-endian float32.
    header = {"dtype": "float32", "shape": [2], "encoding": "raw", "layout": "dense", "exact": True}
    array = from_props({"$array": header, "bytes": "AADAPwAAwH8="})
    assert array.dtype == np.float32 and array[0] == 1.5 and np.isnan(array[1])
    assert from_props({"$pairs": [["a", [1, {"$number": "-Infinity"}]], ["$x", None]]}) == {
        "a": [1, -math.inf],
        "$x": None,
    }


def test_what_a_component_writes_reaches_python_and_every_picture(write):
    view = mv.svelte(write(B_svelte="<script>let { a = $bindable(1), b = 2 } = $props();</script>{a}{b}"))(b=5)
    heard = []
    stop = view.on_change(lambda name, value: heard.append((name, value)))
    assert dict(view.props) == {"a": 1, "b": 5}
    view.answer("0", "set", {"client": "c", "values": {"a": {"$pairs": [["x", 3]]}}, "counts": {"a": 1}})
    assert heard == [("a", {"x": 3})]
    assert dict(view.props) == {"a": {"x": 3}, "b": 5}
    # The next picture, a figure that holds it, and the saved file have it too.
    _, views = mv.row(view).flat()
    assert views["0"][1]["values"]["a"] == {"x": 3}
    view.update(b=6)
    assert dict(view.props) == {"a": {"x": 3}, "b": 6}
    view.update(a=0)
    assert view.props["a"] == 0
    stop()
    view.answer("0", "set", {"client": "c", "values": {"a": 9}, "counts": {"a": 2}})
    assert len(heard) == 1 and view.props["a"] == 9
    with pytest.raises(TypeError, match="unexpected keyword 'c'"):
        view.update(c=1)
    json.dumps(views["0"][1])


def test_python_and_several_browsers_write_one_prop(write):
    view = mv.svelte(write(B_svelte="<script>let { a = $bindable(1), b = $bindable(1) } = $props();</script>{a}{b}"))()

    def browser(client, values, counts):
        view.answer("0", "set", {"client": client, "values": values, "counts": counts})

    def told():
        props = view.flat()[1]["0"][1]
        return {key: props[key] for key in ("values", "heard", "writers")}

    browser("c", {"a": 2}, {"a": 1})
    assert told() == {"values": {"a": 2}, "heard": {"c": {"a": 1}}, "writers": {"a": "c"}}
    view.update(a=7)
    assert told()["writers"] == {}
    # The browser does not know yet that its first write was taken, and sends it with its next one.
    browser("c", {"a": 2, "b": 5}, {"a": 1, "b": 1})
    assert told() == {"values": {"a": 7, "b": 5}, "heard": {"c": {"a": 1, "b": 1}}, "writers": {"b": "c"}}
    browser("d", {"b": 6}, {"b": 1})
    assert told()["writers"] == {"b": "d"} and view.props["b"] == 6
    # A callback answers a write with another value.
    view.on_change(lambda name, value: view.update(**{name: min(value, 9)}))
    browser("c", {"a": 20}, {"a": 2})
    assert told()["values"]["a"] == 9 and told()["writers"] == {"b": "d"} and told()["heard"]["c"]["a"] == 2
    # An update that a browser cannot be given changes nothing.
    with pytest.raises(TypeError, match="a must be data"):
        view.update(a=print)
    assert view.props["a"] == 9
    # Browsers that were closed are forgotten.
    for i in range(40):
        browser(f"e{i}", {"b": i}, {"b": 1})
    assert len(told()["heard"]) == 32 and view.props["b"] == 9


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (math.nan, math.nan, True),
        ((1, 2), [1, 2], True),
        ([1, 2], [1, 3], False),
        ({"x": np.array([1, math.nan])}, {"x": np.array([1, math.nan])}, True),
        ({"x": 1}, {"y": 1}, False),
        (np.float32(0.5), 0.5, True),
        (np.zeros(2), np.zeros((1, 2)), False),
        (np.zeros(2), [0, 0], False),  # a component sees a typed array, or a list
        (None, 0, False),
    ],
)
def test_what_is_the_same_to_a_component(a, b, same):
    assert equal(a, b) is same and equal(b, a) is same


def test_a_tensor_that_a_component_writes_back_is_no_news(write):
    torch = pytest.importorskip("torch")
    given = torch.tensor([1.5, 3.0], dtype=torch.bfloat16)
    view = mv.svelte(write(B_svelte="<script>let { a = $bindable() } = $props();</script>{a.at(0)}"))(a=given)
    heard = []
    view.on_change(lambda *change: heard.append(change))
    header = {"dtype": "float32", "shape": [2], "encoding": "raw", "layout": "dense", "exact": True}
    # 1.5 and 3 as little-endian float32.
    back = {"$array": header, "bytes": base64.b64encode(np.float32([1.5, 3]).tobytes()).decode()}
    view.answer("0", "set", {"client": "c", "values": {"a": back}, "counts": {"a": 1}})
    assert heard == [] and view.props["a"] is given


def test_a_bound_default_that_is_code_and_writes_of_svelte_4(write, page):
    bound = write(
        New_svelte="<script>let { n, at = $bindable(n * 10) } = $props();</script><button onclick={() => at++}>{at}</button>",
        Old_svelte="<script>export let n; export let at = n * 10;</script><button on:click={() => at++}>{at}</button>",
    )
    folder = mv.svelte(bound.parent)
    page.open(mv.column(folder.New(n=2), folder.Old(n=3)))
    page.component.nth(1).wait_for()
    for button, first, then in ((0, "20", "21"), (1, "30", "31")):
        assert page.component.nth(button).inner_text() == first
        page.component.nth(button).get_by_role("button").click()
        page.component.nth(button).get_by_text(then).wait_for()
    assert page.alert.count() == 0


def test_a_list_for_what_the_component_declares_as_an_array(write, page):
    path = write(
        A_svelte="""
        <script lang="ts">
          import type { NdArray } from 'mechviz';
          let { x, y = null, z }: { x: NdArray; y?: NdArray | null; z: number[][] } = $props();
        </script>{x.shape.join()} {x.at(1, 0)} {y?.shape} {z.length}"""
    )
    A = mv.svelte(path)
    page.show(path, x=[[1, 2, 3], [4.5, 5, 6]], y=(1, 2), z=[[1]])
    page.reads("2,3 4.5 2 1")
    with pytest.raises(ValueError, match="x must be a regular array"):
        A(x=[[1], [2, 3]], z=[])
