"""The callback that records a run: begun before its Trainer starts, and told how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lighter._run_folder import KEY
from lighter.config import Config
from lighter.errors import RankError
from lighter.runs.checkpoints.atomic_io import remove_stale
from lighter.runs.checkpoints.record import record_of
from lighter.runs.record.ending import ending_of, tells_more
from lighter.runs.record.epochs import Epochs
from lighter.runs.record.folder import loggers_with_folders, take_folder
from lighter.runs.record.job_log import link_log
from lighter.runs.record.progress import best_checkpoints, devices_of, inside, logged_values, saved_checkpoints
from lighter.runs.record.record import Record, end_for_another
from lighter.runs.record.request import Request
from lighter.runs.record.run_file import Run
from lighter.runs.resume.find import Resumed
from lighter.runs.resume.lock import Lock
from lighter.runs.resume.loggers import continue_loggers, follow_checkpoints
from lighter.runs.resume.position import Position
from lighter.runs.resume.rows import count_rows, keep_rows, repeats_validation, step_due


class Recorder(pl.Callback):
    """Write down a run in a folder of its own, and the config in each of its checkpoints.

    Nothing of it may end a run: what cannot be written is told once. A trial run (`fast_dev_run`, `barebones`) leaves
    no record, and of several processes only the first writes.
    """

    def __init__(self, config: Config, stage: str, *, seed: Any = None, project: Path | None = None) -> None:
        self._request = Request(config, stage, seed=seed, project=project)
        self._record: Record | None = None
        self._epochs = Epochs()
        self._resumed: tuple[Position, str] | None = None  # where a run goes on, and the patch to what runs now
        self._step_due: dict[str, Any] = {}  # what loggers have not got of the last step
        self._rows: list[int] = []  # that loggers had written before the validation that is going on
        self.first: Path | None = None  # the folder in which the first rank records this run, as the others know
        self._is_live = False  # whether the Trainer runs in this process, not in one launched by it
        self._has_warned = False

    @property
    def folder(self) -> Path | None:
        """Return where the record is being written; None where there is none, or it has ended."""
        return self._record.folder if self._record is not None and self._record.is_open else None

    @property
    def left(self) -> tuple[Path, Run] | None:
        """Return the record, of a run that has ended too, and its folder; None where there is none."""
        return None if self._record is None else (self._record.folder, self._record.run)

    def open(self, trainer: pl.Trainer, weights: Path | None) -> None:
        """Take a folder and write down what is about to run; call it in the process that starts the others."""
        if not trainer.is_global_zero or trainer.fast_dev_run or trainer.barebones:  # type: ignore[attr-defined]
            return
        with self._guard():
            run, patch = self._request.begin(weights)
            folder = take_folder(trainer, run).resolve()
            run = replace(run, logs=tuple(inside(item.log_dir, folder) for item in loggers_with_folders(trainer)))
            lock = Lock(folder)
            with suppress(BlockingIOError):  # another host just asks whether someone has it
                lock.take()
            self._record = Record(folder, run, lock)
            self._record.write_config(self._request.config, patch)
            link_log(folder)

    def reopen(self, trainer: pl.Trainer, resumed: Resumed) -> None:
        """Prepare to go on with the record of a run; call it in place of `open`. What it has left stays yet."""
        if not trainer.is_global_zero:
            return
        folder, position = resumed.folder, resumed.position
        with self._guard():
            checkpoint = None if resumed.checkpoint is None else inside(str(resumed.checkpoint), folder)
            run, patch = self._request.go_on(resumed.run, resumed.status, checkpoint, position.step)
            self._record = Record(folder, run, resumed.lock, is_begun=False)
            self._resumed = position, patch
        with self._guard():
            continue_loggers(trainer, position)

    def begin(self, trainer: pl.Trainer) -> None:
        """Go on with the record, now that nothing can be wrong with the checkpoint any more."""
        record, written = self._written_by(trainer), -1
        if record is not None and not record.is_begun and self._resumed is not None:
            (position, patch), self._resumed = self._resumed, None
            with self._guard():
                record.is_begun = True
                remove_stale([Path(record.folder, item.path).parent for item in record.run.checkpoints], record.folder)
                record.write()
                written = record.keep_epochs(position.recorded)
                record.write_config(self._request.config, patch)
                link_log(record.folder)
            with self._guard():
                keep_rows(trainer, position.rows)
        self._epochs.pass_over(written)
        if self._step_due:
            trainer._logger_connector.log_metrics(self._step_due)
            self._step_due = {}

    def close(self, error: BaseException | None = None) -> None:
        """Make sure that the record says how the run ended, whichever process wrote it."""
        record = self._record
        if record is None and self.first is not None and isinstance(error, RankError):
            with self._guard():
                end_for_another(self.first, *ending_of(error, self._request.secrets))
        if record is None or not record.is_open:
            return
        with self._guard():
            record.read_again()
            if record.is_begun and tells_more(error, record.run.status):
                record.end(*ending_of(error, self._request.secrets))
        record.close()

    # --- what Lightning calls

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if record := self._written_by(trainer):
            self._is_live = True
            with self._guard():
                record.write(devices=devices_of(trainer))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._epochs.go_on(logged_values(trainer))
        if self._record is not None and self._record.run.resumed:
            trainer._checkpoint_connector._ckpt_path = None  # else ModelCheckpoint would never delete it

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._request.stage == "fit":
            with self._guard():
                self._rows = count_rows(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._end_epoch(trainer)  # of the epoch before, whose values are all there only now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._epochs.due = trainer.current_epoch, trainer.global_step

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._end_epoch(trainer)

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        run = self._record.run if self._record else None
        of: dict[str, Any] = {"run": run.started, "resumed": len(run.resumed)} if run else {}
        of |= {**self._epochs.state(logged_values(trainer)), "step": step_due(trainer)}
        with self._guard():
            of |= {"rows": self._rows if repeats_validation(trainer) else count_rows(trainer)}
        checkpoint[KEY] = {**self._request.in_checkpoints, **of}
        record = self._written_by(trainer)
        if record and self._epochs.due is None:  # else the end of the epoch, which is now, writes it
            with self._guard():
                record.write(**self._progress(trainer, record))

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        told, run = record_of(checkpoint), self._record.run if self._record else None
        if run is not None and run.resumed and told.get("run") == run.started:
            self._epochs.load(told)
            self._step_due = dict(told.get("step", {}))
            follow_checkpoints(trainer, checkpoint["callbacks"])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        record = self._written_by(trainer)
        if record and self._is_live:
            if trainer.world_size == 1:  # else its values may be waiting for those of ranks that have stopped
                self._end_epoch(trainer)
            with self._guard():
                record.end(*ending_of(exception, self._request.secrets), **self._progress(trainer, record))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        values = logged_values(trainer)  # on every rank, as a value may be reduced over them only now
        self.begin(trainer)  # of a fit that had nothing left to do
        if record := self._written_by(trainer):
            with self._guard():
                metrics = {name: float(value) for name, value in values.items()}
                record.end("completed", metrics=metrics, **self._progress(trainer, record))

    # --- inside

    def _written_by(self, trainer: pl.Trainer) -> Record | None:
        """Return the record if it is this process that writes it."""
        return self._record if self.folder is not None and trainer.is_global_zero else None

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        if self._epochs.due is None:
            return
        epoch, step = self._epochs.due
        new = self._epochs.take(logged_values(trainer))  # on every rank, as above
        if record := self._written_by(trainer):
            with self._guard():
                record.add_epoch(epoch, step, new, **self._progress(trainer, record))

    def _progress(self, trainer: pl.Trainer, record: Record) -> dict[str, Any]:
        """Return how far the fit has come, as fields of its record."""
        if self._request.stage != "fit":
            return {}
        return {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "checkpoints": saved_checkpoints(trainer, record.folder),
            "best": best_checkpoints(trainer, record.folder),
        }

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Let the run go on whatever goes wrong with its record."""
        try:
            yield
        except Exception as error:
            if not self._has_warned:
                self._has_warned = True
                rank_zero_warn(f"the record of this run cannot be written: {type(error).__name__}: {error}")


class Beginning(pl.Callback):
    """Let a recorder go on with its run before any other callback does."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._recorder.begin(trainer)
