"""What a display function makes: one picture, what a kernel can be asked about it, and the notes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal

from mechviz._visible import prose
from mechviz.selection import Selection

Place = Literal["live", "twin", "file"]
Note = Mapping[str, Any]

NOTE_HEIGHT = 20  # CSS pixels of a note below the picture


@dataclass(frozen=True)
class Spec:
    """One picture: what its component is given, and what a kernel can be asked about it."""

    kind: str
    props: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    still: Callable[[], str] = lambda: ""
    height: Callable[[int], int] = lambda width: 400
    # Modules of a user's component by key (mechviz/_svelte/link.py); the figure then needs the full bundle.
    code: Mapping[str, str] = field(default_factory=dict)
    # Further props in a file, which holds what no kernel will answer; True for a twin, which is made at every display.
    saved: Callable[[bool], Mapping[str, Any]] | None = None
    # Its numbers stay in the kernel: making a twin would take too long for a cell.
    asked: bool = False

    def props_in(self, place: Place) -> Mapping[str, Any]:
        """What the component is given in a live widget, a twin or a file."""
        return self.props if self.saved is None or place == "live" else {**self.props, **self.saved(place == "twin")}

    def noted(self, notes: Sequence[Note]) -> Spec:
        """The picture with notes in it."""
        if not notes:
            return self
        items = "".join(f"<li>{escape(note['text'])}</li>" for note in notes)
        return replace(
            self,
            props={**self.props, "frame": {**self.props["frame"], "notes": list(notes)}},
            still=lambda: f'{self.still()}<ol style="margin:4px 0;font-size:12px">{items}</ol>',
            height=lambda width: self.height(width) + NOTE_HEIGHT * len(notes),
        )


def note_of(text: str, axes: Mapping[str, int | Iterable[int]]) -> Note:
    """A note as a figure carries it: its text, and the axes that it is about (as of a selection).

    Raises:
        TypeError: `text` is no string, or an axis holds no indices.
        ValueError: `text` is empty, or there is no such axis.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string; got a {type(text).__name__}")
    if not text.strip():
        raise ValueError("text must say something; got an empty string")
    at = Selection(**axes).to_dict()
    return {"text": prose(text), "at": {axis: indices for axis, indices in at.items() if indices}}
