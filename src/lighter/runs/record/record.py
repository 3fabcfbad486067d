"""The files of a run's record in its folder, while the run is going on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lighter._run_folder import CONFIG, EPOCHS, PATCH
from lighter.errors import ConfigError
from lighter.runs.record.atomic import keep_text, write_text
from lighter.runs.record.metrics_file import MetricsFile
from lighter.runs.record.request import now
from lighter.runs.record.run_file import Run, Status, read_run, write_run
from lighter.runs.resume.lock import Lock


class Record:
    """A run, as it stands in the files of its folder; all methods raise OSError where they cannot be written.

    They write nothing before it `is_begun`.
    """

    def __init__(self, folder: Path, run: Run, lock: Lock, *, is_begun: bool = True) -> None:
        self.folder, self.run, self.is_open, self.is_begun = folder, run, True, is_begun
        self._lock, self._epochs = lock, MetricsFile(folder / EPOCHS)
        self._began = time.time() - run.seconds  # those of earlier processes count too

    def write(self, **changes: Any) -> None:
        """Write the run down, with some of its fields changed."""
        self.run = replace(self.run, seconds=self._seconds(), **changes)
        if self.is_begun:
            write_run(self.folder, self.run)

    def end(self, status: Status, error: str | None = None, **changes: Any) -> None:
        self.write(status=status, error=error, ended=now(), **changes)

    def write_config(self, config: str, patch: str) -> None:
        """Write down what runs now; of a run that is gone on with, keep what ran before if it was another."""
        for name, text in ((CONFIG, config), (PATCH, patch)):
            keep_text(self.folder / name, text, len(self.run.resumed))
            write_text(self.folder / name, text) if text else (self.folder / name).unlink(missing_ok=True)

    def add_epoch(self, epoch: int, step: int, values: Mapping[str, float], **changes: Any) -> None:
        """Write down an epoch that has ended, and how far the run has come with it."""
        self._epochs.append({"epoch": epoch, "step": step, "seconds": self._seconds(), **values})
        self.write(metrics={**self.run.metrics, **values}, **changes)

    def keep_epochs(self, count: int) -> int:
        """Keep of the epochs of an earlier process the first ones; return the last that is there, -1 if none is."""
        rows = self._epochs.keep(lambda row: int(row["epoch"]) < count)
        return max((int(row["epoch"]) for row in rows), default=-1)

    def read_again(self) -> None:
        """Take what another process of this run may have written."""
        with suppress(OSError, ConfigError):  # of a file that someone deleted; what is known here will do
            found = read_run(self.folder)
            if self.is_begun or len(found.resumed) == len(self.run.resumed):  # else no other process has begun it
                self.run, self.is_begun = found, True

    def close(self) -> None:
        """Let go of the folder: what follows is no part of this run."""
        self._lock.release()
        self.is_open = False

    def _seconds(self) -> float:
        return round(time.time() - self._began, 3)


def end_for_another(folder: Path, status: Status, error: str | None) -> None:
    """Write down how a run ended whose own process, which writes its record, is dead and has not said so.

    It is dead if its lock is free. The lock is held meanwhile, so that nobody goes on with the run.
    """
    lock = Lock(folder)
    with suppress(BlockingIOError):
        if lock.take() and (run := read_run(folder)).status == "running":
            Record(folder, run, lock).end(status, error)
    lock.release()
