"""`lighter report`."""

from __future__ import annotations

import functools
import gc
import sys
from pathlib import Path

from lighter.commands import HELP, Help, Job
from lighter.errors import UsageError

HELP_TEXT = Help(
    usage="lighter report RUN... [--out FILE]",
    summary="Make one HTML page of runs: learning curves, metrics, settings, environment.",
    text=(
        "A RUN is the folder of a run, or a folder with runs below it. The page has the curves of all runs over each\n"
        "other, their final metrics, and what differs in their configs and environments. It is one file that needs no\n"
        "server and no network, and can be sent to others: settings that are secret are not in it.\n"
        "A file that is there is replaced only if it is such a page."
    ),
    flags=(("--out FILE", "Where to write it; report.html if nothing is said."), HELP),
    examples=(
        "lighter report logs/version_0 logs/version_1",
        "lighter report logs --out all_runs.html",
    ),
)


def run(*folders: str, out: str = "report.html") -> Job:
    """Make one HTML page of runs: learning curves, metrics, settings, environment."""
    if not folders:
        raise UsageError("name at least one run", suggestion="such as logs/version_0; lighter runs lists the runs")
    return Job(functools.partial(_run, folders, Path(out)), logs=False)


def _run(folders: tuple[str, ...], out: Path) -> int:
    from lighter.runs.compare.find import read_runs
    from lighter.runs.compare.page import MARK, make_page
    from lighter.runs.record.atomic import write_text

    gc.disable()  # nothing of what is read here is thrown away
    _check_free(out, MARK)
    found, broken = read_runs(folders)
    for message in broken:
        print(f"warning: {message}", file=sys.stderr)
    if not found:
        raise UsageError(f"there are no runs in {', '.join(map(repr, folders))}", value=folders[0])
    try:
        write_text(out, make_page(found))
    except OSError as error:
        raise UsageError(f"{str(out)!r} cannot be written: {error.strerror}", value=str(out)) from error
    print(f"{out}: {len(found)} run{'s' * (len(found) != 1)}")
    return 0


def _check_free(out: Path, mark: str) -> None:
    """Refuse to replace what is no page of this command.

    Raises:
        UsageError: something else is there.
    """
    try:
        with out.open("rb") as file:
            start = file.read(1000).decode("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{str(out)!r} cannot be written: {error.strerror}", value=str(out)) from error
    if start and mark not in start:
        raise UsageError(
            f"{str(out)!r} is there, and is no report", value=str(out), suggestion="name another: --out FILE"
        )
