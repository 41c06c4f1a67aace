"""Structures that were found before: a second model of the same make is not probed again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import nn

from .structure import Stack, Structure, probe

ROOM = 64  # structures that are remembered
_known: OrderedDict[str, Structure] = OrderedDict()
_lock = threading.Lock()


def structure_of(model: nn.Module, stack: Stack, ids: Sequence[int], weights: str) -> Structure:
    """What `probe` finds, or has found in a model of the same class, version, config and module tree.

    A structure is names and equations; every reading holds the equations against that reading's own numbers, whoever found
    them. It is remembered only if all of it was found, and with scales other than 1 only for these very weights: some models
    read them from a parameter.

    Args:
        model: The model.
        stack: Its blocks.
        ids: Token ids for the probe.
        weights: Fingerprint of the weights.
    """
    if _is_special(model):
        return probe(model, stack, ids)
    make = make_of(model)
    with _lock:
        found = _known.get(make) or _known.get(f"{make} {weights}")
    if found is not None:
        return found
    found = probe(model, stack, ids)
    if found.settled:
        scales = [s for plan in found.plans for s in (plan.attn_scale, plan.mlp_scale)]
        scales += found.unembedding.scales if found.unembedding else ()
        with _lock:
            _known[make if all(s == 1 for s in scales) else f"{make} {weights}"] = found
            while len(_known) > ROOM:
                _known.popitem(last=False)
    return found


def make_of(model: nn.Module) -> str:
    """A hash of everything about a model but its weights: class, versions, config, and each module with its plain settings."""
    config: Any = getattr(model, "config", None)
    digest = hashlib.sha256(f"{transformers.__version__} {torch.__version__}".encode())
    digest.update(
        repr((getattr(config, "_attn_implementation", None), _plain(vars(config) if config else {}))).encode()
    )
    for name, module in model.named_modules():
        kind = type(module)
        shapes = [(key, tuple(p.shape)) for key, p in module.named_parameters(recurse=False)]
        digest.update(f"{name} {kind.__module__}.{kind.__qualname__} {shapes} {_plain(vars(module))}".encode())
    return digest.hexdigest()


def _plain(settings: dict[str, Any]) -> list[tuple[str, Any]]:
    """Settings that are numbers, words, or lists and mappings of them."""

    def plain(x: Any) -> bool:
        if isinstance(x, dict):
            return all(plain(value) for value in x.values())
        if isinstance(x, (list, tuple)):
            return all(plain(value) for value in x)
        return x is None or isinstance(x, (bool, int, float, str))

    unlike = {"_name_or_path", "name_or_path", "_commit_hash"}  # where it came from is not what it is
    return sorted((key, repr(x)) for key, x in settings.items() if key not in unlike and plain(x))


def _is_special(model: nn.Module) -> bool:
    """Whether somebody changed what a module of it does: hooks, a forward of its own, adapters."""
    return any(
        m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) or hasattr(m, "_hf_hook")
        for m in model.modules()
    )
