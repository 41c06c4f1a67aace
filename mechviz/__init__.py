"""mechviz: the lab bench for looking inside transformers.

Views take arrays and tokens; models give arrays and tokens. ``import mechviz`` loads neither torch nor transformers:
what needs them is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mechviz.notebook import output
from mechviz.selection import Selection
from mechviz.sites import MLP, Attention, Head, Neuron, Residual
from mechviz.svelte import SvelteError, svelte
from mechviz.text import Tokens
from mechviz.version import __version__
from mechviz.view import View, column, row
from mechviz.view import make_page as page
from mechviz.views.attention import attention
from mechviz.views.tokens import tokens

if TYPE_CHECKING:
    from mechviz.models import Model, Trace, load

__all__ = [
    "MLP",
    "Attention",
    "Head",
    "Model",
    "Neuron",
    "Residual",
    "Selection",
    "SvelteError",
    "Tokens",
    "Trace",
    "View",
    "__version__",
    "attention",
    "column",
    "load",
    "output",
    "page",
    "row",
    "svelte",
    "tokens",
]

_NEEDS_TORCH = ("load", "Model", "Trace")


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(importlib.import_module("mechviz.models"), name)
    raise AttributeError(f"module 'mechviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
