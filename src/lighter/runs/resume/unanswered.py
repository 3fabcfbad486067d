"""Signals that have come, but that Python cannot answer while the main thread waits inside of a library."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Unanswered:
    """Note each signal when the process gets it, which is before its handler runs."""

    def __init__(self) -> None:
        self._process: int | None = None
        self._reads = -1
        self._come = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note signals in this block; it must be in the main thread."""
        self._reads, writes = os.pipe()
        for end in (self._reads, writes):
            os.set_blocking(end, False)
        self._process = os.getpid()
        before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._process = None
            os.close(self._reads)
            os.close(writes)

    def latest(self) -> int:
        """Return the number of the signal that came last, in this process; 0 where none has."""
        if self._process == os.getpid():  # processes that are forked have the same pipe
            with suppress(BlockingIOError):
                self._come = (os.read(self._reads, 4096) or b"\0")[-1]
        return self._come
