"""`mv.predictions`: the most probable next tokens at every position of a text."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz import wire
from mechviz._matrix_still import matrix_still
from mechviz.arrays import Quantity, to_numpy
from mechviz.text import Tokens, as_tokens
from mechviz.view import View, display
from mechviz.views._matrix import side_of
from mechviz.views._predicted import check_logits, check_scores, count_of, height_of, predicted, props_of, targets_of


@display
def predictions(
    tokens: Any,
    logits: Any,
    k: int = 10,
    *,
    vocabulary: Any = None,
    target: Any = None,
    title: str = "Predictions",
) -> View:
    """What a model expects next at every position: its most probable tokens, one below the other, by probability.

    A column is a position, named by the token that was read there; its first cell is the most probable next token, and
    the colour is the probability. Hovering a column lists them with their probabilities, the entropy of the whole
    distribution, and rank and probability of the target. A click picks the position (``view.selection.positions``), and a
    position that is picked in another view of the figure is framed here.

    Args:
        tokens: What was read, [position]: `Tokens` (``trace.tokens``) or a list of strings.
        logits: [position, vocab] (``trace.logits``), of any real dtype; log-probabilities do as well.
        k: How many tokens of each position; at most the whole vocabulary.
        vocabulary: What the ids spell: a tokenizer, a list of strings, or a dict by id. By default the tokenizer that
            `tokens` were made with (``trace.tokens``); without one, tokens are told by their ids.
        target: A token whose rank and probability are told: an id or a text such as " Mary", one for each position (id
            −1 for none), or "next" for the one that follows in the text. By default "next" where `tokens` know their ids, else none.
        title: Heads the picture.

    A position whose logits hold NaN, or nothing but −∞, has no numbers: its cells are hatched and name no token.
    Probabilities are worked out in float32.

    Raises:
        TypeError: `tokens` is no list of strings, `logits` are no real numbers, `k`, `vocabulary` or `target` is none of
            the above.
        ValueError: `logits` do not have shape (position, vocab) or are probabilities, `k` is below 1 or makes too many entries, or `target` or
            `vocabulary` does not hold the ids.

    Example:
        >>> mv.predictions(["The", " cat"], [[2.0, 0.5, 0.1], [0.3, 0.2, 4.0]], k=2, vocabulary=["The", " cat", " sat"])
        <mechviz predictions 'Predictions'>
    """
    text = as_tokens(tokens)
    array = to_numpy(logits, name="logits")
    check_logits(array, len(text))
    check_scores(array)
    vocab = array.shape[1]
    count = count_of(k, vocab, len(text))
    wanted = "next" if target is None and text.ids is not None else target
    vocabulary = text.vocabulary if vocabulary is None else vocabulary
    targets = targets_of(wanted, text, vocab, vocabulary)
    found = predicted([array], count, np.full(len(text), -1) if targets is None else targets)
    values = np.ascontiguousarray(found.probabilities[0].T)  # [k, position]
    ranks = [str(i + 1) for i in range(count)]
    rows = side_of(ranks, None, count, name="rows", points_name="row_points", title="rank")
    columns = side_of(text, None, len(text), name="columns", points_name="column_points", title="position")
    said = Quantity("probability", "", "ink", (0.0, 1.0))
    return View.of(
        "predictions",
        {
            "tokens": text.to_props(),
            "rows": rows.to_props(),
            "columns": columns.to_props(),
            "measures": [{"name": "probability", "values": wire.Array(values), "ramp": "ink", "limits": [0, 1]}],
            "open": 0,
            **props_of(found, vocabulary),
            "kl": None,
        },
        title=title,
        provenance=text.provenance,
        still=lambda: matrix_still(values, said, title, f"{count} most probable tokens at {len(text)} positions"),
        height=lambda width: height_of(width, count, len(text), count, 3),
    )


def example() -> View:
    """A sentence about two people and what might come next; the logits are made up."""
    words = "When| Mary| and| John| went| to| the| shop|,| John| gave| a| drink| to".split("|")
    vocabulary = list(
        dict.fromkeys([*words, " store", " Mary", " her", " him", " book", " were", " Then", " park", "."])
    )
    ids = [vocabulary.index(word) for word in words]
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.2, (len(words), len(vocabulary)))
    for position, following in enumerate([*ids[1:], vocabulary.index(" Mary")]):
        logits[position, following] += 1.5 + 4 * position / len(words)  # the longer the text, the better the guess
    text = Tokens(
        label=tuple(word.replace(" ", "·") for word in words),
        text=tuple(words),
        group=tuple(range(len(words))),
        special=(False,) * len(words),
        role=(None,) * len(words),
        ids=tuple(ids),
        provenance={"model": "made up"},
    )
    return predictions(text, logits, k=8, vocabulary=vocabulary)
