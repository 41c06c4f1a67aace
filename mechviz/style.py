"""How figures look and speak unless told otherwise: `mechviz.style`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from mechviz.bundle import words_json


@dataclass(frozen=True)
class Style:
    """The defaults in force; see `style`."""

    theme: Literal["auto", "light", "dark"] = "auto"
    sans: str = ""
    mono: str = ""
    curve: Literal["linear", "sqrt", "log"] = "linear"
    spaces: bool = False
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def english(self) -> dict[str, str]:
        """Every text of the interface by name; the forms for one and for many are parted by `` || ``."""
        return json.loads(words_json())

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, for the browser."""
        return {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULT, name)}


_DEFAULT = Style()
_CHOICES = {"theme": ("auto", "light", "dark"), "curve": ("linear", "sqrt", "log")}
_style = _DEFAULT


def style(
    *,
    theme: Literal["auto", "light", "dark"] | None = None,
    sans: str | None = None,
    mono: str | None = None,
    curve: Literal["linear", "sqrt", "log"] | None = None,
    spaces: bool | None = None,
    words: Mapping[str, str] | None = None,
    reset: bool = False,
) -> Style:
    """Set defaults for every figure that is displayed or saved from now on; returns those in force.

    Args:
        theme: ``"auto"`` follows the notebook or the reader's system, ``"light"`` and ``"dark"`` do not. What an export
            is told (``view.png(theme=...)``) counts for more.
        sans: The font of words, or several as CSS lists them; ``""`` is the system's. The reader's machine must have
            it, since a page loads nothing.
        mono: The font of what the model read, likewise.
        curve: How attention is bent at first; the key ``s`` changes it and the colour bar names it.
        spaces: True marks every space of token text as ``·`` at first; the key ``m`` changes it.
        words: The interface in another language: texts by name, with the ``{fields}`` and forms of the English ones,
            which are ``style().english``. What is left out stays English.
        reset: Begin from the defaults of mechviz, not from those in force.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a value is not one of those above, or a word is not one of the interface's.

    Example:
        >>> mv.style(theme="dark", words={"strip.from": "liest von"}).theme
        'dark'
        >>> mv.style(reset=True).theme
        'auto'
    """
    global _style
    given = {"theme": theme, "sans": sans, "mono": mono, "curve": curve, "spaces": spaces, "words": words}
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in changes.items():
        _check(name, value)
    _style = replace(_DEFAULT if reset else _style, **changes)
    return _style


def current() -> Style:
    """The defaults in force."""
    return _style


def _check(name: str, value: Any) -> None:
    if name == "words":
        _check_words(value)
    elif name == "spaces":
        if not isinstance(value, bool):
            raise TypeError(f"spaces must be True or False; got {value!r}")
    elif not isinstance(value, str):
        raise TypeError(f"{name} must be a string; got a {type(value).__name__}")
    elif name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}; got {value!r}")
    elif set(value) & set(";{}"):
        raise ValueError(f"{name} must be fonts as CSS lists them, such as 'Inter, sans-serif'; got {value!r}")


def _check_words(given: Any) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"words must be a dict of texts by name; got a {type(given).__name__}")
    table = _DEFAULT.english
    for name, text in given.items():
        if name not in table:
            near = difflib.get_close_matches(str(name), table, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"words has no text named {name!r}{hint}")
        if not isinstance(text, str):
            raise TypeError(f"words[{name!r}] must be a string; got a {type(text).__name__}")
