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

    A is the attention's (or mixer's) contribution, M the MLP's. A block that also reads another stack adds C between the two
    in the same way, and ``mid`` is the stream before it. ``norms`` are n1, n2 (and n3), or the modules that are given the
    streams between the parts.
    ``neurons`` is the way to M from the down projection, whose input the neurons are; ``heads`` the way to A from the output
    projection, whose input is what the heads read. ``act`` is the activation function, and ``up`` (entries ``up_from``
    onwards of its output) what multiplies its result in a gated MLP.
    """

    kind: Kind | None = None
    attn: str = ""
    attn_scale: float = 1.0
    mlp: str = ""
    mlp_scale: float = 1.0
    cross: str = ""
    cross_scale: float = 1.0
    norms: tuple[str, ...] = ()
    neurons: tuple[str, ...] = ()
    no_neurons: str = ""
    heads: tuple[str, ...] = ()
    act: str = ""
    up: str = ""
    up_from: int = 0
    certain: bool = True  # False where a part wrote nothing but zeros, which fits more than one equation

    @property
    def names(self) -> tuple[str, ...]:
        """Every module that a reading has to watch."""
        parts = (self.attn, self.cross, self.mlp, *self.norms, *self.neurons, *self.heads, self.act, self.up)
        return tuple(dict.fromkeys(name for name in parts if name))

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
        if self.kind in ("single", "parallel"):
            mid, holds = None, adds_up(post, (1.0, pre), *(self._added(part, calls, pre) for part in self.parts))
        elif self.kind == "sequential":
            streams = [pre, *(_stream(calls[name].input, pre) for name in self.norms), post]
            sums = zip(streams[1:], streams, self.parts, strict=False)
            mid, holds = streams[1], all(adds_up(b, (1.0, a), self._added(part, calls, pre)) for b, a, part in sums)
        else:
            given, made = (
                [_stream(x, pre) for x in xs]
                for xs in zip(*((calls[name].input, calls[name].output) for name in self.norms), strict=True)
            )
            sums = zip(given, [pre, *made], self.parts, strict=False)
            mid, holds = made[0], all(adds_up(b, (1.0, a), self._added(part, calls, pre)) for b, a, part in sums)
            holds = holds and torch.equal(made[-1], post)
        if not holds:
            raise Unavailable("its modules' outputs do not add up to what the block did to the stream in this text")
        return mid

    @property
    def parts(self) -> tuple[str, ...]:
        """What adds to the stream, in order: "attn", "cross", "mlp", as far as there are such."""
        return tuple(part for part in ("attn", "cross", "mlp") if getattr(self, part))

    def _added(self, part: str, calls: Mapping[str, ModuleCall], like: torch.Tensor) -> tuple[float, torch.Tensor]:
        return getattr(self, f"{part}_scale"), _stream(calls[getattr(self, part)].output, like)

    def check_neurons(self, calls: Mapping[str, ModuleCall]) -> torch.Tensor:
        """The input of the down projection ``[position, neuron]``, if its output is what the MLP contributes.

        Raises:
            Unavailable: It is not, on these numbers.
        """
        return _follow(self.neurons, self.mlp, calls)

    def check_heads(self, calls: Mapping[str, ModuleCall]) -> torch.Tensor:
        """The input of the output projection ``[position, head * dim]``, if its output is what attention contributes.

        Raises:
            Unavailable: It is not, on these numbers.
        """
        return _follow(self.heads, self.attn, calls)

    def check_gate(self, calls: Mapping[str, ModuleCall]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the activation function is given, and what multiplies its result (or None): each ``[position, neuron]``.

        Raises:
            Unavailable: Their product is not the neurons, on these numbers.
        """
        neurons = self.check_neurons(calls)
        act, up = calls[self.act], None
        if act.input is None or act.output is None:
            raise Unavailable(f"{self.act} was not given a tensor in this text")
        product = act.output.reshape(neurons.shape)
        if self.up:
            made = calls[self.up].output
            assert made is not None
            up = made.detach().reshape(len(neurons), -1)[:, self.up_from : self.up_from + neurons.shape[1]]
            product = product * up
        if not same(product, neurons):
            raise Unavailable(f"what {self.act} makes does not give the neurons in this text")
        return act.input.detach().reshape(neurons.shape), up


def _follow(way: tuple[str, ...], end: str, calls: Mapping[str, ModuleCall]) -> torch.Tensor:
    """The input of the first module of a way, once each hands its output to the next and the last one's is ``end``'s."""
    ends = [calls[name].input for name in way[1:]] + [calls[end].written]
    for name, expected in zip(way, ends, strict=True):
        given = calls[name].written
        if given is None or expected is None or not same(given.flatten(), expected.flatten()):
            raise Unavailable(f"what {name} writes does not reach the stream unchanged in this text")
    start = calls[way[0]].input
    assert start is not None
    return start.detach().reshape(-1, start.shape[-1])


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers; mostly they are the very same memory, handed on."""
    handed_on = a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype
    return handed_on or torch.equal(a, b)


def adds_up(total: torch.Tensor, *terms: tuple[float, torch.Tensor]) -> bool:
    """Whether ``total`` is the sum of ``scale * term``, entry by entry, to the rounding of the model's dtype."""
    if any(term.shape != total.shape for _, term in terms):
        return False
    plain = terms[0][1] * terms[0][0]
    for scale, term in terms[1:]:
        plain = plain + (term if scale == 1 else term * scale)
    if torch.equal(plain, total):  # mostly the very sum that the model made; the rest costs ten times as much
        return True
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
