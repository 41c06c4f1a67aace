"""Addresses inside a model, as objects that are equal to their strings.

    Head(5, 1)              "L5H1"          also "5.1", "blocks.5.attn.hook_z[1]", "blocks.5.attn.hook_pattern[:, 1]"
    Neuron(3, 17)           "L3N17"         also "blocks.3.mlp.hook_post[17]"
    Neuron(3, 17, expert=2) "L3E2N17"
    Residual(5, "pre")      "L5.resid_pre"  also "L5.pre", "blocks.5.hook_resid_pre"
    MLP(3)                  "L3.mlp"        also "blocks.3.hook_mlp_out"
    Attention(3)            "L3.attn"       also "blocks.3.hook_attn_out"
    Feature(d, 1234)        "name/1234"     where d.name is "name"; what d does not explain is "name/error"

A model with more than one stack of layers puts the stack's name in front: ``Head(5, 1, stack="encoder")`` is "encoder.L5H1".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from operator import index
from typing import Any, ClassVar, Literal, TypeAlias, cast
from weakref import WeakValueDictionary

Point: TypeAlias = Literal["pre", "mid", "post"]

FORMS = (
    'a head "L5H1" or "5.1", a neuron "L3N17" (of an expert "L3E2N17"), the residual stream "L5.resid_pre", "L5.resid_mid" or "L5.resid_post", '
    'an MLP "L3.mlp", an attention layer "L3.attn", a feature "<dictionary>/12" (with "encoder." and the like in front where a model has several '
    'stacks), or a TransformerLens name such as "blocks.5.hook_resid_post" or "blocks.5.attn.hook_z[1]"'
)

_STACK = r"(?:(?P<stack>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.)?"
_OWN = re.compile(
    _STACK
    + r"(?:L(?P<layer>\d+)(?:H(?P<head>\d+)|(?:E(?P<expert>\d+))?N(?P<neuron>\d+)|\.(?:resid_)?(?P<point>pre|mid|post)|\.(?P<whole>mlp|attn))"
    + r"|(?P<short_layer>\d+)\.(?P<short_head>\d+))"
)
_FEATURE = re.compile(r"(?P<name>.+)/(?P<feature>\d+|error)")
_LENS = re.compile(r"blocks\.(?P<layer>\d+)\.(?P<hook>[\w.]+)(?:\[(?P<index>[\d:,\s]+)\])?")
# TransformerLens hook inside a block -> what a trace calls it. Models of TransformerLens 4 also know some by their modules.
HOOKS = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_in": "resid_pre",
    "hook_out": "resid_post",
    "hook_attn_out": "attn_out",
    "attn.hook_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "attn.hook_rot_q": "q",
    "attn.hook_rot_k": "k",
    "attn.hook_q": "q",
    "attn.hook_k": "k",
    "attn.hook_v": "v",
    "attn.hook_z": "z",
    "attn.hook_result": "result",
    "attn.hook_pattern": "pattern",
    "mlp.hook_post": "neurons",
    "mlp.hook_pre": "gate",
    "mlp.hook_pre_linear": "up",
}
# Where its arrays have the axis of heads or neurons, of those that are one per unit of ours (a key head is not).
_UNIT_AXIS = {"q": 2, "z": 2, "result": 2, "pattern": 1, "neurons": 2, "gate": 2, "up": 2}


@dataclass(frozen=True, eq=False, repr=False)
class _Site:
    """What every address shares: it prints as, equals and hashes as its string."""

    layer: int
    stack: str = field(default="", kw_only=True)
    _counted: ClassVar[tuple[str, ...]] = ("layer",)

    def __post_init__(self) -> None:
        for name in self._counted:
            object.__setattr__(self, name, _count(getattr(self, name), name))

    def _local(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        own = [repr(getattr(self, f.name)) for f in fields(self) if not f.kw_only]
        named = [(f.name, value) for f in fields(self) if f.kw_only and (value := getattr(self, f.name)) != f.default]
        return f"{type(self).__name__}({', '.join([*own, *(f'{name}={value!r}' for name, value in reversed(named))])})"

    def __str__(self) -> str:
        return f"{self.stack}.{self._local()}" if self.stack else self._local()

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, (_Site, str)) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


@dataclass(frozen=True, eq=False, repr=False)
class Head(_Site):
    """One attention head: ``Head(5, 1)``, "L5H1"."""

    head: int
    _counted = ("layer", "head")

    def _local(self) -> str:
        return f"L{self.layer}H{self.head}"


@dataclass(frozen=True, eq=False, repr=False)
class Neuron(_Site):
    """One MLP neuron, an input of the down projection: ``Neuron(3, 17)``, "L3N17".

    Of an MLP that routes tokens to experts it is a neuron of one of them: ``Neuron(3, 17, expert=2)``, "L3E2N17".
    """

    neuron: int
    expert: int | None = field(default=None, kw_only=True)

    @property
    def _counted(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("layer", "neuron") if self.expert is None else ("layer", "expert", "neuron")

    def _local(self) -> str:
        return f"L{self.layer}{'' if self.expert is None else f'E{self.expert}'}N{self.neuron}"


@dataclass(frozen=True, eq=False, repr=False)
class Residual(_Site):
    """The residual stream before ("pre"), inside ("mid") or after ("post") a layer: ``Residual(5, "pre")``.

    There is no default point: "the residual at layer 5" has meant each of the three in published code.
    """

    point: Point

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in ("pre", "mid", "post"):
            raise ValueError(f'point must be "pre", "mid" or "post"; got {self.point!r}')

    def _local(self) -> str:
        return f"L{self.layer}.resid_{self.point}"


@dataclass(frozen=True, eq=False, repr=False)
class MLP(_Site):
    """What the MLP of a layer adds to the residual stream: ``MLP(3)``, "L3.mlp"."""

    def _local(self) -> str:
        return f"L{self.layer}.mlp"


@dataclass(frozen=True, eq=False, repr=False)
class Attention(_Site):
    """What the attention of a layer adds to the residual stream: ``Attention(3)``, "L3.attn"."""

    def _local(self) -> str:
        return f"L{self.layer}.attn"


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Feature(_Site):
    """One feature of a dictionary (a sparse autoencoder, probe directions, a basis): ``Feature(d, 1234)``, "name/1234".

    ``Feature(d, "error")`` is what the dictionary leaves unexplained at its place: the values minus their reconstruction.
    A string finds the newest dictionary of that name that is still in use.

    Raises:
        ValueError: ``feature`` is neither "error" nor one of the dictionary's.
    """

    dictionary: Any
    feature: int | Literal["error"]

    def __init__(self, dictionary: Any, feature: Any) -> None:
        if feature != "error":
            feature = _count(feature, "feature")
            if dictionary.n_features is not None and feature >= dictionary.n_features:
                raise ValueError(f"{dictionary.name} has features 0 to {dictionary.n_features - 1}; got {feature}")
        place = (dictionary.at.layer, dictionary.at.stack)
        for name, value in zip(("layer", "stack", "dictionary", "feature"), (*place, dictionary, feature), strict=True):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Feature):  # two dictionaries may have one name
            return self.dictionary is other.dictionary and self.feature == other.feature
        return super().__eq__(other)

    __hash__ = _Site.__hash__

    def __str__(self) -> str:
        return f"{self.dictionary.name}/{self.feature}"

    def __repr__(self) -> str:
        return f"Feature({self.dictionary.name!r}, {self.feature!r})"


Site: TypeAlias = Head | Neuron | Residual | MLP | Attention | Feature

_dictionaries: WeakValueDictionary[str, Any] = WeakValueDictionary()  # those that strings can name


def name_dictionary(dictionary: Any) -> None:
    """Let strings such as "name/1234" find the features of a dictionary, for as long as it lives."""
    _dictionaries[dictionary.name] = dictionary


def _count(value: object, name: str) -> int:
    try:
        number = -1 if isinstance(value, bool) else index(value)  # type: ignore[arg-type]  # argmax gives one, too
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"{name} must be an integer >= 0; got {value!r}")
    return number


def parse(x: Site | str) -> Site:
    """Read an address: a site is returned as it is, a string in any of the forms above becomes its site.

    Args:
        x: A site or its string.

    Raises:
        TypeError: ``x`` is neither a site nor a string.
        ValueError: The string is no address; the message lists the forms.

    Example:
        >>> parse("L5H1") == Head(5, 1) == "L5H1"
        True
        >>> str(parse("blocks.2.hook_resid_mid"))
        'L2.resid_mid'
    """
    if isinstance(x, _Site):
        return cast("Site", x)
    if not isinstance(x, str):
        raise TypeError(f"site must be a site object or a string; got {type(x).__name__}. Forms: {FORMS}")
    text = x.strip()
    lens = _LENS.fullmatch(text)
    if lens:
        return _from_lens(text, lens)
    found = _OWN.fullmatch(text)
    feature = None if found else _FEATURE.fullmatch(text)
    if feature:
        return _from_feature(feature)
    if not found:
        raise ValueError(f"{x!r} is not a site. Forms: {FORMS}")
    return _from_own(found)


def _from_own(found: re.Match[str]) -> Site:
    stack = found["stack"] or ""
    if found["short_layer"] is not None:
        return Head(int(found["short_layer"]), int(found["short_head"]), stack=stack)
    layer = int(found["layer"])
    if found["head"] is not None:
        return Head(layer, int(found["head"]), stack=stack)
    if found["neuron"] is not None:
        expert = None if found["expert"] is None else int(found["expert"])
        return Neuron(layer, int(found["neuron"]), expert=expert, stack=stack)
    if found["point"] is not None:
        return Residual(layer, cast("Point", found["point"]), stack=stack)
    return MLP(layer, stack=stack) if found["whole"] == "mlp" else Attention(layer, stack=stack)


def _from_feature(found: re.Match[str]) -> Feature:
    dictionary = _dictionaries.get(found["name"])
    if dictionary is None:
        known = ", ".join(sorted(_dictionaries)) or "there are none"
        raise ValueError(
            f"{found[0]!r} names a feature, but no dictionary in use is called {found['name']!r} ({known})"
        )
    return Feature(dictionary, "error" if found["feature"] == "error" else int(found["feature"]))


def hook_of(x: object) -> tuple[str, int] | None:
    """What a trace calls the array that a TransformerLens name stands for, and its layer; None for any other name.

    Example:
        >>> hook_of("blocks.5.attn.hook_pattern"), hook_of("L5H1")
        (('pattern', 5), None)
    """
    found = _LENS.fullmatch(x.strip()) if isinstance(x, str) else None
    if found is None or found["index"] is not None or found["hook"] not in HOOKS:
        return None
    return HOOKS[found["hook"]], int(found["layer"])


def _from_lens(text: str, found: re.Match[str]) -> Site:
    layer, name = int(found["layer"]), HOOKS.get(found["hook"])
    unit = None if found["index"] is None else _unit(found["index"], _UNIT_AXIS.get(name or "", -1))
    if name is None or (found["index"] is not None and unit is None):
        raise ValueError(f"{text!r} is not a site. Forms: {FORMS}")
    if unit is not None:
        return Neuron(layer, unit) if name in ("neurons", "gate", "up") else Head(layer, unit)
    if name.startswith("resid_"):
        return Residual(layer, cast("Point", name.removeprefix("resid_")))
    if name in ("attn_out", "mlp_out"):
        return MLP(layer) if name == "mlp_out" else Attention(layer)
    kind, example = ("neuron", f"L{layer}N0") if name in ("neurons", "gate", "up") else ("head", f"L{layer}H0")
    hook = "" if name in ("k", "v") else f' or "blocks.{layer}.{found["hook"]}[0]"'
    raise ValueError(f'{text!r} names every {kind} of layer {layer}; a site is one {kind}, such as "{example}"{hook}')


def _unit(index: str, axis: int) -> int | None:
    """The head or neuron that an index such as "1" or ":, :, 1" picks, if it picks one; ``axis`` -1 has none."""
    parts = [part.strip() for part in index.split(",")]
    if axis < 0 or parts.count(":") != len(parts) - 1:
        return None
    at, number = next((k, part) for k, part in enumerate(parts) if part != ":")
    return int(number) if number.isdigit() and (at == axis or len(parts) == 1) else None
