"""SVG and PDF are the picture that is on screen; paper is made for print; files say where their numbers come from."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mechviz as mv
from mechviz import export
from mechviz._export_files import pdf_with, png_with
from mechviz.gallery import Example, sections

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"
WORDS = "the quick brown fox jumps over a lazy dog and then it runs away from one very big old wolf".split()
MADE = {
    "model": "gpt2",
    "weights": "607a30d7",
    "text": "e10e15",
    "dtype": "float32",
    "bos": True,
    "edits": ["L0H1 → 0"],
}


@pytest.fixture(params=sections(), ids=lambda example: example.name)
def example(request) -> Example:
    return request.param


def attention(n: int = 20, **options) -> mv.View:
    """One head of n tokens, every row a different mixture."""
    pattern = np.tril(np.add.outer(np.arange(n), 3.0 * np.arange(n)) % 7 + 0.1)
    tokens = mv.Tokens(tuple(WORDS[:n]), tuple(WORDS[:n]), tuple(range(n)), (False,) * n, (None,) * n, provenance=MADE)
    return mv.attention(tokens, pattern / pattern.sum(1, keepdims=True), **options)


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ET.fromstring(svg).iter(f"{SVG}text")]


def pixels(png: bytes, mode: str = "RGB") -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert(mode)).astype(int)


def drawn(browser, svg: str, width: int, height: int) -> np.ndarray:
    """What a browser makes of the file, at two pixels each."""
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)
    page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:{width}px;height:{height}px}}</style>{svg}")
    picture = page.screenshot(omit_background=True)
    page.close()
    return pixels(picture)


# --- SVG


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_svg_is_the_picture_on_screen(example, browser, browser_here, theme):
    view = example.view()
    view.selection.positions = [3]
    png = pixels(view.png(theme=theme))
    svg = drawn(browser, view.svg(theme=theme), png.shape[1] // 2, png.shape[0] // 2)
    assert svg.shape == png.shape
    assert not differs(svg, png)
    assert differs(np.roll(svg, 8, axis=1), png)  # the comparison can fail


def differs(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one shows something else than the other: edges of letters fall on other parts of a pixel, and may."""
    off = np.abs(a - b).max(2) > 64
    height, width = off.shape[0] // 24 * 24, off.shape[1] // 24 * 24
    squares = off[:height, :width].reshape(height // 24, 24, width // 24, 24).mean((1, 3))
    # In no square of 12 × 12 CSS pixels is another thing drawn, and there are few that differ at all.
    return bool(off.mean() > 0.004 or squares.max() > 0.4)


def test_labels_in_svg_are_text(browser_here):
    svg = attention().svg()
    assert len(svg.encode()) <= 200_000
    found = texts(svg)
    for word in WORDS:
        assert found.count(word) >= 2, word  # a query and a key, at least
    assert "Attention" in found
    assert ET.fromstring(svg).find(f".//{SVG}image") is None  # 210 cells are vectors


def test_many_cells_are_an_image(browser_here):
    n = 80  # 3240 cells
    pattern = np.tril(np.random.default_rng(0).random((n, n)))
    svg = mv.attention([f"t{i}" for i in range(n)], pattern / pattern.sum(1, keepdims=True)).svg()
    images = ET.fromstring(svg).findall(f".//{SVG}image")
    assert images
    assert all(image.get("href", "").startswith("data:image/png;base64,") for image in images)


@pytest.mark.parametrize("chart", ["bars", "lines", "scatter"])
def test_charts_are_vectors(browser_here, chart):
    (example,) = [example for example in sections() if example.name == chart]
    root = ET.fromstring(example.view().svg(paper=True))
    assert root.find(f".//{SVG}image") is None
    assert len(root.findall(f".//{SVG}path")) > 3
    # What is drawn pixel by pixel stays an image.
    n = 5000
    crowd = mv.scatter(np.arange(n) % 71, np.arange(n) % 73).svg()
    assert ET.fromstring(crowd).find(f".//{SVG}image") is not None


def test_svg_is_xml_whatever_the_tokens_are(browser_here):
    tokens = ["<b>&\"'", "\x00\x1b", "\ud800", " a ]]>", "שלום", "\u202e", "😀"]
    svg = mv.tokens(tokens, np.arange(7.0), name="</text>").svg()
    assert "<b>&\"'" in texts(svg)
    assert "script" not in svg


def test_svg_asks_for_nothing(example, browser_here):
    svg = example.view().svg()
    assert re.findall(r'(?:href|src)="(?!#|data:)', svg) == []
    assert "@import" not in svg
    assert re.findall(r"url\((?!#)", svg) == []


# --- PDF


def embedded(pdf: bytes) -> list[bool]:
    """For every font of a file, whether it is in the file: its descriptor has a font file, or it is made of drawings."""
    objects = dict(re.findall(rb"\n(\d+) 0 obj\s*(<<.*?)(?:stream\s|endobj)", pdf, re.DOTALL))
    fonts = [part for part in objects.values() if re.search(rb"/Type\s*/Font\b", part) and b"/Type0" not in part]

    def has_file(font: bytes) -> bool:
        descriptor = re.search(rb"/FontDescriptor (\d+) 0 R", font)
        return descriptor is not None and b"/FontFile" in objects[descriptor[1]]

    return [b"/Type3" in font or has_file(font) for font in fonts]


def test_pdf_has_its_fonts_and_its_size(example, browser_here, tmp_path):
    path = example.view().save(tmp_path / "x.pdf", paper=True, width_mm=84)
    pdf = path.read_bytes()
    assert embedded(pdf)
    assert all(embedded(pdf))
    width, height = map(float, re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf).groups())  # type: ignore[union-attr]
    assert width == pytest.approx(84 / 25.4 * 72, abs=0.5)
    assert height > 50
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    if shutil.which("pdffonts"):
        lines = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
        assert lines
        assert {line[54 + 17 :].split()[0] for line in lines} == {"yes"}


def test_pdf_holds_text(browser_here, tmp_path):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is of poppler-utils")
    path = attention(12).save(tmp_path / "x.pdf")
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout
    assert all(word in text for word in WORDS[:12])


# --- paper


def test_paper_has_no_controls(example, browser_here):
    on_screen, on_paper = texts(example.view().svg()), texts(example.view().svg(paper=True))
    assert any("all keys" in text for text in on_screen)
    assert not any("all keys" in text or "hover" in text.lower() or text == "Export" for text in on_paper)
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)', example.view().svg(paper=True))]
    assert min(sizes, default=99) * 0.75 * 72 / 96 >= 6  # pt: a pixel is 0.75 of a CSS pixel there


def test_paper_is_black_on_white_in_every_theme(example, browser_here):
    view = example.view()
    paper = view.png(paper=True, scale=1)
    assert paper == view.png(paper=True, scale=1, theme="dark")
    assert pixels(paper)[0, 0].tolist() == [255, 255, 255]
    clear = pixels(view.png(paper=True, scale=1, ground="transparent"), "RGBA")
    assert clear[0, 0].tolist() == [0, 0, 0, 0]
    assert view.svg(paper=True).count('fill="#ffffff"') > view.svg(paper=True, ground="transparent").count(
        'fill="#ffffff"'
    )


@pytest.mark.parametrize("width_mm", [84, 174])
def test_paper_is_as_wide_as_asked_for(example, browser_here, width_mm):
    view = example.view()
    assert ET.fromstring(view.svg(paper=True, width_mm=width_mm)).get("width") == f"{width_mm}mm"
    with Image.open(io.BytesIO(view.png(paper=True, width_mm=width_mm, scale=2))) as image:
        dots = image.info["dpi"][0]
        assert image.width / dots * 25.4 == pytest.approx(width_mm, abs=0.2)


def test_numbers_stand_in_cells_with_room(browser_here):
    # 6 tokens in 84 mm: cells of 36 px, 7.1 mm. The first row has one weight, 1; the second two.
    view = attention(6)
    pattern = np.tril(np.add.outer(np.arange(6), 3.0 * np.arange(6)) % 7 + 0.1)
    pattern /= pattern.sum(1, keepdims=True)
    expected = sorted(f"{v:.2f}".lstrip("0") if round(v, 2) < 1 else "1" for v in pattern[pattern >= 0.1])
    found = [text for text in texts(view.svg(paper=True)) if re.fullmatch(r"\.\d\d|1", text)]
    assert [text for text in found if text != "1"] and sorted(found)[: len(expected)] == expected
    assert not [text for text in texts(view.svg()) if re.fullmatch(r"\.\d\d", text)]  # not on screen
    assert not [text for text in texts(attention(20).svg(paper=True)) if re.fullmatch(r"\.\d\d", text)]  # no room


def test_what_is_picked_stays_on_paper(browser_here):
    view = attention(12)
    assert not any("reads from" in text for text in texts(view.svg(paper=True)))
    view.selection.queries = [5]
    view.selection.keys = [2]
    found = " ".join(texts(view.svg(paper=True)))
    assert "reads from" in found
    assert "is read by" not in found  # the other button


def test_a_caption_says_where_it_comes_from(browser_here):
    view = attention(6)
    caption = " ".join(texts(view.svg(paper=True, caption=True)))
    for part in (
        "gpt2",
        "607a30d7",
        "e10e15",
        "6 tokens, BOS",
        "float32",
        "edited: L0H1 → 0",
        f"mechviz {mv.__version__}",
    ):
        assert part in caption, part
    without = " ".join(texts(view.svg(paper=True)))
    assert "607a30d7" not in without
    assert "edited: L0H1 → 0" in without  # an edit is never left out


def test_a_page_can_be_paper(browser, browser_here, tmp_path):
    page = browser.new_page(color_scheme="dark")
    page.goto(attention(6).save(tmp_path / "x.html", paper=True, width_mm=84).as_uri())
    page.wait_for_selector("[data-mechviz-drawn]")
    host = page.locator(".mechviz")
    assert host.get_attribute("data-paper") == "white"
    assert host.get_attribute("data-theme") == "light"
    assert host.bounding_box()["width"] == export.Paper(84).width - 2 * export.PAPER_MARGIN
    assert page.get_by_role("button", name="Export").count() == 0
    page.mouse.click(*(host.bounding_box()[side] + 100 for side in ("x", "y")))
    assert not any("reads from" in text for text in page.locator(".figure").last.all_inner_texts())
    page.close()


def test_a_component_of_ones_own_is_saved_as_any_view(browser_here, tmp_path):
    pytest.importorskip("py_mini_racer")
    path = tmp_path / "Own.svelte"
    path.write_text("<script>let { n } = $props();</script><p>n is {n}</p><button>more</button>")
    view = mv.svelte(path)(n=3)
    assert view.png(scale=1).startswith(b"\x89PNG")
    assert view.pdf().startswith(b"%PDF")
    assert {"n is 3", "more"} <= set(texts(view.svg()))
    assert "more" not in texts(view.svg(paper=True))


# --- where the numbers come from


def test_every_file_says_where_its_numbers_come_from(browser_here, tmp_path):
    view = attention(6)
    said = {"mechviz": mv.__version__, "figures": [{"view": "attention", **MADE, "precision": "exact"}]}
    root = ET.fromstring(view.svg())
    (found,) = root.find(f"{SVG}metadata") or ()
    assert json.loads(found.text or "") == said
    assert found.get("writer") == f"mechviz {mv.__version__}"
    with Image.open(io.BytesIO(view.png(scale=1))) as image:
        image.load()
        assert json.loads(image.info["mechviz-provenance"]) == said
    keywords = re.findall(rb"/Keywords <FEFF([0-9a-f]+)>", view.pdf())[-1]
    assert json.loads(bytes.fromhex(keywords.decode()).decode("utf-16-be")) == said
    html = view.to_html()
    assert json.loads(re.search(r'name="mechviz-provenance" content="([^"]*)"', html)[1].replace("&quot;", '"')) == said  # type: ignore[index]
    data = json.loads(view.save(tmp_path / "x.json").read_text())
    assert {"view": "attention", **data["views"]["0"]["provenance"]} == said["figures"][0]


def test_a_pdf_is_updated_not_rewritten():
    body = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
    old = (
        body
        + b"xref\n0 2\n0000000000 65535 f \n0000000009 00000 n \ntrailer\n<</Size 2\n/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
        % len(body)
    )
    new = pdf_with(old, {"Title": "ö"})
    assert new.startswith(old)
    start = int(re.findall(rb"startxref\n(\d+)", new)[-1])
    assert new[start:].startswith(b"xref\n2 1\n")
    at = int(new[start:].split(b"\n")[2].split()[0])
    assert new[at:].startswith(b"2 0 obj\n<</Title <FEFF00f6>>>")
    with pytest.raises(ValueError, match="no trailer"):
        pdf_with(b"%PDF-1.4", {})


def test_chunks_of_a_png_are_checked_by_readers():
    empty = io.BytesIO()
    Image.new("RGB", (2, 3)).save(empty, "PNG")
    made = png_with(empty.getvalue(), {"Title": "größe"}, dots_per_inch=300)
    with Image.open(io.BytesIO(made)) as image:
        image.load()
        assert image.info["Title"] == "größe"
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
    (length,) = np.frombuffer(made[33:37], ">u4")
    assert zlib.crc32(made[37 : 37 + 4 + length]) == int.from_bytes(made[41 + length : 45 + length], "big")


def test_options_that_a_file_does_not_take(tmp_path):
    with pytest.raises(TypeError, match=r"\.json files take no paper"):
        mv.tokens(["a"]).save(tmp_path / "x.json", paper=True)
    with pytest.raises(TypeError, match=r"\.svg files take no scale"):
        mv.tokens(["a"]).save(tmp_path / "x.svg", scale=2)
    assert not list(Path(tmp_path).iterdir())
