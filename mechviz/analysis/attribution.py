"""How much each part of a model adds to a logit, directly: `attribution`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from mechviz._layered import Unavailable
from mechviz._plotly_maps import bars
from mechviz.models.readout import Readout, readout
from mechviz.models.vocabulary import token_id
from mechviz.sites import MLP, Attention, Head, Neuron, Residual, Site

if TYPE_CHECKING:
    from mechviz.models import Trace

_LARGEST = 8  # times the rounding of a stream's dtype, per addition, that its parts may miss it by


@dataclass(frozen=True)
class Term:
    """One summand of a logit: its name, the site that writes it (None for biases and the like), and its value."""

    name: str
    site: Site | None
    value: float


@dataclass(frozen=True)
class Attribution:
    """What every part of a model adds to a logit (or a difference of two), in logits; made by `attribution`.

    ``math.fsum`` over the values of ``terms()`` is ``logit`` to the last bit but one: what floating point loses on the way
    is a term of its own, `rounding`.

    Attributes:
        layers: The numbers of the layers, one a row.
        heads: ``[layer, head]`` float64; NaN where a layer has no such head, or its attention is not the sum of its heads.
        attention: ``[layer]``: the whole attention (or mixer), its bias too. NaN where the layer cannot be taken apart.
        mlps: ``[layer]``: the whole MLP, its bias too. NaN where there is none, or the layer cannot be taken apart.
        undivided: ``[layer]``: everything that a layer adds which cannot be taken apart; elsewhere NaN.
        biases: ``[layer]``: the attention's output bias, which is no head's; NaN where heads is.
        embedding: What entered layer 0: token and position.
        rest: The biases behind the stream: the final norm's and the unembedding's.
        edits: What edits of the residual stream itself added.
        rounding: The model's own rounding: `logit` less all the above.
        logit: The model's own logit of `token`, less that of `minus` if there is one, at `position`.
        token: The id; and `minus`, or None.
        minus: See `token`.
        position: Counted from 0.
        cap: What the soft cap multiplied the two logits with, frozen as the norm's scale is; 1.0 without a cap.
        frozen: Whether a final norm's scale was frozen; False for a model without one.
        neurons: The neurons that add most, the largest size first, as many as were asked for.
        missing: Layer -> why its heads have no value of their own.
    """

    layers: tuple[int, ...]
    heads: np.ndarray
    attention: np.ndarray
    mlps: np.ndarray
    undivided: np.ndarray
    biases: np.ndarray
    embedding: float
    rest: float
    edits: float
    rounding: float
    logit: float
    token: int
    minus: int | None
    position: int
    cap: tuple[float, ...]
    frozen: bool
    neurons: tuple[Term, ...]
    missing: dict[int, str]

    def terms(self) -> list[Term]:
        """The finest parts, none of which holds another, in the model's order; their values sum to `logit`."""
        found = [Term("embedding", Residual(0, "pre"), self.embedding)]
        for row, layer in enumerate(self.layers):
            found += self._layer(row, layer)
        found.append(Term("final biases", None, self.rest))
        found += [Term("edits of the stream", None, self.edits)] if self.edits else []
        return [*found, Term("rounding", None, self.rounding)]

    def top(self, k: int = 10) -> list[Term]:
        """The `k` terms of the largest size, the largest first."""
        return sorted(self.terms(), key=lambda term: -abs(term.value))[:k]

    def __repr__(self) -> str:
        of = f"token {self.token}" if self.minus is None else f"token {self.token} less {self.minus}"
        largest = ", ".join(f"{term.name} {term.value:+.2f}" for term in self.top(5))
        return f"Attribution({self.logit:.2f} logits, {of} at position {self.position}; largest: {largest})"

    def to_plotly(self, most: int = 20, theme: Literal["light", "dark"] = "light") -> Any:
        """The `most` terms of the largest size as Plotly bars, the largest first, and below them the sum of all others.

        It has mechviz's template (`mechviz.View.to_plotly` says which).

        Raises:
            ModuleNotFoundError: Plotly is not installed.
            ValueError: `theme` is neither "light" nor "dark", or `most` is less than 1.
        """
        if most < 1:
            raise ValueError(f"most must be at least 1; got {most}")
        terms = self.top(len(self.terms()))
        shown, others = terms[:most], terms[most:]
        names, values = [term.name for term in shown], [term.value for term in shown]
        if others:
            names.append(f"{len(others)} other terms")
            values.append(math.fsum(term.value for term in others))
        return bars(
            names, values, quantity="logits", title=f"Direct attribution of {self.logit:.3f} logits", theme=theme
        )

    def _layer(self, row: int, layer: int) -> Iterator[Term]:
        if not math.isnan(self.undivided[row]):
            yield Term(f"L{layer}", None, float(self.undivided[row]))
        if not math.isnan(self.biases[row]):
            for head, value in enumerate(self.heads[row]):
                if not math.isnan(value):
                    yield Term(f"L{layer}H{head}", Head(layer, head), float(value))
            if self.biases[row]:
                yield Term(f"L{layer} attention bias", None, float(self.biases[row]))
        elif not math.isnan(self.attention[row]):
            yield Term(f"L{layer} attention", Attention(layer), float(self.attention[row]))
        if not math.isnan(self.mlps[row]):
            yield Term(f"L{layer} MLP", MLP(layer), float(self.mlps[row]))


def attribution(
    trace: Trace,
    token: int | str | None = None,
    *,
    minus: int | str | None = None,
    position: int = -1,
    neurons: int = 0,
) -> Attribution:
    """Direct logit attribution: how much every head, MLP and embedding adds to a logit by itself, not through later layers.

    The last residual stream is a sum, ``x = embedding + Σ heads + Σ biases + Σ MLPs``, and the logit of a token is linear in
    it but for the final norm, whose scale s depends on all of x. With s frozen at what it was in this pass,

        ``logit_t = Σ_c  W_U[t] · γ ⊙ (c − mean(c)) / s  +  W_U[t] · β + b_U[t]``

    over the parts c (no mean for RMSNorm; W_U · c for a model without a norm), so the values sum to the model's own logit. A
    soft cap is frozen in the same way, as the factor that it multiplied each logit with. What kind of norm there is is found
    out by what it computes, and everything is added up in float64 and held against the stream and the logit.

    A value says what a part writes in the direction of the token; not what the model would say without it: a part also moves
    s, and later layers answer (ablate it for that). After an ablation other heads that now write more are its backup.

    Args:
        trace: Of one text; of an edited model too.
        token: Whose logit: an id, or a text that is one token, such as " Mary" with its space. None for the most probable one.
        minus: The logit of this one is taken away: what speaks for one name and against the other.
        position: Where; negative numbers count from the end.
        neurons: How many single neurons to name, those that add most of all layers.

    Raises:
        ValueError: No such token or position, or a text of more than one token.
        Unavailable: The last stream is no sum (blocks that normalise the stream itself), the model has no unembedding, or
            the parts do not add up.

    Papers: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Wang et al. 2022, "Interpretability in
    the Wild: a Circuit for Indirect Object Identification in GPT-2 small" (difference of two names; backup heads).

    Example:
        >>> found = attribution(trace, " Mary", minus=" John")  # doctest: +SKIP
        >>> found.heads.shape, found.logit  # doctest: +SKIP
        ((3, 4), 6.28)
    """
    return attributed(trace, token, minus, position, neurons)


def attributed(
    trace: Trace,
    token: int | str | None,
    minus: int | str | None,
    position: int,
    neurons: int = 0,
    *,
    meanwhile: Callable[[int], object] = lambda layer: None,
    known: dict[int, Written] | None = None,
) -> Attribution:
    """The same, and ``meanwhile(layer)`` while a layer is open: what else is read of it then costs no replay.

    ``known`` is what layers wrote at the position, of a run that was the same up to there: it is not read again. What is read
    is put there.
    """
    at = range(len(trace))[_checked(position, len(trace))]
    ids = _ids(trace, token, minus, at)
    read = readout(trace, ids, at)
    parts = _Parts(trace, read, at)
    known = {} if known is None else known
    rows = []
    with trace.holding():
        for layer in range(trace.model.n_layers):
            if layer not in known:
                known[layer] = parts.read(layer)
            rows.append(parts.row(layer, known[layer]))
            meanwhile(layer)
    width = max((len(row.heads) for row in rows), default=0)
    heads = np.full((len(rows), width), np.nan)
    for row, found in enumerate(rows):
        heads[row, : len(found.heads)] = found.heads
    embedding = parts.along(trace._tape.entering(0)[at])
    total = math.fsum([embedding, *(value for row in rows for value in row.summands())])
    missed = parts.check(rows)
    edits = missed if parts.edited else 0.0
    biases = np.array([row.bias for row in rows])
    made = Attribution(
        layers=tuple(range(len(rows))),
        heads=heads,
        attention=np.array([row.attention for row in rows]),
        mlps=np.array([row.mlp for row in rows]),
        undivided=np.array([row.undivided for row in rows]),
        biases=biases,
        embedding=embedding,
        rest=read.offset,
        edits=edits,
        rounding=read.logit - math.fsum([total, read.offset, edits]),
        logit=read.logit,
        token=ids[0],
        minus=ids[1] if len(ids) > 1 else None,
        position=at,
        cap=read.cap,
        frozen=read.frozen,
        neurons=tuple(parts.neurons(neurons)) if neurons else (),
        missing=parts.missing,
    )
    return made


def _checked(position: int, length: int) -> int:
    if not -length <= position < length:
        raise ValueError(f"position must be -{length} … {length - 1} in a text of {length} tokens; got {position}")
    return position


def _ids(trace: Trace, token: Any, minus: Any, at: int) -> tuple[int, ...]:
    if token is None:
        with trace.model.lock, trace._tape.numerics.restored():
            prepared = trace._prepared()[at : at + 1]
            first = int(trace._unembedding.logits(trace.model.module, prepared)[0].argmax())
    else:
        first = token_id(trace.model, token, "token")
    return (first,) if minus is None else (first, token_id(trace.model, minus, "minus"))


@dataclass(frozen=True)
class Written:
    """What one layer wrote to the stream at one position, float64 on the CPU.

    Attributes:
        attention: ``[d_model]``; None where the layer cannot be divided.
        mlp: ``[d_model]``; None without one, or where it cannot be divided.
        heads: ``[head, d_model]``; None where attention cannot be divided.
        whole: ``[d_model]``, of a layer that cannot be divided.
        missing: Why something cannot.
    """

    attention: torch.Tensor | None = None
    mlp: torch.Tensor | None = None
    heads: torch.Tensor | None = None
    whole: torch.Tensor | None = None
    missing: str = ""


@dataclass
class _Row:
    """One layer's values."""

    heads: list[float]
    attention: float = math.nan
    mlp: float = math.nan
    undivided: float = math.nan
    bias: float = math.nan

    def summands(self) -> list[float]:
        parts = [*self.heads, self.bias] if not math.isnan(self.bias) else [self.attention]
        return [value for value in [*parts, self.mlp, self.undivided] if not math.isnan(value)]


class _Parts:
    """The values of a layer's parts along a direction, each checked against the stream."""

    def __init__(self, trace: Trace, read: Readout, at: int) -> None:
        self.trace, self.direction, self.at = trace, read.direction, at
        self.missing: dict[int, str] = {}
        self.edited = any(isinstance(edit.place, Residual) for edit in trace._tape.editing.edits)
        self._summed = trace._tape.entering(0)[at].double().cpu()
        self._size = self._summed.abs()

    def along(self, vector: torch.Tensor) -> float:
        return float(vector.double().cpu() @ self.direction)

    def read(self, layer: int) -> Written:
        trace, at = self.trace, self.at
        plan = trace.model.structure.plans[layer]
        if plan.kind == "post-norm":
            raise Unavailable(
                f"layer {layer} of {trace.model.name} normalises the residual stream itself, so the last stream is no sum"
            )
        if plan.kind is None or plan.cross:
            whole = trace._tape.left(layer)[at].double() - trace._tape.entering(layer)[at].double()
            return Written(whole=whole.cpu(), missing=plan.no_mid or "it also reads another stack")
        attention = trace.attn_out[layer][at].double().cpu()
        mlp = trace.mlp_out[layer][at].double().cpu() if layer in trace.mlp_out.layers else None
        try:
            heads = trace.result(layer, positions=[at])[0].double().cpu()
        except Unavailable as reason:
            return Written(attention, mlp, missing=str(reason))
        return Written(attention, mlp, heads)

    def row(self, layer: int, written: Written) -> _Row:
        if written.missing:
            self.missing[layer] = written.missing
        row = _Row([])
        if written.whole is not None:
            row.undivided = self._add(written.whole)
        if written.attention is not None:
            row.attention = self._add(written.attention)
        if written.mlp is not None:
            row.mlp = self._add(written.mlp)
        if written.heads is not None:
            row.heads = (written.heads @ self.direction).tolist()
            row.bias = row.attention - math.fsum(row.heads)
            if abs(row.bias) <= self._rounding(
                written.heads
            ):  # there is none: what is left is rounding, and goes there
                row.attention, row.bias = math.fsum(row.heads), 0.0
        return row

    def _rounding(self, each: torch.Tensor) -> float:
        eps = torch.finfo(self.trace.model.dtype).eps + torch.finfo(torch.float32).eps
        return 16 * eps * float(each.abs().sum(0) @ self.direction.abs())

    def _add(self, vector: torch.Tensor) -> float:
        """Along the direction."""
        self._summed = self._summed + vector
        self._size = self._size + vector.abs()
        return self.along(vector)

    def check(self, rows: list[_Row]) -> float:
        """What the last stream holds beyond its parts, along the direction; raises where that is not rounding, nor an edit."""
        last = self.trace._tape.leaving(len(rows) - 1)[self.at].double().cpu()
        missed = last - self._summed
        allowed = _LARGEST * (2 * len(rows) + 1) * torch.finfo(self.trace.model.dtype).eps * self._size
        if not self.edited and not bool((missed.abs() <= allowed).all()):
            raise Unavailable(f"the parts miss the last residual stream by {float(missed.abs().max()):.2g}")
        return float(missed @ self.direction)

    def neurons(self, count: int) -> Iterator[Term]:
        """The neurons that add most."""
        found: list[tuple[float, int, int]] = []
        for layer, along in self.trace.neuron_writes(self.direction).items():
            values = self.trace.neurons[layer][self.at].double().cpu() * along
            top = values.abs().topk(min(count, len(values))).indices.tolist()
            found += [(float(values[i]), layer, i) for i in top]
        found.sort(key=lambda item: -abs(item[0]))
        for value, layer, neuron in found[:count]:
            yield Term(f"L{layer}N{neuron}", Neuron(layer, neuron), value)
