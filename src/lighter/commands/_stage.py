"""What the four stage commands share: run a stage and report it."""

from __future__ import annotations

import functools
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lighter.commands import Job
from lighter.commands._arguments import split_arguments
from lighter.errors import ConfigError, RunError, UsageError

if TYPE_CHECKING:
    from lighter.report import Report
    from lighter.runner import Runner, Stage

INTERRUPTED = 130
BOTH = "--resume goes on from the run's last checkpoint, --ckpt begins a new run from one: give one of the two"


def stage_job(stage: Stage, arguments: Sequence[str], ckpt: str | None, no_check: bool, resume: bool = False) -> Job:
    """Return the job that runs a stage."""
    sources, overrides = split_arguments(arguments)
    if resume and ckpt:
        raise UsageError(BOTH)
    return Job(functools.partial(_run, stage, sources, overrides, ckpt, not no_check, bool(resume)))


def _run(stage: Stage, sources: list[str], overrides: list[str], ckpt: str | None, check: bool, resume: bool) -> int:
    from lighter.checking import checked, unchecked
    from lighter.launch import settle_port
    from lighter.runs.resume.requeue import requeue_early

    if stage == "fit":
        requeue_early()
    gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
    try:
        config = checked(sources, overrides, stage) if check else unchecked(sources, overrides)
    except ConfigError as error:
        error.is_everyones = True  # it is in the files that all ranks read
        raise
    settle_port()
    from lighter.report import Report
    from lighter.runner import Runner

    gc.freeze()  # nor need later collections look through what was imported
    gc.enable()
    try:
        report = Report()
        runner = Runner(report.trainer_arguments)
        runner.prepare(stage, config, ckpt=ckpt, resume=resume)
        if runner.done is not None:
            if runner.trainer.is_global_zero:
                report.nothing_left(runner.done)
            return 0
        return _start(runner, report)
    finally:
        gc.unfreeze()


def _start(runner: Runner, report: Report) -> int:
    from loguru import logger
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    _quiet(runner)
    main = runner.trainer.is_global_zero
    if main:
        runner.record()  # first, as it settles which folder the run has
        report.head(runner)
    status = 0
    try:
        runner.start()
    except ConfigError as error:
        if error.problems[0].place is not None:  # an optimizer or a scheduler, which are built only now
            raise
        failure = RunError(problems=error.problems)  # what the data or the model showed
        failure.is_everyones = error.is_everyones
        raise failure from error
    except SystemExit as error:  # the answer to a signal, or Lightning's own to Ctrl-C, after it has shut down
        if not runner.trainer.interrupted:
            raise
        status = int(error.code or 0) if isinstance(error, SIGTERMException) else INTERRUPTED
        if error.__cause__ is not None:
            logger.warning(f"it was not saved: {error.__cause__}")
    if main:
        report.tail(runner)
    return status


def _quiet(runner: Runner) -> None:
    """Leave the results to the report, and keep no predictions in memory unless the config asks for it."""
    if runner.stage in ("validate", "test"):
        runner.arguments.setdefault("verbose", False)
    if runner.stage == "predict":
        runner.arguments.setdefault("return_predictions", False)
