"""Whether a model has the site of an edit, said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mechviz._layered import Unavailable
from mechviz.sites import MLP, Attention, Head, Neuron, Residual

from .edit import Edit, KnockOut
from .experts import fused_experts
from .structure import Structure


def check_edit(edit: Edit, blocks: Sequence[nn.Module], structure: Structure, stack: str = "") -> None:
    """Raise `Unavailable` with the reason if a stack of the model lacks the site of an edit."""
    site = edit.place
    if site.stack not in ("", stack) or site.layer >= len(blocks):
        raise Unavailable(f"{edit.site}: this model has layers 0 to {len(blocks) - 1}")
    why = _why_not(edit, blocks[site.layer], structure)
    if why:
        raise Unavailable(f"{edit.label}: layer {site.layer} cannot be edited there: {why}")


def _why_not(edit: Edit, block: nn.Module, structure: Structure) -> str:
    site = edit.place
    plan = structure.plans[site.layer]
    if isinstance(site, Neuron):
        return no_neuron(site, plan.no_neurons, block)
    if isinstance(site, Residual):
        return plan.no_mid if site.point == "mid" else ""
    if isinstance(site, MLP):
        return "" if plan.mlp else "this block has no MLP that could be told apart"
    if isinstance(site, Attention):
        return "" if plan.kind else plan.no_mid
    assert isinstance(site, Head)
    if not structure.functional[site.layer]:
        return "" if structure.dispatched[site.layer] else "no softmax over the tokens was seen in it"
    if isinstance(edit, KnockOut):
        return "this model computes attention by itself, so single weights cannot be knocked out"
    heads = structure.heads[site.layer]
    if site.head < heads:
        return ""
    return f"it has {heads} heads" if heads else "what its heads read does not reach one linear layer as it is"


def no_neuron(site: Neuron, no_neurons: str, block: nn.Module) -> str:
    """Why a block has no such kind of neuron; empty if it has."""
    experts = fused_experts(block)
    if site.expert is None:
        hint = f'; name the neuron of an expert, such as "L{site.layer}E0N{site.neuron}"' if experts is not None else ""
        return no_neurons and no_neurons + hint
    if experts is None:
        return "it has no experts that transformers fuses into one module"
    return f"it has {experts.num_experts} experts" if site.expert >= experts.num_experts else ""
