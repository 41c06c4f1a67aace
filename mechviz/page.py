"""Figures -> one HTML file: no network, its own content security policy, arrays inside, opened by js/src/page.ts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

from mechviz import wire
from mechviz._visible import carried
from mechviz.bundle import bundle_for, bundle_text, pack_text, script_with
from mechviz.style import current as current_style
from mechviz.version import __version__

# The bundle lies in the page as gzip + base64. The loader is allowed by its hash, and so is what it inflates: a
# script whose text does not hash to the policy's second value does not run.
_LOADER = """(async()=>{const t=atob(document.getElementById("mechviz-bundle").textContent),b=new Uint8Array(t.length);
for(let i=0;i<t.length;i++)b[i]=t.charCodeAt(i);
const s=document.createElement("script");s.type="module";
s.textContent=await new Response(new Blob([b]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
document.head.append(s)})()"""

_STYLE = """:root{color-scheme:light dark}html{background:#fff}body{margin:0 auto;max-width:1400px;padding:24px 28px;
color:#16191d;font:400 14px/1.55 -apple-system,BlinkMacSystemFont,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",
Arial,sans-serif;overflow-wrap:break-word}main>*{margin:0 auto}main>.figure{margin:24px auto}main>:first-child{margin-top:0}
.prose{max-width:72ch;margin:16px 0}h1{font-size:22px;line-height:28px;margin:0 0 8px}h2{font-size:17px}h3{font-size:14px}
code,pre{font-family:"SF Mono",SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;font-size:.92em}
pre{overflow:auto;padding:8px 12px;background:#f2f4f6}a{color:#0b5fc0}img{max-width:100%}
table{border-collapse:collapse}td,th{padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #d9dde2}
.bare body{padding:2px 6px;max-width:none}.bare .figure{margin:0}
.contents{font-size:13px;line-height:20px}.contents ol{list-style:none;margin:0;padding:0}.contents ol ol{padding-left:16px}
.contents a{color:#4a5058;text-decoration:none}.contents a:hover{text-decoration:underline}.math.block{margin:12px 0;overflow-x:auto}
mtd[columnalign=left]{text-align:left}mtd[columnalign=right]{text-align:right}
@media screen and (prefers-color-scheme:dark){html{background:#111418}body{color:#e8eaed}pre{background:#1c2025}a{color:#6fb1ff}
td,th{border-color:#30353c}.contents a{color:#b3b9c1}}html.bare{background:transparent}html.bare.drawn{background:Canvas}
@media print{html{color-scheme:light;print-color-adjust:exact}h1,h2,h3,h4{break-after:avoid}pre,table{break-inside:avoid}}"""


# A page beyond this is slow to open and too large for most mails: whoever wants it says so.
MAX_BYTES = 60_000_000

# Of the arrays. Level 6 is 1 to 5 % smaller on attention patterns and takes two to five times as long.
_LEVEL = 4

# Characters of a figure's JSON from which on it is packed: 100,000 tokens are 4 MB of it, and 0.6 MB packed.
_PACK_FROM = 1 << 16


@dataclass
class PageFigure:
    """One figure as a page holds it: JSON with references, and the encoded arrays by digest."""

    layout: dict[str, Any]
    views: dict[str, dict[str, Any]]
    selection: dict[str, list[int]]
    provenance: list[Mapping[str, Any]]
    arrays: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    code: Mapping[str, str] = field(default_factory=dict)
    style: Mapping[str, Any] = field(default_factory=lambda: current_style().to_json())
    paper: dict[str, Any] | None = None
    selection_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What js/src/figure.svelte.ts reads as FigureJson."""
        return {
            "layout": self.layout,
            "views": self.views,
            "arrays": self.arrays,
            "selection": self.selection,
            "style": self.style,
            **({"paper": self.paper} if self.paper else {}),
            **({"selection_id": self.selection_id} if self.selection_id else {}),
        }


def page_figure(
    layout: dict[str, Any],
    views: Mapping[str, tuple[str, Mapping[str, Any]]],
    selection: Mapping[str, list[int]],
    provenance: Iterable[Mapping[str, Any]],
    *,
    lazy_bytes: int | None = None,
    code: Mapping[str, str] | None = None,
) -> PageFigure:
    """Encode the arrays of a figure; `code` is what users' components in it are made of.

    Of those that are fetched when opened the first `lazy_bytes` (compressed) are kept and the others marked absent;
    None keeps all.
    """
    arrays: list[wire.Array] = []

    def refer(array: wire.Array, _path: str) -> dict[str, str]:
        arrays.append(array)
        return {"$array": f"a{len(arrays) - 1}"}

    filled = {id: {"kind": kind, "props": wire.replace(props, refer, id)} for id, (kind, props) in views.items()}
    figure = PageFigure(layout, filled, dict(selection), list(provenance), code=code or {})
    for i, (array, packed) in enumerate(zip(arrays, _packed(arrays, lazy_bytes), strict=True)):
        header: dict[str, Any] = {"lazy": True} if array.lazy else {}
        if packed is None:
            header |= {"absent": True, "shape": list(array.shape)}
        else:
            header |= {**packed.header, "blob": packed.digest}
            figure.blobs[packed.digest] = packed.blob
            if not array.lazy:
                figure.first.append(packed.digest)
        figure.arrays[f"a{i}"] = header
    return figure


class _Packed(NamedTuple):
    header: dict[str, Any]
    digest: str
    blob: bytes


def _pack(array: wire.Array) -> _Packed:
    encoded = array.encode()
    return _Packed(encoded.header, encoded.digest(), base64.b64encode(gzip.compress(encoded.data, _LEVEL, mtime=0)))


def _packed(arrays: Sequence[wire.Array], lazy_bytes: int | None) -> Iterator[_Packed | None]:
    if lazy_bytes is None:
        # zlib lets go of the interpreter's lock; four at a time, since each holds a dense head while it is packed.
        with ThreadPoolExecutor(max_workers=4) as pool:
            yield from pool.map(_pack, arrays)
        return
    for array in arrays:
        # No work on what will not be kept: a twin is made for every display.
        packed = _pack(array) if not array.lazy or lazy_bytes > 0 else None
        if packed and array.lazy:
            lazy_bytes -= len(packed.blob)
            packed = packed if lazy_bytes >= 0 else None
        yield packed


def html_page(
    title: str, items: Iterable[str | PageFigure], *, bare: bool = False, max_bytes: int | None = None
) -> str:
    """A whole document.

    Args:
        title: The document's title, plain text.
        items: In order: trusted HTML of prose (mechviz/_markdown.py), or figures.
        bare: No margins and no prose style: for iframes.
        max_bytes: Most bytes that its arrays may take; None for any number.

    Raises:
        ValueError: The arrays take more than `max_bytes`.
    """
    items = list(items)
    figures = [item for item in items if isinstance(item, PageFigure)]
    _name_selections(figures)
    _check_size(figures, max_bytes)
    code = {key: text for figure in figures for key, text in figure.code.items()}
    kinds = {view["kind"] for figure in figures for view in figure.views.values()}
    script = script_with(code, kinds) if code else bundle_text(bundle_for(kinds))
    policy = (
        "default-src 'none'; "
        f"script-src {_hash(_LOADER)} {_hash(script)}; style-src 'unsafe-inline'; "
        "worker-src blob:; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    provenance = [dict(p) for figure in figures for p in figure.provenance]
    meta = json.dumps({"mechviz": __version__, "figures": provenance}, ensure_ascii=True, default=str)
    head = (
        f'<!doctype html><html lang="en" class="{"bare" if bare else "page"}" data-mechviz="{"component-page" if code else "page"}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><meta name="generator" content="mechviz {__version__}">'
        f'<meta name="mechviz-provenance" content="{escape(meta)}"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style></head>"
    )
    parts = [head, "<body><main>"]
    blobs: dict[str, bytes] = {}
    first: list[str] = []
    for item in items:
        if isinstance(item, str):
            parts.append(f'<div class="prose">{item}</div>')
        else:
            parts.append(f'<div class="figure" data-mechviz-figure>{_inert_json(item.to_json())}</div>')
            blobs.update(item.blobs)
            first.extend(item.first)
    parts.append("</main>")
    # What the first picture needs stands before the script, the bulk after it: a large file is drawn while it loads.
    first = list(dict.fromkeys(first))
    parts.extend(_blob(digest, blobs[digest]) for digest in first)
    parts.append(
        f'<script type="text/plain" id="mechviz-bundle">{pack_text(script)}</script><script>{_LOADER}</script>'
    )
    rest = set(blobs) - set(first)
    parts.extend(_blob(digest, blob) for digest, blob in blobs.items() if digest in rest)
    parts.append("</body></html>")
    return "".join(parts)


def iframe(document: str, *, height: int, title: str) -> str:
    """A document as a sandboxed iframe: its scripts run, without access to what it is embedded in."""
    # Between single quotes only these two characters mean anything; the document is full of double ones.
    quoted = document.replace("&", "&amp;").replace("'", "&#39;")
    return (
        f'<iframe sandbox="allow-scripts allow-downloads" title="{_text(title)}" '
        f"style=\"width:100%;height:{height}px;border:0;display:block\" srcdoc='{quoted}'></iframe>"
    )


def heading(text: str) -> str:
    """A page's title as HTML."""
    return f"<h1>{_text(text)}</h1>"


def _name_selections(figures: Iterable[PageFigure]) -> None:
    """Call a selection that figures share by the number of the first of them: addresses hold what it is called.

    The id that it has in kernels is another one in each, and so would be the links to equal pages.
    """
    names: dict[str, str] = {}
    for i, figure in enumerate(figures):
        if figure.selection_id is not None:
            figure.selection_id = names.setdefault(figure.selection_id, str(i))


def _check_size(figures: Iterable[PageFigure], max_bytes: int | None) -> None:
    size = sum(map(len, {digest: blob for figure in figures for digest, blob in figure.blobs.items()}.values()))
    if max_bytes is not None and size > max_bytes:
        raise ValueError(
            f"the numbers of this page take {size / 1e6:.1f} MB, and max_bytes={max_bytes} allows {max_bytes / 1e6:.1f} MB: "
            "show fewer layers or heads, with their true numbers as layers= and heads=, or give a larger max_bytes="
        )


def _blob(digest: str, blob: bytes) -> str:
    return f'<script type="application/x-mechviz" data-blob="{digest}">{blob.decode()}</script>'


def _inert_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    if len(text) > _PACK_FROM:
        packed = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
        return f'<script type="application/json" data-packed>{packed}</script>'
    # Inside a script element only "<" matters ("</script", "<!--"); as an escape it is the same JSON.
    return f'<script type="application/json">{text.replace("<", chr(92) + "u003c")}</script>'


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    return escape(carried(text))
