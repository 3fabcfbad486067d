"""The order of an epoch: what the loader's own sampler draws, under seeds that depend on the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from lighter._samplers import draws_at_once, samplers
from lighter.exact.dataset import Drawn
from lighter.exact.generators import ORDER, SAMPLES, mixed, seed_generator, seed_generators
from lighter.exact.search import own_generators


class Order:
    """Draw what a sampler or a batch sampler draws, each with a seed.

    What else happens between two draws is another in a resumed run, so a sampler that may draw from the global
    generators whenever it is asked is asked under a seed of its own each time.
    """

    def __init__(self, sampler: Any, dataset: Any, rank: int) -> None:
        self.given, self.rank = sampler, rank
        self._at_once = draws_at_once(sampler)
        self._generators = own_generators(sampler, beside=[dataset])
        self._doubted = True

    def begin(self, key: tuple[int, int, int], start: int) -> None:
        """Let the next iterator draw for this seed, epoch and round, from this draw on."""
        self._key, self._start = key, start

    def __len__(self) -> int:
        return len(self.given)

    def __iter__(self) -> Iterator[Drawn]:
        key, start = self._key, self._start
        self._prepare(key[1], mixed(*key, ORDER))
        drawn, samples = iter(self.given), mixed(*key, SAMPLES, self.rank)
        for number in count():
            if not number or not self._at_once:
                seed_generators(mixed(*key, ORDER, number))
            try:
                index = next(drawn)
            except StopIteration:
                return
            if number >= start:
                yield Drawn(index, mixed(samples, number), self._doubted)
                self._doubted = False

    def _prepare(self, epoch: int, seed: int) -> None:
        """Tell the samplers the epoch, and seed the generators that they have been given."""
        for part in samplers(self.given):
            if callable(set_epoch := getattr(part, "set_epoch", None)):
                set_epoch(epoch)
        for number, generator in enumerate(self._generators):
            seed_generator(generator, mixed(seed, number))
