"""How `mv.attention` is read when it opens: what its keys ``e``, ``x``, ``w``, ``o`` and ``s`` can change afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from mechviz._visible import prose
from mechviz.arrays import Quantity
from mechviz.text import Tokens
from mechviz.views._attention_sheet import Sheet
from mechviz.views._attention_weigh import Factor

Kind: TypeAlias = Literal["first", "special", "padding", "sink"]
Kinds: TypeAlias = Kind | Literal["all"] | Sequence[Kind]
Merge = Literal["words", "spans"]
Pooling = Literal["max", "mass"]
Curve = Literal["linear", "sqrt", "log", "row", "head"]
Drawing = Literal["map", "lines"]

_KINDS = get_args(Kind)
_CURVES = {"sqrt": "on a √ scale", "log": "on a log scale", "row": "by shares of each row's maximum"}
_SAID = {"first": "first token", "special": "special tokens", "padding": "padding", "sink": "sink"}


@dataclass(frozen=True)
class Opening:
    """What the reader finds switched on. Every field is an argument of `mv.attention`."""

    weigh_by: str | None
    hide: Any
    dim: Any
    merge: Merge | None
    pooling: Pooling
    curve: Curve | None
    scale_to: float | None
    drawing: Drawing

    def checked(self, sheets: Sequence[Sheet], shown: Sheet, quantity: Quantity, *, spans: bool) -> Opening:
        """The same with `hide` and `dim` as lists of kinds; the name of `weigh_by` is checked by `chosen`.

        Args:
            sheets: All of the view.
            shown: The one that is open at first.
            quantity: Scale and limits of the weights.
            spans: Whether there are any.

        Raises:
            ValueError: A value that does not exist, or that this pattern or these tokens have no use for.
        """
        for name, known in (("pooling", Pooling), ("drawing", Drawing)):
            _one_of(name, getattr(self, name), get_args(known))
        if self.merge is not None:
            _one_of("merge", self.merge, get_args(Merge))
        if self.merge == "spans" and not spans:
            raise ValueError('merge="spans" needs spans=, or key_spans=; got none of either')
        self._check_scale(shown, quantity)
        hide, dim = _kinds("hide", self.hide, sheets), _kinds("dim", self.dim, sheets)
        if hide and dim:
            raise ValueError(f"hide and dim cannot be combined: keys are hidden or dimmed; got {hide} and {dim}")
        return replace(self, hide=hide, dim=dim)

    def _check_scale(self, shown: Sheet, quantity: Quantity) -> None:
        if self.curve is not None:
            _one_of("curve", self.curve, get_args(Curve))
            possible = _curves(quantity)
            if self.curve not in possible:
                low, high = quantity.limits or (0.0, 1.0)
                what = f"scale {quantity.scale!r} from {low:g} to {high:g}"
                raise ValueError(f"curve must be one of {', '.join(possible)} for {what}; got {self.curve!r}")
            if self.curve == "head" and shown.remote and not self.weigh_by:
                raise ValueError(
                    'curve="head" needs the largest weight of every head, which is not known before a head of '
                    "trace.attention is looked at; scale_to= sets an end of the scale"
                )
        end = self.scale_to
        if end is None:
            return
        if isinstance(end, bool) or not isinstance(end, int | float) or not 0 < end < math.inf:
            raise ValueError(f"scale_to must be a number above 0; got {end!r}")
        if self.curve in ("row", "head"):
            raise ValueError(f'scale_to={end!r} has no use with curve="{self.curve}", which measures its own end')

    def to_props(self) -> dict[str, Any]:
        """What js/src/parts/attentionreading.svelte.ts reads as OpeningJson."""
        return {
            "weigh_by": prose(self.weigh_by or ""),
            "left": "hidden" if self.hide else "dimmed" if self.dim else "shown",
            "kinds": list(self.hide or self.dim or _KINDS),
            "merge": self.merge or "tokens",
            "pooling": self.pooling,
            "curve": self.curve,
            "scale_to": self.scale_to,
        }

    def said(self, *, probabilities: bool) -> str:
        """In words, for a picture that is drawn without it: "× value norm, renormalised without first token, by word"."""
        without = "renormalised without" if probabilities else "without"
        parts = [
            self.weigh_by and f"× {prose(self.weigh_by)}",
            self.hide and f"{without} {' and '.join(_SAID[kind] for kind in self.hide)}",
            self.dim and f"with {' and '.join(_SAID[kind] for kind in self.dim)} dimmed",
            self.merge and f"by {self.merge.removesuffix('s')}",
            self.pooling == "mass" and "with the mass of several cells",
            self.curve and _CURVES.get(self.curve, ""),
            self.curve == "head" and "to the maximum of the head",
            self.scale_to and f"to {self.scale_to:g}",
            self.drawing == "lines" and "as lines",
        ]
        return ", ".join(filter(None, parts))


def chosen(name: Any, factors: Sequence[Factor], sheet: Sheet, opened: int, kind: str) -> list[Factor]:
    """The factors of a sheet; the one that the view opens with is computed now, and travels as what was given does.

    Args:
        name: ``weigh_by=``; None for none of them.
        factors: What the pattern can be multiplied with.
        sheet: What is open at first.
        opened: Which of its heads is.
        kind: What the pattern is, for the error.

    Raises:
        ValueError: There is none of this name, or the open head has no such numbers; the message says what is needed.
    """
    if name is None:
        return list(factors)
    names = [factor.name for factor in factors]
    if not isinstance(name, str) or prose(name) not in names:
        known = f"one of {_list(names)}" if names else "a name in weigh="
        hint = (
            ""
            if "value norm" in names
            else (
                '; "value norm", "contribution norm" and directions= need trace.attention, which knows the values behind its '
                f"keys: the pattern is a {kind}"
            )
        )
        raise ValueError(f"weigh_by must be {known}; got {name!r}{hint}")
    which = names.index(prose(name))
    try:
        found = factors[which].read()
    except Exception as error:  # of any model: the reason is what the caller needs
        raise ValueError(f"weigh_by={name!r} cannot be given: {error}") from error
    if opened in found.missing:
        raise ValueError(f"weigh_by={name!r} cannot be given for {sheet.sources[opened].name}: {found.missing[opened]}")
    return [replace(factor, given=True, first=True) if i == which else factor for i, factor in enumerate(factors)]


def _curves(quantity: Quantity) -> tuple[Curve, ...]:
    """As modesOf in js/src/parts/attentionscale.ts: a bend needs its zero at an end, or in the middle of a signed scale."""
    if quantity.scale == "signed":
        return ("linear", "sqrt", "row", "head")
    return get_args(Curve) if (quantity.limits or (0.0, 1.0))[0] == 0 else ("linear",)


def _kinds(name: str, given: Any, sheets: Sequence[Sheet]) -> list[Kind]:
    """The kinds that are named, checked to be among the tokens that are read; "all" is whichever are."""
    present = {kind for sheet in sheets for kind in _present(sheet.key_text, sink=sheet.stack[0].sink)}
    if given == "all":
        return [kind for kind in _KINDS if kind in present]
    asked = [given] if isinstance(given, str) else list(given or ())
    for kind in asked:
        if kind not in _KINDS:
            raise ValueError(f'{name} must be of {_list(_KINDS)}, or "all"; got {kind!r}')
        if kind not in present:
            raise ValueError(f"{name}={kind!r} finds nothing: {_nothing(kind)}")
    return [kind for kind in _KINDS if kind in asked]


def _nothing(kind: str) -> str:
    return {
        "first": 'every text begins with a special token, which is "special"',
        "special": "no token that is read is special",
        "padding": "no token that is read is padding",
        "sink": 'no head has a sink of its own; a first token that takes much attention is "first" or "special"',
    }[kind]


def _present(keys: Tokens, *, sink: bool) -> list[Kind]:
    """Which kinds there are among keys: as kindsOf in js/src/parts/leftout.ts."""
    count = len(keys) - sink
    patches = {i for start, rows, columns in keys.patches or () for i in range(start, start + rows * columns)}
    special = any(keys.special[i] and keys.role[i] != "PAD" and i not in patches for i in range(count))
    found = (
        ("first", count > 1 and not keys.special[0]),
        ("special", special),
        ("padding", "PAD" in keys.role[:count]),
        ("sink", sink),
    )
    return [kind for kind, there in found if there]  # type: ignore[misc]


def _one_of(name: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}; got {value!r}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
