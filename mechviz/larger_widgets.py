"""Widgets of figures that need more than the plain bundle. Imported when the first of them is displayed."""

from __future__ import annotations

from pathlib import Path

import traitlets

from mechviz.bundle import FULL, FULL_LAB, LAB, bundle_text, shared_module
from mechviz.widget import FigureWidget, module, traits_lock


class LabWidget(FigureWidget):
    """A figure that holds one of the larger views."""

    _esm = module(LAB)


def _full_module(path: Path) -> str | Path:
    """A full bundle, a script, as the module of a widget."""
    if not path.exists():
        return module(path)
    return shared_module(f"{bundle_text(path)}\nexport default __mechviz_full.widget;\n")


class CodeWidget(FigureWidget):
    """A figure that holds a user's component: the full bundle, and the component's modules."""

    _esm = _full_module(FULL)
    # By key; sent again only when a file has been edited, and always before the figure that needs it.
    code = traitlets.Dict().tag(sync=True)

    @traitlets.default("code")
    def _first_code(self) -> dict[str, str]:
        return self._view.code()

    def _show(self) -> None:
        with traits_lock:
            self.code = self._view.code()
        super()._show()


class CodeLabWidget(CodeWidget):
    """A figure that holds a user's component and one of the larger views."""

    _esm = _full_module(FULL_LAB)
