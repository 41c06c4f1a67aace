"""A model ready to be traced."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, overload

import torch
from torch import nn

from mechviz.text import Tokens

from .budget import Estimate, check_budget, estimate
from .editing import Editing, active_edits, no_edits
from .edits import Edit
from .encode import Encoded, encode, is_many
from .fingerprint import fingerprint
from .keeping import Keeper
from .keeping_stacks import Keepers
from .known import structure_of
from .many import show_progress, stream
from .provenance import check_ids, check_whole, name_of, tokens_of
from .stacks import open_edits, trace_inputs
from .structure import Stack, Structure, find_stacks, text_stack
from .tape import Numerics, Tape, inputs_of, record
from .trace import Trace
from .wanted import Capture, wanted

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


class Model:
    """A language model and its tokenizer. `mechviz.load` makes it; `trace` is what it is for.

    The model itself (`module`) stays the user's: nothing on it is changed, and it gives the same bits as before.

    Attributes:
        module: The transformers model.
        tokenizer: Its tokenizer, or None.
        name: What pictures call it.
        revision: The commit of the hub that `mechviz.load` read it from, or None; every picture's provenance has it.
        stacks: Its stacks of blocks: one, or "encoder" and "decoder", "text" and "vision".
    """

    def __init__(
        self,
        module: nn.Module,
        tokenizer: Any = None,
        *,
        name: str | None = None,
        bos: bool | None = None,
        revision: str | None = None,
    ):
        self.module = getattr(module, "_orig_mod", module)
        self.tokenizer = tokenizer
        self.name = name or name_of(self.module)
        self.revision = revision
        self._bos = bos
        check_whole(self.module, self.name)
        self.stacks = self._find_stacks()
        self._stack = text_stack(self.stacks)
        self._structures: dict[Any, Any] = {}  # by the names of inputs, where these are no single text
        self._structure: Structure | None = None
        self._overwrites = False  # whether its blocks write into their inputs
        self._alone = ""  # why texts are not run together in batches
        self._compared: set[bool] = set()  # whether a batch, and one with padding, was held against a text alone
        self._probed = ""  # fingerprint of the weights that the structure was found with
        self.lock = lock_of(self.module)

    def _find_stacks(self) -> tuple[Stack, ...]:
        return find_stacks(self.module)

    @property
    def n_layers(self) -> int:
        """How many blocks the residual stream runs through."""
        return len(self._stack.blocks)

    @property
    def device(self) -> torch.device:
        """Where tokens go in."""
        return next((p.device for p in self.module.parameters() if p.device.type != "meta"), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)

    @overload
    def trace(  # type: ignore[overload-overlap]
        self,
        x: list[str] | list[list[dict[str, Any]]],
        bos: bool | None = None,
        *,
        capture: Capture = None,
        grad: bool = False,
        edits: Sequence[Edit] | Edit = (),
        budget: int | None = None,
    ) -> list[Trace]: ...
    @overload
    def trace(
        self,
        x: str | Sequence[int] | Sequence[Mapping[str, Any]] | Any,
        bos: bool | None = None,
        *,
        capture: Capture = None,
        grad: bool = False,
        edits: Sequence[Edit] | Edit = (),
        budget: int | None = None,
    ) -> Trace: ...
    def trace(
        self,
        x: Any,
        bos: bool | None = None,
        *,
        capture: Capture = None,
        grad: bool = False,
        edits: Sequence[Edit] | Edit = (),
        budget: int | None = None,
    ) -> Trace | list[Trace]:
        """Run the model once over a text and keep its residual stream, from which everything else is read when asked.

        Args:
            x: The text; its token ids, a list or a tensor ``[position]`` or ``[1, position]``; or a chat, a list of
                ``{"role": "user", "content": "Hello"}``, spelled by the tokenizer's chat template. A chat that ends with an
                answer of the assistant is traced as it is; any other with the beginning of an answer behind it.
                ``trace.tokens.prompt`` says how many positions stand before the answer. A list of texts or of chats gives a
                list of traces, each as if it were alone, run in batches as `traces` says. Or named inputs, for everything
                else that a model takes, one text or image: ``{"pixel_values": …}``, ``{"input_ids": …, "attention_mask": …}``,
                ``{"input_ids": "Hello", "decoder_input_ids": …}``. A model with an encoder and a decoder reads a text with
                its encoder, and without more its decoder begins with the start token alone; ``trace.stacks`` has both.
            bos: Whether a beginning-of-sequence token stands in front. None does what the tokenizer or the chat template
                does (the embedded model was trained with one, and gets it); True puts one there unless there is one; False
                leaves out what they would add. Ids are taken as they are unless it is True. There are never two.
            capture: What to keep during the pass; what is not kept is recomputed, exactly, when it is read. Names of
                readings such as "attention" and "neurons" (of every layer), "everything", the number of a layer
                (everything in it), single sites such as "L5H1" or ``mv.Neuron(3, 17)``; one of these or a list; or a
                mapping from names to layers, ``{"attention": [3, 4]}``. With what `save` and many reads of one layer want
                at hand, they cost no replay.
            grad: Keep what `Trace.grad` needs, so that every metric costs a backward pass only; without it a gradient takes
                one more forward pass, and nothing has to be kept for it. Lists of texts run one at a time then.
            edits: Changes to make during the pass (`ablate`, `patch`, `steer`, `knock_out`, `edit`), one after the other.
                Everything in the trace is then of the edited model, and every picture of it says so.
            budget: Bytes that the trace may keep; None for a quarter of the free memory.

        Returns:
            The trace, or one for each of a list of texts; ``trace.tokens.provenance`` records model, weights, text, dtype and beginning.

        Raises:
            ValueError: No tokens, ids that the model does not know, more tokens than it has positions for, a chat for a
                tokenizer without a template, or a model in training mode whose dropout is active.
            Unavailable: The model lacks the site of an edit.
            MemoryError: It would keep more than the budget; the message says what fits.
            TypeError: ``x`` is neither text nor ids nor a chat.

        Example:
            >>> trace = mv.load().trace("When Mary and John went")  # doctest: +SKIP
        """
        if isinstance(x, Mapping) or self._reads_two:
            made = [*active_edits(self.module), *([edits] if isinstance(edits, Edit) else edits)]
            several = not isinstance(x, Mapping) and is_many(x)
            given = [x if isinstance(x, Mapping) else {"input_ids": x} for x in (x if several else [x])]
            traces = [trace_inputs(self, one, made, capture, grad, budget) for one in given]
            return list(traces) if several else traces[0]
        if not is_many(x):
            return self._trace(encode(self.tokenizer, x, bos, default=self._bos), edits, budget, capture, grad)
        encoded = [encode(self.tokenizer, text, bos, default=self._bos) for text in x]
        if grad:
            return [self._trace(text, edits, budget, capture, grad) for text in encoded]
        check_budget(self, sum(len(text.ids) for text in encoded), budget, wanted(capture, self.n_layers))
        made = [edits] if isinstance(edits, Edit) else list(edits)
        return list(stream(self, encoded, batch_size=None, edits=made, capture=capture, budget=budget))

    def _trace(
        self,
        text: Encoded,
        edits: Sequence[Edit] | Edit,
        budget: int | None = None,
        capture: Capture = None,
        grad: bool = False,
    ) -> Trace:
        ids = text.ids
        self._check(ids)
        wish = wanted(capture, self.n_layers)
        limit = check_budget(self, len(ids), budget, wish, grad=grad).less(estimate(self, len(ids)).tape)
        made = [*active_edits(self.module), *([edits] if isinstance(edits, Edit) else edits)]
        with self.lock:
            weights = fingerprint(self.module)
            if made or wish or grad:
                self._find_structure(ids, weights)
            editing = Editing(self.module, self._stack.blocks, self._structure, made)
            inputs = inputs_of(self.module, ids, logits_to_keep=1)
            keeper = Keeper(self, len(ids), wish, editing, limit, grad=grad) if wish or grad else None
            tape = self._record(inputs, editing, keeper)
            self._overwrites = tape.cloned
            self._find_structure(ids, weights)
        return self._traced(text, weights, tape)

    @property
    def _reads_two(self) -> bool:
        """Whether it has an encoder and a decoder."""
        return bool(getattr(getattr(self.module, "config", None), "is_encoder_decoder", False))

    def _traced(self, text: Encoded, weights: str, tape: Tape) -> Trace:
        return Trace(self, self._tokens(text, weights, [str(edit) for edit in tape.editing.edits]), tape)

    def traces(
        self,
        texts: Iterable[Any],
        bos: bool | None = None,
        *,
        batch_size: int | None = None,
        capture: Capture = None,
        edits: Sequence[Edit] | Edit = (),
        budget: int | None = None,
        progress: bool = True,
    ) -> Iterator[Trace]:
        """One trace after the other, in the order of the texts: ``for trace in model.traces(texts): ...``.

        A little is read ahead and bucketed by length, so that texts run in batches with little padding; none of that shows in
        a trace, which has its own text's positions only. A batch is freed when the last trace of it is.

        The numbers are those of `trace` to rounding, not bit for bit: matrix products of other shapes round differently. What
        is checked bit for bit, as always, is that a replay (of the batch) gives what the pass (of the batch) gave; and on
        the first batch of a model, and the first with padding, its shortest text is traced alone, too, and compared in every
        layer. A model for which that shows has its texts traced one at a time, as all are that compute attention by
        themselves (GPT-J, Bloom, …) or have an encoder and a decoder, and all that are edited;
        ``trace.tokens.provenance["batch"]``, texts and padded length, is then missing.

        Args:
            texts: Texts, chats, or token ids of each; read as the loop goes on.
            bos: As for `trace`.
            batch_size: Most texts in one forward pass; 1 gives what `trace` gives, bit for bit. None for as many as have
                4,096 tokens together, at most 8 on a CPU and 32 elsewhere.
            capture: As for `trace`; kept by one replay of each layer for all texts of a batch.
            edits: As for `trace`.
            budget: Bytes that all traces read ahead may keep; None for a quarter of the free memory.
            progress: Show a bar, once it takes longer than a second.

        Raises:
            ValueError: As for `trace`, of the text at fault; ``batch_size`` below 1.
            MemoryError: A single text would keep more than the budget.

        Example:
            >>> losses = [trace.loss.nanmean() for trace in model.traces(texts)]  # doctest: +SKIP
        """
        if self._reads_two:
            asked = {"capture": capture, "edits": edits, "budget": budget}
            return show_progress((self.trace(text, bos, **asked) for text in texts), texts, progress)
        encoded = (encode(self.tokenizer, text, bos, default=self._bos) for text in texts)
        made = [edits] if isinstance(edits, Edit) else list(edits)
        found = stream(self, encoded, batch_size=batch_size, edits=made, capture=capture, budget=budget)
        return show_progress(found, texts, progress)

    def generate(
        self,
        prompt: str | Sequence[int] | Any,
        max_new_tokens: int = 32,
        *,
        bos: bool | None = None,
        edits: Sequence[Edit] | Edit = (),
        **options: Any,
    ) -> Trace:
        """Let the model go on from a prompt, then trace prompt and answer together in one pass.

        The generation itself is the model's own ``generate``, with nothing recorded; the trace shows what the model computes
        when it reads all of it, which is what it computed step by step up to rounding. Of a model with an encoder and a
        decoder it is the trace of both: the encoder read the prompt, and the decoder's tokens are the answer.

        Args:
            prompt: As ``x`` of `trace`; of a chat whose last message is the assistant's, the model goes on with that message.
            max_new_tokens: Most tokens of the answer.
            bos: As for `trace`.
            edits: Made while it generates and in the trace.
            **options: For ``generate``, such as ``do_sample=False``.

        Returns:
            The trace; the answer starts at position ``trace.tokens.prompt``.

        Raises:
            ValueError: As for `trace`.

        Example:
            >>> mv.load().generate("When Mary and John went", 5, do_sample=False)  # doctest: +SKIP
        """
        asked = encode(self.tokenizer, prompt, bos, default=self._bos, answer=True).ids
        self._check(asked)
        made = [edits] if isinstance(edits, Edit) else edits
        given = torch.tensor([asked], device=self.device)
        run: Any = self.module
        with self.edited(*made) if made else nullcontext(), torch.no_grad():
            answer = run.generate(
                given, attention_mask=torch.ones_like(given), max_new_tokens=max_new_tokens, **options
            )
        if self._reads_two:  # the decoder begins with a token of its own
            before = [*active_edits(self.module), *([made] if isinstance(made, Edit) else made)]
            trace = trace_inputs(self, {"input_ids": given, "decoder_input_ids": answer}, before)
            trace.tokens = dataclasses.replace(trace.tokens, prompt=1)
            return trace
        return self._trace(Encoded(answer[0].tolist(), prompt=len(asked)), made)

    def estimate(self, n_tokens: int, capture: Capture = None, *, grad: bool = False) -> Estimate:
        """How much memory a trace of a text takes, and how large its file is, from the model's config alone; nothing runs.

        Args:
            n_tokens: Tokens in the text.
            capture: As for `trace`.
            grad: As for `trace`.

        Raises:
            ValueError: ``n_tokens`` is below 1, or ``capture`` names what the model does not have.

        Example:
            >>> mv.load().estimate(1024).tape  # doctest: +SKIP
        """
        return estimate(self, n_tokens, wanted(capture, self.n_layers), grad=grad)

    @contextmanager
    def edited(self, *edits: Edit) -> Iterator[None]:
        """Make edits in whatever the model runs meanwhile: ``with model.edited(mv.ablate("L5H1")): module.generate(...)``.

        Only in this thread or task. Positions count from the start of each text, also when it is generated with a cache.
        A trace that is made meanwhile is made under these edits too. Nothing is left on the model afterwards.

        Args:
            *edits: As `trace` takes them.

        Raises:
            Unavailable: The model lacks the site of an edit.
        """
        if len(self.stacks) > 1 or getattr(self.module, "main_input_name", "input_ids") != "input_ids":
            editing: Editing = open_edits(self, edits)
        else:
            with self.lock:
                self._find_structure([0, 1, 2], fingerprint(self.module))
            editing = Editing(self.module, self._stack.blocks, self._structure, edits)
        with ExitStack() as stack:
            if Numerics.of(self.module).compiled:  # hooks on compiled modules never fire
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(editing.open())
            yield

    def _find_structure(self, ids: list[int], weights: str) -> None:
        if self._structure is None or (not self._structure.settled and self._probed != weights):
            with no_edits():
                self._structure, self._probed = structure_of(self.module, self._stack, ids, weights), weights

    @property
    def structure(self) -> Structure:
        """Where the model keeps what a trace shows; known once something was traced."""
        if self._structure is None:
            raise RuntimeError("nothing was traced yet")
        return self._structure

    def _record(self, inputs: dict[str, Any], editing: Editing, keeper: Keeper | Keepers | None = None) -> Tape:
        if not self.module.training:
            return record(self.module, editing.blocks, inputs, editing, clone=self._overwrites, keeper=keeper)
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # whatever is drawn below, the user's random numbers go on from here
            before = _random_state(self.device)
            tape = record(self.module, editing.blocks, inputs, editing, clone=self._overwrites, keeper=keeper)
            drawn = not all(map(torch.equal, before, _random_state(self.device)))
        if drawn:
            raise ValueError(
                f"{self.name} is in training mode and drew random numbers (dropout): no replay could repeat that. "
                "Call .eval() on it first; mechviz does not switch it for you"
            )
        return tape

    def _check(self, ids: list[int]) -> None:
        check_ids(self, ids)

    def _tokens(self, encoded: Encoded, weights: str, edits: list[str]) -> Tokens:
        return tokens_of(self, encoded, weights, edits)

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.module.parameters())
        return f"Model({self.name!r}, {self.n_layers} layers, {size:,} parameters, {self.dtype}, {self.device})"


def lock_of(module: nn.Module) -> threading.RLock:  # type: ignore[valid-type]
    """The lock that all traces of a module share."""
    return _locks.setdefault(module, threading.RLock())


def _random_state(device: torch.device) -> list[torch.Tensor]:
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])
