"""What a person sees of a run: the log, the head before it and the tail after it."""

from __future__ import annotations

import logging
import math
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from lighter.runner import Runner

# Lightning's notes on what the head and the tail already say, or on products.
_NOISE = (
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "💡 Tip:",
    "Restoring states from the checkpoint",
    "Loaded model weights from the checkpoint",
    "`Trainer.fit` stopped: `max_epochs",
    "Using default `ModelCheckpoint`",
    "Initializing distributed:",
    "-----",
    "Loading `train_dataloader` to estimate",
    "\nDetected KeyboardInterrupt",
)

# Warnings that a user can do nothing about: one library's use of another.
_OTHERS_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 with torch 2.13 and newer
    "The dirpath has changed from",  # a ModelCheckpoint's, though every run has a folder of its own
)


class _Handler(logging.Handler):
    """Pass records of Python's logging on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith(_NOISE):
            logger.debug(message)
        else:
            logger.log(_LEVELS.get(record.levelno, record.levelno), message.strip())


_LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}


def setup_logging(*, debug: bool = False) -> None:
    """Send Lightning's, Python's and our own messages to stderr through loguru, each once."""
    logger.remove()
    logger.add(
        lambda message: print(message, end="", file=sys.stderr),  # the stream of the moment: a progress bar swaps it
        level="DEBUG" if debug else "INFO",
        format="<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}",
        colorize=sys.stderr.isatty(),
    )
    logging.basicConfig(handlers=[_Handler()], level=logging.INFO, force=True)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        text = " ".join(str(message).split())
        if text not in seen:
            seen.add(text)
            logger.warning(text)
            logger.debug(f"{category.__name__} from {filename}:{lineno}")

    warnings.showwarning = show
    for pattern in _OTHERS_WARNINGS:
        warnings.filterwarnings("ignore", pattern)


def trainer_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give a Trainer the progress bar that fits the terminal, unless the config speaks of one."""
    from pytorch_lightning.callbacks import ProgressBar, RichProgressBar

    if arguments.get("barebones") or arguments.get("enable_progress_bar") is not None:
        return arguments
    callbacks = arguments.get("callbacks") or []
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    if any(isinstance(callback, ProgressBar) for callback in callbacks):
        return arguments
    if sys.stdout.isatty():
        return {**arguments, "callbacks": [*callbacks, RichProgressBar(leave=False)]}
    return {"enable_model_summary": False, **arguments, "enable_progress_bar": False}


class Report:
    """The head and the tail of a run, on stdout."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.console = Console(highlight=False, soft_wrap=True)
        self.results = ""
        self.began = time.monotonic()

    def head(self) -> None:
        """Say what is about to run, on what, and where its results go."""
        runner = self.runner
        self.results = _results(runner)  # asked for now: once processes have been launched it is a collective
        rows = [("config", " ".join(runner.config.sources))]
        rows += [("overrides", shlex.join(runner.config.overrides))] if runner.config.overrides else []
        rows += [
            ("device", _device(runner.trainer)),
            ("seed", "none: this run cannot be repeated exactly" if runner.seed is None else str(runner.seed)),
            ("weights", str(runner.checkpoint)) if runner.checkpoint else ("weights", "as built"),
            ("results", self.results),
        ]
        self.console.print(f"[bold]lighter {runner.stage}[/bold]")
        self._rows(rows)

    def tail(self) -> None:
        """Say how it ended: final metrics, best checkpoint, the run folder and what to do next."""
        trainer = self.runner.trainer
        if metrics := _metrics(trainer):
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
            for name, value in metrics.items():
                table.add_row(name, value)
            self.console.print()
            self.console.print(table)
        self.console.print()
        state = "interrupted" if trainer.interrupted else "done"
        rows = [(state, f"{time.monotonic() - self.began:.1f} s")]
        best = _best_checkpoint(trainer) if self.runner.stage == "fit" else ""
        rows += [("best", best)] if best else []
        rows.append(("results", self.results))
        if best and not trainer.interrupted and self._has_test():
            command = ["lighter", "test", *self.runner.config.sources, *self.runner.config.overrides, "--ckpt", best]
            rows.append(("test it", shlex.join(command)))
        self._rows(rows)

    def _has_test(self) -> bool:
        return self.runner.datamodule is not None or "system::dataloaders::test" in self.runner.config

    def _rows(self, rows: Sequence[tuple[str, str]]) -> None:
        for name, value in rows:
            self.console.print(f"  [dim]{name:<9}[/dim] ", end="")
            self.console.print(value, markup=False)


def _device(trainer: Any) -> str:
    kind = {"CPUAccelerator": "cpu", "CUDAAccelerator": "cuda", "MPSAccelerator": "mps"}
    name = kind.get(type(trainer.accelerator).__name__, type(trainer.accelerator).__name__)
    count = trainer.num_devices * trainer.num_nodes
    strategy = type(trainer.strategy).__name__.removesuffix("Strategy")
    return name if count == 1 else f"{count} x {name} ({strategy})"


def _results(runner: Runner) -> str:
    """Return where a stage leaves its results: the run's folder, or what the writers of a prediction write."""
    if runner.stage != "predict":
        return str(runner.trainer.log_dir)
    from lighter.callbacks import FileWriter, TableWriter

    callbacks = runner.trainer.callbacks  # type: ignore[attr-defined]
    paths = [str(callback.path) for callback in callbacks if isinstance(callback, (FileWriter, TableWriter))]
    return ", ".join(paths) or "nowhere: no callback of the config writes predictions"


def _metrics(trainer: Any) -> dict[str, str]:
    """Return the last epoch values as text."""
    values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.endswith("/epoch")}
    return {name: f"{value:.4f}" if math.isfinite(value) else str(value) for name, value in sorted(values.items())}


def _best_checkpoint(trainer: Any) -> str:
    paths = [getattr(callback, "best_model_path", "") for callback in trainer.checkpoint_callbacks]
    return next((str(path) for path in paths if path), "")
