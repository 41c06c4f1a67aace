"""Figures as JSON files that open again: the format of docs/figure-format.md, written and read.

Numbers are the wire's own bytes as base64, with the header that says what was done to them; opened and shown again they
are not encoded a second time. A file holds data only: nothing in it is run, and all of it is checked.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechviz import layouts, wire
from mechviz.version import __version__

FORMAT = "mechviz figure"
VERSION = 1

# What turns a file of version n into one of version n + 1, so that every older version opens.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_DTYPES = ("float64", "float32", "float16", "int32", "uint32", "int16", "uint16", "int8", "uint8", "bool")
_ENCODINGS = {"raw": _DTYPES, "sqrt8": ("uint8",)}


@dataclass(frozen=True)
class ViewData:
    """One view: its component, what that is given (plain JSON with `wire.Array` in it), and where it comes from.

    `heights` are estimates in CSS pixels by width in CSS pixels.
    """

    kind: str
    props: Mapping[str, Any]
    provenance: Mapping[str, Any]
    heights: Mapping[int, int]


@dataclass(frozen=True)
class FigureData:
    """What a file holds. `layout` is nested rows and columns of ids of views; `selection` lists indices by axis."""

    layout: Mapping[str, Any]
    views: Mapping[str, ViewData]
    selection: Mapping[str, list[int]]


@dataclass(frozen=True, eq=False)
class _Stored(wire.Array):
    """An array that came encoded and goes on as it is: what was rounded once never calls itself exact later."""

    encoded: wire.Encoded | None = None

    def encode(self) -> wire.Encoded:
        """The bytes of the file."""
        return self.encoded or super().encode()


def write(figure: FigureData) -> str:
    """A figure as the text of a file. Every array is in it, also those that a picture fetches only when opened."""
    arrays: dict[str, dict[str, Any]] = {}
    ids: dict[tuple[str, bool], str] = {}

    def refer(array: wire.Array, _path: str) -> dict[str, str]:
        encoded = array.encode()
        id = ids.setdefault((encoded.digest(), array.lazy), f"a{len(ids)}")
        if id not in arrays:
            arrays[id] = {**encoded.header, "lazy": array.lazy, "data": base64.b64encode(encoded.data).decode()}
        return {"$array": id}

    views = {
        id: {
            "kind": view.kind,
            "props": wire.replace(view.props, refer),
            "provenance": plain(view.provenance),
            "heights": {str(width): height for width, height in view.heights.items()},
        }
        for id, view in figure.views.items()
    }
    content = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"mechviz {__version__}",
        "layout": figure.layout,
        "selection": figure.selection,
        "views": views,
        "arrays": arrays,
    }
    # A line for each part: the head of a file says what it is. ASCII: tokens hold every character there is, and files
    # pass through tools that keep only some.
    parts = (f'"{key}": {json.dumps(part, ensure_ascii=True, allow_nan=False)}' for key, part in content.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read(text: str, name: str) -> FigureData:
    """The figure in the text of a file.

    Args:
        text: The whole file.
        name: The file's name, for messages.

    Raises:
        ValueError: it is no figure, was written by a newer mechviz, or does not hold what it must; the message says what.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f'{name} is not a mechviz figure: it must be a JSON object with "format": "{FORMAT}"')
    content = _upgraded(content, name)
    arrays = {id: _array(header, f"{name}: arrays.{id}") for id, header in _dict(content, "arrays", name).items()}
    views = {id: _view(view, arrays, f"{name}: views.{id}") for id, view in _dict(content, "views", name).items()}
    layout = _dict(content, "layout", name)
    placed = list(layouts.check(layout, f"{name}: layout"))
    if sorted(placed) != sorted(views):
        raise ValueError(f"{name}: layout must name each view once; got {placed}, and the views are {list(views)}")
    return FigureData(layout, views, _dict(content, "selection", name))


def _upgraded(content: dict[str, Any], name: str) -> dict[str, Any]:
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{name}: version must be a whole number from 1; got {version!r}")
    if version > VERSION:
        raise ValueError(
            f"{name} has version {version} of the figure format (written by {content.get('written_by', 'a newer mechviz')}); "
            f"mechviz {__version__} reads versions up to {VERSION}: pip install --upgrade mechviz-interp"
        )
    for old in range(version, VERSION):
        content = _UPGRADES[old](content)
    return content


def _view(view: Any, arrays: Mapping[str, wire.Array], where: str) -> ViewData:
    if not isinstance(view, dict) or not isinstance(view.get("kind"), str):
        raise ValueError(f"{where} must be an object with a kind")
    props = _dict(view, "props", where)
    if not isinstance(_dict(props, "frame", where).get("title"), str):
        raise ValueError(f"{where}: props.frame.title must be text")
    notes = props["frame"].get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(n, dict) and isinstance(n.get("at"), dict) for n in notes):
        raise ValueError(f"{where}: props.frame.notes must be a list of objects with text and at; got {notes!r}")
    heights = _dict(view, "heights", where)
    if not heights or not all(k.isdecimal() and _is_count(v) for k, v in heights.items()):
        raise ValueError(f"{where}: heights must hold pixels by width; got {heights}")
    by_width = {int(width): heights[width] for width in sorted(heights, key=int)}
    return ViewData(view["kind"], _filled(props, arrays, where), _dict(view, "provenance", where), by_width)


def _filled(value: Any, arrays: Mapping[str, wire.Array], where: str) -> Any:
    """Props with arrays in place of the references to them."""
    if isinstance(value, list):
        return [_filled(item, arrays, where) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" not in value:
        return {key: _filled(item, arrays, where) for key, item in value.items()}
    id = value["$array"]
    if not isinstance(id, str) or id not in arrays:
        raise ValueError(f"{where} names the array {id!r}, and the file holds {', '.join(arrays) or 'none'}")
    return arrays[id]


def _array(entry: Any, where: str) -> wire.Array:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object")
    header = {key: entry.get(key) for key in ("dtype", "shape", "encoding", "layout", "exact")}
    shape, data = header["shape"], entry.get("data")
    if header["dtype"] not in _ENCODINGS.get(str(header["encoding"]), ()):
        raise ValueError(f"{where}: no such dtype and encoding: {header['dtype']!r}, {header['encoding']!r}")
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise ValueError(f"{where}: shape must be a list of whole numbers; got {shape!r}")
    lower = header["layout"] == "lower"
    if header["layout"] not in ("dense", "lower") or (lower and (len(shape) < 2 or shape[-1] != shape[-2])):
        raise ValueError(f"{where}: layout must be dense, or lower with a shape of (…, n, n); got {header['layout']!r}")
    count = math.prod(shape[:-2]) * shape[-1] * (shape[-1] + 1) // 2 if lower else math.prod(shape)
    expected = count * np.dtype(header["dtype"]).itemsize
    try:
        numbers = base64.b64decode(data if isinstance(data, str) else "", validate=True)
    except binascii.Error as error:
        raise ValueError(f"{where}: data must be base64: {error}") from None
    if len(numbers) != expected:
        raise ValueError(f"{where}: {expected} bytes are needed for shape {shape}; data holds {len(numbers)}")
    encoded = wire.Encoded({**header, "exact": header["exact"] is True}, numbers)
    lazy = entry.get("lazy") is True
    return _Stored(lambda: wire.decode(encoded.header, numbers), lazy=lazy, shape=tuple(shape), encoded=encoded)


def _dict(content: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    if not isinstance(content.get(key), dict):
        raise ValueError(f"{where}: {key} must be an object; got {type(content.get(key)).__name__}")
    return content[key]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def plain(provenance: Mapping[str, Any]) -> Any:
    """Provenance as JSON: whatever else stands in it as its text, NaN too."""
    return json.loads(json.dumps(dict(provenance), default=str), parse_constant=str)
