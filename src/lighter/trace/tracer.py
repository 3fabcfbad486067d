"""Run a stage for one batch of each mode, train nothing, write nothing, and keep the way that each batch went.

The run is the Trainer's own, so that the batch meets all that it meets in a real one. Only what trains or writes is
taken out: the steps of optimizers and schedulers, the callbacks, the loggers, the profiler.
"""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import ModelParallelStrategy, ParallelStrategy
from pytorch_lightning.trainer.states import RunningStage
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from lighter._epoch import callbacks_of
from lighter.config import Config
from lighter.errors import LighterError, RunError
from lighter.exact import Exact
from lighter.runner import Runner, Stage
from lighter.system import System
from lighter.trace.loading import loading_failure
from lighter.trace.optimization import gradient_rows, only_closure, optimizer_facts, scheduler_facts
from lighter.trace.values import Row, rows_of
from lighter.trace.watch import watch
from lighter.trace.way import Part, Section, Way

MODES = {
    RunningStage.TRAINING: "train",
    RunningStage.VALIDATING: "val",
    RunningStage.TESTING: "test",
    RunningStage.PREDICTING: "predict",
}
STEPS = ("training_step", "validation_step", "test_step", "predict_step")


class Tracer(pl.Callback):
    """Builds a stage's parts, runs them, and is the one callback of that run; then `ways` and `logged`, by mode."""

    def __init__(self, stage: Stage, config: Config) -> None:
        self.ways: list[Way] = []
        self.logged: dict[str, dict[str, float]] = defaultdict(dict)
        self.optimization: list[tuple[str, str]] = []
        self.failed = False
        self.runner = Runner(_on_one_device)
        self._buffers: dict[str, Tensor] = {}
        with _quiet():
            self.runner.prepare(stage, config, ckpt="none")
        self.trainer, self.module = self.runner.trainer, self.runner.system
        self._change_trainer()
        self._change_module()

    def run(self) -> None:
        """Run the stage.

        Raises:
            RunError: a mistake in the config that only the batch brought to light.
        """
        try:
            with _quiet():
                self.runner.start_unrecorded()
        except LighterError as error:
            if not self.ways:
                raise
            raise RunError(problems=error.problems) from error
        finally:
            self._restore_buffers()
        if self.ways and not self.trainer.loggers:
            self._take_monitored()

    # --- what is taken out of the run

    def _change_trainer(self) -> None:
        trainer, runner = self.trainer, self.runner
        exact = (callback for callback in callbacks_of(trainer) if isinstance(callback, Exact))
        callbacks_of(trainer)[:] = [*exact, self]  # for the batch that the run would begin with
        if trainer.loggers:
            trainer.loggers = [_Logged(self)]
        trainer.profiler = PassThroughProfiler()  # type: ignore[attr-defined]  # Lightning does not declare it
        trainer.save_checkpoint = _nothing  # type: ignore[method-assign]
        trainer.num_sanity_val_steps = 0
        trainer.check_val_every_n_epoch = 1
        trainer.log_every_n_steps = 1  # type: ignore[attr-defined]  # nor this
        trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
        for mode in ("val", "test", "predict"):
            if getattr(trainer, f"limit_{mode}_batches"):
                setattr(trainer, f"limit_{mode}_batches", 1)
        runner.checkpoint = None
        if runner.stage in ("validate", "test"):
            runner.arguments["verbose"] = False
        if runner.stage == "predict":
            runner.arguments["return_predictions"] = False

    def _change_module(self) -> None:
        strategy, module = self.trainer.strategy, self.module
        module.configure_callbacks = list  # type: ignore[method-assign]
        strategy.batch_to_device = self._transfer(strategy.batch_to_device)  # type: ignore[method-assign]
        for hook in STEPS:
            setattr(strategy, hook, self._step(hook, getattr(strategy, hook)))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.optimization = [*optimizer_facts(trainer), *scheduler_facts(trainer)]
        for optimizer in trainer.optimizers:
            optimizer.step = only_closure  # type: ignore[method-assign]
        pl_module.lr_scheduler_step = _nothing  # type: ignore[method-assign]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        trainer.accumulate_grad_batches = 1  # only now, as schedulers have asked how many steps there will be

    # --- what is seen of it

    def _transfer(self, transfer: Callable[..., Any]) -> Callable[..., Any]:
        def transferred(batch: Any, *args: Any, dataloader_idx: int = 0, **kwargs: Any) -> Any:
            way, part = self._begin_way(self._mode, dataloader_idx), Part("transfer", f"to {self._device}")
            loaded = rows_of("batch", batch)
            way.begin(part, {"batch": batch})
            moved = transfer(batch, *args, dataloader_idx=dataloader_idx, **kwargs)
            way.end(part, {})
            way.begin(arrived := Part("batch"), {})
            way.end(arrived, {"batch": moved})
            if not _alike(loaded, way.sections[0].rows):
                way.sections.insert(0, Section("batch, as loaded", [], loaded))
            return moved

        return transferred

    def _step(self, hook: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(batch: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.ways or self.ways[-1].mode != self._mode:  # the step loads its batches itself
                self._begin_way(self._mode, 0)
            way, part = self.ways[-1], Part(f"{type(self.module).__name__}.{hook}")
            way.begin(part, {"batch": batch})
            made = step(batch, *args, **kwargs)
            way.end(part, {} if _is_output(self.module, made) else {"returned": made})
            way.over = True
            return made

        return stepped

    def _begin_way(self, mode: str, loader: int) -> Way:
        if not self.ways:
            if isinstance(self.module, System):
                watch(self.module, lambda: self.ways[-1])
            self._buffers = _buffers(self.module)
        if mode == "train":
            self.trainer.should_stop = True  # after this batch
        self.ways.append(Way(mode, loader))
        return self.ways[-1]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:  # noqa: ARG002
        self._backward = Part("backward")
        self.ways[-1].begin(self._backward, {"loss": loss})

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.ways[-1].end(self._backward, {})

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
        optimizer: Optimizer,
    ) -> None:
        rows = gradient_rows(pl_module, optimizer)
        self.ways[-1].sections.append(Section("gradient", [type(optimizer).__name__], rows))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self.failed = isinstance(exception, Exception)
        failure = loading_failure(exception)
        if failure is not None:
            self._begin_way(self._mode, 0).sections.append(failure)
        elif self.failed and self.ways:
            self.ways[-1].fail()

    def take_logged(self, metrics: Mapping[str, float]) -> None:
        """Keep what a logger was given, but for the epoch that Lightning adds."""
        self.logged[self._mode] |= {name: value for name, value in metrics.items() if name != "epoch"}

    def _take_monitored(self) -> None:
        """Take what callbacks could monitor for the log; names without a mode are those of the last one."""
        modes = [way.mode for way in self.ways]
        for name, value in self.trainer.callback_metrics.items():
            mode = next((mode for mode in modes if name.startswith(f"{mode}/")), modes[-1])
            self.logged[mode][name] = float(value)

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device

    @property
    def _mode(self) -> str:
        stage = self.trainer.state.stage
        return MODES.get(stage, "train") if stage is not None else "train"

    def _restore_buffers(self) -> None:
        for name, buffer in self.module.named_buffers():
            saved = self._buffers.get(name)
            if saved is not None and saved.shape == buffer.shape:
                buffer.data.copy_(saved)


class _Logged(DummyLogger):
    """A logger that hands on what it is given, and lets anything be done to its experiment."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:  # noqa: ARG002
        self._tracer.take_logged(metrics)


def _on_one_device(arguments: dict[str, Any]) -> dict[str, Any]:
    """Let a Trainer take the first of its devices, and a strategy for one."""
    devices, strategy = arguments.get("devices"), arguments.get("strategy")
    if isinstance(devices, str) and "," in devices:
        devices = [int(devices.split(",")[0])]
    arguments = {**arguments, "devices": list(devices[:1]) if isinstance(devices, list | tuple) else 1}
    several = isinstance(strategy, ParallelStrategy) and not isinstance(strategy, ModelParallelStrategy)
    if isinstance(strategy, str) or several:
        arguments["strategy"] = "auto"
    return {name: value for name, value in arguments.items() if name not in ("num_nodes", "fast_dev_run", "profiler")}


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().clone() for name, buffer in module.named_buffers() if not is_lazy(buffer)}


def _is_output(module: pl.LightningModule, made: Any) -> bool:
    """Tell whether a step returned a System's output dict, of which all was seen already."""
    return isinstance(module, System) and isinstance(made, dict) and {"input", "pred", "loss"} <= made.keys()


def _alike(some: list[Row], others: list[Row]) -> bool:
    """Tell whether rows are of the same values, perhaps on another device."""
    return [replace(row, device="") for row in some] == [replace(row, device="") for row in others]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what Lightning says of any run, which is not about the batch."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            warnings.filterwarnings("ignore", "This run may not be repeated or resumed exactly")
            warnings.filterwarnings("ignore", r".*lr_scheduler\.step", UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
