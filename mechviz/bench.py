"""`mv.bench`: the lab bench, a figure over a live model: change a part of it, and see what the whole then says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from mechviz import wire
from mechviz._bench_runs import BARS, THUMB, Ahead, Run, Runs
from mechviz._layered import Unavailable
from mechviz._text_still import text_still
from mechviz._visible import prose
from mechviz.arrays import Quantity
from mechviz.sites import Site, parse
from mechviz.view import View, display
from mechviz.views._predicted import names_of

if TYPE_CHECKING:
    from mechviz.models import Model, Trace

_TWIN_SECONDS = 0.5  # what a display may spend on the table of its frozen twin
_SCAN_SECONDS = 0.03  # of runs between two looks at what the reader has asked for
_SCAN_BYTES = 16 << 20  # of thumbnails in a browser's memory; where they are more, a click asks for those of its run
_QUOTED = 64  # characters of another text that are shown
_SLOW_SECONDS = 3.0  # a scan that takes longer is begun by the reader
_numbers = count(1)  # of desks: runs of one are not shown in the picture of another


@display
def bench(
    model: Model,
    text: Any,
    *,
    token: int | str | None = None,
    minus: int | str | None = None,
    position: int = -1,
    references: Sequence[Any] = (),
    patch: Any = None,
    edit: Site | str | None = None,
    neurons: int = 8,
    table: Iterable[str] | None = None,
    title: str = "Lab bench",
) -> View:
    """The lab bench: click a head, a neuron, an MLP or a layer, and see what the model says without it.

    In one figure stand the text, every head's pattern, the next tokens, and what each part adds to a logit. A click ablates:
    the text takes the colours of what that did to the probability of each of its tokens, the next tokens (of the token that
    is clicked in the text, else of `position`) show before, after and their difference, and so does the direct contribution of every part (`mechviz.analysis.attribution`), so that a head
    that takes over for another one is seen to do so. The terms sum to the logit, with the scale of the final norm frozen
    in each run. While something is changed the title says so: "edited: L1H0 → zero". Nothing is done to the model itself.

    In a notebook the edits of `table` are run while nobody clicks, where that takes less than some seconds; any other click is
    a pass of the model, one at a time and the newest wins. A saved page carries the results of
    changing every head, attention, MLP and layer, and the neurons that are named, so that a click works without a kernel.

    Args:
        model: From `mechviz.load`.
        text: What it reads: a text, or its token ids.
        token: Whose logit is taken apart: an id or a text such as " Mary". None for the most probable one.
        minus: The token whose logit is taken away, such as " John"; None for none.
        position: Whose next token it is about; negative numbers count from the end.
        references: Texts whose values "mean" and "resample" put in the place of the part's; the text itself if there are
            none. The line under the picture says which.
        patch: A second prompt with as many tokens: a fourth kind of edit puts the part's values there into this text.
        edit: What is changed at first, such as "L1H0" or ``mv.Head(1, 0)``, "L0.mlp", "L2" or "L0N17".
        neurons: How many neurons are named, those that add most to the logit; any other can be typed in a notebook.
        table: Kinds of edits of which a file carries every one: by default "zero" and "mean", and "patch" where there is a
            second prompt. It takes a pass for each; they are made when the file is, or in a notebook while nobody clicks.
        title: Heads the picture.

    A loss of NaN, that of the first token, is drawn without a fill. A model that reads from both sides, as masked language
    models do, has none: its text has no colours, and instead of next tokens stand those that it says at a position. What a
    model cannot be taken apart for (its blocks normalise the stream itself) is said in the place of the parts; everything
    else works. Parts that cannot be changed are no buttons, and why is said below the thumbnails.

    Raises:
        TypeError: `model` is none of `mechviz.load`, `references` is a single text, `position` or `neurons` is no number.
        ValueError: `patch` has another number of tokens; `token`, `minus` or `position` does not exist; an unknown kind in
            `table`; no such site as `edit`.

    Papers: Wang et al. 2022, "Interpretability in the Wild"; McGrath et al. 2023, "The Hydra Effect" (parts that take over).

    Example:
        >>> prompt = "When Mary and John went to the store, John gave a drink to"
        >>> bench(mv.load(), prompt, token=" Mary", minus=" John").save("bench.html")  # doctest: +SKIP
    """
    if not hasattr(model, "trace"):
        raise TypeError(
            f"model must be one that mv.load gives, as mv.load(model, tokenizer) does; got a {type(model).__name__}"
        )
    if isinstance(references, str):
        raise TypeError(f"references must be a list of texts; got the single text {references!r:.80}")
    runs = Runs(
        model,
        text,
        token=token,
        minus=minus,
        position=_number("position", position),
        references=references,
        patch=patch,
        neurons=_number("neurons", neurons, least=0),
    )
    edit = None if edit is None else _site(edit)
    given = [table] if isinstance(table, str) else table
    kinds = [mode for mode in runs.modes if mode != "resample"] if given is None else list(dict.fromkeys(given))
    if unknown := [mode for mode in kinds if mode not in runs.modes]:
        raise ValueError(f"table must name kinds of edits, {', '.join(runs.modes)}; got {unknown[0]!r}")
    desk = _Desk(runs, kinds, edit)
    if edit is not None:
        runs.run([edit], "zero")
    opens = {"layers": [], "heads": []} if edit is None else _place(edit)
    return View.of(
        "bench",
        {**desk.props(), "edit": edit, "table": desk.table(desk.first)},
        title=title,
        provenance=runs.tokens.provenance,
        answers={"run": desk.answer, "scan": desk.scan, "next": desk.next},
        still=lambda: desk.still(title),
        height=desk.height,
        selection=opens,
        saved=desk.saved,
    )


def _number(name: str, given: Any, least: int | None = None) -> int:
    try:
        found = index(given)
    except TypeError:
        raise TypeError(f"{name} must be a whole number; got {given!r}") from None
    if least is not None and found < least:
        raise ValueError(f"{name} must be at least {least}; got {found}")
    return found


def _site(edit: Any) -> str:
    """As its button in the picture is called."""
    if isinstance(edit, str) and re.fullmatch(r"L\d+", edit):
        return edit  # a whole layer, which is no site by itself
    try:
        return str(parse(edit))
    except (TypeError, ValueError) as error:
        raise type(error)(f"edit: {error}") from None


class _Desk:
    """What the browser is given of the runs."""

    def __init__(self, runs: Runs, kinds: Sequence[str], edit: str | None) -> None:
        self.runs, self.kinds, self.number = runs, kinds, next(_numbers)
        self.first = [] if edit is None else [(edit, "zero")]
        self.places = [(site, mode) for mode in kinds for site in runs.sites()]

    def props(self) -> dict[str, Any]:
        runs = self.runs
        layers = sorted(runs.clean.patterns)
        names, _ = names_of(runs.model.tokenizer, np.array([runs.token, runs.minus or 0]))
        label = dict(zip(sorted({runs.token, runs.minus or 0}), names, strict=True))
        references = ["this text" if t is runs.trace else _quoted(t) for t in runs.references]
        return {
            "desk": self.number,
            "tokens": runs.tokens.to_props(),
            "layers": [[layer, len(runs.clean.patterns[layer])] for layer in layers],
            "n_layers": len(runs.layers),
            "causal": all(bool(runs.trace.attention[layer].causal) for layer in layers),
            "step": max((-(-max(runs.trace.attention[n].shape[1:]) // THUMB) for n in layers), default=1),
            "modes": list(runs.modes),
            "references": "; ".join(references[:3]) + ("; …" if len(references) > 3 else ""),
            "patch": "" if runs.patch is None else _quoted(runs.patch),
            "token": label[runs.token],
            "minus": None if runs.minus is None else label[runs.minus],
            "position": runs.position,
            "parts": [{"name": name, "site": site} for name, site in runs.parts.items()],
            "neurons": [site for site, _ in runs.neurons],
            "vocabulary": runs.vocabulary,
            "unavailable": runs.unavailable or None,
            "lossless": runs.lossless or None,
            "fixed": _fixed(runs.fixed),
            "frozen": runs.frozen,
            "places": len(self.places),
            "slow": self._seconds() > _SLOW_SECONDS,
            "seconds": self._seconds(),
            "clean": self._packed([runs.clean], [""]),
        }

    def answer(self, asked: dict[str, Any]) -> Any:
        """Run one edit; JSON, and its arrays."""
        # What a reader has typed is called as its button is.
        sites = list(dict.fromkeys(_site(site) for site in asked["sites"]))
        return self._sent([self.runs.run(sites, str(asked["mode"]))], [_key(sites, asked["mode"])])

    def scan(self, asked: dict[str, Any]) -> Any:
        """Some more runs of the table, from the entry with this number on, as long as nobody waits."""
        begin, made = time.perf_counter(), []
        at = int(asked["from"])
        while at < len(self.places) and (not made or time.perf_counter() - begin < _SCAN_SECONDS):
            made += self._possible(self.places[at])
            at += 1
        runs, keys = [self.runs.run([s], m) for s, m in made], [_key([s], m) for s, m in made]
        each = sum(pattern.nbytes for pattern in self.runs.clean.patterns.values())
        return self._sent(runs, keys, patterns=each * len(self.places) <= _SCAN_BYTES, next=at)

    def next(self, asked: dict[str, Any]) -> Any:
        """The next tokens of one position with an edit, or without: labels, and probabilities before and after."""
        position = int(asked["position"])
        if not 0 <= position < len(self.runs.trace):
            raise ValueError(f"position must be one of {len(self.runs.trace)} tokens; got {position}")
        found = self.runs.next([str(site) for site in asked["sites"]], str(asked["mode"]), position)
        names, place = names_of(self.runs.model.tokenizer, found.ids)
        return {"desk": self.number, "next": [names[i] for i in place[0]]}, [np.exp(found.bars[0]).astype(np.float32)]

    def saved(self, twin: bool) -> dict[str, Any]:
        """The table of a file: everything; of a twin, which is made at every display, what can be run in a moment."""
        until = time.perf_counter() + _TWIN_SECONDS
        # What is changed at first stands in every copy, also where the table has no such edit.
        places = list(self.first)
        for place in self.places:
            if place in self.first or (twin and time.perf_counter() > until and not self.runs.kept(*place)):
                continue
            places += self._possible(place)
        clean = self._packed([replace(self.runs.clean, took=0.0)], [""])
        # Equal pictures are equal files.
        return {"table": self.table(places), "clean": clean, "desk": 0, "slow": False, "seconds": 0.0}

    def table(self, places: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
        if not places:
            return None
        # How long a run took is not part of a picture either.
        made = [replace(self.runs.run([site], mode), took=0.0) for site, mode in places]
        return self._packed(made, [_key([site], mode) for site, mode in places])

    def _possible(self, place: tuple[str, str]) -> list[tuple[str, str]]:
        """The place once it has been run; none where the model does not say what would be put in (there is no mean of it)."""
        try:
            self.runs.run([place[0]], place[1])
        except Unavailable:
            return []
        return [place]

    def _seconds(self) -> float:
        """What the runs of the table that have not been made will take, about."""
        return sum(self.runs.clean.took for place in self.places if not self.runs.kept(*place))

    def _sent(self, runs: list[Run], keys: list[str], *, patterns: bool = True, **more: Any) -> Any:
        if not runs:
            return {"desk": self.number, "entries": [], "patterns": [], "whole": patterns, **more}, []
        packed = self._packed(runs, keys, patterns=patterns, ahead=False)
        arrays = [packed[name].numbers() for name in ("numbers", "bars", "loss")]
        thumbs = [one.numbers() for one in packed["patterns"] if one is not None]
        own = [one is not None for one in packed["patterns"]]
        told = {"desk": self.number, "entries": packed["entries"], "parts": packed["parts"]}
        return {**told, "patterns": own, "whole": patterns, **more}, [*arrays, *thumbs]

    def _packed(
        self, runs: Sequence[Run], keys: Sequence[str], *, patterns: bool = True, ahead: bool = True
    ) -> dict[str, Any]:
        """Runs one below the other, as js/src/views/lab/bench.ts reads them."""
        near = Ahead(np.concatenate([r.next.ids for r in runs]), np.concatenate([r.next.bars for r in runs]))
        names, place = names_of(self.runs.model.tokenizer, near.ids)
        parts = self.runs.parts_of(runs)
        numbers = [[run.logit, *(run.terms.get(name, 0.0) for name in parts)] for run in runs]
        own = None if len(parts) == len(self.runs.parts) else [{"name": n, "site": s} for n, s in parts.items()]
        return {
            "entries": [
                {"key": key, "label": run.label, "next": [names[i] for i in row], "took": 1000 * run.took}
                for key, run, row in zip(keys, runs, place, strict=True)
            ],
            "parts": own,
            "numbers": wire.Array(np.array(numbers, np.float64)),
            "bars": wire.Array(np.exp(near.bars).astype(np.float32)),
            "loss": wire.Array(np.stack([run.loss for run in runs])),
            **(self._ahead(runs) if ahead else {}),
            "patterns": [self._thumbs(run) if patterns else None for run in runs],
        }

    def _ahead(self, runs: Sequence[Run]) -> dict[str, Any]:
        """The next tokens of every position of every run; fetched when another position is looked at."""
        every = [run.ahead for run in runs]
        if any(one is None for one in every):
            return {"names": [], "ahead": None, "ahead_bars": None}
        known = [one for one in every if one is not None]
        names, place = names_of(self.runs.model.tokenizer, np.stack([one.ids for one in known]))
        small = place.astype(np.uint16 if len(names) < 1 << 16 else np.int32)
        bars = np.exp(np.stack([one.bars for one in known])).astype(np.float32)
        return {"names": names, "ahead": wire.Array(small, lazy=True), "ahead_bars": wire.Array(bars, lazy=True)}

    def _thumbs(self, run: Run) -> wire.Array | None:
        """The heads that an edit has moved: those of the last layers, as many as are needed."""
        clean, layers = self.runs.clean.patterns, sorted(self.runs.clean.patterns)
        if run.label:
            same = [np.array_equal(run.patterns[layer], clean[layer]) for layer in layers]
            layers = layers[same.index(False) :] if False in same else []
        if not layers:
            return None
        stack = np.concatenate([run.patterns[layer] for layer in layers])
        square = stack.shape[1] == stack.shape[2]
        causal = square and all(bool(self.runs.trace.attention[layer].causal) for layer in layers)
        return wire.Array(
            np.clip(stack, 0, 1), precision="sqrt8", layout="lower" if causal else "dense", probabilities=True,
            lazy=bool(run.label),
        )  # fmt: skip

    def still(self, title: str) -> str:
        runs = self.runs
        quantity = Quantity("loss", "nats", "ember", (0.0, float(np.log(runs.vocabulary))))
        return text_still(runs.tokens, runs.clean.loss, "ember", quantity.limits or (0, 1), title, quantity)

    def height(self, width: int) -> int:
        """Estimated height in CSS pixels, laid out as js/src/views/lab/bench.svelte does."""
        lines = 1 + sum(8 * len(token) + 2 for token in self.runs.tokens.shown) // width
        rows = min(len(self.runs.parts), 40)
        grid = 80 + len(self.runs.layers) * 57 + 12 * 20
        columns = [grid, 60 + BARS * 18 + 60 + 5 * 18, 110 + rows * 14]
        return 52 + 40 + 26 * lines + (max(columns) if width >= 760 else sum(columns) + 40) + 40


def _quoted(trace: Trace) -> str:
    """The beginning of a text, as its reader knows it: a hash says nothing to a reader."""
    read = "".join(text for text, special in zip(trace.tokens.text, trace.tokens.special, strict=True) if not special)
    said = prose(read.strip())
    return f"“{said if len(said) <= _QUOTED else said[: _QUOTED - 1] + '…'}”, {len(trace)} tokens"


def _fixed(sites: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """What cannot be changed, by the reason."""
    reasons: dict[str, list[str]] = {}
    for site, why in sites:
        reasons.setdefault(why, []).append(site)
    return [{"why": prose(why), "sites": names} for why, names in reasons.items()]


def _key(sites: Sequence[str], mode: str) -> str:
    return f"{'+'.join(sites)} {mode}"


def _place(site: str) -> dict[str, list[int]]:
    """Of a head or a neuron, what is then picked."""
    found = re.fullmatch(r"L(\d+)([HN])(\d+)", site)
    return {"layers": [int(found[1])], {"H": "heads", "N": "neurons"}[found[2]]: [int(found[3])]} if found else {}


def example() -> View:
    """The model that comes with mechviz, at a sentence with two names, without the head that looks back at them."""
    from mechviz.models import load

    text = "When Mary and John went to the store, John gave a drink to"
    return bench(load(), text, token=" Mary", minus=" John", edit="L2H0")
