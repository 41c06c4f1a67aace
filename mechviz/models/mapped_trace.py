"""A trace of a hand-written module: what its site map names, once the equations hold."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace

import torch
from torch import nn

from mechviz._layered import Layered, Unavailable

from .capture import AttentionCall
from .factored import build_pattern
from .functional import FunctionWatch, Weights
from .site_map import SiteMap, matrices
from .trace import Trace


class MappedTrace(Trace):
    """A trace through a module that came with a `SiteMap`."""

    @property
    def _sites(self) -> SiteMap:
        return self.model.sites  # type: ignore[attr-defined]

    @cached_property
    def neurons(self) -> Layered[torch.Tensor]:
        """Activations of each MLP's neurons, ``[position, neuron]``, as the map says where they are."""
        if self._sites.neurons is None:
            return super().neurons
        return self._layered("neurons", self._open_neurons, self._no_mlp)

    def _open_neurons(self, layer: int) -> torch.Tensor:
        if self._sites.neurons is None:
            return super()._open_neurons(layer)
        at, _ = self._values(layer, ("neurons",))
        neurons = at.neurons.reshape(-1, at.neurons.shape[-1])
        if len(neurons) != len(self):
            raise Unavailable(
                f"layer {layer}: the map's neurons have shape {tuple(at.neurons.shape)}, not [position, neuron]"
            )
        if self._sites.w_out is None:
            raise Unavailable(f"layer {layer} has no neurons that could be proved: the map has no w_out")
        self._proved(layer, "w_out", neurons, "mlp_out")
        return neurons

    def _no_attention(self, layer: int) -> str:
        return "" if self._sites.q is not None or self._sites.pattern is not None else super()._no_attention(layer)

    def _no_factors(self, layer: int) -> str:
        reason = super()._no_factors(layer) if self._sites.q is None else self._no_attention(layer)
        return f"{reason}; the map may say where they are" if reason and self._sites.q is None else reason

    def _attended(self, layer: int) -> AttentionCall | Weights:
        if self._sites.q is None and self._sites.pattern is None and self._sites.z is None:
            return super()._attended(layer)
        at, seen = self._values(layer, ("q", "k", "v", "pattern", "z"))
        if at.pattern is not None:
            if at.pattern.dim() < 3 or at.pattern.shape[-2:] != (len(self), len(self)):
                raise Unavailable(
                    f"layer {layer}: the map's pattern has shape {tuple(at.pattern.shape)}, not [head, query, key]"
                )
            at.pattern = at.pattern.reshape(-1, len(self), len(self)).float()
            if seen is None and at.q is None:
                raise Unavailable(
                    f"layer {layer}: nothing proves the map's pattern: no softmax was seen, and it has no q, k, v"
                )
            if seen is not None:
                _same(
                    f"layer {layer}: the map's pattern differs from the softmax in it",
                    at.pattern,
                    seen.pattern,
                    self._rounding(1.0),
                )
        if at.q is not None:
            return self._from_queries(layer, at, seen)
        if seen is None:
            raise Unavailable(
                f"layer {layer}: no softmax over the text was seen, and the map has neither pattern nor q, k, v"
            )
        z = seen.z if at.z is None else self._by_head(at.z, "z", layer, len(seen.pattern))
        if at.z is not None and self._sites.w_o is not None:
            self._proved(layer, "w_o", z.reshape(len(self), -1), "attn_out")  # type: ignore[union-attr]
        return Weights(seen.pattern, seen.values, z)

    def _from_queries(self, layer: int, at: SimpleNamespace, seen: Weights | None) -> AttentionCall:
        q, k, v = (self._by_head(getattr(at, name), name, layer) for name in ("q", "k", "v"))
        scale = q.shape[-1] ** -0.5 if self._sites.scale is None else self._sites.scale
        factors = [x.transpose(0, 1)[None] for x in (q, k, v)]  # [1, head, position, d_head]
        call = AttentionCall(None, *factors, z=q[None], scale=scale, causal=self._sites.causal)
        pattern = build_pattern(call, 0).dense()
        size = 1 + abs(scale) * float(q.norm(dim=-1).max() * k.norm(dim=-1).max())  # what scores are rounded to
        for other, what in ((seen and seen.pattern, "the softmax in it"), (at.pattern, "its pattern")):
            if other is not None:
                _same(
                    f"layer {layer}: the softmax of the map's q·k differs from {what}",
                    pattern,
                    other,
                    self._rounding(size),
                )
        if at.z is not None:
            z = self._by_head(at.z, "z", layer, len(pattern))
        else:
            z = torch.einsum("hqk,khd->qhd", pattern.to(v.dtype), v.repeat_interleave(len(pattern) // v.shape[1], 1))
        if self._sites.w_o is not None:
            self._proved(layer, "w_o", z.reshape(len(self), -1), "attn_out", 1.0 if at.z is not None else size)
        elif at.z is None and seen is None and at.pattern is None:
            raise Unavailable(f"layer {layer}: nothing proves the map's q, k and v: give z or w_o")
        return replace(call, z=z[None])

    def _factor(self, layer: int, name: str) -> torch.Tensor:
        sites = self._sites
        if (
            name in ("z", "values")
            and (sites.q or sites.z)
            and sites.w_o is None
            and (sites.z is None or sites.q is None)
        ):
            raise Unavailable(f"layer {layer} has no {name[0]} that could be proved: the map has no w_o")
        return super()._factor(layer, name)

    def _way_out(self, layer: int, z: torch.Tensor) -> tuple[nn.Module, torch.Tensor, torch.Tensor, float]:
        if self._sites.w_o is None:
            return super()._way_out(layer, z)
        flat = z.reshape(len(self), -1)
        matrix, bias = self._proved(layer, "w_o", flat, "attn_out", math.inf)  # as tight as `_attended` found it
        linear = nn.Linear(*matrix.shape, bias=bias is not None, device="meta")
        linear.weight = nn.Parameter(matrix.T, requires_grad=False)
        if bias is not None:
            linear.bias = nn.Parameter(bias, requires_grad=False)
        return linear, flat, self.attn_out[layer].float(), 1.0

    def _values(self, layer: int, names: tuple[str, ...]) -> tuple[SimpleNamespace, Weights | None]:
        """What the map says of a block, read in a replay of it; and the one softmax over the text that was seen."""
        block, functions = self._block(layer), FunctionWatch(len(self))
        modules = self._sites.watched(block)
        with self.model.lock:
            # A watch of functions keeps torch from its fused paths, and bits from being the same: only where it saw something.
            also = functions if self.model.structure.functional[layer] else None
            watch = self._tape.replay(layer, modules.values(), also=also)
        calls = {name: call for name, module in modules.items() if (call := watch.of(module))}
        at = SimpleNamespace(resid_pre=self.resid_pre[layer])
        with suppress(Unavailable):
            at.resid_mid = self.resid_mid[layer]
        with self._tape.numerics.restored():
            for name in names:
                setattr(at, name, self._sites.read(name, block, calls, at))
        found = [found for _, found in functions.found if isinstance(found, Weights)]
        return at, found[0] if len(functions.found) == len(found) == 1 else None

    def _by_head(self, x: torch.Tensor, name: str, layer: int, heads: int = 0) -> torch.Tensor:
        """``[position, head, d_head]``, from that, with the two axes swapped or in one, or with a batch axis of 1."""
        length, shape = len(self), tuple(x.shape)
        x = x[0] if x.dim() > 2 and x.shape[0] == 1 and x.shape[1:2] != (1,) else x
        if x.dim() == 2 and heads and x.shape[0] == length and x.shape[1] % heads == 0:
            return x.reshape(length, heads, -1)
        if x.dim() == 3 and x.shape[0] == length:
            return x
        if x.dim() == 3 and x.shape[1] == length:
            return x.transpose(0, 1)
        raise Unavailable(f"layer {layer}: the map's {name} has shape {shape}; expected ({length}, head, d_head)")

    def _rounding(self, size: float) -> float:
        """By how much two softmaxes of scores of this size may differ; never so much that another rule would pass."""
        return min(16 * torch.finfo(self.model.dtype).eps * size, 0.05)

    def _proved(
        self, layer: int, argument: str, values: torch.Tensor, what: str, scores: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The weight ``[value, d_model]`` and bias that lead from values to a contribution, once they do."""
        target, errors = getattr(self, what)[layer].float(), []
        values = values.float()
        for matrix, bias in matrices(
            getattr(self._sites, argument), self._block(layer), argument, rows=values.shape[1]
        ):
            total = values @ matrix.float() + (0 if bias is None else bias.float())
            if total.shape != target.shape:
                continue
            size = values.abs() @ matrix.float().abs() + target.abs()  # what rounding is measured against
            error = (total - target).abs()
            if bool((error <= self._rounding(scores) * size).all()):
                return matrix, bias
            errors.append(float(error.max()))
        error = f"differs by {min(errors):.2g}" if errors else "has another shape"
        raise Unavailable(f"layer {layer}: what the map's {argument} makes of its values is not {what}: it {error}")


def _same(message: str, a: torch.Tensor, b: torch.Tensor, allowed: float) -> None:
    if a.shape != b.shape:
        raise Unavailable(f"{message}: {tuple(a.shape)}, {tuple(b.shape)}")
    error = float((a - b).abs().max())
    if not error <= allowed:
        raise Unavailable(f"{message} by {error:.2g}")
