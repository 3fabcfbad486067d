"""What all tests share: threads that leave the cores to the others, and a process that is as it was."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Take back what commands and launchers leave in this process, for the next test: above all in the environment."""
    before, modules, collects = dict(os.environ), set(sys.modules), gc.isenabled()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        if handler is not None:  # else it is not Python's, and cannot be put back
            signal.signal(number, handler)
    if collects:
        gc.enable()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "project":
            del sys.modules[name]
