"""The tables of the page; the longer side of each has the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from lighter.runs.compare.differences import Row, compare_metrics, environments
from lighter.runs.compare.find import Found
from lighter.runs.compare.names import BEST, SUFFIX, metrics_of
from lighter.runs.compare.page.chart import rank, swatch
from lighter.runs.compare.settings import differing
from lighter.runs.compare.text import brief, duration, moment, number

COMMIT = 10


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and its classes."""

    text: str
    kind: str = ""
    run: int | None = None  # whose line stands before the text

    def html(self, tag: str = "td") -> str:
        kind = f' class="{escape(self.kind)}"' if self.kind else ""
        line = "" if self.run is None else swatch(self.run)
        return f"<{tag}{kind}>{line}{escape(self.text)}</{tag}>"


def runs(found: Sequence[Found], names: Sequence[str]) -> str:
    """Return how each run went."""
    head = ["run", "status", "stage", "started", "took", "epochs", "steps", "device", "commit"]
    rows = [[name, *_how_it_went(item)] for name, item in zip(_named(names), found, strict=True)]
    commands = [f"{name}: {item.run.command}" for name, item in zip(names, found, strict=True)]
    errors = [f"{name}: {item.run.error}" for name, item in zip(names, found, strict=True) if item.run.error]
    return (
        f"<h2>Runs</h2>\n{_table([Cell(text) for text in head], rows)}"
        f"{_folded('Errors', errors)}{_folded('Commands', commands)}"
    )


def metrics(found: Sequence[Found], names: Sequence[str], modes: Mapping[str, str]) -> str:
    """Return the last value of each metric, and the best of those that checkpoints are chosen by."""
    rows = compare_metrics([metrics_of(item.run) for item in found])
    if not rows:
        return ""
    rows = sorted(rows, key=lambda row: (rank(row.name), row.name))
    grid = [[_name(row.name, modes), *_values(row, modes)] for row in rows]
    return f"<h2>Final metrics</h2>\n{_of_runs(grid, names)}"


def settings(found: Sequence[Found], names: Sequence[str]) -> str:
    """Return the settings that are not the same in all runs."""
    if len(found) < 2:
        return ""
    configs = [item.run.config for item in found]
    paths = differing(configs)
    if not paths:
        return "<h2>Config</h2>\n<p>The same in all runs.</p>\n"
    grid = [
        [
            Cell(path, "path"),
            *(_setting(path, config[path]) if path in config else Cell("-", "quiet") for config in configs),
        ]
        for path in paths
    ]
    return f"<h2>Config</h2>\n{_of_runs(grid, names)}"


def environment(found: Sequence[Found], names: Sequence[str]) -> str:
    """Return what runs ran on where it is not the same, and what is."""
    rows = environments([item.run for item in found])
    different = [row for row in rows if row.differs]
    same = [f"{row.name} {row.values[0]}" for row in rows if not row.differs and row.values[0] is not None]
    grid = [
        [Cell(row.name), *(Cell("-" if value is None else str(value)) for value in row.values)] for row in different
    ]
    table = _of_runs(grid, names) if grid else ""
    of_all = "The same in all runs" if len(found) > 1 else "Of this run"
    shared = f"<details><summary>{of_all}: {len(same)}</summary><p>{escape(', '.join(same))}</p></details>\n"
    return f"<h2>Environment</h2>\n{table}{shared if same else ''}"


def _how_it_went(found: Found) -> list[Cell]:
    run = found.run
    devices, git = run.devices, run.git
    commit = f"{(git.commit or 'none')[:COMMIT]}{' with changes' * git.dirty}" if git else ""
    return [
        Cell(found.status, found.status.split()[0]),
        Cell(run.stage),
        Cell(moment(run.started)),
        Cell(duration(run.seconds), "number"),
        Cell(str(run.epochs), "number"),
        Cell(str(run.steps), "number"),
        Cell(f"{devices.count} x {devices.name or devices.accelerator}" if devices else ""),
        Cell(commit),
    ]


def _name(metric: str, modes: Mapping[str, str]) -> Cell:
    mode = modes.get(metric.removesuffix(BEST))
    return Cell(metric.replace(SUFFIX, "") + (f", {mode}" if mode else ""))


def _values(row: Row, modes: Mapping[str, str]) -> list[Cell]:
    """Return a metric's values, the best one marked where more or less is known to be better."""
    known = [value for value in row.values if isinstance(value, float) and math.isfinite(value)]
    choose = {"min": min, "max": max}.get(modes.get(row.name.removesuffix(BEST), ""))
    best = choose(known) if choose and len(known) > 1 else None
    return [
        Cell("-", "number quiet")
        if not isinstance(value, float)
        else Cell(number(value), "number best" if value == best else "number")
        for value in row.values
    ]


def _setting(path: str, value: object) -> Cell:
    return Cell(brief(path, value), "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "")


def _named(names: Sequence[str]) -> list[Cell]:
    return [Cell(name, run=number) for number, name in enumerate(names)]


def _folded(name: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    inside = "".join(f"<pre>{escape(line)}</pre>" for line in lines)
    return f"<details><summary>{name}</summary>{inside}</details>\n"


def _of_runs(grid: Sequence[Sequence[Cell]], names: Sequence[str]) -> str:
    """Return a table of rows that have a value for each run; turned, if there are more runs than rows."""
    whole = [[Cell(""), *_named(names)], *grid]
    if len(names) > len(grid):
        whole = [list(column) for column in zip(*whole, strict=True)]
    return _table(whole[0], whole[1:])


def _table(head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    aligned = [
        replace(cell, kind=f"{cell.kind} number") if any("number" in row[index].kind for row in rows) else cell
        for index, cell in enumerate(head)
    ]
    lines = "".join(f"<tr>{first.html('th')}{''.join(cell.html() for cell in rest)}</tr>\n" for first, *rest in rows)
    top = "".join(cell.html("th") for cell in aligned)
    inside = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{lines}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>\n{inside}</table></div>\n'
