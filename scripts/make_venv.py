"""Makes a virtual environment with pip: python3 scripts/make_venv.py DIRECTORY.

Debian's python3 comes without ensurepip, so that `python3 -m venv` fails on a fresh machine. Where that is so, this
installs python3-venv where it may, and otherwise says so.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import debian

OLDEST = (3, 10)


def make(directory: str) -> str | None:
    """Makes the environment; returns what stands in the way, or None."""
    if sys.version_info < OLDEST:
        wanted, found = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:3]))
        return f"Python {wanted} or later is needed, {sys.executable} is {found}; name another: make PYTHON=python3.11"
    if importlib.util.find_spec("ensurepip") is None:
        if importlib.util.find_spec("virtualenv") is not None:
            return run("virtualenv", directory)
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not debian.install([package]):
            return f"{sys.executable} cannot make a virtual environment without the package {package}"
    return run("venv", directory)


def run(module: str, directory: str) -> str | None:
    """Runs `python -m module directory`; returns a complaint when it fails."""
    done = subprocess.run([sys.executable, "-m", module, directory], check=False)
    return None if done.returncode == 0 else f"{sys.executable} -m {module} {directory} failed"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    complaint = make(sys.argv[1])
    sys.exit(f"mechviz: {complaint}" if complaint else 0)
