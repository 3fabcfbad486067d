"""Short names of runs: their folders without what they share, and what sets them apart."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lighter.errors import shorten
from lighter.runs.compare.find import Found
from lighter.runs.compare.names import FIELDS
from lighter.runs.compare.neighbours import distinctions
from lighter.runs.compare.settings import labels
from lighter.runs.compare.text import brief

MOST_SETTINGS = 4
WIDTH = 72


def names_of(runs: Sequence[Found]) -> list[str]:
    """Return a name for each run: its folder without what all begin with."""
    folders = [os.path.abspath(found.folder) for found in runs]  # noqa: PTH100 (links stay as they are)
    try:
        shared = os.path.commonpath([os.path.dirname(folder) for folder in folders])  # noqa: PTH120
    except ValueError:  # on several drives
        return folders
    return [os.path.relpath(folder, shared) for folder in folders]


def legend_of(runs: Sequence[Found]) -> list[str]:
    """Return what a legend says of each run: its name, and what sets it apart."""
    distinct = distinctions(runs)
    short = labels(dict.fromkeys(path for settings in distinct for path in settings), FIELDS)
    texts = []
    for name, settings in zip(names_of(runs), distinct, strict=True):
        told = [f"{short[path]}={brief(path, value)}" for path, value in settings.items()]
        more = [f"+{len(told) - MOST_SETTINGS}"] if len(told) > MOST_SETTINGS else []
        texts.append(shorten(" ".join([name, *told[:MOST_SETTINGS], *more]), WIDTH))
    return texts
