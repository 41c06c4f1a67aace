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
    from mechviz.analysis.logit_lens import LensLogits, logit_lens
    from mechviz.analysis.patching import Patching, patching

__all__ = [
    "Attribution",
    "HeadScores",
    "KeyValues",
    "LensLogits",
    "Patching",
    "Term",
    "attribution",
    "contribution_norms",
    "contributions",
    "head_scores",
    "logit_lens",
    "patching",
    "value_norms",
]


# Module -> what it gives.
_LATER = {
    "attribution": ("Attribution", "Term", "attribution"),
    "logit_lens": ("LensLogits", "logit_lens"),
    "patching": ("Patching", "patching"),
}


def __getattr__(name: str) -> Any:
    for home, parts in _LATER.items():
        if name in parts:
            # The module stands under the function's name once it is imported: the function has to take its place.
            module = importlib.import_module(f"mechviz.analysis.{home}")
            globals().update({part: getattr(module, part) for part in parts})
            return globals()[name]
    raise AttributeError(f"module 'mechviz.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
