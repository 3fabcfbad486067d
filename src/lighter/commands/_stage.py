"""What the four stage commands share: run a stage and report it."""

from __future__ import annotations

import functools
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lighter.commands import Job
from lighter.commands._arguments import split_arguments
from lighter.errors import ConfigError, RunError

if TYPE_CHECKING:
    from lighter.report import Report
    from lighter.runner import Runner, Stage

INTERRUPTED = 130


def stage_job(stage: Stage, arguments: Sequence[str], ckpt: str | None, no_check: bool) -> Job:
    """Return the job that runs a stage."""
    sources, overrides = split_arguments(arguments)
    return Job(functools.partial(_run, stage, sources, overrides, ckpt, not no_check))


def _run(stage: Stage, sources: list[str], overrides: list[str], ckpt: str | None, check: bool) -> int:
    from lighter.checking import checked
    from lighter.config import compose

    gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
    config = checked(sources, overrides, stage) if check else compose(sources, overrides)
    from lighter.report import Report
    from lighter.runner import Runner

    gc.freeze()  # nor need later collections look through what was imported
    gc.enable()
    try:
        report = Report()
        runner = Runner(report.trainer_arguments)
        runner.prepare(stage, config, ckpt=ckpt)
        return _start(runner, report)
    finally:
        gc.unfreeze()


def _start(runner: Runner, report: Report) -> int:
    _quiet(runner)
    main = runner.trainer.is_global_zero
    if main:
        runner.record()  # first, as it settles which folder the run has
        report.head(runner)
    try:
        runner.start()
    except ConfigError as error:
        if error.problems[0].place is not None:  # an optimizer or a scheduler, which are built only now
            raise
        raise RunError(problems=error.problems) from error  # what the data or the model showed
    except SystemExit:  # Lightning's answer to Ctrl-C, after it has shut down
        if not runner.trainer.interrupted:
            raise
    if main:
        report.tail(runner)
    return INTERRUPTED if runner.trainer.interrupted else 0


def _quiet(runner: Runner) -> None:
    """Leave the results to the report, and keep no predictions in memory unless the config asks for it."""
    if runner.stage in ("validate", "test"):
        runner.arguments.setdefault("verbose", False)
    if runner.stage == "predict":
        runner.arguments.setdefault("return_predictions", False)
