"""The gallery's page, and every view's `example()` on a page of its own: a new view is covered by being one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mechviz.gallery import PICTURES, Example, gallery, main, sections

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
SECTIONS = sections()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery as `make gallery` writes it."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    main(["--out", str(path)])
    return path


@pytest.fixture(params=SECTIONS, ids=lambda example: example.name)
def example(request) -> Example:
    return request.param


def use(opened, theme: str, width: int = 950) -> None:
    opened.page.emulate_media(color_scheme=theme)
    opened.page.set_viewport_size({"width": width, "height": 900})


def complaints(page) -> list[str]:
    """What axe-core finds, through shadow roots."""
    if not AXE.exists():
        pytest.skip("axe-core is a development package of js/: `make test` installs it")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [600, 900, 1400])
def test_every_example_is_drawn(opened, example, tmp_path, theme, width):
    use(opened, theme, width)
    opened.context.set_offline(True)
    opened.open(example.view().save(tmp_path / "x.html"))
    page = opened.page
    assert page.get_attribute(".mechviz", "data-theme") == theme
    assert page.get_by_role("alert").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing sticks out
    assert page.locator("[data-mechviz-figure]").bounding_box()["height"] > 150
    assert opened.errors == []
    assert opened.foreign == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_gallery(opened, page, theme):
    use(opened, theme)
    opened.open(page, figures=len(SECTIONS))
    for code in opened.page.get_by_text("Code", exact=True).all():
        code.click()
    assert complaints(opened.page) == []
    assert opened.errors == []


def test_what_axe_should_find_is_found(opened, tmp_path):
    path = tmp_path / "x.html"
    path.write_text("<html><img src='data:,'><p style='color:#eee;background:#fff'>pale</p></html>")
    opened.page.goto(path.as_uri())
    found = " ".join(complaints(opened.page))
    assert "image-alt" in found
    assert "color-contrast" in found


def test_the_gallery_shows_every_view_with_its_code(opened, page):
    opened.open(page, figures=len(SECTIONS))
    for example, code in zip(SECTIONS, opened.page.locator("pre").all(), strict=True):
        assert opened.page.get_by_role("heading", name=f"mv.{example.name}").count() == 1
        assert code.text_content() == example.code
        assert not code.is_visible()  # folded
    opened.page.get_by_text("Code", exact=True).first.click()
    code = opened.page.get_by_role("region", name=f"Code of mv.{SECTIONS[0].name}")
    code.click()  # one click selects all of it
    assert opened.page.evaluate("getSelection().toString()").strip() == SECTIONS[0].code.strip()


def test_pictures_are_of_views_that_exist():
    assert {name for _, name, _ in PICTURES} <= {example.name for example in SECTIONS}


def test_nothing_in_the_gallery_changes_from_run_to_run():
    assert gallery() == gallery()
