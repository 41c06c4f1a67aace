"""Models and their traces: the only part of mechviz, with `mechviz.analysis`, that imports torch and transformers."""

from __future__ import annotations

from .requirements import check_versions

check_versions()

from .dictionary import Dictionary  # noqa: E402
from .edits import Edit, ablate, edit, knock_out, patch, steer  # noqa: E402
from .experts import Experts  # noqa: E402
from .features import Features  # noqa: E402
from .load import load  # noqa: E402
from .model import Model  # noqa: E402
from .site_map import SiteMap  # noqa: E402
from .tape import WeightsMoved  # noqa: E402
from .trace import Trace  # noqa: E402

__all__ = [
    "Dictionary",
    "Edit",
    "Experts",
    "Features",
    "Model",
    "SiteMap",
    "Trace",
    "WeightsMoved",
    "ablate",
    "edit",
    "knock_out",
    "load",
    "patch",
    "steer",
]
