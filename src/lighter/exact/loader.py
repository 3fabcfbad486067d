"""A loader that knows where it is: every batch of every epoch is a function of the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lighter.exact.dataset import SeededDataset
from lighter.exact.generators import BATCH, FETCH, WORKERS, mixed, seed_generators
from lighter.exact.order import Order

OWN_WAY = ("__iter__", "__len__", "_get_iterator", "_index_sampler")  # a loader that has one of its own is left alone
END = object()


class ExactLoader(DataLoader[Any]):
    """Load what another loader would, in an order and with random samples that depend on seed and epoch alone.

    It has all attributes of the given loader; what it iterates over is a copy of that with other parts. Only when an
    iterator is first asked does it look at the epoch and at its place in it. After each batch the global generators
    are seeded: what the main process then does with it does not depend on where it was loaded.
    """

    def __init__(
        self, loader: DataLoader[Any], seed: int, epoch: Callable[[], int], *, rank: int = 0, goes_round: bool = False
    ) -> None:
        vars(self).update(vars(loader))
        self._seed, self._epoch, self._rank, self._goes_round = seed, epoch, rank, goes_round
        self._place = (-1, 0, 0)  # of the next iterator: epoch, round and batch
        self._slot = "sampler" if loader.batch_sampler is None else "batch_sampler"
        is_read = isinstance(loader.dataset, IterableDataset)
        self._order = None if is_read else Order(getattr(loader, self._slot), loader.dataset, rank)
        self._source: DataLoader[Any] | None = None

    def go_to(self, batch: int, *, goes_round: bool) -> None:
        """Let the next iterator start at this batch of the epoch, which a loader that goes round may be beyond."""
        length = _length(self) if goes_round else 0
        around, batch = divmod(batch, length) if length else (0, batch)
        self._place = (self._epoch(), around, batch)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch promises an iterator of its own
        now = self._epoch()
        epoch, around, start = self._place if self._place[0] == now else (now, 0, 0)
        self._place = (epoch, around + self._goes_round, 0)
        if start > (_length(self) or start):
            return  # without a seed, as it has already ended
        key = (self._seed, epoch, around)
        seed_generators(mixed(*key, WORKERS, self._rank))
        if isinstance(self.generator, torch.Generator):
            self.generator.manual_seed(mixed(*key, WORKERS, self._rank))
        if self._order is not None:
            self._order.begin(key, start)
        if self._source is None:
            self._source = self._make_source()
        batches = iter(self._source)
        for number in count(0 if self._order is None else start):
            if self._order is None:
                seed_generators(mixed(*key, FETCH, self._rank, number))
            batch = next(batches, END)
            seed_generators(mixed(*key, BATCH, number))
            if batch is END:
                return
            if number >= start:
                yield batch

    def _make_source(self) -> DataLoader[Any]:
        changed: dict[str, Any] = {"in_order": True}
        if self._order is not None:
            changed |= {self._slot: self._order, "dataset": SeededDataset(self.dataset, self.collate_fn)}
            changed |= {"worker_init_fn": partial(_init_worker, self.worker_init_fn)}
        source: DataLoader[Any] = object.__new__(DataLoader)
        vars(source).update(vars(self) | changed)
        return source

    @property
    def _iterator(self) -> Any:  # Lightning shuts down the workers that it finds here
        return None if self._source is None else self._source._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        if self._source is not None:
            self._source._iterator = iterator


def has_own_way(loader: DataLoader[Any]) -> bool:
    return any(getattr(type(loader), name) is not getattr(DataLoader, name) for name in OWN_WAY)


def _length(loader: DataLoader[Any]) -> int:
    try:
        return len(loader)
    except TypeError:
        return 0


def _init_worker(given: Callable[[int], None] | None, worker: int) -> None:
    """Let the user's function find the user's dataset, in which it may put other generators."""
    info = get_worker_info()
    assert info is not None
    seeded: Any = info.dataset
    object.__setattr__(info, "dataset", seeded.dataset)
    if given is not None:
        given(worker)
        seeded.find_generators()
