"""What a live `mv.heatmap` asks of a matrix that is too large to be sent: pooled cells, rows, the number that a cell shows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._reading import edges_from

# What is larger stays in the kernel, and no answer is larger than that by much.
LARGE = 4 * wire.MB
_SENT = 2 * wire.MB
# Numbers that are pooled before the clock is looked at, and how long an answer may take: another one may wait.
_AT_ONCE, _SECONDS = 1 << 21, 0.04


class Asked:
    """Answers about a stack of matrices, in the words of js/src/pattern/remote.ts.

    Args:
        stack: ``[matrix, row, column]``.
        signed: A cell of several numbers shows the one furthest from 0, else the largest; NaN wins.
    """

    def __init__(self, stack: np.ndarray, *, signed: bool) -> None:
        self._stack, self._signed = stack, signed

    def answers(self) -> dict[str, Any]:
        """By name, as `mechviz.view.View.of` takes them."""
        return {"cells": self.cells, "line": self.line, "peak": self.peak}

    def cells(self, args: Mapping[str, Any]) -> Any:
        """Rows of pooled cells from ``args["from"]``, float32, as many as are done in a while and fit into a message."""
        matrix, rows, cols = self._stack[index(args["heads"][0])], edges_from(args["rows"]), edges_from(args["cols"])
        until, found, at = time.perf_counter() + _SECONDS, [], index(args["from"])
        across = max(1, int(cols[-1] - cols[0]))
        sent = 0
        while at < len(rows) - 1 and sent < _SENT and (not found or time.perf_counter() < until):
            # As many rows of cells as hold some million numbers, and as fit into the message.
            most = max(1, (_SENT - sent) // (4 * (len(cols) - 1)))
            stop = int(np.searchsorted(rows, rows[at] + max(1, _AT_ONCE // across), side="right")) - 1
            stop = min(max(at + 1, stop), at + most, len(rows) - 1)
            part = matrix[rows[at] : rows[stop], cols[0] : cols[-1]]
            found.append(self._pooled(part, rows[at:stop] - rows[at], cols[:-1] - cols[0]))
            sent += found[-1].nbytes
            at = stop
        return {}, [np.concatenate(found)]

    def _pooled(self, part: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
        if len(down) == part.shape[0] and len(across) == part.shape[1]:
            return part.astype(np.float32)
        high = np.maximum.reduceat(np.maximum.reduceat(part, down, axis=0), across, axis=1).astype(np.float32)
        if not self._signed:
            return high
        low = np.minimum.reduceat(np.minimum.reduceat(part, down, axis=0), across, axis=1).astype(np.float32)
        return np.where(np.abs(low) > np.abs(high), low, high)

    def line(self, args: Mapping[str, Any]) -> Any:
        """A row ("from") or a column ("by"), exactly."""
        matrix, at = self._stack[index(args["heads"][0])], index(args["index"])
        return {}, [matrix[at] if args["direction"] == "from" else matrix[:, at]]

    def peak(self, args: Mapping[str, Any]) -> Any:
        """The number that a cell of several shows: its row and column."""
        (top, bottom), (left, right) = args["rows"], args["cols"]
        part = self._stack[index(args["heads"][0])][top:bottom, left:right].astype(np.float64)
        row, column = np.unravel_index((np.abs(part) if self._signed else part).argmax(), part.shape)
        return {"query": int(row) + top, "key": int(column) + left}
