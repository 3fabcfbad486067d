"""`lighter runs`."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Sequence

from lighter.commands import HELP, Help, Job
from lighter.errors import UsageError

HELP_TEXT = Help(
    usage="lighter runs [FOLDER...] [--sort NAME] [--where EXPRESSION] [--json|--csv]",
    summary="List runs: how they ended, what sets them apart, their best metrics.",
    text=(
        "Looks below the folders, or the working folder, and prints a line for each run, the newest last. A setting\n"
        "is shown where it is not the same in all shown runs of the same config files.\n"
        "A name is a field (name, status, stage, started, seconds, epochs, steps, seed, commit, …), a metric or a\n"
        "config path; the end of one will do: val/loss, optimizer::lr, lr. A metric is the best value where\n"
        "checkpoints are chosen by it, else the last. What a run does not have is never true."
    ),
    flags=(
        ("--sort NAME", "Sort by a field, a metric (the best first) or a config path."),
        ("--where EXPRESSION", "Only runs of which this is true: == != < <= > >= ~ (contains), and, or, not, ()."),
        ("--json", "Print all that is known of each run as JSON."),
        ("--csv", "Print fields, metrics and config as a table for programs."),
        HELP,
    ),
    examples=(
        "lighter runs",
        "lighter runs logs --sort val/loss",
        "lighter runs --where 'status == completed and val/loss < 0.3 and system::optimizer::lr >= 1e-2'",
        "lighter runs --where 'name ~ sweep' --csv > runs.csv",
    ),
)


def run(*folders: str, sort: str | None = None, where: str | None = None, json: bool = False, csv: bool = False) -> Job:
    """List runs: how they ended, what sets them apart, their best metrics."""
    if json and csv:
        raise UsageError("either --json or --csv", value="--csv")
    form = "json" if json else "csv" if csv else "table"
    return Job(functools.partial(_run, folders or (".",), sort, where, form), logs=False)


def _run(folders: Sequence[str], by: str | None, where: str | None, form: str) -> int:
    from lighter.runs.compare import listing
    from lighter.runs.compare.expression import parse
    from lighter.runs.compare.find import read_runs
    from lighter.runs.compare.names import select, sort
    from lighter.runs.compare.text import write

    gc.disable()  # nothing of what is read here is thrown away
    expression = parse(where) if where is not None else None
    found, broken = read_runs(folders)
    for message in broken:
        print(f"warning: {message}", file=sys.stderr)
    shown = select(expression, found) if expression and found else found
    shown = sort(shown, by, found) if by is not None and found else shown
    if not shown:
        looked = ", ".join(map(repr, folders))
        print(f"that is true of none of {len(found)} runs" if found else f"no runs in {looked}", file=sys.stderr)
    write(listing.FORMS[form](shown))
    return 0
