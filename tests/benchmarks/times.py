"""What one waits for, in seconds: `python tests/benchmarks/times.py`. The best of some runs, on this machine.

What `import mechviz` adds to numpy and anywidget; a user's component, from its file to a page that shows it, and again
after an edit; 100,000 tokens as labels; each view as a picture, after the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mechviz as mv
from mechviz.gallery import examples

_IMPORT = "import time, numpy, anywidget; t = time.perf_counter(); import mechviz; print(time.perf_counter() - t)"
_COMPONENT = """
import time
begin = time.perf_counter()
import mechviz as mv
view = mv.svelte({path!r})(values=[1, 2, 3])
view.widget
view.to_html()
print(time.perf_counter() - begin)
"""
_SOURCE = "<script>import {{ TokenText }} from 'mechviz'; let {{ values }} = $props();</script>{word} {{#each values as v}}{{v}} {{/each}}"


def seconds(run: Callable[[], Any]) -> float:
    """Of one run."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def printed(code: str) -> float:
    """The number that code prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def report(name: str, values: list[float]) -> None:
    """One line a measurement."""
    print(f"{name:64} {min(values):6.3f} s   ({' '.join(f'{value:.3f}' for value in values)})", flush=True)


def main() -> None:
    """Measure and print."""
    report("import mechviz, beyond numpy and anywidget", [printed(_IMPORT) for _ in range(5)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Thing.svelte"
        path.write_text(_SOURCE.format(word="first"))
        first = [printed(_COMPONENT.format(path=str(path))) for _ in range(3)]
        report("a component's first call: import, compile, widget, page", first)
        component = mv.svelte(path)
        again = []
        for i in range(5):
            path.write_text(_SOURCE.format(word=f"edit {i}"))
            again.append(seconds(lambda: component(values=[1])))
        report("a component after an edit: compile, new view", again)
    words = [f" word{i % 5000}" for i in range(100_000)]
    report("mv.tokens of 100,000 tokens, made", [seconds(lambda: mv.tokens(words, range(100_000))) for _ in range(3)])
    for example in examples():
        view = example.view()
        view.png()
        report(f"mv.{example.name}: PNG after the first", [seconds(view.png) for _ in range(3)])


if __name__ == "__main__":
    main()
