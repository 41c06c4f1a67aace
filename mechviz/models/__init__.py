"""Models and their traces: the only part of mechviz, with `mechviz.analysis`, that imports torch and transformers."""

from __future__ import annotations

from .load import load
from .model import Model
from .trace import Trace

__all__ = ["Model", "Trace", "load"]
