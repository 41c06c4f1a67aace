"""The residual tape: one forward pass that keeps each block's inputs, and the replay of any block from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .capture import Listener, StopForward, listen
from .watch import ModuleCall, Watch, first_tensor, swap


class WeightsMoved(RuntimeError):
    """A replay did not reproduce the forward pass, so what it computed belongs to another state of the model."""


@dataclass(frozen=True)
class Numerics:
    """What a forward pass runs under, and its replays again: autocast as it was, and compiled code switched off."""

    device: str
    autocast: bool
    autocast_dtype: torch.dtype
    compiled: bool

    @classmethod
    def of(cls, model: nn.Module) -> Numerics:
        """The settings of this moment for a model."""
        device = next((p.device.type for p in model.parameters() if p.device.type != "meta"), "cpu")
        compiled = any(m._compiled_call_impl is not None or hasattr(m, "_orig_mod") for m in model.modules())
        if compiled and not hasattr(torch.compiler, "set_stance"):
            raise RuntimeError(f"tracing a compiled model needs torch >= 2.6; this is torch {torch.__version__}")
        return cls(device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device), compiled)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Run under these settings, without gradients."""
        with ExitStack() as stack:
            if self.compiled:  # hooks on compiled modules never fire; entered only then, because other threads see it
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(torch.inference_mode(False))  # its tensors do not count their versions
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.autocast(self.device, dtype=self.autocast_dtype, enabled=self.autocast))
            yield


@dataclass(frozen=True)
class Tape:
    """What one forward pass left behind.

    Attributes:
        blocks: One call per block, in order.
        logits: The model's own logits, ``[position, vocab]`` (of the last position only where the model can do that).
        numerics: What it ran under.
        cloned: The blocks overwrite their inputs in place, so the tape holds copies.
    """

    blocks: tuple[ModuleCall, ...]
    logits: torch.Tensor
    numerics: Numerics
    cloned: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes that the tape keeps alive."""
        held = [t for call in self.blocks for t in _tensors((call.args, call.kwargs, call.result))]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}.values())

    def entering(self, layer: int) -> torch.Tensor:
        """The residual stream that enters a block, ``[position, d_model]``."""
        return _rows(self.blocks[layer].input)

    def leaving(self, layer: int) -> torch.Tensor:
        """The residual stream that leaves a block, ``[position, d_model]``."""
        return _rows(self.blocks[layer].output)

    def replay(
        self, layer: int, watch: Iterable[nn.Module] = (), listener: Listener | None = None, *, clone: bool = False
    ) -> Watch:
        """Run one block again on what it was given, while ``watch`` and ``listener`` look on.

        A replay that a listener ends early (`StopForward`) is not compared; any other must give the very bits that the
        forward pass gave.

        Args:
            layer: Which block.
            watch: Modules whose calls to keep.
            listener: Stands in for the attention functions (`capture.listen`).
            clone: Keep copies of what the modules were given, for modules that overwrite it.

        Raises:
            WeightsMoved: It gave something else.
        """
        call = self.blocks[layer]
        args, kwargs = call.args, call.kwargs
        if self.cloned and call.input is not None:
            args, kwargs, _ = swap(args, kwargs, call.input, call.input.clone())
        with self.numerics.restored(), Watch(watch, clone=clone) as seen, ExitStack() as stack:
            if listener is not None:
                stack.enter_context(listen(listener))
            try:
                output = first_tensor((call.module(*args, **kwargs),), {})
            except StopForward:
                return seen
        if not _same_bits(output, call.output):
            raise WeightsMoved(
                f"replaying layer {layer} no longer gives what the forward pass gave. The model has changed since this "
                "trace was made (weights, hooks, dropout, training mode or numeric settings): trace the text again"
            )
        return seen


def record(model: nn.Module, blocks: Iterable[nn.Module], inputs: dict[str, Any], *, clone: bool = False) -> Tape:
    """Run the model once and keep what each block was given.

    Args:
        model: The model; called as ``model(**inputs)``.
        blocks: Its blocks, in order.
        inputs: What to call it with.
        clone: Keep copies: for models that overwrite their residual stream in place (found out, at one more pass).

    Raises:
        NotImplementedError: The blocks did not run once each, in order.
    """
    blocks = list(blocks)
    numerics = Numerics.of(model)
    with numerics.restored(), Watch(blocks, clone=clone) as watch:
        output = model(**inputs)
    number = {block: layer for layer, block in enumerate(blocks)}
    ran = [number[call.module] for call in watch.calls]
    if ran != list(range(len(blocks))):
        raise NotImplementedError(f"the model's {len(blocks)} blocks should run once each, in order; they ran as {ran}")
    if any(call.overwritten for call in watch.calls):
        return record(model, blocks, inputs, clone=True)
    logits = output["logits"] if isinstance(output, dict) else output[0]
    return Tape(tuple(watch.calls), logits.detach()[0], numerics, clone)


def _rows(tensor: torch.Tensor | None) -> torch.Tensor:
    # There is one text, so every axis but the last two is of length 1; some models flatten them away inside.
    assert tensor is not None
    return tensor.detach().reshape(-1, tensor.shape[-1])


def _same_bits(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
