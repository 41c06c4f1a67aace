"""Markdown with formulas as HTML for pages: safe to put there, headings numbered by name for a table of contents."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape, unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from mechviz._visible import carried

# What latex2mathml sets beyond these (href, of \href) has no place in a formula.
_ATTRIBUTES = frozenset(
    "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form frame height "
    "largeop linebreak linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits "
    "notation rowlines rowspacing rspace scriptlevel separator stretchy symmetric voffset width".split()
)

# Environments that the converter draws, and by which of them others are drawn.
_MATRICES = "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix".split()
_ENVIRONMENTS = frozenset(
    [
        *_MATRICES,
        *(f"{name}*" for name in _MATRICES),
        *"smallmatrix array cases split equation equation* align align*".split(),
    ]
)
_ALIKE = {"aligned": "split", "gathered": "matrix", "gather": "matrix", "gather*": "matrix", "dcases": "cases"}

# Elements that must have so many parts.
_PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}


@dataclass(frozen=True)
class Heading:
    """A heading of the prose: how deep (1 is the page's title), its plain text, and the id that a link leads to."""

    level: int
    text: str
    id: str
    html: str = field(default="", compare=False)  # the text with its formulas


class Prose:
    """Renders the prose of one page, in order, and remembers its headings."""

    def __init__(self) -> None:
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin

        self.headings: list[Heading] = []
        self._ids: set[str] = set()
        self._markdown = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
        dollarmath_plugin(
            self._markdown,
            allow_space=False,
            allow_digits=False,  # "$5 and $6" are prices
            double_inline=True,
            renderer=lambda tex, options: mathml(tex, display=options["display_mode"]),
        )

    def html(self, text: str) -> str:
        """HTML of Markdown; HTML inside it is shown as text, script links are dropped.

        Raises:
            ValueError: a formula cannot be read, or an image is no file; the message quotes it.
        """
        tokens = self._markdown.parse(carried(text))
        for part in (part for token in tokens for part in token.children or () if part.type == "image"):
            part.attrSet("src", _inside(str(part.attrGet("src"))))
        for token, inside in pairwise(tokens):
            if token.type == "heading_open":
                parts = inside.children or []
                plain = "".join(part.content for part in parts).strip()
                heading = Heading(int(token.tag[1]), plain, self._id(plain), self._short(parts))
                token.attrSet("id", heading.id)
                self.headings.append(heading)
        return self._markdown.renderer.render(tokens, self._markdown.options, {})

    def _short(self, parts: list[Any]) -> str:
        """A heading as it stands in the contents: its words and its formulas, without links and emphasis."""
        render, options = self._markdown.renderer.render, self._markdown.options
        return "".join(
            render([part], options, {}) if part.type.startswith("math") else escape(part.content) for part in parts
        ).strip()

    def _id(self, text: str) -> str:
        slug = "-".join(re.findall(r"\w+", text.lower())) or "section"
        id, count = slug, 1
        while id in self._ids:
            count += 1
            id = f"{slug}-{count}"
        self._ids.add(id)
        return id


def _inside(source: str) -> str:
    """An image as a part of the page, which loads nothing: a file as a data: address.

    Raises:
        ValueError: `source` is neither.
    """
    if source.startswith("data:"):
        return source
    path = Path(unquote(source))
    kind = mimetypes.guess_type(path.name)[0] or ""
    if not kind.startswith("image/") or not path.is_file():
        raise ValueError(
            f"the image {source!r} cannot be put into the page, which loads nothing: it is no file of an image here "
            f"(the folder is {Path.cwd()})"
        )
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def markdown(text: str) -> str:
    """HTML of one piece of Markdown; see `Prose.html`."""
    return Prose().html(text)


def contents(headings: Iterable[Heading]) -> str:
    """A table of contents: nested lists of links."""
    parts, open_levels = ['<nav class="contents" aria-label="Contents">'], []
    for heading in headings:
        while open_levels and open_levels[-1] > heading.level:
            open_levels.pop()
            parts.append("</li></ol>")
        if open_levels and open_levels[-1] == heading.level:
            parts.append("</li>")
        else:
            open_levels.append(heading.level)
            parts.append("<ol>")
        parts.append(f'<li><a href="#{escape(heading.id)}">{heading.html or escape(heading.text)}</a>')
    return "".join(parts) + "</li></ol>" * len(open_levels) + "</nav>"


def mathml(tex: str, *, display: bool) -> str:
    """A formula in LaTeX's notation as MathML, which browsers draw without scripts and fonts of ours.

    Raises:
        ValueError: it cannot be read; the message quotes it.
    """
    from latex2mathml import converter

    plain = re.sub(r"\\.", "", tex)  # it would draw half of a fraction
    if plain.count("{") != plain.count("}"):
        raise ValueError(
            f"the formula {tex!r} cannot be read: {plain.count('{')} times {{ and {plain.count('}')} times }}"
        )
    known = _known(tex)
    parent = ElementTree.Element("div")
    try:
        converter.convert_to_element(known, display="block" if display else "inline", parent=parent)
    except Exception as error:  # it has a class for each way in which TeX can be wrong
        why = re.sub(r"([a-z])([A-Z])", r"\1 \2", type(error).__name__.removesuffix("Error")).lower()
        raise ValueError(f"the formula {tex!r} cannot be read: {why}{f' ({error})' if str(error) else ''}") from None
    for element in parent.iter():
        _clean(element)
        why = _half(element)
        if element.text == "&" and element.tag == "mi" and r"\&" not in tex:
            why = "& outside of an environment with columns, such as aligned"
        if why:
            raise ValueError(f"the formula {tex!r} cannot be read: {why}")
    return "".join(ElementTree.tostring(child, encoding="unicode") for child in parent)


def _known(tex: str) -> str:
    """The formula in what the converter knows; the rest it would draw as letters, or in one line."""

    def environment(match: re.Match[str]) -> str:
        name = _ALIKE.get(match[2], match[2])
        if name not in _ENVIRONMENTS:
            raise ValueError(f"the formula {tex!r} cannot be read: unknown environment {match[2]}")
        return f"\\{match[1]}{{{name}}}"

    return re.sub(r"\\(begin|end)\{([^{}]*)\}", environment, tex.replace(r"\operatorname*", r"\operatorname"))


def _half(element: Any) -> str:
    """What is wrong with an element that the converter has let pass: browsers draw nothing, or the command itself."""
    if element.tag in ("mi", "mo", "mn") and re.fullmatch(r"\\[A-Za-z]+", element.text or ""):
        return f"unknown command {element.text}"
    wanted = _PARTS.get(element.tag, len(element))
    return "" if len(element) == wanted else f"{len(element)} of {wanted} parts of a fraction, root or script"


def _clean(element: Any) -> None:
    """Text as text: it is held as HTML, in which the text `<script>` would be one."""
    element.text = unescape(element.text) if element.text else element.text
    element.tail = unescape(element.tail) if element.tail else element.tail
    for name in set(element.attrib) - _ATTRIBUTES:
        del element.attrib[name]
