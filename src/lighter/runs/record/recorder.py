"""The record of a run: begun before its Trainer starts, kept up while it runs, and ended however it ends."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lighter import __version__
from lighter.config import Config
from lighter.config.checkpoint import is_checkpoint
from lighter.config.origin import show
from lighter.config.tree import Node, join, nodes
from lighter.errors import ConfigError, LighterError, shorten
from lighter.runs.checkpoints.atomic_io import remove_stale
from lighter.runs.checkpoints.record import KEY, sources_of
from lighter.runs.record.atomic import keep_text, write_text
from lighter.runs.record.environment import packages
from lighter.runs.record.epochs import Epochs
from lighter.runs.record.flat import flatten
from lighter.runs.record.folder import loggers_with_folders, take_folder
from lighter.runs.record.git import Git, read_git
from lighter.runs.record.job_log import link_log
from lighter.runs.record.metrics_file import MetricsFile
from lighter.runs.record.process import this_process
from lighter.runs.record.progress import best_checkpoints, devices_of, inside, logged_values, saved_checkpoints
from lighter.runs.record.run_file import Resumption, Run, Status, read_run, write_run
from lighter.runs.record.secrets import Secrets
from lighter.runs.resume.find import Resumed
from lighter.runs.resume.lock import Lock
from lighter.runs.resume.loggers import continue_loggers, follow_checkpoints
from lighter.runs.resume.signals import INTERRUPTED

CONFIG, PATCH, EPOCHS = "config.yaml", "uncommitted.patch", "epochs.csv"
ERROR = 4000  # characters of an error's text

OF_THE_BEGINNING = (  # fields of a record that stay when its run is gone on with
    *("sources", "overrides", "command", "working_folder", "started", "weights", "logs"),
    *("epochs", "steps", "metrics", "best", "checkpoints"),
)


class Recorder(pl.Callback):
    """Write down a run in a folder of its own, and the config in each of its checkpoints.

    Nothing of it may end a run: what cannot be written is told once. A trial run (`fast_dev_run`, `barebones`) leaves
    no record, and of several processes only the first writes.
    """

    folder: Path | None = None  # where the record is, once there is one

    def __init__(self, config: Config, stage: str, *, seed: Any = None, project: Path | None = None) -> None:
        self._secrets = Secrets.of()
        root, hidden = self._secrets.hide_in_config(config.root)
        before = (join(path) for path, node in nodes(config.root) if node.place in config.hidden)  # by an earlier run
        self._hidden = tuple(dict.fromkeys((*hidden, *before)))
        self._stage, self._seed, self._project = stage, seed, project
        self._sources, self._typed = sources_of(config), config.sources
        self._overrides = tuple(map(self._secrets.hide_named, config.overrides))
        anywhere = _anywhere(root, project)
        self._in_checkpoints = {
            "config": anywhere.plain(),
            "sources": [str(source) for source in self._sources],
            "overrides": list(self._overrides),
            "hidden": list(self._hidden),
        }
        self._config, self._flat = show(anywhere), flatten(root)
        self._run: Run | None = None
        self._place: Path | None = None
        self._began = self._before = 0.0  # when this process began to count, and the seconds of those before it
        self._lock: Lock | None = None
        self._is_live = False  # whether the Trainer runs in this process, not in one launched by it
        self._has_warned = False
        self._epochs = Epochs()

    @property
    def left(self) -> tuple[Path, Run] | None:
        """Return the record, of a run that has ended too, and its folder; None where there is none."""
        return None if self._place is None or self._run is None else (self._place, self._run)

    def open(self, trainer: pl.Trainer, weights: Path | None) -> None:
        """Take a folder and write down what is about to run; call it in the process that starts the others."""
        if not trainer.is_global_zero or trainer.fast_dev_run or trainer.barebones:  # type: ignore[attr-defined]
            return
        with self._guard():
            self._began = time.time()
            git, patch = self._read_git()
            run = self._about_to_run(weights, git)
            folder = take_folder(trainer, run).resolve()
            run = replace(run, logs=tuple(inside(item.log_dir, folder) for item in loggers_with_folders(trainer)))
            self._lock = Lock(folder)
            self._lock.take()
            self.folder = self._place = folder
            self._run, self._epochs_file = run, MetricsFile(folder / EPOCHS)
            self._write_config(patch)
            link_log(folder)

    def reopen(self, trainer: pl.Trainer, resumed: Resumed) -> None:
        """Go on with the record of a run; call it in place of `open`."""
        if not trainer.is_global_zero:
            return
        with self._guard():
            self._began, self._before = time.time(), resumed.run.seconds
            git, patch = self._read_git()
            new = self._about_to_run(None, git)
            checkpoint = None if resumed.checkpoint is None else inside(str(resumed.checkpoint), resumed.folder)
            resumption = Resumption(
                new.started, f"{new.command} --resume", resumed.status, new.process, checkpoint, resumed.position.step
            )
            kept = {name: getattr(resumed.run, name) for name in OF_THE_BEGINNING}
            self._run = replace(new, **kept, resumed=(*resumed.run.resumed, resumption))
            self._in_checkpoints |= {
                "sources": [str(Path(resumed.run.working_folder, source).resolve()) for source in resumed.run.sources],
                "overrides": list(resumed.run.overrides),
            }
            self.folder = self._place = resumed.folder
            self._lock = resumed.lock
            remove_stale([Path(self.folder, item.path).parent for item in resumed.run.checkpoints], self.folder)
            self._write()
            self._epochs_file = MetricsFile(self.folder / EPOCHS)
            rows = self._epochs_file.keep(lambda row: int(row["epoch"]) < resumed.position.epochs)
            self._epochs.written = max((int(row["epoch"]) for row in rows), default=-1)
            continue_loggers(trainer, resumed.position)
            self._write_config(patch)
            link_log(self.folder)

    def close(self, error: BaseException | None = None) -> None:
        """Make sure that the record says how the run ended, whichever process wrote it."""
        if self.folder is None or self._run is None:
            return
        with self._guard():
            with suppress(OSError, ConfigError):  # of a file that someone deleted; what is known here will do
                self._run = read_run(self.folder)
            unsettled = ("running",) if error is None or isinstance(error, SystemExit) else ("running", "completed")
            stopped = isinstance(error, SIGTERMException) and self._run.status == "failed"  # of what the signal broke
            if self._run.status in unsettled or stopped or isinstance(error, LighterError):
                self._end(*(self._told(error) if error else ("completed", None)))
        if self._lock is not None:
            self._lock.release()
        self.folder = None  # what the Trainer is asked for next is no part of this run

    # --- what Lightning calls

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if self._writes(trainer):
            self._is_live = True
            with self._guard():
                self._write(devices=devices_of(trainer))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._epochs.go_on(logged_values(trainer))
        if self._run is not None and self._run.resumed:
            trainer._checkpoint_connector._ckpt_path = None  # else ModelCheckpoint would never delete it

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
        run = {"run": self._run.started} if self._run else {}
        checkpoint[KEY] = {**self._in_checkpoints, **run, **self._epochs.state(logged_values(trainer))}
        if self._epochs.due is None and self._writes(trainer):  # else the end of the epoch, which is now, writes it
            with self._guard():
                self._write(**self._progress(trainer))

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        record = checkpoint.get(KEY, {})
        if self._run is None or not self._run.resumed or record.get("run") != self._run.started:
            return
        self._epochs.load(record)
        follow_checkpoints(trainer, checkpoint["callbacks"])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        if self._is_live and self._writes(trainer):
            if trainer.world_size == 1:  # else its values may be waiting for those of ranks that have stopped
                self._end_epoch(trainer)
            with self._guard():
                self._end(*self._told(exception), **self._progress(trainer))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        values = logged_values(trainer)  # on every rank, as a value may be reduced over them only now
        if self._writes(trainer):
            with self._guard():
                metrics = {name: float(value) for name, value in values.items()}
                self._end("completed", metrics=metrics, **self._progress(trainer))

    # --- inside

    def _writes(self, trainer: pl.Trainer) -> bool:
        return self.folder is not None and trainer.is_global_zero

    def _read_git(self) -> tuple[Git | None, str]:
        files = [file for file in self._sources if file.is_file() and not is_checkpoint(str(file))]
        return read_git(self._project or Path.cwd(), files) or (None, "")

    def _about_to_run(self, weights: Path | None, git: Git | None) -> Run:
        taken = str(weights.resolve()) if weights else None
        typed = tuple(map(self._secrets.hide, self._typed))
        words = ["lighter", self._stage, *typed, *self._overrides, *(["--ckpt", taken] if taken else [])]
        return Run(
            stage=self._stage,
            command=shlex.join(words),
            working_folder=str(Path.cwd()),
            sources=typed,
            overrides=self._overrides,
            process=this_process(),
            started=_now(),
            weights=taken,
            seed=self._seed if isinstance(self._seed, int) else None,
            project=str(self._project) if self._project else None,
            hidden=self._hidden,
            git=git,
            python=platform.python_version(),
            lighter=__version__,
            packages=packages(),
            config=self._flat,
        )

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        if self._epochs.due is None:
            return
        epoch, step = self._epochs.due
        new = self._epochs.take(logged_values(trainer))  # on every rank, as above
        if not self._writes(trainer):
            return
        with self._guard():
            assert self._run is not None
            self._epochs_file.append({"epoch": epoch, "step": step, "seconds": self._seconds(), **new})
            self._write(metrics={**self._run.metrics, **new}, **self._progress(trainer))

    def _progress(self, trainer: pl.Trainer) -> dict[str, Any]:
        if self._stage != "fit":
            return {}
        assert self.folder is not None
        return {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "checkpoints": saved_checkpoints(trainer, self.folder),
            "best": best_checkpoints(trainer, self.folder),
        }

    def _write_config(self, patch: str) -> None:
        """Write down what runs now; of a run that is gone on with, keep what ran before if it was another."""
        assert self.folder is not None
        assert self._run is not None
        for name, text in ((CONFIG, self._config), (PATCH, self._secrets.hide_in_patch(patch))):
            keep_text(self.folder / name, text, len(self._run.resumed))
            write_text(self.folder / name, text) if text else (self.folder / name).unlink(missing_ok=True)

    def _end(self, status: Status, error: str | None = None, **changes: Any) -> None:
        self._write(status=status, error=error, ended=_now(), **changes)

    def _write(self, **changes: Any) -> None:
        assert self.folder is not None
        assert self._run is not None
        self._run = replace(self._run, seconds=self._seconds(), **changes)
        write_run(self.folder, self._run)

    def _seconds(self) -> float:
        return round(self._before + time.time() - self._began, 3)

    def _told(self, error: BaseException) -> tuple[Status, str | None]:
        """Return the status of a run that an exception ended, and the text of it."""
        if isinstance(error, SIGTERMException):
            return "interrupted", None if error.code == INTERRUPTED else "SIGTERM"
        if KeyboardInterrupt in (type(error), type(error.__context__)):  # Lightning makes a SystemExit of it
            return "interrupted", None
        text = str(error) if isinstance(error, LighterError) else f"{type(error).__name__}: {error}"
        return "failed", shorten(self._secrets.hide_named(text), ERROR)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Let the run go on whatever goes wrong with its record."""
        try:
            yield
        except Exception as error:
            if not self._has_warned:
                self._has_warned = True
                rank_zero_warn(f"the record of this run cannot be written: {type(error).__name__}: {error}")


def _anywhere(root: Node, project: Path | None) -> Node:
    """Return a config in which the project's folder is found from anywhere."""
    if project is not None and isinstance(root.value, dict):
        before = root.value.get("project")
        root = Node({**root.value, "project": Node(str(project), before.place if before else root.place)}, root.place)
    return root


def _now() -> str:
    return datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds")
