"""Analyses of traces; results are frozen dataclasses of arrays, for views and for code of one's own."""

from __future__ import annotations

from mechviz.analysis.attribution import Attribution, Term, attribution
from mechviz.analysis.head_scores import HeadScores, head_scores

__all__ = ["Attribution", "HeadScores", "Term", "attribution", "head_scores"]
