"""The export menu in pages: opened as files, and inside the sandboxed frame of a notebook."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image
from test_gallery import complaints

import mechviz as mv
from mechviz.gallery import Example, examples, sections
from mechviz.page import iframe

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["file", "frame"])
def host(request, opened, tmp_path):
    """Opens a view as a file, or in a frame that may run scripts and save files and nothing else; returns its window."""

    def open_view(view: mv.View):
        path = tmp_path / "page.html"
        if request.param == "file":
            opened.open(view.save(path))
            return opened.page
        path.write_text(
            f"<!doctype html><title>x</title>{iframe(view.to_html(), height=900, title='x')}", encoding="utf-8"
        )
        opened.page.goto(path.as_uri())
        frame = opened.page.frames[1]
        opened.drawn(frame)
        return frame

    return open_view


# Every view as a file; in a frame one, since there only the host differs.
CASES = [("file", example) for example in sections()] + [("frame", examples()[-1])]
every_view = pytest.mark.parametrize(
    ("host", "example"), CASES, indirect=["host"], ids=[f"{host}-{example.name}" for host, example in CASES]
)


def choose(window, *items: str) -> None:
    """Open the menu and click its items; options leave it open."""
    window.get_by_role("button", name="Export").first.click()
    for item in items:
        window.locator("[role^=menuitem]").get_by_text(item, exact=True).click()


def saved(opened, window, folder: Path, *items: str) -> Path:
    with opened.page.expect_download() as download:
        choose(window, *items)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


@every_view
def test_every_kind_is_saved(host, opened, example: Example, tmp_path):
    window = host(example.view())
    folder = tmp_path / "saved"
    with Image.open(saved(opened, window, folder, "PNG")) as image:
        image.load()
        assert min(image.size) > 300
        (record,) = json.loads(image.info["mechviz-provenance"])["figures"]
        # The frame of a text box has no menu of its own: its pictures are of the view below.
        assert record["view"] == ("tokens" if example.name == "live" else example.name)
    svg = saved(opened, window, folder, "SVG").read_text(encoding="utf-8")
    assert len(list(ET.fromstring(svg).iter(f"{SVG}text"))) > 5
    assert "Export" not in svg
    again = mv.open(saved(opened, window, folder, "JSON, the data"))
    assert repr(again) == repr(example.view())
    page = saved(opened, window, folder, "HTML page")
    assert opened.errors == []
    assert opened.foreign == []
    opened.open(page)
    assert opened.page.get_by_role("button", name="Export").count() == 1
    assert opened.errors == []


def test_a_saved_page_holds_what_is_picked(host, opened, tmp_path):
    window = host(mv.tokens(["The", " cat", "</script>", " sat"], [0.5, 1.0, 2.0, 3.0]))
    window.locator("[data-i='2']").first.click()
    page = saved(opened, window, tmp_path / "saved", "HTML page")
    data = saved(opened, window, tmp_path / "saved", "JSON, the data")
    assert mv.open(data).selection.positions == [2]
    opened.open(page)
    assert opened.page.locator("[data-i='2']").first.get_attribute("aria-selected") == "true"


@every_view
def test_pictures_for_print(host, opened, example: Example, tmp_path):
    window = host(example.view())
    box = window.locator(".mechviz").bounding_box()
    folder = tmp_path / "saved"
    with Image.open(saved(opened, window, folder, "for print, 84 mm", "PNG")) as image:
        assert image.width == 423 * 4
        assert image.info["dpi"][0] == pytest.approx(512, abs=0.1)
    svg = ET.parse(saved(opened, window, folder, "for print, 174 mm", "SVG")).getroot()
    assert svg.get("width") == "174mm"
    # The figure is where it was, as it was.
    assert window.locator(".mechviz").bounding_box() == box
    assert window.locator(".mechviz").get_attribute("data-paper") is None
    assert opened.errors == []


def test_it_is_the_picture_that_python_makes(host, opened, tmp_path):
    view = mv.tokens(["The", " cat"], [0.5, 1.0])
    window = host(view)
    mine = ET.parse(saved(opened, window, tmp_path / "saved", "for print, 84 mm", "SVG")).getroot()
    pythons = ET.fromstring(view.svg(paper=True, width_mm=84))
    # But for the roundings of a screen with other pixels.
    assert float(mine.get("height", "")[:-2]) == pytest.approx(float(pythons.get("height", "")[:-2]), rel=0.05)
    text = f"{SVG}text"
    assert ["".join(e.itertext()) for e in mine.iter(text)] == ["".join(e.itertext()) for e in pythons.iter(text)]
    assert [e.tag for e in mine.iter()] == [e.tag for e in pythons.iter()]


def test_one_view_or_the_whole_figure(opened, tmp_path):
    tokens = ["The", " cat"]
    opened.open(mv.column(mv.tokens(tokens, title="One"), mv.tokens(tokens, title="Two")).save(tmp_path / "x.html"))
    one = saved(opened, opened.page, tmp_path, "SVG")
    assert one.name == "one.svg"
    assert ">Two<" not in one.read_text()
    both = saved(opened, opened.page, tmp_path, "whole figure", "SVG")
    assert both.name == "one-two.svg"
    assert ">One<" in both.read_text() and ">Two<" in both.read_text()


def test_an_image_is_copied_or_the_reader_is_told(host, opened):
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window = host(mv.tokens(["The", " cat"], [0.5, 1.0]))
    choose(window, "Copy image")
    if window is opened.page:
        window.get_by_role("status").get_by_text("Copied.").wait_for()
        kinds = window.evaluate("navigator.clipboard.read().then(items => items.flatMap(item => [...item.types]))")
        assert kinds == ["image/png"]
    else:
        window.get_by_role("status").get_by_text("save as PNG instead").wait_for()
        assert window.get_by_role("menu").is_visible()


def test_what_a_copy_does_not_hold_is_said(opened, tmp_path):
    page = mv.tokens(["The", " cat"], [0.5, 1.0]).save(tmp_path / "x.html")
    page.write_text(page.read_text().replace('"blob":', '"lost":').replace('"lost":', '"blob":', 1))
    content = page.read_text()
    assert content.count('"lost":') or content.count('"blob":') == 1
    opened.open(page)
    opened.page.evaluate("document.querySelectorAll('[data-blob]').forEach(blob => blob.remove())")
    choose(opened.page, "JSON, the data")
    opened.page.get_by_role("status").get_by_text("This copy holds").wait_for()


def test_keys(opened, tmp_path):
    opened.open(mv.tokens(["The", " cat"], [0.5, 1.0]).save(tmp_path / "x.html"))
    page = opened.page
    button = page.get_by_role("button", name="Export")
    button.focus()

    def focused() -> str:
        return page.evaluate("document.activeElement.shadowRoot.activeElement.textContent.trim()")

    page.keyboard.press("Enter")
    assert (button.get_attribute("aria-expanded"), focused()) == ("true", "PNG")
    page.keyboard.press("ArrowDown")
    assert focused() == "SVG"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # round the end
    assert focused() == "full screen"
    page.keyboard.press("h")
    assert focused() == "HTML page"
    page.keyboard.press("f")  # not the view's own key
    assert focused().startswith("f")
    page.keyboard.press("Escape")
    assert (button.get_attribute("aria-expanded"), page.get_by_role("menu").count()) == ("false", 0)
    assert focused().startswith("Export")
    page.keyboard.press("ArrowUp")
    assert focused() == "full screen"
    page.keyboard.press("Tab")
    assert page.get_by_role("menu").count() == 0
    choose(page)
    page.mouse.click(5, 5)
    assert page.get_by_role("menu").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_open_menu(opened, tmp_path, theme):
    opened.page.emulate_media(color_scheme=theme)
    opened.open(mv.page("A page", ["## A view", mv.tokens(["The", " cat"], [0.5, 1.0])]).save(tmp_path / "x.html"))
    choose(opened.page)
    assert complaints(opened.page) == []


def test_no_menu_in_still_pictures():
    view = mv.tokens(["The", " cat"], [0.5, 1.0])
    with Image.open(io.BytesIO(view.png(scale=1))) as image:
        corner = image.convert("L").crop((image.width - 80, 16, image.width - 16, 40))
    assert "Export" not in view.svg()
    assert corner.getextrema()[0] > 0  # of the colour bar at most


def test_a_long_text_is_whole(opened, tmp_path):
    """Far from the screen it is letters alone until somebody takes its picture."""
    n = 2100
    opened.open(mv.tokens([f" w{i}" for i in range(n)], [i / n for i in range(n)]).save(tmp_path / "x.html"))
    made = opened.page.locator(".token").count()
    assert made < n
    svg = ET.parse(saved(opened, opened.page, tmp_path, "SVG")).getroot()
    assert len(list(svg.iter(f"{SVG}rect"))) >= n
