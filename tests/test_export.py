"""What is saved opens again as the same picture; pictures are drawn anywhere, also inside a running event loop."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mechviz as mv
from mechviz import _example_code, _export_browser, export, figure_file
from mechviz.gallery import Example, sections

EXAMPLES = sections()
# A file of every version of the format that was ever written; they stay as they are.
WRITTEN = sorted((Path(__file__).parent / "figures").glob("*.json"))


@pytest.fixture(params=EXAMPLES, ids=lambda example: example.name)
def example(request) -> Example:
    return request.param


def figure() -> mv.View:
    """Two linked views; a NaN, a special label, a value that float32 rounds."""
    tokens = ["The", " cat\n", "é\ud800"]
    pattern = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]
    loss = mv.tokens(tokens, [np.nan, 0.1, 2.0], name="loss")
    return mv.row(loss, mv.attention(tokens, pattern, head="H1", precision="float32"))


def written(view: mv.View, folder: Path, name: str = "x.json") -> dict:
    return json.loads(view.save(folder / name).read_text(encoding="ascii"))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


# --- files


def test_a_view_comes_back_as_it_was(example, tmp_path):
    view = example.view()
    view.selection.positions = [2]
    again = mv.open(view.save(tmp_path / "x.json"))
    assert written(again, tmp_path, "y.json") == written(view, tmp_path)
    assert again.selection == view.selection
    assert again.selection.positions == [2]
    assert repr(again) == repr(view)
    assert again._height() == view._height()


def test_a_figure_of_several_comes_back(tmp_path):
    view = figure()
    view.selection.keys = [1]
    again = mv.open(view.save(tmp_path / "x.json"))
    assert written(again, tmp_path, "y.json") == written(view, tmp_path)
    assert again.selection == view.selection
    assert again._page_figure().to_json()["layout"] == view._page_figure().to_json()["layout"]


def test_what_is_fetched_when_opened_is_in_the_file(tmp_path):
    # 70 heads are more than come with the first picture; each has numbers of its own.
    pattern = np.tril(np.ones((70, 3, 3))) / np.arange(1, 4)[:, None] * np.linspace(0.5, 1, 70)[:, None, None]
    view = mv.attention(["a", "b", "c"], pattern)
    content = written(view, tmp_path)
    assert sum(array["lazy"] for array in content["arrays"].values()) == 69
    again = mv.open(tmp_path / "x.json")
    assert written(again, tmp_path, "y.json") == content
    assert again.to_html() == view.to_html()


def test_provenance_is_kept(tmp_path):
    tokens = mv.Tokens(("a",), ("a",), (0,), (False,), (None,), provenance={"model": "m", "seed": float("nan")})
    again = mv.open(mv.tokens(tokens, [1.0]).save(tmp_path / "x.json"))
    assert written(again, tmp_path, "y.json")["views"]["0"]["provenance"] == {"model": "m", "seed": "NaN"}
    assert '"model": "m"' in again.to_html().replace("&quot;", '"')


def test_numbers_are_bytes(example, tmp_path):
    """No list of a file holds as many real numbers as there are tokens; all of them are in `arrays`, as base64."""
    content = written(example.view(), tmp_path)

    def lists(value):
        if isinstance(value, list):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from lists(item)

    assert max(sum(isinstance(item, float) for item in found) for found in lists(content)) <= 2  # limits of a scale
    for array in content["arrays"].values():
        assert set(array) == {"dtype", "shape", "encoding", "layout", "exact", "lazy", "data"}
        assert isinstance(array["data"], str)


def test_the_documented_format_is_read_without_mechviz(tmp_path, monkeypatch):
    document = Path(__file__).parents[1] / "docs" / "figure-format.md"
    code = next(
        part.split("```")[0] for part in document.read_text().split("```python\n")[1:] if "import base64" in part
    )
    mv.tokens(["a", "b"], [0.5, np.nan]).save(tmp_path / "figure.json")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    np.testing.assert_array_equal(names["values"], [0.5, np.nan])


def test_rounded_numbers_go_on_saying_so(tmp_path):
    # 1/3 of float64 as float32: not exact. Encoded again it would be, and the picture would claim what it lost.
    pattern = np.tril(np.ones((1, 3, 3))) / np.arange(1, 4)[:, None]
    view = mv.attention(["a", "b", "c"], pattern, precision="float32")
    again = written(mv.open(view.save(tmp_path / "x.json")), tmp_path, "y.json")
    assert False in [array["exact"] for array in again["arrays"].values()]
    assert mv.open(tmp_path / "y.json").answer("0", "value", {"head": 0, "query": 2}) is None


def test_every_version_opens():
    assert {json.loads(path.read_text())["version"] for path in WRITTEN} == set(range(1, figure_file.VERSION + 1))
    for path in WRITTEN:
        view = mv.open(path)
        assert "attention" in repr(view)
        assert view.selection.heads == [1]


def test_older_versions_are_brought_up_to_date(tmp_path, monkeypatch):
    path = figure().save(tmp_path / "x.json")
    monkeypatch.setattr(figure_file, "VERSION", 3)
    upgrades = {1: lambda old: {**old, "selection": {"heads": [0]}}, 2: lambda old: {**old, "written_by": "an upgrade"}}
    monkeypatch.setattr(figure_file, "_UPGRADES", upgrades)
    assert mv.open(path).selection == mv.Selection(heads=[0])


def broken(**changes) -> str:
    content = json.loads(figure_file.write(figure()._figure_data()))
    return json.dumps({**content, **changes})


ARRAY = {"dtype": "float32", "shape": [2], "encoding": "raw", "layout": "dense", "exact": True, "data": "AAAAAA=="}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (broken(version=2, written_by="mechviz 9"), r"version 2 .*mechviz 9.* reads versions up to 1: pip install -"),
        (broken(version="1"), "version must be a whole number from 1; got '1'"),
        (broken(format="vega"), 'not a mechviz figure: it must be a JSON object with "format": "mechviz figure"'),
        ("{}", "not a mechviz figure"),
        (broken()[:-9], "is not JSON"),
        ("{" + '"a":[' * 100_000, "is not JSON"),
        (broken(layout={"kind": "view", "id": "0"}), r"layout must name each view once; got \['0'\]"),
        (broken(layout={"kind": "grid"}), "layout must be made of views, rows, columns, grids and tabs"),
        (broken(arrays={}), "names the array 'a0', and the file holds none"),
        (broken(arrays={"a0": ARRAY}), r"arrays\.a0: 8 bytes are needed for shape \[2\]; data holds 4"),
        (broken(arrays={"a0": {**ARRAY, "dtype": "object"}}), "no such dtype and encoding: 'object', 'raw'"),
        (broken(arrays={"a0": {**ARRAY, "shape": [-1]}}), "shape must be a list of whole numbers"),
        (broken(arrays={"a0": {**ARRAY, "data": "?"}}), "data must be base64"),
        (broken(selection={"head": [0]}), "a selection has the axes"),
        (broken(selection=[0]), "selection must be an object; got list"),
        ("<html>", r"mv.open takes figures \(.json\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        mv.open(path)
    assert "broken.json" in str(caught.value)


def test_a_view_of_a_later_mechviz_is_named(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(broken().replace('"kind": "tokens"', '"kind": "hologram"'))
    with pytest.raises(ValueError, match=r"x.json holds a 'hologram' view, which mechviz .* does not have"):
        mv.open(path)


def test_a_file_brings_no_html(tmp_path):
    view = mv.open(mv.tokens(["a"], title="<script>x</script>").save(tmp_path / "x.json"))
    assert "<script>" not in view.still()


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in .html, .png, .svg, .pdf or .json; got 'x.gif'"):
        figure().save(tmp_path / "x.gif")


def test_the_code_of_an_example_makes_it(example):
    """Pasted into an empty cell, the gallery's code is the same view."""
    cell = ast.parse(example.code)
    last = cell.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict = {"__name__": "__main__"}
    exec(compile(cell, "cell", "exec"), names)
    view = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    assert figure_file.write(view._figure_data()) == figure_file.write(example.view()._figure_data())
    assert f"mv.{example.name}(" in example.code


def test_an_example_that_ends_otherwise_is_refused():
    with pytest.raises(ValueError, match="must end in return"):
        _example_code._body(["x = 1"], ast.parse("def example():\n    x = 1").body[0], "x")  # type: ignore[arg-type]


# --- pictures


@pytest.mark.browser
def test_an_opened_file_is_the_same_picture(example, browser_here, tmp_path):
    view = example.view()
    # Something of every axis: whatever the points of this view stand for, some of them are picked.
    view.selection = {"positions": [3], "layers": [1], "heads": [3], "step": [30]}
    picture = view.png(scale=1)
    assert mv.open(view.save(tmp_path / "x.json")).png(scale=1) == picture
    view.selection = {"positions": [2], "layers": [0], "heads": [2], "step": [200]}
    assert view.png(scale=1) != picture  # the comparison can fail


@pytest.mark.browser
def test_a_picture_has_the_size_and_theme_asked_for(browser_here):
    view = mv.tokens(["The", " cat"], [0.5, 1.0])
    light, dark = pixels(view.png(scale=2, width=700)), pixels(view.png(scale=1, width=950, theme="dark"))
    assert light.shape[1] == 1400
    assert dark.shape[1] == 950
    assert light[0, 0].tolist() == light[-1, -1].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [0x11, 0x14, 0x18]
    assert (light != 255).any(axis=(1, 2)).sum() > 50  # something is drawn


@pytest.mark.browser
def test_a_picture_carries_its_provenance(browser_here, tmp_path):
    view = mv.tokens(mv.Tokens(("a",), ("a",), (0,), (False,), (None,), provenance={"model": "größe"}), [1.0])
    with Image.open(view.save(tmp_path / "x.png")) as image:
        image.load()
        assert image.info["Software"] == f"mechviz {mv.__version__}"
        assert image.info["Title"] == "Tokens"
        said = json.loads(image.info["mechviz-provenance"])
    assert said == {"mechviz": mv.__version__, "figures": [{"view": "tokens", "model": "größe"}]}


@pytest.mark.browser
def test_inside_a_running_event_loop(browser_here):
    """A cell of a notebook is a coroutine of the kernel's loop."""
    view = mv.tokens(["The", " cat"], [0.5, 1.0])

    async def cell() -> bytes:
        return view.png(scale=1)

    # On a thread of its own: Playwright's fixture in tests/conftest.py leaves a loop on this one.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, cell()).result() == view.png(scale=1)


@pytest.mark.browser
def test_inside_a_kernel(browser_here):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    cell = "import mechviz as mv\nview = mv.tokens(['The', ' cat'], [0.5, 1.0])\nview.png(scale=1)[:8], view.pdf()[:5]"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(client.NotebookClient(notebook, timeout=120, kernel_name="python3").execute).result()
    assert done.cells[0].outputs[0].data["text/plain"] == repr((b"\x89PNG\r\n\x1a\n", b"%PDF-"))


@pytest.mark.browser
def test_a_view_that_fails_is_an_error(browser_here):
    document = figure().to_html().replace('"kind":"tokens"', '"kind":"tokenz"')
    with pytest.raises(RuntimeError, match="no view named tokenz"):
        export.png(document)
    with pytest.raises(RuntimeError, match="array a0 is missing"):  # the figure does not come up
        export.png(document.replace("data-blob", "data-lost"))
    figure().png(scale=1)  # the next one is well


@pytest.mark.browser
def test_too_large_a_picture_is_refused(browser_here):
    with pytest.raises(ValueError, match=r"24000 × \d+ pixels and Chromium draws at most 16384"):
        figure().png(scale=8, width=3000)


@pytest.mark.browser
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_lost_browser_is_replaced(browser_here, monkeypatch):
    """Interrupting a kernel reaches the processes that it has started, too."""
    view = mv.tokens(["The", " cat"], [0.5, 1.0])
    monkeypatch.setattr(_export_browser, "_renderer", _export_browser.Renderer())
    others = children()
    before = view.png(scale=1)
    (driver,) = children() - others
    os.kill(driver, signal.SIGKILL)
    assert view.png(scale=1) == before
    _export_browser._renderer.close()
    assert children() <= others


def children() -> set[int]:
    """Processes that this one has started and that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(path.parent.name))
    return found


@pytest.mark.browser
def test_nothing_is_left_when_the_process_ends(browser_here):
    mark = uuid.uuid4().hex
    code = "import mechviz as mv; print(len(mv.tokens(['a'], [1.0]).png(scale=1)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "MARK": mark}, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert int(done.stdout) > 1000
    if Path("/proc/self/environ").exists():
        assert marked(mark) == []


def marked(mark: str) -> list[str]:
    """Processes that have inherited MARK."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale must be above 0 and at most 8; got 0"),
        ({"width": 9}, "width must be 100 to 8000 CSS pixels; got 9"),
        ({"theme": "paper"}, "theme must be light or dark; got 'paper'"),
        ({"width_mm": 84}, "width_mm of a picture on paper: add paper=True"),
        ({"caption": True, "ground": "white"}, "ground, caption of a picture on paper: add paper=True"),
        ({"paper": True, "width_mm": 10}, "width_mm must be 30 to 1000; got 10"),
        ({"paper": True, "ground": "grey"}, "ground must be white or transparent; got 'grey'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        mv.tokens(["a"]).png(**arguments)


def test_without_playwright(monkeypatch):
    monkeypatch.setattr(_export_browser, "_renderer", _export_browser.Renderer())
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'mechviz-interp\[export\]'"):
        mv.tokens(["a"]).png()
    _export_browser._renderer.close()


def test_without_chromium(monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(_export_browser, "_renderer", _export_browser.Renderer())
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(FileNotFoundError, match="CHROMIUM names 'no-such-browser', which is no program here"):
        mv.tokens(["a"]).png()
    monkeypatch.delenv("CHROMIUM")
    monkeypatch.setattr(_export_browser, "_CHROMIUM", "/no/such/browser")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/no/such/folder")
    with pytest.raises(FileNotFoundError, match="or name one with the environment variable CHROMIUM"):
        mv.tokens(["a"]).png()
    _export_browser._renderer.close()
