"""`mv.publish`: a page into a folder of pages, with an index that says what is there."""

from __future__ import annotations

import importlib
import itertools
import json
import re
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

from mechviz._visible import carried
from mechviz.document import Page
from mechviz.version import __version__
from mechviz.view import View

_INDEX = "index.json"
_FORMAT = "mechviz index"

# In the head of every page and index of ours, whichever version wrote it.
_GENERATOR = '<meta name="generator" content="mechviz '
_HEAD = 2000

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width"><meta name="generator" content="mechviz {version}"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{margin:0 auto;max-width:1100px;padding:24px 28px;background:#fff;color:#16191d;
font:400 14px/1.5 -apple-system,BlinkMacSystemFont,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif}}
h1{{font-size:22px;line-height:28px;margin:0 0 20px}}ul{{list-style:none;margin:0;padding:0;display:grid;gap:28px 24px;
grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}}a{{color:inherit;text-decoration:none}}
a:hover h2{{text-decoration:underline}}h2{{font-size:14px;line-height:20px;margin:8px 0 0;overflow-wrap:anywhere}}
p{{font-size:11px;line-height:16px;margin:0;color:#646b74;overflow-wrap:anywhere}}
.still{{height:180px;overflow:hidden;background:#fff;color:#16191d;color-scheme:light}}
.still>div{{width:600px;transform:scale(.5);transform-origin:0 0}}.still img{{max-width:100%}}
@media(prefers-color-scheme:dark){{body{{background:#111418;color:#e8eaed}}p{{color:#959ca5}}}}</style></head>
<body><main><h1>{title}</h1><ul>{entries}</ul></main></body></html>
"""
_ENTRY = '<li><a href="{file}">{still}<h2>{title}</h2></a><p>{about}</p></li>'
_STILL = '<div class="still" aria-hidden="true"><div>{still}</div></div>'


def publish(page: Page | View, folder: str | Path, *, name: str | None = None, title: str | None = None) -> str:
    """Write a page into a folder, and an index of all pages that were published there; returns the page's address.

    ``index.html`` lists them, the newest first, each with a still of its first picture, its title and when it was written;
    it needs no script. A page that is published again takes the place of the one of its name, by default of its title. What
    was taken out of the folder is no longer listed. A folder that any web server shows is a site; everything in it also
    opens from a disk. A file that mechviz did not write is never replaced.

    Args:
        page: A page of `mechviz.page`, or a view or figure.
        folder: A folder, which is made where there is none, or an address of fsspec (``s3://bucket/notes``,
            ``gs://…``, ``memory://…``), which needs fsspec and what it asks for.
        name: The file's name without ``.html``: letters, digits, hyphens. By default made of the title, with a number
            where a page of another title, or a file that was not published, has that name.
        title: Heads the index; by default what headed it before, at first "mechviz".

    Raises:
        TypeError: `page` is neither a page nor a view.
        ValueError: `name` has other characters, or the folder's ``index.json`` was not written by mechviz.
        FileExistsError: the folder's ``index.html``, or the file that `name` names, was not written by mechviz; nothing
            is written then.
        ModuleNotFoundError: `folder` is an address, and fsspec is not installed.

    Example:
        >>> mv.publish(mv.page("Induction", ["Look:", view]), "site")  # doctest: +SKIP
        'site/induction.html'
    """
    if not isinstance(page, (Page, View)):
        raise TypeError(f"page must be a page or a view; got a {type(page).__name__}")
    heading = page.title if isinstance(page, Page) else page._title()
    if name is not None and (not re.fullmatch(r"[\w-]+", name) or name == "index"):
        raise ValueError(f"name must be made of letters, digits and hyphens, and not be index; got {name!r}")
    place = _Remote(str(folder)) if "://" in str(folder) else _Local(Path(folder).expanduser())
    document = page.to_html()
    known = _known(place.read(_INDEX), f"{folder}/{_INDEX}")
    there = place.names()
    entries = {file: entry for file, entry in known["pages"].items() if file in there}
    title = str(known.get("title", "mechviz")) if title is None else title
    name = _free(_slug(heading), carried(heading), entries, there) if name is None else name
    for file, instead in (("index.html", "publish into another folder"), (f"{name}.html", "give another name=")):
        if file in there and _GENERATOR not in place.head(file):
            raise FileExistsError(f"{folder}/{file} was not written by mechviz and is left as it is: {instead}")
    entries[f"{name}.html"] = {
        "title": carried(heading),
        "written": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "bytes": len(document.encode()),
        "still": page.still(),
    }
    # The page first: an index never names what is not there.
    address = place.write(f"{name}.html", document)
    listing = {
        "format": _FORMAT,
        "version": 1,
        "written_by": f"mechviz {__version__}",
        "title": carried(title),
        "pages": entries,
    }
    place.write(_INDEX, json.dumps(listing, indent=1))
    place.write("index.html", _index(carried(title), entries))
    return address


def _slug(title: str) -> str:
    return "-".join(re.findall(r"\w+", title.lower()))[:60].strip("-") or "page"


def _free(slug: str, heading: str, entries: dict[str, dict[str, Any]], there: set[str]) -> str:
    """The name under which a page of this title stands, or may: two titles can have the same words.

    What lies there without being listed is somebody's own.
    """
    names = itertools.chain([slug], (f"{slug}-{n}" for n in itertools.count(2)))
    taken = there - {file for file, entry in entries.items() if entry["title"] == heading}
    return next(name for name in names if name != "index" and f"{name}.html" not in taken)


def _known(text: str | None, where: str) -> dict[str, Any]:
    """What an index holds: its title, and its pages by file; a ValueError where it is none of ours."""
    if text is None:
        return {"pages": {}}
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT or content.get("version") != 1:
        raise ValueError(f"{where} is not an index of this mechviz ({__version__}): publish into another folder")
    return content


def _index(title: str, entries: dict[str, dict[str, Any]]) -> str:
    newest = sorted(entries.items(), key=lambda item: item[1]["written"], reverse=True)
    listed = (
        _ENTRY.format(
            file=escape(file),
            # Our own HTML, made by the views; prose alone has none.
            still=_STILL.format(still=entry["still"]) if entry["still"] else "",
            title=escape(entry["title"]),
            about=f"{entry['written'][:10]} · {entry['bytes'] / 1e6:.2f} MB",
        )
        for file, entry in newest
    )
    return _PAGE.format(version=__version__, title=escape(title), entries="".join(listed))


class _Local:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> str | None:
        """The text of a file; None where there is none."""
        path = self._folder / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def head(self, name: str) -> str:
        """What a file begins with."""
        with (self._folder / name).open("rb") as file:
            return file.read(_HEAD).decode(errors="replace")

    def names(self) -> set[str]:
        """The files that it holds."""
        return {path.name for path in self._folder.iterdir()} if self._folder.exists() else set()

    def write(self, name: str, text: str) -> str:
        """Write a file at once, never half of it; returns where it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path, half = self._folder / name, self._folder / f".{name}.part"
        half.write_text(text, encoding="utf-8")
        half.replace(path)
        return str(path)


class _Remote:
    """A folder that fsspec reaches."""

    def __init__(self, address: str) -> None:
        try:
            core = importlib.import_module("fsspec.core")
        except ModuleNotFoundError:
            raise ModuleNotFoundError(f"{address} is reached through fsspec: pip install fsspec") from None
        self._address = address.rstrip("/")
        self._system, self._root = core.url_to_fs(self._address)

    def read(self, name: str) -> str | None:
        """The text of a file; None where there is none."""
        path = f"{self._root}/{name}"
        return self._system.cat_file(path).decode() if self._system.exists(path) else None

    def head(self, name: str) -> str:
        """What a file begins with."""
        return self._system.cat_file(f"{self._root}/{name}", start=0, end=_HEAD).decode(errors="replace")

    def names(self) -> set[str]:
        """The files that it holds."""
        listed = self._system.ls(self._root, detail=False, refresh=True) if self._system.exists(self._root) else []
        return {str(path).rsplit("/", 1)[-1] for path in listed}

    def write(self, name: str, text: str) -> str:
        """Write a file; returns where it is."""
        self._system.makedirs(self._root, exist_ok=True)
        self._system.pipe_file(f"{self._root}/{name}", text.encode())
        return f"{self._address}/{name}"
