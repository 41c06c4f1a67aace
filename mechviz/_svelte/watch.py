"""Hot reload: a thread that sleeps until the system says that a file was saved."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mechviz._svelte.component import Component

log = logging.getLogger("mechviz")

# Editors save in several steps (write, rename): wait for this much quiet, in ms.
_QUIET = 30

# How long a file may stay empty or away before that is taken for what was meant, in s.
_HALF = 1.0


class Watch:
    """Watches the folders of a component's files; it ends with the component."""

    def __init__(self, component: Component) -> None:
        """Start watching.

        Raises:
            ModuleNotFoundError: watchfiles is not installed; the message says how to get it.
        """
        try:
            import watchfiles
        except ModuleNotFoundError:
            raise ModuleNotFoundError("watch=True needs watchfiles: pip install 'mechviz-interp[svelte]'") from None
        self._watchfiles = watchfiles
        self._stop = threading.Event()
        # A component that nobody holds any more must be let go of: the thread knows it only weakly.
        self._component = weakref.ref(component, lambda _: self._stop.set())
        threading.Thread(target=self._run, name=f"mechviz watch {component.name}", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            component = self._component()
            if component is None:
                return
            folders = {file.parent for file in component.files}
            del component
            changes = self._watchfiles.watch(
                *folders,
                watch_filter=self._ours,
                step=_QUIET,
                recursive=False,
                stop_event=self._stop,
                # Every two seconds a look at the files' times: what was saved before the system listened is not lost.
                rust_timeout=2000,
                yield_on_timeout=True,
            )
            for changed in changes:
                component = self._component()
                if component is None:
                    return
                end = time.monotonic() + _HALF
                while component.half_saved and time.monotonic() < end:
                    time.sleep(_QUIET / 1000)
                try:
                    component.refresh(again=bool(changed))
                except Exception:  # the next save may mend it: the watch goes on
                    log.exception("%s could not be shown again", component.path.name)
                moved = {file.parent for file in component.files} != folders
                del component
                if moved:  # a file of another folder is imported now
                    break

    def _ours(self, _change: object, path: str) -> bool:
        component = self._component()
        # The companion and files that an import waits for have other names than those that are known.
        return component is not None and Path(path).suffix in (".svelte", ".js", ".mjs", ".ts", ".json", ".css", ".py")
