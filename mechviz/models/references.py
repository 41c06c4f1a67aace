"""Values that ablations take from other texts: means, and draws."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from mechviz.sites import Site
from mechviz.trace_file import SavedTrace

from .edit import Change

if TYPE_CHECKING:
    from .trace import Trace


def values_at(trace: Trace | SavedTrace, site: Site) -> torch.Tensor:
    """The values at a site of another text; where no token was sent to a neuron's expert, it wrote nothing: 0."""
    values = _at(trace, site)
    return values.nan_to_num(0.0) if _routed(site) else values


def _at(trace: Trace | SavedTrace, site: Site) -> torch.Tensor:
    return torch.as_tensor(trace.at(site))  # of a saved trace it is numpy's


def means(references: Sequence[Trace | SavedTrace], site: Site, per: str) -> tuple[str, Change]:
    """What `mechviz.models.ablate` says of means: the label and the change."""
    values = [_at(reference, site) for reference in references]
    if per == "all":
        every = torch.cat([value.float() for value in values])
        every = every[~every.isnan()] if _routed(site) else every
        if not len(every):
            raise ValueError(f"no token of {said_texts(references)} is sent to the expert of {site}: there is no mean")
        mean = every.mean(0)
        return f"mean of {len(every)} positions in {said_texts(references)}", lambda x, at: mean.to(x)
    shortest = min(map(len, values))
    each = torch.stack([value[:shortest].float() for value in values])  # [reference, position, width]
    mean_at = each.nanmean(0).nan_to_num(0.0) if _routed(site) else each.mean(0)

    def at_position(x: torch.Tensor, at: list[int]) -> torch.Tensor:
        _long_enough(shortest, at)
        return mean_at[at].to(x)

    return f"mean at each position in {said_texts(references)}", at_position


def resampled(references: Sequence[Trace | SavedTrace], site: Site, per: str, seed: int) -> tuple[str, Change]:
    """What `mechviz.models.ablate` says of draws: the label and the change."""
    values = [values_at(reference, site) for reference in references]
    shortest, every = min(map(len, values)), torch.cat(values)
    draws, drawn = random.Random(seed), []  # one for each position, the same in every pass

    def draw(x: torch.Tensor, at: list[int]) -> torch.Tensor:
        while len(drawn) <= max(at):
            drawn.append(draws.randrange(len(values) if per == "position" else len(every)))
        if per == "all":
            return every[[drawn[p] for p in at]].to(x)
        _long_enough(shortest, at)
        return torch.stack([values[drawn[p]][p] for p in at]).to(x)

    where = "at each position " if per == "position" else ""
    return f"drawn {where}from {said_texts(references)} (seed {seed})", draw


def said_texts(traces: Sequence[Any]) -> str:
    """Which texts: by the beginning of the hash that their pictures show, of ids where there was no text."""
    hashes = [str(trace.tokens.provenance.get("text") or _hash(trace.tokens.ids))[:6] for trace in traces]
    return (
        f"trace {hashes[0]}"
        if len(hashes) == 1
        else f"{len(hashes)} traces ({', '.join(hashes[:3])}{', …' * (len(hashes) > 3)})"
    )


def _hash(ids: Sequence[int] | None) -> str:
    return hashlib.sha256(repr(tuple(ids or ())).encode()).hexdigest()


def _routed(site: Site) -> bool:
    return getattr(site, "expert", None) is not None


def _long_enough(length: int, at: list[int]) -> None:
    if max(at) >= length:
        raise ValueError(f"the reference has {length} positions; position {max(at)} was to be replaced")
