"""`lighter predict`."""

from __future__ import annotations

from lighter.commands import CHECK, CKPT, DEBUG, HELP, Help, Job
from lighter.commands._stage import stage_job

HELP_TEXT = Help(
    usage="lighter predict SOURCE... [OVERRIDE...] [--ckpt PATH|best|last] [--no-check] [--debug]",
    summary="Run the model over the predict dataloader.",
    text=(
        "Builds what the predict mode needs and runs Trainer.predict. Results go where the config's writers put them\n"
        "(lighter.callbacks.TableWriter, lighter.callbacks.FileWriter)."
    ),
    flags=(CKPT, CHECK, DEBUG, HELP),
    examples=(
        "lighter predict logs/version_0",
        "lighter predict config.yaml --ckpt best",
        "lighter predict config.yaml --ckpt best trainer::callbacks::0::path=predictions.csv",
    ),
)


def run(*arguments: str, ckpt: str | None = None, no_check: bool = False) -> Job:
    """Run the model over the predict dataloader."""
    return stage_job("predict", arguments, ckpt, no_check)
