"""The built browser code. A missing bundle is a message where a picture should be, never a failed import."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

STATIC = Path(__file__).parent / "static"
BUNDLE = STATIC / "mechviz.js"
# With attention, matrices and all that is made of them as well, for figures that hold one: the files of js/src/views/lab.
LAB = STATIC / "mechviz-lab.js"
LAB_KINDS = frozenset({"attention", "bench", "heatmap", "lens", "live", "neurons", "predictions"})
# Either with all of Svelte's runtime as well, for figures that hold a user's component.
FULL = STATIC / "mechviz-full.js"
FULL_LAB = STATIC / "mechviz-full-lab.js"
MISSING = (
    "mechviz: the browser bundle is missing. In a clone run `make bundle` "
    "(or `pip install .`); an installed wheel always holds it."
)


def bundle_for(kinds: Iterable[str]) -> Path:
    """The smallest bundle that draws views of these kinds, none of them a user's."""
    return BUNDLE if LAB_KINDS.isdisjoint(kinds) else LAB


def bundle_text(path: Path = BUNDLE) -> str:
    """A bundle as one ES module.

    Raises:
        FileNotFoundError: it has not been built; the message says how.
    """
    if not path.exists():
        raise FileNotFoundError(MISSING)
    return _read(path, path.stat().st_mtime_ns)


def full_bundle_for(kinds: Iterable[str]) -> Path:
    """The smallest bundle that draws views of these kinds beside users' components: it declares ``__mechviz_full``."""
    return FULL if LAB_KINDS.isdisjoint(kinds) else FULL_LAB


@functools.lru_cache(maxsize=8)
def pack_text(text: str) -> str:
    """Text as gzip + base64: how scripts lie in pages and travel with widgets."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def shared_module(text: str) -> str:
    """A module for anywidget that runs `text`, whose default export makes a widget, once for all widgets of a page.

    anywidget imports the module of every widget anew, and each import is compiled and warmed up again: 20 pictures in
    JupyterLab took 2.8 s of the browser's time, and 1.5 s in this way. The text is packed, since it travels with each.
    """
    key = json.dumps(f"mechviz {hashlib.sha256(text.encode()).hexdigest()[:16]}")
    return (
        f'const packed = "{pack_text(text)}";\n'
        "const load = async () => {\n"
        "  const bytes = Uint8Array.from(atob(packed), (byte) => byte.charCodeAt(0));\n"
        "  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));\n"
        "  const source = new Blob([await new Response(stream).arrayBuffer()], { type: 'text/javascript' });\n"
        "  return import(URL.createObjectURL(source));\n"
        "};\n"
        f"export default async () => (await (globalThis[{key}] ??= load())).default();\n"
    )


def script_with(code: Mapping[str, str], kinds: Iterable[str] = ()) -> str:
    """The script of a page with users' components: the full bundle for `kinds`, and their modules by key behind it.

    As one script it is allowed by one hash. Line numbers are for js/src/user/errors.ts: each module says how many lines
    it stands below the `Error` that knows where the script is.
    """
    lines, below = [], 1
    for key, text in code.items():
        lines.append(f"{json.dumps(key)}:[{below},{text}],\n")
        below += lines[-1].count("\n")
    return (
        f"{bundle_text(full_bundle_for(kinds))}\n;__mechviz_full.open(document,new Error(),{{\n{''.join(lines)}}});\n"
    )


def tokens_css() -> str:
    """The design tokens, as the bundle carries them.

    Raises:
        FileNotFoundError: the bundle has not been built.
    """
    path = STATIC / "tokens.css"
    if not path.exists():
        raise FileNotFoundError(MISSING)
    return _read(path, path.stat().st_mtime_ns)


def words_json() -> str:
    """The words of the interface (js/src/words.json), as the bundle carries them.

    Raises:
        FileNotFoundError: the bundle has not been built.
    """
    path = STATIC / "words.json"
    if not path.exists():
        raise FileNotFoundError(MISSING)
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, _modified: int) -> str:
    return path.read_text(encoding="utf-8")
