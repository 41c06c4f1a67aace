"""`mv.tokens`: running text, one colour a token."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._text_still import text_still
from mechviz.arrays import Quantity, Scale, quantity_of, to_numpy
from mechviz.text import Tokens, as_tokens
from mechviz.view import View, display
from mechviz.views._quantity import check_symmetric, named


@display
def tokens(
    tokens: Any,
    values: Any = None,
    *,
    name: str | None = None,
    unit: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "Tokens",
) -> View:
    """Running text as the model read it, every token filled with the colour of its value.

    Each fill is one token with its leading space; lines break only before a token. ``↵`` is a newline, ``·`` a space
    alone, ``⇥`` a tab; a character whose bytes lie in several tokens is one glyph over as many fills. Hovering a token
    shows its position, id and exact value in the margin and marks the value on the colour bar; a click pins it
    (``view.selection.positions``), Shift-click adds one. Tokens of right-to-left scripts are isolated from each other,
    so that the order on screen is always the order of positions; a paragraph that is mostly right-to-left runs from
    the right.

    Args:
        tokens: What the model read, [position]: `Tokens` (``trace.tokens``) or a list of strings.
        values: One number per token, [position], in `unit`: a list, numpy array or torch tensor of any real dtype.
            Without values the text is shown plain. A `Quantity` on the array (``trace.loss``) sets name, unit, scale
            and limits, as far as they are not given here.
        name: What the values are, such as "loss".
        unit: Their unit, such as "nats".
        scale: "ink" (zero to more), "ember" (zero to more surprise) or "signed" (symmetric round zero). By default
            "signed" when a value is negative, else "ink".
        limits: Values at the two ends of the scale; symmetric for "signed". By default from 0 to the largest value, or
            to the largest size of one on both sides. They are printed on the colour bar.
        title: Heads the picture.

    NaN is hatched and left out of the mean; a value beyond the limits, infinity among them, has the end's colour with a
    bar on top and is counted below the text. Equal values are said to be equal.

    Raises:
        TypeError: `tokens` is no list of strings (a single string, or the arguments are swapped), `values` are not
            real numbers, or `limits` are no numbers.
        ValueError: there are no tokens, `values` do not have shape (position,), or `scale` or `limits` do not fit.

    Example:
        >>> mv.tokens(["The", " cat", " sat"], [2.3, 0.4, 1.1], name="loss", unit="nats", scale="ember")
        <mechviz tokens 'Tokens'>
    """
    _check_order(tokens, values)
    text = as_tokens(tokens)
    quantity = quantity_of(values)
    quantity = named(quantity, name, unit, scale, limits)
    numbers = None if values is None else _numbers(values, text)
    chosen = None if numbers is None else _scale(numbers, quantity)
    ramp_name, ends = chosen or ("ink", (0.0, 1.0))
    reference = quantity.reference
    marked = chosen is not None and reference is not None and ends[0] <= reference <= ends[1]
    return View.of(
        "tokens",
        {
            "tokens": text.to_props(),
            "n_bytes": None if text.n_bytes is None else wire.Array(np.asarray(text.n_bytes, np.int32)),
            "values": None if numbers is None else wire.Array(numbers),
            "quantity": {"name": quantity.name, "unit": quantity.unit},
            "scale": {"ramp": ramp_name, "limits": list(ends)} if chosen else None,
            "reference": {"value": reference, "name": quantity.reference_name} if marked else None,
        },
        title=title,
        provenance=text.provenance,
        still=lambda: text_still(text, numbers, ramp_name, ends, title, quantity),
        height=lambda width: _height(text, width),
    )


def _check_order(tokens: Any, values: Any) -> None:
    """Raise a TypeError when tokens and values have changed places."""
    if isinstance(tokens, str | Tokens) or not _are_strings(values):
        return
    kind = type(tokens).__name__ + (f" of shape {tuple(tokens.shape)}" if hasattr(tokens, "shape") else "")
    if not _are_strings(tokens):
        raise TypeError(
            f"tokens must be a list of tokens and values one number per token; got tokens={kind} and values="
            f"{type(values).__name__} of strings: the arguments are swapped, call mv.tokens(tokens, values)"
        )


def _are_strings(x: Any) -> bool:
    if isinstance(x, Tokens):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind == "U"
    return isinstance(x, list | tuple) and len(x) > 0 and all(isinstance(item, str) for item in x)


def _numbers(values: Any, text: Tokens) -> np.ndarray:
    """The values as [position], or an error that says what may have been meant."""
    numbers = to_numpy(values, name="values")
    n = len(text)
    if numbers.shape == (n,):
        return numbers.copy()  # a buffer that is filled again would change what the scale was made for
    hint = ""
    if numbers.ndim == 1 and numbers.shape == (n - 1,):
        hint = "; the first token often has no value of its own: put NaN there"
    elif numbers.ndim == 2 and numbers.shape[0] == 1:
        hint = "; one text has no batch axis: pass values[0]"
    elif numbers.ndim == 2 and n in numbers.shape:
        hint = "; one number per token: pass one column of it"
    raise ValueError(f"values must have shape (position,) == ({n},), one number per token; got {numbers.shape}{hint}")


def _scale(values: np.ndarray, quantity: Quantity) -> tuple[Scale, tuple[float, float]] | None:
    """Ramp and limits for values; None where no value is a number."""
    numbers = values[~np.isnan(values)]
    if not numbers.size:
        return None
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    limits = quantity.limits
    negative = bool((numbers < 0).any()) if limits is None else limits[0] < 0
    chosen: Scale = quantity.scale or ("signed" if negative else "ink")
    if limits is None:
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        size = max(-low, high)
        limits = (-size, size) if chosen == "signed" else (min(low, 0.0), max(high, 0.0))
        # All zero: any scale will do that has zero on the plate.
        limits = limits if limits[0] < limits[1] else (-1.0 if chosen == "signed" else 0.0, 1.0)
    if chosen == "signed":
        check_symmetric(limits)
    return chosen, limits


def _height(text: Tokens, width: int) -> int:
    """Estimated height in CSS pixels: characters of 7.8 px, 3 px of gap a token, lines of 26 px."""
    narrow = width < 760
    room = width if narrow else min(680, width - 300)
    lines, used = 1, 0.0
    for shown in text.shown:
        used += 7.83 * len(shown) + 3
        if used > room or shown.endswith("\n"):
            lines, used = lines + 1, 0.0
    return 52 + max(lines * 26 + 16, 0 if narrow else 92) + (104 if narrow else 0) + 46


def example() -> View:
    """A short text with a special token, newlines and characters split over tokens; the values are made up."""
    text = _example_tokens(
        "When| Mary| and| John| went| to| the| park|,| John| quietly| gave| a| big| drink| to| Mary|.|\n|"
        "The| capital| of| Japan| is| Tokyo|.| |☕|\n|Anna| and| Zoe| had| fun| at| the| ca|f|é|.| Anna| decided| to|"
        " give| a| small| red| letter| to| Zoe|."
    )
    # Surprise rises with the length of a word and falls with every repetition: it looks like a loss.
    seen: dict[str, int] = {}
    loss = np.empty(len(text))
    for i, label in enumerate(text.label):
        seen[label] = seen.get(label, 0) + 1
        rarity = 9.0 if text.piece[i] else 0.2 if label in _COMMON else 0.8 + 0.45 * len(label)
        loss[i] = rarity * (1.1 + 0.9 * math.sin(3 * i)) / seen[label] ** 2
    loss[0] = np.nan
    return tokens(text, loss, name="loss", unit="nats", scale="ember", limits=(0, math.log(795)))


_COMMON = ("·and", "·to", "·the", "·a", "·of", "·is", "·at", ",", ".")


def _example_tokens(words: str) -> Tokens:
    """A special token, then the tokens between the bars; a character beyond ASCII is split before its last byte, as byte-level models do."""
    rows: list[tuple[str, str, int, bool, str | None, int, str]] = []
    rows.append(("<|endoftext|>", "<|endoftext|>", 0, True, "BOS", 0, ""))
    for word in words.split("|"):
        data, first = word.encode(), len(rows)
        if word.isascii():
            rows.append((as_tokens([word]).label[0], word, first, False, None, len(data), ""))
            continue
        for text, part in ((word, data[:-1]), ("", data[-1:])):
            piece = part.hex(" ").upper()
            rows.append((f"⟨{piece}⟩", text, first, False, None, len(part), piece))
    label, text, group, is_special, role, n_bytes, piece = zip(*rows, strict=True)
    return Tokens(label, text, group, is_special, role, tuple(range(len(rows))), n_bytes, piece, {"model": "made up"})
