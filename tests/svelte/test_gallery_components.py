"""The five components of notebooks/components, clicked through in the page that their notebook makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks/components"


@pytest.fixture(scope="module")
def made():
    """What the notebook's cells leave behind."""
    cells = json.loads((FOLDER / "gallery.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        for cell in cells:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
    return names


def test_all_five_are_drawn_in_one_page(made, page):
    made["page"].save(page.folder / "page.html")
    page.page.goto((page.folder / "page.html").as_uri())
    page.component.nth(4).wait_for()
    assert page.component.count() == 5
    assert page.alert.count() == 0 and page.console == []
    assert made["page"].to_html().count('id="mechviz-bundle"') == 1


def test_the_brush_chooses_a_range(made, page):
    strip = page.open(made["curve"]).component.locator("svg").nth(1)
    box = strip.bounding_box()
    page.page.mouse.move(box["x"] + 200, box["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 400, box["y"] + 20, steps=3)
    page.page.mouse.up()
    # Of the page's 844 px the plot takes all but 44 left and 8 right: 899 · 156 / 792 = 177, 899 · 356 / 792 = 404.
    chosen = page.component.get_by_text("steps 177–404", exact=True)
    chosen.wait_for()
    strip.focus()
    page.page.keyboard.press("Escape")
    chosen.wait_for(state="hidden")


def test_the_stepper_steps_and_names_what_came(made, page):
    page.open(made["stepper"])
    # Python has moved it to 12, " small"; the text goes on with " letter", which the counts hardly expect.
    page.component.get_by_text("Came: ·letter, rank 26").wait_for()
    page.component.get_by_role("button", name="next").click()
    page.component.get_by_text("after position 13").wait_for()
    page.component.get_by_text("Came: ·to, rank 1,").wait_for()


def test_the_map_finds_a_word(made, page):
    page.open(made["vocabulary"])
    page.component.get_by_role("searchbox").fill("ki")
    page.component.get_by_text("1 found").wait_for()


def test_the_flow_shows_what_reaches_a_token(made, page):
    page.open(made["flow"])
    page.component.get_by_role("button", name="dog, position 13, after layer 1").click()
    # The second layer's rule: it reads what came after the last "the dog", which is "and" at 4.
    page.component.get_by_role("row", name="and L1H0 0.919").wait_for()


def test_what_is_strongly_joined_stands_together_in_the_circuit(made, page):
    page.open(made["circuit"])
    boxes = {
        name: page.component.get_by_role("button", name=name, exact=True).bounding_box()
        for name in ("L0H0", "L1H0", "logit of dog − cat")
    }
    # The strongest path goes straight up.
    assert len({round(box["x"] + box["width"] / 2) for box in boxes.values()}) == 1
    page.component.get_by_role("button", name="L1H0", exact=True).hover()
    page.component.get_by_role("row", name="from L0H0 +0.86").wait_for()
