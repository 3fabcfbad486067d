"""How far a checkpoint came, as the loops, the record and the loggers of its run count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lighter.errors import ConfigError
from lighter.exact.callback import KEY as EXACT
from lighter.runs.checkpoints.of_run import Saved
from lighter.system import BATCHES_KEY


@dataclass(frozen=True)
class Position:
    """How far a checkpoint came: its global step, the epochs it has ended, and whether it is within the next one.

    `logged` and `logged_val` are the first steps to come in what loggers hold. These count batches, not the steps of
    optimizers, and those of validation by themselves. `due` are the modes whose epoch values are to come at the step
    before.
    """

    step: int = 0
    epochs: int = 0
    within_epoch: bool = False
    logged: int = 0
    logged_val: int = 0
    due: tuple[str, ...] = ()


def position_of(saved: Saved) -> Position:
    """Return how far a checkpoint came.

    Raises:
        ConfigError: a fit cannot go on from it.
    """
    content: Mapping[Any, Any] = saved.content
    try:
        position = _position(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{str(saved.path)!r} is not a Lightning checkpoint") from error
    if "optimizer_states" not in content and saved.path.is_file():
        raise ConfigError(f"{str(saved.path)!r} holds weights alone (save_weights_only)")
    return position


def _position(content: Mapping[Any, Any]) -> Position:
    step, loops = content["global_step"] + 0, content["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]["total"]
    has_ended = epochs["processed"] == epochs["started"]
    stepped = loops["epoch_loop.state_dict"].get("_batches_that_stepped", step)
    logged = min(step, stepped + (not has_ended))  # with the batch that has stepped, and not ended
    val = content.get(BATCHES_KEY, {}).get("val", 0) if BATCHES_KEY in content else logged
    in_batch = not has_ended and batches["completed"] < batches["processed"]
    due = ("train",) if EXACT in content or not has_ended else ()  # an exact fit ends its epoch once more
    return Position(step, epochs["processed"], not has_ended, logged, val, (*due, "val") if in_batch else due)
