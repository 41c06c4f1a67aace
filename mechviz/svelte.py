"""`mv.svelte`: a ``.svelte`` file of the user's becomes a display function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mechviz._svelte.component import Component
from mechviz._svelte.errors import SvelteError
from mechviz.view import View

__all__ = ["Components", "SvelteError", "svelte"]


def svelte(path: str | Path, *, watch: bool = False, height: int | Callable[[int], int] = 400) -> Any:
    """Turn a ``.svelte`` file into a display function, or a folder of them into functions by name.

    The function's signature is the component's props, with their defaults and types; its docstring is the component's
    comment. What it returns is a `View` like any other: live in a notebook, part of figures (`row`, `column`) and
    pages, saved as one HTML file. No Node is needed: the compiler runs inside Python.

    Arrays (numpy, torch, jax) arrive in the component as typed arrays with ``shape`` and ``at(i, j)``, unrounded;
    ``$bindable`` props and the selection come back (``view.props``, ``view.on_change``, ``view.selection``). The
    component may import other components, ``.js``, ``.ts``, ``.json`` and ``.css`` files beside it, Svelte's own
    modules, and ``"mechviz"``: token text, heat map, colour bar, tooltip, frame, colour scales, the figure.

    A file ``Thing.py`` beside ``Thing.svelte`` with a function ``init(...)`` takes the arguments instead: its
    signature and docstring are the function's, and the dict that it returns is the props (None: the arguments are).

    Args:
        path: A ``.svelte`` file; or a folder, whose ``*.svelte`` and ``*/main.svelte`` become attributes, compiled
            when they are first asked for.
        watch: Show every saved edit at once in every live picture; data and selection stay. Without it an edit is
            taken up by the next call.
        height: About how high the picture is, in CSS pixels, or a function of its width; for pages in frames.

    Raises:
        SvelteError: the component, or a file that it imports, cannot be compiled. It is a `SyntaxError` with file,
            line, column and caret.
        FileNotFoundError: there is no such file or folder.
        ValueError: the path is neither a folder nor ends in ``.svelte``.
        ModuleNotFoundError: mini-racer is not installed (``pip install 'mechviz-interp[svelte]'``).

    Example:
        >>> Brush = mv.svelte("components/LossBrush.svelte")  # doctest: +SKIP
        >>> view = Brush(loss=[3.1, 2.4, 2.2])  # doctest: +SKIP
        >>> view.props["range"]  # doctest: +SKIP
        [0, 2]
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return Components(path, watch=watch, height=height)
    if not path.exists():
        raise FileNotFoundError(f"path must be a .svelte file or a folder of them; there is no {path}")
    if path.suffix != ".svelte":
        raise ValueError(f"path must end in .svelte; got {path.name!r}")
    component = Component(path.resolve(), (lambda _width: height) if isinstance(height, int) else height)
    if watch:
        component.watch()
    return component.function()


class Components:
    """The components of a folder as attributes: ``components.Thing(...)``."""

    def __init__(self, folder: Path, *, watch: bool, height: int | Callable[[int], int]) -> None:
        """Use `mechviz.svelte`."""
        self._folder = folder
        self._options: dict[str, Any] = {"watch": watch, "height": height}
        self._functions: dict[str, Callable[..., View]] = {}

    def __getattr__(self, name: str) -> Callable[..., View]:
        """The display function of a component."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._functions:
            files = self._files()
            if name not in files:
                there = ", ".join(files) or "no .svelte files"
                raise AttributeError(f"{self._folder.name}/ has {there}; got {name!r}")
            self._functions[name] = svelte(files[name], **self._options)
        return self._functions[name]

    def __dir__(self) -> list[str]:
        """Names for completion."""
        return list(self._files())

    def __iter__(self) -> Iterator[str]:
        """The components' names."""
        return iter(self._files())

    def __repr__(self) -> str:
        """The folder and what is in it."""
        return f"<mechviz components of {self._folder.name}/: {', '.join(self._files())}>"

    def _files(self) -> dict[str, Path]:
        alone = {file.stem: file for file in sorted(self._folder.glob("*.svelte"))}
        return {**alone, **{file.parent.name: file for file in sorted(self._folder.glob("*/main.svelte"))}}
