"""What `capture=`, `grad=` and `budget=` mean for a model with several stacks: a keeper for each, in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch

from mechviz.sites import Feature, hook_of, parse

from .budget import Limit
from .capture import AttentionCall
from .editing import Editing
from .keeping import Keeper
from .stack_trace import Side
from .tape import _witness
from .wanted import READINGS, TAPED, Capture, Wanted, wanted

NAMES = (*READINGS, *TAPED, "pattern", "everything")


class Keepers:
    """Keepers of the stacks of one model, open together; to `mechviz.models.tape.record` they are one.

    Args:
        parts: The keeper of each stack, by its name.

    Attributes:
        kept: The same: what each of them kept is its own.
        graph: The graph of the stack that runs first, if gradients were asked for.
    """

    def __init__(self, parts: Mapping[str, Keeper]) -> None:
        self.kept: dict[Any, Any] = dict(parts)
        self.graph = next(iter(parts.values())).graph

    @property
    def spoilt(self) -> bool:
        """Whether something read was overwritten later: run again with `again`."""
        return any(part.spoilt for part in self.kept.values())

    def again(self) -> Keepers:
        """New ones that keep copies."""
        held: dict[int, int] = {}
        return Keepers({name: part.again(held) for name, part in self.kept.items()})

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep meanwhile."""
        with ExitStack() as stack:
            for part in self.kept.values():
                stack.enter_context(part.open())
            yield

    def hear(self, call: AttentionCall) -> torch.Tensor:
        """What to keep of an attention call, by the keeper whose stack is running."""
        for part in self.kept.values():
            if part.running:
                return part.hear(call)
        return _witness(call)


def keepers(sides: Mapping[str, Side], editings: Mapping[str, Editing], wish: Any, limit: Limit, grad: bool) -> Keepers:
    """A keeper for each stack, in the order in which they run; together they hold no more than the limit."""
    held: dict[int, int] = {}
    made: dict[str, Keeper] = {}
    for name, side in sides.items():
        asked = (side, 0, wish[name], editings[name], limit)
        made[name] = Keeper(*asked, grad=grad, held=held, begins=not made)  # type: ignore[arg-type]
    return Keepers(made)


def wanted_of_stacks(capture: Capture, stacks: Mapping[str, int], main: str) -> dict[str, Wanted]:
    """Read ``capture`` for a model with several stacks.

    Names of readings are of every stack, and so are numbers of layers, where a stack has that layer; a site is of the stack
    that it names, or of the main one.

    Args:
        capture: As `mechviz.models.Model.trace` takes it.
        stacks: Name -> number of layers.
        main: Which stack a site without a stack's name is of.

    Raises:
        ValueError: A name that is none, a layer that no stack has, or a stack that does not run.
        TypeError: Something else.
    """
    most = max(stacks.values())
    if isinstance(capture, Mapping):
        chosen = {key: [layers] if isinstance(layers, int) else list(layers) for key, layers in capture.items()}
        wanted(chosen, most)  # says what is wrong
        return {
            name: wanted({key: [layer for layer in layers if layer < n] for key, layers in chosen.items()}, n)
            for name, n in stacks.items()
        }
    items: Sequence[Any] = capture if isinstance(capture, (list, tuple)) else [] if capture is None else [capture]
    found: dict[str, list[Any]] = {name: [] for name in stacks}
    for item in items:
        for name, one in _of_stacks(item, stacks, main, most):
            found[name].append(one)
    return {name: wanted(found[name], n) for name, n in stacks.items()}


def _of_stacks(item: Any, stacks: Mapping[str, int], main: str, most: int) -> list[tuple[str, Any]]:
    """The stacks that an item of ``capture`` is of, and what it is there."""
    if isinstance(item, int) and not isinstance(item, bool):
        wanted(item, most)
        return [(name, item) for name, n in stacks.items() if item < n]
    if isinstance(item, str) and item in NAMES:
        return [(name, item) for name in stacks]
    if hook_of(item):
        return [(main, item)]
    try:
        site = parse(item)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        wanted(item, most)  # which says it in its own words
        raise
    if site.stack and site.stack not in stacks:
        raise ValueError(f"capture: {site}: no stack {site.stack!r} runs; there are {', '.join(stacks)}")
    alone = site if isinstance(site, Feature) or not site.stack else replace(site, stack="")
    return [(site.stack or main, alone)]
