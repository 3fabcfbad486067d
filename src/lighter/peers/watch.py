"""Let no rank wait for one that has failed, and let all of them say which one it was and why.

A rank that fails says so in the store by which the ranks have met, and the others look there. Without that, those that
wait for it in a collective learn at best that a connection was closed, and on GPUs nothing until its timeout.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies.launchers import (
    _MultiProcessingLauncher,
    _SubprocessScriptLauncher,
    subprocess_script,
)
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from lighter.errors import RankError, RunError
from lighter.launch import LAUNCHER, tell
from lighter.peers.board import END, LEAVE, Board
from lighter.peers.failure import DIED, NO_ANSWER, STOPPED, ended, exits_fail, is_echo, lost, of_process, rank_of
from lighter.peers.meeting import Waiting
from lighter.peers.neighbours import has_died, signature
from lighter.peers.place import place_of, told_places
from lighter.peers.run import Listener, Recorder

POLL = 0.5  # seconds between two looks at the others
GRACE = 10.0  # seconds in which a rank may end by itself once another has failed
LOOK = 6.0  # seconds that a look at the others takes at most: where the store is just going, it is waited for twice
PLACES = 1.5  # seconds in which ranks that can should say where they are
ECHO = 3.0  # seconds in which the cause of a lost connection should show

_TOLD = (RankError.status, 130, 143)  # statuses of a forked rank that has told why, or was asked to end
_OBSERVER = "_launch_process_observer"  # Lightning's, which kills this process where it should end in words


class Peers:
    """The other ranks of a stage, as far as one has to know whether they have failed."""

    def __init__(self, trainer: pl.Trainer, recorder: Recorder, signals: Listener) -> None:
        self._trainer, self._recorder, self._signals = trainer, recorder, signals
        self._board = Board(trainer)
        self._over = threading.Event()  # set once this rank waits for no other any more
        self._cause = ""  # what made another rank fail, once that is known
        self._stopped: int | None = None  # the status to end with where it was told to stop, before it could answer

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Tell the ranks that wait for this one that it will not come, if what is done before they meet fails.

        Raises:
            RankError: another rank has told them the same.
        """
        try:
            with exits_fail():
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
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # which tells of what is told here
        launcher = self._trainer.strategy.launcher
        if launcher is None:
            with self._taking_part() if self._trainer.world_size > 1 else exits_fail():
                yield
            return
        launch = type(launcher).launch

        def launch_watched(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if isinstance(launcher, _SubprocessScriptLauncher) and not self._launcher:
                os.environ[LAUNCHER] = signature()
            return launch(launcher, partial(self._run, function), *args, **kwargs)

        launcher.launch = launch_watched  # type: ignore[method-assign]
        observe = vars(subprocess_script)[_OBSERVER]
        setattr(subprocess_script, _OBSERVER, lambda _: None)
        try:
            yield
        except ProcessRaisedException as error:
            first = self._trainer.node_rank * self._trainer.num_devices
            raise RunError(of_process(error, first)) from error
        except ProcessExitedException as error:
            if error.exit_code in _TOLD:
                raise
            raise RunError(f"rank {error.error_index} {ended(error.exit_code)}") from error
        except BaseException as error:
            self._end_children(LEAVE if isinstance(error, Exception) else GRACE)
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
        watch = threading.Thread(target=self._watch, name="lighter-peers", daemon=True)
        try:
            watch.start()
            with exits_fail():
                yield
        except Exception as error:
            self._signals.leave()
            found = self._behind(error)
            if found is error:
                raise
            raise found from error
        except BaseException as error:  # a signal's answer, which is not for the others to follow
            self._signals.leave()
            self._cause = self._board.told() or self._died()  # launchers tell the others of a failure by a signal
            if self._cause:
                raise self._echo() from error
            raise
        else:
            if self._trainer.global_rank:
                self._leave(watch)  # first: as soon as all have come to an end the store goes
            self._wait_for_others()
        finally:
            self._leave(watch)
            self._board.close()

    def _leave(self, watch: threading.Thread) -> None:
        """Wait for no other rank any more."""
        if not self._over.is_set():
            self._over.set()
            with suppress(RuntimeError):  # a signal came while it was being started
                watch.join(LOOK)
            self._share_folder()
            self._board.neighbours.go()

    # --- whose error it is

    def _behind(self, error: Exception) -> BaseException:
        """Return the error that this rank is to end with: its own, of which it tells the others, or what led to it."""
        if not is_echo(error):
            return self._board.tell_error(error)
        text = lost(error)
        timed_out = text is not None and text.startswith(NO_ANSWER)  # which is for the others to know at once
        until = time.monotonic() + (0 if timed_out else ECHO)
        while not self._cause and time.monotonic() < until:
            time.sleep(0.1)  # first: what has ended the connection may not have ended the store's yet
            self._cause = self._look()
        if self._cause:
            self._board.hear()
            rank = rank_of(self._cause)
            if rank is not None and isinstance(self._trainer.strategy.launcher, _MultiProcessingLauncher):
                self._board.neighbours.outlive(rank, LEAVE)  # torch tells of who ends first, and ends the others
            return self._echo()
        if text is None:
            return self._board.tell_error(error)
        self._places(text, 0)  # for the others, to whom the store may be lost after this
        self._board.tell_own(text)
        text += self._places(text)
        in_fit = self._trainer.state.fn == TrainerFn.FITTING and not self._trainer.sanity_checking
        return RankError(text) if in_fit else RunError(text)  # elsewhere a signal lets ranks end without a word

    @property
    def _is_expected(self) -> bool:
        """Tell whether processes may wait for this one before the ranks have met."""
        environment = self._trainer._accelerator_connector.cluster_environment
        is_alone = self._trainer.num_nodes == 1 and not environment.creates_processes_externally
        return self._trainer.world_size > 1 and not is_alone

    def _echo(self) -> RankError | SIGTERMException:
        """Return what this rank ends with as another has failed; of the node's first rank's death the second tells."""
        if self._stopped is not None:
            return SIGTERMException(self._stopped)
        error, local_rank = RankError(self._cause + self._places(self._cause)), self._trainer.local_rank
        error.is_everyones = not (local_rank == 1 and self._cause == self._death(self._trainer.global_rank - 1))
        return error

    def _places(self, failure: str, limit: float = PLACES) -> str:
        """Return where in the data the ranks are, if that may be what is wrong."""
        if NO_ANSWER not in failure:
            return ""
        return told_places(self._board.places(place_of(self._trainer), limit))

    # --- looking at the others

    def _watch(self) -> None:
        waiting = Waiting(self._trainer)
        while not self._over.is_set():
            self._board.neighbours.come()
            self._share_folder()
            self._cause = self._cause or self._look()
            if self._cause and not self._over.is_set():
                if not distributed.is_initialized():  # it waits for those that do not come
                    self._end_process()
                self._board.hear()
                self._places(self._cause, 0)  # for the others, who cannot ask a rank that hangs
                if not self._over.wait(GRACE):
                    self._end_process()
                return
            waiting.tell()
            stopped = None if distributed.is_initialized() else self._signals.unanswered
            if not self._over.wait(POLL) and stopped is not None and self._signals.unanswered:
                self._stopped = stopped  # the main thread waits for ranks that do not come, and hears of nothing else
                self._end_process()

    def _share_folder(self) -> None:
        """Let each rank know where the first one records the run, to write down its death there."""
        self._recorder.first = self._recorder.first or self._board.share(self._recorder.folder)

    def _look(self) -> str:
        """Return how another rank has failed; nothing where none has."""
        if told := self._board.told():
            return told
        for number, process in enumerate(self._children(), 1):
            rank, status = self._trainer.global_rank + number, process.poll()
            if status or (status == 0 and not self._board.neighbours.has_gone(rank)):
                self._stopped = STOPPED.get(status)
                return self._board.tell(f"rank {rank} {ended(status)}")
        if died := self._died():
            return self._board.tell(died)
        return self._death(0) if self._board.is_lost and self._trainer.global_rank else ""

    def _died(self) -> str:
        """Return that a rank of this node is dead and has not said why; what has started it knows its status."""
        if launcher := self._launcher:
            return self._death(self._trainer.global_rank - self._trainer.local_rank) if has_died(launcher) else ""
        if self._children():
            return ""
        rank = self._board.neighbours.dead()
        return "" if rank is None else self._death(rank)

    def _death(self, rank: int) -> str:
        return f"rank {rank} {DIED}"

    @property
    def _launcher(self) -> str:
        """Return the signature of the rank that has started this one; nothing where none has."""
        environment = self._trainer._accelerator_connector.cluster_environment
        is_launched = isinstance(environment, LightningEnvironment) and self._trainer.local_rank > 0
        return os.environ.get(LAUNCHER, "") if is_launched else ""

    def _children(self) -> list[subprocess.Popen[bytes]]:
        launcher = self._trainer.strategy.launcher
        return launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []

    # --- the end

    def _wait_for_others(self) -> None:
        """Keep the store, which ends with this process, until the others have come to their end too.

        Raises:
            RankError: one of them has failed on the way.
        """
        self._board.come_to_an_end()
        until = time.monotonic() + END
        while self._trainer.global_rank == 0 and time.monotonic() < until and not self._board.have_all_ended:
            if self._cause:
                self._board.hear()
                raise self._echo()
            time.sleep(0.01)

    def _end_process(self) -> None:
        """End this process, which waits for a rank that will not come."""
        error = self._echo()
        with suppress(Exception):
            self._recorder.close(error)
        with suppress(Exception):
            tell(error) if isinstance(error, RankError) else print("interrupted", file=sys.stderr)
        for process in self._children():
            process.kill()
        self._board.hear()
        self._board.neighbours.go()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._stopped or RankError.status)

    def _end_children(self, patience: float) -> None:
        """Let no rank that was started here outlive a stage that was cut short."""
        until = time.monotonic() + patience
        for process in self._children():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            process.kill()
