"""Hold the folder of a run while a process writes to it, also against processes of other hosts."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from lighter._run_folder import LOCK

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A lock that the system lets go of when the process ends, however it does.

    It is one of POSIX: processes that are forked do not share it, and file systems of a network know it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file: int | None = None
        self._signer = 0  # the process that has taken it, and not one that was forked

    def take(self) -> bool:
        """Take the lock, and tell whether there is one to be had.

        Raises:
            BlockingIOError: another process has it.
        """
        if fcntl is None or self._file is not None:
            return self._file is not None
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(self._file)
        except BlockingIOError:
            self.release()
            raise
        except PermissionError as error:
            self.release()
            if self.path.exists() and os.access(self.path, os.W_OK):  # so some systems say that another has it
                raise BlockingIOError(str(error)) from error
        except OSError:  # a file system without locks, or one that is read-only
            self.release()
        return self._file is not None

    def holder(self) -> str:
        """Return which other process has the lock, as it has written there; nothing where that cannot be read.

        The process that has it must not ask: to close a file lets go of its locks.
        """
        try:
            return self.path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return ""

    def _sign(self, file: int) -> None:
        """Let others know who has the lock, as far as there is room for it."""
        self._signer = os.getpid()
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, f"process {self._signer} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        if self._file is not None:
            if self._signer == os.getpid():
                with suppress(OSError):
                    os.ftruncate(self._file, 0)
            os.close(self._file)
        self._file, self._signer = None, 0
