"""The residual tape: one forward pass that keeps each block's inputs, and the replay of any block from them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from transformers.cache_utils import Cache

from mechviz._layered import Unavailable

from .capture import AttentionCall, Listener, Recorder, StopForward, listen
from .first_calls import make_first_calls
from .watch import ModuleCall, Watch, first_tensor, swap

if TYPE_CHECKING:
    from .editing import Editing
    from .graph import Graph
    from .keeping import Keeper
    from .keeping_stacks import Keepers


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
        make_first_calls()
        device = next((p.device.type for p in model.parameters() if p.device.type != "meta"), "cpu")
        compiled = any(m._compiled_call_impl is not None or "_orig_mod" in m._modules for m in model.modules())
        if compiled and not hasattr(torch.compiler, "set_stance"):
            raise RuntimeError(f"tracing a compiled model needs torch >= 2.6; this is torch {torch.__version__}")
        return cls(device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device), compiled)

    @contextmanager
    def restored(self, *, grad: bool = False) -> Iterator[None]:
        """Run under these settings, without gradients unless they are asked for."""
        with ExitStack() as stack:
            if self.compiled:  # hooks on compiled modules never fire; entered only then, because other threads see it
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(torch.inference_mode(False))  # its tensors do not count their versions
            stack.enter_context(torch.set_grad_enabled(grad))
            stack.enter_context(torch.autocast(self.device, dtype=self.autocast_dtype, enabled=self.autocast))
            yield


@dataclass(frozen=True)
class Tape:
    """What one forward pass left behind.

    Attributes:
        length: Tokens in the text.
        blocks: One call per block, in order.
        witnesses: For each block, some rows of what its attention heads read, ``[text, row, head, dim]`` per attention call.
        logits: The model's own logits, ``[position, vocab]`` (of the last position only where the model can do that), or
            None for a model that has no unembedding.
        numerics: What it ran under.
        editing: The edits that it was made under, and that its replays make again.
        cloned: The blocks overwrite their inputs in place, so the tape holds copies.
        kept: Readings that were kept meanwhile: see `mechviz.models.keeping`.
        graph: What gradients need, if it was asked for.
    """

    length: int
    blocks: tuple[ModuleCall, ...]
    witnesses: tuple[tuple[torch.Tensor, ...], ...]
    logits: torch.Tensor | None
    numerics: Numerics
    editing: Editing
    cloned: bool = False
    kept: dict[Any, Any] = field(default_factory=dict)
    graph: Graph | None = None

    alone: ClassVar[bool] = (
        True  # a replay is of this text and no other: what listens to it hears this text's attention
    )

    @property
    def n_bytes(self) -> int:
        """Bytes that the tape keeps alive."""
        held = [t for call in self.blocks for t in _tensors((call.args, call.kwargs, call.result))]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}.values())

    def entering(self, layer: int) -> torch.Tensor:
        """The residual stream that enters a block, ``[position, d_model]``."""
        return self._rows(self.blocks[layer].input)

    def leaving(self, layer: int) -> torch.Tensor:
        """The residual stream that leaves a block, ``[position, d_model]``."""
        return self._rows(self.blocks[layer].output)

    def left(self, layer: int) -> torch.Tensor:
        """What a block gave in its last replay, ``[position, d_model]``, before edits of the stream behind it."""
        unedited = self.editing.left.get(layer)
        return self.leaving(layer) if unedited is None else self._rows(unedited)

    def _rows(self, stream: torch.Tensor | None) -> torch.Tensor:
        # There is one text, so every axis but the last two is of length 1; some models flatten them away inside.
        if stream is None or stream.shape[:-1].numel() != self.length:
            shape = None if stream is None else tuple(stream.shape)
            raise Unavailable(
                f"what runs through the blocks has shape {shape}, not one vector for each of {self.length} tokens"
            )
        return stream.detach().reshape(self.length, stream.shape[-1])

    def attention(self, layer: int) -> list[AttentionCall]:
        """Run one block again up to its attention, and give what that was called with.

        Raises:
            WeightsMoved: The heads no longer read the very bits that they read in the forward pass.
        """
        for grad in self._ways:
            recorder = Recorder(stop_after=len(self.witnesses[layer]))
            with suppress(StopForward):
                self._run(layer, (), recorder, grad=grad)
            pairs = zip(recorder.calls, self.witnesses[layer], strict=True)
            if all(_same_bits(_witness(call), witness) for call, witness in pairs):
                return recorder.calls
        raise _moved(layer)

    @property
    def _ways(self) -> tuple[bool, ...]:
        """How to replay: without gradients, which some kernels compute otherwise than with them (T5's, for its bias)."""
        return (False,) if self.graph is None else (False, True)

    def replay(
        self, layer: int, watch: Iterable[nn.Module] = (), also: AbstractContextManager[Any] | None = None
    ) -> Watch:
        """Run one block again on what it was given, and compare what it gives.

        Args:
            layer: Which block.
            watch: Modules whose calls to keep.
            also: Entered around the block.

        Raises:
            WeightsMoved: It does not give the very bits that it gave in the forward pass.
        """
        watch = list(watch)
        for grad in self._ways:
            seen, result = self._run(layer, watch, None, also, grad=grad)
            if any(call.overwritten for call in seen.calls):
                seen, result = self._run(layer, watch, None, also, clone=True, grad=grad)
            if _same_bits(first_tensor((result,), {}), self.blocks[layer].output):
                return seen.detached() if grad else seen
        raise _moved(layer)

    def _run(
        self,
        layer: int,
        watch: Iterable[nn.Module],
        listener: Listener | None,
        also: AbstractContextManager[Any] | None = None,
        *,
        clone: bool = False,
        grad: bool = False,
    ) -> tuple[Watch, Any]:
        call = self.blocks[layer]
        args, kwargs = call.args, call.kwargs
        if self.cloned and call.given is not None:  # or the replay would overwrite the tape
            args, kwargs, _ = swap(args, kwargs, call.given, call.given.clone())
        with self.numerics.restored(grad=grad), ExitStack() as stack:
            stack.enter_context(
                self.editing.open(alone=True)
            )  # its hooks before the watch's, which see what they changed
            seen = stack.enter_context(Watch(watch, clone=clone))
            if listener is not None:
                stack.enter_context(listen(listener))
            if also is not None:
                stack.enter_context(also)
            return seen, call.module(*args, **kwargs)


def record(
    model: nn.Module,
    blocks: Iterable[nn.Module],
    inputs: dict[str, Any],
    editing: Editing,
    *,
    clone: bool = False,
    keeper: Keeper | Keepers | None = None,
) -> Tape:
    """Run the model once and keep what each block was given.

    Args:
        model: The model; called as ``model(**inputs)``.
        blocks: Its blocks, in order.
        inputs: What to call it with.
        editing: The edits to make meanwhile.
        clone: Keep copies: for models that overwrite their residual stream in place (found out, at one more pass).
        keeper: What keeps readings meanwhile.

    Raises:
        NotImplementedError: The blocks did not run once each, in order.
    """
    if all(p.device.type == "meta" for p in model.parameters()) and not any(
        _brings_weights(m) for m in model.modules()
    ):
        raise ValueError(f"{type(model).__name__} has no weights in memory: its parameters are on the meta device")
    number = {block: layer for layer, block in enumerate(blocks)}
    numerics = Numerics.of(model)
    watch = Watch(number, clone=clone)
    graph = keeper.graph if keeper else None
    recorder = Recorder(
        where=lambda: watch.running[-1].module if watch.running else None,
        keep=keeper.hear if keeper else _witness,
        detach=graph is None,
    )
    with (
        numerics.restored(),
        editing.open(alone=True),
        watch,
        keeper.open() if keeper else nullcontext(),
        listen(recorder),
    ):
        output = model(**inputs)
    ran = [number[call.module] for call in watch.calls]
    if ran != list(range(len(number))):
        raise NotImplementedError(f"the model's {len(number)} blocks should run once each, in order; they ran as {ran}")
    if any(call.overwritten for call in watch.calls):
        return record(model, number, inputs, editing, clone=True, keeper=keeper and keeper.again())
    if keeper is not None and keeper.spoilt:
        return record(model, number, inputs, editing, clone=clone, keeper=keeper.again())
    for call in watch.calls:  # a cache would be filled again by a replay; without one a block computes the same
        call.args = tuple(None if isinstance(value, Cache) else value for value in call.args)
        call.kwargs = {name: None if isinstance(value, Cache) else value for name, value in call.kwargs.items()}
    heard = list(zip(recorder.places, recorder.calls, strict=True))
    witnesses = tuple(tuple(rows for place, rows in heard if place is block) for block in number)
    stream = watch.calls[0].input if watch.calls else None
    length = (
        inputs["input_ids"].shape[1] if "input_ids" in inputs else 0 if stream is None else stream.shape[:-1].numel()
    )
    kept = keeper.kept if keeper else {}
    return Tape(length, tuple(watch.calls), witnesses, own_logits(model, output), numerics, editing, clone, kept, graph)


def _brings_weights(module: nn.Module) -> bool:
    """Whether something fetches a module's weights when it runs, as offloading does."""
    return bool(module._forward_pre_hooks) or hasattr(module, "_hf_hook")


def inputs_of(model: nn.Module, ids: Sequence[int], *, logits_to_keep: int = 0) -> dict[str, Any]:
    """What to call a model with for one text: its ids, no cache, and no more logits than needed where it can do that."""
    device = next((p.device for p in model.parameters() if p.device.type != "meta"), torch.device("cpu"))
    inputs: dict[str, Any] = {"input_ids": torch.tensor([list(ids)], device=device)}
    wanted = {"use_cache": False, "return_dict": True, "logits_to_keep": logits_to_keep}
    takes = inspect.signature(model.forward).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    return inputs | {key: wanted[key] for key in wanted if key in takes or (anything and key == "use_cache")}


def own_logits(model: nn.Module, output: Any) -> torch.Tensor | None:
    """A language model's logits among what it returned, ``[position, vocab]``; of several texts ``[text, position, vocab]``."""
    find_head: Any = getattr(model, "get_output_embeddings", lambda: None)
    logits = getattr(output, "logits", None)
    if logits is None or logits.dim() != 3 or find_head() is None:
        return None
    return logits.detach()[0] if len(logits) == 1 else logits.detach()


def _witness(call: AttentionCall) -> torch.Tensor:
    """Three rows of what the heads read in each text: the last holds every query, key and value weight of the layer to account.

    A copy, ``[text, row, head, dim]``. A list of rows as an index would make an accelerator wait for it in every layer.
    """
    length = call.z.shape[1]
    return torch.stack([call.z[:, row] for row in (0, length // 2, length - 1)], 1)


def _moved(layer: int) -> WeightsMoved:
    return WeightsMoved(
        f"replaying layer {layer} no longer gives what the forward pass gave. The model has changed since this trace was "
        "made (weights, hooks, dropout, training mode or numeric settings): trace the text again"
    )


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
