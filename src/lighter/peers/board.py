"""What the ranks of a stage tell one another, in the store by which they meet."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytorch_lightning as pl
from loguru import logger
from torch import distributed

from lighter.errors import LighterError, RankError, shorten
from lighter.launch import is_torchrun
from lighter.peers.neighbours import Neighbours
from lighter.peers.store import Store
from lighter.raised import what

LEAVE = 2.0  # seconds that the first rank stays for the others to hear of its failure
UNMET = 30.0  # seconds that a rank spends at most on telling those that it has not met yet
END = 60.0  # seconds that the first rank, which keeps the store, waits for the others at a good end
SHOWN = 2000  # characters of an error that are handed on

_starts = itertools.count()  # of stages in this process, which are as many on every rank


class Board:
    """Say that this rank failed, learn of others, and let the first one, which keeps the store, be the last to go."""

    def __init__(self, trainer: pl.Trainer) -> None:
        self._trainer = trainer
        self._prefix = f"lighter/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{next(_starts)}"
        self._store: Store | None = None
        self._reaching = threading.Lock()
        self._has_heard = False
        self._places: dict[int, str] = {}  # where in the data ranks were as one did not answer
        self.neighbours = Neighbours(trainer, self._prefix, self._reached)

    @property
    def is_lost(self) -> bool:
        """Tell whether the store has been reached and is gone, and with it the first rank."""
        store = self._reached()
        return store is not None and store.is_lost

    def told(self) -> str:
        """Return what another rank was the first to tell; nothing where none has failed, or this one was the first."""
        store = self._reached()
        failed = store.read(f"{self._prefix}/failed") if store else ""
        return "" if self._is_own(failed) else failed

    def tell(self, sentence: str) -> str:
        """Say how a rank failed, unless another one has said so before, and return what was said first."""
        store = self._reached()
        return (store.claim(f"{self._prefix}/failed", sentence) if store else "") or sentence

    def tell_own(self, text: str, limit: float = LEAVE) -> str:
        """Tell the others that this rank failed, and return what was told them first.

        The first rank stays until they have heard of it, or for `limit` seconds.
        """
        rank, until = self._trainer.global_rank, time.monotonic() + limit
        first = self.tell(f"rank {rank} failed: {text}")
        self.hear()
        while rank == 0 and time.monotonic() < until and not self._is_heard:
            time.sleep(0.1)
        return first

    def tell_error(self, error: Exception, limit: float = LEAVE) -> Exception:
        """Tell the others of an error of this rank's own, and return it; unless another rank has told them the same."""
        own = shorten(what(error), SHOWN)
        first = self.tell_own(own, limit)
        if self._is_own(first) or not first.endswith(f" failed: {own}"):
            return error
        if isinstance(error, LighterError):
            error.is_everyones = True
            return error
        return RankError(first)

    def tell_unmet(self, error: Exception) -> Exception:
        """Tell the others as soon as they can be reached; the first rank keeps the store in which they look."""
        began, is_told = time.monotonic(), False
        until = began + UNMET
        while self._reached() is None and time.monotonic() < until:
            if not is_told and time.monotonic() > began + LEAVE:
                is_told = True
                logger.info(f"rank {self._trainer.global_rank} failed, and waits for the others, to tell them")
            if self._trainer.global_rank == 0:
                environment = self._trainer._accelerator_connector.cluster_environment
                self._store = Store.kept(environment.main_port)
            time.sleep(0.1)
        return self.tell_error(error, until - time.monotonic())

    def hear(self) -> None:
        """Say, once, that this rank knows of the failure."""
        store = self._reached()
        if store is not None and not self._has_heard:
            self._has_heard = True
            store.add(f"{self._prefix}/heard", 1)

    def places(self, own: str, limit: float) -> dict[int, str]:
        """Say where in the data this rank is, and return where all are that have said so, within `limit` seconds."""
        rank, ranks = self._trainer.global_rank, range(self._trainer.world_size)
        store, until = self._reached(), time.monotonic() + limit
        self._places.setdefault(rank, own)
        if store is not None:
            store.claim(f"{self._prefix}/place/{rank}", own)
        while store is not None:
            said = {other: store.read(f"{self._prefix}/place/{other}") for other in ranks if other not in self._places}
            self._places |= {other: place for other, place in said.items() if place}
            if all(said.values()) or store.is_lost or time.monotonic() > until:
                break
            time.sleep(0.1)
        return dict(sorted(self._places.items()))

    def share(self, folder: Path | None) -> Path | None:
        """Say where the run is recorded, as the first rank knows, and return what it has said."""
        store, key = self._reached(), f"{self._prefix}/folder"
        if store is None:
            return None
        is_first = self._trainer.global_rank == 0
        said = (store.claim(key, str(folder)) if folder else "") if is_first else store.read(key)
        return Path(said) if said else None

    def come_to_an_end(self) -> None:
        """Say that this rank is through."""
        if store := self._reached():
            store.add(f"{self._prefix}/ended", 1)

    @property
    def have_all_ended(self) -> bool:
        """Tell whether all ranks are through, or cannot be asked."""
        store = self._reached()
        return store is None or store.is_lost or store.add(f"{self._prefix}/ended", 0) >= self._trainer.world_size

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()
        self._store = None

    @property
    def _is_heard(self) -> bool:
        """Tell whether all know of the failure, or can learn of it without this rank."""
        store, environment = self._reached(), self._trainer._accelerator_connector.cluster_environment
        launched = environment.creates_processes_externally or distributed.is_initialized()
        others = self._trainer.world_size if launched else self._trainer.num_nodes
        return store is None or is_torchrun() or store.add(f"{self._prefix}/heard", 0) >= others

    def _is_own(self, sentence: str) -> bool:
        return sentence.startswith(f"rank {self._trainer.global_rank} ")

    def _reached(self) -> Store | None:
        """Return the store, as soon as it is there."""
        with self._reaching:
            if self._store is None:
                environment = self._trainer._accelerator_connector.cluster_environment
                self._store = Store.reached(environment.main_address, environment.main_port)
            return self._store
