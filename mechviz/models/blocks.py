"""What one block adds to the residual stream: found among its modules' outputs by equations, checked again at each reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from mechviz._layered import Unavailable

from .watch import ModuleCall

Kind = Literal["sequential", "parallel", "post-norm", "single"]


@dataclass(frozen=True)
class BlockPlan:
    """The equation that a block obeys, as names of modules inside it.

    ==============  ==========================================================================
    sequential      ``mid = pre + a A``, ``post = mid + m M``, and some module is given ``mid``
    parallel        ``post = pre + a A + m M``, and no module is given ``pre + a A``
    post-norm       ``mid = n1(pre + a A)``, ``post = n2(mid + m M)``
    single          ``post = pre + a A``
    ==============  ==========================================================================

    A is the attention's (or mixer's) contribution, M the MLP's. ``norms`` are n1 and n2, or the module that is given ``mid``.
    ``neurons`` is the way to M from the down projection, whose input the neurons are.
    """

    kind: Kind | None = None
    attn: str = ""
    attn_scale: float = 1.0
    mlp: str = ""
    mlp_scale: float = 1.0
    norms: tuple[str, ...] = ()
    neurons: tuple[str, ...] = ()
    no_neurons: str = ""
    certain: bool = True  # False where a part wrote nothing but zeros, which fits more than one equation

    @property
    def names(self) -> tuple[str, ...]:
        """Every module that a reading has to watch."""
        return tuple(dict.fromkeys(name for name in (self.attn, self.mlp, *self.norms, *self.neurons) if name))

    @property
    def no_mid(self) -> str:
        """Why there is no stream between attention and MLP; empty if there is one."""
        if self.kind in ("sequential", "post-norm"):
            return ""
        return {
            "parallel": "attention and MLP of this block run in parallel, so there is no stream between them",
            "single": "this block has one part only, so there is no stream between two",
            None: "no outputs of its modules add up to what the block does to the stream",
        }[self.kind]

    def check(self, calls: Mapping[str, ModuleCall], pre: torch.Tensor, post: torch.Tensor) -> torch.Tensor | None:
        """Hold the equations against what the modules were given and gave; returns ``mid`` where there is one.

        Args:
            calls: Name -> call, for all of `names`.
            pre: What entered the block, ``[position, d_model]``.
            post: What left it, ``[position, d_model]``.

        Raises:
            Unavailable: An equation does not hold on these numbers.
        """
        if self.kind is None:
            raise Unavailable(self.no_mid)
        mid, holds = None, False
        attn = (self.attn_scale, _stream(calls[self.attn].output, pre))
        mlp = (self.mlp_scale, _stream(calls[self.mlp].output, pre)) if self.mlp else (1.0, torch.zeros_like(pre))
        if self.kind == "single" or self.kind == "parallel":
            holds = adds_up(post, (1.0, pre), attn, mlp)
        elif self.kind == "sequential":
            mid = _stream(calls[self.norms[0]].input, pre)
            holds = adds_up(mid, (1.0, pre), attn) and adds_up(post, (1.0, mid), mlp)
        elif self.kind == "post-norm":
            first, second = (calls[name] for name in self.norms)
            mid = _stream(first.output, pre)
            holds = adds_up(_stream(first.input, pre), (1.0, pre), attn)
            holds = holds and adds_up(_stream(second.input, pre), (1.0, mid), mlp)
            holds = holds and torch.equal(_stream(second.output, pre), post)
        if not holds:
            raise Unavailable("its modules' outputs do not add up to what the block did to the stream in this text")
        return mid

    def check_neurons(self, calls: Mapping[str, ModuleCall]) -> torch.Tensor:
        """The input of the down projection ``[position, neuron]``, if its output is what the MLP contributes.

        Raises:
            Unavailable: It is not, on these numbers.
        """
        ends = [calls[name].input for name in self.neurons[1:]] + [calls[self.mlp].output]
        for name, expected in zip(self.neurons, ends, strict=True):
            given = calls[name].output
            if given is None or expected is None or not torch.equal(given.flatten(), expected.flatten()):
                raise Unavailable(f"what {name} writes does not reach the stream unchanged in this text")
        neurons = calls[self.neurons[0]].input
        assert neurons is not None
        return neurons.detach().reshape(-1, neurons.shape[-1])


def adds_up(total: torch.Tensor, *terms: tuple[float, torch.Tensor]) -> bool:
    """Whether ``total`` is the sum of ``scale * term``, entry by entry, to the rounding of the model's dtype."""
    if any(term.shape != total.shape for _, term in terms):
        return False
    scaled = [scale * term.double() for scale, term in terms]
    error = (total.double() - sum(scaled)).abs()
    size = torch.stack([term.abs() for term in scaled]).sum(0)
    return bool((error <= 3 * torch.finfo(total.dtype).eps * size).all())


def stream_of(x: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
    """A module's tensor as ``[position, …]``, or None if it does not have the positions of ``like``."""
    if x is None or x.dim() < 2 or not x.is_floating_point() or x.shape[:-1].numel() != len(like):
        return None
    return x.detach().reshape(len(like), x.shape[-1])


def _stream(x: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    found = stream_of(x, like)
    if found is None:
        raise Unavailable(
            f"expected {len(like)} positions, got a tensor of shape {None if x is None else tuple(x.shape)}"
        )
    return found
