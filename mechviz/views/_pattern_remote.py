"""What a live picture asks of heads that stay in the kernel: cells, rows, columns, the weight that a cell shows."""

from __future__ import annotations

import base64
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from mechviz import worker
from mechviz._one_thread import one_thread
from mechviz._reading import Reading, edges_from
from mechviz.pattern import Pattern

# A question is answered in parts of at most about this many seconds, so that another never waits for longer.
SLICE = 0.025
# What is computed before it is asked for, in seconds: more than a question and its answer are on their way.
AHEAD = 0.25
# Readings whose factors are kept, since a browser sends them once; and answers that go on where they stopped.
_KEPT = 8


class Remote:
    """Answers about the heads of a view; js/src/pattern/remote.ts asks.

    Args:
        heads: ``(pattern, head)`` of every head, as the browser counts them.
    """

    def __init__(self, heads: Sequence[tuple[Pattern, int]]) -> None:
        self._heads = heads
        self._factors: OrderedDict[str, tuple[np.ndarray | None, np.ndarray | None]] = OrderedDict()
        self._begun: OrderedDict[str, _Cells] = OrderedDict()

    def answers(self) -> dict[str, Any]:
        """By name, as `mechviz.view.View.of` takes them."""
        return {"cells": _alone(self.cells), "line": _alone(self.line), "peak": _alone(self.peak)}

    def cells(self, args: Mapping[str, Any]) -> Any:
        """Rows of cells from ``args["from"]``, as many as are done in a while; the browser asks for the rest.

        There may be none where nobody waits for them (``args["background"]``) and something else is to be done.
        """
        reading = self._reading(args)
        if reading is None:
            return {"unknown": True}
        first, name = index(args["from"]), _name(args)
        job = self._begun.pop(name, None)
        if job is None or job.at != first:
            rows, cols = edges_from(args["rows"]), edges_from(args["cols"])
            bands = reading.bands(rows[first:], cols, args["pooling"])
            job = _Cells(first, len(rows) - 1, len(cols) - 1, bands)
        found = job.take(worker.waiting if args.get("background") else None)
        if job.at < job.stop:
            self._begun[name] = job
            while len(self._begun) > _KEPT:
                self._begun.popitem(last=False)
            if job.made < job.stop:
                self._later(name, job)
        return {}, [found]

    def _later(self, name: str, job: _Cells) -> None:
        if worker.threaded() and not job.queued:
            job.queued = True
            worker.submit(lambda: self._ahead(name, job), background=True)

    def _ahead(self, name: str, job: _Cells) -> None:
        """Compute the next rows while the browser draws these, and make way for every other question."""
        job.queued = False
        if self._begun.get(name) is not job:
            return
        try:
            with one_thread():
                job.compute(worker.waiting)
            if job.ahead < AHEAD and job.made < job.stop:
                self._later(name, job)
        except Exception:  # told to whoever asks for these rows: they are computed anew
            self._begun.pop(name, None)

    def line(self, args: Mapping[str, Any]) -> Any:
        """One row ("from") or column ("by") of what is read; the mean of several rows, the sum of several columns."""
        reading = self._reading(args)
        if reading is None:
            return {"unknown": True}
        asked = args["index"]
        return {}, [reading.line(args["direction"], [*map(index, asked)] if isinstance(asked, list) else index(asked))]

    def peak(self, args: Mapping[str, Any]) -> Any:
        """The cell ``[query, key]`` of the largest weight of a rectangle, or furthest from zero; NaN wins."""
        reading = self._reading(args)
        if reading is None:
            return {"unknown": True}
        (top, bottom), (left, right) = args["rows"], args["cols"]
        size = np.abs(reading.weights(slice(top, bottom), slice(left, right)))
        if reading.causal:
            size[np.arange(top, bottom)[:, None] < np.arange(left, right)] = -1
        query, key = np.unravel_index(size.argmax(), size.shape)
        return {"query": int(query) + top, "key": int(key) + left}

    def _reading(self, args: Mapping[str, Any]) -> Reading | None:
        """What is read; None where its factors have not been sent, or are forgotten."""
        heads = [self._heads[index(head)] for head in args["heads"]]
        said = args.get("reading")
        if said is None:
            return Reading(heads)
        if "factors" in said:
            queries, keys = heads[0][0].shape[1:]
            sent = said["factors"]
            self._factors[said["key"]] = (_factors(sent["columns"], keys), _factors(sent["rows"], queries))
            while len(self._factors) > _KEPT:
                self._factors.popitem(last=False)
        if said["key"] not in self._factors:
            return None
        self._factors.move_to_end(said["key"])
        return Reading(heads, *self._factors[said["key"]], said["combine"])


def _name(args: Mapping[str, Any]) -> str:
    """Equal for questions about the same cells, whichever rows of them."""
    reading = args.get("reading") or {}
    asked = [args["heads"], reading.get("key"), reading.get("combine"), args["pooling"], args["rows"], args["cols"]]
    return json.dumps(asked)


def _alone(answer: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def alone(args: Mapping[str, Any]) -> Any:
        with one_thread():
            return answer(args)

    return alone


class _Cells:
    """An answer in parts.

    It goes on where it stopped, which is within a band of queries as a rule: what is done of that would be computed again.

    Attributes:
        at: The row that is asked for next.
        stop: Behind the last row.
        ahead: Seconds that went into rows which nobody has asked for yet.
        made: Behind the last row that is computed.
        queued: The worker is to compute more of it.
    """

    def __init__(self, first: int, stop: int, cols: int, bands: Iterator[tuple[int, np.ndarray]]) -> None:
        self.at = self.made = first
        self.stop, self.ahead, self.queued = stop, 0.0, False
        self._bands, self._none = bands, np.empty((0, cols), np.float32)
        self._ready: list[np.ndarray] = []

    def compute(self, interrupted: Callable[[], bool] | None = None) -> None:
        """Some rows, which wait until they are taken: for a `SLICE`, or until something else is to be done."""
        began = time.perf_counter()
        for _, cells in self._bands:
            if len(cells):
                self._ready.append(cells)
                self.made += len(cells)
            if time.perf_counter() - began > SLICE or (interrupted is not None and interrupted()):
                break
        self.ahead += time.perf_counter() - began

    def take(self, interrupted: Callable[[], bool] | None = None) -> np.ndarray:
        """What is ready, ``[row, col]``; if nothing is, it is computed: a row at least, unless it may be interrupted."""
        while not self._ready and self.made < self.stop:
            self.compute(interrupted)
            if interrupted is not None:
                break
        found, self._ready = np.concatenate([self._none, *self._ready]), []
        self.at, self.ahead = self.at + len(found), 0.0
        return found


def _factors(sent: str | None, count: int) -> np.ndarray | None:
    """Factors ``[head or 1, count]`` from the bytes of float32 numbers."""
    return None if sent is None else np.frombuffer(base64.b64decode(sent), "<f4").reshape(-1, count)
