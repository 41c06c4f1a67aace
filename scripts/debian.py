"""Installs Debian packages where this user may, and otherwise says which command would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def privilege() -> list[str] | None:
    """What to put before apt-get: nothing for root, sudo where it asks no password, None where neither."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def missing(packages: list[str]) -> list[str]:
    """Those of the packages that dpkg does not know as installed."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}"]
    return [
        name
        for name in packages
        if subprocess.run([*query, name], capture_output=True, text=True, check=False).stdout != "installed"
    ]


def install(packages: list[str]) -> bool:
    """Installs the packages; False (after saying how to do it by hand) where that is not possible."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    prefix = privilege()
    if prefix is not None:
        print(f"mechviz: installing {', '.join(packages)} with apt", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        steps = [[*prefix, "apt-get", "update", "-qq"], [*prefix, *command, "-qq", "-o", "Dpkg::Use-Pty=0"]]
        if all(subprocess.run(step, env=quiet, stdout=sys.stderr, check=False).returncode == 0 for step in steps):
            return True
    print(f"mechviz: please run\n  sudo apt-get update && sudo {' '.join(command)}", file=sys.stderr)
    return False
