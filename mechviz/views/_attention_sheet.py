"""One sheet of `mv.attention`: the heads of one stack over one text, checked and summed up, and what is sent of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._factor_pack import PackedHead
from mechviz._sink import with_sink
from mechviz.arrays import Quantity
from mechviz.pattern import Dense, Factored
from mechviz.text import Tokens, as_tokens, visible
from mechviz.views._attention_scores import Scores
from mechviz.views._head_stats import Summary, summarise
from mechviz.views._images import Placed, images_props, placed
from mechviz.views._pattern_heads import HeadSource, heads_of, is_causal
from mechviz.views._pattern_layers import Layer, check_labels, layers_of, missing_of, rows_of
from mechviz.views._pattern_wire import (
    Encoding,
    beyond,
    encoding_of,
    factor_props,
    factors_of,
    pooling_of,
    row_total,
    thumb_size,
    thumbs_of,
    values_of,
)

# Of a further text all heads travel together up to here, when it is opened; beyond, each when it is opened.
_TOGETHER_BYTES = wire.MB


@dataclass(frozen=True)
class Asked:
    """What the caller says about every sheet."""

    layers: Sequence[int] | None
    heads: Sequence[int] | None
    head_names: Sequence[str] | None
    causal: bool | None
    precision: wire.Precision


@dataclass(frozen=True)
class Looked:
    """What is known of heads once every weight has been seen."""

    found: list[Summary]
    packed: list[PackedHead | None]
    encoding: Encoding


@dataclass(frozen=True)
class Sheet:
    """The heads of one stack over one text; `key_tokens` is None where keys are the same tokens."""

    text: Tokens
    key_text: Tokens
    key_tokens: Tokens | None
    stack: list[Layer]
    numbers: list[int]
    names: list[str] | None
    sources: list[HeadSource]
    look: Callable[[], Looked]
    remote: bool  # too large to be looked at before it is shown: a kernel is asked, a file is made head by head
    causal: bool
    thumb: int
    missing: str
    scores: Scores
    rows: list[tuple[str, str]]  # of the grid: name, and why there are no heads
    row_of: list[int]  # of every layer
    images: list[Placed]  # whose patches are among the tokens

    @property
    def widest(self) -> int:
        """Heads of the layer that has most of them."""
        return max(layer.pattern.shape[0] for layer in self.stack)

    @property
    def found(self) -> list[Summary]:
        """Every head at a glance."""
        return self.look().found

    @property
    def packed(self) -> list[PackedHead | None]:
        """Heads that travel as queries and keys."""
        return self.look().packed

    @property
    def encoding(self) -> Encoding:
        """How the others travel."""
        return self.look().encoding

    @property
    def probabilities(self) -> bool:
        """Whether all rows can be probabilities; what has a softmax of its own makes them so."""
        if self.difference:
            return False
        return self.remote or all(summary.probabilities for summary in self.found)

    @property
    def difference(self) -> str:
        """What every layer is a difference of: "probability" or "weight"; "" where one is none."""
        kinds = {layer.difference for layer in self.stack}
        return "" if "" in kinds else kinds.pop() if len(kinds) == 1 else "weight"

    def places(self) -> list[dict[str, Any]]:
        """Where every head stands, and what it is called."""
        return [self._place(source) for source in self.sources]

    def _place(self, source: HeadSource) -> dict[str, Any]:
        layer, column = self.stack[source.row], source.column
        place: dict[str, Any] = {"row": self.row_of[source.row], "column": column, "layer": source.layer}
        place |= {"head": self.numbers[column], "name": source.name}
        if layer.group > 1:
            place["kv"] = column // layer.group
        if layer.window is not None:
            place["window"] = layer.window
        return place


def sheet_of(tokens: Any, pattern: Any, key_tokens: Any, asked: Asked, said: Quantity, image: Any = None) -> Sheet:
    """Check one text and its pattern, and look at every head of it."""
    tokens, key_tokens, images = placed(tokens, key_tokens, image)
    stack = layers_of(pattern, asked.layers)
    rows, row_of = rows_of(stack, pattern if asked.layers is None else None)
    text = as_tokens(tokens)
    same = key_tokens is None or as_tokens(key_tokens, name="key_tokens") == text
    if stack[0].sink:
        key_tokens = with_sink(as_tokens(tokens) if key_tokens is None else as_tokens(key_tokens, name="key_tokens"))
    text, key_text = _texts(tokens, key_tokens, stack[0].pattern.shape)
    widest = max(layer.pattern.shape[0] for layer in stack)
    given = asked.heads
    numbers = list(range(widest)) if given is None else check_labels(given, widest, name="heads", each="head")
    names = _names(asked.head_names, widest)
    sources = heads_of(stack, numbers, names)
    causal = is_causal(sources, asked.causal, same_tokens=key_text == text)
    thumb = thumb_size(len(sources))
    look: dict[str, Any] = {"causal": causal, "thumb": thumb, "rule": pooling_of(said)}
    remote = any(not isinstance(source.pattern, Dense) for source in sources)

    @cache
    def every() -> Looked:
        found, packed = [], []
        for source in sources:
            weights = source.weights()
            found.append(summarise(weights, **look))
            packed.append(factors_of(source, weights, causal) if asked.precision == "auto" else None)
        return Looked(found, packed, encoding_of(sources, found, causal, asked.precision))

    if not remote:
        every()
    return Sheet(
        text=text,
        key_text=key_text,
        key_tokens=None if key_tokens is None else key_text,
        stack=stack,
        numbers=numbers,
        names=names,
        sources=sources,
        look=every,
        remote=remote,
        causal=causal,
        thumb=thumb,
        missing=missing_of(pattern),
        scores=Scores(stack, text, causal=causal, same_tokens=same),
        rows=rows,
        row_of=row_of,
        images=images,
    )


def sheet_props(
    sheet: Sheet, quantity: Quantity, opened: int, *, offset: int = 0, like: Sheet | None = None, live: bool = False
) -> dict[str, Any]:
    """What js/src/parts/attentionsheets.ts reads as SheetJson.

    Args:
        sheet: The sheet.
        quantity: Name, scale and limits, the same for all sheets of a view.
        opened: The head that is open at first.
        offset: Heads of the sheets before it: the kernel counts them all.
        like: The first text of the same stack, where this is another one: nothing of it comes with the first picture.
        live: A kernel stays behind the picture: what is too large to be looked at first is asked from it.
    """
    remote = live and sheet.remote
    own = sheet.names or [visible(str(n)) for n in sheet.stack[0].pattern.names or [f"H{n}" for n in sheet.numbers]]
    thumbs = thumbs_of(sheet.found, sheet.causal) if len(sheet.sources) > 1 and not remote else None
    return {
        "tokens": sheet.text.to_props(),
        "key_tokens": None if sheet.key_tokens is None else sheet.key_text.to_props(),
        **(_asked_heads(sheet) if remote else _heads(sheet, quantity, opened, like)),
        "rows": [name for name, _ in sheet.rows],
        "reasons": [reason or None for _, reason in sheet.rows] if any(reason for _, reason in sheet.rows) else None,
        "columns": own,
        "thumbs": replace(thumbs, lazy=True) if thumbs and like else thumbs,
        "remote": remote,
        "thumb_step": math.ceil(max(len(sheet.text), len(sheet.key_text)) / sheet.thumb),
        "peaks": None if remote else wire.Array(np.array([s.peak for s in sheet.found]), lazy=like is not None),
        "scores": sheet.scores.to_props(lazy=remote or like is not None) if sheet.probabilities else None,
        "causal": sheet.causal,
        "sink": sheet.stack[0].sink,
        "sink_masked": sheet.stack[0].sink and all(layer.masked for layer in sheet.stack),
        "probabilities": sheet.probabilities,
        "no_products": "" if any(not layer.no_factors for layer in sheet.stack) else sheet.stack[0].no_factors,
        "row_total": _sums_to_one(sheet) if remote else row_total(sheet.found),
        "open": opened,
        "offset": offset,
        **({"images": images_props(sheet.images, lazy=like is not None)} if sheet.images else {}),
    }


def _asked_heads(sheet: Sheet) -> dict[str, Any]:
    """Every head with what the kernel is asked about: js/src/pattern/remote.ts."""
    places = sheet.places()
    values: dict[str, Any] = {"remote": [len(sheet.text), len(sheet.key_text)]}
    if sheet.difference:
        values["signed"] = True
    return {"heads": [{**place, "values": values, "nan": 0, "above": 0, "below": 0} for place in places]}


def _sums_to_one(sheet: Sheet) -> dict[str, float] | None:
    """What every row of a softmax sums to, unless some see nothing."""
    plain = [getattr(source.pattern, "pattern", source.pattern) for source in sheet.sources]
    seen = all(isinstance(p, Factored) and p.mask is None and p.offset >= 0 for p in plain)
    return {"value": 1.0, "error": 1e-5} if seen else None


def _heads(sheet: Sheet, quantity: Quantity, opened: int, like: Sheet | None) -> dict[str, Any]:
    """Every head with its numbers; of a further text where they stand is known already, and they may travel together."""
    ends = quantity.limits or (0.0, 1.0)
    counts = [
        {"nan": summary.nan, **beyond(source, summary, ends, sheet.causal)}
        for source, summary in zip(sheet.sources, sheet.found, strict=True)
    ]
    if like and _travels_together(sheet, like):
        marked = {str(i): count for i, count in enumerate(counts) if any(count.values())}
        return {"heads": None, "values": _together(sheet), "counts": marked}

    def values(i: int) -> wire.Array | dict[str, Any]:
        later = (sheet.encoding.lazy and i != opened) or like is not None
        packed = sheet.packed[i]
        if packed is not None:
            own = sheet.sources[i].factors
            return factor_props(packed, lazy=later, dim=None if own is None else own.queries.shape[2])
        return values_of(sheet.sources[i], sheet.found[i], sheet.encoding, lazy=later)

    places = sheet.places()
    return {"heads": [{**place, "values": values(i), **counts[i]} for i, place in enumerate(places)]}


def _travels_together(sheet: Sheet, like: Sheet) -> bool:
    _, queries, keys = sheet.sources[0].pattern.shape
    small = 4 * len(sheet.sources) * queries * keys <= _TOGETHER_BYTES
    return small and not any(sheet.packed) and sheet.places() == like.places()


def _together(sheet: Sheet) -> wire.Array:
    """All heads, ``[head, query, key]``."""
    _, queries, keys = sheet.sources[0].pattern.shape

    def numbers() -> np.ndarray:
        whole = np.stack([source.weights() for source in sheet.sources])
        return np.minimum(whole, 1) if sheet.encoding.precision == "sqrt8" else whole

    shape = (len(sheet.sources), queries, keys)
    return wire.Array(numbers, precision=sheet.encoding.precision, layout=sheet.encoding.layout, lazy=True, shape=shape)


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
