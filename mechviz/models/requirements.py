"""What the model side stands on, asked for in one clear line."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

# torch 2.4: autocast by device type. transformers 5.1: every attention module asks AttentionInterface.get_interface.
NEEDED = {"torch": (2, 4), "transformers": (5, 1)}


def check_versions() -> None:
    """Raise an ImportError that says what to install, unless torch and transformers are here and new enough."""
    for package, least in NEEDED.items():
        wanted = f"{package}>={'.'.join(map(str, least))}"
        try:
            here = version(package)
        except PackageNotFoundError:
            raise ImportError(f'{wanted} is needed to load models: pip install "mechviz-interp[models]"') from None
        numbers = tuple(int(part) for part in re.findall(r"\d+", here)[:2])
        if numbers < least:
            raise ImportError(f"{wanted} is needed to load models; this is {package} {here}")
