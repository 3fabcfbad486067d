"""Stop a run that is told to: at a step, with a checkpoint of it, and with a status that says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException
from torch.utils.data import get_worker_info

from lighter._run_folder import CHECKPOINTS, INTERRUPTION
from lighter.errors import RankError
from lighter.runs.resume.requeue import EarlyRequeue, advance, requeue
from lighter.runs.resume.slurm import requeue_signal
from lighter.runs.resume.unanswered import Unanswered
from lighter.runs.resume.vote import Vote
from lighter.runs.resume.workers import shielded

INTERRUPTED, TERMINATED = 130, 143  # exit statuses, as shells say them
AGAIN = 1.0  # seconds in which a signal is the same one, sent to a process and to its group

_STOPPING = b"\nstopping after this step, to save it"
_AT_ONCE = b"; Ctrl-C stops at once"


class Signals(Checkpoint):
    """Answer SIGTERM, Ctrl-C and SLURM's signal that a job's time is nearly up.

    While there is something to save, the run goes on to the end of the step (in validation, of the batch), on which
    all ranks agree. Else the stage ends at once; so it does at a second Ctrl-C. SIGTERM counts once, as launchers
    repeat it.

    This stands in for Lightning's handlers: they save, and talk to other ranks, in the middle of whatever a signal
    interrupts, and they end with status 0.
    """

    number: int | None = None  # of the signal that was received
    saved: Path | None = None  # the checkpoint that it led to
    is_requeued = False  # whether the job that this is goes on by itself

    def __init__(self, trainer: pl.Trainer, folder: Callable[[], Path | None]) -> None:
        self._trainer, self._folder = trainer, folder
        self._saves = bool(trainer.checkpoint_callbacks) and not trainer.fast_dev_run  # type: ignore[attr-defined]
        self._waits = False  # for the end of a step
        self._is_due = False  # to stop once the epoch's values are logged
        self._has_advanced = False  # by a step of training
        self._leaves = False  # as it has failed: launchers tell ranks by a signal that one of them has
        self._received = 0.0
        self._noted = Unanswered()
        self._answers: frozenset[int] = frozenset()
        self._vote: Vote | None = None

    @property
    def status(self) -> int:
        """Return the status that the process is to end with."""
        environment = self._trainer._accelerator_connector.cluster_environment
        if isinstance(environment, LightningEnvironment) and self._trainer.local_rank:
            return 0  # the process that has launched this one would take any other for a crash, and be killed
        return INTERRUPTED if self.number == signal.SIGINT else TERMINATED

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Answer signals in this block; what else fails after one ends it as the signal would have."""
        if threading.current_thread() is not threading.main_thread():  # where none can be answered
            yield
            return
        before = {number: signal.getsignal(number) for number in self._numbers()}
        self._trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        for number in before:
            signal.signal(number, self._receive)
        self._answers = frozenset(before)
        try:
            with self._noted.noted():
                yield
        except ProcessExitedException as error:  # of a process that was launched
            if error.exit_code not in (INTERRUPTED, TERMINATED):
                raise
            self.number = self.number or error.exit_code - 128
            raise self._end() from None
        except Exception as error:
            if self.number is None or isinstance(error, RankError):  # launchers tell the others by a signal
                raise
            raise self._end() from error
        finally:
            if self.number is not None and self.number == requeue_signal(self._trainer) and self._is_first:
                # while signals are heard: once another rank has ended, srun may stop this one
                self.is_requeued = requeue(has_advanced=self._has_advanced)
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def unanswered(self) -> int | None:
        """Return the status to end with for a signal that has come, and that the main thread has not answered yet."""
        number = self._noted.latest()
        if self.number is not None or number not in self._answers:
            return None
        return INTERRUPTED if number == signal.SIGINT else TERMINATED

    def leave(self) -> None:
        """End this stage for what it ends of already, whatever a launcher asks for now."""
        self._leaves = True

    # --- what Lightning calls

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        process = trainer.strategy.process_dataloader

        def process_and_shield(loader: object) -> object:
            return shielded(process(loader))

        trainer.strategy.process_dataloader = process_and_shield  # type: ignore[method-assign,assignment]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        vars(trainer.strategy).pop("process_dataloader", None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._waits = self._saves
        if self._waits and trainer.world_size > 1 and distributed.is_available() and distributed.is_initialized():
            self._vote = Vote(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._is_due:
            self._close_vote()
            raise self._end()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if not self._has_advanced and self._is_first:
            self._has_advanced = True
            advance()
        if self._is_agreed(at_once=False):
            self._close_vote()
            self._save(trainer)
            trainer._logger_connector.on_batch_end()
            trainer._logger_connector.update_train_step_metrics()  # as Lightning does only after this hook
            raise self._end()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self._waits and self.number and trainer.world_size == 1:  # other ranks may have more batches, or fewer
            self._save(trainer)
            raise self._end()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._is_agreed():
            self._close_vote()
            self._save(trainer)
            raise self._end()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if self._is_agreed():
            self._save(trainer)
            self._is_due = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._close_vote()
        if any(getattr(callback, "_last_checkpoint_saved", "") for callback in trainer.checkpoint_callbacks):
            self._remove_others()

    # --- inside

    @property
    def _is_first(self) -> bool:
        return bool(self._trainer.is_global_zero)

    def _numbers(self) -> list[int]:
        """Return the signals to answer: not those that are ignored, or answered by someone else."""
        numbers = [signal.SIGTERM] if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN else []
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            numbers.append(signal.SIGINT)
        number = requeue_signal(self._trainer)
        if number is not None and _is_free(signal.getsignal(number)):
            numbers.append(signal.Signals(number))
        return list(map(int, numbers))

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if get_worker_info() is not None:  # this is a process that loads data, which ends with the main one
            return
        if self._leaves and number != signal.SIGINT:
            return
        before, self._received = self._received, time.monotonic()
        if self.number is not None:
            if number == signal.SIGINT and self._received - before > AGAIN:
                raise KeyboardInterrupt
            return
        self.number = number
        launcher = self._trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.Signals(number))
        if isinstance(launcher, _MultiProcessingLauncher) and launcher.procs:
            return  # they do the work; this one waits for them
        if not self._waits:
            raise KeyboardInterrupt if number == signal.SIGINT else self._end()
        is_by_hand = number == signal.SIGINT
        if self._is_first and (is_by_hand or not isinstance(launcher, _MultiProcessingLauncher)):
            # else torch may have told this rank to stop, as another has failed
            os.write(2, _STOPPING + is_by_hand * _AT_ONCE + b"\n")  # a logger may be in the middle of a message

    def _is_agreed(self, *, at_once: bool = True) -> bool:
        """Tell whether any rank was told to stop, as all of them know; unless `at_once`, as they knew a step before.

        Each rank must call this, in the same places.
        """
        if not self._waits:
            return False
        if self._vote is None:
            return self.number is not None
        agreed = (self._vote.settle if at_once else self._vote.cast)(self.number or 0)
        self.number = agreed or self.number  # one that has come meanwhile is for the next step
        return agreed != 0

    def _close_vote(self) -> None:
        if self._vote is not None:
            self._vote.close()
        self._vote = None

    def _save(self, trainer: pl.Trainer) -> None:
        """Save a checkpoint of this step, unless another callback just did."""
        if any(map(partial(_has_saved, trainer.global_step), trainer.checkpoint_callbacks)):
            return
        name = f"{INTERRUPTION}epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
        folder = self._folder() or Path(trainer.default_root_dir)  # where no record can be written
        path = trainer.strategy.broadcast(folder / CHECKPOINTS / name)
        self.saved = path  # before it is saved, as the record of the run is written then
        try:
            trainer.save_checkpoint(path, weights_only=False)
        except BaseException:
            self.saved = None
            raise
        self._remove_others()

    def _remove_others(self) -> None:
        """Remove the checkpoints of earlier interruptions, which the run has left behind."""
        folder = self._folder()
        if folder is not None and self._is_first:
            for path in (folder / CHECKPOINTS).glob(f"{INTERRUPTION}*.ckpt"):
                if path != self.saved:
                    self._trainer.strategy.remove_checkpoint(path)

    def _end(self) -> SIGTERMException:
        return SIGTERMException(self.status)


def _is_free(handler: object) -> bool:
    """Tell whether a signal is answered by nobody, or by what gives way to a run."""
    return handler is signal.SIG_DFL or isinstance(handler, EarlyRequeue)


def _has_saved(step: int, callback: Checkpoint) -> bool:
    return (
        isinstance(callback, ModelCheckpoint)
        and callback._last_global_step_saved == step
        and not callback.save_weights_only
    )
