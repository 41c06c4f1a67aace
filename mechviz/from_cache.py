"""Activations that another library kept, as a trace that every view takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .arrays import Quantity, to_numpy
from .sites import MLP, Attention, Residual, hook_of, parse
from .text import Tokens, as_tokens
from .trace_file import LAYERED, SavedTrace, manifest_of

# Axes of one layer's array in a trace; the arrays of a cache may have one for texts in front.
AXES = {
    **dict.fromkeys(("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"), ("position", "d_model")),
    **dict.fromkeys(("q", "k", "v", "z"), ("position", "head", "d_head")),
    **dict.fromkeys(("neurons", "gate", "up"), ("position", "neuron")),
    "attention": ("head", "query", "key"),
    **dict.fromkeys(("embed", "pos_embed"), ("position", "d_model")),
    "logits": ("position", "vocab"),
    "loss": ("position",),
}
WHOLE = {
    **{name: name for name in ("embed", "pos_embed", "logits", "loss")},
    "hook_embed": "embed",
    "hook_pos_embed": "pos_embed",
    "unembed.hook_out": "logits",
    "hook_unembed": "logits",
}
FORMS = (
    'TransformerLens\'s "blocks.5.attn.hook_pattern", "blocks.5.hook_resid_post", "blocks.5.mlp.hook_post", …; '
    '"L5.resid_post", "L5.mlp", "L5.attn"; "attention.5" or ("attention", 5), also of '
    f"{', '.join(LAYERED)}; any of these names alone, for a list or an array with the layers in front; "
    '"embed", "pos_embed", "logits", "loss"'
)
Place = tuple[str, "int | None"]


class CachedTrace(SavedTrace):
    """What `from_cache` gives: read like a trace, in numpy; what the cache lacks says so.

    Attributes:
        unused: Names in the cache that a trace has no place for.
    """

    unused: tuple[str, ...] = ()
    _kind: ClassVar[str] = "trace from a cache"
    _lacks: ClassVar[str] = "is not in the cache, which holds"

    def __repr__(self) -> str:
        more = f"; {len(self.unused)} names are no part of a trace: .unused" if self.unused else ""
        return super().__repr__() + more


def from_cache(cache: Mapping[Any, Any] | Any, tokens: Any, *, text: int | None = None, model: str = "") -> CachedTrace:
    """Take activations that another library kept, by their names, as a trace that every view takes.

    It has ``.attention``, ``.resid_post``, ``.neurons`` and so on, as a trace that was saved has them. Nothing is
    imported for it, and nothing is converted before it is read. Names that a trace has no place for are listed in ``.unused``. The numbers are the cache's: of a model whose weights were folded or centred they are that model's.

    Args:
        cache: A TransformerLens `ActivationCache`, or any mapping with its names; results of nnsight or of hooks of your
            own under names of a trace (``{"attention.5": …}``, ``{("neurons", 5): …}``, ``{"resid_post": [one per layer]}``).
            Each value is an array or tensor, or has one as ``.value``: of one text, or with an axis of texts in front.
        tokens: The text's tokens: strings, or `Tokens` (``Tokens.from_ids(tokenizer, ids)``).
        text: Which of several texts in the cache.
        model: What pictures call the model.

    Raises:
        TypeError: ``cache`` is no mapping, or a value is no array.
        ValueError: No name is known, a value has the wrong shape for its name and the tokens, or the cache holds several
            texts and ``text`` does not say which.

    Example:
        >>> cache = {"blocks.0.attn.hook_pattern": np.tri(3)[None, None]}  # [text, head, query, key]
        >>> from_cache(cache, ["a", " b", " c"]).attention[0].shape
        (1, 3, 3)
    """
    tokens = as_tokens(tokens)
    if not (hasattr(cache, "keys") and hasattr(cache, "__getitem__")):
        raise TypeError(f"cache must be a mapping from names to arrays; got {type(cache).__name__}")
    found: dict[Place, tuple[str, Any]] = {}
    unused = []
    for key in cache.keys():  # noqa: SIM118 - a TransformerLens cache iterates otherwise
        places = dict(_places(key, cache))
        unused += [] if places else [str(key)]
        for place, value in places.items():
            if place not in found or "hook_rot_" in str(key):  # what enters the dot product
                found[place] = (str(key), value)
    _drop_ungated(found, unused)
    if not found:
        raise ValueError(
            f"cache holds no name that a trace has: it holds {', '.join(unused[:6]) or 'nothing'}. Names: {FORMS}"
        )
    sources = {_name(place): _checked(place[0], *source, tokens, text) for place, source in found.items()}
    about = {"model": model, **tokens.provenance} if model else dict(tokens.provenance)
    layers = [layer for _, layer in found if layer is not None]
    manifest = manifest_of(replace(tokens, provenance=about), max(layers, default=-1) + 1, None)
    for name, layer in sorted(found, key=lambda place: (place[1] is None, place[1] or 0)):
        manifest["held"].setdefault(name, []).extend([] if layer is None else [layer])
        if name == "attention":
            manifest["attention"][layer] = {"arrays": {"array": f"attention.{layer}"}, "causal": None}
    if "logits" in manifest["held"] and "loss" not in manifest["held"] and tokens.ids is not None:
        manifest["held"]["loss"] = []
        sources["loss"] = partial(_loss, sources["logits"], tokens.ids)
        guess = math.log(found["logits", None][1].shape[-1])
        manifest["quantity"] = asdict(
            Quantity("loss", "nats", "ember", (0.0, guess), reference=guess, reference_name="uniform guess")
        )
    trace = CachedTrace(manifest, lambda name: sources[name]())
    trace.unused = tuple(unused)
    return trace


def _places(key: Any, cache: Any) -> Iterator[tuple[Place, Any]]:
    """Where in a trace the value under a key belongs: one place, or one for each layer that it holds."""
    name, layer = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
    if not isinstance(name, str):
        return
    if layer is None:
        name, layer = _layer_of(name)
    name = {"pattern": "attention"}.get(name, WHOLE.get(name, name))
    if name not in AXES or (layer is not None and name in WHOLE.values()):
        return
    value = _value(cache[key])
    if layer is not None or name in WHOLE.values():
        yield (name, layer), value
    elif isinstance(value, Mapping):
        yield from (((name, int(number)), _value(item)) for number, item in value.items())
    else:  # the layers in front
        yield from (((name, number), _value(item)) for number, item in enumerate(value))


def _layer_of(name: str) -> tuple[str, int | None]:
    hook = hook_of(name)
    if hook is not None:
        return hook
    start, _, end = name.rpartition(".")
    if start in (*AXES, "pattern") and end.isdigit():
        return start, int(end)
    try:
        site = parse(name)
    except ValueError:
        return name, None
    if isinstance(site, Residual):
        return f"resid_{site.point}", site.layer
    return {MLP: "mlp_out", Attention: "attn_out"}.get(type(site), name), site.layer


def _value(x: Any) -> Any:
    """An array, which some libraries hand out wrapped."""
    return x.value if not hasattr(x, "shape") and hasattr(x, "value") else x


def _drop_ungated(found: dict[Place, tuple[str, Any]], unused: list[str]) -> None:
    """TransformerLens's `hook_pre` is a gate only where something multiplies it."""
    for place in [place for place in found if place[0] == "gate"]:
        if ("up", place[1]) not in found and found[place][0].endswith("hook_pre"):
            unused.append(found.pop(place)[0])


def _name(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}.{place[1]}"


def _checked(name: str, key: str, value: Any, tokens: Tokens, text: int | None) -> partial[np.ndarray]:
    """A function that reads a value, whose shape fits."""
    axes = AXES[name]
    value = value if hasattr(value, "shape") else to_numpy(value, name=key)
    shape = tuple(value.shape)
    batched = len(shape) == len(axes) + 1
    if batched and text is None and shape[0] != 1:
        raise ValueError(f"{key} holds {shape[0]} texts: say which with text=")
    if batched and not -shape[0] <= (text or 0) < shape[0]:
        raise ValueError(f"text must be one of the {shape[0]} texts of {key}; got {text}")
    own = shape[1:] if batched else shape
    fits = len(own) == len(axes) and all(
        n == len(tokens) for axis, n in zip(axes, own, strict=True) if axis in ("position", "query", "key")
    )
    if not fits:
        raise ValueError(
            f"{key} must have shape ({', '.join(axes)}), with an axis of texts in front or none, for {len(tokens)} tokens; "
            f"got {shape}"
        )
    return partial(_read, key, value, (text or 0) if batched else None)


def _read(key: str, value: Any, text: int | None) -> np.ndarray:
    return to_numpy(value if text is None else value[text], name=key)


def _loss(logits: partial[np.ndarray], ids: tuple[int, ...]) -> np.ndarray:
    """``loss[i] = -log p(token i)`` in nats, NaN at 0: ``[position]``."""
    scores = logits().astype(np.float32)[:-1]  # [position, vocab]
    scores = scores - scores.max(-1, keepdims=True)
    surprise = np.log(np.exp(scores).sum(-1)) - scores[np.arange(len(scores)), list(ids[1:])]
    return np.concatenate([np.full(1, np.nan, np.float32), surprise.astype(np.float32)])
