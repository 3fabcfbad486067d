"""In what runs and configs differ: settings, code, environment, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lighter._run_folder import PATCH
from lighter.config.tree import Node
from lighter.config.tree import Path as ConfigPath
from lighter.runs.record.git import commits_apart
from lighter.runs.record.run_file import Run

_FILE = re.compile(r"^diff --git .*?(?: b/| \"b/)(?P<name>[^\n\"]*)", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """A config path that differs: the value on each side, None where it has none."""

    path: ConfigPath
    nodes: tuple[Node | None, ...]


@dataclass(frozen=True)
class Row:
    """Something by name, and what it is on each side, None where it is not known."""

    name: str
    values: tuple[object, ...]

    @property
    def differs(self) -> bool:
        return len(set(map(repr, self.values))) > 1


@dataclass(frozen=True)
class Code:
    """The commit of each side, and the files whose uncommitted changes differ, each with the sides that have some.

    `apart` are the commits that the first and the second have and the other has not.
    """

    commits: tuple[str | None, ...]
    uncommitted: tuple[int, ...]
    files: Mapping[str, tuple[bool, ...]]
    apart: tuple[int, int] | None = None

    @property
    def differs(self) -> bool:
        return len(set(self.commits)) > 1 or bool(self.files)


def differing_settings(roots: Sequence[Node | None], path: ConfigPath = ()) -> Iterator[Setting]:
    """Yield where configs differ, in their order: the order of keys does not count, that of lists does.

    What one of them lacks is one difference, however much is in it.
    """
    values = [root.value if root else None for root in roots]
    if None not in roots and all(isinstance(value, dict) for value in values):
        keys = dict.fromkeys(key for value in values if isinstance(value, dict) for key in value)
        for key in keys:
            children = [value.get(key) for value in values if isinstance(value, dict)]
            yield from differing_settings(children, (*path, key))
    elif None not in roots and all(isinstance(value, list) for value in values):
        lists = [value for value in values if isinstance(value, list)]
        for index in range(max(map(len, lists))):
            items = [value[index] if index < len(value) else None for value in lists]
            yield from differing_settings(items, (*path, index))
    elif len({(root is None, repr(value)) for root, value in zip(roots, values, strict=True)}) > 1:
        yield Setting(path, tuple(roots))


def differing_code(runs: Sequence[Run], folders: Sequence[Path]) -> Code:
    """Compare commits and uncommitted changes."""
    changes = [_changes(folder) for folder in folders]
    names = dict.fromkeys(name for change in changes for name in change)
    commits = tuple(run.git.commit if run.git else None for run in runs)
    return Code(
        commits,
        tuple(map(len, changes)),
        {
            name: tuple(name in change for change in changes)
            for name in names
            if len({change.get(name) for change in changes}) > 1
        },
        _apart(runs, commits) if len(runs) == 2 and len(set(commits)) == 2 else None,
    )


def environments(runs: Sequence[Run]) -> list[Row]:
    """Return what runs ran on: host, devices, and the version of Python, lighter and every package."""
    rows = [
        Row("host", tuple(run.process.host for run in runs)),
        *(_devices(runs, name) for name in ("accelerator", "count", "nodes", "strategy", "name")),
        Row("python", tuple(run.python or None for run in runs)),
        Row("lighter", tuple(run.lighter or None for run in runs)),
    ]
    names = sorted({name for run in runs for name in run.packages})
    return rows + [Row(name, tuple(run.packages.get(name) for run in runs)) for name in names if name != "lighter"]


def compare_metrics(sides: Sequence[Mapping[str, float]]) -> list[Row]:
    """Return the metrics that any side has, in their order."""
    names = dict.fromkeys(name for side in sides for name in side)
    return [Row(name, tuple(side.get(name) for side in sides)) for name in names]


def _devices(runs: Sequence[Run], name: str) -> Row:
    shown = {"count": "devices", "name": "device"}.get(name, name)
    return Row(shown, tuple(getattr(run.devices, name) if run.devices else None for run in runs))


def _changes(folder: Path) -> dict[str, str]:
    """Return the uncommitted changes of a run by file."""
    try:
        patch = (folder / PATCH).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    starts = list(_FILE.finditer(patch))
    ends = [start.start() for start in starts[1:]] + [len(patch)]
    return {start["name"]: patch[start.end() : end] for start, end in zip(starts, ends, strict=True)}


def _apart(runs: Sequence[Run], commits: Sequence[str | None]) -> tuple[int, int] | None:
    one, other = commits
    roots = dict.fromkeys(run.git.root for run in runs if run.git)
    if one is None or other is None:
        return None
    found = (commits_apart(Path(root), one, other) for root in roots)
    return next((apart for apart in found if apart), None)
