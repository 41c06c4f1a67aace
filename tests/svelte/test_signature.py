"""The function that a component becomes: signature, docstring, companion, folder, reading edits."""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import threading
import time
from typing import Literal

import pytest

import mechviz as mv
from mechviz._svelte import compiler

RUNES = """
<!-- @component
Curves of a loss.

  indented

-->
<script lang="ts">
  import type { NdArray } from 'mechviz';
  import type { Snippet } from 'svelte';
  type Mode = 'a' | 'b';
  interface Props {
    /** Loss by step,
     * in nats. */
    loss: NdArray;
    width?: number;
    names?: string[];
    mode?: 'line' | 'dots';
    other?: Mode;
    flag?: boolean;
    limits?: [number, number] | null;
    later?: Date;
    step: number;
    children?: Snippet;
  }
  let { loss, width = -640.5, names = ['a', "b"], mode = 'line', other, flag = false, limits = null, later = new Date(),
    step = $bindable(0), children, 'odd-name': odd = `x` }: Props = $props();
</script>
{loss}{width}{names}{mode}{other}{flag}{limits}{later}{step}{odd}{@render children?.()}
"""


def parameters(function):
    """Annotation and default by name, without ``selection=``, which every display function takes."""
    found = dict(inspect.signature(function).parameters)
    own = found.pop("selection")
    assert (own.kind, own.default) == (own.KEYWORD_ONLY, None)
    return {name: (p.annotation, p.default) for name, p in found.items()}


def test_runes_with_typescript(write):
    Curves = mv.svelte(write(Curves_svelte=RUNES))
    found = parameters(Curves)
    assert repr(found.pop("later")) == "('Date', new Date())"
    assert found == {
        "loss": ("array", inspect.Parameter.empty),
        "width": (float, -640.5),
        "names": (list[str], ["a", "b"]),
        "mode": (Literal["line", "dots"], "line"),
        "other": ("Mode", None),
        "flag": (bool, False),
        "limits": ("[number, number] | null", None),
        "step": (float, 0),
    }
    assert next(iter(found)) == "loss"  # required ones first
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(Curves).parameters.values())
    assert Curves.__name__ == "Curves"
    assert Curves.__doc__.startswith(
        "Curves of a loss.\n\n  indented\n\nArgs:\n    loss (NdArray): Loss by step, in nats.\n"
    )
    assert "step (number): Written by the picture too" in Curves.__doc__


def test_other_ways_to_declare_props(write):
    path = write(
        JSDoc_svelte="""
        <script>
          /** Says what it is. */
          import { tick } from 'mechviz';
          let {
            /** @type {number[]} what they are */
            values,
            /** @type {string=} */
            unit,
            ...others
          } = $props();
        </script>{tick(values[0])}{unit}{others.x}""",
        Four_svelte="""
        <script>
          /** @type {number} how many */
          export let n;
          export let a = 1, b = 'x';
          let k = true;
          export { k as class };
          export const fixed = 3;
        </script>{n}{a}{b}{k}""",
        Whole_svelte="<script lang='ts'>let props: { a: number; b?: string } = $props();</script>{props.a}",
        Any_svelte="<script>let props = $props();</script>{props.a}",
        None_svelte="<p>no props</p>",
    )
    folder = mv.svelte(path.parent)
    assert parameters(folder.JSDoc) == {
        "values": (list[float], inspect.Parameter.empty),
        "unit": (str, None),
        "props": (inspect.Parameter.empty, inspect.Parameter.empty),  # any other
    }
    assert (
        folder.JSDoc.__doc__.startswith("Says what it is.")
        and "values (number[]): what they are" in folder.JSDoc.__doc__
    )
    assert parameters(folder.Four) == {
        "n": (float, inspect.Parameter.empty),
        "a": (inspect.Parameter.empty, 1),
        "b": (inspect.Parameter.empty, "x"),
    }
    folder.Four(n=1, **{"class": False})
    assert parameters(folder.Whole) == {"a": (float, inspect.Parameter.empty), "b": (str, None)}
    folder.Any(anything=1)
    assert parameters(getattr(folder, "None")) == {}
    assert dir(folder) == ["Any", "Four", "JSDoc", "None", "Whole"]
    with pytest.raises(AttributeError, match="has Any, Four, JSDoc, None, Whole; got 'Missing'"):
        _ = folder.Missing


def test_folder_with_main_and_a_broken_neighbour(tmp_path):
    (tmp_path / "Deep").mkdir()
    (tmp_path / "Deep" / "main.svelte").write_text("<p>deep</p>")
    (tmp_path / "Bad.svelte").write_text("<p>{</p>")
    folder = mv.svelte(tmp_path)
    assert repr(folder.Deep()) == "<mechviz svelte 'Deep'>"
    with pytest.raises(mv.SvelteError):
        _ = folder.Bad


def test_companion(write):
    path = write(
        Thing_svelte="<script>let { points, label } = $props();</script>{points}{label}",
        Thing_py='''
        from __future__ import annotations
        from typing import Literal

        def init(values: list, label: str = "x", mode: Literal["a", "b"] = "a", size: float | None = None):
            """Points of values."""
            if not values:
                raise ValueError("values must not be empty")
            return {"points": [v * 2 for v in values], "label": label}
        ''',
    )
    Thing = mv.svelte(path)
    assert list(parameters(Thing)) == ["values", "label", "mode", "size"]
    assert Thing.__doc__ == "Points of values."
    view = Thing(values=[1, 2], size=1)
    assert view.props["points"] == [2, 4]
    view.update(values=[5])
    assert view.props["points"] == [10]
    for arguments, words in (
        ({"values": 3}, "values must be list; got int 3"),
        ({"values": [1], "mode": "c"}, r"mode must be Literal\['a', 'b'\]; got str 'c'"),
        ({"values": [1], "size": True}, "size must be float | None; got bool True"),
        ({}, r"Thing\(\): missing a required argument: 'values'"),
        ({"values": [1], "x": 1}, "unexpected keyword argument 'x'"),
    ):
        with pytest.raises(TypeError, match=words):
            Thing(**arguments)
    with pytest.raises(ValueError, match="must not be empty"):
        Thing(values=[])


def test_views_of_several_cells_share_a_selection(write):
    path = write(
        Thing_svelte="<script>let { a = 1 } = $props();</script>{a}",
        Own_svelte="<script>let { selection } = $props();</script>{selection.length}",
    )
    folder, shared = mv.svelte(path.parent), mv.Selection()
    view = folder.Thing(selection=shared)
    mv.tokens(["a", " b"], selection=shared).selection.positions = [1]
    assert view.selection.positions == [1]
    # A component may have an argument of that name.
    assert folder.Own(selection=[1, 2]).props["selection"] == [1, 2]
    assert list(inspect.signature(folder.Own).parameters) == ["selection"]
    with pytest.raises(TypeError, match="selection must be data"):
        folder.Own(selection=shared)


def test_completion_offers_the_components_and_their_props(write):
    shells = pytest.importorskip("IPython.core.interactiveshell")
    from IPython.core.completer import provisionalcompleter

    path = write(Curve_svelte="<script>let { loss, width = 640 } = $props();</script>{loss}{width}")
    shell = shells.InteractiveShell()
    shell.user_ns["folder"] = folder = mv.svelte(path.parent)
    shell.user_ns["Curve"] = folder.Curve

    def offered(text):  # as a kernel answers the Tab key
        with provisionalcompleter():
            return [found.text.removeprefix(".") for found in shell.Completer.completions(text, len(text))]

    assert "loss=" in offered("Curve(lo") and "width=" in offered("Curve(loss=1, wi")
    assert "Curve" in offered("folder.")


def test_an_edit_is_taken_up_by_the_next_call_and_only_what_changed_is_compiled(write, monkeypatch):
    path = write(
        Thing_svelte="<script>import C from './C.svelte'; let { a } = $props();</script>{a}<C />",
        C_svelte="<script>import n from './n.json';</script>{n}",
        n_json="1",
    )
    Thing = mv.svelte(path)
    first = Thing(a=1)
    keys = first.code()
    assert [key.rsplit("-", 1)[0] for key in keys] == ["n.json", "C.svelte", "Thing.svelte"]

    from mechviz._svelte import compiler

    compiled = []
    engine = compiler._engine()
    monkeypatch.setattr(
        compiler,
        "_engine",
        lambda: type("E", (), {"call": lambda _, f, s, n: compiled.append(n) or engine.call(f, s, n)})(),
    )
    path.write_text("<script>import C from './C.svelte'; let { a, b = 2 } = $props();</script>{a}{b}<C />")
    second = Thing(a=1, b=3)
    assert compiled == ["Thing.svelte"]
    assert list(parameters(Thing)) == ["a", "b"]
    # Modules are named by their content: two are the same, and the pictures that stand show the edit too.
    assert list(second.code())[:2] == list(keys)[:2] and list(second.code())[2] not in keys
    assert first.code() == second.code()
    # Another component that another file of the same text needs is compiled once.
    path.with_name("n.json").write_text("2")
    assert next(iter(Thing(a=1).code())) not in keys and compiled == ["Thing.svelte"]


def until(condition):
    """Wait for what the watching thread does."""
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            faulthandler.dump_traceback()  # where the watching thread is
            pytest.fail("the edit was not taken up in 30 s")
        time.sleep(0.02)


def failed(view):
    """The error above the picture."""
    return view.flat()[1]["0"][1]["failed"] or ""


def test_watching_takes_up_an_edit_and_shows_a_broken_one_above_the_last_good_picture(write):
    path = write(Thing_svelte="<script>let { a } = $props();</script>{a}")
    Thing = mv.svelte(path, watch=True)
    view = Thing(a=1)
    [key] = view.code()
    path.write_text("<script>let { a } = $props();</script>new {a}")
    until(lambda: list(view.code()) != [key])
    [good] = view.code()
    path.write_text("<p>{")
    until(lambda: failed(view).startswith("Thing.svelte:1:"))
    assert list(view.code()) == [good]
    # A new call says it in the cell.
    with pytest.raises(mv.SvelteError):
        Thing(a=1)
    # The new file asks for more than this picture was given: it says so and stays.
    path.write_text("<script>let { a, b } = $props();</script>{a}{b}")
    until(lambda: "needs b" in failed(view))
    path.write_text("<script>let { a } = $props();</script>good {a}")
    until(lambda: not failed(view) and list(view.code()) != [good])
    Thing.component.close()


def test_a_file_that_is_being_saved_is_not_shown_half(write):
    path = write(Thing_svelte="<script>let { a } = $props();</script>{a}")
    Thing = mv.svelte(path, watch=True)
    view, said = Thing(a=1), []
    view._changed = lambda: said.append(failed(view))
    [key] = view.code()
    # As an editor on a busy machine: it empties the file, and writes it some time later.
    with path.open("w") as file:
        time.sleep(0.4)
        file.write("<script>let { a } = $props();</script>new {a}")
    until(lambda: list(view.code()) != [key])
    # As one that moves the old file away first.
    [key] = view.code()
    path.rename(path.with_suffix(".bak"))
    time.sleep(0.4)
    path.write_text("<script>let { a } = $props();</script>newer {a}")
    until(lambda: list(view.code()) != [key])
    assert set(said) == {""}
    # The twin that proves it: a file that stays empty takes no a, and that is said.
    path.write_text("")
    until(lambda: "unexpected keyword 'a'" in failed(view))
    Thing.component.close()


def test_a_file_that_an_import_waits_for_is_taken_up_when_it_comes(write):
    path = write(Thing_svelte="<p>first</p>")
    Thing = mv.svelte(path, watch=True)
    view = Thing()
    path.write_text("<script>import C from './Child.svelte';</script><C />")
    until(lambda: "there is no file './Child.svelte'" in failed(view))
    write(Child_svelte="<p>{</p>")
    until(lambda: failed(view).startswith("Child.svelte:1"))
    write(Child_svelte="<p>child</p>")
    until(lambda: not failed(view))
    assert [key.split("-")[0] for key in view.code()] == ["Child.svelte", "Thing.svelte"]
    Thing.component.close()


def test_a_companion_that_fails_after_an_edit_leaves_component_and_data_as_they_were(write):
    path = write(
        Thing_svelte="<script>let { a } = $props();</script>{a}",
        Thing_py="def init(a):\n    return {'a': a + 1}\n",
    )
    Thing = mv.svelte(path)
    view = Thing(a=1)
    before = view.flat()[1]["0"][1]
    write(Thing_svelte="<script>let { a } = $props();</script>new {a}", Thing_py="def init(a):\n    return {'a': a +")
    assert Thing.component.refresh()
    assert failed(view).startswith("SyntaxError")
    assert {**view.flat()[1]["0"][1], "failed": None} == before
    # It raises for the data of one picture: that one says so.
    write(Thing_py="def init(a):\n    raise ValueError('a is too small')\n")
    Thing.component.refresh()
    assert failed(view) == "ValueError: a is too small"


def test_an_edit_is_compiled_while_the_kernel_runs_a_cell():
    compiler._engine.cache_clear()
    compiled = []

    async def cell():  # as in a notebook: the engine is made where a loop runs, which the cell then keeps busy
        compiler.compile_text("<p>first</p>", "Cell.svelte")
        edit = threading.Thread(
            target=lambda: compiled.append(compiler.compile_text("<p>second</p>", "Cell.svelte")), daemon=True
        )
        edit.start()
        edit.join(timeout=20)

    # A thread of its own: Playwright keeps a loop in this one.
    kernel = threading.Thread(target=lambda: asyncio.run(cell()), daemon=True)
    kernel.start()
    kernel.join(timeout=30)
    assert [record["code"].count("second") for record in compiled] == [1]
