"""The order of an epoch: what the loader's own sampler draws, under seeds that depend on the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from torch import distributed

from lighter.exact.dataset import Drawn
from lighter.exact.generators import ORDER, SAMPLE, mixed, seed_generators


class Order:
    """Draw what a sampler (or, `in_batches`, a batch sampler) draws, each with a seed, from the draw `start` on.

    Every draw is made under a seed of its own, as what else happens between two draws is another in a resumed run.
    """

    def __init__(self, sampler: Any, seed: int, *, in_batches: bool) -> None:
        self.given, self.seed, self.in_batches = sampler, seed, in_batches
        self.epoch = self.round = self.start = 0  # a loader that is shorter than another goes round in an epoch

    @property
    def sampler(self) -> Order:
        """Return whom Lightning tells the epoch, where this is the batch sampler."""
        return self

    @property
    def key(self) -> tuple[int, int, int]:
        return self.seed, self.epoch, self.round

    def set_epoch(self, epoch: int) -> None:
        self.epoch, self.round = epoch, 0

    def __len__(self) -> int:
        return len(self.given)

    def __iter__(self) -> Iterator[Any]:
        return self._draws(self.key, self.start)

    def _draws(self, key: tuple[int, int, int], start: int) -> Iterator[Any]:
        self._prepare(mixed(*key, ORDER))
        base, (rank, ranks), position = mixed(*key, SAMPLE), _rank(), 0
        drawn = iter(self.given)
        for number in count():
            seed_generators(mixed(*key, ORDER, number))
            try:
                draw = next(drawn)
            except StopIteration:
                return
            indices = list(draw) if self.in_batches else [draw]
            if number >= start:
                # counted over all ranks, so that no two draw with the same seed
                first = position * ranks + rank
                made = [Drawn(index, mixed(base, first + offset * ranks)) for offset, index in enumerate(indices)]
                yield made if self.in_batches else made[0]
            position += len(indices)

    def _prepare(self, seed: int) -> None:
        """Tell the samplers the epoch, and seed the generators that they have been given."""
        seed_generators(seed)
        part = self.given
        while part is not None:
            if callable(set_epoch := getattr(part, "set_epoch", None)):
                set_epoch(self.epoch)
            if isinstance(generator := getattr(part, "generator", None), torch.Generator):
                generator.manual_seed(seed)
            part = getattr(part, "sampler", None)


def _rank() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
