"""`mv.attention`: attention patterns of all layers and heads, one of them large."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._attention_still import attention_still
from mechviz.arrays import Quantity, Scale
from mechviz.arrays import quantity_of as carried_quantity
from mechviz.sites import Head
from mechviz.text import Tokens, as_tokens
from mechviz.view import View, display
from mechviz.views._attention_asked import Sheets, first_words, open_first, read_all, sheets_of
from mechviz.views._attention_less import less_of
from mechviz.views._attention_opening import Curve, Drawing, Kinds, Merge, Opening, Pooling, chosen
from mechviz.views._attention_scores import check_roles, over_texts, role_weights, roles_props
from mechviz.views._attention_sheet import Asked, Sheet, sheet_props
from mechviz.views._attention_spans import spans_props
from mechviz.views._attention_weigh import factors_of, weigh_props
from mechviz.views._cell_products import Products
from mechviz.views._head_stats import DIFFERENT, PROBABLE, Summary
from mechviz.views._images import images_height
from mechviz.views._pattern_remote import Remote
from mechviz.views._pattern_wire import quantity_of, said_precision
from mechviz.views._quantity import named

_ASKED = "float32 from the kernel, in a file as each head says"
# Weights of a head too large for a still: pooling them would keep a cell waiting.
_STILL = 1 << 26


@display
def attention(
    tokens: Any,
    pattern: Any,
    *,
    key_tokens: Any = None,
    image: Any = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    head_names: Sequence[str] | None = None,
    head: Head | str | int | None = None,
    roles: Mapping[str, Any] | None = None,
    weigh: Mapping[str, Any] | None = None,
    directions: Mapping[str, Any] | None = None,
    weigh_by: str | None = None,
    spans: Any = None,
    key_spans: Any = None,
    merge: Merge | None = None,
    hide: Kinds = (),
    dim: Kinds = (),
    causal: bool | None = None,
    name: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    curve: Curve | None = None,
    scale_to: float | None = None,
    pooling: Pooling = "max",
    precision: wire.Precision = "auto",
    drawing: Drawing = "map",
    title: str = "Attention",
) -> View:
    """Attention patterns: every head as a thumbnail, one head large, its rows as coloured text and as numbers.

    The grid has layers down and heads across, all on one scale. In the large map a row is a query (the token that
    reads), a column a key (the token that is read); causal patterns are a triangle with the keys named on its diagonal.
    Hover a cell for query, key and weight; hover a token in the text to see its row in every thumbnail and as the
    colours of the text. A click pins the cell and writes ``view.selection``: layers, heads, queries, keys, positions.
    Beside the map: the weight, its rank in the row, the five largest and the sum of the rest, so that the row adds up;
    and for the head its scores, as means over queries (the first one, which has only itself to read, and padding left
    out): entropy in nats, how far back it reads, its weight on the previous, the current and the first token, on earlier
    copies of the token and on what followed these (`mechviz.analysis.head_scores`), with the first token or without.
    Heads can be ranked by any of them, filtered by a limit, and drawn as points by two; Shift- or Ctrl-click picks
    several, whose mean, maximum or sum is then the large map.

    Several texts are several sheets of one view, and so are several patterns with names: a list above the text picks
    one (``view.selection.texts``; ``,`` and ``.``), and its numbers are fetched when it is opened::

        mv.attention([t.tokens for t in traces], [t.attention for t in traces])
        encoder, decoder = trace.stacks["encoder"], trace.stacks["decoder"]
        mv.attention(
            {"encoder": encoder.tokens, "decoder": decoder.tokens},
            {"encoder": encoder.attention, "decoder": decoder.attention, "cross": decoder.cross_attention},
        )

    Args:
        tokens: What was read, [query]: `Tokens` (``trace.tokens``) or a list of strings. Of several texts a list of
            these; of several patterns with names a dict of these by the same names, or what all of them read. What is
            named "cross" is read by "decoder", of "encoder", unless something else is said.
        pattern: The weights: ``trace.attention``, a `Pattern`, or anything array-like of any real dtype (numpy, torch,
            jax; bfloat16 too) with shape [query, key], [head, query, key] or [layer, head, query, key], or a list of
            [head, query, key], one a layer. A batch of one may stand in front: [1, head, query, key] is one layer,
            [layer, 1, head, query, key] several, and so are lists of [1, head, query, key] (``outputs.attentions``). A
            first axis longer than one of four is always layers. Arrays are read again when a head is opened: do not
            change them in place. A list of any of these, one for each text; a dict of any of these by name.
        key_tokens: The tokens that are read, [key], where they are others than `tokens` (cross-attention); a list or a
            dict of them as `tokens`.
        image: What the patches among the tokens are of: pixels (numpy, torch, a PIL image) or `Image`, which says of pixels
            how they were normalised and of patches where they are, if the tokens do not (``tokens.patches``; a trace of a
            model with images does). A list of them where one text has several; of several texts a list of these, of
            patterns with names a dict. The row or column that is pointed at is drawn over the image; without `image=`
            patches are drawn as its rows and columns all the same.
        layers: The true numbers of the layers in `pattern`, such as ``[5]``; by default those of the trace, or 0, 1, …
        heads: The true numbers of the heads, where `pattern` holds some of them.
        head_names: A name for each head instead of "H0", "H1", …
        head: The head that is open at first: "L1H0", ``mv.Head(1, 0)``, its number in a single layer, or its name; of
            patterns with names "cross.L1H0". By default the first one.
        roles: Positions with a meaning, by role, such as ``{"IO": [4, 2], "END": -1}``: one position for each text (None
            where a text has none), or one for all; negative ones count from the end. Every head is then read "from END to
            IO", mean and standard deviation over the texts, and heads can be ranked by it.
        weigh: Attention is not effect: a number for every key of every head by name, which the key ``e`` multiplies the
            pattern with: `mechviz.analysis.KeyValues`, or arrays [layer, head, key] ([head, key] of a single layer).
            ``trace.attention`` brings "value norm" and "contribution norm" with it, computed when they are asked for. A
            list of these for several texts, a dict by name for patterns with names.
        directions: Vectors [d_model] by name, such as ``{"Mary − John": unembedding[a] - unembedding[b]}``: what each key
            contributes to one, signed, is one more number that ``trace.attention`` can be weighed with.
        weigh_by: The name of what the pattern is multiplied with at first: one in `weigh` or `directions`, or with
            ``trace.attention`` "value norm" or "contribution norm". It is computed now. By default weights are shown as
            they are.
        spans: Sentences, turns, documents, to which queries and keys can be merged (the key ``w``; words always can):
            (start, stop) or (start, stop, name), or a dict of these by name, or of lists of these. What lies between
            spans is a unit of its own. Weights are summed over keys and are the mean over queries. A list for several
            texts, a dict by name for patterns with names.
        key_spans: The same of `key_tokens`.
        merge: "words" or "spans": what queries and keys are merged to at first; by default they are tokens.
        hide: Keys that are hidden at first (the key ``x``): "first" (a first token that is not special), "special",
            "padding", "sink" (of heads that have one beside the tokens), a list of these, or "all" of those that there
            are. The rest of each row of probabilities is shared out anew, which the picture calls renormalised.
        dim: Keys that are dimmed instead: drawn on a part of their cells, with their numbers.
        causal: Whether no query reads from a key behind it; those cells are not drawn. By default found out: a square
            pattern of one text whose cells above the diagonal are all 0 (or all the number of a mask, in scores).
        name: What the weights are; by default "attention probability" where all rows can be probabilities.
        scale: "ink" (zero to more), "ember" or "signed" (symmetric round zero). By default "signed" when a weight is
            negative, else "ink".
        limits: Weights at the two ends of the scale. By default 0 and 1, or where there are weights beyond 1 or
            negative ones, the largest size in `pattern`. They are of weights as they are.
        curve: How the scale goes at first (the key ``s``): "linear", "sqrt", "log", "row" (shares of each row's maximum)
            or "head" (to the largest weight of each head). By default as ``mv.style(curve=)`` says, or of images "row".
        scale_to: Where the scale of the head drawn large ends at first, also where its weights are multiplied or merged.
        pooling: What a cell of several weights shows at first (the key ``o``): "max", the largest, or "mass", their sum
            over keys as a mean over queries.
        precision: How weights travel: "float32", "float16" or "sqrt8" (8 bits of the square root, for weights in 0 …
            1), "exact" for the dtype of `pattern`; "auto" takes float32 up to 1 MB, float16 up to 4 MB, then sqrt8. Of a
            long text's ``trace.attention`` it sends a head's queries and keys where these are fewer bytes and give every
            weight to within 1e-3. In a live picture numbers are asked from the kernel and exact all the same; elsewhere
            they say their error.
        drawing: How a head is drawn large at first: "map", or "lines" between two columns of tokens for its large weights
            (the key ``l``).
        title: Heads the picture.

    A model with attention sinks has one column more, "sink", behind the keys: the part of each row that goes to no token.
    Layers of a trace without a pattern are left out, and the line under the title says which and why.

    `weigh_by`, `merge`, `hide`, `dim`, `curve`, `scale_to`, `pooling` and `drawing` say how the picture opens, in a
    notebook and in files; readers go on from there. Thumbnails and scores are of weights as they are, and say so, and so
    does the picture that stands where no script may run.

    NaN is hatched and counted in the foot; weights beyond the limits, infinity among them, have the end's colour with a
    bar on top; a row of zeros among probabilities is padding and dotted. What is smaller than a pixel is pooled: a cell
    then shows the largest weight of a square (signed: the one furthest from zero), and says so.

    Raises:
        TypeError: `tokens` is no list of strings, `pattern` holds no real numbers or a None, or they are swapped; `image` is
            no picture.
        ValueError: `pattern` has another shape than the tokens ask for, layers of several shapes, no layer, head or
            token; `causal` is True for weights above the diagonal; `image` has no patches among the tokens; `layers`,
            `heads`, `head_names`, `head`, `weigh`, `directions`, `weigh_by`, `spans`, `key_spans`, `merge`, `hide`, `dim`,
            `scale`, `limits`, `curve`, `scale_to`, `pooling`, `precision` or `drawing` do not fit; the trace has no values
            or no output projection for `weigh_by`; `hide` or `dim` name what no text has.

    Example:
        >>> pattern = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]  # [head, query, key]
        >>> mv.attention(["The", " cat", " sat"], pattern)
        <mechviz attention 'Attention'>
    """
    sheets = sheets_of(tokens, pattern, key_tokens, image)
    said = named(carried_quantity(pattern), name, None, scale, limits)
    read = read_all(sheets, Asked(layers, heads, head_names, causal, precision), said)
    factors = factors_of(weigh, directions, sheets, read)
    merged = spans_props(spans, key_spans, sheets, read)
    part, opened = open_first(head, sheets, read)
    at_first = sheets.at(part, 0)
    kind_of = type(sheets.given[at_first].pattern).__name__
    factors[at_first] = chosen(weigh_by, factors[at_first], read[at_first], opened, kind_of)
    kinds = {sheet.difference for sheet in read}
    quantity = quantity_of(
        [summary for sheet in read for summary in _seen(sheet)], said, difference=kinds.pop() if len(kinds) == 1 else ""
    )
    opening = Opening(weigh_by, hide, dim, merge, pooling, curve, scale_to, drawing).checked(
        read, read[at_first], quantity, spans=any(of_sheet != (None, None) for of_sheet in merged)
    )
    every = [(sheet, i) for sheet in read for i in range(len(sheet.sources))]  # as the browser counts heads
    said_of_all: dict[str, Any] = {
        "quantity": ", ".join(filter(None, (quantity.name, quantity.unit))),
        "scale": {"ramp": quantity.scale, "limits": list(quantity.limits or (0.0, 1.0))},
        "drawing": drawing,
        "reading": opening.to_props(),
    }

    def props(live: bool) -> dict[str, Any]:
        sent = []
        for i, sheet in enumerate(read):
            at, text = sheets.place(i)
            like = read[sheets.at(at, 0)] if text else None
            offset = sum(len(other.sources) for other in read[:i])
            own = opened if at == part else 0
            own_spans = dict(zip(("spans", "key_spans"), merged[i], strict=True))
            sent.append(sheet_props(sheet, quantity, own, offset=offset, like=like, live=live) | own_spans)
        of_all = {**said_of_all, "roles": _roles(roles, sheets, read, sent)}
        if len(read) == 1:
            return {**sent[0], **of_all}
        of_all["over_texts"] = [
            over_texts([sheet.scores for sheet in of_part])
            if all(sheet.probabilities and not sheet.remote for sheet in of_part)
            else None
            for i in range(len(sheets.parts))
            for of_part in [read[sheets.at(i, 0) : sheets.at(i + 1, 0)]]
        ]
        texts = [first_words(read[sheets.at(part, text)].text) for text in range(sheets.texts)]
        return {"sheets": sent, "parts": sheets.parts, "texts": texts, "part": part, **of_all}

    def saved(twin: bool) -> dict[str, Any]:
        place = "twin" if twin else "file"
        return (props(live=False) if remote else {}) | {"weigh": weigh_props(factors, place)}

    remote = any(sheet.remote for sheet in read)
    first = read[at_first]
    site = " ".join(filter(None, (sheets.parts[part], first.sources[opened].name)))
    missing = "; ".join(dict.fromkeys(filter(None, (sheet.missing for sheet in read))))
    precisions = sorted({_ASKED if s.remote else said_precision(s.encoding, s.packed) for s in read})
    return View.of(
        "attention",
        {**props(live=True), "weigh": weigh_props(factors, "live")},
        saved=saved if remote or any(factors) else None,
        asked=remote,
        title=title,
        site=site,
        provenance=_provenance(read, sheets.texts)
        | {"precision": ", ".join(precisions)}
        | ({"missing": missing} if missing else {})
        | ({"less": less} if (less := less_of(sheets.given)) else {}),
        answers={
            "value": lambda args: _line(every, args),
            **Products([(source.factors, source.column) for sheet in read for source in sheet.sources]).answers(),
            "weigh": lambda args: factors[index(args["sheet"])][index(args["which"])].answer(),
            **Remote([(source.pattern, source.column) for sheet in read for source in sheet.sources]).answers(),
        },
        still=lambda: _still(
            first, opened, quantity, f"{title} {site}", opening.said(probabilities=first.probabilities)
        ),
        height=lambda width: _height(width, first, several=len(read) > 1),
        selection={"layers": [first.sources[opened].layer], "heads": [first.numbers[first.sources[opened].column]]}
        | ({"texts": [0]} if sheets.texts > 1 else {}),
    )


def _seen(sheet: Sheet) -> Sequence[Summary]:
    """Its heads at a glance; of what stays in the kernel only what is true of all such."""
    if not sheet.remote:
        return sheet.found
    return DIFFERENT if sheet.difference else PROBABLE


def _line(every: Sequence[tuple[Sheet, int]], args: dict[str, Any]) -> np.ndarray:
    """The weights of one query ``[key]`` or of one key ``[query]``, of one head or of several as one."""
    heads = args["heads"] if "heads" in args else [args["head"]]
    lines = [sheet.sources[i].line(args) for sheet, i in (every[head] for head in heads)]
    if len(lines) == 1:
        return lines[0]
    combine = {"mean": np.mean, "max": np.max, "sum": np.sum}[args["combine"]]
    return combine(np.stack([np.asarray(line, np.float64) for line in lines]), axis=0)


def _roles(roles: Any, sheets: Sheets, read: Sequence[Sheet], sent: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What heads read from role to role, over all texts; what they read in one of them goes to its sheet."""
    found = check_roles(roles, [len(sheet.text) for sheet in read], several_parts=sheets.parts != [""])
    if not found:
        return None
    if len({len(sheet.sources) for sheet in read}) > 1:
        raise ValueError("roles need the same heads in every text")
    columns = zip(*found.values(), strict=True)
    weights = [role_weights(s.stack, at, causal=s.causal) for s, at in zip(read, columns, strict=True)]
    for i, (one, props) in enumerate(zip(weights, sent, strict=True)):
        props["role_weights"] = wire.Array(one, lazy=i > 0)
    return roles_props(found, weights)


def _provenance(read: Sequence[Sheet], texts: int) -> dict[str, Any]:
    """What the texts agree on, and how many tokens they have; of one text everything."""
    if len(read) == 1:
        return dict(read[0].text.provenance)
    first = read[0].text.provenance
    shared = {
        key: value
        for key, value in first.items()
        if all(key in sheet.text.provenance and sheet.text.provenance[key] == value for sheet in read[1:])
    }
    lengths = sorted({len(sheet.text) for sheet in read})
    span = f"{lengths[0]} to {lengths[-1]} tokens" if len(lengths) > 1 else f"{lengths[0]} tokens"
    return {**shared, "texts": f"{texts} texts, {span}" if texts > 1 else span}


def _still(sheet: Sheet, opened: int, quantity: Quantity, title: str, opens: str) -> str:
    """Weights as they are, whatever the view opens with."""
    if sheet.remote and math.prod(sheet.sources[opened].pattern.shape[1:]) > _STILL:
        return f"<p>{escape(title)}: {len(sheet.text)} tokens, drawn while a kernel runs</p>"
    looks: dict[str, Any] = {"causal": sheet.causal, "quantity": quantity, "title": title}
    if sheet.remote:
        picture = attention_still(sheet.sources[opened].pooled(500), [], **looks)
    else:
        weights = sheet.sources[opened].weights()
        places = zip(sheet.sources, sheet.found, strict=True)
        thumbs = [(source.row, source.column, summary.thumb) for source, summary in places]
        picture = attention_still(np.tril(weights) if sheet.causal else weights, thumbs, **looks)
    said = f"a still shows weights as they are; the interactive picture opens {opens}"
    return f"{picture}<div>{escape(said)}</div>" if opens else picture


def _height(width: int, sheet: Sheet, *, several: bool) -> int:
    """Estimated height in CSS pixels at a width, laid out as js/src/views/lab/attention.svelte does."""
    text, keys, rows, columns = sheet.text, sheet.key_text, len(sheet.stack), sheet.widest
    shown = {id(tokens): tokens for tokens in (text, keys)}.values()
    lines = sum(math.ceil(sum(7.83 * len(t) + 3 for t in tokens.shown) / width) for tokens in shown)
    narrow = width < 760
    column = 362 if width <= 1100 else min(488, width - 738)
    beside = not narrow and (column - 20) / columns >= 10
    pitch = min(57 if width <= 1100 else 78, ((column if beside else width) - 20) // columns)
    grid = 18 + rows * pitch if rows * columns > 1 else 0
    room = (width if narrow else width - column - 30) - 100
    large = 58 + min(1000, len(text) * min(36, room / len(keys)))
    side = 60 + 156
    large += images_height(sheet.images, room)
    body = grid + side + 20 + large if narrow else max(side + grid, large) if beside else grid + 20 + max(side, large)
    return round(52 + 26 + min(200, 26 * lines) + 18 + body + 44 + 32 * several)


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
