"""The callback that makes a run exact: it seeds, hands Lightning exact loaders, and resumes where the run was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch.utils.data import DataLoader

from lighter._ranks import of_all_ranks, of_this_rank
from lighter.exact.generators import EPOCH, EVALUATION, STEP, mixed, seed_generators
from lighter.exact.loader import exact, what_is_not_exact
from lighter.exact.resume import Resume

KEY = "lighter_exact"  # in a checkpoint
NOT_EXACT = "This run may not be repeated or resumed exactly: {reasons}"


class Exact(pl.Callback):
    """Make every batch of a run a function of the seed, and resume it as if it had never ended.

    The seeds are the same on all ranks, as with `seed_everything`; only those of samples differ.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._loaders: Counter[str] = Counter()  # by mode, so that each gets a seed of its own
        self._said: set[str] = set()
        self._resume: Resume | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        self._resume = None
        if stage == "predict":
            return
        strategy = trainer.strategy
        process = type(strategy).process_dataloader.__get__(strategy)

        def process_exactly(loader: object) -> object:
            return process(self._exact(trainer, loader))

        # here Lightning has made the loader fit for its ranks, and not yet asked it for anything
        strategy.process_dataloader = process_exactly  # type: ignore[method-assign,assignment]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        vars(trainer.strategy).pop("process_dataloader", None)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._resume is not None:
            self._resume.prepare(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._loaders.clear()
        if self._resume is not None:
            self._resume.go_on(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._loaders.clear()
        seed_generators(mixed(self.seed, EPOCH, trainer.current_epoch))

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        seed_generators(mixed(self.seed, STEP, trainer.current_epoch, batch_idx))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._resume is not None:
            self._resume.end_epoch(trainer)
            self._resume = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._start_evaluation(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._start_evaluation(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        gradients = None
        if trainer.fit_loop._should_accumulate():  # gradients that the next step adds to
            parameters = pl_module.named_parameters()
            own = {name: parameter.grad for name, parameter in parameters if parameter.grad is not None}
            gradients = of_all_ranks(trainer, own)
        checkpoint[KEY] = {
            "callback_metrics": {name: value.detach().cpu() for name, value in trainer.callback_metrics.items()},
            "should_stop": bool(trainer.should_stop and trainer.fit_loop._can_stop_early),
            "gradients": gradients,
        }

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        if trainer.state.fn == "fit" and KEY in checkpoint:
            state = checkpoint[KEY]
            gradients = state["gradients"] and of_this_rank(trainer, state["gradients"])
            loops, steps = checkpoint["loops"]["fit_loop"], checkpoint["global_step"]
            self._resume = Resume(loops, steps, **(state | {"gradients": gradients or {}}))

    def _start_evaluation(self, trainer: pl.Trainer) -> None:
        self._loaders.clear()
        progress = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        seed_generators(mixed(self.seed, EVALUATION, trainer.current_epoch, progress))

    def _exact(self, trainer: pl.Trainer, loader: object) -> object:
        if not isinstance(loader, DataLoader):
            return loader
        mode = "train" if trainer.training else "evaluation"
        number, self._loaders[mode] = self._loaders[mode], self._loaders[mode] + 1
        reasons = [reason for reason in what_is_not_exact(loader) if reason not in self._said]
        if reasons:
            self._said.update(reasons)
            rank_zero_warn(NOT_EXACT.format(reasons=" ".join(reasons)))
        return exact(loader, mixed(self.seed, number, mode == "train"))
