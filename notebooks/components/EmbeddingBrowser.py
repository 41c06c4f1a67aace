"""Prepares what EmbeddingBrowser.svelte draws."""

from __future__ import annotations

from typing import Any

import numpy as np


def init(embedding: Any, words: list, counts: Any = None, neighbours: int = 12, title: str = "Vocabulary") -> dict:
    """A map of a vocabulary: the two main axes of its embeddings, with search and nearest neighbours.

    Args:
        embedding: [vocab, dimension], any real dtype.
        words: One word a row, as text.
        counts: How often each word occurs, [vocab]; the size of its dot.
        neighbours: How many nearest words are listed.
        title: Heads the picture.

    Raises:
        ValueError: the shapes do not fit.
    """
    vectors = np.asarray(embedding, np.float64)
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(
            f"embedding must have shape (vocab, dimension) with vocab == len(words) == {len(words)}; got {vectors.shape}"
        )
    centred = vectors - vectors.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :2] * values[:2]
    points -= (points.max(0) + points.min(0)) / 2  # the map is centred on what it shows
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return {
        "points": points.astype(np.float32),
        "embedding": (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32),
        "words": words,
        "counts": None if counts is None else np.asarray(counts),
        "kept": float((values[:2] ** 2).sum() / (values**2).sum()),
        "neighbours": neighbours,
        "title": title,
    }
