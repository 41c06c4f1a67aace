"""Several texts in one forward pass, padded on the right: each of them reads like a trace of its own.

The tape is of the whole batch, and so is a replay: all of its texts are computed again and must give, bit for bit, what the
batched pass gave, before one text's part is cut out. So nothing stale or mixed can be read. What is *not* promised is that
the numbers are those of the text traced alone, bit for bit: matrix products of other shapes round differently. That it is
no more than rounding is checked on the first batch of a model, and on the first with padding in it: the shortest text is
traced alone, too, and its residual stream compared in every layer; a model whose texts or padding leak into each other has
them traced one at a time.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import nn

from mechviz._layered import Unavailable

from .capture import AttentionCall
from .tape import Tape, inputs_of
from .watch import ModuleCall, Watch

KEPT_REPLAYS = 256 << 20  # bytes: rows of one batch are read one after the other, mostly at the same layers


def batched_inputs(model: nn.Module, texts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """What to call a model with for several texts: padded on the right, masked if there is padding.

    Of the logits those after the last token of each text, where the model can do that.
    """
    lengths, device = [len(ids) for ids in texts], inputs_of(model, [0])["input_ids"].device
    config: Any = getattr(model, "config", None)
    pad = getattr(config, "pad_token_id", None)
    ids = torch.full((len(texts), max(lengths)), pad if isinstance(pad, int) and pad >= 0 else 0)  # [text, position]
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(list(text))
    inputs = inputs_of(model, [0], logits_to_keep=1) | {"input_ids": ids.to(device)}
    if "logits_to_keep" in inputs:
        inputs["logits_to_keep"] = torch.tensor(ends_of(lengths), device=device)
    if len(set(lengths)) > 1 and "attention_mask" in inspect.signature(model.forward).parameters:
        there = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        inputs["attention_mask"] = there.long().to(device)
    return inputs


def ends_of(lengths: Sequence[int]) -> list[int]:
    """The positions that some text ends at, in order."""
    return sorted({length - 1 for length in lengths})


class Batch:
    """The tape of several texts, and its last replays.

    Args:
        tape: Of the whole batch, ``logits`` ``[text, position, vocab]``.
        lengths: Tokens of each text.
    """

    def __init__(self, tape: Tape, lengths: Sequence[int]) -> None:
        self.tape, self.lengths = tape, tuple(lengths)
        self._replays: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def rows(self) -> list[Row]:
        """A tape for each text."""
        tape = self.tape
        parts = (tape.blocks, tape.witnesses)
        return [
            Row(length, *parts, self._logits(row), tape.numerics, tape.editing, tape.cloned, batch=self, number=row)
            for row, length in enumerate(self.lengths)
        ]

    def replay(self, layer: int, watch: Sequence[nn.Module]) -> list[ModuleCall]:
        """The calls of modules in one block, all texts together; kept for the next text's reading."""
        if not watch:  # whoever asks for no calls listens to the pass itself
            return self.tape.replay(layer).calls
        return self._once((layer, tuple(watch)), lambda: self.tape.replay(layer, watch).calls)

    def attention(self, layer: int) -> list[AttentionCall]:
        """The attention calls of one block, all texts together; kept for the next text's reading."""
        return self._once(layer, lambda: self.tape.attention(layer))

    def forget(self) -> None:
        """Let go of the replays."""
        self._replays.clear()

    def cut(self, x: torch.Tensor | None, row: int) -> torch.Tensor | None:
        """One text's part of a tensor, copied: ``[1, position, …]``, or ``[position, …]`` where the two axes are one."""
        texts, longest, length = len(self.lengths), self.tape.length, self.lengths[row]
        if x is None or x.dim() < 2:
            return None
        if x.shape[1] == longest and x.shape[0] in (1, texts):
            return x[row : row + 1, :length].clone() if x.shape[0] == texts else x[:, :length].clone()
        if x.shape[0] == texts * longest:
            return x.reshape(texts, longest, *x.shape[1:])[row, :length].clone()
        return None

    def cut_attention(self, call: AttentionCall, row: int) -> AttentionCall:
        """One text's part of an attention call.

        Raises:
            Unavailable: It is no attention of every token to every token.
        """
        texts, longest, n = len(self.lengths), self.tape.length, self.lengths[row]
        for x in (call.queries, call.keys, call.values):
            if (x.shape[0], x.shape[2]) != (texts, longest):
                raise Unavailable(f"its attention has shape {tuple(x.shape)}, not (text, head, position, dim)")
        mine = slice(row, row + 1)

        def square(x: Any) -> Any:  # [text or 1, head or 1, query, key]
            if not isinstance(x, torch.Tensor):
                return x
            x = x[mine] if x.shape[0] == texts else x
            return x[:, :n] if x.dim() == 2 else x[:, :, :n, :n]

        mask = square(call.mask)
        if isinstance(mask, torch.Tensor) and not bool((~mask if mask.dtype == torch.bool else mask != 0).any()):
            mask = None if mask.dim() == 4 else mask  # nothing is hidden from this text
        return replace(
            call,
            queries=call.queries[mine, :, :n].clone(),
            keys=call.keys[mine, :, :n].clone(),
            values=call.values[mine, :, :n].clone(),
            z=call.z[mine, :n].clone(),
            mask=mask,
            bias=square(call.bias),
            sinks=square(call.sinks) if call.sinks is not None and call.sinks.dim() == 4 else call.sinks,
        )

    def _logits(self, row: int) -> torch.Tensor | None:
        logits, last = self.tape.logits, self.lengths[row] - 1
        if logits is None:
            return None
        if logits.shape[1] == self.tape.length:  # a model that gives them all
            return logits[row, : last + 1]
        return logits[row, [ends_of(self.lengths).index(last)]]

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._replays:
            made = make()
            self._replays[key] = (made, _bytes(made))
            while len(self._replays) > 1 and sum(n for _, n in self._replays.values()) > KEPT_REPLAYS:
                self._replays.popitem(last=False)
        self._replays.move_to_end(key)
        return self._replays[key][0]


@dataclass(frozen=True)
class Row(Tape):
    """The tape of one text of a batch: a replay is of the whole batch, and checked as such.

    Attributes:
        batch: The batch.
        number: Which of its texts.
    """

    batch: Batch = field(kw_only=True)
    number: int = field(kw_only=True)

    alone: ClassVar[bool] = False

    @property
    def n_bytes(self) -> int:
        """This text's share of what the batch keeps alive."""
        return self.batch.tape.n_bytes * self.length // sum(self.batch.lengths)

    def _rows(self, stream: torch.Tensor | None) -> torch.Tensor:
        mine = self.batch.cut(stream, self.number)
        if mine is None or mine.shape[:-1].numel() != self.length:
            shape = None if stream is None else tuple(stream.shape)
            raise Unavailable(f"what runs through the blocks has shape {shape}, not (text, position, d_model)")
        return mine.detach().reshape(self.length, mine.shape[-1])

    def attention(self, layer: int) -> list[AttentionCall]:
        """This text's part of a replay up to the attention: see `Tape.attention`."""
        return [self.batch.cut_attention(call, self.number) for call in self.batch.attention(layer)]

    def replay(
        self, layer: int, watch: Iterable[nn.Module] = (), also: AbstractContextManager[Any] | None = None
    ) -> Watch:
        """This text's part of a replay: see `Tape.replay`."""
        assert also is None  # only models that compute attention by themselves need it, and those are not batched
        seen = Watch(())
        for call in self.batch.replay(layer, list(watch)):
            given, input_, output = (self.batch.cut(x, self.number) for x in (call.given, call.input, call.output))
            mine = ModuleCall(call.module, (), {}, given, input_, output, finished=call.finished)
            seen.calls.append(mine)
        return seen


def _bytes(made: Sequence[Any]) -> int:
    tensors = [x for item in made for x in vars(item).values() if isinstance(x, torch.Tensor)]
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())
