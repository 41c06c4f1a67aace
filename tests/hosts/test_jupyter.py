"""Live figures in JupyterLab 4 and Notebook 7, with a real kernel and a real browser."""

from __future__ import annotations

import json
import re

import pytest
from driver import SETUP, wait_until

LOSS = SETUP + "loss = np.array([np.nan, 2.5, 0.1875, 1 / 3], np.float32)\n"
WATCH = "picked = []\nview.on_select(lambda selection: picked.append(selection.positions))\n"


def token(figure, position: int):
    """A token of a figure's running text."""
    return figure.locator(f"[role=option][data-i='{position}']").first


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_live_two_way_and_alone(notebook, app):
    nb = notebook(
        [
            LOSS,
            "view = mv.tokens(words(4), loss, name='loss', unit='nats')\n" + WATCH + "view",
            "view",
            "def tell(selection):\n    print('told', selection.positions)\n    raise KeyError('no more')\n"
            "_ = view.on_select(tell)",
            "print('last')",
        ],
        app=app,
    )
    nb.run_all()
    figure = nb.figure(1)
    assert nb.visible(1) == ["live"]

    token(figure, 2).click()
    wait_until(lambda: nb.python("print(picked)") == "[[2]]")
    assert nb.python("print(view.selection.positions)") == "[2]"
    # What a listener prints stands below the cell that gave it, and so does its failure.
    wait_until(lambda: "KeyError: 'no more'" in nb.printed(3))
    assert "told [2]" in nb.printed(3)
    assert nb.printed(4) == "last\n"
    # The same view in another cell has followed.
    assert token(nb.figure(2), 2).get_attribute("aria-selected") == "true"

    nb.python("view.selection.positions = [3]")
    wait_until(lambda: token(figure, 3).get_attribute("aria-selected") == "true")
    assert token(figure, 2).get_attribute("aria-selected") == "false"
    # What Python wrote is no pick of the reader's, and comes back from the browser no more than once.
    assert nb.python("print(picked)") == "[[2]]"

    nb.python("view.update(title='Another title', values=loss * 2)")
    figure.get_by_text("Another title").wait_for()
    token(figure, 2).hover()
    figure.get_by_text("0.375").first.wait_for()  # 2 x 0.1875
    assert nb.requests.outside() == []
    assert any(url.startswith("ws:") for url in nb.requests.seen)  # it is not blind to sockets


def test_the_server_passes_answers_on_at_once(server):
    log = (server.folder / ".jupyter-test" / "server.log").read_text()
    assert "mechviz._jupyter_server | extension was successfully loaded." in log


def test_heads_come_when_they_are_opened_and_numbers_are_the_kernels(notebook):
    # 12 x 512 x 512 travels as float16: 0.000244... is not one, so the read-out must have asked.
    cells = [SETUP + "weights = pattern(12, 512)", "view = mv.attention(words(512), weights)\nview"]
    nb = notebook(cells)
    nb.run_all()
    figure = nb.figure(1)
    assert nb.visible(1) == ["live"]
    nb.python("view.selection = {'heads': [7], 'queries': [100], 'keys': [50]}")
    exact = float(nb.python("print(f'{weights[7, 100, 50]:.4f}')"))
    figure.get_by_text(f"{exact:.4f}").first.wait_for()
    assert figure.get_by_text("loading").count() == 0

    # A reload asks the kernel for all that is on screen: the state, and the head that was opened since.
    nb.save()
    nb.load()
    nb.figure(1).get_by_text(f"{exact:.4f}").first.wait_for()
    assert nb.visible(1) == ["live"]
    assert nb.requests.outside() == []


def test_several_heads_open_together_and_their_numbers_are_the_kernels(notebook):
    cells = [SETUP + "weights = pattern(12, 512)", "view = mv.attention(words(512), weights, layers=[5])\nview"]
    nb = notebook(cells)
    nb.run_all()
    figure = nb.figure(1)
    nb.python("view.selection = {'layers': [5], 'heads': [7], 'queries': [100], 'keys': [50]}")
    figure.get_by_text("L5H7", exact=True).first.wait_for()
    figure.locator(".grid").focus()
    nb.page.keyboard.press("Shift+ArrowRight")
    wait_until(lambda: nb.python("print(view.selection.layers, view.selection.heads)") == "[5, 5] [7, 8]")
    figure.get_by_text("mean of L5H7, L5H8").first.wait_for()
    exact = nb.python("print(f'{weights[[7, 8], 100, 50].astype(float).mean():.4f}')")
    figure.get_by_text(exact).first.wait_for()
    nb.page.keyboard.press("c")
    largest = nb.python("print(f'{weights[[7, 8], 100, 50].max():.4f}')")
    figure.get_by_text("maximum of L5H7, L5H8").first.wait_for()
    figure.get_by_text(largest).first.wait_for()

    # Heads by rank: what is typed into the field of the limit is no command of the notebook or of the view.
    figure.get_by_label("order heads by").select_option("entropy")
    figure.locator(".bar input").click()
    nb.page.keyboard.type("99.5")
    figure.get_by_text("0 of 12").wait_for()
    assert nb.python("print(view.selection.heads)") == "[7, 8]"


def test_a_span_of_one_of_several_texts_is_selected_and_its_channels_change_in_place(notebook):
    make = """
def values(k):
    return [np.arange(2.0 * n).reshape(n, 2) * k for n in (4, 3)]
view = mv.tokens([words(4), words(3)], values(1), names=['first', 'second'], texts=['clean', 'corrupted'])
view
"""
    nb = notebook([SETUP, make])
    nb.run_all()
    figure, board = nb.figure(1), nb.page.keyboard
    # Positions 4, 5, 6 of the whole are the second text.
    token(figure, 4).drag_to(token(figure, 6))
    wait_until(lambda: nb.python("print(view.selection.texts, view.selection.positions)") == "[1] [0, 1, 2]")
    nb.python("view.selection = {'texts': [0], 'positions': [3]}")
    wait_until(lambda: token(figure, 3).get_attribute("aria-selected") == "true")
    assert token(figure, 6).get_attribute("aria-selected") == "false"

    # Keys are the view's: 2 makes no heading of the cell, dd deletes none.
    token(figure, 3).click()
    board.press("2")
    figure.locator(".site", has_text="second").wait_for()
    board.press("/")
    board.type("dd")
    figure.get_by_text("0 hits").wait_for()
    board.press("Escape")
    assert len(nb.save()["cells"]) == 2 and nb.outputs(1)

    # Other numbers: the channel that is open stays open. The last value of "second" was 7, and is 700.
    nb.python("view.update(values=values(100))")
    token(figure, 3).hover()
    figure.locator(".card").get_by_text("700", exact=True).wait_for()
    assert figure.locator(".site").inner_text() == "second"


def test_beside_a_running_cell(notebook):
    busy = """
began, step = time.time(), 0
while picked[-1] != [3] and time.time() < began + 30:
    step += 1
    view.update(title=f'step {step}')
    time.sleep(0.05)
print(picked[-1], view.selection.positions, step)
"""
    nb = notebook([LOSS, "view = mv.tokens(words(4), loss, name='loss')\n" + WATCH + "view", busy])
    nb.run(0)
    nb.run(1)
    figure = nb.figure(1)
    token(figure, 0).click()
    wait_until(lambda: nb.python("print(picked)") == "[[0]]")

    nb.run(2, wait=False)
    figure.get_by_text("step ").first.wait_for()  # the picture moves while the cell runs
    token(figure, 1).click()
    token(figure, 3).click()
    # Recent kernels hear clicks beside the cell, and it ends because it has seen the last one; after each message of
    # the cell's, ipykernel 7.4 would send the next click to the cell's own thread (FigureWidget._hear_beside_cells).
    wait_until(lambda: nb.printed(2), seconds=40)
    picked, selected, step = nb.printed(2).rsplit(" ", 2)
    assert (picked, selected) == ("[3]", "[3]")
    figure.get_by_text(re.compile(rf"step {step.strip()}\b")).first.wait_for()


def test_the_last_of_many_updates_is_shown_and_few_are_sent(notebook):
    cells = [
        LOSS,
        "view = mv.tokens(words(4), loss)\nview",
        "for i in range(3000):\n    view.update(values=loss + i)\nprint('done')",
    ]
    nb = notebook(cells)
    nb.run_all()
    figure = nb.figure(1)
    token(figure, 2).hover()
    # 0.1875 + 2999; the browser was not flooded: Jupyter cuts off what comes faster than 1,000 messages a second.
    figure.get_by_text(re.compile(r"2,?999\.1")).first.wait_for()
    assert "rate exceeded" not in nb.printed(2)


def test_the_theme_is_followed(notebook):
    nb = notebook([LOSS, "mv.row(mv.tokens(words(4), loss), mv.attention(words(4), pattern(2, 4)))"])
    nb.theme("JupyterLab Dark")
    nb.run_all()
    figure = nb.figure(1)
    assert figure.get_attribute("data-theme") == "dark"
    nb.theme("JupyterLab Light")
    wait_until(lambda: figure.get_attribute("data-theme") == "light")


def test_keys_move_the_picture_and_not_the_notebook(notebook):
    nb = notebook([SETUP, "view = mv.attention(words(4), pattern(3, 4))\nview", "1 + 1"])
    nb.run_all()
    figure = nb.figure(1)
    figure.locator("[role=application]").click()
    for key in ("]", "m", "d", "d"):  # in JupyterLab's command mode m makes a cell Markdown and d d deletes it
        nb.page.keyboard.press(key)
    wait_until(lambda: nb.python("print(view.selection.heads)") == "[1]")
    assert nb.cell(1).get_attribute("class").count("jp-CodeCell") == 1
    assert nb.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 3


def test_fifty_widgets_and_long_notebooks(notebook):
    five = "for i in range(5):\n    display(mv.attention(words(16), pattern(4, 16), title=f'figure {i}'))"
    nb = notebook([SETUP, *[five] * 10])
    nb.page.evaluate(
        "jupyterapp.shell.currentWidget.content.notebookConfig = {...jupyterapp.shell.currentWidget.content"
        ".notebookConfig, windowingMode: 'full'}"
    )
    nb.run_all()
    wait_until(lambda: len(nb.drawn()) == 50, seconds=60)
    # Cells that leave the screen leave the document and come back; the pictures come back with them.
    nb.scroll(1)
    assert nb.visible(1) == ["live"] * 5
    nb.scroll(10)
    assert nb.visible(10) == ["live"] * 5
    nb.page.evaluate("cell => jupyterapp.shell.currentWidget.content.widgets[cell].outputsScrolled = true", 10)
    assert nb.visible(10) == ["live"] * 5
    assert len(nb.drawn()) == 50  # nothing was drawn anew
    outputs = json.dumps(nb.save()["cells"][1]["outputs"])
    assert len(outputs) / 5 < 265_000  # the bundle of the lab's views within its budget (180 KB, in base64), and 25 KB
