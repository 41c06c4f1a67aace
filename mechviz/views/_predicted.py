"""What `mv.predictions` and `mv.lens` share: logits to the most probable tokens, and numbers about what they predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from mechviz import wire
from mechviz._layered import Layered
from mechviz._visible import visible
from mechviz._vocabulary import Vocabulary
from mechviz.arrays import to_numpy
from mechviz.text import Tokens

_MOST_ENTRIES = 1 << 22
_CHUNK = 64  # positions worked on at once: 64 × 150,000 entries are 38 MB


@dataclass(frozen=True)
class Predicted:
    """All [layer, position] but for the first two; NaN where a row of logits holds one.

    Args:
        ids: The most probable tokens, [layer, position, k], the first one first.
        probabilities: Theirs.
        entropy: Of the distribution, in nats.
        kl: From the reference's distribution to this one's, in nats.
        rank: Of the target among all tokens, from 1; NaN without one.
        target_probability: Its probability.
    """

    ids: np.ndarray
    probabilities: np.ndarray
    entropy: np.ndarray
    kl: np.ndarray
    rank: np.ndarray
    target_probability: np.ndarray
    targets: np.ndarray


def layers_of(logits: Any, positions: int, layers: Any = None) -> tuple[list[Any], list[int], tuple[Any, int]]:
    """One [position, vocab] a layer, the layers' numbers, and what they are measured against with its number.

    That is the last layer that there is: of a `Layered` also where it is not wanted, of arrays the last one given.

    Args:
        logits: [layer, position, vocab], a list of [position, vocab], or a `Layered` of what gives logits when it is indexed
            by positions, which is left as it is.
        positions: How many there must be.
        layers: The layers' numbers; of a `Layered` those that are wanted.
    """
    found: list[Any]
    last = None
    numbers = None if layers is None else _numbers(layers)
    if isinstance(logits, Layered):
        numbers = list(logits.layers) if numbers is None else numbers
        if absent := [number for number in numbers if number not in logits.layers]:
            why = logits.missing.get(absent[0], f"there are {', '.join(map(str, logits.layers))}")
            raise ValueError(f"layers must be of those that logits has; got {absent[0]}: {why}")
        found = [logits[number] for number in numbers]
        last = logits.layers[-1] if numbers else None
    elif isinstance(logits, Sequence) and len(logits) and all(getattr(item, "ndim", 0) == 2 for item in logits):
        found = [to_numpy(item, name=f"logits[{i}]") for i, item in enumerate(logits)]
    else:
        array = to_numpy(logits, name="logits")
        if array.ndim != 3:
            raise ValueError(f"logits must have shape (layer, position, vocab); got {array.shape}")
        found = list(array)
    if not found:
        raise ValueError("logits must hold at least one layer; got none")
    for i, layer in enumerate(found):
        check_logits(layer, positions, found[0].shape[-1], name=f"logits[{i}]")
        if isinstance(layer, np.ndarray):
            check_scores(layer)
    if numbers is not None and len(numbers) != len(found):
        raise ValueError(f"layers must hold a number for each of {len(found)} layers; got {numbers}")
    numbers = list(range(len(found))) if numbers is None else numbers
    if last is None:
        return found, numbers, (found[-1], numbers[-1])
    return found, numbers, (found[numbers.index(last)] if last in numbers else logits[last], last)


def _numbers(layers: Any) -> list[int]:
    try:
        return [index(layer) for layer in layers]
    except TypeError:
        raise TypeError(f"layers must be a list of numbers; got {layers!r}") from None


def check_logits(logits: Any, positions: int, vocab: int | None = None, *, name: str = "logits") -> None:
    """Raise a ValueError unless they are [position, vocab]."""
    wanted = f"(position, vocab) == ({positions}, {'…' if vocab is None else vocab})"
    if logits.ndim != 2 or logits.shape[0] != positions or not logits.shape[1] or vocab not in (None, logits.shape[1]):
        hint = "; one text has no batch axis: pass logits[0]" if logits.ndim == 3 and logits.shape[0] == 1 else ""
        raise ValueError(f"{name} must have shape {wanted}; got {logits.shape}{hint}")


def check_scores(logits: np.ndarray) -> None:
    """Raise a ValueError where they are probabilities: a softmax of those is nearly uniform, and looks like a result."""
    rows = logits[:: max(1, len(logits) // 8)].astype(np.float32)  # [a few positions, vocab]
    inside = bool(((rows >= 0) & (rows <= 1)).all()) and bool(((rows > 0) & (rows < 1)).any())
    if inside and bool((np.abs(rows.sum(-1) - 1) < 0.01).all()):
        raise ValueError(
            "logits must be scores before the softmax; got probabilities, whose rows sum to 1: pass their log"
        )


def count_of(k: Any, vocab: int, cells: int) -> int:
    """How many tokens are kept of each distribution."""
    try:
        wanted = index(k)
    except TypeError:
        raise TypeError(f"k must be a number of tokens; got {k!r}") from None
    if wanted < 1:
        raise ValueError(f"k must be at least 1; got {wanted}")
    wanted = min(wanted, vocab)
    if cells * wanted > _MOST_ENTRIES:
        raise ValueError(
            f"k={wanted} makes {cells * wanted:,} entries, more than {_MOST_ENTRIES:,}: show fewer positions"
        )
    return wanted


def targets_of(target: Any, text: Tokens, vocab: int, vocabulary: Any) -> np.ndarray | None:
    """The token whose rank is told at each position; −1 where there is none. "next" is the one that follows.

    Raises:
        TypeError: `target` is none of what it may be.
        ValueError: an id is not in the vocabulary, a text is not one token of it, or the tokens have no ids to say
            which one follows.
    """
    n = len(text)
    if target is None:
        return None
    if isinstance(target, str) and target != "next":
        target = _id_of(target, vocabulary)
    if isinstance(target, str):
        if text.ids is None:
            raise ValueError('target="next" needs tokens that know their ids (Tokens, such as trace.tokens)')
        found = np.array([*text.ids[1:], -1], np.int64)
    else:
        if isinstance(target, Sequence) and target and all(isinstance(token, str) for token in target):
            known = {token: _id_of(token, vocabulary) for token in target}
            target = [known[token] for token in target]
        ids = to_numpy(target, name="target")
        if ids.dtype.kind not in "iu" or ids.shape not in ((), (n,)):
            raise TypeError(
                f"target must be one token, or one for each of {n} positions (ids or texts); got {ids.dtype} of shape {ids.shape}"
            )
        found = np.broadcast_to(ids, (n,)).astype(np.int64)
    if found.max(initial=-1) >= vocab or found.min(initial=0) < -1:
        raise ValueError(
            f"target must hold token ids 0 … {vocab - 1}, or -1 for none; got {found.min()} … {found.max()}"
        )
    return found


def _id_of(token: str, vocabulary: Any) -> int:
    """The id of a token by its text, such as " Mary"."""
    if vocabulary is None:
        raise ValueError(f"target={token!r} needs to know what ids spell: pass vocabulary=, or the token's id")
    if isinstance(vocabulary, Mapping):
        found = [key for key, name in vocabulary.items() if name == token]
    elif isinstance(vocabulary, Sequence | np.ndarray):
        found = [i for i, name in enumerate(vocabulary) if name == token]
    else:
        found, _ = Vocabulary(vocabulary).encode(token)
    if len(found) != 1:
        hint = "" if token.startswith(" ") else "; words inside a sentence mostly begin with their space"
        raise ValueError(
            f'target must be "next", an id, or the text of one token; {token!r} is {len(found)} tokens of the vocabulary{hint}'
        )
    return index(found[0])


def predicted(layers: Sequence[Any], k: int, targets: np.ndarray | None, reference: Any = None) -> Predicted:
    """Work out what every layer predicts, measured against `reference`, by default the last of them.

    Without `targets`, the most probable token of the reference is the target.
    """
    reference = layers[-1] if reference is None else reference
    n = layers[0].shape[0]
    shape = (len(layers), n)
    ids, probabilities = np.zeros((*shape, k), np.int32), np.zeros((*shape, k), np.float32)
    numbers = {name: np.full(shape, np.nan, np.float32) for name in ("entropy", "kl", "rank", "target_probability")}
    chosen = np.full(n, -1, np.int64) if targets is None else targets
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        last = _log_softmax(to_numpy(reference[part], name="logits"))
        if targets is None:
            chosen[part] = np.nan_to_num(last, nan=-np.inf).argmax(-1)
        wanted = chosen[part]
        for layer, logits in enumerate(layers):
            log = last if logits is reference else _log_softmax(to_numpy(logits[part], name="logits"))
            weights, own = np.exp(last), np.exp(log)
            top = _few(log, k)
            ids[layer, part] = top
            probabilities[layer, part] = np.take_along_axis(own, top, -1)
            with np.errstate(invalid="ignore"):
                numbers["entropy"][layer, part] = -np.where(own == 0, 0, own * log).sum(-1)
                numbers["kl"][layer, part] = np.where(weights == 0, 0, weights * (last - log)).sum(-1).clip(0)
            mine = np.take_along_axis(log, wanted.clip(0)[:, None], -1)
            known = (wanted >= 0) & ~np.isnan(mine[:, 0])
            numbers["rank"][layer, part] = np.where(known, 1 + (log > mine).sum(-1), np.nan)
            numbers["target_probability"][layer, part] = np.where(known, np.exp(mine[:, 0]), np.nan)
    return Predicted(ids, probabilities, targets=chosen, **numbers)


def _few(log: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row, the largest first; equal ones in the order of the vocabulary."""
    known = np.nan_to_num(log, nan=-np.inf)
    found = np.sort(np.argpartition(-known, min(k, known.shape[-1]) - 1, axis=-1)[:, :k], axis=-1)
    order = np.argsort(-np.take_along_axis(known, found, -1), axis=-1, kind="stable")
    return np.take_along_axis(found, order, -1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """In float32, [position, vocab]; a row with NaN is NaN, and so is one of nothing but −∞."""
    x = logits.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True, dtype=np.float64)).astype(np.float32)


def names_of(vocabulary: Any, ids: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Labels of the tokens that occur, and for each id the place of its label.

    Raises:
        TypeError: `vocabulary` is neither a tokenizer, a list of strings nor a dict.
        ValueError: it is shorter than the ids that occur.
    """
    unique, place = np.unique(ids, return_inverse=True)
    wanted = unique.tolist()
    place = place.reshape(ids.shape).astype(np.int32)
    if vocabulary is None:
        return list(map(str, wanted)), place
    if isinstance(vocabulary, Mapping):
        return [visible(str(vocabulary[i])) if i in vocabulary else f"⟨id {i}⟩" for i in wanted], place
    if isinstance(vocabulary, Sequence | np.ndarray) and not isinstance(vocabulary, str):
        if wanted and wanted[-1] >= len(vocabulary):
            raise ValueError(f"vocabulary must hold a string for every id up to {wanted[-1]}; got {len(vocabulary)}")
        return [visible(str(vocabulary[i])) for i in wanted], place
    try:
        pieces = Vocabulary(vocabulary)
    except TypeError:
        kind = type(vocabulary).__name__
        raise TypeError(f"vocabulary must be a tokenizer, a list of strings or a dict by id; got a {kind}") from None
    # What cannot be spelled from the vocabulary is decoded alone.
    return [pieces[i].label or visible(pieces.decode([i])) for i in wanted], place


def props_of(found: Predicted, vocabulary: Any) -> dict[str, Any]:
    """As the browser is given them (js/src/parts/Predicted.svelte)."""
    both = np.concatenate([found.ids.ravel(), found.targets.clip(0)])
    names, place = names_of(vocabulary, both)
    known = np.where(found.targets >= 0, place[found.ids.size :], -1).astype(np.int32)
    return {
        "names": names,
        "top": wire.Array(place[: found.ids.size].reshape(found.ids.shape)),
        "probabilities": wire.Array(found.probabilities),
        "entropy": wire.Array(found.entropy),
        "targets": wire.Array(known),
        "rank": wire.Array(found.rank),
        "target_probability": wire.Array(found.target_probability),
    }


def height_of(width: int, down: int, across: int, k: int, facts: int) -> int:
    """Estimated height in CSS pixels at a width, laid out as js/src/parts/Predicted.svelte does."""
    beside = width >= 760 and ((width - 332) / across >= 56 or (width - 60) / across < 28)
    numbers = 18 * facts + 8
    below = 0 if beside else 44 + (18 * k + numbers if width < 760 else max(18 * k, numbers))
    cells = 90 + min(800, 24 * down)
    return 56 + (max(cells, 24 + 18 * k + numbers) if beside else cells + below) + 44
