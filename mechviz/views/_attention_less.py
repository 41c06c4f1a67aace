"""What `mv.attention` says of a difference: what was taken from what the picture names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mechviz.pattern import PatternStack
from mechviz.views._attention_asked import Given, first_words


def less_of(given: Sequence[Given]) -> str:
    """Where the traces behind a difference are not alike: "less text “When Mary …”, a run without edits"; else ""."""
    return "; ".join(dict.fromkeys(filter(None, (_less(sheet.pattern) for sheet in given))))


def _less(pattern: Any) -> str:
    if not isinstance(pattern, PatternStack) or pattern.less is None:
        return ""
    mine, other = pattern.less
    own, its = mine.provenance, other.provenance
    said = []
    if (own.get("model"), own.get("weights")) != (its.get("model"), its.get("weights")):
        said.append(" ".join(str(part) for part in (its.get("model"), "weights", its.get("weights")) if part))
    if mine != other:
        said.append(f"text “{first_words(other)}”")
    if own.get("edits") != its.get("edits"):
        edits = its.get("edits")
        said.append(f"a run with {', '.join(map(str, edits))}" if edits else "a run without edits")
    return f"less {', '.join(said)}" if said else ""
