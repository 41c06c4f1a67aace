"""Pages: Markdown with formulas, contents, and folders of published pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import mechviz as mv
from mechviz._markdown import Heading, Prose, contents, markdown, mathml


def words(element):
    """The text of MathML, in order."""
    return "".join(ElementTree.fromstring(element).itertext())


def view(title="A picture"):
    return mv.tokens(["The", " cat"], [0.5, 1.0], title=title)


def test_formulas_become_mathml():
    # softmax(QKᵀ/√d): one fraction, whose denominator is a square root, and a superscript
    root = ElementTree.fromstring(mathml(r"\mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d}}\right)", display=True))
    assert root.tag == "math" and root.get("display") == "block"
    assert len(root.findall(".//mfrac")) == 1
    assert len(root.findall(".//mfrac//msqrt")) == 1
    assert [e.text for e in root.findall(".//msup/mi")] == ["K"]
    assert "<script" not in markdown("$x^2$") and 'display="inline"' in markdown("so $x^2$ is")
    assert markdown("$$x^2$$").count("<math") == 1


def test_dollars_that_are_no_formula_stay():
    assert "<math" not in markdown("It costs \\$5 and \\$6, or `$x$`, or \\$x\\$.")
    assert "$5 and $6" in markdown("It costs $5 and $6.")


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{</mtext><script>alert(1)</script>}",
        r"\text{<img src=x onerror=alert(1)>}",
        r"\href{javascript:alert(1)}{x}",
        r"\mathrm{<svg onload=alert(1)>}",
        "x < y > z \\& \"'",
    ],
)
def test_a_formula_is_never_a_program(tex):
    html = mathml(tex, display=False)
    root = ElementTree.fromstring(html)  # well formed, so what is text cannot begin an element
    assert all(element.tag.startswith("m") for element in root.iter())
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name in ("href", "src", "style", "class", "id")]
    assert "<script" not in html and "<img" not in html and "javascript" not in html


def test_text_in_a_formula_is_shown_as_itself():
    assert "<b>" in words(mathml(r"\text{<b>}", display=False))
    assert words(mathml("a<b", display=False)) == "a<b"


def test_a_formula_that_cannot_be_read_is_quoted():
    with pytest.raises(ValueError, match=r"items\[1\]: the formula '.*frac\{1' cannot be read: "):
        mv.page("t", ["fine", r"not $\frac{1$"]).to_html()


@pytest.mark.parametrize(
    ("tex", "why"),
    [
        (r"\frac{1}", "1 of 2 parts of a fraction, root or script"),
        (r"\softmax{x}", r"unknown command \softmax"),
        (r"\begin{alignedat}{2} a &= b \end{alignedat}", "unknown environment alignedat"),
        ("a &= b", "& outside of an environment with columns, such as aligned"),
    ],
)
def test_half_a_formula_is_not_drawn_as_if_it_were_one(tex, why):
    with pytest.raises(ValueError, match=re.escape(f"the formula {tex!r} cannot be read: {why}")):
        mathml(tex, display=False)
    for whole in (r"\frac{}{}", r"\sqrt[3]{x}", r"x_1^2", r"\backslash", r"\text{\softmax}", r"\underbrace{a}_{b}"):
        assert mathml(whole, display=False).startswith("<math")


@pytest.mark.parametrize("environment", ["aligned", "align*", "split", "cases", "dcases", "bmatrix"])
def test_lines_of_a_formula_stand_below_each_other(environment):
    root = ElementTree.fromstring(
        mathml(rf"\begin{{{environment}}} a &= b \\ &= c \end{{{environment}}}", display=True)
    )
    assert [len(row.findall("mtd")) for row in root.iter("mtr")] == [2, 2]
    assert "&" not in words(ElementTree.tostring(root, encoding="unicode"))


def test_an_operator_with_its_limits_has_no_star():
    assert words(mathml(r"\operatorname*{argmax}_x f", display=True)) == "argmaxxf"


def test_an_image_is_a_file_and_goes_into_the_page(tmp_path):
    picture = tmp_path / "a picture.png"
    picture.write_bytes(b"\x89PNG")
    html = markdown(f"![what it shows](<{picture}>)")
    assert '<img src="data:image/png;base64,iVBORw==" alt="what it shows" />' in html
    assert "data:image/gif;base64,R0" in markdown("![x](data:image/gif;base64,R0)")
    (tmp_path / "secret.txt").write_text("x")
    for source in ("https://example.org/x.png", f"{tmp_path}/none.png", f"{tmp_path}/secret.txt"):
        with pytest.raises(ValueError, match=r"items\[0\]: the image .* cannot be put into the page"):
            mv.page("t", [f"![x]({source})"]).to_html()


def test_a_formula_in_a_heading_is_one_in_the_contents():
    prose = Prose()
    prose.html("## Where $h_1$ *is* [from](http://x) <b>")
    nav = ElementTree.fromstring(contents(prose.headings))
    assert len(nav.findall(".//math//msub")) == 1
    assert "".join(nav.itertext()) == "Where h1 is from <b>"
    assert len(nav.findall(".//a")) == 1


def test_contents_are_nested_and_lead_to_their_headings():
    prose = Prose()
    html = prose.html("# One\n\n## A & B\n\ntext\n\n## Two *words*\n\n# One") + prose.html("# One")
    assert prose.headings == [
        Heading(1, "One", "one"),
        Heading(2, "A & B", "a-b"),
        Heading(2, "Two words", "two-words"),
        Heading(1, "One", "one-2"),
        Heading(1, "One", "one-3"),
    ]
    for heading in prose.headings:
        assert f'<h{heading.level} id="{heading.id}">' in html
    nav = ElementTree.fromstring(contents(prose.headings))
    first, second, third = nav.find("ol")
    assert [a.text for a in first.findall("ol/li/a")] == ["A & B", "Two words"]
    assert [second.find("a").get("href"), third.find("a").get("href")] == ["#one-2", "#one-3"]


def test_contents_of_headings_that_skip_levels_are_well_formed():
    for levels in ([3, 1, 2], [1, 3, 2, 4], [2, 4, 3, 1], [1]):
        nav = ElementTree.fromstring(contents([Heading(n, f"h{i}", f"h{i}") for i, n in enumerate(levels)]))
        assert [a.text for a in nav.iter("a")] == [f"h{i}" for i in range(len(levels))]


def test_contents_stand_on_a_page_from_three_headings_on():
    def has(items, **more):
        return '<nav class="contents"' in mv.page("t", items, **more).to_html()

    assert not has(["## A", "## B"])
    assert has(["## A", "## B", "## C"])
    assert has(["## A"], contents=True)
    assert not has(["## A", "## B", "## C"], contents=False)
    assert not has(["none"], contents=True)


def test_headings_in_other_scripts_and_hostile_ones_have_ids():
    prose = Prose()
    html = prose.html('# 注意力\n\n# <img src=x onerror=alert(1)>\n\n# !!!\n\n# "onclick=alert(1)')
    assert [heading.id for heading in prose.headings] == [
        "注意力",
        "img-src-x-onerror-alert-1",
        "section",
        "onclick-alert-1",
    ]
    assert "<img" not in html and "<img" not in contents(prose.headings)


def test_publish_writes_a_page_and_keeps_an_index(tmp_path):
    folder = tmp_path / "site"
    first = mv.publish(mv.page("Induction heads", ["# Look", view()]), folder)
    assert Path(first) == folder / "induction-heads.html"
    assert mv.publish(view("A <b>figure</b>"), folder, name="figure-1", title="Notes & pictures").endswith(
        "figure-1.html"
    )
    mv.publish(mv.page("Induction heads", ["Again"]), folder)  # takes the place of the first
    pages = json.loads((folder / "index.json").read_text())["pages"]
    assert set(pages) == {"induction-heads.html", "figure-1.html"}
    for name, entry in pages.items():
        assert entry["bytes"] == (folder / name).stat().st_size
    index = (folder / "index.html").read_text()
    assert set(re.findall(r'<a href="([^"]*)"', index)) == set(pages)
    assert "<b>figure" not in index.replace("still", "") and "A &lt;b&gt;figure&lt;/b&gt;" in index
    assert "<script" not in index and "default-src 'none'" in index
    assert "Again" in Path(first).read_text()
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


def titles(folder):
    return {file: entry["title"] for file, entry in json.loads((folder / "index.json").read_text())["pages"].items()}


def test_publish_never_takes_the_place_of_a_page_of_another_title(tmp_path):
    long = "How a head that is called induction head comes to be, seen in layer"
    for title in ("Loss", "Loss?", f"{long} 5", f"{long} 6", "Index", "Loss?"):
        mv.publish(mv.page(title, [title]), tmp_path)
    cut = "how-a-head-that-is-called-induction-head-comes-to-be-seen-in"
    found = titles(tmp_path)
    assert found.pop("index-2.html") == "Index"
    assert found == {
        **{"loss.html": "Loss", "loss-2.html": "Loss?"},
        **{f"{cut}.html": f"{long} 5", f"{cut}-2.html": f"{long} 6"},
    }
    mv.publish(mv.page("Loss!", ["new"]), tmp_path, name="loss")  # asked for
    assert titles(tmp_path)["loss.html"] == "Loss!"


@pytest.mark.parametrize("remote", [False, True])
def test_publish_replaces_no_file_that_mechviz_did_not_write(tmp_path, remote):
    fsspec = pytest.importorskip("fsspec")
    folder = f"memory://own-{tmp_path.name}" if remote else str(tmp_path)
    files = fsspec.get_mapper(folder)
    files["loss.html"] = b"my own page"
    with pytest.raises(FileExistsError, match=r"/loss\.html was not written by mechviz .*: give another name="):
        mv.publish(mv.page("Loss", ["one"]), folder, name="loss")
    assert set(files) == {"loss.html"}  # nothing was written
    # By default a page goes beside it, and is found there again.
    for text in ("one", "two"):
        assert mv.publish(mv.page("Loss", [text]), folder).endswith("loss-2.html")
    assert b"two" in files["loss-2.html"] and files["loss.html"] == b"my own page"
    # What stands in the place of ours since is not ours, though it is listed.
    files["loss-2.html"] = b"mine now"
    with pytest.raises(FileExistsError, match=r"/loss-2\.html was not written by mechviz"):
        mv.publish(mv.page("Loss", ["three"]), folder)
    files["index.html"] = b"my own site"
    with pytest.raises(
        FileExistsError, match=r"/index\.html was not written by mechviz .*: publish into another folder"
    ):
        mv.publish(mv.page("Other", ["one"]), folder)
    assert set(files) == {"index.html", "index.json", "loss.html", "loss-2.html"}
    assert (files["index.html"], files["loss-2.html"]) == (b"my own site", b"mine now")


def test_a_saved_page_is_not_replaced_by_one_that_is_published_unless_it_is_named(tmp_path):
    view("Loss").save(tmp_path / "loss.html")
    assert mv.publish(view("Loss"), tmp_path).endswith("loss-2.html")
    assert mv.publish(view("Loss"), tmp_path, name="loss").endswith("loss.html")


def test_an_index_keeps_its_title_and_lists_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "site"
    mv.publish(view("One"), "~/site", title="My <notes>")
    mv.publish(view("Two"), folder)
    assert "<h1>My &lt;notes&gt;</h1>" in (folder / "index.html").read_text()
    (folder / "one.html").unlink()
    mv.publish(view("Three"), folder)
    assert set(titles(folder)) == {"two.html", "three.html"}
    assert "one.html" not in (folder / "index.html").read_text()


def test_an_index_begins_with_the_newest_and_leaves_no_room_for_pictures_that_are_not_there(tmp_path):
    for title in ("One", "Two", "Three"):
        mv.publish(mv.page(title, ["prose"] if title == "Two" else [view()]), tmp_path)
    index = (tmp_path / "index.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", index) == ["Three", "Two", "One"]
    assert index.count('class="still"') == 2


def test_publish_to_an_address_of_fsspec():
    fsspec = pytest.importorskip("fsspec")
    assert mv.publish(view("One"), "memory://notes/site") == "memory://notes/site/one.html"
    mv.publish(view("Two"), "memory://notes/site/")
    system = fsspec.filesystem("memory")
    assert {Path(name).name for name in system.ls("/notes/site", detail=False)} == {
        *("index.html", "index.json", "one.html", "two.html")
    }
    assert len(json.loads(system.cat_file("/notes/site/index.json"))["pages"]) == 2
    system.rm_file("/notes/site/one.html")
    mv.publish(view("Two"), "memory://notes/site/")
    assert set(json.loads(system.cat_file("/notes/site/index.json"))["pages"]) == {"two.html"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"page": "text"}, TypeError, "page must be a page or a view; got a str"),
        (
            {"name": "../x"},
            ValueError,
            r"name must be made of letters, digits and hyphens, and not be index; got '../x'",
        ),
        ({"name": "index"}, ValueError, "and not be index; got 'index'"),
        ({"name": ""}, ValueError, "got ''"),
    ],
)
def test_publish_says_what_is_wrong(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        mv.publish(**{"page": view(), "folder": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "another"}', '{"format": "mechviz index", "version": 9}'])
def test_publish_leaves_a_folder_alone_whose_index_is_not_ours(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json is not"):
        mv.publish(view(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]
