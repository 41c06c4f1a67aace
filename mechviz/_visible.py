"""What a reader may see of a string: nothing invisible, nothing that acts on the text around it."""

from __future__ import annotations

import re
import unicodedata

# Everything a reader cannot see or that acts on its surroundings: controls, format characters (zero-width, bidi),
# lone surrogates, private use, noncharacters, default-ignorables and blanks that look like another blank.
# Written out, because asking unicodedata for 1.1 million code points would cost 0.1 s at import.
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"
_BLANKS = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNSAFE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufdd0-\ufdef"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000efffe-\U0010ffff"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 14))
)
_IN_LABEL = re.compile(f"[\t\n\r{_UNSAFE}{_JOINERS}{_BLANKS}]")
_IN_PROSE = re.compile(f"[\r{_UNSAFE}]")
_ONLY_JOINERS = re.compile(f"[{_JOINERS}]+")
_SPACES = re.compile(r"\A +| {2,}| +\Z")
_MARKS = {"\n": "↵", "\t": "⇥", "\r": "␍"}


def _escape(match: re.Match[str]) -> str:
    return _MARKS.get(match[0]) or f"⟨U+{ord(match[0]):04X}⟩"


def visible(string: str) -> str:
    """The label of a string: leading, trailing and repeated spaces as `·`, line breaks as `↵`, the invisible escaped.

    Applying it to a label changes nothing. An empty string becomes ``⟨empty⟩``.
    """
    if not string:
        return "⟨empty⟩"
    string = _IN_LABEL.sub(_escape, string)
    string = _SPACES.sub(lambda match: "·" * len(match[0]), string)
    # A combining mark would sit on whatever stands to the left of the label.
    return "◌" + string if string[0] > "\u02ff" and unicodedata.category(string[0])[0] == "M" else string


def prose(string: str) -> str:
    """A string as running text: spaces, tabs and newlines kept, everything unseen or able to reorder text escaped.

    Joiners and variation selectors stay inside a word (emoji and Persian need them) but are escaped when alone.
    """
    return visible(string) if _ONLY_JOINERS.fullmatch(string) else _IN_PROSE.sub(_escape, string)


def hidden(string: str, *, in_prose: bool = False) -> bool:
    """Whether a string holds a character that `visible` (or `prose`) would escape."""
    return (_IN_PROSE if in_prose else _IN_LABEL).search(string) is not None


def carried(text: str) -> str:
    """Text that UTF-8 can carry and a parser of HTML keeps: lone surrogates and NUL become visible escapes."""
    return "".join(f"⟨U+{ord(c):04X}⟩" if 0xD800 <= ord(c) < 0xE000 or c == "\0" else c for c in text)
