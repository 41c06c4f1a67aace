"""A component's props as a Python signature: names, types, defaults, and errors for keywords that do not fit."""

from __future__ import annotations

import difflib
import inspect
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

_SIMPLE = {
    "string": str,
    "number": float,
    "boolean": bool,
    "any": Any,
    "unknown": Any,
    "null": None,
    "undefined": None,
    "object": dict,
    "NdArray": "array",
    "TokensJson": "tokens",
}


class Default:
    """A default that the component works out itself; shown in signatures as its code."""

    def __init__(self, code: str) -> None:
        """`code` is JavaScript."""
        self.code = code

    def __repr__(self) -> str:
        """The code."""
        return self.code


def signature(props: Sequence[Mapping[str, Any]], rest: bool, returns: Any) -> inspect.Signature:
    """Keyword-only parameters, required ones first."""
    parameters = [
        inspect.Parameter(
            prop["name"],
            inspect.Parameter.KEYWORD_ONLY,
            default=default_of(prop),
            annotation=annotation(prop["type"]),
        )
        for prop in sorted(props, key=lambda prop: not prop["required"])
        # Others, such as "class", can be given as **{"class": …}.
        if prop["name"].isidentifier() and not keyword.iskeyword(prop["name"])
    ]
    if rest:
        parameters.append(inspect.Parameter("props", inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters, return_annotation=returns)


def default_of(prop: Mapping[str, Any]) -> Any:
    """A prop's default: its value, `Default` where it is code, None where the prop is merely optional."""
    if "value" in prop:
        return prop["value"]
    if "code" in prop:
        return Default(prop["code"])
    return inspect.Parameter.empty if prop["required"] else None


def annotation(type_: str) -> Any:
    """A TypeScript or JSDoc type as Python has it; as its own text where Python has no such word."""
    type_ = type_.strip()
    if not type_:
        return inspect.Parameter.empty
    if type_ in _SIMPLE:
        return _SIMPLE[type_]
    choices = re.findall(r"'([^']*)'|\"([^\"]*)\"", type_)
    if choices and re.fullmatch(r"\|?\s*(('[^']*'|\"[^\"]*\")\s*\|?\s*)+", type_):
        return Literal[tuple(single or double for single, double in choices)]  # type: ignore[valid-type]
    item = re.fullmatch(r"(\w+)\[\]|Array<(\w+)>", type_)
    if item:
        inner = _SIMPLE.get(item[1] or item[2])
        return list[inner] if isinstance(inner, type) else list
    return type_


def docstring(name: str, doc: str, props: Sequence[Mapping[str, Any]], warnings: Sequence[str]) -> str:
    """What `help` shows: the component's comment, then its props."""
    lines = [doc or f"The component {name}.", "", "Args:"] if props else [doc or f"The component {name}."]
    for prop in props:
        bound = "Written by the picture too (view.props)." if prop["bindable"] else ""
        said = " ".join(part for part in (" ".join(prop["doc"].split()), bound) if part)
        typed = f"{prop['name']} ({prop['type']})" if prop["type"] else prop["name"]
        lines.append(f"    {typed}: {said}".rstrip(": "))
    if warnings:
        lines += ["", "Warnings of the compiler:", *(f"    {warning}" for warning in warnings)]
    return "\n".join(lines)


def check(name: str, given: Mapping[str, Any], props: Sequence[Mapping[str, Any]], rest: bool) -> None:
    """Raise a TypeError for a keyword that the component does not take, or one that it needs and did not get."""
    known = [prop["name"] for prop in props]
    takes = ", ".join(_shown(prop) for prop in props) or "no arguments"
    for key in given if not rest else ():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise TypeError(f"{name}() got an unexpected keyword {key!r}{hint} It takes {takes}")
    missing = [prop["name"] for prop in props if prop["required"] and prop["name"] not in given]
    if missing:
        raise TypeError(f"{name}() needs {', '.join(missing)}. It takes {takes}")


def _shown(prop: Mapping[str, Any]) -> str:
    default = default_of(prop)
    return prop["name"] if default is inspect.Parameter.empty else f"{prop['name']}={default!r}"
