"""Which samples each rank loads: together those of one process, none twice and none left out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import BatchSampler, Sampler


class DistributedBatches(Sampler[Any]):
    """Draw one rank's part of what a sampler or a batch sampler draws.

    What all ranks load in a step is what one process would load with the batch size of all of them: each rank takes
    every n-th sample of it. Of a batch sampler of another kind than torch's each takes whole batches in turn. Where
    the last step leaves nothing for a rank, it loads again what another has, so that all ranks step equally often.

    `weights` has, by step, how much this rank's mean counts in the mean over the ranks, where that is not 1: less with
    fewer samples than the others, and nothing with samples that another has.

    The ranks must draw alike. Given a `seed` that they share they do, whatever state their generators are in.
    """

    def __init__(self, sampler: Any, ranks: int, rank: int, seed: int | None = None) -> None:
        self.sampler, self.ranks, self.rank, self.seed = sampler, ranks, rank, seed
        self.weights: dict[int, float] = {}
        self._together: BatchSampler | None = None  # the batches of all ranks, where they can be divided
        if type(sampler) is BatchSampler:
            self._together = BatchSampler(sampler.sampler, sampler.batch_size * ranks, sampler.drop_last)
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.ranks) if self._together is None else len(self._together)

    def __iter__(self) -> Iterator[Any]:
        self.weights.clear()
        draws = iter(self.sampler if self._together is None else self._together)
        if self.seed is not None:
            draws = _drawn_alike(draws, self.seed + self._epoch)
            self._epoch += 1
        for step, (own, weight) in enumerate(self._dealt(draws) if self._together is None else self._divided(draws)):
            if weight != 1:
                self.weights[step] = weight
            yield own

    def _divided(self, batches: Iterator[list[Any]]) -> Iterator[tuple[Any, float]]:
        """Yield this rank's part of each batch, and its weight."""
        for batch in batches:
            own = batch[self.rank :: self.ranks]
            yield own or batch[:: self.ranks], len(own) * self.ranks / len(batch)

    def _dealt(self, draws: Iterator[Any]) -> Iterator[tuple[Any, float]]:
        """Yield one of as many draws as there are ranks, and its weight."""
        while shares := list(islice(draws, self.ranks)):
            sizes = [len(share) if isinstance(share, Sized) else 1 for share in shares]
            is_there = self.rank < len(shares)
            weight = sizes[self.rank] * self.ranks / sum(sizes) if is_there else 0.0
            yield shares[self.rank if is_there else 0], weight


def weights_of(trainer: pl.Trainer, mode: str) -> Sequence[Mapping[int, float]]:
    """Return, for each loader of a mode, the `weights` of its batches on this rank."""
    if trainer.world_size == 1:
        return ()
    loaders = trainer.train_dataloader if mode == "train" else getattr(trainer, f"{mode}_dataloaders")
    flattened = CombinedLoader(loaders).flattened
    if mode == "train" and len(flattened) > 1:  # a batch has samples of several
        return ()
    return [_weights(loader) for loader in flattened]


def _weights(loader: Any) -> Mapping[int, float]:
    parts = [getattr(loader, slot, None) for slot in ("batch_sampler", "sampler")]
    parts += [getattr(part, "_batch_sampler", None) for part in parts]  # in predict, inside of one of Lightning's
    return next((part.weights for part in parts if isinstance(part, DistributedBatches)), {})


def _drawn_alike(draws: Iterator[Any], seed: int) -> Iterator[Any]:
    """Draw from the global generators in states that follow from the seed, and leave them to others as they were."""
    others = _states()
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    own = _exchange(others)
    while True:
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
