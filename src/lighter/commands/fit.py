"""`lighter fit`."""

from __future__ import annotations

from lighter.commands import CHECK, CKPT, DEBUG, HELP, Help, Job
from lighter.commands._stage import stage_job

RESUME = ("--resume", "Go on with a run: SOURCE, or the newest of this config; none: start one.")

HELP_TEXT = Help(
    usage="lighter fit SOURCE... [OVERRIDE...] [--resume | --ckpt PATH|best|last] [--no-check] [--debug]",
    summary="Train, validating as the Trainer says.",
    text=(
        "Builds the model, the train and val dataloaders, the optimizer and all else that training needs,\n"
        "and runs Trainer.fit. Nothing of the test and predict sections is built."
    ),
    flags=(RESUME, CKPT, CHECK, DEBUG, HELP),
    examples=(
        "lighter fit config.yaml",
        "lighter fit config.yaml trainer::max_epochs=50 system::optimizer::lr=0.01",
        "lighter fit base.yaml experiment.yaml '~trainer::callbacks::0'",
        "lighter fit config.yaml --ckpt last",
        "lighter fit config.yaml --resume",
        "lighter fit logs/lightning_logs/version_0 trainer::max_epochs=50 --resume",
    ),
)


def run(*arguments: str, ckpt: str | None = None, resume: bool = False, no_check: bool = False) -> Job:
    """Train, validating as the Trainer says."""
    return stage_job("fit", arguments, ckpt, no_check, resume)
