"""Structures that were found before: a second model of the same make is not probed again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from torch import nn

from .structure import Stack, Structure, probe, probe_inputs

ROOM = 64  # structures that are remembered
_known: OrderedDict[str, dict[str, Structure]] = OrderedDict()
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
    (found,) = _once(model, "", weights, lambda: {"": probe(model, stack, ids)}).values()
    return found


def structures_of(
    model: nn.Module, stacks: Sequence[Stack], inputs: dict[str, Any], weights: str
) -> dict[str, Structure]:
    """The same for every stack that runs when a model is given such inputs, by name: what `probe_inputs` finds, or has found.

    Args:
        model: The model.
        stacks: Its stacks.
        inputs: What to call it with; their names count, not what is in them.
        weights: Fingerprint of the weights.
    """
    names = ", ".join(sorted(name for name, x in inputs.items() if x is not None))
    return _once(model, names, weights, lambda: probe_inputs(model, stacks, inputs))


def _once(model: nn.Module, key: str, weights: str, find: Callable[[], dict[str, Structure]]) -> dict[str, Structure]:
    if _is_special(model):
        return find()
    make = f"{make_of(model)} {key}"
    with _lock:
        found = _known.get(make) or _known.get(f"{make} {weights}")
    if found is not None:
        return found
    found = find()
    if settled(model, found):
        plans = [plan for structure in found.values() for plan in structure.plans]
        scales = [s for plan in plans for s in (plan.attn_scale, plan.mlp_scale)]
        scales += [s for structure in found.values() if structure.unembedding for s in structure.unembedding.scales]
        with _lock:
            _known[make if all(s == 1 for s in scales) else f"{make} {weights}"] = found
            while len(_known) > ROOM:
                _known.popitem(last=False)
    return found


def settled(model: nn.Module, found: dict[str, Structure]) -> bool:
    """Whether everything was found, in every stack; one of them leads to the logits, where the model has any."""
    if not all(plan.kind and plan.certain for structure in found.values() for plan in structure.plans):
        return False
    head: Any = getattr(model, "get_output_embeddings", lambda: None)
    return any(structure.unembedding for structure in found.values()) or (len(found) > 0 and head() is None)


def make_of(model: nn.Module) -> str:
    """A hash of everything about a model but its weights: class, versions, config, and each module with its plain settings and dtypes."""
    config: Any = getattr(model, "config", None)
    digest = hashlib.sha256(f"{transformers.__version__} {torch.__version__}".encode())
    digest.update(
        repr((getattr(config, "_attn_implementation", None), _plain(vars(config) if config else {}))).encode()
    )
    for name, module in model.named_modules():
        kind = type(module)
        shapes = [(key, tuple(p.shape), str(p.dtype)) for key, p in module.named_parameters(recurse=False)]
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
