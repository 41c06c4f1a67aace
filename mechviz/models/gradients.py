"""Gradients of a metric of the logits with respect to the values at sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from mechviz._layered import Unavailable
from mechviz.sites import Site, parse

from .editing import Editing
from .edits import Edit
from .tape import WeightsMoved, inputs_of

if TYPE_CHECKING:
    from .reading import Reading


def gradients(
    trace: Reading, metric: Callable[[torch.Tensor], torch.Tensor], sites: Sequence[Site | str]
) -> dict[Site, torch.Tensor]:
    """Run the text again with gradients; `mechviz.models.Trace.grad` says what for.

    At each site zeros are added, and the gradient is theirs: it needs no gradient of any weight, and edits come before it.
    """
    model, tape = trace.model, trace._tape
    added: dict[Site, torch.Tensor] = {}

    def watch(site: Site) -> Edit:
        def add(x: torch.Tensor, at: list[int]) -> torch.Tensor:
            added[site] = torch.zeros_like(x, requires_grad=True)
            return x + added[site]

        return Edit(site, f"gradient at {site}", add)

    wanted = [parse(site) for site in sites]
    editing = Editing(model.module, tape.editing.blocks, model.structure, [*tape.editing.edits, *map(watch, wanted)])
    with model.lock, tape.numerics.restored(), torch.enable_grad(), editing.open(alone=True):
        logits = model.module(**inputs_of(model.module, trace.tokens.ids or ())).logits[0]  # [position, vocab]
        _same(logits.detach(), tape.logits)
        value = metric(logits)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
            raise ValueError("metric must give one number that depends on the logits [position, vocab] it is given")
        grads = torch.autograd.grad(value.reshape(()), [added[site] for site in wanted], allow_unused=True)
    return {
        site: torch.zeros_like(added[site]).detach() if grad is None else grad
        for site, grad in zip(wanted, grads, strict=True)
    }


def _same(logits: torch.Tensor, own: torch.Tensor | None) -> None:
    if own is None:
        raise Unavailable("a model without an unembedding has no logits, so there is no gradient of them")
    error = (logits[len(logits) - len(own) :] - own).abs().max()
    if not bool(error <= 64 * torch.finfo(own.dtype).eps * own.abs().max()):
        raise WeightsMoved("the model's weights have changed since this trace was made: trace the text again")
