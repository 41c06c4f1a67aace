"""The runs behind the lab bench: a model over one text, with a head, neuron, MLP or whole layer changed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mechviz._layered import Unavailable
from mechviz.pattern import pool
from mechviz.sites import parse

if TYPE_CHECKING:
    from mechviz.analysis.attribution import Written
    from mechviz.models import Model, Trace
    from mechviz.models.edits import Edit

MODES = ("zero", "mean", "resample", "patch")
THUMB = 48  # cells a side of a thumbnail, at most
BARS = 12  # next tokens that are drawn
# Logits that are looked through in every run for the next tokens of all positions: some milliseconds.
_MOST_LOGITS = 1 << 20


@dataclass(frozen=True)
class Ahead:
    """The tokens that are most probable before or after an edit.

    Attributes:
        ids: ``[position, bar]``.
        bars: Log probability ``[position, 2, bar]``, before and after.
    """

    ids: np.ndarray
    bars: np.ndarray


@dataclass(frozen=True)
class Run:
    """What one pass of the model says.

    Attributes:
        label: The edit, "L1H0 → zero"; "" for the model as it is.
        logit: Of the target, less that of the other token where there is one.
        terms: What each part adds to it, by name, in the model's order; they sum to it. An edit may take a part of the model
            as it is apart or put several together: heads whose attention is changed as a whole are one term.
        next: The next tokens at the position that is read.
        ahead: Those of every position; None where that would take too long, and `Runs.next` runs the model again.
        loss: ``[position]`` in nats; NaN for the first one, and for all where nothing is predicted from what is before it.
        patterns: Thumbnails by layer, ``[head, query, key]``; layers without a pattern are absent.
        took: Seconds.
    """

    label: str
    logit: float
    terms: dict[str, float]
    next: Ahead
    ahead: Ahead | None
    loss: np.ndarray
    patterns: dict[int, np.ndarray]
    took: float


class Runs:
    """Every run of one bench: each made when it is first asked for, and kept."""

    def __init__(
        self,
        model: Model,
        text: Any,
        *,
        token: int | str | None,
        minus: int | str | None,
        position: int,
        references: Sequence[Any],
        patch: Any,
        neurons: int,
    ) -> None:
        """See `mechviz.bench`."""
        from mechviz.analysis import attribution

        self.model, self.text = model, text
        self.trace = model.trace(text)
        self.tokens = self.trace.tokens
        self.references = [model.trace(one) for one in references] or [self.trace]
        self.patch = None if patch is None else model.trace(patch)
        if self.patch is not None and len(self.patch) != len(self.trace):
            raise ValueError(
                f"patch must have as many tokens as the text, {len(self.trace)}: {list(self.tokens)}; "
                f"got {len(self.patch)}: {list(self.patch.tokens)}"
            )
        self.modes = MODES if self.patch is not None else MODES[:3]
        if not -len(self.trace) <= position < len(self.trace):
            raise ValueError(f"position must be one of {len(self.trace)} tokens; got {position}")
        self.position = range(len(self.trace))[position]
        self.unavailable, self.lossless = "", ""
        try:
            _ = self.trace.loss
        except Unavailable as reason:
            self.lossless = str(reason)
        try:
            found = attribution(self.trace, token, minus=minus, position=position, neurons=neurons)
            self.token, self.minus = found.token, found.minus
            self.parts = {term.name: str(term.site) if term.site else None for term in found.terms()}
            self.neurons = [(str(term.site), term.value) for term in found.neurons]
            self.frozen = found.frozen
        except Unavailable as reason:
            self.unavailable, self.parts, self.neurons, self.frozen = str(reason), {}, [], False
            self.token, self.minus = self._ids(token, minus)
        self._others: dict[str, str | None] = {}  # parts of edited runs that the model as it is does not have
        self._kept: dict[tuple[tuple[str, ...], str], Run] = {}
        self._written: dict[int, Written] = {}  # by the layers of the clean run
        self._before = _log_probabilities(self.trace.logits[self.position][None])  # [1, vocab]
        self.vocabulary = self._before.shape[1]
        self.clean = self._read(self.trace, "", time.perf_counter())
        self.layers = range(model.n_layers)
        named = [(site, self._fixed(site)) for site in self._named()]
        self._sites = [site for site, why in named if not why]
        self.fixed = [(site, why) for site, why in named if why]  # what cannot be changed, and why

    def sites(self) -> Iterator[str]:
        """What a table has an entry for: every head, attention, MLP, whole layer, and the named neurons, if they can be changed."""
        return iter(self._sites)

    def _named(self) -> Iterator[str]:
        for layer in self.layers:
            if layer in self.clean.patterns:
                yield from (f"L{layer}H{head}" for head in range(len(self.clean.patterns[layer])))
            yield from (f"L{layer}.attn", f"L{layer}.mlp", f"L{layer}")
        yield from (site for site, _ in self.neurons)

    def parts_of(self, runs: Sequence[Run]) -> dict[str, str | None]:
        """Name -> site of every part that the model as it is has, and of those that add to some run beside them."""
        others = {name: site for name, site in self._others.items() if any(run.terms.get(name) for run in runs)}
        return dict(sorted({**self.parts, **dict(sorted(others.items()))}.items(), key=lambda part: _place_of(part[0])))

    def kept(self, site: str, mode: str) -> Run | None:
        """A run, if it has been made."""
        return self._kept.get(((site,), mode))

    def run(self, sites: Sequence[str], mode: str) -> Run:
        """The model with these sites changed, all at once.

        Raises:
            ValueError: No such site, or no such mode.
            Unavailable: The model lacks it.
        """
        if mode not in self.modes:
            raise ValueError(f"an edit is one of {', '.join(self.modes)}; got {mode!r}")
        key = (tuple(sites), mode)
        if key not in self._kept:
            began = time.perf_counter()
            edits = self._all(sites, mode)
            # By hash an edit would name the second prompt, which stands below the picture.
            how = "→ patch" if mode == "patch" else str(edits[0]).partition(" ")[2]
            label = f"{' + '.join(sites)} {how}"
            self._kept[key] = self._read(self.model.trace(self.text, edits=edits), label, began, _first_moved(sites))
        return self._kept[key]

    def next(self, sites: Sequence[str], mode: str, position: int) -> Ahead:
        """The next tokens of one position, [1, bar]; a pass of the model where they were not kept."""
        kept = self.run(sites, mode).ahead if sites else self.clean.ahead
        if kept is not None:
            return Ahead(kept.ids[position : position + 1], kept.bars[position : position + 1])
        trace = self.model.trace(self.text, edits=self._all(sites, mode)) if sites else self.trace
        before = _log_probabilities(self.trace.logits[position][None])
        return _ahead(before, _log_probabilities(trace.logits[position][None]))

    def _all(self, sites: Sequence[str], mode: str) -> list[Edit]:
        return [edit for site in sites for edit in self._edits(site, mode)]

    def _edits(self, site: str, mode: str) -> list[Edit]:
        """One, or two for a whole layer: "L3" is what its attention and its MLP write."""
        from mechviz.models.edits import ablate, patch

        whole = site[1:].isdecimal() and site.startswith("L")
        made = []
        for one in self._within(site) if whole else [str(parse(site))]:
            if mode == "zero":
                made.append(ablate(one))
            elif mode == "patch":
                assert self.patch is not None
                made.append(patch(one, self.patch))
            else:
                made.append(ablate(one, mode, reference=self.references))  # type: ignore[arg-type]
        if not made:
            raise Unavailable(f"{site} has neither attention nor an MLP to change")
        return made

    def _within(self, layer: str) -> list[str]:
        """The parts of a layer that can be changed."""
        return [part for part in (f"{layer}.attn", f"{layer}.mlp") if not self._fixed(part)]

    def _fixed(self, site: str) -> str:
        """Why a site cannot be changed; "" if it can."""
        from mechviz.models.edits import ablate

        if site[1:].isdecimal():
            return "" if self._within(site) else f"{site} has neither attention nor an MLP to change"
        try:
            self.trace._again([ablate(site)])  # what checks an edit before a pass
        except Unavailable as reason:
            return str(reason).rpartition("cannot be edited there: ")[2]
        return ""

    def _ids(self, token: Any, minus: Any) -> tuple[int, int | None]:
        from mechviz.models.vocabulary import token_id

        best = int(self.trace.logits[self.position].argmax()) if token is None else token_id(self.model, token, "token")
        return best, None if minus is None else token_id(self.model, minus, "minus")

    def _read(self, trace: Trace, label: str, began: float, first: int = 0) -> Run:
        """What a pass says; patterns of layers before `first`, and what those before the last of them wrote, are the clean one's."""
        from mechviz.analysis.attribution import attributed

        here, ahead = self._logits(trace)
        logit = float(here[self.token] - (0 if self.minus is None else here[self.minus]))
        if ahead is None:
            near = _ahead(self._before, _log_probabilities(here[None]))
        else:
            near = Ahead(ahead.ids[self.position][None], ahead.bars[self.position][None])
        nothing = np.full(len(trace), np.nan, np.float32)
        loss = nothing if self.lossless else trace.loss.detach().float().cpu().numpy()
        patterns = {layer: made for layer, made in self.clean.patterns.items() if layer < first} if label else {}

        def draw(layer: int) -> None:
            if layer >= first and (made := _thumbs(trace, layer)) is not None:
                patterns[layer] = made

        terms: dict[str, float] = {}
        if self.unavailable:
            for layer in range(self.model.n_layers):
                draw(layer)
        else:
            known = {n: made for n, made in self._written.items() if n < first - 1} if label else self._written
            found = attributed(trace, self.token, self.minus, self.position, meanwhile=draw, known=known)
            terms, logit = {term.name: term.value for term in found.terms()}, found.logit
            others = [term for term in found.terms() if term.name not in self.parts]
            self._others |= {term.name: str(term.site) if term.site else None for term in others}
        return Run(label, logit, terms, near, ahead, loss, patterns, time.perf_counter() - began)

    def _logits(self, trace: Trace) -> tuple[np.ndarray, Ahead | None]:
        """Logits of the position that is read, ``[vocab]``, and what comes next at every position where that is quick."""
        found = trace.logits
        here = found[self.position].detach().double().cpu().numpy()
        if found.shape[0] * found.shape[1] > _MOST_LOGITS:
            return here, None
        after = _log_probabilities(found)
        if trace is self.trace:
            self._clean_ahead = after
        return here, _ahead(self._clean_ahead, after)


def _first_moved(sites: Sequence[str]) -> int:
    """The first layer whose pattern may change: what heads, neurons and whole parts write is read by later layers only."""
    found = []
    for site in sites:
        known = re.fullmatch(r"L(\d+)(H\d+|N\d+|\.attn|\.mlp)?", site)
        found.append(int(known[1]) + 1 if known else 0)
    return min(found, default=0)


def _place_of(part: str) -> tuple[float, bool]:
    """Where a part stands among all: layer by layer, its MLP last; a stable sort leaves the others as they are."""
    layer = re.match(r"L(\d+)", part)
    if layer:
        return int(layer[1]), part.endswith(" MLP")
    return -1 if part == "embedding" else math.inf, part == "rounding"


def _log_probabilities(logits: Any) -> np.ndarray:
    """``[position, vocab]``."""
    numbers = logits if isinstance(logits, np.ndarray) else logits.detach().double().cpu().numpy()
    numbers = numbers - numbers.max(-1, keepdims=True)
    return numbers - np.log(np.exp(numbers).sum(-1, keepdims=True))


def _ahead(before: np.ndarray, after: np.ndarray) -> Ahead:
    """The largest of either, the largest first; equal ones by id."""
    largest = np.maximum(before, after)
    count = min(BARS, largest.shape[1])
    # All that are as large as the last one that is taken: which of several equal ones must not be left to chance.
    ids = np.stack([_first(row, count) for row in largest])
    both = np.stack([np.take_along_axis(side, ids, 1) for side in (before, after)], 1)
    return Ahead(ids.astype(np.int32), both)


def _first(row: np.ndarray, count: int) -> np.ndarray:
    row = np.where(np.isnan(row), -np.inf, row)
    least = np.partition(row, -count)[-count]
    found = np.flatnonzero(row >= least)
    return found[np.argsort(-row[found], kind="stable")][:count]


def _thumbs(trace: Trace, layer: int) -> np.ndarray | None:
    """All heads of a layer, pooled; None where it has no pattern."""
    try:
        pattern = trace.attention[layer]
    except (Unavailable, KeyError, IndexError):
        return None
    causal = bool(pattern.causal)
    heads = [pool(np.asarray(pattern.head(head)), THUMB, causal=causal) for head in range(pattern.shape[0])]
    made = np.stack(heads).astype(np.float32)
    return np.where(np.isneginf(made), 0, made)
