"""The worker: jobs in order, errors that end nothing, and many changes that become few messages with the last sent."""

from __future__ import annotations

import threading
import time

import pytest

from mechviz import worker


@pytest.fixture
def kernel(monkeypatch):
    """As in a Jupyter kernel: jobs have a thread of their own."""
    monkeypatch.setattr(worker, "threaded", lambda: True)
    yield
    assert worker.drain()


def test_jobs_run_in_order_on_another_thread(kernel):
    seen = []
    for i in range(100):
        worker.submit(lambda i=i: seen.append((i, threading.current_thread().name)))
    assert worker.drain()
    assert seen == [(i, "mechviz") for i in range(100)]


def test_submitting_does_not_wait_for_the_job(kernel):
    go = threading.Event()
    worker.submit(lambda: go.wait(5) and None)
    assert not worker.drain(timeout=0.01)  # it returned while the job still runs
    go.set()


def test_a_job_that_fails_ends_nothing(kernel, caplog):
    seen = []
    worker.submit(lambda: seen.append(1 / 0))
    worker.submit(lambda: seen.append(2))
    assert worker.drain()
    assert seen == [2]
    assert "ZeroDivisionError" in caplog.text


def test_without_a_kernel_jobs_run_at_once():
    seen = []
    worker.submit(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


def test_a_thousand_calls_become_few_runs_and_the_last_state_is_seen(kernel):
    state, seen, began = [0], [], time.monotonic()
    newest = worker.Newest(lambda: seen.append(state[0]), interval=0.05)
    while time.monotonic() < began + 0.2:
        state[0] += 1
        newest()
        time.sleep(0.0002)
    time.sleep(0.1)
    assert worker.drain()
    assert state[0] > 100
    assert seen[-1] == state[0]
    # One at once, then one each 50 ms: within 0.2 s at most 5, and one more for what came last.
    assert 2 <= len(seen) <= 6


def test_a_change_made_during_a_run_is_followed_by_another(kernel):
    state, seen = [1], []
    inside, go = threading.Event(), threading.Event()

    def job():
        seen.append(state[0])
        inside.set()
        go.wait(5)

    newest = worker.Newest(job)
    newest()
    assert inside.wait(5)
    state[0] = 2
    newest()
    newest()
    go.set()
    assert worker.drain()
    assert seen == [1, 2]


def test_what_can_wait_is_done_when_nothing_else_is_there(kernel):
    go, seen = threading.Event(), []
    worker.submit(lambda: go.wait(5) and None)
    worker.submit(lambda: seen.append("overview 1"), background=True)
    worker.submit(lambda: seen.append("overview 2"), background=True)
    worker.submit(lambda: seen.append("tile"))
    go.set()
    assert worker.drain()
    assert seen == ["tile", "overview 1", "overview 2"]
