"""`lighter validate`."""

from __future__ import annotations

from lighter.commands import CKPT, DEBUG, HELP, Help, Job
from lighter.commands._stage import stage_job

HELP_TEXT = Help(
    usage="lighter validate SOURCE... [OVERRIDE...] [--ckpt PATH|best|last] [--debug]",
    summary="Evaluate on the val dataloader, loss and metrics.",
    text=("Builds what the val mode needs and runs Trainer.validate."),
    flags=(CKPT, DEBUG, HELP),
    examples=(
        "lighter validate config.yaml --ckpt best",
        "lighter validate config.yaml system::dataloaders::val::batch_size=256",
    ),
)


def run(*arguments: str, ckpt: str | None = None) -> Job:
    """Evaluate on the val dataloader, loss and metrics."""
    return stage_job("validate", arguments, ckpt)
