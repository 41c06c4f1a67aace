"""Gradients of a metric of the logits with respect to the values at sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from mechviz._layered import Unavailable
from mechviz.sites import Site, parse

from .edit import Edit
from .tape import WeightsMoved

if TYPE_CHECKING:
    from .reading import Reading


def gradients(
    trace: Reading, metric: Callable[[torch.Tensor], torch.Tensor], sites: Sequence[Site | str]
) -> dict[Site, torch.Tensor]:
    """`mechviz.models.Trace.grad` says what this is: from the graph of the pass if that was kept, else from one more pass."""
    wanted = [parse(site) for site in sites]
    leading = trace._leading
    graph, unembedding = leading._tape.graph, leading.model.structure.unembedding
    nodes = {
        site: graph and holder.node(alone) for site in wanted for holder, alone in [trace._graph_of(site)] if holder
    }
    if graph is None or unembedding is None or len(nodes) < len(wanted) or not all(nodes.values()):
        return _from_another_pass(trace, metric, wanted)
    found = [node for node in nodes.values() if node]
    with trace.model.lock, trace._tape.numerics.restored(), torch.enable_grad():
        module = trace.model.module
        logits = unembedding.logits(module, unembedding.prepare(module, graph.leaving))  # [position, vocab]
        own = trace._own_logits
        assert own is not None  # or there would be no unembedding
        _same(logits.detach(), own)
        grads = torch.autograd.grad(
            _number(metric(logits)), [node.tensor for node in found], retain_graph=True, allow_unused=True
        )
    whole = [torch.zeros_like(node.tensor) if grad is None else grad for node, grad in zip(found, grads, strict=True)]
    return {site: node.part(grad) for site, node, grad in zip(nodes, found, whole, strict=True)}


def _from_another_pass(
    trace: Reading, metric: Callable[[torch.Tensor], torch.Tensor], wanted: list[Site]
) -> dict[Site, torch.Tensor]:
    """Run the text again with zeros added at each site: the gradient is theirs.

    It needs no gradient of any weight, and edits come before it.
    """
    model, tape, own = trace.model, trace._tape, trace._own_logits
    if own is None:
        raise Unavailable(f"{model.name} has no unembedding, so no logits and no gradient of them")
    added: dict[Site, torch.Tensor] = {}

    def watch(site: Site) -> Edit:
        def add(x: torch.Tensor, at: list[int]) -> torch.Tensor:
            added[site] = torch.zeros_like(x, requires_grad=True)
            return x + added[site]

        return Edit(site, f"gradient at {site}", add)

    inputs, editing = trace._again([watch(site) for site in wanted])
    with model.lock, tape.numerics.restored(), torch.enable_grad(), editing.open(alone=True):
        logits = model.module(**inputs).logits[0]  # [position, vocab]
        _same(logits.detach(), own)
        grads = torch.autograd.grad(_number(metric(logits)), [added[site] for site in wanted], allow_unused=True)
    return {
        site: torch.zeros_like(added[site]).detach() if grad is None else grad
        for site, grad in zip(wanted, grads, strict=True)
    }


def _number(value: torch.Tensor) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
        raise ValueError("metric must give one number that depends on the logits [position, vocab] it is given")
    return value.reshape(())


def _same(logits: torch.Tensor, own: torch.Tensor) -> None:
    error = (logits[len(logits) - len(own) :] - own).abs().max()
    if not bool(error <= 64 * torch.finfo(own.dtype).eps * own.abs().max()):
        raise WeightsMoved("the model's weights have changed since this trace was made: trace the text again")
