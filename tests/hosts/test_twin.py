"""Saved notebooks: the frozen twin where no kernel runs, its still where not even that may, and never both pictures."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from driver import REPOSITORY, SETUP, new_page, wait_until, write_notebook
from seen import SEEN

HOSTILE = [
    "</script><script>globalThis.pwned=1</script>",
    "<img src=x onerror=globalThis.pwned=1>",
    '"><svg onload=globalThis.pwned=1>',
    "'><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "</style><script>globalThis.pwned=1</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--<script>",
    "]]>",
    "\ud800",
    "\0",
]
SHOWN = [*HOSTILE[:8], "⟨U+D800⟩", "⟨U+0000⟩"]
CELLS = [
    SETUP,
    "view = mv.row(mv.tokens(words(24), np.arange(24)), mv.attention(words(24), pattern(6, 24)))\nview",
    "mv.attention(words(512), pattern(12, 512))",
    f"hostile = {HOSTILE!r}\n"
    "mv.row(mv.tokens(hostile, np.arange(10), title=hostile[0], name=hostile[1]), "
    "mv.attention(hostile, pattern(2, 10), title=hostile[2]))",
]


def nbconvert(path: Path, *options: str) -> Path:
    """Run nbconvert; the file it wrote."""
    command = [sys.executable, "-m", "nbconvert", str(path), *options]
    done = subprocess.run(command, cwd=path.parent, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path.with_suffix(".html" if "html" in options else ".ipynb")


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def executed(server, tmp_path_factory) -> dict:
    """The notebook as it was executed, a file's JSON."""
    path = write_notebook(server.folder / "executed.ipynb", CELLS)
    nbconvert(path, "--to", "notebook", "--execute", "--inplace", "--ExecutePreprocessor.store_widget_state=False")
    return json.loads(path.read_text())


def outputs(executed: dict) -> list[list]:
    return [cell["outputs"] for cell in executed["cells"]]


def figures_with(frame, text: str) -> int:
    """How many figures of a page show a text, as text."""
    return frame.evaluate(
        """text => [...document.querySelectorAll('.mechviz')].filter(host => [...host.shadowRoot.querySelectorAll('*')]
            .some(element => element.tagName !== 'STYLE' && element.textContent.includes(text))).length""",
        text,
    )


def test_a_cell_holds_a_widget_and_a_small_twin(executed):
    for cell in outputs(executed)[1:]:
        widget, twin = [output["data"] for output in cell]
        assert "application/vnd.jupyter.widget-view+json" in widget
        assert "text/html" not in widget
        assert len(json.dumps(twin)) < 1_500_000


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_reopened_and_trusted_it_is_the_interactive_twin(notebook, executed, app):
    nb = notebook(CELLS, outputs=outputs(executed), app=app)
    nb.trust()
    for cell in (1, 2, 3):
        nb.scroll(cell)
        wait_until(lambda cell=cell: nb.visible(cell) == [SEEN[app]["trusted"]])
    twin = nb.twin(1)
    assert twin.evaluate("document.querySelector('.mechviz').dataset.mechvizLive") == "false"
    twin.locator("[role=option][data-i='7']").first.click()
    # Both views of the row follow.
    wait_until(lambda: twin.locator("[role=option][data-i='7'][aria-selected=true]").count() >= 1)
    # Of the large pattern it holds the head that was on screen, and says so when another is opened.
    large = nb.twin(2)
    large.locator("[role=application]").press("]")
    large.get_by_text("1 of 12 heads kept in this copy; use .save()").wait_for()
    assert nb.requests.outside() == []

    hostile = nb.twin(3)
    assert hostile.evaluate("globalThis.pwned") is None
    for text in SHOWN:
        assert figures_with(hostile, text), text
    assert nb.page.evaluate("globalThis.pwned") is None


def test_the_twin_follows_the_theme(notebook, executed):
    # Playwright's own colour scheme would be the frame's, whatever stands round it.
    nb = notebook(CELLS[:2], outputs=outputs(executed)[:2], color_scheme="null")
    nb.trust()
    nb.theme("JupyterLab Light")  # the server remembers what another test has set
    theme = "document.querySelector('.mechviz').dataset.theme"
    wait_until(lambda: nb.twin(1).evaluate(theme) == "light")
    nb.theme("JupyterLab Dark")
    wait_until(lambda: nb.twin(1).evaluate(theme) == "dark")
    nb.theme("JupyterLab Light")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_asked_to_be_static_it_is_the_interactive_page_at_once(notebook, app):
    nb = notebook([SETUP, "mv.output('static')\nmv.tokens(words(3), [1, 2, 3])"], app=app)
    nb.run_all()
    nb.twin(1)
    assert nb.visible(1) == [SEEN[app]["static"]]
    assert nb.requests.outside() == []


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_executed_again_the_live_picture_takes_its_place(notebook, executed, app):
    nb = notebook(CELLS[:2], outputs=outputs(executed)[:2], app=app)
    nb.trust()
    nb.twin(1)
    nb.run(0)
    nb.run(1)
    nb.figure(1)
    assert nb.visible(1) == [SEEN[app]["running"]]

    # The new twin does no work: its frame is not even made, where the picture is drawn before anybody has seen the twin for
    # long. The first one, with the bundle, may take longer on a slow machine.
    def frames() -> int:
        nb.run(1)
        nb.figure(1)
        nb.cell(1).locator(".mechviz-twin").wait_for(state="attached")
        return nb.cell(1).locator("iframe").count()

    assert 0 in (frames() for _ in range(5))


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_untrusted_it_is_the_still(notebook, executed, app):
    nb = notebook(CELLS, outputs=outputs(executed), app=app)
    for cell in (1, 2, 3):
        nb.scroll(cell)
        assert nb.visible(cell) == [SEEN[app]["untrusted"]]
    assert nb.page.locator(".mechviz-still img").count() >= 1
    assert nb.page.evaluate("globalThis.pwned") is None
    assert HOSTILE[0] in nb.cell(3).inner_text()


def test_a_stored_widget_state_does_not_hide_the_twin(notebook, server, executed):
    # As nbconvert --execute stores it: the widget is drawn from the file, without a kernel to ask.
    path = write_notebook(server.folder / "stored.ipynb", CELLS[:2])
    nbconvert(path, "--to", "notebook", "--execute", "--inplace")
    assert "widgets" in json.loads(path.read_text())["metadata"]
    nb = notebook(None, name="stored")
    nb.trust()
    nb.twin(1)
    wait_until(lambda: nb.visible(1) == ["twin"])


@pytest.mark.parametrize("execute", [False, True], ids=["converted", "executed"])
def test_as_html_it_is_the_interactive_twin(browser, server, executed, tmp_path, execute):
    path = write_notebook(tmp_path / "page.ipynb", CELLS, outputs=[] if execute else outputs(executed))
    html = nbconvert(path, "--to", "html", *(["--execute"] if execute else []))
    page, requests = new_page(browser, offline=True)
    page.goto(html.as_uri())
    twins = page.locator(".mechviz-twin")
    assert twins.count() == 3
    for i in range(3):
        twins.nth(i).scroll_into_view_if_needed()
        frame = twins.nth(i).locator("iframe").element_handle().content_frame()
        frame.wait_for_selector("[data-mechviz-drawn=true]")
        assert frame.evaluate("globalThis.pwned") is None
    for text in SHOWN:
        assert figures_with(frame, text), text
    assert page.evaluate("globalThis.pwned") is None
    # What nbconvert's own template asks of a CDN, it asks with every notebook.
    assert all("require" in url or "mathjax" in url.lower() or "html-manager" in url for url in requests.outside())
    page.context.close()


def test_hundreds_of_random_strings_are_only_text(notebook, executed):
    random.seed(0)
    alphabet = [*"<>\"'&/\\;=(){}`@ \n\t-!", *map(chr, range(0x250)), "script", "onload=", "\ud83d", "😀", "ש"]
    strings = ["".join(random.choices(alphabet, k=random.randint(1, 12))) for _ in range(300)]
    cell = f"strings = {strings!r}\nmv.tokens(strings, np.arange(300), title=strings[0])"
    nb = notebook([SETUP, cell, CELLS[3]])
    nb.run_all()
    figure = nb.figure(1)
    assert figure.locator("[role=option]").count() == 300
    assert nb.page.locator("script").count() == nb.page.evaluate("document.scripts.length")  # none inside the figures
    for text in SHOWN:
        assert nb.figure(2).evaluate("(host, text) => host.shadowRoot.textContent.includes(text)", text), text
    assert nb.page.evaluate("globalThis.pwned") is None
