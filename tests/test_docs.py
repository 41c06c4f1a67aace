"""What README.md and docs/ show runs as it stands, page by page, from top to bottom, but for `python no-run`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[tuple[int, str]]:
    """The code of a page's blocks, each with the line that it begins in."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
@pytest.mark.usefixtures("browser_here")  # some save pictures
def test_a_page_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    for name, code in re.findall(
        r"^```svelte\n<!-- (\w+\.svelte) -->\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        (tmp_path / name).write_text(code)
    names = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), names)
