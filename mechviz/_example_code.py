"""The code of a view's `example()` as a cell that runs on its own: what it uses of its module comes along."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import ModuleType


def example_code(module: ModuleType) -> str:
    """A cell whose last line is the view that ``module.example()`` returns.

    Args:
        module: A file of mechviz/views: its display function has the file's name, and `example` ends in its one return.
    """
    source = inspect.getsource(module)
    tree = ast.parse(source)
    display = module.__name__.rpartition(".")[2]
    imports, definitions = _top(tree)
    example = definitions["example"]
    assert isinstance(example, ast.FunctionDef)
    used = _reachable(example, definitions, stop=display)
    needed = set().union(*(_names(definitions[name]) for name in used), *map(_names, example.body))
    lines = source.splitlines()
    others = [line for line in _import_lines(imports, needed) if "mechviz" not in line]
    ours = [line for line in _import_lines(imports, needed) if "mechviz" in line]
    parts = ["\n".join(others)] if others else []
    parts.append("\n".join(["import mechviz as mv", *ours]))
    parts += [_text(lines, node) for name, node in definitions.items() if name in used]
    return "\n\n".join([*parts, _body(lines, example, display)]) + "\n"


def _top(tree: ast.Module) -> tuple[list[ast.Import | ast.ImportFrom], dict[str, ast.stmt]]:
    """Imports, and by name what else the module defines, in the order of the file."""
    imports: list[ast.Import | ast.ImportFrom] = []
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign):
            definitions.update((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            definitions[node.target.id] = node
    return imports, definitions


def _reachable(start: ast.stmt, definitions: dict[str, ast.stmt], *, stop: str) -> set[str]:
    """Names of the module that `start` needs, through each other; not the display function itself."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for name in _names(ahead.pop()) & definitions.keys() - seen - {stop, "example"}:
            seen.add(name)
            ahead.append(definitions[name])
    return seen


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}


def _import_lines(imports: list[ast.Import | ast.ImportFrom], needed: set[str]) -> Iterator[str]:
    """The imports again, with only what is used."""
    for node in imports:
        used = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in needed]
        if not used:
            continue
        names = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in used)
        yield f"import {names}" if isinstance(node, ast.Import) else f"from {node.module} import {names}"


def _text(lines: list[str], node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _body(lines: list[str], example: ast.FunctionDef, display: str) -> str:
    """What stands in `example()`, its return as the last expression and the display function as ``mv.…``."""
    statements = example.body[1:] if ast.get_docstring(example) else example.body
    returned = statements[-1]
    if not isinstance(returned, ast.Return):
        raise ValueError(f"example() of {display} must end in return; it ends in line {returned.lineno} in another way")
    first = statements[0].lineno
    body = [line.encode() for line in lines[first - 1 : returned.end_lineno]]  # ast counts bytes
    calls = [node.func for node in ast.walk(example) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset), reverse=True):
        if call.id == display:
            line = body[call.lineno - first]
            body[call.lineno - first] = line[: call.col_offset] + b"mv." + line[call.col_offset :]
    last = body[returned.lineno - first].decode()
    body[returned.lineno - first] = last.replace("return ", "", 1).encode()
    return textwrap.dedent("\n".join(line.decode() for line in body))
