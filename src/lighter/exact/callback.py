"""The callback that makes a run exact: it seeds, hands Lightning exact loaders, and resumes where the run was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning, EarlyStopping
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader, IterableDataset

from lighter._epoch import callbacks_of
from lighter._ranks import part_of_data
from lighter.exact.generators import EPOCH, EPOCH_END, EVALUATION, STEP, mixed, seed_generators
from lighter.exact.inexact import ENDS_BATCHES, FREEZES_AGAIN, IS_ITERABLE, LOADS_IN_ITS_WAY, STARTS_AGAIN, warn
from lighter.exact.loader import ExactLoader, has_own_way
from lighter.exact.resume import Due, Resume
from lighter.exact.state import restore, state_of

KEY = "lighter_exact"  # in a checkpoint
AFTER_CHECKPOINTS = ("on_train_batch_end", "on_validation_end")  # a module's, which Lightning calls after callbacks'
_NONE: Any = None


class Exact(pl.Callback):
    """Make every batch of a run a function of the seed, and resume it as if it had never ended.

    The seeds are the same on all ranks, as with `seed_everything`; only those of samples differ.
    """

    # Lightning passes over hooks that cannot be called. For others it opens a profiler's context at every step, which
    # would cost more than all else here.
    on_train_batch_start = on_train_batch_end = on_before_zero_grad = on_before_backward = _NONE
    on_after_backward = on_before_optimizer_step = on_validation_batch_start = on_validation_batch_end = _NONE
    on_test_batch_start = on_test_batch_end = _NONE

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._loaders: Counter[str] = Counter()  # by mode, so that each gets a seed of its own
        self._said: set[tuple[str, type]] = set()
        self._state: dict[str, Any] = {}
        self._resume: Resume | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._loaders.clear()
        self._resume = None
        if stage == "predict":
            return
        if stage == "fit":
            self._warn_of_parts(trainer, pl_module)
        process = trainer.strategy.process_dataloader

        def process_exactly(loader: object) -> object:
            return process(self._exact(trainer, loader))

        # here Lightning has made the loader fit for its ranks, and not yet asked it for anything
        trainer.strategy.process_dataloader = process_exactly  # type: ignore[method-assign,assignment]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        vars(trainer.strategy).pop("process_dataloader", None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._loaders.clear()
        if self._resume is not None:
            restore(trainer, pl_module, self._state)
            self._resume.go_on()
            self._state, self._resume = {}, None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._loaders.clear()
        seed_generators(mixed(self.seed, EPOCH, trainer.current_epoch))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        seed_generators(mixed(self.seed, EPOCH_END, trainer.current_epoch))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._start_evaluation(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._start_evaluation(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = state_of(trainer, pl_module)

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        if trainer.state.fn == "fit" and KEY in checkpoint:
            self._state, loops = checkpoint[KEY], checkpoint["loops"]["fit_loop"]
            stoppers = {key for key in checkpoint.get("callbacks", {}) if key.startswith(EarlyStopping.__name__)}
            # who takes them out of the config wants the run to go on
            should_stop = self._state["should_stop"] and stoppers <= {part.state_key for part in callbacks_of(trainer)}
            self._resume = Resume(trainer, Due(self._state["due"]), loops, should_stop=should_stop)

    def _seed_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        seed_generators(mixed(self.seed, STEP, trainer.current_epoch, batch_idx))

    def _start_evaluation(self, trainer: pl.Trainer) -> None:
        self._loaders.clear()
        progress = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        seed_generators(mixed(self.seed, EVALUATION, trainer.current_epoch, progress))

    def _exact(self, trainer: pl.Trainer, loader: Any) -> Any:
        """Return a loader of the same batches whose randomness follows from the seed, or say why there is none."""
        mode = "train" if trainer.training else "evaluation"
        number, self._loaders[mode] = self._loaders[mode], self._loaders[mode] + 1
        if isinstance(loader, ExactLoader):
            return loader
        if not isinstance(loader, DataLoader) or has_own_way(loader):
            self.on_train_batch_start = self._seed_step  # which exact loaders see to themselves
            self._warn(LOADS_IN_ITS_WAY if hasattr(loader, "load_state_dict") else STARTS_AGAIN, loader)
            return loader
        if isinstance(loader.dataset, IterableDataset):
            self._warn(IS_ITERABLE, loader.dataset)
        progress: Any = trainer.fit_loop.epoch_progress.current
        seed = mixed(self.seed, number, trainer.training)
        # ranks that share a model have the same data
        rank, _ = part_of_data(trainer)
        return ExactLoader(loader, seed, lambda: progress.processed, rank=rank, goes_round=trainer.training)

    def _warn_of_parts(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if any(is_overridden(hook, pl_module) for hook in AFTER_CHECKPOINTS):
            self._warn(ENDS_BATCHES, pl_module)
        for callback in callbacks_of(trainer):
            if isinstance(callback, BaseFinetuning):
                self._warn(FREEZES_AGAIN, callback)

    def _warn(self, reason: str, owner: object) -> None:
        if (reason, type(owner)) not in self._said:
            self._said.add((reason, type(owner)))
            warn(reason, owner)
