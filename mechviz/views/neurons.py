"""`mv.neurons`: what the neurons of a layer do over a text, position × neuron, and the text in the colours of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, Literal, get_args

import numpy as np

from mechviz._layered import missing_said
from mechviz._matrix_still import matrix_still
from mechviz._text_still import text_still
from mechviz._visible import visible
from mechviz.arrays import Quantity, Scale, quantity_of
from mechviz.text import Tokens, as_tokens
from mechviz.view import View, display
from mechviz.views._matrix import side_of
from mechviz.views._quantity import named
from mechviz.views._unit_slices import Slices, share
from mechviz.views._units import ORDERS, Layers, Order, chosen_units

Kind = Literal["neurons", "features", "directions", "residual"]
_COUNT = 64
# Axis of the selection, letter before the number, title.
_KINDS: dict[Kind, tuple[str | None, str, str]] = {
    "neurons": ("neurons", "N", "Neurons"),
    "features": ("features", "F", "Features"),
    "directions": (None, "D", "Directions"),
    "residual": (None, "d", "Residual stream"),
}


@display
def neurons(
    tokens: Any,
    activations: Any,
    *,
    layers: Sequence[int] | None = None,
    layer: int | None = None,
    neurons: Any = _COUNT,
    order: Order = "max",
    names: Any = None,
    kind: Kind = "neurons",
    gate: Any = None,
    up: Any = None,
    name: str | None = None,
    unit: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> View:
    """A text in the colours of one neuron, beside a map of position × neuron of the layer; for features and probes, too.

    Hovering a neuron colours the text by its activations; hovering a token lists the strongest neurons of the whole layer
    there. A click picks neuron and token, Shift-click or ``p`` pins more, and each pinned neuron has a small chart below.
    Neurons stand in the order of their largest activation, mean, sparsity (1 − (mean |a|)² ⁄ mean a²: 1 where one token
    has it all), variance or number, of the activation at one token (``t``), or of the correlation over positions with
    one neuron (``l``). ``[`` and ``]`` open the layer before and after; type "L3N17" (``/``) to go to a neuron.

    What is picked is ``view.selection.neurons`` with ``.layers`` beside it, number by number (of features ``.features``),
    and ``.positions``: other views of the figure follow, and what they pick is shown here.

    A live picture asks the kernel for what is looked at, a megabyte at a time, so that a stack of 12 × 1,024 × 3,072
    opens at once. A file holds a part of it and says which.

    Args:
        tokens: What was read, [position]: `Tokens` (``trace.tokens``) or a list of strings.
        activations: [position, neuron], [layer, position, neuron], a list of [position, neuron] or a dict of them by
            layer, or ``trace.neurons``, whose layers are computed when they are opened. Any real dtype. What is larger
            than 16 MB is not copied.
        layers: The true numbers of the layers; of ``trace.neurons`` and of a dict the layers that are shown. By default
            0, 1, … or all of these.
        layer: The number of the layer that is open at first; by default the first, of chosen `neurons` the first that
            has one.
        neurons: How many stand side by side; a file keeps as many of each layer, the first ones by `order`, and all of a
            stack of at most 1 MB. "all" keeps all. A list (``[17, 228]``, ``["L3N17", mv.Neuron(2, 228)]``) or a dict
            ``{3: [17]}`` shows these alone.
        order: The first order: "max", "mean", "sparsity", "variance" or "index". On a signed scale "max" is by size.
        names: A name for each: a list of strings, or a dict by number for some. By default "N17".
        kind: "neurons"; "features" of a dictionary; "directions" such as probes (``resid @ directions``); "residual" for
            the dimensions of the residual stream, which mean little one by one: the picture then says so.
        gate: Of gated neurons what the activation function was given, shaped as `activations` (``trace.gate``). Hovering
            then tells gate, up and product.
        up: Of gated neurons what multiplies its result (``trace.up``).
        name: What the numbers are; by default "activation".
        unit: Their unit.
        scale: "ink" (zero to more), "ember" or "signed" (symmetric round zero). By default "signed" when a number of the
            layer that is open at first is negative.
        limits: Numbers at the two ends of the scale, for all layers. By default each layer has its own, from 0 to its
            largest number, printed on the colour bar.
        title: Heads the picture; by default what `kind` says.

    NaN is hatched, counted in the foot and left out of what neurons are ordered by; numbers beyond the limits, infinity
    among them, have the end's colour with a bar on top. Infinity counts as the largest activation; mean, sparsity,
    variance and correlation are of what is finite. All numbers arrive in the precision they have.

    Raises:
        TypeError: `tokens` is no list of strings, `activations` are no real numbers, `names` no strings.
        ValueError: shapes do not fit each other or `tokens`; `layers`, `layer`, `neurons`, `order`, `kind`, `scale` or
            `limits` is none of what it may be; integers lie beyond 2**53.

    Paper: Treves and Rolls 1991, "What determines the capacity of autoassociative memories in the brain?" (sparsity).

    Example:
        >>> activations = np.random.default_rng(0).normal(size=(2, 3, 8))  # [layer, position, neuron]
        >>> mv.neurons(["The", " cat", " sat"], activations)
        <mechviz neurons 'Neurons'>
    """
    text = as_tokens(tokens)
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; got {order!r}")
    axis, letter, default_title = _KINDS[kind]
    title = default_title if title is None else title
    stack = Layers(activations, len(text), layers, name="activations")
    chosen = chosen_units(neurons, stack)
    opened = _opened(layer, stack, chosen)
    stack.read(opened)
    if (gate is None) != (up is None):
        raise ValueError("gate and up go together: give both or neither")
    shares = {n: share(x, stack, name=n) for n, x in (("gate", gate), ("up", up)) if x is not None}
    count = _count(neurons) if chosen is None else max(1, min(_COUNT, max(map(len, chosen))))
    quantity = named(quantity_of(activations), "activation" if name is None else name, unit, scale, limits)
    slices = Slices(stack, shares, quantity, order, count, chosen, neurons == "all", opened)
    rows = side_of(text, None, len(text), name="rows", points_name="row_points", title="position")
    said = Quantity(quantity.name, quantity.unit, slices.ramp, slices.limits(opened))

    def still() -> str:
        units, cells = slices.preview()
        words = f"{len(text)} positions by {len(units)} of {slices.units:,} {kind}, by {order}"
        first = f"{title} {_name_of(stack.numbers[opened], letter, int(units[0]))}" if len(units) else title
        column = cells[:, 0] if len(units) else np.full(len(text), np.nan)
        assert said.limits is not None
        return text_still(text, column, slices.ramp, said.limits, first, said) + (
            matrix_still(cells, said, title, words) if len(units) else ""
        )

    return View.of(
        "neurons",
        {
            "tokens": text.to_props(),
            "rows": rows.to_props(),
            "layers": slices.to_props(),
            "open": opened,
            "units": slices.units,
            "count": slices.count,
            "order": order,
            "whole": slices.whole or chosen is not None,
            "only": chosen is not None,
            "axis": axis,
            "letter": letter,
            "kind": kind,
            "names": _names(names, slices.units),
            "missing": missing_said(stack.missing, kind),
            "quantity": {"name": quantity.name, "unit": quantity.unit},
            "ramp": slices.ramp,
        },
        title=title,
        provenance=text.provenance,
        answers={"slice": slices.slice, "columns": slices.columns},
        still=still,
        height=lambda width: _height(width, text, len(stack)),
    )


def _opened(layer: Any, stack: Layers, chosen: list[list[int]] | None) -> int:
    if layer is None:
        return 0 if chosen is None else next(i for i, units in enumerate(chosen) if units)
    if layer not in stack.numbers:
        raise ValueError(f"layer must be one of {', '.join(map(str, stack.numbers))}; got {layer!r}")
    return stack.numbers.index(layer)


def _count(neurons: Any) -> int:
    if isinstance(neurons, str):
        if neurons != "all":
            raise ValueError(f'neurons must be a number, "all", a list or a dict by layer; got {neurons!r}')
        return _COUNT
    try:
        count = index(neurons)
    except TypeError:
        raise TypeError(f'neurons must be a number, "all", a list or a dict by layer; got {neurons!r}') from None
    if count < 1:
        raise ValueError(f"neurons must be at least 1; got {count}")
    return count


def _names(names: Any, units: int) -> Any:
    """A list of names, or a dict of some by number as text; None without any."""
    if names is None:
        return None
    if isinstance(names, Mapping):
        for unit in names:
            if not hasattr(unit, "__index__"):
                raise TypeError(f"names must be by number where they are a dict; got the key {unit!r}")
            if not 0 <= index(unit) < units:
                raise ValueError(f"names must be of numbers 0 … {units - 1}; got the key {unit!r}")
        return {str(index(unit)): visible(str(name)) for unit, name in names.items()}
    items = names.tolist() if hasattr(names, "tolist") else list(names) if not isinstance(names, str) else names
    if isinstance(items, str) or not all(isinstance(item, str) for item in items):
        raise TypeError(
            f"names must be strings, one for each of {units} columns, or a dict by number; got {names!r:.80}"
        )
    if len(items) != units:
        raise ValueError(f"names must hold one string for each of {units} columns; got {len(items)}")
    return list(map(visible, items))


def _name_of(layer: int | None, letter: str, unit: int) -> str:
    return f"{'' if layer is None else f'L{layer}'}{letter}{unit}"


def _height(width: int, text: Tokens, layers: int) -> int:
    cells = min(800, max(14 * len(text), 200))
    side = 420 if width < 760 else 0
    return 56 + (30 if layers > 1 else 0) + 60 + 40 + cells + side + 40


def example() -> View:
    """A layer of neurons, gated ones, two of which know adverbs and names; the numbers are made up."""
    words = (
        "After| Anna| and| Peter| came| back| from| the| museum|,| Anna| happily| handed| a| small| red| key| from|"
        " the| shop| to| Peter|."
    ).split("|")
    rng = np.random.default_rng(11)
    gate = rng.normal(-1.2, 1.0, (3, len(words), 48))  # [layer, position, neuron]
    up = rng.normal(0, 1.1, gate.shape)
    for layer in range(3):
        for unit in range(0, 48, 3):  # every third knows a word or two
            known = rng.choice(len(words), 2)
            gate[layer, known, unit] += rng.uniform(2, 5, 2)
            up[layer, known, unit] += rng.uniform(0, 2, 2)
    gate[2, [11], 28] += 5
    gate[2, [1, 3, 10, 21], 17] += 4.5
    gate, up = gate.astype(np.float32), up.astype(np.float32)
    return neurons(words, up * gate / (1 + np.exp(-gate)), gate=gate, up=up, layer=2)
