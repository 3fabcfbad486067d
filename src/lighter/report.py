"""What a person sees of a run: the head before it, its progress, and the tail after it."""

from __future__ import annotations

import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from loguru import logger
from pytorch_lightning.callbacks import Callback, ProgressBar, RichProgressBar
from rich.console import Console
from rich.table import Table

from lighter.callbacks import FileWriter, TableWriter
from lighter.runner import Runner
from lighter.runs.resume.find import Done, Resumed
from lighter.system import System

_SUFFIX = "/epoch"


class Report:
    """Tells on stdout what runs and how it ended; in between, a terminal has a bar and a file has a line an epoch."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._progress = _Progress(lines=not sys.stdout.isatty())
        self._began = time.monotonic()
        self._results = ""

    def trainer_arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Give a Trainer the progress that fits the terminal, unless the config speaks of it."""
        if arguments.get("barebones"):
            return arguments
        given = arguments.get("callbacks") or []
        callbacks = [*given] if isinstance(given, (list, tuple)) else [given]
        arguments = {**arguments, "callbacks": [*callbacks, self._progress]}
        spoken_of = any(isinstance(callback, ProgressBar) for callback in callbacks)
        if spoken_of or arguments.get("enable_progress_bar") is not None:
            return arguments
        if sys.stdout.isatty():
            return {**arguments, "callbacks": [*callbacks, self._progress, RichProgressBar(leave=False)]}
        return {"enable_model_summary": False, **arguments, "enable_progress_bar": False}

    def head(self, runner: Runner) -> None:
        """Say what is about to run, on what, and where its results go."""
        self._results = _results(runner)  # asked for now: once processes have been launched it is a collective
        rows = [("config", " ".join(runner.config.sources))]
        rows += [("overrides", shlex.join(runner.config.overrides))] if runner.config.overrides else []
        rows += [
            ("device", _device(runner.trainer)),
            ("seed", "none: this run cannot be repeated exactly" if runner.seed is None else str(runner.seed)),
            ("weights", str(runner.checkpoint or "as built")),
            *([("run", _which_run(runner))] if runner.resumes else []),
            ("results", self._results),
        ]
        self._console.print(f"[bold]lighter {runner.stage}[/bold]")
        self._rows(rows)

    def nothing_left(self, done: Done) -> None:
        """Say that the run to go on with has done all that its config asks for."""
        run, folder = done.run, os.path.relpath(done.folder)
        rows = [
            ("done", f"nothing is left to do: {_count(run.epochs, 'epoch')}, {_count(run.steps, 'step')}"),
            ("results", folder),
        ]
        if done.longer:
            rows.append(("do more", shlex.join(["lighter", "fit", folder, *done.longer, "--resume"])))
        self._console.print("[bold]lighter fit[/bold]")
        self._rows(rows)

    def tail(self, runner: Runner) -> None:
        """Say how it ended: final metrics, best checkpoint, the run folder and what to do next."""
        trainer = runner.trainer
        metrics = _metrics(runner)
        if metrics:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
            for name, value in metrics.items():
                table.add_row(name, f"{value:.4f}")
            self._console.print()
            self._console.print(table)
        self._console.print()
        rows = [("interrupted" if trainer.interrupted else "done", self._how_it_went(runner))]
        rows += [("warning", f"{name} is {value}") for name, value in metrics.items() if not math.isfinite(value)]
        best = _best_checkpoint(trainer) if runner.stage == "fit" else ""
        rows += [("best", best)] if best else []
        if trainer.interrupted and (saved := _saved_last(runner)):
            rows.append(("saved", saved))
        rows.append(("results", self._results))
        if trainer.interrupted and runner.stage == "fit":
            again = "" if runner.signals.is_requeued else _next(runner, "fit", "--resume")
            rows.append(("go on", again or "the job does, by itself"))
        elif best and _has_test(runner):
            rows.append(("test it", _next(runner, "test")))
        self._rows(rows)

    def _how_it_went(self, runner: Runner) -> str:
        seconds = f"{time.monotonic() - self._began:.1f} s"
        if runner.stage != "fit":
            return seconds
        trainer = runner.trainer
        trained = self._progress.began is not None and trainer.global_step > self._progress.began
        if trainer.current_epoch and not trained and not trainer.interrupted:
            return f"{seconds}, nothing to train: it had reached epoch {trainer.current_epoch} of {trainer.max_epochs}"
        epochs, steps = trainer.current_epoch, trainer.global_step
        if runner.recorder.left is not None:  # it knows what processes did that were launched
            epochs, steps = runner.recorder.left[1].epochs, runner.recorder.left[1].steps
        stopped = [callback.monitor for callback in trainer.early_stopping_callbacks if callback.stopped_epoch]
        early = f", stopped early on {', '.join(map(str, stopped))}" if stopped else ""
        return f"{seconds}, {_count(epochs, 'epoch')}, {_count(steps, 'step')}{early}"

    def _rows(self, rows: Sequence[tuple[str, str]]) -> None:
        for name, value in rows:
            self._console.print(f"  [dim]{name:<11}[/dim] ", end="")
            self._console.print(value, markup=False)


class _Progress(Callback):
    """Remembers at which step training began, and logs a line for each epoch of this process where there is no bar."""

    def __init__(self, *, lines: bool) -> None:
        self.began: int | None = None
        self._lines = lines
        self._is_due = False  # an epoch has ended whose line is not written: its values are all there only after it

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.began = trainer.global_step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._is_due = self._lines and trainer.is_global_zero

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._line(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._line(trainer, pl_module)

    def _line(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        values = _values(trainer, module) if self._is_due else {}
        self._is_due = False
        if values:
            of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
            text = "  ".join(f"{name.removesuffix(_SUFFIX)} {value:.4g}" for name, value in values.items())
            logger.info(f"epoch {trainer.current_epoch}{of}  {text}")


def _values(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, float]:
    """Return the last epoch values; of a module that is no System, all that it logged."""
    names = [name for name in sorted(trainer.callback_metrics) if name.endswith(_SUFFIX)]
    if not isinstance(module, System):
        names = sorted(trainer.callback_metrics)
    return {name: float(trainer.callback_metrics[name]) for name in names}


def _metrics(runner: Runner) -> dict[str, float]:
    return {} if runner.stage == "predict" else _values(runner.trainer, runner.system)


def _results(runner: Runner) -> str:
    """Return where a stage leaves its results: the run's folder, or what the writers of a prediction write."""
    if runner.stage != "predict":
        return str(runner.trainer.log_dir or "nowhere: this is a trial run")
    callbacks = runner.trainer.callbacks  # type: ignore[attr-defined]
    paths = [str(callback.path) for callback in callbacks if isinstance(callback, (FileWriter, TableWriter))]
    return ", ".join(paths) or "nowhere: no callback of the config writes predictions"


def _next(runner: Runner, stage: str, *flags: str) -> str:
    """Return the command that goes on with what a run has left; without a record it needs the config again."""
    if runner.recorder.left is not None:
        return shlex.join(["lighter", stage, os.path.relpath(runner.recorder.left[0]), *flags])
    flags = flags or ("--ckpt", _best_checkpoint(runner.trainer))
    return shlex.join(["lighter", stage, *runner.config.sources, *runner.config.overrides, *flags])


def _saved_last(runner: Runner) -> str:
    """Return the checkpoint that a run saved last, as its record tells."""
    if runner.recorder.left is None:
        return ""
    folder, run = runner.recorder.left
    saved = [path for path in (folder / item.path for item in run.checkpoints) if path.exists()]
    return os.path.relpath(max(saved, key=lambda path: path.stat().st_mtime_ns)) if saved else ""


def _which_run(runner: Runner) -> str:
    """Say what a run goes on with."""
    resumed = runner.resumed
    if resumed is None:
        return "a new one, as there is none of this config with these overrides to go on with"
    if resumed.checkpoint is None:
        return f"begins anew, as it {_end_of(resumed)} before it had saved anything"
    return f"goes on from step {resumed.position.step}; it {_end_of(resumed)}"


def _end_of(resumed: Resumed) -> str:
    ends = {"completed": "was completed", "interrupted": "was interrupted", "failed": "had failed"}
    return ends.get(resumed.status, "was killed")


def _has_test(runner: Runner) -> bool:
    return runner.datamodule is not None or "system::dataloaders::test" in runner.config


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _device(trainer: pl.Trainer) -> str:
    kind = {"CPUAccelerator": "cpu", "CUDAAccelerator": "cuda", "MPSAccelerator": "mps"}
    name = kind.get(type(trainer.accelerator).__name__, type(trainer.accelerator).__name__)
    count = trainer.num_devices * trainer.num_nodes
    strategy = type(trainer.strategy).__name__.removesuffix("Strategy")
    return name if count == 1 else f"{count} x {name} ({strategy})"


def _best_checkpoint(trainer: pl.Trainer) -> str:
    for callback in trainer.checkpoint_callbacks:
        score = getattr(callback, "best_model_score", None)
        if (path := getattr(callback, "best_model_path", "")) and (score is None or math.isfinite(score)):
            return str(path)
    return ""
