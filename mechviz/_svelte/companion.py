"""``Thing.py`` beside ``Thing.svelte``: a function ``init`` that documents, checks and prepares the component's data."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

import numpy as np


def load(path: Path) -> Callable[..., Any] | None:
    """``init`` of the companion of a component; None where there is no such file.

    Raises:
        AttributeError: the companion has no function ``init``.
    """
    file = path.with_suffix(".py")
    if not file.is_file():
        return None
    name = f"mechviz_companion_{path.stem}_{hashlib.blake2b(str(file).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # a .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    # Compiled here, not by the loader: an edit within the second that a .pyc remembers would be missed.
    exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    init = getattr(module, "init", None)
    if not callable(init):
        raise AttributeError(f"{file.name} must define a function init(...): the arguments of {path.stem}")
    return init


def call(init: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The props that ``init`` makes of the arguments: the dict that it returns, or the arguments for None.

    Raises:
        TypeError: an argument is missing, unknown or of another type than its annotation, or ``init`` returns
            something else than a dict or None.
    """
    signature = inspect.signature(init)
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}. It takes {signature}") from None
    hints = (
        typing.get_type_hints(init) if any(p.annotation is not p.empty for p in signature.parameters.values()) else {}
    )
    for key, value in bound.arguments.items():
        parameter = signature.parameters[key]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and not fits(
            value, hints.get(key, Any)
        ):
            raise TypeError(f"{key} must be {_named(hints[key])}; got {type(value).__name__} {value!r:.60}")
    made = init(*bound.args, **bound.kwargs)
    if made is None:
        bound.apply_defaults()
        return dict(bound.arguments)
    if not isinstance(made, dict):
        raise TypeError(f"init of {name}.py must return a dict of props or None; got {type(made).__name__}")
    return made


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a simple annotation says; what is not simple is not checked."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if hint in (bool, str, dict, list, tuple) or hint is np.ndarray:
        return isinstance(value, hint)
    if origin in (list, dict, tuple):
        return isinstance(value, origin)
    return True


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
