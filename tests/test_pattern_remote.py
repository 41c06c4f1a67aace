"""Heads that stay in the kernel: nothing is computed before the picture, questions are answered in parts, as of the array."""

from __future__ import annotations

import base64

import numpy as np
import pytest

import mechviz as mv
from mechviz._sink import SinkColumn
from mechviz.pattern import Dense, Factored
from mechviz.views import _pattern_layers, _pattern_remote

N = 300


@pytest.fixture
def pattern(monkeypatch) -> Factored:
    monkeypatch.setattr(_pattern_layers, "HELD_BYTES", 0)
    return Factored(*np.random.default_rng(0).normal(0, 1.5, (2, 3, N, 8)).astype(np.float32))


def view_of(pattern, **options) -> mv.View:
    return mv.attention([f" t{i}" for i in range(N)], pattern, **options)


def edges(first, stop, step):
    return {"from": first, "to": stop, "step": step}


def test_a_live_picture_computes_nothing_first_and_a_file_holds_every_head(pattern, monkeypatch):
    asked = []
    for name in ("head", "tile", "rows", "normaliser"):
        monkeypatch.setattr(Factored, name, lambda *_, name=name: asked.append(name))
    view = view_of(pattern)
    view.widget.close()
    live = view.flat()[1]["0"][1]
    assert asked == [] and [head["values"] for head in live["heads"]] == [{"remote": [N, N]}] * 3
    assert live["remote"] and live["thumbs"] is None and live["row_total"] == {"value": 1.0, "error": 1e-5}
    assert live["scale"] == {"ramp": "ink", "limits": [0.0, 1.0]} and live["quantity"] == "attention probability"
    monkeypatch.undo()
    kept = view_of(pattern).flat("file")[1]["0"][1]
    assert not kept["remote"] and kept["thumbs"] is not None and all("remote" not in str(h) for h in kept["heads"])


def test_cells_come_in_parts_that_make_up_the_whole(pattern, monkeypatch):
    monkeypatch.setattr(_pattern_remote, "SLICE", 0.0)  # a part ends wherever something else could be done
    monkeypatch.setattr("mechviz._reading.BYTES", 0)
    view = view_of(pattern)
    args = {"heads": [1], "rows": edges(0, N, 7), "cols": edges(0, N, 7), "pooling": "max", "background": True}
    found, asked = [], 0
    while sum(map(len, found)) < 43:  # ceil(300 / 7)
        _, (cells,) = view.answer("0", "cells", {**args, "from": sum(map(len, found))})
        found.append(cells)
        asked += 1
        assert cells.shape[1] == 43
    assert [len(cells) for cells in found if len(cells)] == [36, 7]  # 256 queries, and the rest
    assert asked > 2
    args["background"] = False
    assert len(view.answer("0", "cells", {**args, "from": 0})[1][0]) == 36  # somebody waits for it
    whole = np.zeros((301, 301), np.float32)
    whole[:N, :N] = pattern.head(1)
    np.testing.assert_allclose(np.concatenate(found), whole.reshape(43, 7, 43, 7).max((1, 3)), atol=1e-6)
    words = {**args, "rows": [3, 9, 40], "cols": [0, 1, 30], "pooling": "mass", "from": 1}
    _, (cells,) = view.answer("0", "cells", words)
    np.testing.assert_allclose(cells[0, 1], pattern.head(1)[9:40, 1:30].sum(1).mean(), atol=1e-6)


@pytest.fixture
def jobs(monkeypatch) -> list:
    """What a kernel's worker would do while the browser draws, as little at a time as it can."""
    waiting = []
    monkeypatch.setattr(_pattern_remote, "SLICE", 0.0)
    monkeypatch.setattr("mechviz._reading.BYTES", 0)
    monkeypatch.setattr("mechviz.worker.threaded", lambda: True)
    monkeypatch.setattr("mechviz.worker.submit", lambda job, *, background: background and waiting.append(job))
    return waiting


def test_the_next_rows_are_computed_while_the_browser_draws(pattern, monkeypatch, jobs):
    answer = _pattern_remote.Remote([(pattern, 1)]).cells
    args = {"heads": [0], "rows": edges(0, N, 7), "cols": edges(0, N, 7), "pooling": "max"}
    _, (first,) = answer({**args, "from": 0})
    assert len(first) == 36 and len(jobs) == 1  # of 256 rows
    while jobs:
        jobs.pop()()
    monkeypatch.setattr(Factored, "scores", lambda *_: pytest.fail("computed again"))
    _, (rest,) = answer({**args, "from": 36})
    assert len(rest) == 7 and jobs == []
    monkeypatch.undo()
    whole = np.zeros((301, 301), np.float32)
    whole[:N, :N] = pattern.head(1)
    np.testing.assert_allclose(np.concatenate([first, rest]), whole.reshape(43, 7, 43, 7).max((1, 3)), atol=1e-6)


def test_computing_ahead_makes_way_and_goes_on_until_enough_is_ready(monkeypatch, jobs):
    monkeypatch.setattr(_pattern_remote, "SLICE", 60.0)  # other questions alone end a part here
    monkeypatch.setattr("mechviz.worker.waiting", lambda: True)
    pattern = Factored(*np.random.default_rng(0).normal(0, 1.5, (2, 1, 2048, 8)).astype(np.float32))
    args = {"heads": [0], "rows": edges(0, 2048, 256), "cols": edges(0, 2048, 8), "pooling": "max"}

    def ready(ahead: float) -> list[int]:
        """Rows that are ready after each part that was computed ahead, behind a first answer of one row."""
        monkeypatch.setattr(_pattern_remote, "AHEAD", ahead)
        remote = _pattern_remote.Remote([(pattern, 0)])
        with monkeypatch.context() as short:
            short.setattr(_pattern_remote, "SLICE", 0.0)
            assert len(remote.cells({**args, "from": 0})[1][0]) == 1
        (job,) = remote._begun.values()
        found = []
        while jobs:
            jobs.pop()()
            found.append(job.made - job.at)
        if found[-1]:
            assert len(remote.cells({**args, "from": 1})[1][0]) == found[-1]
        jobs.clear()
        return found

    # A part ends after each 1,024 keys, of which the first four rows of 256 queries see one block, the others two.
    assert ready(60.0) == [0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7]
    assert ready(0.0) == [0]


def test_rows_that_could_not_be_computed_ahead_are_computed_when_they_are_asked_for(pattern, monkeypatch, jobs):
    answer = _pattern_remote.Remote([(pattern, 1)]).cells
    args = {"heads": [0], "rows": edges(0, N, 7), "cols": edges(0, N, 7), "pooling": "max"}
    answer({**args, "from": 0})
    with monkeypatch.context() as broken:
        broken.setattr(Factored, "scores", lambda *_: 1 / 0)
        jobs.pop()()
        with pytest.raises(ZeroDivisionError):
            answer({**args, "from": 36})
    assert len(answer({**args, "from": 36})[1][0]) == 7


def test_rows_columns_and_the_weight_that_a_cell_shows(pattern):
    view, weights = view_of(pattern), pattern.head(2)
    args = {"heads": [2], "reading": None}
    _, (row,) = view.answer("0", "line", {**args, "direction": "from", "index": 200})
    _, (column,) = view.answer("0", "line", {**args, "direction": "by", "index": 5})
    np.testing.assert_allclose(row, weights[200], atol=1e-6)
    np.testing.assert_allclose(column, weights[:, 5], atol=1e-6)
    part = np.abs(weights[40:60, 30:50])
    query, key = np.unravel_index(part.argmax(), part.shape)
    found = view.answer("0", "peak", {**args, "rows": [40, 60], "cols": [30, 50]})
    assert found == {"query": 40 + query, "key": 30 + key}


def test_a_reading_is_sent_once_and_asked_for_again_when_it_is_forgotten(pattern):
    view = view_of(pattern)
    norms = np.random.default_rng(1).random((2, N)).astype(np.float32)
    norms[:, 0] = 0
    factors = {"columns": base64.b64encode(norms.tobytes()).decode(), "rows": None}
    said = {"key": "a", "combine": "mean"}
    args = {"heads": [0, 2], "direction": "from", "index": 250}
    assert view.answer("0", "line", {**args, "reading": said}) == {"unknown": True}
    wanted = (pattern.head(0)[250] * norms[0] + pattern.head(2)[250] * norms[1]) / 2
    for reading in ({**said, "factors": factors}, said):
        _, (row,) = view.answer("0", "line", {**args, "reading": reading})
        np.testing.assert_allclose(row, wanted, atol=1e-6)
    for i in range(8):
        view.answer("0", "line", {**args, "reading": {**said, "key": str(i), "factors": factors}})
    assert view.answer("0", "line", {**args, "reading": said}) == {"unknown": True}


def test_heads_with_a_sink_and_layers_held_as_arrays_are_asked_alike(pattern):
    sinks = Factored(pattern.queries, pattern.keys, sinks=np.zeros(3, np.float32))
    heads = [(SinkColumn(sinks), 0), (Dense(pattern.dense()), 1)]
    remote = _pattern_remote.Remote(heads)
    args = {"direction": "from", "index": 9, "reading": None}
    _, (row,) = remote.line({**args, "heads": [0]})
    assert row.shape == (N + 1,) and row.sum() == pytest.approx(1, abs=1e-5) and row[-1] > 0
    _, (row,) = remote.line({**args, "heads": [1]})
    np.testing.assert_allclose(row, pattern.head(1)[9], atol=1e-6)


def test_the_still_of_a_long_text_says_that_a_kernel_is_needed(pattern, monkeypatch):
    assert "<img" in view_of(pattern).still()
    twin = view_of(pattern)._twin().to_html()
    assert "computed by the kernel" in twin and "<iframe" not in twin
    monkeypatch.setattr("mechviz.views.attention._STILL", 100)
    assert "300 tokens, drawn while a kernel runs" in view_of(pattern).still()
