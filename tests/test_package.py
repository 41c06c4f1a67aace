"""What a clone builds and a wheel holds."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "mechviz" / "static"

# Joined here so that this file does not name what it looks for.
HOSTS = ["pypi." + "org", "python" + "hosted.org", "npmjs." + "org", "deb.debian." + "org", "download.py" + "torch.org"]
MACHINE = ["wo" + "rk", "ro" + "ot", "ho" + "me/[a-z]+", "opt/wh" + "eels", "opt/py" + "pi"]
PLACES = re.compile("|".join([re.escape(host) for host in HOSTS] + [rf"(?<![\w.~-])/(?:{'|'.join(MACHINE)})/"]))

needs_clone = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the clone")


def tracked() -> list[Path]:
    """What the clone holds or is about to: files that git knows or does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def builder() -> ModuleType:
    """scripts/js.py, which the build hook loads the same way."""
    spec = importlib.util.spec_from_file_location("mechviz_js", ROOT / "scripts" / "js.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone: no bundle, no node_modules."""
    copy = tmp_path_factory.mktemp("clone")
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return copy


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that `pip install .` makes where no Node is on PATH."""
    path = tmp_path_factory.mktemp("path")  # npm starts its scripts with sh
    (path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist"],
        cwd=clone,
        env={**os.environ, "PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    (file,) = (clone / "dist").glob("mechviz_interp-*.whl")
    return zipfile.ZipFile(file)


@needs_clone
@pytest.mark.slow
def test_the_wheel_holds_what_runs_and_no_more(wheel):
    names = set(wheel.namelist())
    for part in builder().BUNDLE:
        assert f"mechviz/static/{part}" in names
    model = {path.name for path in tracked() if path.parent == ROOT / "mechviz" / "demo" / "model"}
    assert any(name.endswith(".safetensors") for name in model)
    assert {f"mechviz/demo/model/{name}" for name in model} <= names
    beside = {name for name in names if name.split("/")[0] != "mechviz" and ".dist-info/" not in name}
    (switch,) = beside  # of the extension of Jupyter's server
    assert switch.endswith(".data/data/etc/jupyter/jupyter_server_config.d/mechviz.json")
    assert [name for name in names if name.endswith((".svelte", ".ts"))] == []


@needs_clone
@pytest.mark.slow
def test_the_wheel_never_moves_a_torch(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    needed = re.findall(r"^Requires-Dist: (.*)$", wheel.read(metadata).decode(), re.MULTILINE)
    always = {re.split(r"[<>=!~; \[]", line)[0] for line in needed if "extra ==" not in line}
    assert always == {
        "anywidget",
        "ipywidgets",
        "latex2mathml",
        "markdown-it-py",
        "mdit-py-plugins",
        "numpy",
        "pillow",
        "threadpoolctl",
    }
    bounds = [line for line in needed if not re.search(r"extra == ['\"](dev|peers)", line)]
    assert [line for line in bounds if re.search(r"[<~]|==\d", line.split(";")[0])] == []


@needs_clone
@pytest.mark.slow
def test_the_bundle_is_reproducible(wheel):
    if not builder().is_fresh():
        pytest.skip("mechviz/static/ is older than js/src: run `make bundle`")
    for name in [name for name in builder().BUNDLE if not name.endswith(".md")]:
        here, there = (STATIC / name).read_bytes(), wheel.read(f"mechviz/static/{name}")
        assert hashlib.sha256(here).hexdigest() == hashlib.sha256(there).hexdigest(), name


@needs_clone
def test_the_bundle_goes_stale_with_its_sources(tmp_path):
    """The hook builds again when a source changes, appears or goes, and not otherwise."""
    js = builder()
    for name in js.CONFIGURATION:
        (tmp_path / "js" / "src").mkdir(parents=True, exist_ok=True)
        (tmp_path / "js" / name).write_text(name)
    source = tmp_path / "js" / "src" / "index.ts"
    source.write_text("one")
    assert not js.is_fresh(tmp_path)

    for file in [js.marker(tmp_path, "built"), *(tmp_path / "mechviz" / "static" / name for name in js.BUNDLE)]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(js.sources(tmp_path))
    assert js.is_fresh(tmp_path)
    os.utime(source, (0, 0))
    assert js.is_fresh(tmp_path)  # contents decide, not times
    source.write_text("two")
    assert not js.is_fresh(tmp_path)
    source.write_text("one")
    (tmp_path / "js" / "src" / "new.ts").write_text("")
    assert not js.is_fresh(tmp_path)


@needs_clone
def test_one_version_of_node():
    pin = re.escape(builder().NODE_PACKAGE)
    assert len(re.findall(pin, (ROOT / "pyproject.toml").read_text())) == 2  # to build, and in `dev`
    assert re.search(f"^{pin}$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


@needs_clone
def test_no_file_names_a_registry_or_a_machine():
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights, pictures
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in PLACES.finditer(text)]
    assert found == []


def test_what_names_a_place_is_found():
    for text in ("https://" + HOSTS[0] + "/simple", 'open("/' + MACHINE[0] + '/main/x")', "/ho" + "me/ada/mechviz"):
        assert PLACES.search(text)
    for text in ("framework/main", "https://example.org/work/x", "~/home/x", "at work/home"):
        assert not PLACES.search(text)
