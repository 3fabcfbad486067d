"""`lighter test`."""

from __future__ import annotations

from lighter.commands import CHECK, CKPT, DEBUG, HELP, Help, Job
from lighter.commands._stage import stage_job

HELP_TEXT = Help(
    usage="lighter test SOURCE... [OVERRIDE...] [--ckpt PATH|best|last] [--no-check] [--debug]",
    summary="Evaluate on the test dataloader.",
    text=("Builds what the test mode needs (no criterion, no optimizer) and runs Trainer.test."),
    flags=(CKPT, CHECK, DEBUG, HELP),
    examples=(
        "lighter test logs/version_0",
        "lighter test config.yaml --ckpt best",
        "lighter test config.yaml --ckpt path/to/model.ckpt trainer::devices=1",
    ),
)


def run(*arguments: str, ckpt: str | None = None, no_check: bool = False) -> Job:
    """Evaluate on the test dataloader."""
    return stage_job("test", arguments, ckpt, no_check)
