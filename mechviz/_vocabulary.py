"""What each entry of a vocabulary spells: token id -> bytes, whichever family the tokenizer is of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mechviz._visible import visible

# The decoding steps whose effect on a single token is known here.
_STEPS = frozenset(
    ("Sequence", "ByteLevel", "WordPiece", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"),
)
_ROLES = ("bos", "eos", "cls", "sep", "mask", "pad", "unk")
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# The WordPiece decoder pulls these to the word before them ("clean up").
_CLINGING = frozenset((".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"))


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes: printable Latin-1 is itself, the rest is counted up from U+0100."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in set(plain)]
    return {chr(b): b for b in plain} | {chr(256 + k): b for k, b in enumerate(rest)}


_BYTE_OF = _byte_alphabet()


class Piece(NamedTuple):
    """What one vocabulary entry spells, wherever it stands."""

    data: bytes  # in UTF-8, possibly a part of a character
    text: str | None  # the same decoded; None when data is not whole characters, or unknown
    label: str
    special: bool = False
    missing: bool = False  # an id that is not in the vocabulary


class Vocabulary(dict[int, Piece]):
    """The pieces of a tokenizer by id, read on first use.

    The family is recognised by the tokenizer's decoder, which says how strings become text: ByteLevel, Metaspace (or
    a replacement of ▁, with or without byte fallback), WordPiece. `tiktoken` encodings give bytes themselves.
    Anything else is not `spelled` and has to be decoded in windows.
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.backend = getattr(tokenizer, "backend_tokenizer", None) or tokenizer
        self.drops_first_space = False
        self._string = _first_method(tokenizer, "convert_ids_to_tokens", "id_to_token", "id_to_piece")
        self._read = self._reader()
        self.spelled = self._read is not None
        self._decode = _first_method(tokenizer, "decode")
        if not self.spelled and self._decode is None:
            raise TypeError(
                "tokenizer must be a tokenizer object with a decode method, such as model.tokenizer; "
                f"got {type(tokenizer).__name__}"
            )
        self._added = _added_tokens(tokenizer)
        self._roles = _roles(tokenizer, self.backend)

    def __missing__(self, i: int) -> Piece:
        piece = self[i] = self._piece(i)
        return piece

    def role(self, content: str, *, at_start: bool) -> str | None:
        """The role of a special token; where one token serves as both, BOS at the start and EOS elsewhere."""
        roles = self._roles.get(content, ())
        if "BOS" in roles and "EOS" in roles:
            return "BOS" if at_start else "EOS"
        return roles[0] if roles else None

    def decode(self, ids: Sequence[int]) -> str:
        """Decode without dropping special tokens or tidying spaces, as far as the tokenizer takes such options."""
        assert self._decode is not None
        try:
            return self._decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        except (TypeError, ValueError):  # not a transformers tokenizer, or one that refuses an option
            return self._decode(list(ids))

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text, without special tokens around it, and each one's (begin, end) in it; empty if unknown."""
        if getattr(self.tokenizer, "is_fast", False):
            found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            return found["input_ids"], found["offset_mapping"]
        if self.backend is self.tokenizer and self.spelled and hasattr(self.tokenizer, "encode_batch_fast"):
            found = self.tokenizer.encode(text, add_special_tokens=False)
            real = [k for k, mask in enumerate(found.attention_mask) if mask]  # not padding
            return [found.ids[k] for k in real], [found.offsets[k] for k in real]
        return [], []

    def _piece(self, i: int) -> Piece:
        string, special = self._added.get(i) or (self._lookup(i), False)
        if isinstance(string, str) and (special or string in self._roles):
            return Piece(string.encode("utf-8", "replace"), string, visible(string), special=True)
        if string is None:
            name = f"⟨id {i}⟩"
            return Piece(name.encode(), name, name, missing=True)
        if isinstance(string, bytes):
            return _from_bytes(string)
        if self._read is None:
            return Piece(b"", None, string)
        return self._read(string, i in self._added)

    def _lookup(self, i: int) -> str | bytes | None:
        try:
            if hasattr(self.tokenizer, "decode_single_token_bytes"):
                return self.tokenizer.decode_single_token_bytes(i)
            return self._string(i) if self._string else ""
        except (IndexError, KeyError, OverflowError, ValueError):
            return None

    def _reader(self) -> Callable[[str, bool], Piece] | None:
        if hasattr(self.tokenizer, "decode_single_token_bytes"):
            return lambda string, added: _from_bytes(string.encode())
        config = _decoder_config(self.backend)
        if config is None:
            return None
        steps = {step["type"]: step for step in [config, *config.get("decoders", ())]}
        model = getattr(self.backend, "model", None)
        suffix = getattr(model, "end_of_word_suffix", None) or ""
        if not _STEPS.issuperset(steps):
            return None
        if "ByteLevel" in steps:
            return lambda string, added: _byte_level(string, suffix, added)
        if "WordPiece" in steps:
            self.drops_first_space = True
            return lambda string, added: _word_piece(string, steps["WordPiece"], added)
        metaspace = steps.get("Metaspace")
        if metaspace is None and steps.get("Replace", {}).get("content") != " ":
            return None
        self.drops_first_space = "Strip" in steps if metaspace is None else metaspace["prepend_scheme"] != "never"
        mark = metaspace["replacement"] if metaspace else "▁"
        return lambda string, added: _sentence_piece(string, mark, "ByteFallback" in steps)


def _first_method(x: Any, *names: str) -> Callable[..., Any] | None:
    return next((getattr(x, name) for name in names if callable(getattr(x, name, None))), None)


def _decoder_config(backend: Any) -> dict[str, Any] | None:
    """The settings of the decoder of a `tokenizers` object; None where there is none that can be read."""
    decoder: Any = getattr(backend, "decoder", None)
    try:
        state = decoder.__getstate__()
    except Exception:  # no such method, or a decoder written in Python: tokenizers raises Exception itself
        return None
    # Of the decoder alone: the whole tokenizer would be megabytes of JSON.
    return json.loads(state) if isinstance(state, bytes) else None


def _added_tokens(tokenizer: Any) -> dict[int, tuple[str, bool]]:
    """The exact string and whether it is special, by id."""
    get = getattr(tokenizer, "get_added_tokens_decoder", None)
    entries = get() if callable(get) else getattr(tokenizer, "added_tokens_decoder", None)
    added: dict[int, tuple[str, bool]] = {}
    if isinstance(entries, Mapping):
        added = {i: (str(token.content), bool(token.special)) for i, token in entries.items()}
    special_ids, contents = getattr(tokenizer, "all_special_ids", ()), getattr(tokenizer, "all_special_tokens", ())
    added |= {i: (str(content), True) for i, content in zip(special_ids, contents, strict=True)}
    for content in getattr(tokenizer, "special_tokens_set", ()):  # tiktoken
        added[tokenizer.encode_single_token(content)] = (content, True)
    return added


def _roles(tokenizer: Any, backend: Any) -> dict[str, tuple[str, ...]]:
    """String of a special token -> its roles, in the order in which they win."""
    names = getattr(tokenizer, "special_tokens_map", None)
    if not isinstance(names, Mapping):  # a bare tokenizer knows only its unknown token
        names = {"unk_token": getattr(getattr(backend, "model", None), "unk_token", None)}
    roles: dict[str, tuple[str, ...]] = {}
    for role in _ROLES:
        content = names.get(f"{role}_token")
        if content is not None:
            roles[str(content)] = (*roles.get(str(content), ()), role.upper())
    return roles


def _from_bytes(data: bytes) -> Piece:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Piece(data, None, f"⟨{as_hex(data)}⟩")
    return Piece(data, text, visible(text))


def as_hex(data: bytes) -> str:
    """Bytes as in "F0 9F"."""
    return data.hex(" ").upper()


def _byte_level(string: str, suffix: str, added: bool) -> Piece:
    if added:  # matched in the text as it stands, so not in the byte alphabet
        return _from_bytes(string.encode())
    if suffix and string.endswith(suffix):  # CLIP marks the end of a word instead of its start
        string = string[: -len(suffix)] + "Ġ"
    try:
        return _from_bytes(bytes([_BYTE_OF[c] for c in string]))
    except KeyError:
        return _from_bytes(string.encode())


def _word_piece(string: str, step: Mapping[str, Any], added: bool) -> Piece:
    prefix = step["prefix"]
    if string.startswith(prefix) and not added:
        rest = string[len(prefix) :]
        return Piece(rest.encode(), rest, prefix + visible(rest))
    text = string if step["cleanup"] and string in _CLINGING else " " + string
    return Piece(text.encode(), text, visible(string))


def _sentence_piece(string: str, mark: str, byte_fallback: bool) -> Piece:
    byte = BYTE_TOKEN.fullmatch(string) if byte_fallback else None
    return _from_bytes(bytes([int(byte[1], 16)]) if byte else string.replace(mark, " ").encode())
