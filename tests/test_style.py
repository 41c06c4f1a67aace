"""`mv.style`: what it refuses, and that figures made and shown afterwards follow it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

import mechviz as mv

WORDS = Path(__file__).parents[1] / "js" / "src" / "words.json"


@pytest.fixture(autouse=True)
def restored():
    yield
    mv.style(reset=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"theme": "black"}, ValueError, "theme must be one of auto, light, dark; got 'black'"),
        ({"curve": 1}, TypeError, "curve must be a string; got a int"),
        ({"sans": "x;}"}, ValueError, "sans must be fonts"),
        ({"spaces": "yes"}, TypeError, "spaces must be True or False; got 'yes'"),
        ({"words": {"strip.form": "x"}}, ValueError, "no text named 'strip.form'; did you mean 'strip.from'"),
        ({"words": {"strip.from": 1}}, TypeError, r"words\['strip.from'\] must be a string; got a int"),
        ({"words": ["x"]}, TypeError, "words must be a dict of texts by name; got a list"),
    ],
)
def test_what_it_refuses_changes_nothing(arguments, error, message):
    before = mv.style()
    with pytest.raises(error, match=message):
        mv.style(**arguments)
    assert mv.style() == before


def test_figures_say_what_differs_from_the_defaults():
    def told() -> dict:
        html = mv.tokens(["a", " b"], [1.0, 2.0]).to_html()
        return json.loads(re.search(r'type="application/json">(.*?)</script>', html)[1])["style"]

    assert told() == {}
    mv.style(theme="dark", spaces=True)
    assert told() == {"theme": "dark", "spaces": True}
    mv.style(theme="auto")
    assert told() == {"spaces": True}
    assert mv.style(reset=True, mono="Iosevka").mono == "Iosevka"
    assert told() == {"mono": "Iosevka"}


def test_every_word_of_the_interface_is_in_the_table_and_used():
    table = json.loads(WORDS.read_text(encoding="utf-8"))
    assert mv.style().english == table
    source = "".join(
        path.read_text(encoding="utf-8") for end in ("svelte", "ts") for path in WORDS.parent.rglob(f"*.{end}")
    )
    # Names are written whole, in single quotes, or put together in a template: `chart.key.${kind}`, `${name}.long`.
    templates = [re.escape(t).replace(r"\$\{\}", r"[\w.]+") for t in re.findall(r"say\(`([^`]+)`", hollow(source))]
    unused = [n for n in table if f"'{n}'" not in source and not any(re.fullmatch(t, n) for t in templates)]
    assert unused == []


def hollow(source: str) -> str:
    """With every `${…}` of a template emptied."""
    return re.sub(r"\$\{[^}]*\}", "${}", source)


@pytest.mark.browser
def test_a_page_follows_theme_words_and_spaces(browser, tmp_path):
    mv.style(
        theme="dark", spaces=True, sans="Liberation Serif", words={"keys.all": "alle Tasten", "tokens.pinned": "fest"}
    )
    path = mv.tokens(["a", " b"], [1.0, 2.0]).save(tmp_path / "x.html")
    page = browser.new_page(color_scheme="light")
    page.goto(path.as_uri())
    page.get_by_text("alle Tasten").wait_for()
    assert page.get_attribute(".mechviz", "data-theme") == "dark"
    assert page.locator(".mechviz").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(17, 20, 24)"
    assert page.locator("[data-i='1']").inner_text() == "·b"
    assert "Serif" in page.get_by_role("heading").evaluate("e => getComputedStyle(e).fontFamily")
    page.close()


@pytest.mark.browser
def test_a_picture_has_the_theme_that_it_is_asked_for():
    from PIL import Image

    view = mv.tokens(["a", " b"], [1.0, 2.0])
    plain = view.png(theme="light")
    mv.style(theme="dark")
    assert view.png(theme="light") == plain
    corner = Image.open(io.BytesIO(view.png(theme="dark"))).convert("RGB").getpixel((2, 2))
    assert corner == (17, 20, 24)
