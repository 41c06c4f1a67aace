"""Neurons of experts: MLPs that send each token to a few of many, which transformers fuses into one module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mechviz._layered import Unavailable

if TYPE_CHECKING:
    from .edit import Edit


@dataclass(frozen=True)
class Experts:
    """What the experts of one layer did with each token.

    Attributes:
        experts: Which ones it was sent to, ``[position, slot]``.
        weights: What multiplies what each of them wrote, ``[position, slot]``.
        neurons: The activations in each of them, ``[position, slot, neuron]``.
    """

    experts: torch.Tensor
    weights: torch.Tensor
    neurons: torch.Tensor


def fused_experts(block: nn.Module) -> Any:
    """The module that holds a block's experts, as transformers marks them; None if there is not exactly one."""
    found = [m for m in block.modules() if hasattr(m, "is_transposed") and getattr(m, "num_experts", None)]
    found = [m for m in found if isinstance(w := getattr(m, "down_proj", None), torch.Tensor) and w.dim() == 3]
    return found[0] if len(found) == 1 else None


def routing(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the module was given: tokens ``[token, d_model]``, experts and weights ``[token, slot]``."""
    tokens, experts, weights = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)][:3]
    return tokens, experts, weights


def activations(module: Any, tokens: torch.Tensor, expert: int) -> torch.Tensor:
    """The neurons of one expert, ``[token, neuron]``, for tokens ``[token, d_model]``."""
    name = "gate_up_proj" if module.has_gate else "up_proj"
    weight = getattr(module, name)[expert]
    x = tokens @ (weight if module.is_transposed else weight.T)
    if module.has_bias:
        x = x + getattr(module, f"{name}_bias")[expert]
    return module._apply_gate(x) if module.has_gate else module.act_fn(x)


def written(module: Any, neurons: torch.Tensor, expert: int) -> torch.Tensor:
    """What one expert makes of its neurons, ``[token, d_model]``, before its weight."""
    weight = module.down_proj[expert]
    x = neurons @ (weight if module.is_transposed else weight.T)
    if module.has_bias:
        x = x + module.down_proj_bias[expert]
    return module.post_expert_norm(x) if getattr(module, "has_post_expert_norm", False) else x


def read_experts(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor, edits: Any
) -> Experts:
    """The neurons of every token's experts, proved by putting the module's own output together again.

    Raises:
        Unavailable: What they write does not add up to it.
    """
    tokens, experts, weights = routing(args, kwargs)
    neurons: torch.Tensor | None = None
    total, size = torch.zeros_like(tokens), torch.zeros_like(tokens)
    for expert in experts.unique().tolist():
        rows, slots = (experts == expert).nonzero(as_tuple=True)
        h = activations(module, tokens[rows], expert)  # [row, neuron]
        for edit in edits:
            if edit.site.expert == expert:
                h = _edited_neuron(h, edit, rows.tolist(), len(tokens))
        neurons = h.new_zeros(*experts.shape, h.shape[1]) if neurons is None else neurons
        neurons[rows, slots] = h
        wrote = written(module, h, expert) * weights[rows, slots, None]
        total.index_add_(0, rows, wrote.to(total.dtype))
        size.index_add_(0, rows, wrote.abs().to(size.dtype))
    assert neurons is not None
    unit = torch.finfo(total.dtype).eps
    error = (total - output.reshape(total.shape)).abs().double()
    scale = size.abs().amax().double() * max(neurons.shape[-1], 64) ** 0.5
    if not bool((error <= 16 * unit * scale).all()):
        raise Unavailable(
            f"what its experts write, recomputed, differs from what they wrote by {float(error.max()):.2g}"
        )
    return Experts(experts, weights, neurons)


def edited_experts(
    module: Any, given: tuple[Any, dict[str, Any]], output: torch.Tensor, edits: Iterable[Edit], shape: Any, first: int
) -> torch.Tensor:
    """The output of the module with neurons changed; ``shape`` is ``(text, position)``, the first one ``first``."""
    tokens, experts, weights = routing(*given)
    new = output.reshape(len(tokens), -1)
    for expert, theirs in _by_expert(edits):
        if expert >= module.num_experts:
            raise Unavailable(f"{theirs[0].label}: layer {theirs[0].site.layer} has {module.num_experts} experts")
        rows, slots = (experts == expert).nonzero(as_tuple=True)
        if not len(rows):
            continue
        old = activations(module, tokens[rows], expert)  # [row, neuron]
        h, text = old, (rows // shape[1]).tolist()
        for edit in theirs:
            if edit.site.neuron >= old.shape[1]:  # type: ignore[union-attr]
                raise Unavailable(f"{edit.label}: an expert of layer {edit.site.layer} has {old.shape[1]} neurons")
            parts = []
            for number in sorted(set(text)):
                mine = [k for k, t in enumerate(text) if t == number]
                at = [first + int(rows[k]) % shape[1] for k in mine]
                parts.append(_edited_neuron(h[mine], edit, at, first + shape[1]))
            h = torch.cat(parts)
        change = written(module, h, expert) - written(module, old, expert)
        new = new.index_add(0, rows, (change * weights[rows, slots, None]).to(new.dtype))
    return new.reshape(output.shape)


def _edited_neuron(h: torch.Tensor, edit: Edit, at: list[int], length: int) -> torch.Tensor:
    n = edit.site.neuron  # type: ignore[union-attr]
    column = edit.apply_at(h[:, n], at, length)
    return torch.cat([h[:, :n], column[:, None], h[:, n + 1 :]], -1)


def _by_expert(edits: Iterable[Edit]) -> Iterator[tuple[int, list[Edit]]]:
    groups: dict[int, list[Edit]] = {}
    for edit in edits:
        groups.setdefault(edit.site.expert, []).append(edit)  # type: ignore[union-attr]
    return iter(groups.items())
