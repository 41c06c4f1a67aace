"""The one anywidget class behind a displayed figure. Handlers only enqueue; one worker thread computes and answers."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import anywidget
import numpy as np
import traitlets

from mechviz import wire, worker
from mechviz.bundle import BUNDLE, MISSING, bundle_text, shared_module
from mechviz.selection import Selection
from mechviz.style import current as current_style

log = logging.getLogger("mechviz")

_NO_BUNDLE = f"export default {{ render({{ el }}) {{ el.textContent = {json.dumps(MISSING)}; }} }};"

# A loop may change a picture thousands of times a second; the browser hears of at most 20.
_INTERVAL = 0.05

# Traits change on three threads: a cell's, the one that Jupyter delivers messages on, and the worker. One lock for all
# widgets, since a change of one may reach another.
traits_lock = threading.RLock()


def module(path: Path) -> str | Path:
    """What anywidget runs for a bundle: a message where it is missing."""
    if not path.exists():
        return _NO_BUNDLE
    # While somebody works on the bundle (`make watch`) anywidget follows the file.
    return path if os.environ.get("ANYWIDGET_HMR") else shared_module(bundle_text(path))


class Shown(Protocol):
    """What a widget needs of a view (mechviz/view.py)."""

    @property
    def selection(self) -> Selection:
        """What is picked; the widget only reads and changes it."""
        ...

    def flat(self) -> tuple[dict[str, Any], dict[str, tuple[str, Mapping[str, Any]]]]:
        """The layout, and kind and props of each view by id."""
        ...

    def answer(self, view: str, name: str, args: Any) -> Any:
        """Answer a question of the browser about one view."""
        ...

    def code(self) -> dict[str, str]:
        """Modules of users' components by key."""
        ...


class FigureWidget(anywidget.AnyWidget):
    """A figure in a notebook. Made by a view when it is displayed; reach it as ``view.widget``."""

    _esm = module(BUNDLE)
    # Plain JSON in which {"$array": id} stands for an array; changing an option resends this and no array.
    figure = traitlets.Dict().tag(sync=True)
    # The bytes of the first picture, by id. Part of the state, so that it arrives with the widget and after a reload.
    arrays = traitlets.Dict().tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)

    def __init__(self, view: Shown) -> None:
        """Encode the first picture and open the widget."""
        self._view = view
        self._table = _ArrayTable()
        self._version = 0
        self._unwatch: Callable[[], None] = lambda: None
        self._origin: str | None = None
        figure = self._assemble()
        super().__init__(figure=figure, arrays=self._table.first_bytes(), selection=view.selection.to_dict())
        self._hear_beside_cells()
        #: Show the view as it is now; to be called whenever it has changed.
        self.refresh = worker.Newest(self._show, _INTERVAL)
        self.on_msg(self._on_message)
        self.observe(self._on_browser_selection, "selection")
        self.bind_selection()

    def bind_selection(self) -> None:
        """Follow the view's selection (again, when a figure has given the view another one)."""
        self._unwatch()
        selection = self._view.selection

        def follow(source: Any) -> None:
            if source is not self:
                # Figures of one document have told each other already; they know the pick again by its origin.
                origin = {"origin": source._origin} if isinstance(source, FigureWidget) and source._origin else {}
                with traits_lock:
                    self.selection = {**selection.to_dict(), **origin}

        self._unwatch = selection.watch(follow)
        follow(None)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the browser has changed."""
        with traits_lock:
            super().set_state(sync_data)

    def _send(self, msg: dict[str, Any], buffers: list[Any] | None = None) -> None:
        super()._send(msg, buffers)
        self._hear_beside_cells()

    def _hear_beside_cells(self) -> None:
        # ipykernel 7.4 gives what the browser says next to the shell that has spoken last on this comm: after a cell,
        # to the main one, where it would wait for the next cell to end. Without this note it goes where it is sent.
        getattr(self.comm, "__dict__", {}).pop("_reply_subshell_id", None)

    def _show(self) -> None:
        """Show the view as it is now: new arrays first, then the figure that names them."""
        figure = self._assemble()
        self._send_arrays(self._table.unsent())
        with traits_lock:
            self.figure = figure

    def _assemble(self) -> dict[str, Any]:
        layout, views = self._view.flat()
        refer = self._table.start()
        filled = {id: {"kind": kind, "props": wire.replace(props, refer, id)} for id, (kind, props) in views.items()}
        figure = {"layout": layout, "views": filled, "arrays": self._table.headers(), "selection": {}}
        shared = self._view.selection.shared_id
        # Counted, so that a picture that was overtaken on its way is dropped (js/src/figure.svelte.ts).
        self._version += 1
        figure |= {"style": current_style().to_json(), "version": self._version}
        return figure | ({"selection_id": shared} if shared else {})

    def _on_browser_selection(self, change: Any) -> None:
        picked = dict(change["new"])
        self._origin = picked.pop("origin", None)
        try:
            self._view.selection.set(picked, source=self)
        except (TypeError, ValueError) as error:
            log.warning("a selection from the browser was refused: %s", error)

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: list[Any]) -> None:
        # In JupyterLab this may run on a second thread while a cell runs: no work here.
        worker.submit(lambda: self._handle(content), background=bool(content.get("background")))

    def _handle(self, content: dict[str, Any]) -> None:
        if content["type"] == "arrays":
            self._send_arrays([str(id) for id in content["ids"]])
        elif content["type"] == "ask":
            with self._telling(seq=content["seq"]):
                self._reply(content)

    def _send_arrays(self, ids: list[str]) -> None:
        # A message each: the first is drawn while the next is encoded, and one that fails fails alone.
        for id in ids:
            with self._telling(id=id):
                encoded = self._table.encoded(id)
                self.send({"type": "array", "id": id, "header": encoded.header}, buffers=[encoded.data])

    @contextlib.contextmanager
    def _telling(self, **asked: Any) -> Iterator[None]:
        """Whatever goes wrong inside, the reader sees it where they asked."""
        try:
            yield
        except Exception as error:
            log.debug("could not answer %s", asked, exc_info=True)
            self.send({"type": "error", "message": f"{type(error).__name__}: {error}", **asked})

    def _reply(self, content: dict[str, Any]) -> None:
        result = self._view.answer(content["view"], content["name"], content["args"])
        if isinstance(result, (np.ndarray, np.generic)):
            result = (None, [result])
        value, arrays = result if isinstance(result, tuple) else (result, [])
        encoded = [wire.encode(np.asarray(array)) for array in arrays]
        message = {"type": "reply", "seq": content["seq"], "value": value, "headers": [e.header for e in encoded]}
        self.send(message, buffers=[e.data for e in encoded])


class _ArrayTable:
    """Ids of the arrays in the figure that is shown: an array crosses once per id.

    Arrays of the first picture are named by their content. One that is fetched when opened is named before anybody
    has computed it: by its place in the figure, and anew once its numbers differ from those that were sent.
    """

    def __init__(self) -> None:
        self._first: dict[str, wire.Encoded] = {}
        self._lazy: dict[str, wire.Array] = {}
        self._places: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._known: set[str] = set()
        self._count = 0

    def start(self) -> Callable[[wire.Array, str], dict[str, str]]:
        """Begin a new figure; returns the function that names the array at a place in it."""
        places_before = self._places
        self._first, self._lazy, self._places = {}, {}, {}
        by_memory: dict[tuple[Any, ...], str] = {}

        def refer(array: wire.Array, place: str) -> dict[str, str]:
            if not array.lazy:
                encoded = array.encode()
                id = encoded.digest()
                self._first[id] = encoded
                return {"$array": id}
            id = by_memory.get(array.key()) or self._name(array, places_before.get(place))
            by_memory[array.key()] = id
            self._places[place] = id
            self._lazy[id] = array
            return {"$array": id}

        return refer

    def _name(self, array: wire.Array, before: str | None) -> str:
        """The name that the place had, unless it stands for other numbers by now."""
        moved = before in self._sent and array.encode().digest() != self._sent[before]
        if before is None or before in self._lazy or moved:
            self._count += 1
            return f"lazy-{self._count}"
        return before

    def headers(self) -> dict[str, Any]:
        first = {id: encoded.header for id, encoded in self._first.items()}
        return first | {id: {"lazy": True, "shape": list(array.shape)} for id, array in self._lazy.items()}

    def first_bytes(self) -> dict[str, bytes]:
        self._known = set(self._first)
        return {id: encoded.data for id, encoded in self._first.items()}

    def unsent(self) -> list[str]:
        """Arrays of the first picture that the browser does not have; counted as sent."""
        new = [id for id in self._first if id not in self._known]
        # The browser forgets what the figure no longer names (js/src/kernel.ts).
        self._known = set(self._first)
        self._sent = {id: digest for id, digest in self._sent.items() if id in self._lazy}
        return new

    def encoded(self, id: str) -> wire.Encoded:
        if id in self._first:
            return self._first[id]
        if id not in self._lazy:
            raise KeyError(f"array {id} is not in this figure any more")
        encoded = self._lazy[id].encode()
        self._sent[id] = encoded.digest()
        return encoded
