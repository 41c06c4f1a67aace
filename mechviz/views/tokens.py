"""`mv.tokens`: running text, one colour a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mechviz import wire
from mechviz._text_still import text_still
from mechviz.arrays import Scale
from mechviz.text import Tokens, as_tokens
from mechviz.view import View, display
from mechviz.views._token_channels import Channel, Merge, Options, aligned, channels_of, compared
from mechviz.views._token_characters import Shares, shares_of
from mechviz.views._token_texts import Texts, are_texts, partners_of, spans_of, texts_of
from mechviz.views._token_top import top_of


@display
def tokens(
    tokens: Any,
    values: Any = None,
    *,
    names: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    compare: Any = None,
    align: Literal["position", "diff", "characters"] | None = None,
    top: Any = None,
    k: int = 6,
    vocabulary: Any = None,
    spans: Any = None,
    merge: Merge | None = None,
    multiples: bool = False,
    name: str | None = None,
    unit: str | None = None,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "Tokens",
) -> View:
    """Running text as the model read it, every token filled with the colour of its value.

    Each fill is one token with its leading space; lines break only before a token. ``↵`` is a newline, ``·`` a space
    alone, ``⇥`` a tab; a character whose bytes lie in several tokens is one glyph over as many fills. Hovering a token
    shows its position, id and exact value in the margin and marks the value on the colour bar; a click pins it, Ctrl-click
    adds one, a drag, Shift-click or Shift with an arrow selects a span (``view.selection.positions``). ``/`` searches, in
    text or by a regular expression. Tokens of right-to-left scripts are isolated from each other, so that the order on
    screen is always the order of positions; a paragraph that is mostly right-to-left runs from the right.

    Args:
        tokens: What the model read, [position]: `Tokens` (``trace.tokens``) or a list of strings. A list of these is
            several texts, one below the other on one scale; `values`, `top` and `spans` are then lists with one item a
            text, and what is picked has its text in ``view.selection.texts``.
        values: One number per token, [position], in `unit`: a list, numpy array or torch tensor of any real dtype.
            Without values the text is shown plain. A `Quantity` on the array (``trace.loss``) sets name, unit, scale
            and limits, as far as they are not given here. [position, channel] is several numbers per token on one scale,
            a dict of [position] arrays by name several quantities, each on its own scale; the picture switches between
            them (number keys) or shows them side by side (``0``). Of several texts an array [text, position] will do,
            too, where all are as long.
        names: What the channels of [position, channel] are called; by default their index. Of `compare`: the two sides.
        texts: What several texts are called; by default 1, 2, …
        compare: A second set of values of the same tokens, [position], such as the loss under another model. The
            difference is coloured, `compare` minus `values`, and both are a switch away. Of a quantity that is named
            loss it is Δ log p, `values` minus `compare`, so that orange is less probable as it is everywhere.
        align: Two texts are compared token by token and stand side by side: by "position", by "diff" (the longest
            runs of equal tokens), or by "characters": one text as two tokenizers have cut it. The colour is the second
            text's value minus the first one's, on both; a token without a partner has a dashed outline and no colour.
            By "characters" a token is compared with what the other text has on its characters: of values that add up
            (see `merge`) each lies in equal shares on the characters of its token, of others every character has the
            value of its token and the mean is taken.
        top: What the model expected, told for the token that is pointed at, beside probability and rank of the token that
            came: logits [position, vocab] (``trace.logits``), or a pair of [position, k] arrays, the most probable next
            tokens (ids or strings) and their probabilities. Row i is the model's output at token i.
        k: How many of the most probable tokens of logits are kept.
        vocabulary: What ids spell: a tokenizer, a list of strings, or a dict by id. By default the tokenizer that `tokens`
            were made with (``trace.tokens``).
        spans: "words" opens the picture with values merged to words (runs of tokens without white space between them), a
            list of (start, end) positions to these spans, `end` being the first position behind. The key ``w`` changes
            between tokens, words and the given spans.
        merge: How values of a word or span become one: "sum", "mean" or "max" (of size, with its sign). By default "sum"
            for what adds up (nats, bits, an attribution or contribution), else "mean". The colour bar names it. One NaN
            makes all of it NaN.
        multiples: Open with all channels side by side, instead of the first.
        name: What the values are, such as "loss".
        unit: Their unit, such as "nats".
        scale: "ink" (zero to more), "ember" (zero to more surprise) or "signed" (symmetric round zero). By default
            "signed" when a value is negative, else "ink".
        limits: Values at the two ends of the scale; symmetric for "signed". By default from 0 to the largest value, or
            to the largest size of one on both sides. They are printed on the colour bar. Differences have limits of
            their own.
        title: Heads the picture.

    NaN is hatched and left out of the mean; a value beyond the limits, infinity among them, has the end's colour with a
    bar on top and is counted below the text. Equal values are said to be equal.

    Raises:
        TypeError: `tokens` is no list of strings (a single string, or the arguments are swapped), `values` are not
            real numbers, or `limits` are no numbers.
        ValueError: there are no tokens, `values`, `compare`, `top`, `spans`, `names` or `texts` do not fit them, or
            `scale`, `limits`, `merge` or `align` is none of the above; integers lie beyond 2**53.

    Example:
        >>> mv.tokens(["The", " cat", " sat"], [2.3, 0.4, 1.1], name="loss", unit="nats", scale="ember")
        <mechviz tokens 'Tokens'>
    """
    _check_order(tokens, values)
    all_texts = texts_of(tokens, texts)
    text = all_texts.all
    options = Options(names, name, unit, scale, limits, merge)
    shares = shares_of(all_texts) if align == "characters" else None
    partners = shares.first if shares else None if align is None else partners_of(align, all_texts)
    channels, other = _channels(values, compare, shares or partners, all_texts, options)
    first = channels[0]
    given = spans_of(spans, all_texts)
    ramp, ends = first.scale or ("ink", (0.0, 1.0))
    return View.of(
        "tokens",
        {
            "tokens": text.to_props(),
            "n_bytes": None if text.n_bytes is None else wire.Array(np.asarray(text.n_bytes, np.int32)),
            **first.to_props(),
            "more": [channel.to_props() for channel in channels[1:]],
            "multiples": bool(multiples) and len(channels) > 1,
            "texts": all_texts.to_props(),
            "partners": None if partners is None else wire.Array(partners),
            "partner_ends": wire.Array(shares.last) if shares else None,
            "partner_values": None if other is None else wire.Array(other),
            "compared": compare is not None,
            "spans": None if given is None else wire.Array(given),
            "merged": "tokens" if spans is None else "words" if given is None else "spans",
            "top": top_of(top, k, vocabulary, all_texts),
        },
        title=title,
        provenance=text.provenance,
        still=lambda: text_still(
            text, first.values, ramp, ends, title, first.quantity, all_texts.to_props(), len(channels)
        ),
        height=lambda width: _height(all_texts, width, len(channels) if multiples else 1, align is not None, top, k),
    )


def _channels(
    values: Any, compare: Any, partners: np.ndarray | Shares | None, texts: Texts, options: Options
) -> tuple[list[Channel], np.ndarray | None]:
    """The values, before them the difference where two are compared; and what stands under each token, if it is shared out."""
    if compare is None:
        found = channels_of(values, texts, options)
        if partners is None or values is None:
            return found, None
        if len(found) > 1:
            raise ValueError(f"align= compares values of one channel; got {len(found)} channels")
        (channel,) = found
        assert channel.values is not None
        if isinstance(partners, Shares):
            other = partners.under(channel.values, channel.merge)
            return aligned(channel, other, texts.starts[1], options), other
        other = np.where(partners >= 0, channel.values[partners], np.nan)
        return aligned(channel, other, texts.starts[1], options), None
    if partners is not None:
        raise ValueError("compare= is of the same tokens and align= of two texts; got both")
    if values is None:
        raise ValueError("compare= is a second set of values; got no values")
    return compared(values, compare, texts, options), None


def _check_order(tokens: Any, values: Any) -> None:
    """Raise a TypeError when tokens and values have changed places."""
    if isinstance(tokens, str | Tokens) or not _are_strings(values):
        return
    kind = type(tokens).__name__ + (f" of shape {tuple(tokens.shape)}" if hasattr(tokens, "shape") else "")
    if not _are_strings(tokens) and not (are_texts(tokens) and all(map(_are_strings, tokens))):
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


def _height(texts: Texts, width: int, panels: int, aside: bool, top: Any, k: int) -> int:
    """Estimated height in CSS pixels: characters of 7.8 px, 3 px of gap a token, lines of 26 px."""
    narrow = width < 760
    room = width if narrow else min(680, width - 300)
    across = 1 if narrow or (panels == 1 and not aside) else 2
    room = room / across - 32 * (across - 1)
    heights = []
    for part in texts.parts:
        lines, used = 1, 0.0
        for shown in texts.all.shown[part]:
            used += 7.83 * len(shown) + 3
            if used > room or shown.endswith("\n"):
                lines, used = lines + 1, 0.0
        heights.append(lines * 26 + 16 + (24 if texts.labels else 0))
    body = max(heights) if aside and not narrow else sum(heights)
    body = body if panels == 1 else math.ceil(panels / across) * (body * 0.85 + 24)
    card = (104 if narrow else 92) + (0 if top is None else 24 + 18 * k)
    switch = 0 if panels == 1 else 26
    return 52 + switch + int(body + card if narrow else max(body, card)) + 46


def example() -> View:
    """Three short texts with special tokens, newlines and characters split over tokens; the numbers are made up."""
    texts = [
        "When| Mary| and| John| went| to| the| park|,| John| quietly| gave| a| big| drink| to| Mary|.|\n|"
        "The| capital| of| Japan| is| Tokyo|.| |☕",
        "red| cat| old| lion| red| cat| old| lion|.|\n|The| cat| meows|.| It| is| a| happy| cat|.",
        "Anna| and| Zoe| had| fun| at| the| ca|f|é|.| Anna| decided| to| give| a| small| red| letter| to| Zoe|.",
    ]
    read = [_example_tokens(words) for words in texts]
    losses = [_surprise(text) for text in read]
    expected = [_expected(text, loss) for text, loss in zip(read, losses, strict=True)]
    uniform = math.log(795)
    return tokens(read, losses, top=expected, name="loss", unit="nats", scale="ember", limits=(0, uniform))


def _surprise(text: Tokens) -> np.ndarray:
    """Rises with the length of a word and falls with every repetition: it looks like a loss."""
    seen: dict[str, int] = {}
    loss = np.empty(len(text))
    for i, label in enumerate(text.label):
        seen[label] = seen.get(label, 0) + 1
        rarity = 9.0 if text.piece[i] else 0.2 if label in _COMMON else 0.8 + 0.45 * len(label)
        loss[i] = rarity * (1.1 + 0.9 * math.sin(3 * i)) / seen[label] ** 2
    loss[0] = np.nan
    return loss


def _expected(text: Tokens, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After every token five others of the text and the one that comes, which has the probability that its loss says."""
    others = list(dict.fromkeys(label for label in text.label[1:] if not label.startswith("⟨")))
    names, probabilities = np.full((len(text), 6), "", "U32"), np.zeros((len(text), 6))
    for i, own in enumerate(np.exp(-loss[1:])):
        wrong = [label for label in others[i % 7 :] + others if label != text.label[i + 1]]
        names[i] = [text.label[i + 1], *wrong[:5]]
        probabilities[i] = [own, *(1 - own) * np.array([0.3, 0.2, 0.1, 0.08, 0.05])]
    return names, probabilities


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
