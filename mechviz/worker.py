"""One thread per kernel that computes what browsers ask for, so that message handlers return at once."""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable

log = logging.getLogger("mechviz")

# (whether it can wait, when it came, the job): what can wait is taken when nothing else is there.
_jobs: list[tuple[bool, int, Callable[[], None]]] = []
_came = itertools.count()
_more = threading.Condition()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def submit(job: Callable[[], None], *, background: bool = False) -> None:
    """Run `job` on the worker thread, in order; at once where messages can only be sent from the calling thread.

    Args:
        job: What is done; it answers its own errors.
        background: It can wait: all jobs that cannot are done first, also those that come later.
    """
    if not threaded():
        job()
        return
    _start()
    _put(job, background)


def _put(job: Callable[[], None], background: bool = False) -> None:
    with _more:
        heapq.heappush(_jobs, (background, next(_came), job))
        _more.notify()


def _next() -> Callable[[], None]:
    with _more:
        while not _jobs:
            _more.wait()
        return heapq.heappop(_jobs)[2]


def threaded() -> bool:
    """Whether jobs have a thread of their own: in a Jupyter kernel.

    Plain Python needs none, marimo sends a cell's messages from the cell's thread, and a browser (Pyodide) has one.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None and sys.platform != "emscripten"


def is_here() -> bool:
    """Whether this is the thread that jobs run on."""
    return not threaded() or threading.current_thread() is _thread


def waiting() -> bool:
    """Whether a job waits to be begun: one that could wait itself ends soon then, and submits its rest anew."""
    return bool(_jobs)


def drain(timeout: float = 10.0) -> bool:
    """Wait until all jobs submitted so far are done, those that can wait among them; False if that takes longer."""
    if _thread is None:
        return True
    done = threading.Event()
    _put(done.set, background=True)
    return done.wait(timeout)


class Newest:
    """A job of which only the newest state matters.

    Calls made before it could run become one run, and runs are `interval` seconds apart; the last call is always
    followed by a run. A loop that changes a picture thousands of times a second would otherwise be cut off by
    Jupyter's limit on messages, and its last state lost.
    """

    def __init__(self, job: Callable[[], None], interval: float = 0.0) -> None:
        self._job = job
        self._interval = interval
        self._earliest = 0.0
        self._waiting = False
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """See that the job runs after this."""
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        wait = self._earliest - time.monotonic()
        if wait > 0 and threaded():
            timer = threading.Timer(wait, submit, [self._run])
            timer.daemon = True
            timer.start()
        else:
            submit(self._run)

    def now(self) -> None:
        """Run the job before this returns; on the worker's thread only, where no other run can be going on."""
        self._earliest = time.monotonic() + self._interval
        self._job()

    def _run(self) -> None:
        with self._lock:
            self._waiting = False  # what changes from here on needs another run
        self._earliest = time.monotonic() + self._interval
        self._job()


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="mechviz", daemon=True)
            _thread.start()


def _run() -> None:
    while True:
        job = _next()
        try:
            job()
        except Exception:  # a job answers its own errors; what is left must not end the thread
            log.exception("a job of the mechviz worker failed")
