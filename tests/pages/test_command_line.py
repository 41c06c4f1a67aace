"""`mechviz demo` and `mechviz view`: one file with tokens and attention linked, or one line that says what is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mechviz
from mechviz.cli import main
from mechviz.models.load import EMBEDDED


def test_the_demo_is_one_small_file_whose_views_are_linked(opened, tmp_path, capsys):
    path = tmp_path / "demo.html"
    assert main(["demo", "--out", str(path)]) == 0
    assert path.as_uri() in capsys.readouterr().out
    assert path.stat().st_size < 1_000_000
    opened.context.set_offline(True)
    opened.open(path)
    opened.page.get_by_role("option", name="drink").first.click()
    # In the bench, in the running text, and in the strip of the attention view, whose row it opens.
    assert opened.page.locator("[role=option][aria-selected=true]", has_text="drink").count() == 3
    assert opened.page.get_by_text("drink 13 reads from").count() >= 1
    assert opened.errors == []
    assert opened.foreign == []


def test_any_text_and_any_folder_of_a_model(opened, tmp_path):
    path = tmp_path / "x.html"
    assert (
        main(["view", "Anna gave <b> to Zoe", "--model", str(EMBEDDED), "--dtype", "float32", "--out", str(path)]) == 0
    )
    opened.open(path)
    assert opened.page.get_by_role("option", name="Zoe").count() == 2
    assert opened.errors == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["view", "text", "--model", "./no-such-folder"], "mechviz: there is no folder './no-such-folder'"),
        (
            ["view", "text", "--out", "x.gif"],
            r"mechviz: path must end in .html, .png, .svg, .pdf or .json; got 'x.gif'",
        ),
        (
            ["demo", "--out", "no/such/folder.html"],
            "mechviz: [Errno 2] No such file or directory: 'no/such/folder.html'",
        ),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, message, capsys):
    assert main(arguments) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == message


def test_alone_it_says_what_it_can_do(capsys):
    assert main([]) == 0
    assert "demo | view | new" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"mechviz {mechviz.__version__}\n"


def test_the_package_runs_as_a_program(tmp_path):
    said = subprocess.run([sys.executable, "-m", "mechviz", "--help"], capture_output=True, text=True, check=True)
    assert "demo | view | new" in said.stdout
