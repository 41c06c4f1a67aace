"""Pick in one view and all others follow: the same script in JupyterLab, Notebook 7, marimo and a file."""

from __future__ import annotations

import subprocess
import sys

import pytest
from driver import SETUP, marimo, new_page, wait_until
from playwright.sync_api import Page

# Three figures: two were given the selection, and of the third the whole row.
VIEWS = """
shared = mv.Selection()
text = mv.tokens(words(4), [0.5, 0.75, 0.25, 1.0], name="loss", title="Text", selection=shared)
maps = mv.row(
    mv.attention(words(4), np.stack([pattern(3, 4), pattern(3, 4, seed=1)]), title="Heads"),
    mv.heatmap(np.arange(6.0).reshape(2, 3), row_points="layers", column_points="heads", title="Scores"),
    selection=shared,
)
rest = mv.tabs({"again": mv.tokens(words(4), title="Again"), "charts": mv.bars([1, 2, 3, 4], points="tokens")},
               selection=shared)
""".strip()
NAMES = ("text", "maps", "rest")


def follow(page: Page) -> None:
    """What a reader does, and sees."""
    drawn = page.locator("[data-mechviz-drawn=true]:not([data-mechviz-live=twin])")
    drawn.nth(2).wait_for()
    text, maps, rest = (drawn.nth(i) for i in range(3))

    def chosen(figure) -> list[str]:
        """The tokens that a figure shows as picked."""
        return sorted({token.get_attribute("data-i") for token in figure.locator("[data-i][aria-selected=true]").all()})

    # A token in the text of one figure: marked in the other text and in the attention view of another figure.
    text.locator("[role=option][data-i='2']").click()
    for figure in (maps, rest):
        wait_until(lambda figure=figure: chosen(figure) == ["2"])

    # Back the other way.
    rest.locator("[role=option][data-i='1']").first.click()
    for figure in (text, maps):
        wait_until(lambda figure=figure: chosen(figure) == ["1"])

    # A cell of the heat map is a head: layer 1, head 2.
    cells = maps.locator("[data-view='1'] [role=application]")
    cells.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    heads = maps.locator("[data-view='0']")
    wait_until(lambda: "L1H2" in heads.inner_text())

    # Letting go in one lets go in all.
    text.locator("[role=option][data-i='2']").click()
    wait_until(lambda: chosen(rest) == ["2"])
    text.locator("[role=option][data-i='2']").press("Escape")
    for figure in (text, rest):
        wait_until(lambda figure=figure: chosen(figure) == [])


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_in_jupyter(notebook, app):
    nb = notebook([SETUP + VIEWS, *NAMES], app=app, viewport={"width": 1280, "height": 2600})
    nb.run_all()
    follow(nb.page)
    wait_until(lambda: nb.python("print(shared.layers, shared.heads, shared.positions)") == "[1] [2] []")
    nb.python("shared.positions = [3]")
    for cell in (1, 3):
        nb.figure(cell).locator("[role=option][data-i='3'][aria-selected=true]").first.wait_for()
    assert nb.requests.outside() == []


def test_in_jupyter_while_a_cell_runs(notebook):
    """Figures of one document tell each other; the kernel hears of it later."""
    busy = "import os\nwhile not os.path.exists('go'):\n    time.sleep(0.05)\nprint('went')"
    nb = notebook([SETUP + VIEWS, *NAMES, busy], viewport={"width": 1280, "height": 2600})
    for cell in range(4):
        nb.run(cell)
    nb.figure(3)
    nb.run(4, wait=False)
    follow(nb.page)
    assert nb.printed(4) == ""
    (nb.server.folder / "go").touch()
    wait_until(lambda: nb.printed(4) == "went\n")
    # What comes back through the kernel undoes nothing.
    wait_until(lambda: nb.python("print(shared.layers, shared.heads, shared.positions)") == "[1] [2] []")
    assert nb.figure(3).locator("[role=option][aria-selected=true]").count() == 0


def test_in_marimo(browser, tmp_path):
    cells = ["import marimo as mo", SETUP.strip(), VIEWS, *NAMES]
    with marimo(tmp_path / "notebook.py", cells) as address:
        page, requests = new_page(browser, address, viewport={"width": 1280, "height": 2600})
        page.goto(address)
        follow(page)
        assert requests.outside() == []
        page.context.close()


def test_in_a_file_and_by_its_address(browser, tmp_path):
    path = tmp_path / "linked.html"
    program = f"{SETUP}{VIEWS}\nmv.page('Linked', [text, maps, rest]).save({str(path)!r})"
    subprocess.run([sys.executable, "-c", program], check=True)
    page, requests = new_page(browser, viewport={"width": 1280, "height": 2600})
    page.goto(path.as_uri())
    follow(page)
    # The address says what is picked; a reader who is given it sees the same.
    page.locator("[role=option][data-i='3']").first.click()
    address = page.evaluate("location.href")
    assert address.endswith("linked.html#mv-0=layers:1;heads:2;queries:3;positions:3")
    page.close()
    subprocess.run([sys.executable, "-c", program], check=True)  # the page, saved again, has the same links
    page, other = new_page(browser, viewport={"width": 1280, "height": 2600})
    page.goto(address)
    drawn = page.locator("[data-mechviz-drawn=true]")
    drawn.nth(2).wait_for()
    for i in (0, 2):
        drawn.nth(i).locator("[role=option][data-i='3'][aria-selected=true]").first.wait_for()
    assert "L1H2" in drawn.nth(1).locator("[data-view='0']").inner_text()
    assert requests.outside() == other.outside() == []
