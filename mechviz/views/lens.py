"""`mv.lens`: what every layer would predict at every position, as layer × position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from mechviz import wire
from mechviz._layered import missing_said
from mechviz._matrix_still import matrix_still
from mechviz.arrays import Quantity
from mechviz.text import as_tokens
from mechviz.view import View, display
from mechviz.views._matrix import side_of
from mechviz.views._predicted import Predicted, count_of, height_of, layers_of, predicted, props_of, targets_of

Value = Literal["probability", "KL", "rank", "entropy"]


@display
def lens(
    tokens: Any,
    logits: Any,
    k: int = 5,
    *,
    layers: Sequence[int] | None = None,
    layer_names: Sequence[str] | None = None,
    vocabulary: Any = None,
    target: Any = None,
    value: Value = "probability",
    title: str = "Lens",
) -> View:
    """What a model would predict if it stopped at each layer: layers down, positions across, the top token in the cell.

    Colour is, by a switch above the picture, the probability of the top token, the Kullback-Leibler divergence from the
    distribution of the last layer (the label says which), the rank of the target, or the entropy. Hovering a cell lists its most probable tokens and
    all four numbers; a click picks layer and position (``view.selection``). ``[`` and ``]`` change the colour. Where
    cells are too narrow for a token, colours alone are drawn: zoom in (plus, or Ctrl with the wheel) to read them.

    Args:
        tokens: What was read, [position]: `Tokens` (``trace.tokens``) or a list of strings.
        logits: What each layer would predict: `mechviz.analysis.logit_lens(trace)`, whose logits are read a few positions
            at a time, or arrays, [layer, position, vocab] or a list of [position, vocab]. The last one counts as the
            model's own prediction; of a lens its last layer, shown or not.
        k: How many tokens are listed on hover.
        layers: The true numbers of the layers, by default 0, 1, …; of a lens the layers that are shown, by default all.
        layer_names: A name for each instead of "L0", such as "embedding".
        vocabulary: What the ids spell: a tokenizer, a list of strings, or a dict by id. By default the tokenizer that
            `tokens` were made with (``trace.tokens``); without one, tokens are told by their ids.
        target: The token whose rank is told: an id or a text such as " Mary", one for each position (id −1 for none), or
            "next" for the one that follows in the text. By default the last layer's most probable token.
        value: The colour at first: "probability", "KL", "rank" or "entropy"; the last three are in nats, ranks and nats.
        title: Heads the picture.

    Logits with NaN, or nothing but −∞, have no numbers: their cells are hatched. Divergences that are infinite have the
    end's colour with a bar on top. Numbers are worked out in float32.

    Raises:
        TypeError: `tokens` is no list of strings, `logits` are no real numbers, `k`, `vocabulary` or `target` is none of
            the above.
        ValueError: `logits` do not have shape (layer, position, vocab) or are probabilities, `k` is below 1 or makes too many entries, or
            `layers`, `layer_names`, `target`, `vocabulary` or `value` does not fit.

    Example:
        >>> logits = np.random.default_rng(0).normal(size=(3, 2, 4))  # [layer, position, vocab]
        >>> mv.lens(["The", " cat"], logits, vocabulary=["The", " cat", " sat", " on"])
        <mechviz lens 'Lens'>
        >>> mv.lens(trace.tokens, mv.analysis.logit_lens(trace))  # doctest: +SKIP
    """
    text = as_tokens(tokens)
    stack, numbers, (last, last_number) = layers_of(logits, len(text), layers)
    if value not in get_args(Value):
        raise ValueError(f"value must be one of {', '.join(get_args(Value))}; got {value!r}")
    vocab = stack[0].shape[1]
    count = count_of(k, vocab, len(stack) * len(text))
    vocabulary = text.vocabulary if vocabulary is None else vocabulary
    found = predicted(stack, count, targets_of(target, text, vocab, vocabulary), last)
    rows = side_of(
        layer_names,
        {"layers": numbers},
        len(stack),
        name="layer_names",
        points_name="layers",
        title="layer",
        of="layers",
    )
    columns = side_of(text, None, len(text), name="columns", points_name="column_points", title="position")
    measures = _measures(found)
    opened = get_args(Value).index(value)
    said = measures[opened]
    quantity = Quantity(value, "", said["ramp"], tuple(said["limits"]))
    return View.of(
        "lens",
        {
            "tokens": text.to_props(),
            "rows": rows.to_props(),
            "columns": columns.to_props(),
            "measures": measures,
            "open": opened,
            **props_of(found, vocabulary),
            "kl": wire.Array(found.kl),
            "kl_to": rows.name(numbers.index(last_number))
            if layer_names and last_number in numbers
            else f"L{last_number}",
            "missing": missing_said(getattr(logits, "missing", {}), "stream"),
        },
        title=title,
        provenance=text.provenance,
        still=lambda: matrix_still(
            said["values"].numbers(), quantity, title, f"{len(stack)} layers by {len(text)} positions"
        ),
        height=lambda width: 30 + height_of(width, len(stack), len(text), count, 4),
    )


def _measures(found: Predicted) -> list[dict[str, Any]]:
    """The four colours, [layer, position] each; ember where more is worse."""

    def measure(
        name: str, values: np.ndarray, ramp: str, low: float = 0.0, high: float | None = None
    ) -> dict[str, Any]:
        finite = values[np.isfinite(values)]
        top = (float(finite.max()) if finite.size else 1.0) if high is None else high
        return {
            "name": name,
            "values": wire.Array(values),
            "ramp": ramp,
            "limits": [low, top if top > low else low + 1],
        }

    return [
        measure("probability", np.ascontiguousarray(found.probabilities[..., 0]), "ink", high=1.0),
        measure("kl", found.kl, "ember"),
        measure("rank", found.rank, "ember", low=1.0),
        measure("entropy", found.entropy, "ember"),
    ]


def example() -> View:
    """Eight layers that come to know, one after the other, how a sentence goes on; the logits are made up."""
    words = "When| Mary| and| John| went| to| the| shop|,| John| gave| a| drink| to".split("|")
    vocabulary = list(dict.fromkeys([*words, " store", " her", " him", " book", " were", " Then", " park", "."]))
    following = [vocabulary.index(word) for word in [*words[1:], " Mary"]]
    rng = np.random.default_rng(5)
    logits = np.repeat(rng.normal(0, 1.3, (1, len(words), len(vocabulary))), 8, axis=0)
    logits += rng.normal(0, 0.6, logits.shape)
    for layer in range(8):
        for position, token in enumerate(following):
            known = 2 + (5 * position) % 6  # the layer that finds it out
            logits[layer, position, token] += 6 / (1 + np.exp(-1.6 * (layer - known)))
    return lens(words, logits, vocabulary=vocabulary)
