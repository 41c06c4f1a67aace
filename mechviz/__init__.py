"""mechviz: the lab bench for looking inside transformers.

Views take arrays and tokens; models give arrays and tokens. ``import mechviz`` loads neither torch nor transformers:
what needs them is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mechviz.bench import bench
from mechviz.document import page
from mechviz.figures import column, grid, row, tabs
from mechviz.from_cache import from_cache
from mechviz.notebook import output
from mechviz.opening import open as open  # not in __all__: `import *` must not hide Python's own
from mechviz.publish import publish
from mechviz.selection import Selection
from mechviz.sites import MLP, Attention, Feature, Head, Neuron, Residual
from mechviz.style import style
from mechviz.svelte import SvelteError, svelte
from mechviz.text import Tokens
from mechviz.version import __version__
from mechviz.view import View
from mechviz.views._images import Image
from mechviz.views.attention import attention
from mechviz.views.bars import bars
from mechviz.views.heatmap import heatmap
from mechviz.views.lens import lens
from mechviz.views.lines import lines
from mechviz.views.live import live
from mechviz.views.neurons import neurons
from mechviz.views.predictions import predictions
from mechviz.views.scatter import scatter
from mechviz.views.tokens import tokens

if TYPE_CHECKING:
    from mechviz.models import Dictionary, Edit, Model, SiteMap, Trace, ablate, edit, knock_out, load, patch, steer

__all__ = [
    "MLP",
    "Attention",
    "Dictionary",
    "Edit",
    "Feature",
    "Head",
    "Image",
    "Model",
    "Neuron",
    "Residual",
    "Selection",
    "SiteMap",
    "SvelteError",
    "Tokens",
    "Trace",
    "View",
    "__version__",
    "ablate",
    "attention",
    "bars",
    "bench",
    "column",
    "edit",
    "from_cache",
    "grid",
    "heatmap",
    "knock_out",
    "lens",
    "lines",
    "live",
    "load",
    "neurons",
    "output",
    "page",
    "patch",
    "predictions",
    "publish",
    "row",
    "scatter",
    "steer",
    "style",
    "svelte",
    "tabs",
    "tokens",
]

_NEEDS_TORCH = (
    "load",
    "Dictionary",
    "Model",
    "SiteMap",
    "Trace",
    "Edit",
    "ablate",
    "edit",
    "knock_out",
    "patch",
    "steer",
)


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(importlib.import_module("mechviz.models"), name)
    if name == "analysis":
        return importlib.import_module("mechviz.analysis")
    raise AttributeError(f"module 'mechviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "analysis", "open"])
