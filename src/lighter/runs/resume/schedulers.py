"""Schedulers of a fixed length, such as OneCycleLR: it is in their state, and a longer run cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from lighter.config import Config
from lighter.errors import RunError

SLOT = "system::scheduler"

_RESUMED = f"go on without it: '~{SLOT}'; or begin a new run, which is as long as it shall be"
_NEW = "make it as long as the fit: total_steps: '$@trainer.estimated_stepping_batches'"


def used_up_length(content: Mapping[Any, Any]) -> int | None:
    """Return the length of a checkpoint's scheduler that has come to its end; None where there is none."""
    for state in content.get("lr_schedulers", ()):
        length, done = (state.get(name) for name in ("total_steps", "last_epoch"))
        if isinstance(length, int) and isinstance(done, int) and done >= length:
            return length
    return None


def used_up(length: int, config: Config, *, resumed: bool) -> RunError:
    """Return the error of a fit that is longer than its scheduler."""
    node = config.find(SLOT)
    message = f"has taken all of its {length} steps, and there are more to train"
    return RunError(
        message if node else f"the scheduler {message}",
        place=node.place if node else None,
        path=SLOT if node else None,
        suggestion=_RESUMED if resumed else _NEW,
    )


def step_beyond(trainer: pl.Trainer, config: Config, error: ValueError, *, resumed: bool) -> RunError | None:
    """Return what torch's error about a step too many says of a scheduler, or None if it is another error."""
    if "The specified number of total steps is" not in str(error):
        return None
    lengths = [getattr(item.scheduler, "total_steps", None) for item in trainer.lr_scheduler_configs]
    return next((used_up(length, config, resumed=resumed) for length in lengths if isinstance(length, int)), None)
