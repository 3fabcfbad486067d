"""Which samples each rank loads: together those of one process, none twice and none left out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import count, islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, Sampler

from lighter._samplers import draws_at_once


class DistributedBatches(Sampler[Any]):
    """Draw one rank's part of what a sampler or a batch sampler draws.

    What all ranks load in a step is what one process would load with the batch size of all of them: each rank takes
    every n-th sample of it. Of a batch sampler of another kind than torch's each takes whole batches in turn. Where
    the last step leaves nothing for a rank, it loads again what another has, so that all ranks step equally often; or,
    unless they step `together`, it has one step less, but at least one.

    `weights` has, by step, how much this rank's mean counts in the mean over the ranks, where that is not 1: less with
    fewer samples than the others, and nothing with samples that another has.

    The ranks must draw alike. Given a `seed` that they share they do, whatever state their generators are in. `first`
    is what was drawn for all of them in the first step of an epoch.
    """

    def __init__(self, sampler: Any, ranks: int, rank: int, seed: int | None = None, *, together: bool = True) -> None:
        self.sampler, self.ranks, self.rank, self.seed, self.together = sampler, ranks, rank, seed, together
        self.weights: dict[int, float] = {}
        self.first: Any = None
        self._of_all: BatchSampler | None = None  # the batches of all ranks, where they can be divided
        if type(sampler) is BatchSampler:
            self._of_all = BatchSampler(sampler.sampler, sampler.batch_size * ranks, sampler.drop_last)
        self._epoch = 0

    def __len__(self) -> int:
        if self._of_all is None:
            steps, left = divmod(len(self.sampler), self.ranks)
        else:
            steps, left = divmod(len(self._of_all.sampler), self._of_all.batch_size)  # type: ignore[arg-type]
            left = 0 if self._of_all.drop_last else left
        return steps + (left > 0 if self.together or not steps else left > self.rank)

    def __iter__(self) -> Iterator[Any]:
        self.weights.clear()
        draws = iter(self.sampler if self._of_all is None else self._of_all)
        if self.seed is not None:
            draws = _drawn_alike(draws, self.seed + self._epoch, at_once=draws_at_once(self.sampler))
            self._epoch += 1
        shares = self._dealt(draws) if self._of_all is None else self._divided(draws)
        for step, (all_of_them, own, weight) in enumerate(shares):
            if step == 0:
                self.first = all_of_them
            elif not weight and not self.together:
                return
            if weight != 1:
                self.weights[step] = weight
            yield own

    def set_epoch(self, epoch: int) -> None:
        if callable(set_epoch := getattr(self.sampler, "set_epoch", None)):
            set_epoch(epoch)

    def _divided(self, batches: Iterator[list[Any]]) -> Iterator[tuple[Any, Any, float]]:
        """Yield each batch of all ranks, this rank's part of it, and its weight."""
        for batch in batches:
            own = batch[self.rank :: self.ranks]
            yield batch, own or batch[:: self.ranks], len(own) * self.ranks / len(batch)

    def _dealt(self, draws: Iterator[Any]) -> Iterator[tuple[Any, Any, float]]:
        """Yield as many draws as there are ranks, this rank's one of them, and its weight."""
        while shares := list(islice(draws, self.ranks)):
            sizes = [len(share) if isinstance(share, Sized) else 1 for share in shares]
            is_there = self.rank < len(shares)
            weight = sizes[self.rank] * self.ranks / sum(sizes) if is_there else 0.0
            yield shares, shares[self.rank if is_there else 0], weight


def weights_of(trainer: pl.Trainer) -> Sequence[Sequence[Mapping[int, float]]]:
    """Return the `weights` of this rank's batches in the running loop.

    For each loader that is read after the others, or else for all at once, they are those of the loaders that a batch
    is of.
    """
    loop: Any = trainer._active_loop
    if trainer.world_size == 1 or loop is None or loop._combined_loader is None:
        return ()
    weights = [_weights(loader) for loader in loop._combined_loader.flattened]
    return [[one] for one in weights] if loop._combined_loader._mode == "sequential" else [weights]


def weight_of(weights: Sequence[Sequence[Mapping[int, float]]], batch_idx: int, dataloader_idx: int = 0) -> float:
    """Return how much a batch counts in the mean over the ranks; 1 where the loaders that it is of do not agree."""
    loaders = weights[dataloader_idx] if weights else []
    found = {of_loader.get(batch_idx, 1.0) for of_loader in loaders}
    return found.pop() if len(found) == 1 else 1.0


def distributed_batches(loader: Any) -> DistributedBatches | None:
    """Return what draws a rank's part for a loader, if anything does."""
    parts = [getattr(loader, slot, None) for slot in ("batch_sampler", "sampler")]
    parts += [getattr(part, "_batch_sampler", None) for part in parts]  # in predict, inside of one of Lightning's
    return next((part for part in parts if isinstance(part, DistributedBatches)), None)


def _weights(loader: Any) -> Mapping[int, float]:
    batches = distributed_batches(loader)
    return {} if batches is None else batches.weights


def _drawn_alike(draws: Iterator[Any], seed: int, *, at_once: bool) -> Iterator[Any]:
    """Draw from the global generators in states that follow from the seed, and leave them to others as they were."""
    others = _states()
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    own = _exchange(others)
    for number in count():
        if number and at_once:
            yield from draws
            return
        others = _exchange(own)
        try:
            drawn = next(draws)
        except StopIteration:
            return
        finally:
            own = _exchange(others)
        yield drawn


def _exchange(states: tuple[Any, Any, torch.Tensor]) -> tuple[Any, Any, torch.Tensor]:
    """Put the global generators into these states, and return those they were in."""
    before = _states()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.default_generator.set_state(states[2])
    return before


def _states() -> tuple[Any, Any, torch.Tensor]:
    return random.getstate(), np.random.get_state(), torch.default_generator.get_state()
