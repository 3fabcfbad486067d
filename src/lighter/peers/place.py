"""Where in the data a rank is, for those who wonder why it does not answer."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

NAMES = {"validate": "the validation", "test": "the test", "predict": "the prediction"}
SHOWN = 4  # ranks of those that are at one place


def place_of(trainer: pl.Trainer) -> str:
    """Return where a rank is, to be read after `is in`."""
    if trainer.sanity_checking:
        return "the sanity check"
    if trainer.training:
        batch, epoch = trainer.fit_loop.batch_idx, trainer.current_epoch
        return f"batch {batch} of epoch {epoch}" if batch >= 0 else f"the beginning of epoch {epoch}"
    progress = getattr(trainer._active_loop, "batch_progress", None)
    batch = progress.current.ready - 1 if progress else -1
    name = NAMES.get(trainer.state.stage or "", "set-up")
    if trainer.state.fn == TrainerFn.FITTING and trainer.validating:
        name += f" in epoch {trainer.current_epoch}"
    return f"batch {batch} of {name}" if batch >= 0 else name


def told_places(places: Mapping[int, str]) -> str:
    """Return where the ranks are as words that go on from those of a failure."""
    ranks: dict[str, list[int]] = {}
    for rank, place in places.items():
        ranks.setdefault(place, []).append(rank)
    return "".join(f"; {_named(found)} in {place}" for place, found in ranks.items())


def _named(ranks: list[int]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]} is"
    more = ", …" if len(ranks) > SHOWN else ""
    return f"ranks {', '.join(map(str, ranks[:SHOWN]))}{more} are"
