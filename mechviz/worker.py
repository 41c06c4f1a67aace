"""One thread per kernel that computes what browsers ask for, so that message handlers return at once."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable

log = logging.getLogger("mechviz")

_jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def submit(job: Callable[[], None]) -> None:
    """Run `job` on the worker thread, in order; at once where messages can only be sent from the calling thread."""
    if not _has_ipython_kernel():
        job()
        return
    _start()
    _jobs.put(job)


def drain(timeout: float = 10.0) -> bool:
    """Wait until all jobs submitted so far are done."""
    if _thread is None:
        return True
    done = threading.Event()
    _jobs.put(done.set)
    return done.wait(timeout)


def _has_ipython_kernel() -> bool:
    # marimo, Pyodide and plain Python have none: there a widget's messages must come from the handler's own thread.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="mechviz", daemon=True)
            _thread.start()


def _run() -> None:
    while True:
        job = _jobs.get()
        try:
            job()
        except Exception:  # a job answers its own errors; what is left must not end the thread
            log.exception("a job of the mechviz worker failed")
