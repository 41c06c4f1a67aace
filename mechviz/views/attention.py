"""`mv.attention`: attention patterns of all layers and heads, one of them large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._attention_still import attention_still
from mechviz._sink import with_sink
from mechviz.arrays import Scale
from mechviz.arrays import quantity_of as carried_quantity
from mechviz.sites import Head
from mechviz.text import Tokens, as_tokens, visible
from mechviz.view import View, display
from mechviz.views._head_stats import summarise
from mechviz.views._pattern_heads import find_head, heads_of, is_causal
from mechviz.views._pattern_layers import check_labels, check_order, layers_of, missing_of
from mechviz.views._pattern_wire import (
    beyond,
    encoding_of,
    factor_props,
    factors_of,
    pooling_of,
    quantity_of,
    row_total,
    said_precision,
    thumb_size,
    thumbs_of,
    values_of,
)
from mechviz.views._quantity import named


@display
def attention(
    tokens: Any,
    pattern: Any,
    *,
    key_tokens: Any = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    head_names: Sequence[str] | None = None,
    head: Head | str | int | None = None,
    causal: bool | None = None,
    name: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    precision: wire.Precision = "auto",
    title: str = "Attention",
) -> View:
    """Attention patterns: every head as a thumbnail, one head large, its rows as coloured text and as numbers.

    The grid has layers down and heads across, all on one scale. In the large map a row is a query (the token that
    reads), a column a key (the token that is read); causal patterns are a triangle with the keys named on its diagonal.
    Hover a cell for query, key and weight; hover a token in the text to see its row in every thumbnail and as the
    colours of the text. A click pins the cell and writes ``view.selection``: layers, heads, queries, keys, positions.
    Beside the map: the weight, its rank in the row, the five largest and the sum of the rest, so that the row adds up;
    and for the head the entropy of its rows in nats, how far back it reads, and its weight on the previous and on the
    first token, as means over queries (the first one, which has only itself to read, and padding left out).

    Args:
        tokens: What was read, [query]: `Tokens` (``trace.tokens``) or a list of strings.
        pattern: The weights: ``trace.attention``, a `Pattern`, or anything array-like of any real dtype (numpy, torch,
            jax; bfloat16 too) with shape [query, key], [head, query, key] or [layer, head, query, key], or a list of
            [head, query, key], one a layer. A batch of one may stand in front: [1, head, query, key] is one layer,
            [layer, 1, head, query, key] several, and so are lists of [1, head, query, key] (``outputs.attentions``). A
            first axis longer than one of four is always layers. Arrays are read again when a head is opened: do not
            change them in place.
        key_tokens: The tokens that are read, [key], where they are others than `tokens` (cross-attention).
        layers: The true numbers of the layers in `pattern`, such as ``[5]``; by default those of the trace, or 0, 1, …
        heads: The true numbers of the heads, where `pattern` holds some of them.
        head_names: A name for each head instead of "H0", "H1", …
        head: The head that is open at first: "L1H0", ``mv.Head(1, 0)``, its number in a single layer, or its name. By
            default the first one.
        causal: Whether no query reads from a key behind it; those cells are not drawn. By default found out: a square
            pattern of one text whose cells above the diagonal are all 0 (or all the number of a mask, in scores).
        name: What the weights are; by default "attention probability" where all rows can be probabilities.
        scale: "ink" (zero to more), "ember" or "signed" (symmetric round zero). By default "signed" when a weight is
            negative, else "ink".
        limits: Weights at the two ends of the scale. By default 0 and 1, or where there are weights beyond 1 or
            negative ones, the largest size in `pattern`.
        precision: How weights travel: "float32", "float16" or "sqrt8" (8 bits of the square root, for weights in 0 …
            1), "exact" for the dtype of `pattern`; "auto" takes float32 up to 1 MB, float16 up to 4 MB, then sqrt8. Of a
            long text's ``trace.attention`` it sends a head's queries and keys where these are fewer bytes and give every
            weight to within 1e-3. In a live picture numbers are asked from the kernel and exact all the same; elsewhere
            they say their error.
        title: Heads the picture.

    A model with attention sinks has one column more, "sink", behind the keys: the part of each row that goes to no token.
    Layers of a trace without a pattern are left out, and the line under the title says which and why.

    NaN is hatched and counted in the foot; weights beyond the limits, infinity among them, have the end's colour with a
    bar on top; a row of zeros among probabilities is padding and dotted. What is smaller than a pixel is pooled: a cell
    then shows the largest weight of a square (signed: the one furthest from zero), and says so.

    Raises:
        TypeError: `tokens` is no list of strings, `pattern` holds no real numbers or a None, or they are swapped.
        ValueError: `pattern` has another shape than the tokens ask for, layers of several shapes, no layer, head or
            token; `causal` is True for weights above the diagonal; `layers`, `heads`, `head_names`, `head`, `scale`,
            `limits` or `precision` do not fit.

    Example:
        >>> pattern = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]  # [head, query, key]
        >>> mv.attention(["The", " cat", " sat"], pattern)
        <mechviz attention 'Attention'>
    """
    check_order(tokens, pattern)
    stack = layers_of(pattern, layers)
    missing = missing_of(pattern)
    if stack[0].sink:
        key_tokens = with_sink(as_tokens(tokens) if key_tokens is None else as_tokens(key_tokens, name="key_tokens"))
    text, key_text = _texts(tokens, key_tokens, stack[0].pattern.shape)
    widest = max(layer.pattern.shape[0] for layer in stack)
    numbers = list(range(widest)) if heads is None else check_labels(heads, widest, name="heads", each="head")
    names = _names(head_names, widest)
    sources = heads_of(stack, numbers, names)
    opened = find_head(head, sources, numbers)
    same = key_text == text
    triangle = is_causal(sources, causal, same_tokens=same)
    thumb = thumb_size(len(sources))
    said = named(carried_quantity(pattern), name, None, scale, limits)
    look: dict[str, Any] = {"causal": triangle, "thumb": thumb, "rule": pooling_of(said), "same_tokens": same}
    found, packed = [], []
    for source in sources:
        weights = source.weights()
        found.append(summarise(weights, **look))
        packed.append(factors_of(source, weights, triangle) if precision == "auto" else None)
    quantity = quantity_of(found, said)
    ends = quantity.limits or (0.0, 1.0)
    encoding = encoding_of(sources, found, triangle, precision)

    def head_props(i: int) -> dict[str, Any]:
        source, summary = sources[i], found[i]
        place = {"row": source.row, "column": source.column, "layer": source.layer, "head": numbers[source.column]}
        later, factors = encoding.lazy and i != opened, packed[i]
        values = factor_props(factors, lazy=later) if factors else values_of(source, summary, encoding, lazy=later)
        counts = beyond(source, summary, ends, triangle)
        return {**place, "name": source.name, "values": values, "nan": summary.nan, **counts}

    probabilities = all(summary.probabilities for summary in found)
    first = sources[opened]
    return View.of(
        "attention",
        {
            "tokens": text.to_props(),
            "key_tokens": None if key_tokens is None else key_text.to_props(),
            "heads": [head_props(i) for i in range(len(sources))],
            "rows": ["" if layer.number is None else f"L{layer.number}" for layer in stack],
            "columns": names or [visible(str(n)) for n in stack[0].pattern.names or [f"H{n}" for n in numbers]],
            "thumbs": thumbs_of(found, triangle) if len(sources) > 1 else None,
            "thumb_step": math.ceil(max(len(text), len(key_text)) / thumb),
            "statistics": wire.Array(np.stack([summary.statistics for summary in found])) if probabilities else None,
            "causal": triangle,
            "probabilities": probabilities,
            "quantity": ", ".join(filter(None, (quantity.name, quantity.unit))),
            "scale": {"ramp": quantity.scale, "limits": list(ends)},
            "row_total": row_total(found),
            "open": opened,
        },
        title=title,
        site=first.name,
        provenance={**text.provenance, "precision": said_precision(encoding, packed)}
        | ({"missing": missing} if missing else {}),
        answers={"value": lambda args: sources[args["head"]].line(args)},
        still=lambda: attention_still(
            np.tril(first.weights()) if triangle else first.weights(),
            [(source.row, source.column, summary.thumb) for source, summary in zip(sources, found, strict=True)],
            causal=triangle,
            quantity=quantity,
            title=f"{title} {first.name}",
        ),
        height=lambda width: _height(width, text, key_text, len(stack), widest),
        selection={"layers": [first.layer], "heads": [numbers[first.column]]},
    )


def _texts(tokens: Any, key_tokens: Any, shape: tuple[int, int, int]) -> tuple[Tokens, Tokens]:
    """Query and key tokens, checked against the pattern."""
    text = as_tokens(tokens)
    key_text = text if key_tokens is None else as_tokens(key_tokens, name="key_tokens")
    if tuple(shape[1:]) != (len(text), len(key_text)):
        if key_tokens is None:
            wanted = f"query == key == len(tokens) == {len(text)}"
            hint = "; give key_tokens= where keys are other tokens" if shape[1] == len(text) else ""
        else:
            wanted = f"query == len(tokens) == {len(text)} and key == len(key_tokens) == {len(key_text)}"
            swapped = tuple(shape[1:]) == (len(key_text), len(text))
            hint = "; tokens are the ones that read, key_tokens the ones that are read: swapped?" if swapped else ""
        raise ValueError(f"pattern must have shape (head, query, key) with {wanted}; got {tuple(shape)}{hint}")
    return text, key_text


def _names(head_names: Any, count: int) -> list[str] | None:
    if head_names is None:
        return None
    if isinstance(head_names, str) or not all(isinstance(item, str) for item in head_names):
        raise TypeError(f"head_names must be a list of strings, one for each head; got {head_names!r}")
    if len(head_names) != count:
        raise ValueError(f"head_names must hold one name for each of {count} heads; got {len(head_names)}")
    return list(map(visible, head_names))


def _height(width: int, text: Tokens, keys: Tokens, rows: int, columns: int) -> int:
    """Estimated height in CSS pixels at a width, laid out as js/src/views/attention.svelte does."""
    shown = {id(tokens): tokens for tokens in (text, keys)}.values()
    lines = sum(math.ceil(sum(7.83 * len(t) + 3 for t in tokens.shown) / width) for tokens in shown)
    narrow = width < 760
    column = 362 if width <= 1100 else min(488, width - 738)
    beside = not narrow and (column - 20) / columns >= 10
    pitch = min(57 if width <= 1100 else 78, ((column if beside else width) - 20) // columns)
    grid = 18 + rows * pitch if rows * columns > 1 else 0
    room = (width if narrow else width - column - 30) - 100
    large = 30 + min(1000, len(text) * min(36, room / len(keys)))
    side = 60 + 156
    body = grid + side + 20 + large if narrow else max(side + grid, large) if beside else grid + 20 + max(side, large)
    return round(52 + 26 + min(200, 26 * lines) + 18 + body + 44)


def example() -> View:
    """Two layers of four heads over a sentence that repeats itself; made by rules that real heads follow."""
    words = "The| small| red| fox| saw| the| owl|.| The| small| red| fox| saw| the"
    text = _with_bos(words.split("|"))
    return attention(text, _example_pattern(text), head="L1H0")


def _with_bos(words: Sequence[str]) -> Tokens:
    body = as_tokens(list(words))
    bos = Tokens(("<|endoftext|>",), ("<|endoftext|>",), (0,), (True,), ("BOS",), None, None, ("",))
    return Tokens(
        label=bos.label + body.label,
        text=bos.text + body.text,
        group=tuple(range(len(body) + 1)),
        special=bos.special + body.special,
        role=bos.role + body.role,
        provenance={"model": "made up", "bos": True},
    )


def _example_pattern(text: Tokens) -> np.ndarray:
    """``[layer, head, query, key]`` float32: softmax of scores that prefer one kind of key per head."""
    n = len(text)
    query, key = np.mgrid[:n, :n]
    same = np.array([[a.strip("·").lower() == b.strip("·").lower() for b in text] for a in text])
    after_same = np.zeros((n, n), bool)
    after_same[:, 1:] = same[:, :-1]  # keys that follow an earlier occurrence of the query: induction
    first = key == 0
    kinds = [
        [6.0 * (key == query - 1), 5.0 * (same & (key < query)), -0.35 * (query - key), 4.0 * first],
        [
            6.5 * (after_same & (key < query)),
            3.0 * first + 2.5 * (same & (key < query)),
            2.2 * (key == query),
            1.5 * first,
        ],
    ]
    noise = np.random.default_rng(0).normal(0, 0.8, (2, 4, n, n))
    scores = np.where(key <= query, np.array(kinds) + 1.8 * first + noise, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
