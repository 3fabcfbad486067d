"""A loader that knows where it is: every batch of every epoch is a function of the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lighter.exact.dataset import SeededDataset, own_generators, seeded
from lighter.exact.generators import BATCH, FETCH, WORKERS, mixed, seed_generators
from lighter.exact.order import Order

KEPT = ("collate_fn", "num_workers", "pin_memory", "timeout", "multiprocessing_context", "generator")
KEPT_WITH_WORKERS = ("persistent_workers", "prefetch_factor")
OWN_WAY = ("__iter__", "__len__", "_get_iterator", "_index_sampler")  # a loader that has one of its own is left alone

IS_ITERABLE = (
    "{name} is an iterable dataset. A resumed run reads it again from the start of the epoch, and is the same only if "
    "it yields the same again; another num_workers may change what it yields."
)
HAS_GENERATORS = (
    "{name} is a random generator of the dataset's own, which `seed` does not cover: use the global generators of "
    "torch, numpy or random instead, which are seeded for each sample."
)
LOADS_IN_ITS_WAY = "{name} loads in a way of its own, which `seed` does not cover."


class ExactLoader(DataLoader[Any]):
    """Load what another loader would, in an order and with random samples that depend on seed and epoch alone.

    Only when it is first asked does an iterator look at the epoch, which Lightning tells after making it. After
    each batch the global generators are seeded: what the main process then does with it does not depend on where it
    was loaded.
    """

    def __init__(self, loader: DataLoader[Any], seed: int) -> None:
        names = (*KEPT, *KEPT_WITH_WORKERS) if loader.num_workers else KEPT
        options: dict[str, Any] = {name: getattr(loader, name) for name in names}
        in_batches = loader.batch_sampler is not None
        self._start: int | None = 0  # of the next iterator
        self._reads_again = isinstance(loader.dataset, IterableDataset)
        self.order = Order(loader.batch_sampler if in_batches else loader.sampler, seed, in_batches=in_batches)
        if self._reads_again:
            options |= {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
            super().__init__(loader.dataset, worker_init_fn=loader.worker_init_fn, **options)
            vars(self)["sampler"] = self.order  # only for Lightning to tell it the epoch
        else:
            options |= {"batch_sampler": self.order} if in_batches else {"batch_size": None, "sampler": self.order}
            worker_init = partial(_init_worker, loader.worker_init_fn)
            super().__init__(seeded(loader.dataset), worker_init_fn=worker_init, **options)

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def start_at(self, batch: int | None) -> None:
        """Let the next iterator start at this batch of the epoch, or have none where it is None."""
        self._start = batch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch promises an iterator of its own
        start, self._start = self._start, 0
        return iter(()) if start is None else self._batches(start)

    def _batches(self, start: int) -> Iterator[Any]:
        skipped = start if self._reads_again else 0
        if not self._reads_again and start >= len(self) > 0:  # shorter than another loader: it has gone round
            self.order.round, start = divmod(start, len(self))
        self.order.start = start - skipped
        key = self.order.key
        seed_generators(mixed(*key, WORKERS))
        if isinstance(self.generator, torch.Generator):
            self.generator.manual_seed(mixed(*key, WORKERS))
        batches = super().__iter__()
        self.order.round += 1
        for number in count(start - skipped):
            if self._reads_again:
                seed_generators(mixed(*key, FETCH, number))
            try:
                batch = next(batches)
            except StopIteration:
                return
            if number >= start:
                seed_generators(mixed(*key, BATCH, number))
                yield batch


def exact(loader: DataLoader[Any], seed: int) -> DataLoader[Any]:
    """Return a loader of the same batches whose randomness follows from the seed; one with ways of its own as it is."""
    return loader if isinstance(loader, ExactLoader) or _has_own_way(loader) else ExactLoader(loader, seed)


def what_is_not_exact(loader: DataLoader[Any]) -> list[str]:
    """Return why a run that loads with this may not be repeated or resumed exactly; empty if it can."""
    if _has_own_way(loader):
        return [] if hasattr(loader, "load_state_dict") else [LOADS_IN_ITS_WAY.format(name=type(loader).__name__)]
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        return [IS_ITERABLE.format(name=type(dataset).__name__)]
    return [HAS_GENERATORS.format(name=name) for name in own_generators(dataset)[:1]]


def _has_own_way(loader: DataLoader[Any]) -> bool:
    return any(getattr(type(loader), name) is not getattr(DataLoader, name) for name in OWN_WAY)


def _init_worker(given: Callable[[int], None] | None, worker: int) -> None:
    """Let the user's function find the user's dataset."""
    info = get_worker_info()
    if info is not None and isinstance(info.dataset, SeededDataset):
        object.__setattr__(info, "dataset", info.dataset.dataset)
    if given is not None:
        given(worker)
