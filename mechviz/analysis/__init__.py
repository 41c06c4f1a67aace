"""Analyses of traces; results are frozen dataclasses of arrays, for views and for code of one's own.

What needs torch is imported when it is first used, so that the others work on a saved trace where there is none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mechviz.analysis.head_scores import HeadScores, head_scores
from mechviz.analysis.key_values import KeyValues, contribution_norms, contributions, value_norms

if TYPE_CHECKING:
    from mechviz.analysis.attribution import Attribution, Term, attribution

__all__ = [
    "Attribution",
    "HeadScores",
    "KeyValues",
    "Term",
    "attribution",
    "contribution_norms",
    "contributions",
    "head_scores",
    "value_norms",
]


def __getattr__(name: str) -> Any:
    if name in ("Attribution", "Term", "attribution"):
        # The module stands under the function's name once it is imported: the function has to take its place.
        module = importlib.import_module("mechviz.analysis.attribution")
        globals().update({part: getattr(module, part) for part in ("Attribution", "Term", "attribution")})
        return globals()[name]
    raise AttributeError(f"module 'mechviz.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
