"""The Svelte compiler inside this process: one V8 isolate that is given text and gives back JSON; no Node, no files."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mechviz.bundle import MISSING, STATIC

COMPILER = STATIC / "mechviz-compiler.js"

# What the compiler expects of its surroundings and a bare V8 does not have.
_SURROUNDINGS = "var self=globalThis,performance={now:()=>Date.now()},console={log(){},warn(){},error(){},info(){}};"

# Where the processor has keys for memory (PKU), V8's code may be read by the thread that began V8 and by those begun from it,
# and any other that comes near, such as Python's first at its end, is killed.
_ANY_THREAD = "--no-memory-protection-keys"

_REMEMBERED = 512
_lock = threading.Lock()
_compiled: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()


def compile_text(source: str, name: str) -> dict[str, Any]:
    """Compile one file; by content, so that a file that did not change is compiled once.

    Args:
        source: The file's text.
        name: The file's name; its end says what it is (``.svelte``, ``.svelte.js``, ``.ts``, ``.js``, ``.css``).

    Returns:
        `Compiled` of js/src/compiler.ts, or ``{"error": {"message", "code", "start": {"line", "column"}}}``.

    Raises:
        ModuleNotFoundError: mini-racer is not installed; the message says how to get it.
        FileNotFoundError: the compiler has not been built.
    """
    key = (name, hashlib.blake2b(source.encode(), digest_size=16).hexdigest())
    with _lock:
        if key not in _compiled:
            _compiled[key] = json.loads(_engine().call("__mechviz_compiler.compileFile", source, name))
            if len(_compiled) > _REMEMBERED:
                _compiled.popitem(last=False)
        _compiled.move_to_end(key)
        return _compiled[key]


@functools.cache
def exports() -> dict[str, list[str]]:
    """What can be imported from "mechviz" and from Svelte, by module."""
    with _lock:
        return json.loads(_engine().eval("JSON.stringify(__mechviz_compiler.EXPORTS)"))


@functools.cache
def _engine() -> Any:
    try:
        from py_mini_racer import DEFAULT_V8_FLAGS, MiniRacer, init_mini_racer
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "mv.svelte compiles components inside Python and needs mini-racer: pip install 'mechviz-interp[svelte]'"
        ) from None
    if not COMPILER.exists():
        raise FileNotFoundError(MISSING)

    def make() -> Any:
        init_mini_racer(flags=(*DEFAULT_V8_FLAGS, _ANY_THREAD), ignore_duplicate_init=True)
        engine = MiniRacer()
        engine.eval(_SURROUNDINGS + COMPILER.read_text(encoding="utf-8") + ";0")
        return engine

    # mini-racer works in the event loop of the thread that makes it. In a notebook's main thread that is the kernel's,
    # and an edit saved while a cell runs would wait for the cell; a thread without one gets a loop of its own.
    with ThreadPoolExecutor(1) as pool:
        engine = pool.submit(make).result()
    # While threads still run: V8's may wait for Python's lock, which nobody gives back once the interpreter is ending.
    atexit.register(engine.close)
    return engine
