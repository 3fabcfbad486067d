"""Go on with a fit exactly where its checkpoint was saved, which Lightning alone does only nearly.

A checkpoint is saved inside a hook, and what the loops do after that hook is due when the fit goes on. Left alone,
Lightning loses these:

- of one saved in `on_train_batch_end`: the validation that follows the batch, and the end of the epoch after the last;
- of one saved in `on_validation_end`: the metrics that a plateau scheduler looks at next;
- of one saved in `on_train_epoch_end`: the step of a plateau scheduler; and with `max_steps` the epoch counts twice;
- of one saved after the last step or the last epoch: all that follows it;
- of any: that the fit was about to stop, and what some callbacks set up at the start of an epoch.

So a resumed epoch begins with an advance that trains no batch: it makes the loops what they were in that hook, and
returns, for Lightning to do what follows.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging
from pytorch_lightning.loops.loop import _Loop

from lighter._epoch import callbacks_of
from lighter.exact.loader import ExactLoader

SET_UP_EPOCHS = (GradientAccumulationScheduler, StochasticWeightAveraging)


class Due(str, Enum):
    """What is due first after a checkpoint."""

    BATCH = "batch"
    AFTER_BATCH = "what follows a batch"
    AFTER_VALIDATION = "what follows the validation that follows a batch"
    EPOCH = "epoch"
    AFTER_EPOCH = "what follows on_train_epoch_end"


BETWEEN_EPOCHS = (Due.EPOCH, Due.AFTER_EPOCH)


def due(trainer: pl.Trainer) -> Due:
    """Return what will be due first after the checkpoint that is being saved."""
    loop = trainer.fit_loop.epoch_loop
    epoch: Any = trainer.fit_loop.epoch_progress.current
    batch: Any = loop.batch_progress.current
    if epoch.processed == epoch.started:
        return Due.EPOCH if epoch.completed == epoch.processed else Due.AFTER_EPOCH
    if trainer.validating:
        counts: Any = loop.val_loop.batch_progress.current
        is_over = loop.val_loop.batch_progress.is_last_batch and counts.completed == counts.processed
        return Due.AFTER_VALIDATION if is_over else Due.AFTER_BATCH
    return Due.BATCH if batch.completed == batch.processed else Due.AFTER_BATCH


class Resume:
    """What to do to go on with a fit; `loops` is the state of Lightning's fit loop in the checkpoint.

    Lightning restores its loops after this is made, and finds their counters as they are between two batches.
    """

    def __init__(self, trainer: pl.Trainer, due: Due, loops: Mapping[str, Any], *, should_stop: bool) -> None:
        self.trainer, self.due, self.should_stop = trainer, due, should_stop
        self._limits: tuple[int | None, int] | None = None
        for counts in (loops["epoch_loop.batch_progress"][kind] for kind in ("total", "current")):
            counts["ready"] = counts["started"] = counts["completed"] = counts["processed"]
        self._replace(trainer.fit_loop, "run", self._run)

    @property
    def within_epoch(self) -> bool:
        return self.due not in BETWEEN_EPOCHS

    def go_on(self) -> None:
        """Begin the epoch or go on in it; called before the first epoch, with all else restored."""
        self._place_loaders()
        if self.within_epoch:
            self._replace(self.trainer.fit_loop.epoch_loop, "advance", self._advance)
        else:
            self._begin_epoch()

    def _run(self) -> None:
        """Run the fit loop, also where nothing but its end is left to do, which it would skip."""
        loop = self.trainer.fit_loop
        self._limits = loop.max_epochs, loop.max_steps
        epochs: Any = loop.epoch_progress.current
        if loop.max_epochs is not None and 0 <= loop.max_epochs <= epochs.processed:
            loop.max_epochs = epochs.processed + 1
        if 0 <= loop.max_steps <= loop.epoch_loop.global_step:
            loop.epoch_loop.max_steps = loop.epoch_loop.global_step + 1
        loop.run()

    def _place_loaders(self) -> None:
        loop = self.trainer.fit_loop
        combined, fetcher = loop._combined_loader, loop._data_fetcher
        if combined is None or fetcher is None:
            return
        batches: Any = loop.epoch_loop.batch_progress.current
        done = batches.processed if self.within_epoch else 0
        for loader in combined.flattened:
            if isinstance(loader, ExactLoader):
                loader.go_to(done, goes_round=combined._mode == "max_size_cycle")
        if all(isinstance(loader, ExactLoader) for loader in combined.flattened):
            iter(fetcher)  # it may have looked ahead already
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")

    def _begin_epoch(self) -> None:
        loop = self.trainer.fit_loop
        epochs: Any = loop.epoch_progress
        if self.due is Due.AFTER_EPOCH:
            epochs.current.completed = epochs.current.processed - 1  # the epoch that this is about
            self._end_epoch()
        for counts in (epochs.total, epochs.current):
            counts.ready = counts.started = counts.completed = counts.processed
        self._end_restart()
        for callback in callbacks_of(self.trainer):
            if isinstance(callback, StochasticWeightAveraging):  # which takes it back when the fit ends
                callback._accumulate_grad_batches = self.trainer.accumulate_grad_batches

    def _end_epoch(self) -> None:
        """Do what follows `on_train_epoch_end`."""
        loop, connector = self.trainer.fit_loop.epoch_loop, self.trainer._logger_connector
        connector.on_epoch_end()
        if loop._num_ready_batches_reached():
            loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
        loop._batches_that_stepped -= 1  # as Lightning does
        connector.update_train_epoch_metrics()
        loop._batches_that_stepped += 1

    def _advance(self, fetcher: Any) -> None:
        """Advance by no batch, where something is due before the next."""
        loop = self.trainer.fit_loop.epoch_loop
        self._end_restart()
        self._set_up_epoch()
        self.trainer._logger_connector._first_loop_iter = True  # else what is logged next replaces what was before
        loop._skip_next_val = self.due is Due.AFTER_VALIDATION
        if self.due is Due.BATCH:
            if loop.done:
                raise StopIteration
            loop.advance(fetcher)

    def _end_restart(self) -> None:
        """Have the loops run as if they had never stopped."""
        loop = self.trainer.fit_loop
        assert self._limits is not None
        loop.max_epochs, loop.epoch_loop.max_steps = self._limits
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # the loop's own setter knows better
        for part in (loop, loop.epoch_loop, loop.epoch_loop.val_loop):
            part.reset_restart_stage()
        self.trainer.should_stop = self.should_stop

    def _set_up_epoch(self) -> None:
        """Let callbacks whose setting up of an epoch is not saved do it again, and undo what it does to the weights."""
        module = self.trainer.lightning_module
        for callback in callbacks_of(self.trainer):
            if isinstance(callback, SET_UP_EPOCHS):
                weights = copy.deepcopy(module.state_dict())
                callback.on_train_epoch_start(self.trainer, module)
                module.load_state_dict(weights)

    @staticmethod
    def _replace(loop: Any, method: str, by: Any) -> None:
        """Replace a method of a loop for one call."""

        def once(*args: Any) -> None:
            del vars(loop)[method]
            by(*args)

        vars(loop)[method] = once
