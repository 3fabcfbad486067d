"""How far a checkpoint came, as the loops, the record and the loggers of its run count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lighter.errors import ConfigError
from lighter.exact.callback import KEY as EXACT
from lighter.runs.checkpoints.of_run import Saved
from lighter.runs.checkpoints.record import record_of
from lighter.system import BATCHES_KEY


@dataclass(frozen=True)
class Position:
    """How far a checkpoint came: its global step, the epochs it has ended, and whether it is within the next one.

    `logged` and `logged_val` are the first steps to come in what loggers hold. These count batches, not the steps of
    optimizers, and those of validation by themselves. `rows` are how many rows each CSV logger had written, and
    `recorded` the epochs of the record that stay.
    """

    step: int = 0
    epochs: int = 0
    within_epoch: bool = False
    logged: int = 0
    logged_val: int = 0
    rows: tuple[int, ...] = ()
    recorded: int = 0


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
    if not has_optimizers(content):
        raise ConfigError(f"{str(saved.path)!r} holds weights alone (save_weights_only)")
    return position


def has_optimizers(content: Mapping[Any, Any]) -> bool:
    """Tell whether a checkpoint holds more than weights; in a folder the states of optimizers are kept with those."""
    return "optimizer_states" in content or "lr_schedulers" in content


def _position(content: Mapping[Any, Any]) -> Position:
    step, loops = content["global_step"] + 0, content["loops"]["fit_loop"]
    epochs = loops["epoch_progress"]["current"]
    has_ended = epochs["processed"] == epochs["started"]
    stepped = loops["epoch_loop.state_dict"].get("_batches_that_stepped", step)
    told = record_of(content)
    # with the batch that has stepped, and not ended, unless it is still to be logged
    logged = min(step, stepped + (not has_ended and not told.get("step")))
    val = content.get(BATCHES_KEY, {}).get("val", 0) if BATCHES_KEY in content else logged
    # an exact fit ends its epoch once more
    recorded = told["epoch"][0] if EXACT in content and told.get("epoch") else epochs["processed"]
    return Position(step, epochs["processed"], not has_ended, logged, val, tuple(told.get("rows", ())), recorded)
