"""A user's own words for where a hand-written module keeps what a trace shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import nn

from mechviz._layered import Unavailable

from .structure import Stack
from .watch import ModuleCall

Where: TypeAlias = "str | Callable[[nn.Module, SimpleNamespace], torch.Tensor] | None"
Weight: TypeAlias = "str | Callable[[nn.Module], Any] | None"
VALUES = ("q", "k", "v", "pattern", "z", "neurons")


@dataclass(frozen=True, kw_only=True)
class SiteMap:
    """Where a hand-written ``torch.nn.Module`` keeps what a trace shows: `mechviz.load` takes it as ``sites=``.

    Every entry is a claim, and is held against the numbers of each text before anything is shown: contributions must add up
    to the stream, ``pattern @ v`` must be what the heads read, that times ``w_o`` what attention adds, neurons times
    ``w_out`` what the MLP adds, and the unembedding must give the model's own logits. What does not hold, or what nothing in
    the map proves, is unavailable and says why. Most entries may be left out: what modules' inputs and outputs prove by
    themselves is found without them.

    A *place* is the name of a module inside a block (its output; ``"attn.out.input"`` for what it is given), or a function
    ``(block, at) -> tensor`` that computes the values from what is known of the block: ``at.resid_pre``, ``at.resid_mid``,
    and whatever stands before it in this list. A *weight* is the name of a linear layer or parameter inside a block, or a
    function of the block that gives the matrix, or the pair of matrix and bias.

    Attributes:
        blocks: Name of the list of blocks, or the names of the blocks. Each is called with the residual stream
            ``[1, position, d_model]`` and returns it.
        embed: Name of the token embedding, by which ids are checked.
        attn: Name, inside a block, of the module whose output attention adds to the stream.
        mlp: The same of the MLP.
        mid: Name of the module that is given the stream between the two, if that is not ``mlp`` itself.
        q: Place of the queries as they enter the dot product, ``[position, head, d_head]`` (a batch axis of 1 in front, or
            heads before positions, are understood).
        k: Place of the keys; with ``q`` and ``v``, or without all three.
        v: Place of the values.
        pattern: Place of the attention probabilities, ``[head, query, key]``; one softmax over the text is seen by itself.
        z: Place of what the heads read, ``[position, head, d_head]``, or ``[position, head * d_head]``.
        neurons: Place of the neurons, ``[position, neuron]``.
        w_o: Weight from the heads to the stream, ``[head, d_head, d_model]`` or ``[head * d_head, d_model]`` or that transposed.
        w_out: Weight from the neurons to the stream, ``[neuron, d_model]`` or that transposed.
        scale: What multiplies ``q·k``; None for ``d_head ** -0.5``.
        causal: Whether a query sees no later key.
        final_norm: Name of the module between the last block and the unembedding.
        unembed: Name of the unembedding, or a function ``(module, stream [position, d_model]) -> logits [position, vocab]``.

    Example:
        >>> SiteMap(blocks="layers", attn="attn", w_o="attn.W_O", neurons=lambda block, at: block.mlp.hidden(at.resid_mid))
        ... # doctest: +SKIP
    """

    blocks: str | Sequence[str]
    embed: str = ""
    attn: str = ""
    mlp: str = ""
    mid: str = ""
    q: Where = None
    k: Where = None
    v: Where = None
    pattern: Where = None
    z: Where = None
    neurons: Where = None
    w_o: Weight = None
    w_out: Weight = None
    scale: float | None = None
    causal: bool = True
    final_norm: str = ""
    unembed: str | Callable[[nn.Module, torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("q", "k", "v") if getattr(self, name) is not None]
        if given and len(given) < 3:
            raise ValueError(f"q, k and v belong together; the map has {' and '.join(given)} only")

    def stack(self, module: nn.Module) -> Stack:
        """The blocks of a module.

        Raises:
            ValueError: A name is not there; the message lists what is.
        """
        if not isinstance(self.blocks, str):
            return Stack("", tuple(named(module, name, "blocks") for name in self.blocks), ", ".join(self.blocks))
        found = tuple(named(module, self.blocks, "blocks").children())
        if not found:
            raise ValueError(f"blocks must name a list of modules; {self.blocks!r} holds none")
        return Stack("", found, self.blocks)

    def check(self, module: nn.Module) -> None:
        """Raise a ValueError for a name that is not there."""
        for name in ("embed", "final_norm", "unembed"):
            if isinstance(getattr(self, name), str) and getattr(self, name):
                named(module, getattr(self, name), name)
        for number, block in enumerate(self.stack(module).blocks):
            for name in ("attn", "mlp", "mid"):
                if getattr(self, name):
                    named(block, getattr(self, name), f"{name} (in block {number})")
            for name in VALUES:
                if isinstance(getattr(self, name), str):
                    named(block, _split(block, getattr(self, name))[0], f"{name} (in block {number})")

    def watched(self, block: nn.Module) -> dict[str, nn.Module]:
        """The modules of a block whose inputs or outputs the map names."""
        names = [_split(block, place)[0] for name in VALUES if isinstance(place := getattr(self, name), str)]
        return {name: block.get_submodule(name) for name in names}

    def read(
        self, name: str, block: nn.Module, calls: Mapping[str, ModuleCall], at: SimpleNamespace
    ) -> torch.Tensor | None:
        """The values at a place, as they are there; None where the map does not say.

        Raises:
            Unavailable: The module was not called, or the function failed.
        """
        place = getattr(self, name)
        if place is None:
            return None
        if callable(place):
            try:
                found = place(block, at)
            except (RuntimeError, AttributeError, IndexError, TypeError, ValueError) as error:
                raise Unavailable(f"the map's function for {name} failed: {type(error).__name__}: {error}") from error
        else:
            path, end = _split(block, place)
            call = calls.get(path)
            found = None if call is None else getattr(call, end)
        if not isinstance(found, torch.Tensor):
            raise Unavailable(f"the map's place for {name}, {place!r}, gave {type(found).__name__}, not a tensor")
        return found.detach()


def named(module: nn.Module, name: str, argument: str) -> nn.Module:
    """A module by its name.

    Raises:
        ValueError: It is not there; the message lists what is.
    """
    try:
        return module.get_submodule(name)
    except AttributeError:
        there = ", ".join(key for key, _ in module.named_modules() if key) or "no modules"
        raise ValueError(f"sites: {argument} is {name!r}, but {type(module).__name__} holds {there}") from None


def matrices(
    weight: Weight, block: nn.Module, argument: str, *, rows: int
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """The ways to read a weight as ``(matrix [rows, d_model], bias or None)``: one, or two if it may stand transposed."""
    bias: Any = None
    if callable(weight):
        found = weight(block)
        matrix, bias = found if isinstance(found, tuple) else (found, None)
    else:
        path, _, last = str(weight).rpartition(".")
        holder: Any = block.get_submodule(path)
        found = getattr(holder, last, None)
        if isinstance(found, nn.Module):
            matrix, bias = getattr(found, "weight", None), getattr(found, "bias", None)
        else:
            matrix = found
    if not isinstance(matrix, torch.Tensor) or matrix.dim() not in (2, 3):
        raise Unavailable(f"the map's {argument} is no matrix: {weight!r}")
    matrix = matrix.detach()
    flat = matrix.reshape(-1, matrix.shape[-1]) if matrix.dim() == 3 else matrix
    ways = [flat] if len(flat) == rows else []
    ways += [matrix.T] if matrix.dim() == 2 and matrix.shape[1] == rows else []
    if not ways:
        raise Unavailable(
            f"the map's {argument} has shape {tuple(matrix.shape)}, of which no axis has the {rows} inputs"
        )
    return [(way, None if bias is None else bias.detach()) for way in ways]


def _split(block: nn.Module, place: str) -> tuple[str, str]:
    """A module's name, and "input" or "output"."""
    path, _, end = place.rpartition(".")
    return (path, end) if end in ("input", "output") and path else (place, "output")
