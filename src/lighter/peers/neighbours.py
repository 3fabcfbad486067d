"""The ranks of this node, whose processes can be seen: whether one has died without a word."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytorch_lightning as pl

from lighter.peers.store import Store
from lighter.runs.record.process import began

GONE = "gone"  # in place of a signature: the rank has ended, in words if it failed


class Neighbours:
    """Sign for this rank's process in the store, look for those of the node's others, and sign off at the end."""

    def __init__(self, trainer: pl.Trainer, prefix: str, reached: Callable[[], Store | None]) -> None:
        self._trainer, self._prefix, self._reached = trainer, prefix, reached
        self._own = ""
        self._signed: dict[int, str] = {}

    def come(self) -> None:
        """Sign, as soon as the store is there."""
        if not self._own and (signed := signature()) and (store := self._reached()):
            self._own = store.claim(self._key(self._trainer.global_rank), signed)

    def go(self) -> None:
        """Sign off: nobody needs to wonder what has ended this rank."""
        if store := self._reached():
            store.change(self._key(self._trainer.global_rank), self._own, GONE)

    def has_gone(self, rank: int) -> bool:
        """Tell whether another rank has signed off."""
        store = self._reached()
        return store is not None and store.read(self._key(rank)) == GONE

    def dead(self) -> int | None:
        """Return a rank of this node that is dead and has not signed off; None where none is seen."""
        own, store = self._trainer.global_rank, self._reached()
        first = own - self._trainer.local_rank
        for rank in range(first, first + self._trainer.num_devices):
            if rank == own or store is None:
                continue
            signed = self._signed[rank] = self._signed.get(rank) or store.read(self._key(rank))
            if has_died(signed) and store.read(self._key(rank)) == signed:
                return rank
        return None

    def outlive(self, rank: int, limit: float) -> None:
        """Wait until the process of a rank of this node has ended, or for `limit` seconds."""
        until = time.monotonic() + limit
        while (signed := self._signed.get(rank)) and not has_died(signed) and time.monotonic() < until:
            time.sleep(0.02)

    def _key(self, rank: int) -> str:
        return f"{self._prefix}/process/{rank}"


def signature() -> str:
    """Return what tells this process from all others, of other containers and hosts too; nothing without /proc."""
    try:
        return f"{os.getpid()} {began(os.getpid())} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it has no end
    except OSError:
        return ""


def has_died(signed: str) -> bool:
    """Tell whether the process of a signature is seen to be dead."""
    here, there = signature().split(), signed.split()
    if len(here) != 3 or len(there) != 3:
        return False
    (_, mine, space), (pid, birth, other) = here, there
    is_seen = space == other and mine.partition(":")[0] == birth.partition(":")[0]  # in one container, of one host
    return is_seen and began(int(pid)) != birth
