"""What stands behind each key of a head: the size of its value, and what it would write to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mechviz import _key_values
from mechviz._key_values import KeyNumbers
from mechviz._plotly_maps import matrix


@dataclass(frozen=True, repr=False)
class KeyValues(KeyNumbers):
    """A number for every key of every head. Times the attention weight, it says how much of that key a query takes over.

    ``result[5]`` is layer 5's, ``[head, key]``; ``trace.attention[5].dense() * result[5][:, None]`` weighs a pattern with it.

    Attributes:
        layers: The true numbers of the layers, one a row.
        heads: How many heads each of them has.
        values: float32 ``[layer, head, key]``, heads as queries have them: those that share a value head have equal values,
            not equal contributions. NaN where a layer has fewer heads than another.
        quantity: What the numbers are, and their scale.
        missing: Layers without such numbers, and why.
    """

    def to_plotly(self, theme: Literal["light", "dark"] = "light") -> Any:
        """Every head's numbers as a Plotly heat map, head × key, in mechviz's template (`mechviz.View.to_plotly`).

        Raises:
            ModuleNotFoundError: Plotly is not installed.
            ValueError: `theme` is neither "light" nor "dark".
        """
        counted = list(zip(self.layers, self.heads, strict=True))
        return matrix(
            np.concatenate([self[layer] for layer in self.layers]),
            [f"L{layer}H{head}" for layer, heads in counted for head in range(heads)],
            [str(key) for key in range(self.values.shape[-1])],
            quantity=", ".join(filter(None, (self.quantity.name, self.quantity.unit))),
            title=self.quantity.name,
            sides=("head", "key"),
            theme=theme,
        )


def value_norms(trace: Any) -> KeyValues:
    """How long each head's value vectors are, ``‖v_k‖``: ``[layer, head, key]``.

    A key that a head attends to much, with a short value, moves little: first tokens are often such keys.

    Args:
        trace: A `mechviz.Trace`, ``trace.cross``, or a saved trace or cache that holds ``v``, and ``q``, ``z`` or attention
            (which say how many heads share a value).

    Raises:
        Unavailable: No layer has values; the message says why.

    Paper: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms".

    Example:
        >>> value_norms(trace)[5][1]  # doctest: +SKIP
        array([0.31, 2.04, 1.97], dtype=float32)
    """
    return KeyValues(**vars(_key_values.value_norms(trace)))


def contribution_norms(trace: Any) -> KeyValues:
    """How long each key's contribution is before the attention weight, ``‖W_O v_k‖``: ``[layer, head, key]``.

    Times the weight of a query this is the length of what the head adds for that key at that query. ``W_O`` is the head's part
    of the output projection (`mechviz.Trace.w_o`, which proves it); the projection's bias belongs to no key and is not in it.

    Args:
        trace: A `mechviz.Trace`.

    Raises:
        Unavailable: No layer has values and an output projection, such as where a norm stands behind it; the message says why.
        TypeError: A saved trace, which has no weights.

    Paper: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms".

    Example:
        >>> contribution_norms(trace).values.shape  # doctest: +SKIP
        (3, 4, 24)
    """
    return KeyValues(**vars(_key_values.contribution_norms(trace)))


def contributions(trace: Any, direction: Any) -> KeyValues:
    """How far each key's contribution goes in a direction, ``(W_O v_k) · direction``: ``[layer, head, key]``, signed.

    Summed over keys with the weights of a query as factors, this is the head's own `result` at that query along the
    direction, exactly; the output projection's bias is not in it. No norm that later layers apply is.

    Args:
        trace: A `mechviz.Trace`.
        direction: ``[d_model]``, such as a row of the unembedding, a difference of two, or a probe; taken as it is, not
            divided by its length.

    Raises:
        ValueError: `direction` has another shape, or numbers that are not finite.
        Unavailable: No layer has values and an output projection, such as where a norm stands behind it; the message says why.
        TypeError: A saved trace, which has no weights.

    Example:
        >>> contributions(trace, unembedding[right] - unembedding[wrong])[1]  # doctest: +SKIP
        array([[ 0.02, -0.11, ...
    """
    return KeyValues(**vars(_key_values.contributions(trace, direction)))
