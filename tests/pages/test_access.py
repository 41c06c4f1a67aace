"""Every view without a mouse, by touch, and on real pixels; a new view is covered by being one."""

from __future__ import annotations

import io

import numpy as np
import pytest

import mechviz as mv
from mechviz.gallery import Example, sections

pytestmark = pytest.mark.browser

# The element that has the focus, through shadow roots.
FOCUSED = """() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at; }"""
# What a reader sees of a figure, without its canvases: text (not what is only heard), what is marked, frames.
SHOWN = """() => [...document.querySelectorAll('.mechviz')].map(host => {
    const figure = host.shadowRoot.querySelector('.figure');
    const marked = [...figure.querySelectorAll('[data-hovered], [data-pinned]')].map(e => e.dataset.i + e.getAttributeNames().sort());
    const drawn = [...figure.querySelectorAll('svg :is(path, circle, line, rect)')].map(e => e.outerHTML);
    const heard = [...figure.querySelectorAll('.heard')].map(e => e.innerText).filter(Boolean);
    const text = heard.reduce((all, one) => all.replace(one, ''), figure.innerText);
    return [...text.split('\\n').filter(line => line.trim()), ...marked, ...drawn].join('\\n');
}).join()"""


@pytest.fixture(params=sections(), ids=lambda example: example.name)
def example(request) -> Example:
    return request.param


@pytest.fixture
def page(opened, example, tmp_path):
    opened.page.emulate_media(reduced_motion="reduce")
    opened.open(example.view().save(tmp_path / "x.html"))
    yield opened.page
    assert opened.errors == []


def reach(page, role: str = "") -> dict:
    """Press Tab until something inside the figure that arrows work on has the focus."""
    for _ in range(12):
        page.keyboard.press("Tab")
        at = page.evaluate(
            f"""() => {{ const at = ({FOCUSED})();
            const style = getComputedStyle(at);
            return {{ role: at.getAttribute('role') ?? at.role ?? '', name: at.ariaLabel ?? at.textContent, tag: at.tagName,
                     outline: style.outlineStyle, inside: at.getRootNode() instanceof ShadowRoot }}; }}"""
        )
        if at["inside"] and at["role"] in ("option", "application", "listbox", "grid", "slider", "img"):
            return at
    raise AssertionError("no stop of the Tab key leads into the picture")


def leave(page) -> str:
    """What is shown once the focus is outside: what is hovered is let go, what is picked stays."""
    page.evaluate(f"({FOCUSED})().blur()")
    page.wait_for_timeout(50)
    return page.evaluate(SHOWN)


def test_with_the_keyboard_alone(page):
    rest = page.evaluate(SHOWN)
    assert reach(page)["name"], "what has the focus has no name"
    shown = {page.evaluate(SHOWN)}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):  # it may stand at an end
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        shown.add(page.evaluate(SHOWN))
    assert len(shown) > 1, "arrow keys move nothing"
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="all keys")
    dialog.wait_for()
    for key in ("Enter", "Esc", "f", "?"):
        assert dialog.get_by_text(key, exact=True).count() == 1
    page.keyboard.press("Escape")  # closes the list and nothing else
    dialog.wait_for(state="detached")
    assert leave(page) != rest, "Enter pins nothing"
    reach(page)
    page.keyboard.press("Escape")
    assert leave(page) == rest, "Esc does not let go"


def test_the_focus_can_be_seen(page):
    reach(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    # 2 px of the focus colour, by CSS or drawn into the picture.
    drawn = page.evaluate(
        f"""() => {{ const at = ({FOCUSED})();
        const focus = getComputedStyle(at).getPropertyValue('--mv-focus').trim();
        const rgb = 'rgb(' + [1, 3, 5].map(i => parseInt(focus.slice(i, i + 2), 16)).join(', ') + ')';
        const outlined = element => getComputedStyle(element).outlineStyle !== 'none' && getComputedStyle(element).outlineColor === rgb;
        return outlined(at) || [...at.querySelectorAll('*')].some(e => getComputedStyle(e).stroke === rgb || outlined(e)); }}"""
    )
    assert drawn


def test_by_touch(browser, example, tmp_path):
    context = browser.new_context(viewport={"width": 600, "height": 900}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(example.view().save(tmp_path / "x.html").as_uri())
    page.locator("[data-mechviz-drawn]").wait_for()
    before = page.evaluate(SHOWN)
    target = page.locator("[role=application], [role=option]").first
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    shown = set()
    for x, y in ((0.5, 0.7), (0.3, 0.8), (0.6, 0.85), (0.2, 0.5), (0.8, 0.9)):  # a chart has gaps between its points
        page.touchscreen.tap(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        page.wait_for_timeout(100)
        shown.add(page.evaluate(SHOWN))
    assert shown != {before}, "a tap shows nothing"
    # Everything that is pressed is large enough for a finger, or stands in a line of text.
    small = page.evaluate(
        """() => [...document.querySelectorAll('.mechviz')].flatMap(host => [...host.shadowRoot.querySelectorAll('button')])
        .filter(button => button.getBoundingClientRect().height < 15).map(button => button.textContent.trim())"""
    )
    assert small == []
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scale", ["ink", "ember", "signed"])
def test_token_text_reads_on_every_colour_measured_on_real_pixels(browser, tmp_path, theme, scale):
    from PIL import Image

    n = 64
    values = np.linspace(-1 if scale == "signed" else 0, 1, n)
    limits = (-1, 1) if scale == "signed" else (0, 1)
    view = mv.tokens(["MMMM"] * n, values, scale=scale, limits=limits)
    page = browser.new_page(color_scheme=theme, device_scale_factor=4)
    page.goto(view.save(tmp_path / "x.html").as_uri())
    page.locator("[data-mechviz-drawn]").wait_for()
    worst = 21.0
    for i in range(0, n, 3):
        pixels = np.asarray(Image.open(io.BytesIO(page.locator(f"[data-i='{i}']").screenshot())).convert("RGB"))
        light = luminance(pixels[8:-8, 8:-8] / 255)
        # Fill and glyph strokes: the two ends of what the box holds; strokes at 4 pixels a CSS pixel reach full colour.
        high, low = light.max(), light.min()
        worst = min(worst, (high + 0.05) / (low + 0.05))
    page.close()
    assert worst >= 4.5


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG defines it, ``[row, column]``."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
