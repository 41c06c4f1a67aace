"""The residual stream, what attention and MLP add to it, and the MLP's neurons."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import torch

from mechviz._layered import Layered, Unavailable

from .linear import linear_parts
from .reading import Reading

T = TypeVar("T")


class StreamReadings(Reading):
    """What a trace says about the residual stream and the MLPs."""

    @cached_property
    def resid_pre(self) -> Layered[torch.Tensor]:
        """The residual stream before each block, ``[position, d_model]``."""
        return self._layered("resid_pre", self._tape.entering)

    @cached_property
    def resid_mid(self) -> Layered[torch.Tensor]:
        """The residual stream between attention and MLP, ``[position, d_model]``.

        Replayed when indexed and not kept. ``trace.resid_mid.missing`` says where there is none, and why.
        """
        return self._layered("resid_mid", self._open_mid, lambda layer: self._plan(layer).no_mid)

    @cached_property
    def resid_post(self) -> Layered[torch.Tensor]:
        """The residual stream after each block, ``[position, d_model]``, before any final norm."""
        return self._layered("resid_post", self._tape.leaving)

    @cached_property
    def attn_out(self) -> Layered[torch.Tensor]:
        """What the attention (or mixer) of each block adds to the residual stream, ``[position, d_model]``.

        After whatever norm, scale and bias stand before the sum. Replayed when indexed and not kept.
        """
        return self._layered("attn_out", lambda layer: self._contribution(layer, "attn"), self._no_parts)

    @cached_property
    def mlp_out(self) -> Layered[torch.Tensor]:
        """What the MLP of each block adds to the residual stream, ``[position, d_model]``, experts together."""
        return self._layered("mlp_out", lambda layer: self._contribution(layer, "mlp"), self._no_mlp)

    @cached_property
    def neurons(self) -> Layered[torch.Tensor]:
        """Activations of each MLP's neurons, ``[position, neuron]``: the input of its down projection.

        For a gated MLP that is ``act(gate) * up``. Replayed when indexed and not kept; ``trace.neurons.missing`` says where
        there are none, and why.
        """
        return self._layered("neurons", self._open_neurons, lambda layer: self._plan(layer).no_neurons)

    @cached_property
    def gate(self) -> Layered[torch.Tensor]:
        """What the activation function of each gated MLP is given, ``[position, neuron]``."""
        return self._layered("gate", lambda layer: self._open_gate(layer)[0], self._no_gate)

    @cached_property
    def up(self) -> Layered[torch.Tensor]:
        """What multiplies the activation function's result in each gated MLP, ``[position, neuron]``."""
        return self._layered("up", self._open_up, self._no_gate)

    def neuron_writes(self, direction: torch.Tensor) -> dict[int, torch.Tensor]:
        """Layer -> how far each neuron moves the stream along a direction when it is 1, ``[neuron]`` float64.

        Layers whose neurons are not known, or whose down projection is not what the MLP adds, are left out.

        Args:
            direction: ``[d_model]``.
        """
        found = {}
        for layer in self.neurons.layers:
            try:
                found[layer] = self._writes_of(layer, direction.double().cpu())
            except Unavailable:
                continue
        return found

    def _writes_of(self, layer: int, direction: torch.Tensor) -> torch.Tensor:
        plan, neurons = self._plan(layer), self.neurons[layer]
        if not plan.neurons:
            raise Unavailable(f"no linear layer writes what the MLP of layer {layer} adds")
        projection = self._block(layer).get_submodule(plan.neurons[0])
        with self.model.lock, self._tape.numerics.restored(), torch.autocast(neurons.device.type, enabled=False):
            weight, bias = linear_parts(projection, neurons)  # [neuron, d_model]
        weight = weight.double().cpu() * plan.mlp_scale
        total = neurons.double().cpu() @ weight + (0 if bias is None else bias.double().cpu() * plan.mlp_scale)
        target, size = self.mlp_out[layer].double().cpu(), neurons.double().abs().cpu() @ weight.abs()
        eps = torch.finfo(neurons.dtype).eps + torch.finfo(torch.float32).eps
        if total.shape != target.shape or not bool(((total - target).abs() <= 16 * eps * (size + target.abs())).all()):
            raise Unavailable(f"{plan.neurons[0]} does not write what the MLP of layer {layer} adds")
        return weight @ direction

    def _no_parts(self, layer: int) -> str:
        return "" if self._plan(layer).kind else self._plan(layer).no_mid

    def _no_mlp(self, layer: int) -> str:
        plan = self._plan(layer)
        return "this block has no MLP beside its mixer" if plan.kind and not plan.mlp else self._no_parts(layer)

    def _no_gate(self, layer: int) -> str:
        plan = self._plan(layer)
        if plan.no_neurons or plan.up:
            return plan.no_neurons
        if plan.act:
            return "its MLP is not gated: its neurons are the activation function's result"
        return "no activation module's result, alone or times a linear layer's output, is its neurons"

    def _contribution(self, layer: int, part: str) -> torch.Tensor:
        _, calls = self._open_block(layer)
        plan = self._plan(layer)
        name, scale = getattr(plan, part), getattr(plan, f"{part}_scale")
        out = calls[name].output
        assert out is not None  # or the equations would not have held
        out = out.detach().reshape(len(self), -1)
        return out if scale == 1 else out * scale

    def _open_mid(self, layer: int) -> torch.Tensor:
        mid, _ = self._open_block(layer)
        assert mid is not None
        return mid

    def _open_neurons(self, layer: int) -> torch.Tensor:
        _, calls = self._open_block(layer)
        return self._trusted(layer, lambda: self._plan(layer).check_neurons(calls))

    def _open_gate(self, layer: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        _, calls = self._open_block(layer)
        return self._trusted(layer, lambda: self._plan(layer).check_gate(calls))

    def _open_up(self, layer: int) -> torch.Tensor:
        up = self._open_gate(layer)[1]
        assert up is not None  # or it would be missing
        return up

    @staticmethod
    def _trusted(layer: int, read: Callable[[], T]) -> T:
        try:
            return read()
        except Unavailable as reason:
            raise Unavailable(f"layer {layer} has no neurons that can be trusted: {reason}") from None
