"""Let the processes that load data outlive a signal to their group, and not the process that they load for."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children
from multiprocessing.util import Finalize
from types import FrameType

from torch.utils.data import DataLoader

PATIENCE = (0.2, 5.0)  # seconds that a process has to end after the first SIGTERM, and after the second


def shielded(loader: object) -> object:
    """Let the processes of a loader outlive a signal to their group: the main one needs them to finish its step."""
    if isinstance(loader, DataLoader) and loader.num_workers:
        _end_children_at_exit(os.getpid())
        given = loader.worker_init_fn
        if not (isinstance(given, partial) and given.func is _init_worker):
            loader.worker_init_fn = partial(_init_worker, given)
    return loader


def _init_worker(given: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _pass_over_one)
    if given is not None:
        given(worker)


def _pass_over_one(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    signal.signal(number, signal.SIG_DFL)  # the next one is from the main process


@functools.cache
def _end_children_at_exit(process: int) -> None:  # noqa: ARG001 - once in each process
    Finalize(None, _end_children, exitpriority=0)


def _end_children() -> None:
    """End the daemons of this process for good.

    multiprocessing would do it next, but with one SIGTERM, which may be the one that is passed over, and then wait for
    ever.
    """
    children = [child for child in active_children() if child.daemon]
    if children and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes these ends for errors
    for patience in PATIENCE:
        end = time.monotonic() + patience
        for child in children:
            child.terminate()
        for child in children:
            child.join(max(end - time.monotonic(), 0))
    for child in children:
        child.kill()
