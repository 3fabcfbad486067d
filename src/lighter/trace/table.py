"""What `lighter trace` prints: a head, and for each mode a table of the way and what would be logged."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lighter.config.structure import STAGES
from lighter.system import System
from lighter.trace.tracer import Tracer
from lighter.trace.values import Row
from lighter.trace.way import Section, Way

HEADS = ("type", "shape", "dtype", "device", "range")
GAP, INDENT = 2, 2
NARROWEST = 8  # of a column
FOLDED = (0, 1, 2, 5)  # the columns that may take several lines: name, type, shape and range
UNBOUNDED = 10_000  # columns, of what is no terminal


def make_console() -> Console:
    """Return a console for stdout, as wide as the terminal; where there is none, lines are as long as they are."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNBOUNDED
    return Console(highlight=False, width=width)


def show_head(console: Console, tracer: Tracer) -> None:
    """Say what is traced."""
    config, runner = tracer.runner.config, tracer.runner
    facts = [("config", " ".join(config.sources))]
    facts += [("overrides", shlex.join(config.overrides))] if config.overrides else []
    facts += [("stage", runner.stage), ("device", str(runner.trainer.strategy.root_device))]
    facts += [
        ("weights", "as built"),
        ("seed", "none: another run gets other batches" if runner.seed is None else str(runner.seed)),
    ]
    console.print(Text("lighter trace", style="bold"))
    _show_facts(console, facts)


def show_ways(console: Console, tracer: Tracer) -> None:
    """Print the optimizers, then the way of each batch as far as it came."""
    _show_facts(console, tracer.optimization)
    with console.capture() as captured:
        for mode in STAGES[tracer.runner.stage]:
            _show_mode(console, tracer, mode)
        if tracer.ways and not isinstance(tracer.runner.system, System):
            _show_note(console, "a lighter.System shows more: input, target, prediction, criterion and metrics")
        if tracer.failed:
            console.print()  # before what is wrong, on stderr
    console.file.write(re.sub(" +$", "", captured.get(), flags=re.MULTILINE))
    console.file.flush()


def _show_mode(console: Console, tracer: Tracer, mode: str) -> None:
    ways = [way for way in tracer.ways if way.mode == mode]
    for way in ways:
        _show_way(console, way, f"{mode}, dataloader {way.loader}" if len(ways) > 1 else mode)
    if mode in tracer.logged:
        title = "log" if tracer.runner.trainer.loggers else "log: no logger, only what can be monitored"
        _show_log(console, title, tracer.logged[mode])
    if not ways and not tracer.failed:
        _show_note(console, f"{mode}: no batch, for lack of a dataloader or because of the Trainer's limits")


def _show_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    for name, value in facts:
        console.print(Text.assemble((f"  {name:<11}", "dim"), " ", value), soft_wrap=True)


def _show_note(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="dim"), soft_wrap=True)


def _show_way(console: Console, way: Way, title: str) -> None:
    rows = [row for section in way.sections for row in section.rows]
    widths = _widths([title, *HEADS], rows, console.width - INDENT)
    console.print()
    head = [Text(title, style="bold green"), *(Text(name, style="dim") for name in HEADS)]
    console.print(_grid([widths[0] + INDENT, *widths[1:]], [head]))
    for section in way.sections:
        console.print(_heading(section))
        if section.rows:
            console.print(
                Padding(
                    _grid(widths, [_cells(row, widths[-1]) for row in section.rows]), (0, 0, 0, INDENT), expand=False
                )
            )


def _heading(section: Section) -> Text:
    names = ", ".join(section.names)
    if section.failed:
        received = "; it received" if section.rows else ""
        return Text(f"✗ {section.role}{' ' * bool(names)}{names} failed{received}", style="bold red")
    role = f"{section.role}s" if ", " in names else section.role
    calls = f", the first of {section.calls} calls" if section.calls > 1 else ""
    return Text.assemble((role, "bold"), " " * bool(names), names, (calls, "dim"))


def _cells(row: Row, width: int) -> list[Text]:
    """Return the texts of a row; the marks go to lines of their own where they do not fit into the width."""
    last = Text(row.range)
    for mark in row.marks:
        gap = " " * GAP if len(last.plain.rpartition("\n")[2]) + GAP + len(mark) <= width else "\n"
        last.append(gap if last else "").append(mark, style="bold red")
    return [*(Text(text) for text in (row.name, row.kind, row.shape, row.dtype, row.device)), last]


def _grid(widths: Sequence[int], rows: Iterable[Sequence[Text]]) -> Table:
    grid = Table.grid(padding=(0, GAP, 0, 0))
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _widths(heads: Sequence[str], rows: Iterable[Row], available: int) -> list[int]:
    """Return the widths of the columns, the widest of them narrowed until all fit."""
    texts = [heads, *([cell.plain for cell in _cells(row, UNBOUNDED)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    while sum(widths) + GAP * (len(widths) - 1) > available:
        widest = max(FOLDED, key=widths.__getitem__)
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _show_log(console: Console, title: str, values: Mapping[str, float]) -> None:
    console.print(Text(title, style="bold"))
    width = max(map(len, values), default=0)
    for name, value in values.items():
        number = Text(f"{value:.4g}", style="" if math.isfinite(value) else "bold red")
        console.print(Text.assemble(" " * INDENT, f"{name:<{width}}", " " * GAP, number), soft_wrap=True)
