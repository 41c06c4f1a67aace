"""A trace as a file: written where the model is, opened anywhere, without torch and without the model.

A zip of ``trace.json`` (tokens, provenance, the attention rules, what is missing and why) and one ``.npy`` per array.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mechviz.version import __version__

from ._key_values import BehindKeys, KeyNumbers
from ._layered import Layered, Unavailable
from ._report import Report
from .arrays import Quantity
from .pattern import Dense, Factored, PatternStack
from .sites import MLP, Attention, Head, Residual, Site, hook_of, parse
from .text import Tokens

FORMAT, VERSION = "mechviz trace", 1
MANIFEST = "trace.json"
LAYERED = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "q", "k", "v", "z", "neurons", "gate", "up")
WHOLE = ("embed", "pos_embed", "logits", "loss")


class SavedTrace:
    """A trace that was saved with `Trace.save`: what was saved reads as it did, in numpy; the rest says that it was not.

    Attributes:
        tokens: The text's tokens with their provenance.
        attention: The patterns, as `mechviz.pattern.PatternStack`; also called ``pattern``.
    """

    tokens: Tokens
    attention: PatternStack
    _kind: ClassVar[str] = "saved trace"
    _lacks: ClassVar[str] = "was not saved; the file holds"

    def __init__(self, manifest: Mapping[str, Any], arrays: Callable[[str], np.ndarray]) -> None:
        self.tokens = Tokens(**{name: _tupled(value) for name, value in manifest["tokens"].items()})
        self._manifest, self._arrays = manifest, arrays
        self._layers: dict[str, Any] = {}
        patterns = manifest["attention"]
        make = {int(layer): partial(_pattern, rule, arrays) for layer, rule in patterns.items()}
        self._layers["attention"] = PatternStack(
            make, missing=self._missing("attention"), behind=BehindKeys(self, self._behind)
        )
        for name in LAYERED:
            held = {int(layer): partial(arrays, f"{name}.{layer}") for layer in manifest["held"].get(name, [])}
            self._layers[name] = Layered(held, name=name, missing=self._missing(name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("attention", "pattern", *LAYERED):
            return self._layers["attention" if name == "pattern" else name]
        if name not in WHOLE:
            raise AttributeError(f"a {self._kind} has no {name!r}: that needs the model")
        if name not in self._manifest["held"]:
            raise Unavailable(f"{name} {self._lacks} {', '.join(self._manifest['held'])}")
        array = self._arrays(name)
        return _with_quantity(array, self._manifest["quantity"]) if name == "loss" else array

    def at(self, site: Site | str) -> np.ndarray:
        """The values at a site, as `mechviz.models.Trace.at` gives them; of what was saved.

        Raises:
            Unavailable: It was not saved, or there is none.
            ValueError: The string is no address.
        """
        saved = self._manifest.get("sites", {})
        if str(site) in saved:
            return self._arrays(saved[str(site)])
        if hook := hook_of(site):
            return getattr(self, hook[0])[hook[1]]
        site = parse(site)
        if site.stack:
            raise Unavailable(f"{site}: a {self._kind} is of one stack, and names its sites without it")
        if isinstance(site, Residual):
            return self._layers[f"resid_{site.point}"][site.layer]
        if isinstance(site, (MLP, Attention)):
            return self._layers["mlp_out" if isinstance(site, MLP) else "attn_out"][site.layer]
        unit = getattr(site, "head", getattr(site, "neuron", None))
        if unit is None or getattr(site, "expert", None) is not None:
            raise Unavailable(f"{site} {self._lacks} {', '.join([*self._manifest['held'], *saved])}")
        values = self._layers["z" if isinstance(site, Head) else "neurons"][site.layer]
        if unit >= values.shape[1]:
            raise Unavailable(f"{site}: layer {site.layer} has {values.shape[1]} of them")
        return values[:, unit]

    def report(self) -> Report:
        """What `mechviz.models.Trace.report` said when the trace was saved, and what the file holds."""
        held = ", ".join([*self._manifest["held"], *self._manifest.get("sites", {})])
        return Report((*(tuple(line) for line in self._manifest.get("report", [])), ("saved", held)))

    def _missing(self, name: str) -> dict[int, str]:
        told = {int(layer): reason for layer, reason in self._manifest["missing"].get(name, {}).items()}
        unsaved = f"it {self._lacks} {', '.join(self._manifest['held'])}"
        held = {int(layer) for layer in self._manifest["held"].get(name, [])}
        return {layer: told.get(layer, unsaved) for layer in range(self._manifest["n_layers"]) if layer not in held}

    def _behind(self, name: str) -> KeyNumbers | None:
        """What stood behind the keys when the trace was saved; None where the file says nothing of it."""
        told = self._manifest.get("behind", {}).get(name)
        if told is None:
            return None
        if "reason" in told:
            raise Unavailable(told["reason"])
        missing = {int(layer): reason for layer, reason in told["missing"].items()}
        quantity = Quantity(**{field: _tupled(value) for field, value in told["quantity"].items()})
        values = self._arrays(f"behind.{name}")
        return KeyNumbers(tuple(told["layers"]), tuple(told["heads"]), values, quantity, missing)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        held = ", ".join(self._manifest["held"])
        return f"{type(self).__name__} of {self.tokens.provenance.get('model')}: {len(self)} tokens; holds {held}"


class _Measured(np.ndarray):
    """An array that can carry what it measures, as a tensor can."""

    quantity: Quantity | None = None


class _Arrays:
    """Arrays of a file, read when asked for."""

    def __init__(self, path: Path, dtypes: Mapping[str, str]) -> None:
        self._path, self._dtypes = path, dtypes

    def __call__(self, name: str) -> np.ndarray:
        try:
            with zipfile.ZipFile(self._path) as file:
                array = np.load(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError) as error:
            raise ValueError(f"{self._path.name} is damaged or was changed: {name}.npy: {error}") from None
        if self._dtypes[name] == "bfloat16":  # kept as its bits; float32 holds every value of it
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def manifest_of(tokens: Tokens, n_layers: int, quantity: Quantity | None) -> dict[str, Any]:
    """The start of a manifest; the writer fills in what it saves."""
    fields = ("label", "text", "group", "special", "role", "ids", "n_bytes", "piece", "prompt")
    if tokens.patches:  # files without images open in what knows none
        fields = (*fields, "patches")
    return {
        "format": FORMAT,
        "version": VERSION,
        "mechviz": __version__,
        "tokens": {name: getattr(tokens, name) for name in fields} | {"provenance": dict(tokens.provenance)},
        "n_layers": n_layers,
        "held": {},
        "missing": {},
        "attention": {},
        "sites": {},
        "report": [],
        "quantity": None if quantity is None else asdict(quantity),
        "dtypes": {},
    }


def write(path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file: beside its place first, so that a failure leaves no half of one."""
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w") as file:
            file.writestr(MANIFEST, json.dumps(manifest))
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.save(entry, np.ascontiguousarray(array), allow_pickle=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def is_trace(path: Path, head: bytes) -> bool:
    """Whether a file is a zip, as a saved trace is; `read` says whether it is one."""
    return head[:4] == b"PK\x03\x04"


def read(path: Path) -> SavedTrace:
    """Open a saved trace.

    Raises:
        ValueError: mechviz did not write it, a newer version did, or it is damaged; the message says which.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if MANIFEST not in file.namelist():
                raise ValueError(f"{path.name} is a zip file that mechviz did not write: it holds no {MANIFEST}")
            manifest = json.loads(file.read(MANIFEST))
            names = set(file.namelist())
    except (zipfile.BadZipFile, zlib.error, UnicodeDecodeError, json.JSONDecodeError, EOFError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path.name} is a zip file that mechviz did not write as a trace")
    if not isinstance(manifest.get("version"), int) or manifest["version"] > VERSION:
        raise ValueError(
            f"{path.name} has trace format {manifest.get('version')}, written by mechviz {manifest.get('mechviz')}; this is "
            f"mechviz {__version__}, which reads up to {VERSION}: upgrade mechviz"
        )
    try:
        lost = [name for name in manifest["dtypes"] if f"{name}.npy" not in names]
        trace = SavedTrace(manifest, _Arrays(path, manifest["dtypes"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path.name} is damaged: {type(error).__name__} {error} in its {MANIFEST}") from None
    if lost:
        raise ValueError(f"{path.name} is damaged: it lacks {lost[0]}.npy")
    return trace


def _pattern(rule: Mapping[str, Any], arrays: Callable[[str], np.ndarray]) -> Dense | Factored:
    parts = {name: arrays(where) for name, where in rule["arrays"].items()}
    if "array" in parts:
        return Dense(parts["array"], causal=rule["causal"])
    options = {name: rule[name] for name in ("scale", "causal", "window", "offset", "softcap")}
    return Factored(**parts, **options)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _with_quantity(array: np.ndarray, fields: Mapping[str, Any] | None) -> np.ndarray:
    measured = array.view(_Measured)
    if fields is not None:
        measured.quantity = Quantity(**{name: _tupled(value) for name, value in fields.items()})
    return measured
