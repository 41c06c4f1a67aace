"""The build hook: puts the browser bundle into mechviz/static/ before a wheel, an sdist or an editable install is made.

A clone has js/ and builds it with the Node of the build environment; an sdist has no js/ and carries the bundle.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleHook(BuildHookInterface):
    """Builds the bundle where its sources stand and have changed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; raises when there would be no bundle to collect."""
        root = Path(self.root)
        if (root / "js" / "package.json").exists():
            built = load_builder(root / "scripts" / "js.py").build(root)
            self.app.display_info("mechviz: bundle built" if built else "mechviz: bundle is up to date")
        elif not (root / "mechviz" / "static" / "mechviz.js").exists():
            raise RuntimeError("mechviz/static/mechviz.js is missing and there is no js/ to build it from")


def load_builder(path: Path) -> Any:
    """scripts/js.py as a module: the build environment does not have the checkout on its path."""
    spec = importlib.util.spec_from_file_location("mechviz_js", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
