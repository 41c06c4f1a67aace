"""What single places of a model carry from one text to another: `patching`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from tqdm.auto import tqdm

from mechviz._layered import Unavailable
from mechviz._plotly_maps import matrix
from mechviz.models.edits import patch
from mechviz.sites import MLP, Attention, Head, Residual, Site

if TYPE_CHECKING:
    from mechviz.models import Edit, Trace
    from mechviz.trace_file import SavedTrace

What = Literal["resid_pre", "resid_mid", "resid_post", "attn", "mlp", "heads"]


@dataclass(frozen=True, repr=False)
class Patching:
    """A metric with one place of a run replaced by what it was in another run; made by `patching`.

    Attributes:
        what: What was replaced.
        layers: The numbers of the layers, one a row.
        metric: ``[layer, position]`` float64, of ``what="heads"`` ``[layer, head]``; NaN where there is no such place.
        start: The metric of the run that was patched.
        source: The metric of the run that the values come from.
        missing: Layer -> why it has no such place.
    """

    what: What
    layers: tuple[int, ...]
    metric: np.ndarray
    start: float
    source: float
    missing: dict[int, str] = field(default_factory=dict)

    @property
    def restored(self) -> np.ndarray:
        """The metric on a scale where 0 is the patched run and 1 the source; NaN throughout where the two are equal."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.source == self.start, np.nan, (self.metric - self.start) / (self.source - self.start))

    def __repr__(self) -> str:
        rows, columns = self.metric.shape
        of = "heads" if self.what == "heads" else "positions"
        return f"Patching({self.what}: {rows} layers of {columns} {of}; from {self.start:.2f} to {self.source:.2f})"

    def to_plotly(self, theme: Literal["light", "dark"] = "light") -> Any:
        """`restored` as a Plotly heat map in mechviz's template (`mechviz.View.to_plotly`).

        Raises:
            ModuleNotFoundError: Plotly is not installed.
            ValueError: `theme` is neither "light" nor "dark".
        """
        heads = self.what == "heads"
        return matrix(
            self.restored,
            [f"L{layer}" for layer in self.layers],
            [f"H{i}" if heads else str(i) for i in range(self.metric.shape[1])],
            quantity="restored",
            title=f"Patching of {self.what}",
            sides=("layer", "head" if heads else "position"),
            theme=theme,
        )


def patching(
    trace: Trace,
    source: Trace | SavedTrace,
    metric: Callable[[Any], Any],
    what: What = "resid_pre",
    *,
    progress: bool = True,
) -> Patching:
    """Activation patching: run a text again and again, each time with one place as it was in another run.

    Where the metric goes from that of `trace` to that of `source`, the place carries what the two texts differ in. With a
    clean run as the source and a corrupted one as `trace` this is denoising: which places suffice. The other way round it
    is noising: which are needed. One forward pass for each place: layers × positions, or the number of heads.

    Args:
        trace: The run that is patched; its text is run again.
        source: Where values come from; a saved trace that holds them will do. By position both must have as many tokens.
        metric: Takes the logits ``[position, vocab]`` and gives one number, such as
            ``lambda logits: logits[-1, right] - logits[-1, wrong]``.
        what: "resid_pre", "resid_mid", "resid_post", "attn" or "mlp": the stream, or what is added to it, at one position
            of one layer; "heads": what one head reads, at all positions.
        progress: Show a bar, once it takes longer than a second.

    Raises:
        ValueError: `what` is none of these, `trace` is of an edited run, the texts have different lengths, or `metric`
            gives something other than one number.
        TypeError: `trace` is a saved one.
        Unavailable: No layer has such a place; the message says why.

    Papers: Vig et al. 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis"; Meng et al.
    2022, "Locating and Editing Factual Associations in GPT"; Zhang and Nanda 2023, "Towards Best Practices of Activation
    Patching in Language Models".

    Example:
        >>> found = patching(corrupted, clean, lambda logits: logits[-1, mary] - logits[-1, john])  # doctest: +SKIP
        >>> mv.heatmap(found.restored, row_points="layers", column_points=corrupted.tokens)  # doctest: +SKIP
    """
    if what not in get_args(What):
        raise ValueError(f"what must be one of {', '.join(get_args(What))}; got {what!r}")
    if not hasattr(trace, "model"):
        raise TypeError(f"trace must be one of a model, which runs it again; got a {type(trace).__name__}")
    if trace.tokens.provenance.get("edits"):
        raise ValueError(f"trace must be of a run without edits; got one with {trace.tokens.provenance['edits']}")
    if len(trace.tokens) != len(source.tokens):
        raise ValueError(f"both texts must have as many tokens; got {len(trace.tokens)} and {len(source.tokens)}")
    model, positions = trace.model, 1 if what == "heads" else len(trace.tokens)
    missing: dict[int, str] = {}
    rows: dict[int, list[Edit]] = {}
    for layer in range(model.n_layers):
        try:
            rows[layer] = [
                edit for site in _sites(trace, layer, what) for edit in _each(patch(site, source), positions)
            ]
        except Unavailable as reason:
            missing[layer] = str(reason)
    if not rows:
        raise Unavailable(f"no layer has {what}: {next(iter(missing.values()), 'there is none')}")
    values = np.full((len(rows), max(map(len, rows.values()))), np.nan)
    places = [(row, column, edit) for row, edits in enumerate(rows.values()) for column, edit in enumerate(edits)]
    for row, column, edit in tqdm(places, unit=" runs", disable=not progress, delay=1):
        values[row, column] = _number(metric(model.trace(trace.tokens.ids, edits=[edit]).logits))
    start, end = _number(metric(trace.logits)), _number(metric(source.logits))
    return Patching(what, tuple(rows), values, start, end, missing)


def _sites(trace: Trace, layer: int, what: What) -> list[Site]:
    if what == "heads":
        return [Head(layer, head) for head in range(trace.z[layer].shape[-2])]
    if what == "attn":
        return [Attention(layer)]
    return [MLP(layer) if what == "mlp" else Residual(layer, what.removeprefix("resid_"))]  # type: ignore[arg-type]


def _each(edit: Edit, positions: int) -> Iterator[Edit]:
    """The edit at one position after the other; as it is where there is one place only."""
    if positions == 1:
        yield edit
        return
    for position in range(positions):
        yield replace(edit, positions=(position,), label=f"{edit.label} at {position}")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        shape = tuple(getattr(value, "shape", ()))
        raise ValueError(f"metric must give one number; got {type(value).__name__} of shape {shape}") from None
