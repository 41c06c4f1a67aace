"""Changes at a site during a forward pass: ablate, patch, steer, knock out, or any function of the tensor there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch

from mechviz.sites import Head, Neuron, Site, parse

if TYPE_CHECKING:
    from .trace import Trace

Change = Callable[[torch.Tensor, list[int]], Any]  # (values [position, width], their true positions) -> new values


@dataclass(frozen=True, eq=False, repr=False)
class Edit:
    """A change at a site; `ablate`, `patch`, `steer`, `knock_out` and `edit` make them. It prints as what it does.

    Attributes:
        site: Where.
        label: What it does, as every picture made under it says: "L5H1 → zero".
        change: ``(values [position, width], their positions) -> new values``; a neuron's values are ``[position]``.
        positions: Which positions of the text, counted from its start (or end, if negative); None for all.
        subspace: Orthonormal rows ``[k, width]``: only the part of the change inside their span is made.
    """

    site: Site
    label: str
    change: Change
    positions: tuple[int, ...] | None = None
    subspace: torch.Tensor | None = None

    def __repr__(self) -> str:
        return self.label

    def apply(self, x: torch.Tensor, first: int = 0) -> torch.Tensor:
        """The values ``[position, width]`` of one text, changed; row 0 is position ``first``. ``x`` itself stays as it is.

        Raises:
            ValueError: The change gives another shape.
        """
        length = first + len(x)
        at = range(first, length) if self.positions is None else (p + length * (p < 0) for p in self.positions)
        at = [p for p in at if first <= p < length]
        if not at:
            return x
        rows = [p - first for p in at]
        whole = rows == list(range(len(x)))
        old = x if whole else x[rows]
        new = torch.as_tensor(self.change(old, at)).to(old)
        try:
            new = new.expand(old.shape)
        except RuntimeError:
            raise ValueError(
                f"{self.label}: values of shape {tuple(old.shape)} were to become {tuple(new.shape)}"
            ) from None
        if self.subspace is not None:
            new = _inside(self.subspace, old, new)
        return new if whole else x.index_put((torch.tensor(rows, device=x.device),), new)


def _inside(subspace: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    if subspace.shape[-1] != old.shape[-1] or old.dim() != 2:
        raise ValueError(f"subspace must have shape (k, {old.shape[-1]}) at this site; got {tuple(subspace.shape)}")
    if len(subspace) == subspace.shape[1]:
        return new  # it spans everything
    basis = subspace.to(old)
    return old + (new - old) @ basis.T @ basis


@dataclass(frozen=True, eq=False, repr=False)
class KnockOut(Edit):
    """Attention from queries to keys taken away, in one head."""

    keys: tuple[int, ...] | None = None
    renormalise: bool = True
    change: Change = field(default=lambda x, at: x)


def edit(
    site: Site | str, function: Callable[[torch.Tensor], Any], *, positions: Any = None, subspace: Any = None
) -> Edit:
    """Replace the values at a site by any function of them.

    Args:
        site: A head (what it reads, ``[position, d_head]``), a neuron (``[position]``), or an MLP, an attention layer or the
            residual stream (``[position, d_model]``), as an object or a string.
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
    to: Literal["zero"] | Trace | Sequence[Trace] = "zero",
    *,
    per: Literal["position", "all"] = "all",
    positions: Any = None,
    subspace: Any = None,
) -> Edit:
    """Replace the values at a site by zero, or by their mean in reference texts.

    Args:
        site: As for `edit`.
        to: "zero", or the trace (or traces) whose mean there it becomes. There is no mean without a reference.
        per: "all" takes one mean over all positions of all references; "position" a mean for each position over the
            references, which must be at least as long as the text.
        positions: As for `edit`.
        subspace: As for `edit`.

    Raises:
        ValueError: As for `edit`; an unknown ``to`` or ``per``; a reference that is too short (when it runs).

    Example:
        >>> ablate("L5H1")
        L5H1 → zero
    """
    site = parse(site)
    if per not in ("position", "all"):
        raise ValueError(f'per must be "position" or "all"; got {per!r}')
    if isinstance(to, str):
        if to != "zero":
            raise ValueError(f'to must be "zero" or one or more reference traces (whose mean it is); got {to!r}')
        return _made(site, "→ zero", lambda x, at: torch.zeros_like(x), positions, subspace)
    references: list[Any] = list(to) if isinstance(to, (list, tuple)) else [to]
    values = [reference.at(site) for reference in references]
    if per == "all":
        mean = torch.cat([value.float() for value in values]).mean(0)
        label = f"→ mean of {sum(map(len, values))} positions in {_texts(references)}"
        return _made(site, label, lambda x, at: mean.to(x), positions, subspace)
    shortest = min(map(len, values))
    means = torch.stack([value[:shortest].float() for value in values]).mean(0)  # [position, width]

    def at_position(x: torch.Tensor, at: list[int]) -> torch.Tensor:
        if max(at) >= shortest:
            raise ValueError(f"the reference has {shortest} positions; position {max(at)} was to be replaced")
        return means[at].to(x)

    return _made(site, f"→ mean at each position in {_texts(references)}", at_position, positions, subspace)


def patch(
    site: Site | str, from_trace: Trace, *, positions: Any = None, from_positions: Any = None, subspace: Any = None
) -> Edit:
    """Put the values that a site had in another trace in the place of this text's.

    Args:
        site: As for `edit`.
        from_trace: Where they come from.
        positions: Which positions of this text get them; None for all, and then the two texts must be equally long.
        from_positions: Which positions of the other text they come from, one for each of ``positions``; by default the same.
        subspace: As for `edit`: with it this is an interchange intervention on a subspace.

    Raises:
        ValueError: As for `edit`; lengths that do not fit.
    """
    site = parse(site)
    values = from_trace.at(site)
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

    return _made(site, f"← {_texts([from_trace])}", taken, to, subspace)


def steer(site: Site | str, vector: Any, scale: float = 1.0, *, positions: Any = None, subspace: Any = None) -> Edit:
    """Add a vector, times a scale, to the values at a site.

    Args:
        site: As for `edit`.
        vector: ``[width]``, or ``[position, width]`` with one for each position that is edited; a number for a neuron.
        scale: Multiplies it.
        positions: As for `edit`.
        subspace: As for `edit`.
    """
    direction = torch.as_tensor(vector).detach()
    amount = f"{scale:g} · " if scale != 1 else ""
    named = f"{float(direction):g}" if direction.dim() == 0 else f"vector of norm {float(direction.float().norm()):.3g}"
    return _made(parse(site), f"+ {amount}{named}", lambda x, at: x + scale * direction.to(x), positions, subspace)


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
        if isinstance(site, Neuron):
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


def _texts(traces: list[Any]) -> str:
    hashes = [str(trace.tokens.provenance.get("text") or "ids")[:6] for trace in traces]
    return f"trace {hashes[0]}" if len(hashes) == 1 else f"{len(hashes)} traces"
