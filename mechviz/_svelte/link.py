"""A component and all that it imports -> modules for the browser, each with a name that changes with its content."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechviz._svelte.compiler import compile_text, exports
from mechviz._svelte.errors import SvelteError

_ENDINGS = (".svelte", ".js", ".mjs", ".ts", ".json", ".css")


@dataclass(frozen=True)
class Built:
    """A component ready for the browser.

    `modules` are JavaScript objects by key, each after those that it needs (js/src/user/modules.ts reads them); `key`
    is the component's own. `files` are all files that it was made from.
    """

    key: str
    modules: Mapping[str, str]
    signature: Mapping[str, Any]
    warnings: tuple[str, ...]
    files: frozenset[Path]


@dataclass(frozen=True)
class _Module:
    key: str
    names: frozenset[str]
    record: Mapping[str, Any] = field(default_factory=dict)


def build(path: Path) -> Built:
    """Compile and link a component.

    Raises:
        SvelteError: something in one of the files is wrong; it names the place.
        FileNotFoundError: there is no such file.
    """
    builder = _Builder()
    main = builder.add(path.resolve())
    return Built(main.key, builder.texts, main.record["signature"], tuple(builder.warnings), frozenset(builder.modules))


class _Builder:
    def __init__(self) -> None:
        self.modules: dict[Path, _Module] = {}
        self.texts: dict[str, str] = {}
        self.warnings: list[str] = []
        self._open: list[Path] = []

    def add(self, path: Path) -> _Module:
        if path in self.modules:
            return self.modules[path]
        self._open.append(path)
        source = read(path)
        record = self._json(path, source) if path.suffix == ".json" else self._compiled(path, source)
        dependencies = [self._dependency(path, source, dependency) for dependency in record["deps"]]
        names = set(record["exports"]).union(*(dependencies[i].names - {"default"} for i in record["reexports"]))
        module = _Module(self._keep(path, source, record, dependencies), frozenset(names), record)
        self._open.pop()
        self.modules[path] = module
        return module

    def _compiled(self, path: Path, source: str) -> Mapping[str, Any]:
        record = compile_text(source, path.name)
        if "error" in record:
            error, start = record["error"], record["error"].get("start") or {}
            raise SvelteError(error["message"], path, source, start.get("line"), start.get("column", 0))
        for warning in record["warnings"]:
            place = f":{warning['start']['line']}:{warning['start']['column'] + 1}" if warning.get("start") else ""
            self.warnings.append(f"{path.name}{place}  {warning['message']}")
        return record

    def _json(self, path: Path, source: str) -> Mapping[str, Any]:
        try:
            value = json.loads(source)
        except json.JSONDecodeError as error:
            raise SvelteError(f"not JSON: {error.msg}", path, source, error.lineno, error.colno - 1) from None
        code = f"\n\nreturn {{default:{json.dumps(value)}}};"
        return {"code": code, "deps": [], "exports": ["default"], "reexports": [], "mappings": ""}

    def _dependency(self, path: Path, source: str, dependency: Mapping[str, Any]) -> _Module:
        wanted, asked = dependency["from"], dependency["names"]
        if wanted.startswith("svelte/internal/"):  # written by the compiler
            return _Module(wanted, frozenset(asked))
        if wanted.startswith("."):
            target = self._find(path, source, wanted)
            if target in self._open:
                chain = " → ".join(file.name for file in [*self._open[self._open.index(target) :], target])
                raise _at(path, source, wanted, f"circular import: {chain}. Move what both need into a third file")
            module = self.add(target)
        else:
            module = _library(path, source, wanted)
        for name in asked:
            if name not in module.names:
                raise _at(path, source, wanted, _missing(name, wanted, module.names), name)
        return module

    def _find(self, path: Path, source: str, wanted: str) -> Path:
        target = (path.parent / wanted).resolve()
        # TypeScript writes "./a.js" for a.ts, and bundlers let the end of a name be left out.
        tried = [target, *(target.with_name(target.name + end) for end in _ENDINGS)]
        if target.suffix == ".js":
            tried.append(target.with_suffix(".ts"))
        for candidate in tried:
            if candidate.is_file():
                if candidate.suffix not in _ENDINGS:
                    kinds = ", ".join(_ENDINGS)
                    raise _at(path, source, wanted, f"{wanted!r} cannot be imported: only {kinds} files can")
                return candidate
        there = [file.name for file in target.parent.glob("*")] if target.parent.is_dir() else []
        near = difflib.get_close_matches(target.name, there, 1)
        hint = f"; did you mean {wanted[: wanted.rfind('/') + 1] + near[0]!r}?" if near else ""
        raise _at(path, source, wanted, f"there is no file {wanted!r} beside {path.name}{hint}")

    def _keep(self, path: Path, source: str, record: Mapping[str, Any], dependencies: list[_Module]) -> str:
        head = {
            "file": path.name,
            "deps": [module.key for module in dependencies],
            "map": record["mappings"],
            "source": "" if path.suffix in (".json", ".css") else source,
            "css": source if path.suffix == ".css" else "",
        }
        # A line of its own before the linked code: js/src/user/errors.ts counts on it.
        text = f"{{...{json.dumps(head)},make(__mv){{\n{record['code']}\n}}}}"
        key = f"{path.name}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
        self.texts.setdefault(key, text)
        return key


def read(path: Path) -> str:
    """A user's file as text.

    Raises:
        SvelteError: it is not UTF-8; it names the first byte that is not.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
        looks = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {data[error.start]:#04x} is not"
        said = f"the file must be UTF-8 text; {looks if looks != 'UTF-16' else 'this looks like UTF-16'}"
        raise SvelteError(said, path, data.decode("utf-8", "replace"), line, column) from None


def _library(path: Path, source: str, wanted: str) -> _Module:
    known = exports()
    if wanted in known:
        return _Module(wanted, frozenset(known[wanted]))
    if re.match(r"[a-z]+:|//", wanted):
        said = f"{wanted!r} is an address; a component reads nothing from a network. Save the file beside it"
        raise _at(path, source, wanted, f"{said} and import that")
    if wanted.startswith("/"):
        raise _at(
            path, source, wanted, f'{wanted!r} is an absolute path; write one from this file, such as "./chart.js"'
        )
    if wanted.split("/")[0] == "svelte":
        raise _at(path, source, wanted, f"{wanted!r} is not one of {', '.join(sorted(known))}")
    name = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")
    raise _at(
        path,
        source,
        wanted,
        f"{wanted!r} is an npm package, and components are compiled without npm. Vendor it once as a single file, "
        f"`npx esbuild {wanted} --bundle --format=esm --outfile={name}.js`, and import './{name}.js'",
    )


def _missing(name: str, wanted: str, there: frozenset[str]) -> str:
    what = f"{wanted!r} has no default export" if name == "default" else f"{wanted!r} does not export {name!r}"
    near = difflib.get_close_matches(name, there, 1)
    if near:
        return f"{what}; did you mean {near[0]!r}?"
    return f"{what}; it exports {', '.join(sorted(there)) or 'nothing'}. Types are imported with `import type`"


def _at(path: Path, source: str, wanted: str, message: str, name: str = "") -> SvelteError:
    """An error at an import, or at a name in it."""
    found = re.search(rf"""(["'`]){re.escape(wanted)}\1""", source)
    if found is None:
        return SvelteError(message, path, source)
    start = found.start()
    if name and name != "default":
        statement = max(source.rfind("import", 0, start), source.rfind("export", 0, start), 0)
        inside = re.search(rf"\b{re.escape(name)}\b", source[statement:start])
        start = statement + inside.start() if inside else start
    line = source.count("\n", 0, start) + 1
    return SvelteError(message, path, source, line, start - source.rfind("\n", 0, start) - 1)
