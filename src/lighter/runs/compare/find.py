"""Find the runs below folders, and read their records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lighter._run_folder import CHECKPOINTS, RECORD
from lighter.errors import ConfigError, UsageError
from lighter.runs.record.run_file import Run, instant, read_run, status_of

DEEPEST = 12  # levels below the folder that is searched
PASSED_OVER = (CHECKPOINTS, "node_modules", "site-packages", "__pycache__")  # and hidden ones
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"  # marks one

_MARKS = (RECORD, VIRTUAL_ENVIRONMENT)


@dataclass(frozen=True)
class Found:
    """A run where it was found."""

    folder: Path
    run: Run

    @property
    def status(self) -> str:
        return status_of(self.run)


def read_runs(folders: Sequence[str | Path]) -> tuple[list[Found], list[str]]:
    """Return the runs in folders and below, the newest last, and what is wrong with those that cannot be read.

    Raises:
        UsageError: one that is given is no folder.
    """
    found, broken = [], []
    for folder in find_runs(folders):
        try:
            found.append(Found(folder, read_run(folder)))
        except OSError as error:
            broken.append(f"{str(folder / RECORD)!r} cannot be read: {error.strerror}")
        except ConfigError as error:
            broken.append(error.problems[0].message)
    return sorted(found, key=lambda item: (instant(item.run.started), str(item.folder))), broken


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """Return the folders with the record of a run, those given and all below, each once.

    Links to folders are followed. What cannot be read is passed over.

    Raises:
        UsageError: one that is given is no folder.
    """
    found: dict[str, Path] = {}
    linked: set[str] = set()
    for folder in folders:
        if not os.path.isdir(folder):  # noqa: PTH112 (pathlib raises on names that cannot exist)
            there = os.path.exists(folder)  # noqa: PTH110
            message = f"{str(folder)!r} is not a folder" if there else f"there is no folder {str(folder)!r}"
            raise UsageError(message, value=str(folder))
        for place in _below(os.fspath(folder), DEEPEST, linked):
            found.setdefault(os.path.realpath(place), Path(place))
    return list(found.values())


def _below(folder: str, levels: int, linked: set[str]) -> Iterator[str]:
    """Yield the folders of runs in a folder; `linked` are the links' ends that have been looked into."""
    try:
        with os.scandir(folder) as entries:
            inside = {entry.name: entry for entry in entries if entry.name in _MARKS or _may_hold_runs(entry)}
    except OSError:
        return
    if VIRTUAL_ENVIRONMENT in inside:
        return
    if RECORD in inside:
        yield folder
    for name, entry in inside.items():
        if name in _MARKS or levels == 0:
            continue
        if entry.is_symlink():
            end = os.path.realpath(entry.path)
            if end in linked:
                continue
            linked.add(end)
        yield from _below(entry.path.removeprefix("./"), levels - 1, linked)


def _may_hold_runs(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name.startswith(".") or name in PASSED_OVER or name.endswith(".ckpt"):
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
