"""What `lighter diff` says: the differences of runs, checkpoints and configs, as text and as data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from lighter.config.dump import dump_in_one_line
from lighter.config.tree import Node, join
from lighter.errors import shorten
from lighter.runs.compare.differences import (
    Code,
    Row,
    Setting,
    compare_metrics,
    differing_code,
    differing_settings,
    environments,
)
from lighter.runs.compare.side import Side
from lighter.runs.compare.text import BOLD, DIM, columns, moment, number, printable, styled
from lighter.runs.record.run_file import Run, status_of

VALUE = 70  # characters of a value
COMMIT = 10


@dataclass(frozen=True)
class Comparison:
    """Sides, and in what they differ. Code, environment and metrics are compared of those that runs have left."""

    sides: Sequence[Side]
    settings: Sequence[Setting]
    code: Code | None
    environment: Sequence[Row]
    metrics: Sequence[Row]

    @property
    def recorded(self) -> list[int]:
        """The sides that are runs, or from one."""
        return [index for index, side in enumerate(self.sides) if side.run]


def compare(sides: Sequence[Side]) -> Comparison:
    settings = [
        setting
        for setting in differing_settings([side.config.root for side in sides])
        if setting.path != ("project",) or len({side.project() for side in sides}) > 1
    ]
    recorded: list[tuple[Run, Path]] = [(side.run, side.folder) for side in sides if side.run and side.folder]
    runs = [run for run, _ in recorded]
    several = len(recorded) > 1
    return Comparison(
        sides,
        settings,
        differing_code(runs, [folder for _, folder in recorded]) if several else None,
        environments(runs) if several else [],
        compare_metrics([side.metrics or {} for side in sides if side.run]) if several else [],
    )


def text(comparison: Comparison) -> str:
    """Return a comparison as a person reads it."""
    letters = [_letter(index) for index in range(len(comparison.sides))]
    lines = columns([[letter, *_head(side)] for letter, side in zip(letters, comparison.sides, strict=True)])
    lines += ["", *_section("config", _settings(comparison, letters))]
    named = [letters[index] for index in comparison.recorded]
    if comparison.code is None:
        return "\n".join([*lines, "", *_alone(named), ""])
    lines += ["", *_section("code", _code(comparison.code, named), _same_code(comparison.code))]
    lines += ["", *_section("environment", _rows(comparison.environment, named))]
    lines += ["", *_section("metrics", _rows(comparison.metrics, named))]
    return "\n".join([*lines, ""])


def data(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as JSON has it; null where a side has nothing, or nothing is known."""
    sides, code = comparison.sides, comparison.code
    return {
        "sides": [
            {"name": side.name, "kind": side.kind, "run": str(side.folder) if side.run else None} for side in sides
        ],
        "config": [
            {
                "path": join(setting.path),
                "sides": [_setting_data(side, setting, node) for side, node in zip(sides, setting.nodes, strict=True)],
            }
            for setting in comparison.settings
        ],
        "recorded": comparison.recorded,
        "code": code and {"commits": code.commits, "apart": code.apart, "uncommitted": code.files},
        "environment": _rows_data(comparison.environment),
        "metrics": _rows_data(comparison.metrics),
    }


def _letter(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else str(index + 1)


def _head(side: Side) -> list[str]:
    if side.run is None:
        return [side.name, side.kind]
    told = f"run, {side.run.stage}"
    if side.kind == "checkpoint" and side.folder:
        told = f"checkpoint of {os.path.relpath(side.folder)}"
    return [side.name, f"{told}, {status_of(side.run)}, {moment(side.run.started)}"]


def _section(name: str, lines: Iterable[str], same: str = "the same") -> list[str]:
    shown = [f"  {line}" for line in lines]
    return [styled(name, BOLD), *shown] if shown else [f"{styled(name, BOLD)}: {same}"]


def _settings(comparison: Comparison, letters: Sequence[str]) -> Iterator[str]:
    for setting in comparison.settings:
        yield printable(join(setting.path))
        origins = [side.origin(setting.path, node) for side, node in zip(comparison.sides, setting.nodes, strict=True)]
        cells = zip(letters, map(_value, setting.nodes), origins, strict=True)
        yield from (f"  {line}" for line in columns([[*cell] for cell in cells]))


def _value(node: Node | None) -> str:
    return "-" if node is None else shorten(dump_in_one_line(node.plain()), VALUE)


def _code(code: Code, letters: Sequence[str]) -> Iterator[str]:
    if not code.differs:
        return
    for letter, commit, changed in zip(letters, code.commits, code.uncommitted, strict=True):
        changes = f"with changes in {changed} file{'s' * (changed != 1)}" if changed else ""
        yield f"{letter}  {commit[:COMMIT] if commit else 'no commit'}  {changes}".rstrip()
    if code.apart:
        yield _distance(code.apart, letters)
    for name, holders in code.files.items():
        having = [letter for letter, has in zip(letters, holders, strict=True) if has]
        where = "changed in each, differently" if all(holders) else f"changed in {', '.join(having)}"
        yield f"{printable(name)}: {where}"


def _distance(apart: tuple[int, int], letters: Sequence[str]) -> str:
    ahead, behind = apart
    if ahead and behind:
        return f"{letters[0]} has {_count(ahead)} that {letters[1]} has not, and {letters[1]} {_count(behind)}"
    later, earlier = (0, 1) if ahead else (1, 0)
    return f"{letters[later]} is {_count(ahead or behind)} after {letters[earlier]}"


def _count(commits: int) -> str:
    return f"{commits} commit{'s' * (commits != 1)}"


def _same_code(code: Code) -> str:
    commit = code.commits[0]
    if commit is None:
        return "no commit is known"
    changes = "the same changes" if any(code.uncommitted) else "no changes"
    return f"the same, {commit[:COMMIT]} with {changes}"


def _rows(rows: Sequence[Row], letters: Sequence[str]) -> list[str]:
    shown = [row for row in rows if row.differs]
    table = [["", *letters], *([row.name, *map(_cell, row.values)] for row in shown)]
    return columns(table, right=_numeric(shown)) if shown else []


def _numeric(rows: Sequence[Row]) -> range:
    """Return the columns to align to the right: those of values, if all are numbers."""
    values = [value for row in rows for value in row.values if value is not None]
    return (
        range(1, len(rows[0].values) + 1)
        if rows and all(isinstance(value, (int, float)) for value in values)
        else range(0)
    )


def _cell(value: object) -> str:
    return "-" if value is None else number(value) if isinstance(value, float) else str(value)


def _alone(recorded: Sequence[str]) -> list[str]:
    only = f"only {recorded[0]} has a record of a run" if recorded else "no side has a record of a run"
    return [styled(f"code, environment and metrics are not compared: {only}", DIM)]


def _setting_data(side: Side, setting: Setting, node: Node | None) -> dict[str, object] | None:
    origin = side.origin(setting.path, node) or None
    if node is None:
        return None if origin is None else {"origin": origin}
    return {"value": _finite(node.plain()), "origin": origin}


def _rows_data(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [{"name": row.name, "values": [_finite(value) for value in row.values]} for row in rows if row.differs]


def _finite(value: object) -> object:
    """Return a value with nan and the infinities as text, as JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
