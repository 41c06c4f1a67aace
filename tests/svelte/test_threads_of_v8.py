"""V8 lives among Python's threads: also where the processor has keys for memory, which only some threads are given."""

from __future__ import annotations

import subprocess
import sys

OLDER = """
from concurrent.futures import ThreadPoolExecutor
from mechviz._svelte import compiler
older = ThreadPoolExecutor(1)
older.submit(int).result()  # begun before V8
print(len(compiler.compile_text("<p>first</p>", "First.svelte")))
compiler._engine.cache_clear()
print(len(older.submit(compiler.compile_text, "<p>second</p>", "Second.svelte").result()))
"""


def test_a_thread_that_is_older_than_v8_compiles_and_python_ends_in_peace():
    done = subprocess.run([sys.executable, "-c", OLDER], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, len(done.stdout.split())) == (0, 2), done.stderr
