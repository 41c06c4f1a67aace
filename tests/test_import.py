"""`import mechviz` is quick, light, and never fails for want of the bundle. Each import gets an interpreter of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ["IPython", "PIL", "markdown_it", "pandas", "plotly", "tokenizers", "torch", "transformers"]


def python(code: str, package_in: Path = ROOT) -> str:
    """What a fresh interpreter prints that starts in a folder, whose mechviz comes before an installed one."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=package_in, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(imports: str) -> set[str]:
    """Which of the heavy packages stand in sys.modules after some imports."""
    return set(
        json.loads(python(f"import json, sys; {imports}; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"))
    )


def test_import_loads_nothing_heavy():
    # anywidget brings IPython through ipywidgets; what mechviz adds to that is nothing.
    assert loaded_after("import mechviz") - loaded_after("import numpy, anywidget") == set()
    assert not loaded_after("import mechviz, mechviz.analysis") & {"torch", "transformers", "tokenizers", "plotly"}


def test_the_measure_can_fail():
    pytest.importorskip("plotly")
    assert "plotly" in loaded_after("import mechviz, plotly")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of the package as a fresh clone has it: without static/."""
    shutil.copytree(ROOT / "mechviz", tmp_path / "mechviz", ignore=shutil.ignore_patterns("static", "__pycache__"))
    return tmp_path


def test_a_missing_bundle_is_a_message(bare):
    view = "import mechviz as mv; view = mv.tokens(['a', 'b'], [1.0, 2.0]); print(mv.__file__)"
    assert python(view, bare).startswith(str(bare))
    saved = python(f"{view}\ntry: view.to_html()\nexcept FileNotFoundError as error: print(error)", bare)
    assert "make bundle" in saved


def test_a_missing_bundle_breaks_no_cell(bare):
    # Displaying falls back to words; the cell goes on.
    shown = python("import mechviz as mv; view = mv.tokens(['a'], [1.0]); print(view.widget._esm)", bare)
    assert "the browser bundle is missing" in shown
