"""`lighter diff`."""

from __future__ import annotations

import functools

from lighter.commands import HELP, Help, Job
from lighter.errors import UsageError

HELP_TEXT = Help(
    usage="lighter diff A B [C...] [--json]",
    summary="Compare runs, checkpoints or configs: settings, code, environment, metrics.",
    text=(
        "Each of A, B, C is the folder of a run, a checkpoint or a YAML file. Shows the config paths that differ with\n"
        "their values and where those are from, and of runs also commit, uncommitted changes, packages, devices and\n"
        "metrics. The order of keys, formatting and comments never count. Nothing is imported, built or evaluated.\n"
        "The exit status is 0 whether they differ or not."
    ),
    flags=(("--json", "Print the differences as JSON."), HELP),
    examples=(
        "lighter diff logs/version_0 logs/version_1",
        "lighter diff logs/version_0 config.yaml",
        "lighter diff logs/version_0/checkpoints/last.ckpt logs/version_1 --json",
    ),
)


def run(*sides: str, json: bool = False) -> Job:
    """Compare runs, checkpoints or configs: settings, code, environment, metrics."""
    if len(sides) < 2:
        given = f"{len(sides)} of them" if sides else "none"
        suggestion = "folders of runs, checkpoints or YAML files; lighter runs lists the runs"
        raise UsageError(f"lighter diff compares two or more, and was given {given}", suggestion=suggestion)
    return Job(functools.partial(_run, sides, json), logs=False)


def _run(names: tuple[str, ...], as_json: bool) -> int:
    import json

    from lighter.runs.compare.comparison import compare, data, text
    from lighter.runs.compare.side import read_side
    from lighter.runs.compare.text import write

    comparison = compare([read_side(name) for name in names])
    write(f"{json.dumps(data(comparison), indent=2)}\n" if as_json else text(comparison))
    return 0
