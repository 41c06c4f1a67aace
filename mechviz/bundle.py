"""The built browser code. A missing bundle is a message where a picture should be, never a failed import."""

from __future__ import annotations

import functools
from pathlib import Path

STATIC = Path(__file__).parent / "static"
BUNDLE = STATIC / "mechviz.js"
MISSING = (
    "mechviz: the browser bundle is missing. In a clone run `make bundle` "
    "(or `pip install .`); an installed wheel always holds it."
)


def bundle_text() -> str:
    """The bundle as one ES module.

    Raises:
        FileNotFoundError: it has not been built; the message says how.
    """
    if not BUNDLE.exists():
        raise FileNotFoundError(MISSING)
    return _read(BUNDLE, BUNDLE.stat().st_mtime_ns)


def tokens_css() -> str:
    """The design tokens, as the bundle carries them.

    Raises:
        FileNotFoundError: the bundle has not been built.
    """
    path = STATIC / "tokens.css"
    if not path.exists():
        raise FileNotFoundError(MISSING)
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> str:
    return path.read_text(encoding="utf-8")
