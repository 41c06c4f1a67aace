"""Inputs and outputs of chosen modules during a forward pass, through hooks that leave nothing behind.

The hooks live on the modules only while a watch is open, and answer only in the thread or task that opened it, so that a
forward pass that runs beside it is neither recorded nor changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

_open: ContextVar[tuple[Watch, ...]] = ContextVar("mechviz_open_watches", default=())


@dataclass(eq=False)
class ModuleCall:
    """One call of a module: what the caller gave, what reached ``forward``, and what came out.

    ``given`` is the tensor that flows in ``args`` or ``kwargs``, ``input`` what it has become after all hooks. ``unedited`` is
    what came out before edits, if there were any.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: torch.Tensor | None = None
    input: torch.Tensor | None = None
    output: torch.Tensor | None = None
    unedited: torch.Tensor | None = None
    result: Any = None
    finished: bool = False
    versions: list[tuple[torch.Tensor, int]] = field(default_factory=list)

    @property
    def written(self) -> torch.Tensor | None:
        """What came out, before edits of that."""
        return self.output if self.unedited is None else self.unedited

    @property
    def overwritten(self) -> bool:
        """Whether a tensor kept by reference was changed in place after it was kept."""
        return any(tensor._version != version for tensor, version in self.versions)


class Watch:
    """Records the calls of modules while it is open: ``with Watch(modules) as watch: model(...)``; then ``watch.calls``.

    Args:
        modules: The modules.
        clone: Keep copies, for modules whose tensors are later changed in place; else references.
    """

    def __init__(self, modules: Iterable[nn.Module], *, clone: bool = False) -> None:
        self.calls: list[ModuleCall] = []
        self.running: list[ModuleCall] = []
        self._modules = list(dict.fromkeys(modules))
        self._clone = clone
        self._handles: list[Any] = []
        self._token: Token[tuple[Watch, ...]] | None = None

    def __enter__(self) -> Watch:
        self._token = _open.set((*_open.get(), self))
        try:
            for module in self._modules:
                # First, so that a replay from these arguments meets the user's own hooks again.
                before = module.register_forward_pre_hook(self._before, prepend=True, with_kwargs=True)
                self._handles += [before, module.register_forward_hook(self._after, with_kwargs=True)]
                if self._clone:
                    self._handles.append(module.register_forward_pre_hook(self._arrived, with_kwargs=True))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._token is not None:
            _open.reset(self._token)

    def detached(self) -> Watch:
        """Itself, with the tensors of its calls cut off the graph."""
        for call in self.calls:
            for name in ("given", "input", "output"):
                x = getattr(call, name)
                setattr(call, name, None if x is None else x.detach())
        return self

    def of(self, module: nn.Module) -> ModuleCall | None:
        """The last finished call of a module."""
        return next((call for call in reversed(self.calls) if call.module is module and call.finished), None)

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self not in _open.get():
            return
        flowing = first_tensor(args, kwargs)
        if self._clone and flowing is not None:
            args, kwargs, flowing = swap(args, kwargs, flowing, flowing.clone())
        call = ModuleCall(module, args, dict(kwargs), given=flowing, input=flowing)
        if flowing is not None:
            call.versions.append((flowing, flowing._version))
        self.calls.append(call)
        self.running.append(call)

    def _arrived(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What reaches a module that may then overwrite it: after the user's own pre-hooks."""
        flowing = first_tensor(args, kwargs)
        if self in _open.get() and self.running and flowing is not None:
            self.running[-1].input = flowing.clone()

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if self not in _open.get() or not self.running:
            return
        call = self.running.pop()
        call.result = result
        call.output = first_tensor((result,), {})
        if self._clone and call.output is not None:
            call.output = call.result = call.output.clone()
        if call.output is not None:
            call.versions.append((call.output, call.output._version))
        if not self._clone:
            call.input = first_tensor(args, kwargs)  # after the user's own pre-hooks
        call.finished = True


def first_tensor(args: Any, kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """The first tensor among arguments or in a result: what flows through a module."""
    for value in (*args, kwargs.get("hidden_states"), *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, (tuple, list)):
            found = first_tensor(value, {})
            if found is not None:
                return found
        if isinstance(value, Mapping):
            found = first_tensor(value.values(), {})
            if found is not None:
                return found
    return None


def swap(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], old: torch.Tensor, new: torch.Tensor
) -> tuple[tuple[Any, ...], dict[str, Any], torch.Tensor]:
    """Arguments in which ``new`` stands in for ``old``; and ``new``."""
    return (
        tuple(new if value is old else value for value in args),
        {name: new if value is old else value for name, value in kwargs.items()},
        new,
    )


def replaced(value: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """Arguments or a result in which ``new`` stands in for ``old``, of the same types."""
    if value is old:
        return new
    if type(value) is tuple or type(value) is list:
        return type(value)(replaced(item, old, new) for item in value)
    if isinstance(value, dict):
        made = {key: replaced(item, old, new) for key, item in value.items()}
        return made if type(value) is dict else type(value)(**made)
    return value
