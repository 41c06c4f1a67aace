"""The starter of `mechviz new component`: it draws, its own test passes, and it is not written twice."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import mechviz as mv
from mechviz.cli import main


def test_the_starter_works_as_it_comes(tmp_path, page, capsys):
    assert main(["new", "component", "MyHeat", "--in", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    files = ["MyHeat.py", "MyHeat.svelte", "my_heat_cell.py", "test_my_heat.py"]
    assert sorted(path.name for path in tmp_path.glob("*.*")) == files
    assert all(name in said for name in files)
    function = mv.svelte(tmp_path / "MyHeat.svelte")
    assert function.component.built.warnings == ()
    # 0, 1/11 … 1: six of the twelve lie above a half.
    page.open(function(values=np.linspace(0, 1, 12).reshape(3, 4)))
    page.page.get_by_text("6 values above 0.50").wait_for()
    box = page.component.locator("canvas").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.9)
    page.page.get_by_text("row 2, column 3: 1", exact=True).wait_for()
    assert page.alert.count() == 0


@pytest.mark.slow
def test_its_test_passes_and_can_fail(tmp_path):
    main(["new", "component", "Heat", "--in", str(tmp_path)])
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "light or needs", str(tmp_path)]
    assert subprocess.run(run, capture_output=True, check=False).returncode == 0
    path = tmp_path / "Heat.svelte"
    path.write_text(path.read_text().replace("value > threshold", "value > nowhere"))
    failed = subprocess.run(run, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "Heat.svelte:" in failed.stdout and "nowhere is not defined" in failed.stdout


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "Heat.py").write_text("mine")
    assert main(["new", "component", "Heat", "--in", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["Heat.py"]
    assert main(["new", "component", "heat map", "--in", str(tmp_path)]) == 1
    assert "begin with a capital" in capsys.readouterr().err
