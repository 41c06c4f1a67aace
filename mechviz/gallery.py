"""The gallery: every view's `example()` on one page, with the code that makes it; the README's pictures (`make gallery`)."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import ModuleType

from mechviz import export, views
from mechviz._example_code import example_code
from mechviz._markdown import markdown
from mechviz.page import PageFigure, heading, html_page
from mechviz.view import View

# Of the README: file, view, theme.
PICTURES: tuple[tuple[str, str, export.Theme], ...] = (
    ("attention-light.png", "attention", "light"),
    ("attention-dark.png", "attention", "dark"),
    ("tokens-light.png", "tokens", "light"),
)

# One click on the code selects all of it.
_CODE = (
    '<details><summary>Code</summary><pre tabindex="0" role="region" aria-label="Code of mv.{name}" '
    'style="user-select:all">{code}</pre></details>'
)


@dataclass(frozen=True)
class Example:
    """One view of the gallery. `name` is that of its display function, `summary` the first line of its docstring."""

    name: str
    summary: str
    code: str
    module: ModuleType

    def view(self) -> View:
        """A new view, of the same made-up numbers every time."""
        return self.module.example()


def examples() -> tuple[Example, ...]:
    """Every view of mechviz, by its `example()`, made of numpy alone.

    Raises:
        AttributeError: a file of mechviz/views has no `example`, or no display function of its own name.
    """
    names = [module.name for module in pkgutil.iter_modules(views.__path__) if not module.name.startswith("_")]
    return tuple(_example(name, importlib.import_module(f"mechviz.views.{name}")) for name in names)


def sections() -> tuple[Example, ...]:
    """What the gallery shows and tests enumerate: every view, and the bench above them, whose example is of a model."""
    return (*examples(), _example("bench", importlib.import_module("mechviz.bench")))


def _example(name: str, module: ModuleType) -> Example:
    summary = (inspect.getdoc(getattr(module, name)) or "").split("\n\n")[0]
    return Example(name, " ".join(summary.split()), example_code(module), module)


def gallery() -> str:
    """The page as one HTML document."""
    items: list[str | PageFigure] = [heading("mechviz: every view, and the code that makes it")]
    for example in sections():
        items.append(f"<h2>mv.{escape(example.name)}</h2>{markdown(example.summary)}")
        items.append(example.view()._page_figure())
        items.append(_CODE.format(name=escape(example.name), code=escape(example.code)))
    return html_page("mechviz gallery", items)


def pictures(folder: Path) -> list[Path]:
    """Write the README's pictures, 900 CSS pixels wide at two pixels each; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {example.name: example.view() for example in examples()}
    paths = []
    for file, name, theme in PICTURES:
        paths.append(folder / file)
        paths[-1].write_bytes(made[name].png(scale=2, width=900, theme=theme))
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m mechviz.gallery --out gallery.html --pictures docs/pictures``."""
    parser = argparse.ArgumentParser(prog="mechviz.gallery", description=inspect.getdoc(gallery))
    parser.add_argument("--out", type=Path, default=Path("gallery.html"), help="the page (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, help="also draw the README's pictures into this folder")
    options = parser.parse_args(arguments)
    options.out.write_text(gallery(), encoding="utf-8")
    print(options.out)
    if options.pictures:
        print(*pictures(options.pictures), sep="\n")


if __name__ == "__main__":
    main()
