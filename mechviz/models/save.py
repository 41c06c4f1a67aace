"""Writing a trace to a file that opens without torch and without the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mechviz._layered import Unavailable
from mechviz.trace_file import LAYERED, WHOLE, manifest_of, write

from .budget import size

if TYPE_CHECKING:
    from .trace import Trace

DEFAULT = ("attention", "loss", "resid_pre", "resid_post")
RULE = ("queries", "keys", "sinks", "bias", "mask")


def save(trace: Trace, path: str | Path, names: Sequence[str], layers: Iterable[int] | None) -> None:
    """`mechviz.models.Trace.save` says what this does."""
    known = ("attention", *LAYERED, *WHOLE)
    names = ["attention" if name == "pattern" else name for name in names]
    for name in names:
        if name not in known:
            raise ValueError(f"sites must be among {', '.join(known)}; got {name!r}")
    wanted = list(range(trace.model.n_layers) if layers is None else layers)
    loss = trace.loss if "loss" in names else None
    manifest = manifest_of(trace.tokens, trace.model.n_layers, getattr(loss, "quantity", None))
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        if name in WHOLE:
            tensors[name] = loss if name == "loss" and loss is not None else trace.logits
            manifest["held"][name] = []
        else:
            _take(trace, name, wanted, manifest, tensors)
    sizes = [(name, sum(x.nbytes for key, x in tensors.items() if key.split(".")[0] == name)) for name in names]
    print(f"{path}: {size(sum(n for _, n in sizes))} ({', '.join(f'{name} {size(n)}' for name, n in sizes)})")
    arrays = {key: _numpy(x) for key, x in tensors.items()}
    manifest["dtypes"] = {key: str(x.dtype).removeprefix("torch.") for key, x in tensors.items()}
    write(Path(path), manifest, arrays)


def _take(trace: Trace, name: str, wanted: list[int], manifest: Any, tensors: dict[str, torch.Tensor]) -> None:
    held, missing = manifest["held"].setdefault(name, []), manifest["missing"].setdefault(name, {})
    for layer in wanted:
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
            manifest["attention"][layer] = _rule(item, layer, tensors)
        else:
            tensors[f"{name}.{layer}"] = item


def _rule(pattern: Any, layer: int, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    names = RULE if hasattr(pattern, "queries") else ("array",)
    parts = {name: x for name in names if (x := getattr(pattern, name)) is not None}
    tensors.update({f"attention.{layer}.{name}": x for name, x in parts.items()})
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
