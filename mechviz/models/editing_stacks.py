"""Edits of a model with several stacks, each in its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from mechviz._layered import Unavailable

from .edit import Edit
from .editing import Editing


def edits_of_stack(edits: Sequence[Edit], stack: str, stacks: Sequence[str], main: str) -> list[Edit]:
    """The edits that belong to one of a model's stacks; a site that names none is of the main one.

    Raises:
        Unavailable: There is no such stack.
    """
    for edit in edits:
        if edit.place.stack and edit.place.stack not in stacks:
            raise Unavailable(f"{edit.label}: no stack {edit.place.stack!r} runs; there are {', '.join(stacks)}")
    return [edit for edit in edits if (edit.place.stack or main) == stack]


class Editings(Editing):
    """Edits of several stacks of one model, opened together."""

    def __init__(self, parts: Sequence[Editing]) -> None:
        super().__init__(parts[0].module, [block for part in parts for block in part.blocks], None)
        self._parts = parts

    @contextmanager
    def open(self, *, alone: bool = False) -> Iterator[None]:
        """Make all of them meanwhile; ``alone`` leaves out those that are open already."""
        with ExitStack() as stack:
            for number, part in enumerate(self._parts):
                stack.enter_context(part.open(alone=alone and number == 0))
            yield
