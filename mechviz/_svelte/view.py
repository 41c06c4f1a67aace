"""The view of a user's component: data, what the component wrote, its errors, and its code."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
from collections.abc import Callable, Mapping
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mechviz._svelte.data import equal, from_props, to_props
from mechviz._svelte.signature import Default
from mechviz.arrays import to_numpy
from mechviz.spec import Spec
from mechviz.version import __version__
from mechviz.view import View

if TYPE_CHECKING:
    from mechviz._svelte.component import Component

log = logging.getLogger("mechviz")

_ARRAY = re.compile(r"NdArray(\s*\|\s*(null|undefined))*")

# Browsers that are remembered: a page that is loaded anew is another one.
_CLIENTS = 32


class ComponentView(View):
    """A picture drawn by a user's component. Like any view, and: `props`, `on_change`, `errors`."""

    _component: Component
    _arguments: dict[str, Any]
    _prepared: dict[str, Any]
    _written: dict[str, Any]
    # By browser and prop: how many of its writes were taken; by prop: the browser whose write its value is. A browser
    # reads from them whether a value is news to it, its own, or older than what it has sent (js/src/user/entry.svelte.ts).
    _heard: dict[str, dict[str, int]]
    _writers: dict[str, str]
    # Cells, the worker that answers browsers and the watch of the files all change it.
    _lock: threading.RLock
    _watchers: list[Callable[[str, Any], Any]]
    #: Errors that browsers have reported, newest last.
    errors: list[str]

    @classmethod
    def make(cls, component: Component, arguments: Mapping[str, Any]) -> ComponentView:
        """For `Component`: a view of arguments that it has checked."""
        view = cls()
        view._component = component
        view._arguments = dict(arguments)
        view._prepared = component.prepared(arguments)
        view._written, view._heard, view._writers = {}, {}, {}
        view._lock = threading.RLock()
        view._watchers = []
        view.errors = []
        view._spec = view._make_spec()
        return view

    @property
    def props(self) -> Mapping[str, Any]:
        """The component's props as they are now: as given, as it wrote them, its defaults where they are constants."""
        defaults = {prop["name"]: prop["value"] for prop in self._component.props if "value" in prop}
        return MappingProxyType({**defaults, **self._values()})

    def update(self, **changes: Any) -> None:
        """Show the picture with some arguments changed, where it stands; arrays that did not change are not resent.

        Raises:
            TypeError: the component takes no such argument.
        """
        with self._lock:
            arguments = {**self._arguments, **changes}
            before, now = self._prepared, self._component.prepared(arguments)
            # Through a companion an argument may become a prop of another name.
            moved = {key for key in self._written if key in changes or not equal(before.get(key), now.get(key))}
            stood = self._arguments, self._prepared, self._written, self._writers
            self._arguments, self._prepared = arguments, now
            self._written = {key: value for key, value in self._written.items() if key not in moved}
            self._writers = {key: client for key, client in self._writers.items() if key not in moved}
            try:
                self._remake()
            except BaseException:  # a value that a browser cannot be given: nothing has changed
                self._arguments, self._prepared, self._written, self._writers = stood
                raise

    def on_change(self, f: Callable[[str, Any], Any]) -> Callable[[], None]:
        """Call ``f(name, value)`` whenever the component writes a prop; returns a function that stops it."""
        self._watchers.append(f)
        return lambda: self._watchers.remove(f) if f in self._watchers else None

    def _values(self) -> dict[str, Any]:
        return {**self._prepared, **self._written}

    def reload(self) -> None:
        """Show what the component's files say now; data, selection and what was written stay."""
        with self._lock:
            self._prepared = self._component.prepared(self._arguments)
            self._remake()

    def stay(self, failed: str) -> None:
        """Keep the picture as it is, with an error above it."""
        with self._lock:
            if self._spec is not None:
                self._spec = dataclasses.replace(self._spec, props={**self._spec.props, "failed": failed})
                self._changed()

    def _remake(self) -> None:
        self._spec = self._make_spec()
        self._changed()

    def _make_spec(self) -> Spec:
        component, built = self._component, self._component.built
        values = self._values()
        # Lists for what the component declares as an array become one.
        arrays = {prop["name"] for prop in component.props if _ARRAY.fullmatch(prop["type"])}
        title = values.get("title")
        props = {
            "name": component.name,
            "component": built.key,
            "values": {
                key: to_props(
                    to_numpy(value, name=key) if key in arrays and isinstance(value, (list, tuple)) else value, key
                )
                for key, value in values.items()
                if not isinstance(value, Default)
            },
            "bindable": [prop["name"] for prop in component.props if prop["bindable"]],
            "heard": {client: dict(counts) for client, counts in self._heard.items()},
            "writers": dict(self._writers),
            "failed": component.failed,
            "frame": {
                "title": title if isinstance(title, str) else component.name,
                "made": {"mechviz": __version__, "provenance": {"component": component.path.name}},
            },
        }
        return Spec(
            "svelte",
            props,
            {"component": component.path.name},
            {"set": self._set, "failed": self._failed},
            lambda: _card(component.name, values),
            component.height,
            built.modules,
        )

    def _set(self, change: Mapping[str, Any]) -> None:
        """The component wrote bound props; every other place that shows this view follows."""
        client, counts = change["client"], change["counts"]
        with self._lock:
            heard = self._heard.pop(client, {})
            self._heard[client] = heard  # the last one is the newest
            while len(self._heard) > _CLIENTS:
                del self._heard[next(iter(self._heard))]
            # A browser sends again what it does not know to have been taken.
            taken = {
                key: from_props(value) for key, value in change["values"].items() if counts[key] > heard.get(key, 0)
            }
            now = self.props
            news = {key: value for key, value in taken.items() if key not in now or not equal(now[key], value)}
            heard.update({key: counts[key] for key in taken})
            self._writers.update(dict.fromkeys(taken, client))
            self._written.update(news)
            self._remake()
        for key, value in news.items():
            for watcher in list(self._watchers):
                watcher(key, value)

    def _failed(self, report: Mapping[str, Any]) -> None:
        self.errors.append(report["text"])
        log.error("%s", report["text"])


def _card(name: str, values: Mapping[str, Any]) -> str:
    """What stands where no script runs: only a browser can draw a component."""
    rows = "".join(
        f'<div><span style="color:#646b74">{escape(key)}</span> {escape(_summary(value))}</div>'
        for key, value in values.items()
    )
    return (
        '<div style="font:12px/18px sans-serif;padding:8px 0;border-top:1px solid #d9dde2">'
        f"<b>{escape(name)}</b> <span>drawn by a component: trust or run the notebook to see it</span>{rows}</div>"
    )


def _summary(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"array of shape ({', '.join(map(str, shape))})"
    if isinstance(value, (list, tuple, dict)):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
