"""One user's component: its files, what they compile to, and the views that show it."""

from __future__ import annotations

import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mechviz._svelte import companion
from mechviz._svelte.errors import SvelteError
from mechviz._svelte.link import Built, build
from mechviz._svelte.signature import check, docstring, signature
from mechviz._svelte.view import ComponentView
from mechviz._svelte.watch import Watch
from mechviz.selection import Selection
from mechviz.view import View, linkable, linked

log = logging.getLogger("mechviz")


class Component:
    """What stands behind a function that `mechviz.svelte` returns (its attribute ``component``)."""

    built: Built
    init: Callable[..., Any] | None

    def __init__(self, path: Path, height: Callable[[int], int]) -> None:
        """Compile the component.

        Raises:
            SvelteError: it cannot be compiled; the error names the place.
        """
        self.path = path
        self.name = path.stem if path.stem != "main" else path.parent.name
        self.height = height
        #: What is wrong with the files as they are now, while the last good version is shown.
        self.failed: str | None = None
        self._views: weakref.WeakSet[ComponentView] = weakref.WeakSet()
        self._stamps: dict[Path, tuple[int, int] | None] = {}
        self._lock = threading.RLock()
        self._watch: Watch | None = None
        self._function: Callable[..., View] | None = None
        self._load()

    @property
    def props(self) -> list[Mapping[str, Any]]:
        """The component's props, as its source declares them."""
        return self.built.signature["props"]

    @property
    def files(self) -> set[Path]:
        """Every file that it is made from, its companion among them."""
        return {*self.built.files, self.path.with_suffix(".py")}

    def view(self, arguments: Mapping[str, Any]) -> ComponentView:
        """A view of the files as they are now.

        Raises:
            SvelteError: an edited file cannot be compiled, whether or not a watch has noticed already.
            TypeError: a keyword is unknown or missing.
        """
        arguments = dict(arguments)
        shared = None
        if isinstance(arguments.get("selection"), Selection) and not self._takes_selection:
            shared = arguments.pop("selection")
        with self._lock:
            if self.failed is not None or self._stamps != self._stamp():
                self._load()
                self._show()
            view = ComponentView.make(self, arguments)
            self._views.add(view)
        return view if shared is None else linked(view, shared)  # type: ignore[return-value]

    def prepared(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The props that arguments become: through the companion, then checked against the component."""
        props = dict(arguments)
        if self.init is not None:
            props = companion.call(self.init, self.name, arguments)
        check(self.name, props, self.props, self.built.signature["rest"])
        return props

    def refresh(self, *, again: bool = False) -> bool:
        """Compile what has changed and show it in every live picture; False where nothing had changed.

        What cannot be compiled is shown as an error above the last good picture.

        Args:
            again: Try once more what could not be compiled: some file was saved, and it may be one that was missing.
        """
        with self._lock:
            stamps = self._stamp()
            if self._stamps == stamps and not (again and self.failed):
                return False
            before = self.failed
            try:
                self._load()
            except Exception as error:  # a companion may raise anything
                self.failed = _said(error)
                if self._stamps == stamps and self.failed == before:
                    return False
                self._stamps = stamps  # from before the files were read: what was half saved is read again
                log.error("%s", self.failed)
            self._show()
            return True

    @property
    def half_saved(self) -> bool:
        """A file that had text is empty or gone: an editor is between two steps of saving it."""
        return any(stamp and stamp[1] and not (now and now[1]) for stamp, now in self._both_stamps())

    def watch(self) -> None:
        """Refresh whenever one of the files is saved."""
        if self._watch is None:
            self._watch = Watch(self)

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def function(self) -> Callable[..., View]:
        """The display function."""
        if self._function is None:

            def show(**props: Any) -> View:
                return self.view(props)

            show.component = self  # type: ignore[attr-defined]
            self._function = show
            self._describe()
        return self._function

    def _load(self) -> None:
        stamps = self._stamp()
        self.built, self.init = build(self.path), companion.load(self.path)
        self.failed = None
        # Files that are imported since now count too; what was there before keeps the stamp from before it was read.
        self._stamps = {**self._stamp(), **{file: stamps[file] for file in self.files & stamps.keys()}}
        self._describe()

    def _show(self) -> None:
        for view in list(self._views):
            try:
                view.reload()
            except Exception as error:  # the edited component takes other props than this picture was given
                view.stay(self.failed or _said(error))
                log.error("%s", _said(error))

    @property
    def _takes_selection(self) -> bool:
        """Whether `selection` is an argument of the component's own."""
        own = inspect.signature(self.init).parameters if self.init else [prop["name"] for prop in self.props]
        return "selection" in own

    def _both_stamps(self) -> Iterator[tuple[tuple[int, int] | None, tuple[int, int] | None]]:
        now = self._stamp()
        return ((stamp, now.get(file)) for file, stamp in self._stamps.items())

    def _stamp(self) -> dict[Path, tuple[int, int] | None]:
        """Size and time of every file; None for one that is not there."""
        files = self.files if hasattr(self, "built") else {self.path, self.path.with_suffix(".py")}
        stamps: dict[Path, tuple[int, int] | None] = {}
        for file in files:
            try:
                status = file.stat()
            except OSError:
                stamps[file] = None
            else:
                stamps[file] = (status.st_mtime_ns, status.st_size)
        return stamps

    def _describe(self) -> None:
        """Name, signature and docstring of the display function, as the files have them now."""
        function = self._function
        if function is None:
            return
        function.__name__ = function.__qualname__ = self.name
        function.__module__ = "mechviz"
        doc = self.built.signature["doc"]
        if self.init is not None:
            given = inspect.signature(self.init)
            made = given.replace(
                parameters=[
                    p.replace(kind=p.KEYWORD_ONLY) if p.kind is p.POSITIONAL_OR_KEYWORD else p
                    for p in given.parameters.values()
                ],
                return_annotation=View,
            )
            function.__doc__ = inspect.getdoc(self.init) or docstring(self.name, doc, self.props, self.built.warnings)
        else:
            made = signature(self.props, self.built.signature["rest"], View)
            function.__doc__ = docstring(self.name, doc, self.props, self.built.warnings)
        function.__signature__ = made if self._takes_selection else linkable(made)  # type: ignore[attr-defined]


def _said(error: Exception) -> str:
    """An error as the picture shows it."""
    if isinstance(error, SvelteError):
        return error.frame
    return str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
