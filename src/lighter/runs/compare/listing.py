"""Runs as a table for people, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from lighter.runs.compare.expression import Value
from lighter.runs.compare.find import Found
from lighter.runs.compare.names import FIELDS, SUFFIX, metric, modes
from lighter.runs.compare.neighbours import distinctions
from lighter.runs.compare.settings import SEPARATOR, labels
from lighter.runs.compare.text import BOLD, GREEN, RED, YELLOW, brief, columns, duration, moment, number, styled
from lighter.runs.record.run_file import as_data

MOST_METRICS = 4  # columns of a table
STATUS_STYLES = {"completed": GREEN, "failed": RED, "killed": RED, "interrupted": YELLOW}


def _table(runs: Sequence[Found]) -> str:
    if not runs:
        return ""
    distinct = distinctions(runs)
    metrics = _metrics(runs)
    short = labels(dict.fromkeys(path for settings in distinct for path in settings), FIELDS)
    stages = ["stage"] * (len({found.run.stage for found in runs}) > 1)
    rows = [["run", "status", *stages, "started", "took", *(name.removesuffix(SUFFIX) for name in metrics), "config"]]
    for found, settings in zip(runs, distinct, strict=True):
        values = [metric(found.run, name) for name in metrics]
        rows.append(
            [
                str(found.folder),
                found.status,
                *(found.run.stage for _ in stages),
                moment(found.run.started),
                duration(found.run.seconds),
                *("" if value is None else number(value) for value in values),
                " ".join(f"{short[path]}={brief(path, value)}" for path, value in settings.items()),
            ]
        )
    last = len(rows[0]) - 1
    head, *lines = columns(rows, right=range(last - 1 - len(metrics), last), cut=last)
    lines = [_coloured(line, found.status) for line, found in zip(lines, runs, strict=True)]
    return "\n".join([styled(head, BOLD), *lines, ""])


def _coloured(line: str, status: str) -> str:
    style = STATUS_STYLES.get(status)
    return line.replace(f"  {status}", f"  {styled(status, style)}", 1) if style else line


def _metrics(runs: Sequence[Found]) -> list[str]:
    """Return the metrics that a table shows: those that checkpoints are chosen by, then those of tests."""
    chosen = dict.fromkeys(modes(runs))
    others = (name for found in runs for name in found.run.metrics if not found.run.best)
    chosen |= dict.fromkeys(name for name in others if name.endswith(SUFFIX) and not name.startswith("train/"))
    return list(chosen)[:MOST_METRICS]


def _json(runs: Sequence[Found]) -> str:
    distinct = distinctions(runs)
    lines = [
        json.dumps({"name": str(found.folder), **as_data(found.run), "status": found.status, "differs": settings})
        for found, settings in zip(runs, distinct, strict=True)
    ]
    return '{"runs": [\n' + ",\n".join(lines) + "\n]}\n"


def _csv(runs: Sequence[Found]) -> str:
    rows: list[dict[str, Value]] = [
        {name: field(found) for name, field in FIELDS.items()}
        | {f"best:{item.monitor}": item.score for item in found.run.best}
        | dict(found.run.metrics)
        | {path: value for path, value in found.run.config.items() if SEPARATOR in path}
        for found in runs
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys([*FIELDS, *(name for row in rows for name in row)]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMS: Mapping[str, Callable[[Sequence[Found]], str]] = {"table": _table, "json": _json, "csv": _csv}
