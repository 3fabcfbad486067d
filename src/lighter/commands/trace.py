"""`lighter trace`."""

from __future__ import annotations

import functools
import gc
from typing import TYPE_CHECKING, cast

from lighter.commands import DEBUG, HELP, Help, Job
from lighter.commands._arguments import known_stage, split_arguments
from lighter.commands._stage import INTERRUPTED

if TYPE_CHECKING:
    from lighter.config import Config
    from lighter.runner import Stage

HELP_TEXT = Help(
    usage="lighter trace SOURCE... [OVERRIDE...] [--stage fit|validate|test|predict] [--debug]",
    summary="Send one batch of each mode through, and show its way.",
    text=(
        "Builds what a stage needs, fit if none is named, and sends the first batch of each of its modes through. The\n"
        "table shows what every part received and made: batch, input, target, identifier, prediction, the arguments\n"
        "of criterion and metrics, loss, log; with type, shape, dtype, device and range, NaN and Inf marked. Where a\n"
        "part fails, it ends with what that part received. Nothing is trained or written."
    ),
    flags=(("--stage STAGE", "The stage: fit, validate, test or predict."), DEBUG, HELP),
    examples=(
        "lighter trace config.yaml",
        "lighter trace config.yaml --stage predict",
        "lighter trace config.yaml system::dataloaders::train::num_workers=0",
    ),
)


def run(*arguments: str, stage: str = "fit") -> Job:
    """Send one batch of each mode through, and show its way."""
    sources, overrides = split_arguments(arguments)
    return Job(functools.partial(_run, cast("Stage", known_stage(stage)), sources, overrides))


def _run(stage: Stage, sources: list[str], overrides: list[str]) -> int:
    from lighter.config import compose

    config = compose(sources, overrides)  # first, so that a mistake costs no start-up
    gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
    from lighter import trace  # noqa: F401

    gc.freeze()  # nor need later collections look through what was imported
    gc.enable()
    try:
        return _trace(stage, config)
    finally:
        gc.unfreeze()


def _trace(stage: Stage, config: Config) -> int:
    from lighter.trace import Tracer, make_console, show_head, show_ways

    tracer = Tracer(stage, config)
    trainer = tracer.runner.trainer
    if not trainer.is_global_zero:
        tracer.run()
        return 0
    console = make_console()
    show_head(console, tracer)
    try:
        tracer.run()
    except SystemExit:  # Lightning's answer to Ctrl-C, after it has shut down
        if not trainer.interrupted:
            raise
    finally:
        show_ways(console, tracer)
    return INTERRUPTED if trainer.interrupted else 0
