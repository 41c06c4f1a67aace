"""What attention computes, heard where transformers looks its attention functions up.

Every modern attention module of transformers asks ``AttentionInterface.get_interface`` for the function it then calls with
queries, keys and values. That one method is wrapped, once per process; a ``ContextVar`` says whether anyone in this thread
or task listens. Nothing about a model changes: not its config, masks, kernels or outputs.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import AttentionInterface

# listener(function, module, *args, **kwargs) stands in for function(module, *args, **kwargs)
Listener = Callable[..., Any]

_listener: ContextVar[Listener | None] = ContextVar("mechviz_attention_listener", default=None)
_editor: ContextVar[Listener | None] = ContextVar("mechviz_attention_editor", default=None)
_installing = threading.Lock()


class StopForward(Exception):
    """Ends a replay that has seen what it was for."""


def install() -> None:
    """Wrap the lookup. Safe to call again; costs an attention call about a microsecond while nobody listens."""
    with _installing:
        lookup = AttentionInterface.get_interface
        if getattr(lookup, "_mechviz", False):
            return

        @functools.wraps(lookup)
        def get_interface(self: Any, *args: Any, **kwargs: Any) -> Any:
            function = lookup(self, *args, **kwargs)
            # A constant for the compiler, so that the ContextVar never breaks a graph of the user's.
            if torch.compiler.is_compiling():
                return function
            editor, listener = _editor.get(), _listener.get()
            if editor is not None:
                function = EditedAttention(function, editor)
            return function if listener is None else functools.partial(listener, function)

        get_interface._mechviz = True  # type: ignore[attr-defined]
        AttentionInterface.get_interface = get_interface  # type: ignore[method-assign]


class EditedAttention:
    """An attention function whose result an editor may change; it remembers what the function itself gave.

    Args:
        function: The function.
        editor: ``editor(this, module, *args, **kwargs) -> output``.
    """

    def __init__(self, function: Callable[..., Any], editor: Callable[..., Any]) -> None:
        self.function, self._editor = function, editor
        self.computed: torch.Tensor | None = None  # z before the edits of the last call
        self.knocked: tuple[Any, ...] = ()  # the knock-outs among them

    def __call__(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Call the function and hand its result to the editor."""
        return self._editor(self, module, *args, **kwargs)


@contextmanager
def edit_attention(editor: Listener) -> Iterator[None]:
    """Let ``editor`` change what attention functions give in this thread or task; a listener hears the changed result."""
    install()
    token = _editor.set(editor)
    try:
        yield
    finally:
        _editor.reset(token)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Let ``listener`` stand in for the attention functions that this thread or task looks up meanwhile."""
    install()
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Recorder:
    """A listener that calls the function exactly as the model did and keeps what went in and out.

    Args:
        stop_after: Raise `StopForward` after this many calls; None lets the forward pass go on.
        where: Called at each call; its result is kept beside it in ``places``.
        keep: What to keep of each call; all of it, by reference, unless given.
        detach: Cut the tensors off the graph that autograd may record.
    """

    def __init__(
        self,
        *,
        stop_after: int | None = None,
        where: Callable[[], Any] = lambda: None,
        keep: Callable[[AttentionCall], Any] = lambda call: call,
        detach: bool = True,
    ) -> None:
        self.calls: list[Any] = []
        self.places: list[Any] = []
        self._stop_after, self._where, self._keep, self._detach = stop_after, where, keep, detach

    def __call__(self, function: Callable[..., Any], module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Stand in for ``function(module, *args, **kwargs)``."""
        output = function(module, *args, **kwargs)
        self.calls.append(self._keep(read_call(function, module, args, kwargs, output, detach=self._detach)))
        self.places.append(self._where())
        if len(self.calls) == self._stop_after:
            raise StopForward
        return output


@dataclass(frozen=True)
class AttentionCall:
    """One call of an attention function, by reference.

    ``queries`` is ``[batch, head, query, dim]``, ``keys`` and ``values`` are ``[batch, key head, key, dim]``, ``z`` (what the
    heads read) is ``[batch, query, head, dim]``. ``mask`` is what the function got: None, ``[batch, head, query, key]`` bool
    (True = may attend) or float (added to the scores), or ``[batch, key]`` (padding). ``causal`` and ``window`` hold only
    what the function adds to the mask by itself. Under edits ``computed`` is z as it was before them, and ``knocked`` are the
    attentions that were knocked out. ``shared`` says that queries, keys and values are all going to be kept, so that a storage
    which they share need not be copied from.
    """

    module: nn.Module | None
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    z: torch.Tensor
    scale: float
    mask: Any = None
    causal: bool = False
    window: int | None = None
    offset: int = 0
    softcap: float | None = None
    sinks: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    dropout: float = 0.0
    computed: torch.Tensor | None = None
    knocked: tuple[Any, ...] = ()
    shared: bool = False


def read_call(
    function: Callable[..., Any],
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
    *,
    detach: bool = True,
) -> AttentionCall:
    """Name the arguments of an attention call; they may have come by position or by keyword."""
    own = _detached if detach else _as_it_is
    edited, computed, knocked = function, None, ()
    if isinstance(edited, EditedAttention):
        function, computed, knocked = edited.function, edited.computed, edited.knocked
    given = _arguments(function, module, args, kwargs)
    queries, keys, mask = given["query"], given["key"], given.get("attention_mask")
    length = queries.shape[2]
    flash = function is flash_attention_forward
    # Of the functions of transformers only eager ones leave causality wholly to the mask. A function that somebody
    # registered is taken to do as sdpa does; the row check then decides whether that was right.
    eager = not flash and function is not sdpa_attention_forward and "eager" in getattr(function, "__name__", "")
    causal = given.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    causal = bool(causal) and not eager and length > 1 and (mask is None or flash)
    if causal and not flash and keys.shape[2] > length:  # a static cache, which sdpa cuts to the queries' length
        keys, given["value"] = keys[:, :, :length], given["value"][:, :, :length]
    scale = given.get("scaling")
    return AttentionCall(
        module,
        own(queries),
        own(keys),
        own(given["value"]),
        own(output[0] if isinstance(output, tuple) else output),
        scale=queries.shape[-1] ** -0.5 if scale is None else float(scale),
        mask=mask,
        causal=causal,
        window=given.get("sliding_window") if flash else None,
        offset=keys.shape[2] - length if flash else 0,  # flash aligns queries with the last keys, sdpa with the first
        softcap=given.get("softcap") if function is not sdpa_attention_forward else None,  # which does not cap
        sinks=own(given.get("s_aux") if given.get("sinks") is None else given["sinks"]),
        bias=own(given.get("position_bias")),
        dropout=float(given.get("dropout") or 0.0),
        computed=own(computed),
        knocked=knocked,
    )


def _detached(x: Any) -> Any:
    return None if x is None else x.detach()


def _as_it_is(x: Any) -> Any:
    return x


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _arguments(function: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        bound = _signature(function).bind_partial(module, *args, **kwargs).arguments
    except (TypeError, ValueError):  # a kernel without a readable signature: the order that all of transformers keeps
        return dict(zip(("query", "key", "value", "attention_mask"), args, strict=False)) | kwargs
    named = dict(bound)
    for parameter in _signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name, {})
    return named
