"""A user's component in a real JupyterLab: two-way, linked, and taken anew when its file is saved."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from driver import jupyter, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COUNTER = """<script>
  import { TokenText } from 'mechviz';
  let { tokens, x, count = $bindable(1) } = $props();
</script>
<button onclick={() => (count += 1)}>WORD {count} {x.at(1, 2)}</button>
<TokenText {tokens} />
"""
CELLS = [
    "import numpy as np, time, mechviz as mv",
    "begin = time.time()\n"
    "Counter = mv.svelte('Counter.svelte', watch=True)\n"
    "view = Counter(tokens=['a', ' b', ' c'], x=np.array([[1, 2, 3], [4, 5, np.pi]]))\n"
    "heard = []\nview.on_change(lambda name, value: heard.append((name, value)))\n"
    "view",
    "mv.row(view, mv.tokens(['a', ' b', ' c'], [1, 2, 3]))",
]


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "Counter.svelte").write_text(COUNTER.replace("WORD", "first"))
    with jupyter(folder) as server:
        notebook = server.open(browser, CELLS)
        try:
            notebook.run_all()
            yield notebook, folder
        finally:
            notebook.shut_down()


def test_two_way_linked_and_reloaded(lab):
    notebook, folder = lab
    button = notebook.figure(1).get_by_role("button")
    button.get_by_text("first 1 3.141592653589793").wait_for()  # all 53 bits have come

    # Written by the component, heard in Python, shown by every other picture of the view.
    button.click()
    wait_until(lambda: notebook.python("print(view.props['count'], heard)") == "2 [('count', 2)]")
    other = notebook.figure(2).get_by_role("button", name="first")
    other.get_by_text("first 2").wait_for()
    # Written by Python.
    notebook.python("view.update(count=7)")
    button.get_by_text("first 7").wait_for()
    other.get_by_text("first 7").wait_for()

    # One selection, with our own views.
    notebook.figure(1).locator("[data-i='1']").click()
    wait_until(lambda: notebook.python("print(view.selection.positions)") == "[1]")
    picked = "[role=option][data-i='1'][aria-selected=true]"
    wait_until(lambda: notebook.figure(2).locator(picked).count() == 2)

    # Saved: the new picture, with the data, what was written and the selection.
    (folder / "Counter.svelte").write_text(COUNTER.replace("WORD", "second"))
    begin = time.perf_counter()
    button.get_by_text("second 7 3.141592653589793").wait_for()
    print(f"edit -> new picture in {time.perf_counter() - begin:.2f} s")
    wait_until(lambda: notebook.figure(1).locator(picked).count() == 1)
    assert notebook.python("print(view.selection.positions)") == "[1]"

    # A broken edit is a message above the picture as it was; the next good one takes it away.
    (folder / "Counter.svelte").write_text(COUNTER.replace("WORD", "{third"))
    alert = notebook.figure(1).get_by_role("alert")
    alert.get_by_text("Counter.svelte:").wait_for()
    assert button.first.inner_text().startswith("second 7")
    (folder / "Counter.svelte").write_text(COUNTER.replace("WORD", "fourth"))
    button.get_by_text("fourth 7").wait_for()
    wait_until(lambda: alert.count() == 0)

    # A component that throws when it is clicked tells the reader and Python.
    (folder / "Counter.svelte").write_text(COUNTER.replace("(count += 1)", "nowhere()"))
    button.get_by_text("WORD").click()
    alert.get_by_text("nowhere is not defined").wait_for()
    wait_until(lambda: "Counter.svelte:5:24" in notebook.python("print(view.errors[-1])"))
    assert notebook.requests.outside() == []
    # The driver's own, the counter behind Svelte's $props.id(), and the one module of all widgets; no data.
    ours = notebook.page.evaluate("Object.keys(window).filter(key => /mechviz|svelte|counter/i.test(key))")
    module = [key for key in ours if re.fullmatch("mechviz [0-9a-f]{16}", key)]
    assert len(module) <= 1
    assert {*ours} - {*module} <= {"mechvizDrawn", "__svelte"}
