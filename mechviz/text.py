"""Token text: what a model read, one entry per position, safe and unambiguous to show.

`Tokens` is what views take and traces give; `as_tokens` accepts what people have at hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import index
from types import MappingProxyType
from typing import Any, overload

from mechviz._bytes import spell
from mechviz._patches import Patches, behind, checked, kept
from mechviz._visible import hidden, prose, visible

__all__ = ["Patches", "Tokens", "as_tokens", "visible"]


@dataclass(frozen=True, repr=False)
class Tokens(Sequence[str]):
    r"""The tokens of one text: an immutable sequence of their labels.

    ``list(tokens)`` gives labels in which every token can be told apart: ``·`` for a leading space, ``↵ ⇥ ␍`` for line
    breaks and tabs, ``⟨F0 9F⟩`` for bytes that are only a part of a character, ``⟨U+200B⟩`` for what cannot be seen.
    Slices and sums are Tokens too. Tokens are compared by content, whatever their provenance.

    Make one with `Tokens.from_ids`, or from a list of strings with `as_tokens`.

    Attributes:
        label: position -> display label, as above. WordPiece continuations keep their ``##``.
        text: position -> the text itself. Concatenates to the decoded text. A character spread over several tokens
            belongs to the first of them, and the others have ``""``.
        group: position -> index of the first token that shares a character with this one; a token alone has its own.
        special: position -> whether it is a special token such as ``<|endoftext|>``.
        role: position -> "BOS", "EOS", "PAD", "SEP", "CLS", "MASK" or "UNK" where a special token has one, else None.
        ids: position -> token id, or None where only strings are known.
        n_bytes: position -> UTF-8 bytes of the text it stands for (special tokens: 0), or None.
        piece: position -> for a token that holds a part of a character, these bytes ("C3"), else "".
        provenance: where the tokens come from (model, weights, text, dtype, ...), as plain JSON values.
        prompt: how many positions, from the first, were given to the model before it answered; the answer starts at this
            position. None where nothing is known of an answer. Slices and sums keep it right.
        vocabulary: the tokenizer that the ids belong to, with which views spell other ids (`mechviz.lens`,
            `mechviz.predictions`); None where it is not known. It is not saved, nor pickled.
        patches: which positions are patches of images: ``(start, rows, columns)`` for each image, whose patches stand row
            by row from position ``start`` on. Views draw them as the image's rows and columns. A slice keeps those that
            lie in it whole.

    Example:
        >>> tokens = as_tokens(["When", " Mary", "\n"])
        >>> list(tokens), tokens[1:].text
        (['When', '·Mary', '↵'], (' Mary', '\n'))
    """

    label: tuple[str, ...]
    text: tuple[str, ...]
    group: tuple[int, ...]
    special: tuple[bool, ...]
    role: tuple[str | None, ...]
    ids: tuple[int, ...] | None = None
    n_bytes: tuple[int, ...] | None = None
    piece: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    prompt: int | None = field(default=None, compare=False)
    vocabulary: Any = field(default=None, compare=False)
    patches: tuple[Patches, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        n = len(self.label)
        set_ = object.__setattr__
        set_(self, "piece", self.piece or ("",) * n)
        for name in _COLUMNS:
            column = getattr(self, name)
            if column is not None:
                if len(column) != n:
                    raise ValueError(f"{name} must have one entry per token, {n}; got {len(column)}")
                set_(self, name, tuple(column))
        if self.prompt is not None:
            set_(self, "prompt", index(self.prompt))
            if not 0 <= self.prompt <= n:
                raise ValueError(f"prompt must be a number of positions, 0 to {n}; got {self.prompt}")
        set_(self, "patches", checked(self.patches, n))
        if hidden("".join(self.label)):
            set_(self, "label", tuple(map(visible, self.label)))
        try:
            json.dumps(dict(self.provenance))
        except TypeError as error:
            raise TypeError(f"provenance must hold plain JSON values: {error}") from None
        set_(self, "provenance", MappingProxyType(dict(self.provenance)))

    @classmethod
    def from_ids(
        cls,
        tokenizer: Any,
        ids: Any,
        text: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Tokens:
        """Spell token ids with the tokenizer that made them.

        Byte-level, byte-fallback, Unigram and WordPiece vocabularies of transformers and tokenizers are spelled from
        their bytes, tiktoken encodings too; any other tokenizer with a ``decode`` method by what each token adds to
        the decoding.

        Args:
            tokenizer: a transformers tokenizer, or one that works like it. Only read.
            ids: token ids [position]: a list, array or tensor; one text, so at most a batch of one.
            text: the source text, if known. Where the tokenizer maps it to these ids, tokens that are unknown to the
                vocabulary or lower-cased show what stands in the source. Special tokens around it may differ.
            provenance: plain JSON values to carry along.

        Raises:
            TypeError: ids are not integers, tokenizer cannot decode, text is no str, or provenance is not plain JSON.
            ValueError: ids are empty, negative or of more than one text.

        Example:
            >>> Tokens.from_ids(model.tokenizer, [12, 7], provenance={"model": "gpt2"})  # doctest: +SKIP
        """
        if text is not None and not isinstance(text, str):
            raise TypeError(f"text must be the source text, a str; got {type(text).__name__}")
        numbers = _as_ids(ids)
        columns = spell(tokenizer, numbers, text)._asdict()
        return cls(ids=tuple(numbers), provenance=provenance or {}, vocabulary=tokenizer, **columns)

    @property
    def shown(self) -> tuple[str, ...]:
        """Position -> the text as prose shows it: `text` with what is unseen or reorders text escaped.

        Only later parts of a shared character are empty; a token that adds no text shows its label.
        """
        texts = self.text
        if hidden("".join(texts), in_prose=True):
            texts = tuple(map(prose, texts))
        broken = "\ufffd"
        return tuple(
            label if (piece and broken in text) or (not text and group == k) else text
            for k, (text, label, group, piece) in enumerate(zip(texts, self.label, self.group, self.piece, strict=True))
        )

    def offsets(self, source: str) -> tuple[tuple[int, int], ...]:
        """Where each token stands in the source text, ``(start, end)`` in characters: ``source[start:end]``.

        Tokens that share a character have the same span; one that stands for nothing in the source, such as a
        beginning-of-sequence token, has an empty one.

        Args:
            source: the text that was tokenised, or the part of it that these tokens are of.

        Raises:
            ValueError: it is not the text of these tokens; the message says where they part.

        Example:
            >>> as_tokens(["When", " Mary"]).offsets("When Mary")
            ((0, 4), (4, 9))
        """
        spans: list[tuple[int, int]] = []
        at = 0
        for k, (text, special) in enumerate(zip(self.text, self.special, strict=True)):
            there = source.startswith(text, at)
            if not there and not special:
                raise ValueError(
                    f"source is not the text of these tokens: token {k} is {_short(text)}, but at {at} stands "
                    f"{_short(source[at : at + max(len(text), 1)])}"
                )
            end = at + (len(text) if there else 0)
            spans.append(spans[self.group[k]] if self.group[k] != k else (at, end))
            at = end
        return tuple(spans)

    def to_props(self) -> dict[str, Any]:
        """Plain JSON for the browser: text (as `shown`), label, group, special, role, ids, piece, one list each; prompt.

        And patches, where there are some.
        """
        props: dict[str, Any] = {"text": list(self.shown), "ids": None if self.ids is None else list(self.ids)}
        props["prompt"] = self.prompt
        if self.patches:
            props["patches"] = [list(one) for one in self.patches]
        return props | {name: list(getattr(self, name)) for name in ("label", "group", "special", "role", "piece")}

    def __len__(self) -> int:
        return len(self.label)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Tokens: ...
    def __getitem__(self, at: int | slice) -> str | Tokens:
        if not isinstance(at, slice):
            return self.label[at]
        columns: dict[str, Any] = {name: None if (c := getattr(self, name)) is None else c[at] for name in _COLUMNS}
        columns["group"] = _renumber(self.group[at])
        left = range(len(self))[at]
        known = self.prompt is not None and left.step > 0
        prompt = sum(k < self.prompt for k in left) if known else None  # type: ignore[operator]
        more: dict[str, Any] = {"vocabulary": self.vocabulary, "patches": kept(self.patches, left)}
        return Tokens(**columns, provenance=self.provenance, prompt=prompt, **more)

    def __add__(self, other: Tokens) -> Tokens:
        """Put two texts one after the other. Of the provenance, what both agree on is kept."""
        if not isinstance(other, Tokens):
            return NotImplemented
        columns: dict[str, Any] = {}
        for name in _COLUMNS:
            a, b = getattr(self, name), getattr(other, name)
            columns[name] = None if a is None or b is None else a + b
        columns["group"] = self.group + tuple(g + len(self) for g in other.group)
        theirs = other.provenance
        both = {key: value for key, value in self.provenance.items() if key in theirs and theirs[key] == value}
        prompt = self.prompt if other.prompt is None else len(self) + other.prompt  # the last answer counts
        same = self.vocabulary if self.vocabulary is other.vocabulary else None
        patches = self.patches + behind(other.patches, len(self))
        return Tokens(**columns, provenance=both, prompt=prompt, vocabulary=same, patches=patches)

    def __repr__(self) -> str:
        n = len(self)
        labels = self.label if n <= 12 else (*self.label[:8], "…", *self.label[-3:])
        return f"Tokens({n}: {' '.join(labels)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled.
        columns = (getattr(self, name) for name in _COLUMNS)
        return Tokens, (*columns, dict(self.provenance), self.prompt, None, self.patches)


_COLUMNS = tuple(f.name for f in fields(Tokens) if f.name not in ("provenance", "prompt", "vocabulary", "patches"))


def _renumber(group: Sequence[int]) -> tuple[int, ...]:
    """Group numbers as indices of each group's first token, after some were cut away or reordered."""
    first: dict[int, int] = {}
    return tuple(first.setdefault(g, k) for k, g in enumerate(group))


def as_tokens(x: Any, *, name: str = "tokens", length: int | None = None) -> Tokens:
    """Tokens from what people have at hand.

    Args:
        x: Tokens, or one string per position: a list, tuple, numpy array, pandas Series or other iterable. Strings are
            shown as they are, with the unseen made visible; ``" the"`` has the label ``·the``.
        name: the argument's name, for error messages.
        length: the number of positions that the data has, if known.

    Raises:
        TypeError: x is a single string, holds numbers or anything but strings.
        ValueError: x is empty, or not of the given length.

    Example:
        >>> as_tokens(["a", " b"], length=2)
        Tokens(2: a ·b)
    """
    tokens = x if isinstance(x, Tokens) else _from_strings(_as_strings(x, name))
    if not len(tokens):
        raise ValueError(f"{name} must hold at least one token; got none")
    if length is not None and len(tokens) != length:
        raise ValueError(f"{name} must have one token per position, {length}; got {len(tokens)}")
    return tokens


def _from_strings(strings: Sequence[str]) -> Tokens:
    n = len(strings)
    return Tokens(
        label=tuple(map(visible, strings)),
        text=tuple(strings),
        group=tuple(range(n)),
        special=(False,) * n,
        role=(None,) * n,
    )


def _as_strings(x: Any, name: str) -> list[str]:
    wanted = f"{name} must be a list of tokens, one string per position"
    if isinstance(x, str | bytes):
        raise TypeError(
            f"{wanted}; got the single {type(x).__name__} {_short(x)}. Pass a list of tokens, e.g. trace.tokens or "
            "model.tokenizer.tokenize(text)"
        )
    shape = getattr(x, "shape", None)
    if shape is not None and len(shape) != 1:
        kind = f"an array of shape {tuple(shape)}"
        raise TypeError(f"{wanted}; got {kind}, which looks like values; are the arguments swapped?")
    items = x.tolist() if hasattr(x, "tolist") else x
    if isinstance(items, Mapping | set | frozenset) or not isinstance(items, Iterable):
        raise TypeError(f"{wanted}; got {type(x).__name__}")
    items = list(items)
    wrong = next((k for k, item in enumerate(items) if not isinstance(item, str)), None)
    if wrong is None:
        return [str(item) for item in items]  # plain str, also from numpy.str_
    item = items[wrong]
    got = f"{wanted}; got {type(item).__name__} {_short(item)} at position {wrong}"
    if isinstance(item, bool):
        raise TypeError(got)
    if hasattr(item, "__index__"):
        raise TypeError(f"{got}. Token ids need a tokenizer: Tokens.from_ids(tokenizer, ids)")
    if isinstance(item, Iterable):
        raise TypeError(f"{got}. One text has no batch axis: pass the tokens of one text")
    if hasattr(item, "__float__"):
        raise TypeError(f"{got}, which looks like a value; are the arguments swapped?")
    raise TypeError(got)


def _as_ids(ids: Any) -> list[int]:
    wanted = "ids must be token ids [position], one integer per position"
    if isinstance(ids, str | bytes | Mapping):
        hint = '; pass encoding["input_ids"]' if isinstance(ids, Mapping) else ""
        raise TypeError(f"{wanted}; got {type(ids).__name__}{hint}")
    items = ids.tolist() if hasattr(ids, "tolist") else ids
    if not isinstance(items, Iterable):
        raise TypeError(f"{wanted}; got {type(ids).__name__}")
    items = list(items)
    if items and isinstance(items[0], Sequence) and not isinstance(items[0], str):
        if len(items) > 1:
            raise ValueError(f"{wanted}, of one text; got {len(items)} texts")
        items = list(items[0])
    if not items:
        raise ValueError(f"{wanted}; got none")
    for k, item in enumerate(items):
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise TypeError(f"{wanted}; got {type(item).__name__} {_short(item)} at position {k}")
    numbers = [index(item) for item in items]
    if min(numbers) < 0:
        k = next(k for k, number in enumerate(numbers) if number < 0)
        raise ValueError(f"{wanted}, none negative; got {numbers[k]} at position {k}")
    return numbers


def _short(x: Any) -> str:
    shown = visible(repr(x))
    return shown if len(shown) <= 40 else shown[:37] + "..."
