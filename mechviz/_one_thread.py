"""Products of small matrices by one thread: two that wait for each other beside a busy browser take five times as long."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """While it lasts numpy's matrix products take one thread, in the whole process: for fractions of a second only.

    A kernel computes a long text's cells in products of 256 × 1,024 numbers, each too small to be worth sharing out. On two
    cores, one of which draws, an overview of 32,768 tokens took 12.5 s with two threads and 3.5 s with one.
    """
    return _blas().limit(limits=1, user_api="blas")


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
