"""`lighter validate`."""

from __future__ import annotations

from lighter.commands import CHECK, CKPT, DEBUG, HELP, Help, Job
from lighter.commands._stage import stage_job

HELP_TEXT = Help(
    usage="lighter validate SOURCE... [OVERRIDE...] [--ckpt PATH|best|last] [--no-check] [--debug]",
    summary="Evaluate on the val dataloader, loss and metrics.",
    text=("Builds what the val mode needs and runs Trainer.validate."),
    flags=(CKPT, CHECK, DEBUG, HELP),
    examples=(
        "lighter validate config.yaml --ckpt best",
        "lighter validate config.yaml system::dataloaders::val::batch_size=256",
    ),
)


def run(*arguments: str, ckpt: str | None = None, no_check: bool = False) -> Job:
    """Evaluate on the val dataloader, loss and metrics."""
    return stage_job("validate", arguments, ckpt, no_check)
