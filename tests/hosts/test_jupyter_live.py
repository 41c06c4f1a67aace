"""`mv.live` in JupyterLab, with a real kernel: what is typed fast ends in the right picture, beside a busy cell too."""

from __future__ import annotations

import random
import re

import pytest
from driver import SETUP, wait_until

LIVE = (
    SETUP
    + """
ran = []
def letters(text):
    ran.append(text)
    time.sleep(pause)
    return mv.tokens(list(text), [ord(c) - 96 for c in text], name='place', title='of ' + text)
"""
)


def pictured(figure) -> str:
    """The text that the picture is of, by its tokens."""
    return figure.evaluate("host => [...host.shadowRoot.querySelectorAll('[data-i]')].map(t => t.textContent).join('')")


@pytest.mark.parametrize("pause", [0.0, 0.08])
def test_twenty_characters_typed_fast_end_with_their_picture(notebook, pause):
    nb = notebook([LIVE, f"pause = {pause}\nview = mv.live(letters, 'a')\nview"])
    nb.run_all()
    figure = nb.figure(1)
    box = figure.locator("textarea")
    box.click()
    nb.page.keyboard.press("End")
    text = "bcdefghijklmnopqrstu"
    nb.page.keyboard.type(text, delay=15)
    wait_until(lambda: pictured(figure) == "a" + text)
    wait_until(lambda: nb.python("print(view.text)") == "a" + text)
    assert box.input_value() == "a" + text
    # one at a time, none older than the one before, and not every key of those typed while it was busy
    ran = nb.python("print(*ran)").split()
    assert [len(one) for one in ran] == sorted(len(one) for one in ran)
    assert pause == 0 or len(ran) < 12
    figure.get_by_text(re.compile(r"key to picture \d+ ms")).wait_for()
    assert nb.cell(1).get_attribute("class").count("jp-CodeCell") == 1  # no key was the notebook's
    # the colour scale holds what was typed: u is the 21st letter
    assert figure.evaluate("host => host.shadowRoot.querySelector('figure').ariaLabel") == "place, from 0 to 21"
    box.fill("b")
    wait_until(lambda: pictured(figure) == "b")
    assert "to 21" in figure.evaluate("host => host.shadowRoot.querySelector('figure').ariaLabel")
    figure.get_by_role("button", name="reset scale").click()
    wait_until(lambda: figure.evaluate("host => host.shadowRoot.querySelector('figure').ariaLabel")[-4:] == "to 2")


TELLING = """
pause = 0.004
def telling(text):
    if text == 'abc':
        print('told', text)
    return letters(text)
view = mv.live(telling, 'a')
view
"""


def test_many_edits_and_an_error(notebook):
    nb = notebook([LIVE, TELLING, "print('last')"])
    nb.run_all()
    figure = nb.figure(1)
    draw = random.Random(3)
    texts = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 12))) for _ in range(150)]
    # The picture is read after every edit: it is the text's, or that of one not older than the picture before.
    seen = figure.evaluate(
        """async (host, texts) => {
        const box = host.shadowRoot.querySelector('textarea'), seen = [];
        for (const [i, text] of texts.entries()) {
            box.value = text;
            box.dispatchEvent(new InputEvent('input', {bubbles: true}));
            await new Promise(done => setTimeout(done, i % 5 ? 3 : 25));
            seen.push([...host.shadowRoot.querySelectorAll('[data-i]')].map(t => t.textContent).join(''));
        }
        return seen; }""",
        texts,
    )
    wait_until(lambda: pictured(figure) == texts[-1])
    at = 0
    for i, shown in enumerate(seen):
        places = [k for k in range(at, i + 1) if texts[k] == shown]
        assert places or shown in ("a", texts[at]), (i, shown)
        at = places[0] if places else at

    box = figure.locator("textarea")
    box.fill("")  # mv.tokens refuses an empty text
    figure.get_by_role("alert").wait_for()
    assert pictured(figure) == texts[-1]
    box.fill("abc")
    wait_until(lambda: pictured(figure) == "abc")
    assert figure.get_by_role("alert").count() == 0
    # What the function prints stands below the cell that made the view.
    wait_until(lambda: "told abc\n" in nb.printed(1))
    assert nb.printed(2) == "last\n"


BESIDE = """
began = time.time()
while view.text != 'abcd' and time.time() < began + 20:
    time.sleep(0.02)
print('seen' if view.text == 'abcd' else 'not seen')
"""


def test_typing_beside_a_running_cell(notebook):
    nb = notebook([LIVE, "pause = 0\nview = mv.live(letters, 'a')\nview", BESIDE])
    nb.run(0)
    nb.run(1)
    figure = nb.figure(1)
    figure.locator("textarea").click()
    nb.page.keyboard.press("End")
    nb.run(2, wait=False)
    figure.locator("textarea").focus()
    nb.page.keyboard.type("bcd", delay=30)
    wait_until(lambda: nb.printed(2).strip() == "seen", seconds=30)
    assert pictured(figure) == "abcd"


def test_a_host_that_hears_nothing_beside_a_cell_says_so_and_answers_after_it(notebook):
    nb = notebook([LIVE, "pause = 0\nview = mv.live(letters, 'a')\nview", "time.sleep(3)\nprint(view.text)"])
    # JupyterLab's own setting: what widgets say then goes to the thread that runs cells, as in older hosts.
    nb.page.evaluate(
        "() => { jupyterapp.shell.currentWidget.sessionContext.session.kernel.commsOverSubshells = 'disabled' }"
    )
    nb.run(0)
    nb.run(1)
    figure = nb.figure(1)
    figure.locator("textarea").click()
    nb.page.keyboard.press("End")
    nb.run(2, wait=False)
    figure.locator("textarea").focus()
    nb.page.keyboard.type("bcd", delay=30)
    figure.get_by_text("Kernel busy. Showing the picture of an earlier text.").wait_for()
    assert pictured(figure) == "a"
    wait_until(lambda: nb.printed(2).strip() == "a", seconds=30)  # the cell saw nothing of it
    wait_until(lambda: pictured(figure) == "abcd")
    assert figure.get_by_text("Kernel busy.").count() == 0


def test_in_a_figure_with_controls_and_without_a_kernel(notebook):
    nb = notebook(
        [
            LIVE,
            "pause = 0\nimport ipywidgets\nfactor = ipywidgets.IntSlider(2, 1, 9, description='factor')\n"
            "def scaled(text, factor):\n    return mv.tokens(list(text), [factor] * len(text), name='f')\n"
            "view = mv.live(scaled, 'ab', factor=factor)\nview",
            "mv.row(view, mv.tokens(['x', 'y'], title='beside'))",
        ]
    )
    nb.run_all()
    nb.python("factor.value = 7")
    figure, row = nb.figure(1), nb.figure(2)
    figure.get_by_text("factor 7").wait_for()
    row.get_by_text("factor 7").wait_for()
    row.locator("textarea").fill("abc")
    for each in (figure, row):
        wait_until(lambda each=each: pictured(each).startswith("abc"))
    saved = nb.save()
    nb.shut_down()
    again = notebook(None, kernel=False)
    del saved
    twin = again.twin(1)
    assert twin.locator("textarea").is_disabled()
    twin.get_by_text("Typing needs a kernel: run the notebook.").wait_for()
