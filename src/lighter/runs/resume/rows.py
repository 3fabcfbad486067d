"""What loggers have been told when a checkpoint is saved, so that a run that goes on from it tells them the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.apply_func import convert_tensors_to_scalars
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from lighter.exact.resume import Due, due
from lighter.runs.record.metrics_file import MetricsFile


def count_rows(trainer: pl.Trainer) -> list[int]:
    """Return how many rows the file of each CSV logger has, with all that was logged so far."""
    return [_count(logger) for logger in _csv_loggers(trainer)] if trainer.is_global_zero else []


def keep_rows(trainer: pl.Trainer, rows: Sequence[int]) -> None:
    """Keep as many rows of each CSV logger's file, the first ones; none of one without a number."""
    for logger, kept in zip_longest(_csv_loggers(trainer), rows, fillvalue=0):
        if isinstance(logger, CSVLogger):
            numbers = count()
            MetricsFile(_file(logger)).keep(lambda _, numbers=numbers, kept=kept: next(numbers) < kept)  # type: ignore[misc]


def repeats_validation(trainer: pl.Trainer) -> bool:
    """Tell whether a fit that goes on from the checkpoint that is being saved does this validation again."""
    return bool(trainer.validating) and due(trainer) is Due.AFTER_BATCH


def step_due(trainer: pl.Trainer) -> dict[str, Any]:
    """Return what loggers get of the last step only after the checkpoint that is being saved; each rank must call this.

    Lightning logs a step after `on_train_batch_end`, in which checkpoints are saved, and does not do so again.
    """
    connector, fit = trainer._logger_connector, trainer.fit_loop
    if trainer.validating or due(trainer) is not Due.AFTER_BATCH or not connector.should_update_logs:
        return {}
    if connector._first_loop_iter is None or (
        fit._should_accumulate() and trainer.lightning_module.automatic_optimization
    ):
        return {}
    values: dict[str, Any] = convert_tensors_to_scalars(connector.metrics["log"])
    return values


def _csv_loggers(trainer: pl.Trainer) -> list[CSVLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, CSVLogger) and "://" not in logger.root_dir]


def _file(logger: CSVLogger) -> Path:
    return Path(logger.log_dir, ExperimentWriter.NAME_METRICS_FILE)


def _count(logger: CSVLogger) -> int:
    logger.save()
    file = _file(logger)
    return max(file.read_bytes().count(b"\n") - 1, 0) if file.exists() else 0
