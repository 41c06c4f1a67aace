"""Finds the Chromium that the browser tests drive, installing it with apt where it may; prints its path.

CHROMIUM names another one. Playwright's own download is not used: one browser, the system's.
"""

from __future__ import annotations

import os
import shutil
import sys

import debian

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Tokens come in every script: Latin and Arabic (DejaVu), Chinese, Japanese and Korean (Droid), emoji.
FONTS = ["fonts-liberation", "fonts-dejavu-core", "fonts-droid-fallback", "fonts-noto-color-emoji"]


def find() -> str | None:
    """The path of a Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Prints the path; exit code 1 when there is none and none could be installed."""
    found = find()
    if shutil.which("dpkg-query"):
        wanted = debian.missing([*FONTS] if found else ["chromium", *FONTS])
        # Without its fonts Chromium still runs, so a machine that has it and cannot install is left as it is.
        if wanted and (not found or debian.privilege() is not None):
            debian.install(wanted)
            found = find()
    if not found:
        print("mechviz: the browser tests need Chromium: install it, or name it with CHROMIUM=/path", file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
