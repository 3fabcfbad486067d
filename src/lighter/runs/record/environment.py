"""What a run finds around it: Python and the packages installed for it."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

_INSTALLED = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


def packages() -> dict[str, str]:
    """Return the versions of all installed packages, by normalized name.

    The names of their folders say it: opening the metadata of each would take a hundred times as long.
    """
    found: dict[str, str] = {}
    for place in dict.fromkeys(sys.path):
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 (names are all that is needed)
        except OSError:  # a zip file, or no folder
            continue
        for name in names:
            if match := _INSTALLED.fullmatch(name):
                found.setdefault(_normalized(match["name"]), match["version"])
            elif name.endswith(".egg-info"):
                _add(found, PathDistribution(Path(place, name)))
    return dict(sorted(found.items()))


def _add(found: dict[str, str], installed: Distribution) -> None:
    name = installed.metadata["Name"]
    if name:
        found.setdefault(_normalized(name), installed.version)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
