"""Of `mv.tokens`: what the model expected where each token stands, from logits or from the most probable tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz import wire
from mechviz._visible import visible
from mechviz.arrays import to_numpy
from mechviz.views._predicted import check_logits, count_of, names_of, predicted
from mechviz.views._token_texts import Texts


def top_of(top: Any, k: Any, vocabulary: Any, texts: Texts) -> dict[str, Any] | None:
    """As the browser is given it (js/src/parts/TokenFacts.svelte); None without predictions.

    Row i of what is given is the model's expectation *after* token i; row i of what is sent is that of the place of token
    i, which comes from the row before. The first token of a text has none.

    Raises:
        TypeError: they are neither logits nor a pair of arrays.
        ValueError: shapes do not fit the tokens.
    """
    if top is None:
        return None
    items = [top] if texts.labels is None else list(top)
    if len(items) != len(texts.starts):
        raise ValueError(f"top must be a list of one item for each of {len(texts.starts)} texts; got {len(items)}")
    found = []
    for i, (item, part) in enumerate(zip(items, texts.parts, strict=True)):
        name = "top" if texts.labels is None else f"top[{i}]"
        ids = None if texts.all.ids is None else np.array(texts.all.ids[part], np.int64)
        if isinstance(item, tuple):
            found.append(_given(item, ids, np.array(texts.all.label[part]), name))
        else:
            found.append(_of_logits(item, k, ids, part, len(texts.all), name))
    width = max(one[0].shape[1] for one in found)
    chosen, probabilities, own, rank = (
        np.concatenate([_wide(one[i], width) if i < 2 else one[i] for one in found]) for i in range(4)
    )
    actual = np.full(len(texts.all), -1, np.int64) if texts.all.ids is None else np.array(texts.all.ids, np.int64)
    if chosen.dtype.kind in "US":
        names, place = np.unique(chosen, return_inverse=True)
        labels, place = names.tolist(), place.reshape(chosen.shape).astype(np.int32)
        index = {label: k for k, label in enumerate(labels)}
        which = np.array([index.get(label, -1) for label in texts.all.label], np.int32)
    else:
        spelled = texts.all.vocabulary if vocabulary is None else vocabulary
        labels, both = names_of(spelled, np.concatenate([chosen.ravel(), actual.clip(0)]))
        place, which = both[: chosen.size].reshape(chosen.shape), np.where(actual >= 0, both[chosen.size :], -1)
    vocab = max(one[4] for one in found)
    return {
        "names": labels,
        "top": wire.Array(place),
        "probabilities": wire.Array(probabilities.astype(np.float32)),
        "own": wire.Array(which.astype(np.int32)),
        "probability": wire.Array(own.astype(np.float32)),
        "rank": wire.Array(rank.astype(np.float32)),
        "vocab": vocab or None,
    }


_Row = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


def _of_logits(logits: Any, k: Any, ids: np.ndarray | None, part: slice, count: int, name: str) -> _Row:
    """Top tokens, probabilities, and probability and rank of the token that stands there."""
    array = to_numpy(logits, name=name)
    n = part.stop - part.start
    check_logits(array, n, name=name)
    vocab = array.shape[1]
    wanted = count_of(k, vocab, count)
    targets = np.full(n, -1, np.int64)
    if ids is not None:
        if ids.max() >= vocab:
            raise ValueError(f"{name} has a vocabulary of {vocab}, and a token has the id {ids.max()}")
        targets[:-1] = ids[1:]
    made = predicted([array], wanted, targets)
    return (
        _shifted(made.ids[0]),
        _shifted(made.probabilities[0], np.nan),
        _shifted(made.target_probability[0], np.nan),
        _shifted(made.rank[0], np.nan),
        vocab,
    )


def _given(pair: tuple[Any, ...], ids: np.ndarray | None, labels: np.ndarray, name: str) -> _Row:
    n = len(labels)
    if len(pair) != 2:
        raise TypeError(f"{name} must be logits or a pair (tokens, probabilities); got a tuple of {len(pair)}")
    which = np.asarray(pair[0])
    if which.dtype.kind not in "iuU":
        which = to_numpy(pair[0], name=f"{name}[0]")
        if which.dtype.kind not in "iu":
            swapped = "; probabilities come second: pass (indices, values) of topk" if which.dtype.kind == "f" else ""
            raise TypeError(f"{name}[0] must hold token ids or strings; got dtype {which.dtype}{swapped}")
    probabilities = to_numpy(pair[1], name=f"{name}[1]")
    if which.ndim != 2 or which.shape[0] != n or which.shape != probabilities.shape:
        raise ValueError(
            f"{name} must be two arrays of shape (position, k) == ({n}, …); got {which.shape} and {probabilities.shape}"
        )
    own, rank = np.full(n, np.nan), np.full(n, np.nan)
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    which, probabilities = (np.take_along_axis(x, order, -1) for x in (which, probabilities))
    which, probabilities = _shifted(which), _shifted(probabilities, np.nan)
    actual = ids
    if which.dtype.kind == "U":
        strings, place = np.unique(which, return_inverse=True)
        which = np.array([visible(str(one)) for one in strings])[place.reshape(which.shape)]
        actual = labels
    if actual is not None:  # its rank is known where it is among them
        hit = which == actual[:, None]
        hit[0] = False
        rows, columns = np.nonzero(hit)
        own[rows], rank[rows] = probabilities[rows, columns], columns + 1
    return which, probabilities, own, rank, 0


def _shifted(rows: np.ndarray, first: Any = 0) -> np.ndarray:
    """What was expected after the token before."""
    out = np.empty_like(rows, dtype=np.result_type(rows, np.float32) if first != 0 else None)
    out[1:] = rows[:-1]
    out[0] = first if rows.dtype.kind != "U" else ""
    return out


def _wide(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows of one width: texts of vocabularies of other sizes have fewer."""
    fill = np.nan if rows.dtype.kind == "f" else "" if rows.dtype.kind == "U" else 0
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=fill)
