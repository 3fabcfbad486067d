"""Let no rank wait for one that has failed, and let all of them say which one it was and why.

A rank that fails says so in the store by which the ranks have met, and the others look there. Without that, those that
wait for it in a collective learn at best that a connection was closed, and on GPUs nothing until its timeout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher, subprocess_script
from pytorch_lightning.trainer.states import TrainerFn
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from lighter.errors import RankError, RunError, print_error
from lighter.launch import tell_torchrun
from lighter.peers.board import END, LEAVE, Board
from lighter.peers.failure import NO_ANSWER, ended, is_echo, lost, of_process

POLL = 0.5  # seconds between two looks at the others
GRACE = 10.0  # seconds in which a rank may end by itself once another has failed
ECHO = 3.0  # seconds in which the cause of a lost connection should show

_TOLD = (RankError.status, 130, 143)  # statuses of a forked rank that has told why, or was asked to end
_OBSERVER = "_launch_process_observer"  # Lightning's, which kills this process where it should end in words


class Peers:
    """The other ranks of a stage, as far as one has to know whether they have failed."""

    def __init__(self, trainer: pl.Trainer, record: Callable[[BaseException], None], leave: Callable[[], None]) -> None:
        self._trainer, self._record, self._leave = trainer, record, leave
        self._board = Board(trainer)
        self._over = threading.Event()  # set once this rank waits for no other any more
        self._cause = ""  # what made another rank fail, once that is known
        self._parent = 0

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Tell the ranks that wait for this one that it will not come, if what is done before they meet fails.

        Raises:
            RankError: another rank has told them the same.
        """
        try:
            yield
        except Exception as error:
            told = self._board.tell_unmet(error) if self._is_expected else error
            if told is error:
                raise
            raise told from error

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the other ranks while the Trainer runs, and end this one once one of them has failed.

        Raises:
            RankError: it is another rank that failed.
        """
        launcher = self._trainer.strategy.launcher
        if launcher is None:
            with self._taking_part() if self._trainer.world_size > 1 else nullcontext():
                yield
            return
        launch = type(launcher).launch

        def launch_watched(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return launch(launcher, partial(self._run, function), *args, **kwargs)

        launcher.launch = launch_watched  # type: ignore[method-assign]
        observe = vars(subprocess_script)[_OBSERVER]
        setattr(subprocess_script, _OBSERVER, lambda _: None)
        try:
            yield
        except ProcessRaisedException as error:
            raise RunError(of_process(error)) from error
        except ProcessExitedException as error:
            if error.exit_code in _TOLD:
                raise
            raise RunError(f"rank {error.error_index} {ended(error.exit_code)}") from error
        except Exception:
            self._end_children()
            raise
        finally:
            setattr(subprocess_script, _OBSERVER, observe)
            del launcher.launch
            self._over.set()

    def _run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._taking_part():
            return function(*args, **kwargs)

    @contextmanager
    def _taking_part(self) -> Iterator[None]:
        """Do what a rank does, in its own process."""
        self._parent = os.getppid()
        threading.Thread(target=self._watch, name="lighter-peers", daemon=True).start()
        try:
            yield
        except Exception as error:
            self._leave()
            found = self._behind(error)
            if found is error:
                raise
            raise found from error
        except BaseException as error:  # a signal's answer, which is not for the others to follow
            self._over.set()
            self._leave()
            if cause := self._board.told():  # launchers tell the others of a failure by a signal
                raise RankError(cause) from error
            raise
        self._wait_for_others()
        self._over.set()

    # --- whose error it is

    def _behind(self, error: Exception) -> Exception:
        """Return the error that this rank is to end with: its own, of which it tells the others, or what led to it."""
        if not is_echo(error):
            return self._board.tell_error(error)
        text = lost(error)
        timed_out = text is not None and text.startswith(NO_ANSWER)  # which is for the others to know at once
        until = time.monotonic() + (0 if timed_out else ECHO)
        self._cause = self._cause or self._look()
        while not self._cause and time.monotonic() < until:
            time.sleep(0.1)
            self._cause = self._look()
        if self._cause:
            self._board.hear()
            return RankError(self._cause + self._where(self._cause))
        if text is None:
            return self._board.tell_error(error)
        text += self._where(text)
        self._board.tell_own(text)
        in_fit = self._trainer.state.fn == TrainerFn.FITTING and not self._trainer.sanity_checking
        return RankError(text) if in_fit else RunError(text)  # elsewhere a signal lets ranks end without a word

    @property
    def _is_expected(self) -> bool:
        """Tell whether processes may wait for this one before the ranks have met."""
        environment = self._trainer._accelerator_connector.cluster_environment
        is_alone = self._trainer.num_nodes == 1 and not environment.creates_processes_externally
        return self._trainer.world_size > 1 and not is_alone

    def _where(self, failure: str) -> str:
        """Return where in the data this rank is, if that may be what is wrong."""
        trainer = self._trainer
        if NO_ANSWER not in failure:
            return ""
        batch = f"batch {trainer.fit_loop.batch_idx} of epoch {trainer.current_epoch}"
        return f"; rank {trainer.global_rank} is in {batch if trainer.training else trainer.state.stage}"

    # --- looking at the others

    def _watch(self) -> None:
        while not self._over.wait(POLL):
            self._cause = self._cause or self._look()
            if self._cause:
                if not distributed.is_initialized():  # it waits for those that do not come
                    self._end_process()
                self._board.hear()
                if not self._over.wait(GRACE):
                    self._end_process()
                return

    def _look(self) -> str:
        """Return how another rank has failed; nothing where none has."""
        if told := self._board.told():
            return told
        for number, process in enumerate(self._children(), 1):
            if process.poll():
                return self._board.tell(f"rank {self._trainer.global_rank + number} {ended(process.returncode)}")
        if self._is_launched and os.getppid() != self._parent:
            return self._board.tell(f"rank {self._trainer.global_rank - self._trainer.local_rank} has ended")
        return "rank 0 has ended" if self._board.is_lost else ""

    @property
    def _is_launched(self) -> bool:
        """Tell whether another rank has started this one."""
        environment = self._trainer._accelerator_connector.cluster_environment
        launcher = self._trainer.strategy.launcher
        is_child = isinstance(environment, LightningEnvironment) and self._trainer.local_rank > 0
        return is_child and isinstance(launcher, _SubprocessScriptLauncher)

    def _children(self) -> list[subprocess.Popen[bytes]]:
        launcher = self._trainer.strategy.launcher
        return launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []

    # --- the end

    def _wait_for_others(self) -> None:
        """Keep the store, which ends with this process, until the others have come to their end too."""
        self._board.come_to_an_end()
        until = time.monotonic() + END
        while self._trainer.global_rank == 0 and time.monotonic() < until and not self._cause:
            if self._board.have_all_ended:
                return
            time.sleep(0.01)

    def _end_process(self) -> None:
        """End this process, which waits for a rank that will not come."""
        error = RankError(self._cause + self._where(self._cause))
        with suppress(Exception):
            self._record(error)
        with suppress(Exception):
            tell_torchrun(str(error))
            print_error(error)
        for process in self._children():
            process.kill()
        self._board.hear()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(RankError.status)

    def _end_children(self) -> None:
        """Let no rank that was started here outlive a failed stage."""
        until = time.monotonic() + LEAVE
        for process in self._children():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            process.kill()
