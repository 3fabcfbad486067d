"""The store in which the ranks of a run meet, seen from beside the process group: before there is one, and after."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from torch._C._distributed_c10d import TCPStore

Answer = TypeVar("Answer")

REACH = 2.0  # seconds to reach it


class Store:
    """A connection of our own to the store.

    Torch tells of a store that has ended by a traceback on stderr. A bare connection beside torch's tells it first.
    """

    def __init__(self, store: TCPStore, beside: socket.socket) -> None:
        self._store, self._beside = store, beside
        beside.setblocking(False)

    @classmethod
    def reached(cls, address: str, port: int) -> Store | None:
        """Return a connection to the store; None where none answers."""
        beside = None
        try:
            beside = socket.create_connection((address, port), timeout=REACH)
            timeout = timedelta(seconds=REACH)
            return cls(TCPStore(address, port, None, False, timeout, wait_for_workers=False), beside)
        except (OSError, RuntimeError):  # RuntimeError: torch's
            if beside is not None:
                beside.close()
            return None

    @classmethod
    def kept(cls, port: int) -> Store | None:
        """Return a store that this process keeps; None where the port is taken."""
        try:
            store = TCPStore("127.0.0.1", port, None, True, timedelta(seconds=REACH), wait_for_workers=False)
            return cls(store, socket.create_connection(("127.0.0.1", port), timeout=REACH))
        except (OSError, RuntimeError):
            return None

    @property
    def is_lost(self) -> bool:
        """Tell whether the process that keeps the store has ended."""
        try:
            self._beside.recv(1)  # nobody writes to it: an answer is its end
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Let go of the connection; the store counts as lost then."""
        self._beside.close()

    def claim(self, key: str, text: str) -> str:
        """Set a key unless someone has; return what it holds, nothing if the store is lost."""
        return self.change(key, "", text)

    def change(self, key: str, before: str, after: str) -> str:
        """Set a key that holds what it did before; return what it holds, nothing if the store is lost."""
        return self._asked(lambda: self._store.compare_set(key, before, after).decode(), "")

    def read(self, key: str) -> str:
        """Return what a key holds; nothing where it is not set, or the store is lost."""
        return self._asked(lambda: self._store.get(key).decode() if self._store.check([key]) else "", "")

    def add(self, key: str, number: int) -> int:
        """Add to a number and return it; 0 if the store is lost."""
        return self._asked(lambda: int(self._store.add(key, number)), 0)

    def _asked(self, question: Callable[[], Answer], without: Answer) -> Answer:
        try:
            return without if self.is_lost else question()
        except RuntimeError:  # it was lost just now
            return without
