"""Writing a trace to a file that opens without torch and without the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mechviz._layered import Unavailable
from mechviz.trace_file import WHOLE, manifest_of, write

from .budget import size
from .report import report
from .wanted import READINGS, TAPED, wanted

if TYPE_CHECKING:
    from .trace import Trace

DEFAULT = ("attention", "loss", "resid_pre", "resid_post")
RULE = ("queries", "keys", "sinks", "bias", "mask")


def save(trace: Trace, path: str | Path, sites: Any, layers: Iterable[int] | None) -> None:
    """`mechviz.models.Trace.save` says what this does."""
    items = [sites] if isinstance(sites, (str, int, Mapping)) or not isinstance(sites, Iterable) else list(sites)
    whole = [name for name in WHOLE if any(isinstance(item, str) and item == name for item in items)]
    rest: Any = [item for item in items if not (isinstance(item, str) and item in WHOLE)]
    rest = rest[0] if len(rest) == 1 and isinstance(rest[0], Mapping) else rest
    try:
        wish = wanted(rest, trace.model.n_layers, taped=True)
    except ValueError as error:
        raise ValueError(f"sites: {str(error).removeprefix('capture: ')}, {', '.join(WHOLE)}") from None
    only = None if layers is None else set(layers)
    loss = trace.loss if "loss" in whole else None
    manifest = manifest_of(trace.tokens, trace.model.n_layers, getattr(loss, "quantity", None))
    file = _File(manifest)
    names = sorted({name for names in wish.names.values() for name in names}, key=(*READINGS, *TAPED).index)
    for name in names:
        _take(trace, name, [n for n in wish.names if name in wish.names[n] and (only is None or n in only)], file)
    if manifest["attention"]:
        _take_behind(trace, file)
    for name in whole:
        file.keep(name, loss if loss is not None and name == "loss" else getattr(trace, name))
    for site in wish.sites:
        file.keep(f"site.{len(manifest['sites'])}", trace.at(site))
        manifest["sites"][str(site)] = f"site.{len(manifest['sites'])}"
    manifest["report"] = trace.report().lines if "attention" in names else report(trace, check=False).lines
    print(
        f"{path}: {size(sum(file.sizes.values()))} ({', '.join(f'{name} {size(n)}' for name, n in file.sizes.items())})"
    )
    write(Path(path), manifest, file.arrays)


class _File:
    """What will be written."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self.arrays: dict[str, np.ndarray] = {}
        self.sizes: dict[str, int] = {}

    def keep(self, key: str, x: torch.Tensor) -> None:
        """Take an array in, as numpy: nothing waits for the others on an accelerator."""
        name = key.split(".")[0]
        if name in WHOLE:
            self.manifest["held"][name] = []
        self.manifest["dtypes"][key] = str(x.dtype).removeprefix("torch.")
        self.arrays[key] = _numpy(x)
        self.sizes[name] = self.sizes.get(name, 0) + x.nbytes


def _take(trace: Trace, name: str, layers: Sequence[int], file: _File) -> None:
    file.sizes[name] = 0
    held, missing = file.manifest["held"].setdefault(name, []), file.manifest["missing"].setdefault(name, {})
    for layer in layers:
        try:
            items = getattr(trace, name)
            if layer in items.missing:
                missing[layer] = items.missing[layer]
                continue
            item: Any = items[layer]
        except Unavailable as reason:
            missing[layer] = str(reason)
            continue
        held.append(layer)
        if name == "attention":
            file.manifest["attention"][layer] = _rule(item, layer, file)
        else:
            file.keep(f"{name}.{layer}", item)


def _take_behind(trace: Trace, file: _File) -> None:
    """What stands behind the keys, or why nothing does: what `mv.attention` weighs a pattern with needs the model."""
    told = file.manifest["behind"] = {}
    file.sizes["behind"] = 0
    behind = trace.attention.behind
    for name in ("value_norms", "contribution_norms"):
        try:
            found = getattr(behind, name)()
        except Exception as reason:  # of any model: it is what the reader is told
            told[name] = {"reason": str(reason)}
            continue
        fields = {field: getattr(found, field) for field in ("layers", "heads", "missing")}
        told[name] = fields | {"quantity": asdict(found.quantity)}
        file.keep(f"behind.{name}", torch.from_numpy(found.values))


def _rule(pattern: Any, layer: int, file: _File) -> dict[str, Any]:
    names = RULE if hasattr(pattern, "queries") else ("array",)
    parts = {name: x for name in names if (x := getattr(pattern, name)) is not None}
    for name, x in parts.items():
        file.keep(f"attention.{layer}.{name}", x)
    rule: dict[str, Any] = {"arrays": {name: f"attention.{layer}.{name}" for name in parts}}
    if names is not RULE:
        return rule | {"causal": pattern.causal}
    options = {name: getattr(pattern, name) for name in ("scale", "window", "offset", "softcap")}
    return rule | options | {"causal": pattern.causal_rule}


def _numpy(x: torch.Tensor) -> np.ndarray:
    x = x.detach().cpu().contiguous()
    return (
        x.view(torch.uint16 if hasattr(torch, "uint16") else torch.int16).numpy()
        if x.dtype == torch.bfloat16
        else x.numpy()
    )
