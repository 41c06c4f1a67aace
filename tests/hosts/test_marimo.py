"""Live figures in marimo."""

from __future__ import annotations

from driver import SETUP, marimo, new_page, wait_until

CELLS = [
    "import marimo as mo\nimport os",
    SETUP.strip(),
    "loss = np.array([0.5, 2.5, 0.1875], np.float32)\nview = mv.tokens(words(3), loss, name='loss')\npicked = []\n"
    "_ = view.on_select(lambda selection: picked.append(selection.positions))",
    "view",
    "large = mv.attention(words(512), pattern(12, 512))\nlarge",
    # What the reader picks reaches Python; a button shows it, and another moves the picture.
    "ask = mo.ui.button(label='ask', value=0, on_click=lambda n: n + 1)\n"
    "move = mo.ui.button(label='move', value=0, on_click=lambda n: n + 1)\nmo.hstack([ask, move])",
    "mo.md(f'asked {ask.value}: picked {picked}, positions {view.selection.positions}')",
    "if move.value:\n    view.selection.positions = [1]\n    view.update(title='Moved', values=loss * 2)\n"
    "    large.selection = {'heads': [7]}",
    # One process serves every session, and the mode is the process's.
    "mv.output('static')\nstatic = mo.vstack([mv.tokens(['x', ' y'], [1.0, 2.0], title='Static')])\nmv.output('auto')\n"
    "static",
]


def test_live_two_way_and_alone(browser, tmp_path):
    with marimo(tmp_path / "notebook.py", CELLS) as address:
        page, requests = new_page(browser, address)
        page.goto(address)
        drawn = page.locator("[data-mechviz-live=true][data-mechviz-drawn=true]")
        drawn.nth(1).wait_for()
        tokens, large = drawn.nth(0), drawn.nth(1)

        tokens.locator("[role=option][data-i='2']").click()
        page.get_by_role("button", name="ask").click()
        page.get_by_text("asked 1: picked [[2]], positions [2]").wait_for()

        page.get_by_role("button", name="move").click()
        tokens.get_by_text("Moved").wait_for()
        tokens.locator("[role=option][data-i='1'][aria-selected=true]").wait_for()
        tokens.locator("[role=option][data-i='2']").hover()
        tokens.get_by_text("0.375").first.wait_for()  # 2 x 0.1875
        # Another head came when it was opened.
        wait_until(lambda: large.evaluate("host => !host.shadowRoot.textContent.includes('loading')"))
        large.get_by_text("H7").first.wait_for()

        # The page of output("static"), in a frame of its own.
        page.locator("iframe").scroll_into_view_if_needed()
        frame = page.locator("iframe").element_handle().content_frame()
        frame.wait_for_selector("[data-mechviz-live=false][data-mechviz-drawn=true]")

        page.reload()
        drawn.nth(1).wait_for()
        assert requests.outside() == []
        page.context.close()
