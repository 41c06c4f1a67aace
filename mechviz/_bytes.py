"""How a tokenizer spells its tokens: token ids -> text, labels and shared characters.

A token of a byte-level vocabulary may hold a part of a character, so ``decode([id])`` per token is wrong (it shows
U+FFFD). Here every token is turned into its own bytes, and characters are put together across tokens. Tokenizers
whose bytes are unknown are read by decoding growing windows. The public face of this module is `mechviz.text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from mechviz._visible import visible
from mechviz._vocabulary import BYTE_TOKEN, Piece, Vocabulary, as_hex


class Spelling(NamedTuple):
    """One entry per position; the fields of `mechviz.text.Tokens` of the same names."""

    label: list[str]
    text: list[str]
    group: list[int]
    special: list[bool]
    role: list[str | None]
    n_bytes: list[int]
    piece: list[str]


def spell(tokenizer: Any, ids: Sequence[int], text: str | None = None) -> Spelling:
    """Spell token ids; with their source text, normalised and unknown tokens show what stands in the source."""
    vocabulary = Vocabulary(tokenizer)
    pieces = [vocabulary[i] for i in ids]
    role = [vocabulary.role(p.text or "", at_start=not k) if p.special else None for k, p in enumerate(pieces)]
    out = Spelling(
        label=[p.label for p in pieces],
        text=[p.text or "" for p in pieces],
        group=list(range(len(pieces))),
        special=[p.special for p in pieces],
        role=role,
        n_bytes=[0 if p.special else len(p.data) for p in pieces],
        piece=[""] * len(pieces),
    )
    if vocabulary.spelled:
        _join_characters(pieces, out)
    else:
        _decode_windows(vocabulary, ids, pieces, out)
    if vocabulary.drops_first_space:
        first = next((k for k, p in enumerate(pieces) if not p.special), None)
        if first is not None and out.text[first].startswith(" "):
            out.text[first] = out.text[first][1:]
    if text:
        _use_source(vocabulary, ids, text, out)
    for k, string in enumerate(out.text):
        # A special token stands for no text, unless it is an unknown piece of the source.
        if not out.piece[k] and (not out.special[k] or string != pieces[k].text):
            out.n_bytes[k] = len(string) if string.isascii() else len(string.encode("utf-8", "surrogatepass"))
    return out


def _join_characters(pieces: Sequence[Piece], out: Spelling) -> None:
    """Join characters whose bytes are spread over a run of tokens. Tokens of whole characters end such a run."""
    start, n = 0, len(pieces)
    while start < n:
        if pieces[start].text is not None:
            start += 1
            continue
        stop = start + 1
        while stop < n and pieces[stop].text is None:
            stop += 1
        _join_run(pieces, range(start, stop), out)
        start = stop


def _join_run(pieces: Sequence[Piece], run: range, out: Spelling) -> None:
    data = b"".join(pieces[k].data for k in run)
    owner = [k for k in run for _ in pieces[k].data]  # of each byte
    torn = bytearray(len(data))  # 1 for a byte of a character that is shared, or that is no character
    start = 0
    for char, size in _characters(data):
        first, last = owner[start], owner[start + size - 1]
        out.text[first] += char or "\ufffd"
        if not char or first != last:
            torn[start : start + size] = b"\x01" * size
        for k in range(first + 1, last + 1):
            out.group[k] = out.group[first]
        start += size
    start = 0
    for k in run:
        stop = start + len(pieces[k].data)
        if 0 not in torn[start:stop]:
            out.piece[k] = pieces[k].label[1:-1]
        else:
            out.label[k], out.piece[k] = _mixed(data, torn, range(start, stop))
        start = stop


def _mixed(data: bytes, torn: bytearray, own: range) -> tuple[str, str]:
    """The label and the torn bytes of a token that has whole characters too."""
    spans = [(is_torn, list(span)) for is_torn, span in groupby(own, key=torn.__getitem__)]
    parts = [(is_torn, data[span[0] : span[-1] + 1]) for is_torn, span in spans]
    label = "".join(f"⟨{as_hex(part)}⟩" if is_torn else visible(part.decode()) for is_torn, part in parts)
    return label, " ".join(as_hex(part) for is_torn, part in parts if is_torn)


def _characters(data: bytes) -> Iterator[tuple[str, int]]:
    """The characters of UTF-8 and their sizes in bytes; "" for what is none, cut as ``errors="replace"`` cuts it."""
    start = skip = 0
    # One pass: each byte that fits no character comes out as one lone surrogate.
    for char in data.decode("utf-8", "surrogateescape"):
        if skip:
            skip -= 1
            continue
        if "\udc80" <= char <= "\udcff":
            char, size = "", _bad_length(data[start : start + 4])
            skip = size - 1
        else:
            size = len(char.encode())
        yield char, size
        start += size


def _bad_length(data: bytes) -> int:
    """How many bytes the broken character at the start of data takes."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end - error.start
    raise AssertionError("the bytes decode")


# A character has at most four bytes, but tokens that end in the middle of characters can follow each other.
_PATIENCE = 8


def _decode_windows(vocabulary: Vocabulary, ids: Sequence[int], pieces: Sequence[Piece], out: Spelling) -> None:
    """Give every token what it adds to the decoding of the tokens before it.

    ``decode([id])`` alone loses leading spaces and breaks characters. A token that adds nothing, or U+FFFD at the end,
    waits for the next ones: together they may spell whole characters.
    """
    before: list[int] = []  # the tokens decoded last: enough context for the spacing of the next
    k, n = 0, len(ids)
    while k < n:
        if pieces[k].text is not None:  # special or missing: literal
            before = [] if pieces[k].missing else [ids[k]]
            k += 1
            continue
        added: list[str] = []  # what tokens k, k+1, ... have added so far
        while not added or (_broken(added[-1]) and len(added) < _PATIENCE):
            stop = k + len(added)
            if stop == n or pieces[stop].text is not None:
                break
            added.append(_addition(vocabulary, before, ids[k : stop + 1]))
        size = len(added)
        if size > 1 and not _shared(vocabulary, before, ids[k : k + size], added):
            size = 1
        _decoded(pieces[k : k + size], range(k, k + size), added[size - 1], out)
        before = list(ids[k : k + size])
        k += size


def _broken(text: str) -> bool:
    return not text or text.endswith("\ufffd")


def _addition(vocabulary: Vocabulary, before: Sequence[int], ids: Sequence[int]) -> str:
    """What ids add to the decoding of the ids before them."""
    known = vocabulary.decode(before) if before else ""
    whole = vocabulary.decode([*before, *ids])
    # A decoder that rewrites the words before leaves nothing to compare with.
    return whole[len(known) :] if whole.startswith(known) else vocabulary.decode(ids)


def _shared(vocabulary: Vocabulary, before: Sequence[int], ids: Sequence[int], added: Sequence[str]) -> bool:
    """Whether the first of these tokens is a part of the character that the last one completes."""
    if _broken(added[-1]):
        return False
    if added[-2]:
        return not added[-1].startswith(added[-2])  # else it stands for U+FFFD itself
    return _addition(vocabulary, before, ids[1:]) != added[-1]  # else it stands for nothing


def _decoded(pieces: Sequence[Piece], run: range, text: str, out: Spelling) -> None:
    """Note the text of tokens known only together; which of them holds which byte is known only from their names."""
    first = run[0]
    out.text[first] = text
    if len(run) == 1:
        out.label[first] = visible(text or pieces[0].label)
        return
    for k, piece in zip(run, pieces, strict=True):
        byte = BYTE_TOKEN.fullmatch(piece.label)
        out.piece[k] = byte[1].upper() if byte else ""
        out.n_bytes[k] = 1 if byte else 0
        out.label[k] = f"⟨{out.piece[k]}⟩" if byte else f"⟨{visible(text.strip(' '))} {k - first + 1}/{len(run)}⟩"
        out.group[k] = first


# ---- the source text -----------------------------------------------------------------------------------------------


def _use_source(vocabulary: Vocabulary, ids: Sequence[int], source: str, out: Spelling) -> None:
    """Replace what the vocabulary spells by what stands in the source, where the two differ.

    They differ for unknown tokens, lower-cased or otherwise normalised text and spaces that the tokenizer drops or
    puts in front. A token's slice runs from the end of the last one, so the slices concatenate to the source.
    """
    if "".join(out.text[_leading(out.special) :]).startswith(source):
        return
    found, spans = vocabulary.encode(source)
    run = _find(ids, found, out.special)
    if not run:
        return
    spans = spans[: len(run)]
    at = 0  # how far the source is used up
    owner = run.start  # the token that holds the character before that
    for k, (begin, end) in zip(run, spans, strict=True):
        own_space = not out.special[k] and not out.text[k].strip(" ")
        if end <= at:
            # A space put in front of the text covers no character; a piece of one shares it.
            if begin < end and not own_space:
                out.group[k] = out.group[owner]
            out.text[k] = ""
            continue
        if own_space and source[begin:end].strip():
            out.text[k] = ""
            continue
        if out.role[k] == "UNK":
            out.label[k] = visible(source[begin:end])
        out.text[k] = source[at:end]
        at, owner = end, k
    if len(run) == len(found):
        out.text[owner] += source[at:]


def _leading(special: Sequence[bool]) -> int:
    return next((k for k, is_special in enumerate(special) if not is_special), len(special))


def _find(ids: Sequence[int], wanted: Sequence[int], special: Sequence[bool]) -> range:
    """Where the wanted ids stand among ids; between special tokens at both ends their end may be cut off."""
    # Searching strings takes linear time, also where tokens repeat.
    start = _as_string(ids).find(_as_string(wanted)) if wanted else -1
    if start >= 0:
        return range(start, start + len(wanted))
    run = range(_leading(special), len(ids) - _leading(special[::-1]))
    cut = 0 < len(run) < len(wanted) and list(ids[run.start : run.stop]) == list(wanted[: len(run)])
    return run if cut else range(0)


def _as_string(ids: Sequence[int]) -> str:
    return "".join([chr(min(i, 0x10FFFF)) for i in ids])
