"""Let loggers go on with the files of a run, up to the step that it goes on from."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from lighter.runs.record.folder import loggers_with_folders
from lighter.runs.record.metrics_file import read_rows
from lighter.runs.resume.find import Resumed
from lighter.runs.resume.position import Position


class _Continued(ExperimentWriter):
    """Add to a file of metrics that is there, where Lightning's would delete it."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.metrics_keys = read_rows(Path(self.metrics_file_path))[1]

    def _check_log_dir_exists(self) -> None:
        pass


def place_loggers(trainer: pl.Trainer, resumed: Resumed) -> None:
    """Let loggers write where those of a run did."""
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # as it has to
    folders = [Path(resumed.folder, place) for place in resumed.run.logs or [""]]
    for logger, folder in zip(loggers_with_folders(trainer), folders, strict=False):
        _place(logger, folder)


def continue_loggers(trainer: pl.Trainer, position: Position) -> None:
    """Let loggers go on with what they have written; rows of files that are beyond a position stay for now."""
    for logger in loggers_with_folders(trainer):
        if isinstance(logger, CSVLogger):
            logger._experiment = _Continued(logger.log_dir)  # without it all would be lost
        else:
            # it hides the later steps of all values, those of validation too, which count by themselves
            logger._kwargs["purge_step"] = max(position.logged, position.logged_val)


def follow_checkpoints(trainer: pl.Trainer, states: dict[str, Any]) -> None:
    """Let the states of ModelCheckpoints speak of files where these are now, if their folder was moved."""
    for callback in trainer.checkpoint_callbacks:
        state = states.get(callback.state_key)
        if isinstance(callback, ModelCheckpoint) and state and state["dirpath"] != callback.dirpath:
            before, now = str(state["dirpath"]), str(callback.dirpath)
            if any(Path(now, Path(path).name).exists() for path in _paths(state)):
                states[callback.state_key] = _moved(state, before, now)


def _paths(state: Any) -> list[str]:
    return [state["best_model_path"], state["last_model_path"], *state["best_k_models"]]


def _moved(part: Any, before: str, now: str) -> Any:
    if isinstance(part, dict):
        return {_moved(key, before, now): _moved(item, before, now) for key, item in part.items()}
    return now + part.removeprefix(before) if isinstance(part, str) and part.startswith(before) else part


def _place(logger: CSVLogger | TensorBoardLogger, folder: Path) -> None:
    sub_dir, folder = Path(getattr(logger, "sub_dir", None) or ""), folder.resolve()
    version = folder.parents[len(sub_dir.parts) - 1] if sub_dir.parts else folder
    number = re.fullmatch(r"version_(\d+)", version.name)
    logger._version = int(number[1]) if number else version.name
    if Path(logger.log_dir).resolve() != folder:  # the run was moved, or the command is given from elsewhere
        logger._root_dir, logger._name = str(version.parent), ""
        if isinstance(logger, CSVLogger):
            logger._save_dir = logger._root_dir
