"""Changes at a site during a forward pass: ablate, patch, steer, knock out, or any function of the tensor there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from mechviz.sites import Feature, Head, Neuron, Site, parse
from mechviz.trace_file import SavedTrace

from .edit import Change, Edit, KnockOut
from .references import means, resampled, said_texts, values_at

if TYPE_CHECKING:
    from .trace import Trace

__all__ = ["Edit", "KnockOut", "ablate", "edit", "knock_out", "patch", "steer"]


def edit(
    site: Site | str, function: Callable[[torch.Tensor], Any], *, positions: Any = None, subspace: Any = None
) -> Edit:
    """Replace the values at a site by any function of them.

    Args:
        site: A head (what it reads, ``[position, d_head]``), a neuron or a feature (``[position]``), or an MLP, an attention
            layer or the residual stream (``[position, d_model]``), as an object or a string.
        function: Gets the values and gives new ones of that shape, or of one that broadcasts to it.
        positions: Which positions it gets; None for all.
        subspace: Orthonormal rows ``[k, width]``: only what changes inside their span is changed.

    Raises:
        ValueError: No such site, or rows that are not orthonormal.

    Example:
        >>> edit("L0.mlp", lambda x: x * 2)
        L0.mlp → <lambda>
    """
    site = parse(site)
    name = getattr(function, "__name__", type(function).__name__)
    return _made(site, f"→ {name}", lambda x, at: function(x), positions, subspace)


def ablate(
    site: Site | str,
    to: Literal["zero", "mean", "resample"] | Trace | SavedTrace | Sequence[Trace | SavedTrace] = "zero",
    *,
    reference: Trace | SavedTrace | Sequence[Trace | SavedTrace] | None = None,
    per: Literal["position", "all"] = "all",
    positions: Any = None,
    subspace: Any = None,
    seed: int = 0,
) -> Edit:
    """Replace the values at a site by zero, by their mean in reference texts, or by values drawn from those.

    A neuron of an expert is changed where tokens are sent to that expert, and its mean is over such positions.

    Args:
        site: As for `edit`.
        to: "zero", "mean" or "resample"; or the trace (or traces, saved ones too) whose mean there it becomes.
        reference: The trace or traces that "mean" and "resample" take values from: there are none without, and the edit's
            label says which they are.
        per: "all" takes one mean over all positions of all references, or draws from all of them; "position" a mean for each
            position over the references, or draws one of them for each position: they must be at least as long as the text.
        positions: As for `edit`.
        subspace: As for `edit`.
        seed: What is drawn; the same for every pass.

    Raises:
        ValueError: As for `edit`; an unknown ``to`` or ``per``; no reference, or one too many; a reference that is too short
            (when it runs).

    Example:
        >>> ablate("L5H1")
        L5H1 → zero
        >>> ablate("L5H1", "mean")
        Traceback (most recent call last):
        ValueError: to="mean" needs reference=, the trace or traces whose mean it is
    """
    site = parse(site)
    if per not in ("position", "all"):
        raise ValueError(f'per must be "position" or "all"; got {per!r}')
    if isinstance(to, str) and to not in ("zero", "mean", "resample"):
        raise ValueError(
            f'to must be "zero", "mean", "resample" or one or more reference traces (whose mean it is); got {to!r}'
        )
    if to in ("mean", "resample") and reference is None:
        raise ValueError(
            f'to="{to}" needs reference=, the trace or traces whose {"mean" if to == "mean" else "values"} it is'
        )
    if to not in ("mean", "resample") and reference is not None:
        raise ValueError('reference= is for to="mean" and to="resample"')
    if isinstance(to, str) and to == "zero":
        return _made(site, "→ zero", lambda x, at: torch.zeros_like(x), positions, subspace)
    given: Any = to if reference is None else reference
    references: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    draw = isinstance(to, str) and to == "resample"
    label, change = resampled(references, site, per, seed) if draw else means(references, site, per)
    return _made(site, f"→ {label}", change, positions, subspace)


def patch(
    site: Site | str,
    from_trace: Trace | SavedTrace,
    *,
    positions: Any = None,
    from_positions: Any = None,
    subspace: Any = None,
) -> Edit:
    """Put the values that a site had in another trace in the place of this text's.

    Args:
        site: As for `edit`.
        from_trace: Where they come from; a trace that was saved will do.
        positions: Which positions of this text get them; None for all, and then the two texts must be equally long.
        from_positions: Which positions of the other text they come from, one for each of ``positions``; by default the same.
        subspace: As for `edit`: with it this is an interchange intervention on a subspace.

    Raises:
        ValueError: As for `edit`; lengths that do not fit.
    """
    site = parse(site)
    values = values_at(from_trace, site)
    total = len(values)
    to = None if positions is None else _positions(positions)
    source = None if from_positions is None else _positions(from_positions)
    if source is not None and (to is None or len(source) != len(to)):
        raise ValueError("from_positions needs one entry for each of positions")

    def taken(x: torch.Tensor, at: list[int]) -> torch.Tensor:
        rows = at if source is None else list(source)
        if len(rows) != len(at) or max(rows) >= total:
            raise ValueError(
                f"from_trace has {total} positions; those to be patched are {_said(tuple(rows))}. Give positions= and "
                "from_positions= that both texts have"
            )
        return values[rows].to(x)

    return _made(site, f"← {said_texts([from_trace])}", taken, to, subspace)


def steer(site: Site | str, vector: Any, scale: float = 1.0, *, positions: Any = None, subspace: Any = None) -> Edit:
    """Add a vector, times a scale, to the values at a site.

    Args:
        site: As for `edit`.
        vector: ``[width]``, or ``[position, width]`` with one for each position that is edited; a number for a neuron.
        scale: Multiplies it.
        positions: As for `edit`.
        subspace: As for `edit`.

    Raises:
        ValueError: As for `edit`; a vector of another shape (when it runs).
    """
    direction = torch.as_tensor(vector).detach()
    amount = f"{scale:g} · " if scale != 1 else ""
    named = f"{float(direction):g}" if direction.dim() == 0 else f"vector of norm {float(direction.float().norm()):.3g}"
    site = parse(site)

    def added(x: torch.Tensor, at: list[int]) -> torch.Tensor:
        try:
            return x + scale * direction.to(x).expand(x.shape)
        except RuntimeError:
            shape = f"({x.shape[1]},), or ({len(x)}, {x.shape[1]})" if x.dim() > 1 else f"({len(x)},)"
            raise ValueError(f"vector must have shape {shape} at {site}; got {tuple(direction.shape)}") from None

    return _made(site, f"+ {amount}{named}", added, positions, subspace)


def knock_out(head: Site | str, query: Any, key: Any, *, renormalise: bool = True) -> KnockOut:
    """Take away the attention of one head from queries to keys.

    Args:
        head: The head, as an object or a string.
        query: Destination positions: one, several, or None for all.
        key: Source positions: one, several, or None for all.
        renormalise: True puts -inf in front of the softmax, so that the other keys take over; False sets the weights to 0
            after it. A query that is left without any key reads 0.

    Raises:
        ValueError: ``head`` is not a head.
    """
    site = parse(head)
    if not isinstance(site, Head):
        raise ValueError(f'knock_out is for attention heads such as "L5H1"; got {str(site)!r}')
    queries, keys = (None if x is None else _positions(x) for x in (query, key))
    after = "" if renormalise else " (not renormalised)"
    label = f"{site} query {_said(queries)} ↛ key {_said(keys)}{after}"
    return KnockOut(site, label, positions=queries, keys=keys, renormalise=renormalise)


def _made(site: Site, what: str, change: Change, positions: Any, subspace: Any) -> Edit:
    chosen = None if positions is None else _positions(positions)
    where = "" if chosen is None else f" at {_said(chosen)}"
    if subspace is not None:
        if isinstance(site, Neuron) or (isinstance(site, Feature) and site.feature != "error"):
            raise ValueError(f"{site} is one number at each position: it has no subspace")
        subspace = torch.as_tensor(subspace).detach()
        if subspace.dim() != 2 or not _orthonormal(subspace.double()):
            raise ValueError(f"subspace must be orthonormal rows [k, width]; got shape {tuple(subspace.shape)}")
        where += f" in a subspace of {len(subspace)}"
    return Edit(site, f"{site} {what}{where}", change, chosen, subspace)


def _orthonormal(rows: torch.Tensor) -> bool:
    return torch.allclose(rows @ rows.T, torch.eye(len(rows), dtype=rows.dtype, device=rows.device), atol=1e-4)


def _positions(x: Any) -> tuple[int, ...]:
    return (x,) if isinstance(x, int) else tuple(int(p) for p in x)


def _said(positions: tuple[int, ...] | None) -> str:
    if positions is None:
        return "all"
    return ", ".join(map(str, positions)) if len(positions) <= 6 else f"{len(positions)} positions"
