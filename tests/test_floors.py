"""Every file has a floor and imports only from lower ones; no view knows a model, no model knows a view.

A new file fails `test_every_file_has_a_floor` until it is given a place in the lists below. On its own floor a file may
use its helpers (names with a leading underscore) and, where the list names a folder, its neighbours; never in a circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. Patterns are of paths without their suffix.
PYTHON_FLOORS = [
    [
        "version",
        "bundle",
        "worker",
        "_jupyter_server",
        "_one_thread",
        "selection",
        "sites",
        "arrays",
        "text",
        "_bytes",
        "_patches",
        "_visible",
        "_vocabulary",
        "layouts",
    ],
    [
        "wire",
        "still",
        "style",
        "export",
        "_export_*",
        "pattern",
        "_as_array",
        "_difference",
        "_difference_pool",
        "_factored",
        "_factor_pack",
        "_factored_pool",
        "_layered",
        "_pooling",
        "_report",
    ],
    ["_sink", "_reading", "_head_scores", "_key_values"],
    ["trace_file"],
    ["from_cache"],
    [f"_svelte/{name}" for name in ("__init__", "errors", "compiler", "link", "signature", "data", "companion")],
    ["page", "_markdown", "figure_file", "widget", "spec", "_*_still", "_plotly*"],
    ["notebook", "larger_widgets"],
    ["view", "_view_files"],
    ["document", "figures"],
    ["_svelte/*"],
    ["views/*", "svelte"],
    ["views/live"],
]
# What stands beside the views, and the little that each may know of the rest.
VOCABULARY = [
    "version",
    "sites",
    "arrays",
    "text",
    "pattern",
    "_head_scores",
    "_key_values",
    "_layered",
    "_report",
    "_visible",
    "trace_file",
]
PYTHON_WINGS = {
    "models/*": [*VOCABULARY, "demo/__init__"],
    "demo/*": [*VOCABULARY, "models/*"],
    "analysis/*": [*VOCABULARY, "models/*", "_plotly_maps", "_plotly_look"],
}
# Above both: they may know everything.
PYTHON_ROOF = [
    "__init__",
    "cli",
    "__main__",
    "opening",
    "publish",
    "gallery",
    "_example_code",
    "new",
    "testing",
    "bench",
    "_bench_runs",
    "compat/*",
    "scan/*",
]
HEAVY = {"torch", "transformers", "safetensors", "tokenizers", "plotly"}
MAY_BE_HEAVY = ["_plotly_look", "models/*", "analysis/*", "demo/*", "scan/*", "bench", "_bench_runs"]

BROWSER_FLOORS = [
    ["color", "wire", "selection", "shortcuts", "words", "fullscreen", "export/paper", "compiler/*"],
    ["scale", "number", "theme", "backend", "compiler"],
    ["style", "lent"],
    ["bus"],
    ["figure.svelte", "pattern/*"],
    ["views/types"],
    ["export/*"],
    ["kernel", "page", "address", "parts/*"],
    ["views/*"],  # and those of views/lab
    ["FigureView"],
    ["mount"],
    ["labviews"],
    ["lib/*"],
    ["user/*"],
    ["index"],
    ["full", "lab"],
    ["fulllab"],
]
BROWSER_IMPORT = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.[^'"]*)\1""")


def matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def floor_of(name: str, floors: list[list[str]]) -> int | None:
    """The floor of a file: the list that has its very name, else the first with a pattern that fits."""
    named = (level for level, patterns in enumerate(floors) if name in patterns)
    fits = (level for level, patterns in enumerate(floors) if matches(name, patterns))
    return next(chain(named, fits), None)


def python_imports(package: Path, *, for_types: bool = True) -> dict[str, set[str]]:
    """For every file of the package the files of the package, and the top names of other packages, that it imports.

    Inside functions too; what stands under `if TYPE_CHECKING` only `for_types`.
    """
    files = {path.relative_to(package).with_suffix("").as_posix(): path for path in package.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        found: set[str] = set()
        for node in walk(ast.parse(path.read_text(encoding="utf-8")), for_types):
            if isinstance(node, ast.Import):
                targets = [(alias.name.split("."), None) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # level 1 is the file's own folder, each further one the folder above it
                base = [package.name, *name.split("/")][: -node.level] if node.level else []
                base += node.module.split(".") if node.module else []
                targets = [(base, alias.name) for alias in node.names]
            else:
                continue
            found |= {python_target(parts, member, files, package.name) for parts, member in targets}
        graph[name] = found - {name}
    return graph


def walk(node: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if for_types or not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from walk(child, for_types)


def python_target(parts: list[str], member: str | None, files: dict[str, Path], package: str) -> str:
    """`from mechviz import wire` and `import mechviz.wire` are the file "wire"; `import torch.nn` is "torch"."""
    if parts[0] != package:
        return parts[0]
    inside = "/".join(parts[1:])
    longer = f"{inside}/{member}".lstrip("/")
    candidates = [longer, f"{longer}/__init__", inside, f"{inside}/__init__".lstrip("/")]
    return next(name for name in candidates if name in files)


def browser_imports(source: Path) -> dict[str, set[str]]:
    """The same for js/src: `views/tokens` is the script or the component of that stem (they are one unit)."""
    files = [path for path in source.rglob("*") if path.suffix in (".ts", ".svelte")]
    graph: dict[str, set[str]] = {}
    for path in files:
        name = path.relative_to(source).with_suffix("").as_posix()
        for _, specifier in BROWSER_IMPORT.findall(path.read_text(encoding="utf-8")):
            target = (path.parent / specifier.split("?")[0]).resolve().relative_to(source.resolve()).as_posix()
            stem = re.sub(r"\.(ts|css)$", "", target)
            if not (source / f"{stem}.ts").exists():
                stem = stem.removesuffix(".svelte")
            graph.setdefault(name, set()).add(stem)
        graph.setdefault(name, set())
    return {name: found - {name, "tokens"} for name, found in graph.items()}  # tokens.css is data


def room(name: str) -> str:
    return name.rpartition("/")[0]


def upward(graph: dict[str, set[str]], floors: list[list[str]], shared_rooms: tuple[str, ...] = ()) -> list[str]:
    """Imports that do not go down: "wire imports view"."""
    wrong = []
    for name, targets in graph.items():
        level = floor_of(name, floors)
        for target in targets:
            below = floor_of(target, floors)
            if level is None or below is None:
                continue
            helper = room(name) == room(target) and target.rpartition("/")[2].startswith("_")
            neighbour = room(name) in shared_rooms and room(name) == room(target)
            if below > level or (below == level and not helper and not neighbour):
                wrong.append(f"{name} imports {target}")
    return sorted(wrong)


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Files that import themselves, through however many others."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            found = graph.get(ahead.pop(), set()) - seen
            seen |= found
            ahead += found
        return seen

    return sorted(name for name in graph if name in reach(name))


def strangers(graph: dict[str, set[str]]) -> list[str]:
    """Wings that know more than they may, and heavy packages where a view could meet them."""
    wrong = []
    for name, targets in graph.items():
        wing = next((pattern for pattern in PYTHON_WINGS if fnmatch(name, pattern)), None)
        allowed = [wing, *PYTHON_WINGS[wing]] if wing else ["*"]
        for target in targets:
            if target in graph and not matches(target, allowed):
                wrong.append(f"{name} imports {target}")
            if target in HEAVY and not matches(name, MAY_BE_HEAVY):
                wrong.append(f"{name} imports {target}")
            low = floor_of(name, PYTHON_FLOORS) is not None
            if low and target in graph and floor_of(target, PYTHON_FLOORS) is None:
                wrong.append(f"{name} imports {target}")
    return sorted(set(wrong))


PYTHON = python_imports(ROOT / "mechviz")


def test_every_file_has_a_floor():
    known = [*chain(*PYTHON_FLOORS), *PYTHON_WINGS, *PYTHON_ROOF, "views/__init__"]
    assert [name for name in PYTHON if not matches(name, known)] == []


def test_python_imports_go_down():
    assert upward(PYTHON, PYTHON_FLOORS, shared_rooms=("_svelte",)) == []


def test_models_and_views_do_not_know_each_other():
    assert strangers(PYTHON) == []


def test_python_imports_have_no_circle():
    # Not through types alone: a trace may be annotated with the model that makes it. And without the package's own
    # __init__, which names everything and is what the command line starts from.
    graph = python_imports(ROOT / "mechviz", for_types=False)
    assert circles({name: targets for name, targets in graph.items() if name != "__init__"}) == []


@pytest.mark.skipif(not (ROOT / "js" / "src").exists(), reason="an installed package has no js/")
def test_browser_imports_go_down():
    graph = browser_imports(ROOT / "js" / "src")
    assert [name for name in graph if floor_of(name, BROWSER_FLOORS) is None] == []
    assert upward(graph, BROWSER_FLOORS, shared_rooms=("parts", "pattern", "compiler", "lib", "user", "export")) == []
    assert circles(graph) == []


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_wrong_python_imports_are_found(tmp_path):
    files = {
        "__init__.py": "from mechviz.view import View",
        "arrays.py": "import torch",
        "wire.py": "from mechviz import arrays, view",
        "view.py": "import mechviz.wire",
        "views/a.py": "from mechviz.views import b\nfrom mechviz.views._c import d",
        "views/b.py": "def f():\n    from ..models.load import load",
        "views/_c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mechviz.views.a import a",
        "models/load.py": "from ..view import View\nfrom . import deep\nfrom ..text import Tokens",
        "models/deep.py": "import torch.nn",
        "text.py": "",
    }
    graph = python_imports(write(tmp_path / "mechviz", files))
    assert upward(graph, PYTHON_FLOORS) == ["views/_c imports views/a", "views/a imports views/b", "wire imports view"]
    assert strangers(graph) == ["arrays imports torch", "models/load imports view", "views/b imports models/load"]
    assert circles(graph) == ["view", "views/_c", "views/a", "wire"]
    assert circles(python_imports(tmp_path / "mechviz", for_types=False)) == ["view", "wire"]


def test_wrong_browser_imports_are_found(tmp_path):
    files = {
        "wire.ts": "export type { T } from './mount';",
        "mount.ts": "import { d } from './wire';\nimport css from './tokens.css?raw';\nimport { lut } from 'other';",
        "parts/A.svelte": "<script>import B from './B.svelte';\nconst v = await import('../views/tokens');</script>",
        "parts/B.svelte": "",
        "views/tokens.svelte": "<script>import { x } from './tokens';import './attention.svelte'</script>",
        "views/tokens.ts": "",
        "views/attention.svelte": "",
    }
    graph = browser_imports(write(tmp_path, files))
    wrong = upward(graph, BROWSER_FLOORS, shared_rooms=("parts", "pattern", "compiler"))
    assert wrong == ["parts/A imports views/tokens", "views/tokens imports views/attention", "wire imports mount"]
    assert circles(graph) == ["mount", "wire"]
