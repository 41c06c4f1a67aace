"""Of `mv.tokens`: the tokens of one text as two tokenizers have cut it, compared over the characters that they cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechviz._visible import visible
from mechviz.text import Tokens
from mechviz.views._token_texts import Texts


@dataclass(frozen=True)
class Shares:
    """Which tokens of the other text lie under each token, and how much of them.

    Attributes:
        first: position -> the first token of the other text that shares a character with it; -1 where none does.
        last: position -> the last one.
        pairs: ``[pair, 2]`` of positions that share a character, in the order of the first.
        characters: pair -> how many they share; a part of one where bytes of a character lie in several tokens.
        length: position -> how many characters it covers.
    """

    first: np.ndarray
    last: np.ndarray
    pairs: np.ndarray
    characters: np.ndarray
    length: np.ndarray

    def under(self, values: np.ndarray, merge: str) -> np.ndarray:
        """The other text's value of the characters of each token, [position]; NaN where there is none.

        A value that adds up ("sum") lies in equal shares on the characters of its token, and a token has what lies on its
        characters; of "mean" every character has the value of its token, and a token their mean; of "max" it has the
        largest in size of the tokens that it shares characters with.
        """
        here, there = self.pairs.T
        found = np.full(len(self.first), np.nan)
        known = self.first >= 0
        of_pair = values.astype(np.float64)[there]
        if merge == "max":
            order = np.argsort(np.abs(of_pair), kind="stable")  # NaN last: it wins
            found[here[order]] = of_pair[order]
            return found
        added = np.zeros(len(found))
        weight = self.characters / (self.length[there] if merge == "sum" else self.length[here])
        with np.errstate(invalid="ignore"):
            np.add.at(added, here, of_pair * weight)
        found[known] = added[known]
        return found


def shares_of(texts: Texts) -> Shares:
    """How the tokens of two texts share the characters of what they spell.

    Where the texts differ in white space alone, what is no white space counts. Special tokens stand for no characters.

    Raises:
        ValueError: there are not two texts, or they are not of the same characters.
    """
    if len(texts.starts) != 2:
        raise ValueError(f"align= compares two texts; got {len(texts.starts)}")
    sides = texts.each
    spelled = [_spelled(side) for side in sides]
    spaces = spelled[0] == spelled[1]
    if not spaces:
        _check_same(*("".join(text.split()) for text in spelled))
    edges = [_edges(side, text, spaces) for side, text in zip(sides, spelled, strict=True)]
    pairs, characters = _overlaps(*edges)
    split = len(sides[0])
    pairs = pairs + np.array([0, split])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.lexsort((both[:, 1], both[:, 0]))
    both, shared = both[order], np.concatenate([characters, characters])[order]
    first, last = np.full(len(texts.all), -1, np.int32), np.full(len(texts.all), -1, np.int32)
    last[both[:, 0]] = both[:, 1]
    first[both[::-1, 0]] = both[::-1, 1]
    return Shares(first, last, both, shared, np.concatenate([end - start for start, end in edges]))


def _spelled(tokens: Tokens) -> str:
    return "".join(text for text, special in zip(tokens.text, tokens.special, strict=True) if not special)


def _check_same(one: str, other: str) -> None:
    if one == other:
        return
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    here, there = (repr(visible(text[at : at + 12])) if at < len(text) else "its end" for text in (one, other))
    after = f"after {visible(one[max(0, at - 12) : at])!r}" if at else "at the start"
    raise ValueError(
        'align="characters" compares two tokenizations of one text; white space aside, these part '
        f"{after}: {here} and {there}. Tokens.from_ids(tokenizer, ids, text=…) spells tokens "
        "as they stand in the text, also where a tokenizer lower-cases it"
    )


def _edges(tokens: Tokens, text: str, spaces: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where each token begins and ends, in characters from the start; within one that is split, by its bytes."""
    size = np.array([len(c.encode("utf-8", "surrogatepass")) for c in text], np.int64)
    counts = np.array([spaces or not c.isspace() for c in text], np.float64)
    # How many characters lie before each byte.
    before = np.concatenate([[0.0], np.cumsum(np.repeat(counts / np.maximum(size, 1), size))])
    special = np.array(tokens.special, bool)
    lengths = np.array([len(part.encode("utf-8", "surrogatepass")) for part in tokens.text], np.int64)
    if tokens.n_bytes is not None:
        exact = np.where(special, 0, np.array(tokens.n_bytes, np.int64))
        lengths = exact if exact.sum() == size.sum() else lengths
    ends = np.cumsum(np.where(special, 0, lengths))
    starts = np.concatenate([[0], ends[:-1]])
    # Sums of thirds would leave edges that are nearly, not quite, the same.
    return np.round(before[starts], 6), np.round(before[ends], 6)


def _overlaps(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of intervals that overlap, and by how much; both lists are in order and do not overlap themselves."""
    pairs, shared = [], []
    i = j = 0
    while i < len(one[0]) and j < len(other[0]):
        common = min(one[1][i], other[1][j]) - max(one[0][i], other[0][j])
        if common > 0:
            pairs.append((i, j))
            shared.append(common)
        if one[1][i] <= other[1][j]:
            i += 1
        else:
            j += 1
    return np.array(pairs, np.int64).reshape(-1, 2), np.array(shared, np.float64)
