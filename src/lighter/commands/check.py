"""`lighter check`."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
import sys
from typing import Any

from lighter.commands import HELP, Help, Job
from lighter.commands._arguments import known_stage, split_arguments
from lighter.errors import ConfigError, Problem, render_all

HELP_TEXT = Help(
    usage="lighter check SOURCE... [OVERRIDE...] [--stage STAGE] [--no-import] [--json]",
    summary="Find every mistake in a config, and build nothing.",
    text=(
        "Reads the files, imports what they name and compares it with what they say: targets, arguments, values,\n"
        "references, expressions, adapters, monitors. Nothing is called and no expression is evaluated.\n"
        "Every problem is listed with its place and its mend. The exit status is 0 without problems, else 2."
    ),
    flags=(
        ("--stage STAGE", "Look only at what fit, validate, test or predict uses, and for what it needs."),
        ("--no-import", "Read only: import nothing that the config names. Safe on a file from a stranger."),
        ("--json", "Print the problems as JSON, for editors and CI."),
        HELP,
    ),
    examples=(
        "lighter check config.yaml",
        "lighter check config.yaml --stage fit system::optimizer::lr=0.01",
        "lighter check config.yaml --no-import --json",
    ),
)


def run(*arguments: str, stage: str | None = None, no_import: bool = False, json: bool = False) -> Job:
    """Find every mistake in a config, and build nothing."""
    sources, overrides = split_arguments(arguments)
    if stage is not None:
        known_stage(stage)
    return Job(functools.partial(_run, sources, overrides, stage, not no_import, json), logs=False)


def _run(sources: list[str], overrides: list[str], stage: str | None, imports: bool, as_json: bool) -> int:
    from lighter.checking import find_problems
    from lighter.config.check import runnable

    gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
    with contextlib.redirect_stdout(sys.stderr):  # what modules print when they are imported is no part of the answer
        config, problems = find_problems(sources, overrides, stage, imports=imports)
    if as_json:
        print(json.dumps({"problems": [_data(problem) for problem in problems]}, indent=2, default=str))
    elif config is None or problems:
        print(render_all(problems))
    else:
        print("no problems")
        for name, lacks in (runnable(config, imports=imports) if stage is None else {}).items():
            print(f"  {name:<10}{f'needs {lacks}' if lacks else 'can run'}")
    return ConfigError.status if problems else 0


def _data(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "file": place.file or None if place else None,
        "line": place.line or None if place else None,
        "column": place.column or None if place else None,
        "override": place.override or None if place else None,
        "path": problem.path,
        "message": problem.message,
        "value": _jsonable(problem.value),
        "suggestion": problem.suggestion,
    }


def _jsonable(value: object) -> object:
    """Return a value with text for the numbers that JSON lacks: nan and the infinities."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
