"""Where the record of a run goes: a folder that no other run has, also if two begin at once."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TypeGuard

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from lighter.runs.record.run_file import Run, create_run

SHARED = "lighter_logs"  # holds the records of runs whose logger has no folder for each run


def take_folder(trainer: pl.Trainer, run: Run) -> Path:
    """Write a run's record into a folder of its own, and return it.

    It is the `log_dir` of the first logger; where an earlier run has left its record in there, a folder `run_2` and so
    on in it. Without such a logger it is `lighter_logs/version_N` where the Trainer writes.

    Raises:
        OSError: it cannot be written.
    """
    for logger in trainer.loggers:
        _take_version(logger)
        if isinstance(logger, CSVLogger):
            logger.experiment  # noqa: B018 - it warns of a folder that is not empty, so it has to look first
    first = trainer.loggers[0] if trainer.loggers else None
    if _has_folders(first):
        return _claim(Path(first.log_dir), run)
    return _numbered(root_of_runs(trainer), run)


def root_of_runs(trainer: pl.Trainer) -> Path:
    """Return the folder in which the runs of a Trainer have their folders."""
    first = trainer.loggers[0] if trainer.loggers else None
    if _has_folders(first):
        return Path(first.root_dir)
    places = (first.save_dir if first else None, trainer.default_root_dir)
    return Path(next((place for place in places if place and not _is_remote(place)), "."), SHARED)


def loggers_with_folders(trainer: pl.Trainer) -> list[CSVLogger | TensorBoardLogger]:
    """Return the loggers that write to a local folder of each run's own."""
    return [logger for logger in trainer.loggers if _has_folders(logger)]


def _has_folders(logger: Logger | None) -> TypeGuard[CSVLogger | TensorBoardLogger]:
    return isinstance(logger, (CSVLogger, TensorBoardLogger)) and not _is_remote(logger.root_dir)


def _numbered(shared: Path, run: Run) -> Path:
    """Write the record into a new `version_N` of a folder."""
    shared.mkdir(parents=True, exist_ok=True)
    for number in count(_free(shared)):
        folder = shared / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # of a run that begins right now
            continue
        break
    return _claim(folder, run)


def _free(folder: Path) -> int:
    """Return the number after the highest one of the versions in a folder."""
    numbers = (item.name.removeprefix("version_") for item in folder.glob("version_*"))
    return max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1


def _take_version(logger: Logger) -> None:
    """Make sure that the version which a logger numbers itself is not taken by a run that begins right now."""
    if not _has_folders(logger):
        return
    if logger._version is not None:
        _take_version_of_job(logger)
        return
    for number in count(int(logger.version)):
        try:
            Path(logger.root_dir, f"version_{number}").mkdir(parents=True)
        except FileExistsError:
            continue
        logger._version = number
        return


def _take_version_of_job(logger: CSVLogger | TensorBoardLogger) -> None:
    """Give the next run of a SLURM job a version of its own: to Lightning they are all that of the job's number."""
    job = SLURMEnvironment.job_id()
    if job is None or logger._version != job:
        return
    for number in count(1):
        version = f"version_{job}" if number == 1 else f"version_{job}_{number}"
        try:
            Path(logger.root_dir, version).mkdir(parents=True)
        except FileExistsError:
            continue
        logger._version = job if number == 1 else version
        return


def _claim(folder: Path, run: Run) -> Path:
    """Write the record into a folder, or below it into the first one without."""
    number, place = 1, folder
    while True:
        place.mkdir(parents=True, exist_ok=True)
        try:
            create_run(place, run)
        except FileExistsError:
            number += 1
            place = folder / f"run_{number}"
            continue
        return place


def _is_remote(place: object) -> bool:
    return "://" in str(place)
