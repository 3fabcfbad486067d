"""Go on with a fit exactly where its checkpoint was saved, which Lightning alone does only nearly.

A checkpoint is saved inside a hook, and what the loops do after that hook is due when the fit goes on. Left alone,
Lightning loses these:

- of one saved in `on_train_batch_end`: the validation that follows the batch, and the end of the epoch after the last;
- of one saved in `on_validation_end`: the metrics that a plateau scheduler looks at next;
- of one saved in `on_train_epoch_end`: the step of a plateau scheduler; and with `max_steps` the epoch counts twice;
- of one saved after the last of `max_steps`: all that follows it;
- of any: the gradients that are being accumulated, and that the fit was about to stop.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.evaluation_loop import RestartStage
from pytorch_lightning.loops.loop import _Loop
from torch import Tensor

from lighter.exact.loader import ExactLoader


@dataclass
class Resume:
    """What a checkpoint tells beside Lightning's own state; `loops` is that of Lightning's fit loop."""

    loops: dict[str, Any]
    steps: int
    callback_metrics: Mapping[str, Tensor]
    should_stop: bool
    gradients: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        epochs, batches = self.loops["epoch_progress"], self.loops["epoch_loop.batch_progress"]
        self.epoch_has_ended = epochs["current"]["processed"] == epochs["current"]["started"]
        self.in_epoch_end = epochs["total"]["completed"] < epochs["total"]["processed"]
        self.in_batch_end = batches["total"]["completed"] < batches["total"]["processed"]
        if self.in_batch_end:  # else Lightning goes on behind the validation, or behind the end of the epoch
            for counts in (batches["total"], batches["current"]):
                counts["completed"] = counts["processed"]

        self.max_steps: int | None = None  # where they were reached, but the end of their epoch is due

    def prepare(self, trainer: pl.Trainer) -> None:
        """Make Lightning go on with an epoch whose last step was taken; called before Lightning restores its loops."""
        self.restore_metrics(trainer)  # those of a fit that is done, too
        loop = trainer.fit_loop.epoch_loop
        if not self.epoch_has_ended and 0 <= loop.max_steps <= self.steps:
            self.max_steps, loop.max_steps = loop.max_steps, self.steps + 1

    def restore_metrics(self, trainer: pl.Trainer) -> None:
        """Restore the values that callbacks and schedulers look at; a sanity check, where there is one, drops them."""
        device = trainer.strategy.root_device
        metrics = {name: value.to(device) for name, value in self.callback_metrics.items()}
        trainer._logger_connector._callback_metrics.update(metrics)

    def go_on(self, trainer: pl.Trainer) -> None:
        """Restore what Lightning does not, and do what was due; called before the first epoch."""
        self.restore_metrics(trainer)
        if self.epoch_has_ended:
            self._begin_epoch(trainer)
        else:
            self._restore_gradients(trainer)
            self._go_on_in_epoch(trainer)

    def end_epoch(self, trainer: pl.Trainer) -> None:
        """Stop where the fit was about to; called when its epoch ends, for which plateau schedulers shall step."""
        trainer.fit_loop._restarting = False
        if self.max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self.max_steps
        trainer.should_stop = trainer.should_stop or self.should_stop

    def _begin_epoch(self, trainer: pl.Trainer) -> None:
        loop = trainer.fit_loop
        epochs: Any = loop.epoch_progress
        if self.in_epoch_end and loop.epoch_loop._num_ready_batches_reached():
            completed, epochs.current.completed = epochs.current.completed, epochs.current.processed - 1
            loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
            epochs.current.completed = completed
        for counts in (epochs.total, epochs.current):
            counts.completed = counts.processed
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # the loop's own setter knows better
        for part in (loop, loop.epoch_loop, loop.epoch_loop.val_loop):
            part.reset_restart_stage()
        trainer.should_stop = self.should_stop

    def _go_on_in_epoch(self, trainer: pl.Trainer) -> None:
        fetcher, loop = trainer.fit_loop._data_fetcher, trainer.fit_loop.epoch_loop
        assert fetcher is not None
        if self.in_batch_end:
            if loop._should_check_val_fx(fetcher):
                loop.val_loop._restart_stage = RestartStage.RESTARTED_MID_EVALUATION  # so that Lightning runs it
                loop.val_loop.restarting = False
            else:
                loop.update_lr_schedulers("step", update_plateau_schedulers=True)
                loop._batches_that_stepped += not loop._should_accumulate()
        batches: Any = loop.batch_progress.current
        epochs: Any = trainer.fit_loop.epoch_progress.current
        done = batches.processed
        has_ended = self.should_stop or self.max_steps is not None or done >= trainer.num_training_batches
        loaders = trainer.fit_loop._combined_loader.flattened if trainer.fit_loop._combined_loader else []
        for loader in loaders:
            if isinstance(loader, ExactLoader):
                loader.set_epoch(epochs.processed)
                loader.start_at(None if has_ended else done)
        iter(fetcher)  # it may have looked ahead already
        if all(isinstance(loader, ExactLoader) for loader in loaders):
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")

    def _restore_gradients(self, trainer: pl.Trainer) -> None:
        for name, parameter in trainer.lightning_module.named_parameters():
            if name in self.gradients:
                parameter.grad = self.gradients[name].to(parameter.device)
