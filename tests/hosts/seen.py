"""What each host is given and what its reader sees: what the tests beside this file expect, and docs/hosts.md.

python tests/hosts/seen.py > docs/hosts.md
"""

from __future__ import annotations

# By host and mode of `mv.output`: the outputs that a cell gets. "widget|page" is one output with both, of which the host
# shows what it can.
EMITTED = {
    "jupyter": {"auto": ["widget", "page"], "live": ["widget"], "static": ["page"]},
    "vscode": {"auto": ["widget|page"], "live": ["widget"], "static": ["page"]},
    "colab": {"auto": ["widget|page"], "live": ["widget"], "static": ["page"]},
    "terminal": {"auto": [], "live": [], "static": []},
}
# By host and situation: what a reader sees, as Notebook.visible of driver.py names it.
SEEN = {
    "lab": {"running": "live", "trusted": "twin", "untrusted": "still", "static": "twin"},
    "notebook": {"running": "live", "trusted": "twin", "untrusted": "still", "static": "twin"},
    "marimo": {"running": "live", "static": "twin"},
    "nbconvert": {"trusted": "twin"},
}

_HOSTS = {
    "jupyter": "JupyterLab, Notebook, nbconvert, other Jupyter hosts",
    "vscode": "VS Code",
    "colab": "Colab",
    "terminal": "a terminal",
}
_READERS = {"lab": "JupyterLab 4", "notebook": "Notebook 7", "marimo": "marimo", "nbconvert": "HTML made by nbconvert"}
_SITUATIONS = {
    "running": "the kernel runs",
    "static": '`mv.output("static")`',
    "trusted": "opened again, trusted",
    "untrusted": "opened again, not trusted",
}
_WORDS = {
    "widget": "a live widget",
    "page": "an interactive page (the *frozen twin*) over a still picture",
    "widget|page": "one output that is a live widget, else the interactive page",
    "live": "the live picture",
    "twin": "the interactive page",
    "still": "the still picture",
}


def markdown() -> str:
    """The page of the documentation."""
    lines = [
        "# What each host shows",
        "",
        "Made by `python tests/hosts/seen.py`, from what the tests of `tests/hosts` expect: the first table of what a cell",
        "emits, the second of what a reader then sees in the real application (VS Code and Colab cannot be run there).",
        "",
        "`mv.output(mode)` or the environment variable `MECHVIZ_OUTPUT` chooses the mode; `auto` is the default. `live` keeps",
        "notebooks small, `static` is for hosts that cannot fetch a widget runtime, such as VS Code without a network.",
        "",
        '| emitted in | `"auto"` | `"live"` | `"static"` |',
        "|---|---|---|---|",
    ]
    for host, modes in EMITTED.items():
        cells = ["; ".join(_WORDS[kind] for kind in modes[mode]) or "text" for mode in ("auto", "live", "static")]
        lines.append(f"| {_HOSTS[host]} | {' | '.join(cells)} |")
    lines.append("| marimo | a live widget | a live widget | an interactive page |")
    lines += ["", f"| seen in | {' | '.join(_SITUATIONS.values())} |", "|---|" + "---|" * len(_SITUATIONS)]
    for host, seen in SEEN.items():
        cells = [_WORDS[seen[situation]] if situation in seen else "–" for situation in _SITUATIONS]
        lines.append(f"| {_READERS[host]} | {' | '.join(cells)} |")
    lines += [
        "",
        "The live picture answers Python and asks the kernel; the interactive page holds what was on screen, up to 1.5 MB in",
        "a notebook, and needs neither; the still picture needs no script at all. A page written by `.save()` is the",
        "interactive page with everything in it.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
