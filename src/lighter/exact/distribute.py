"""Have Lightning give each rank its part of the data as `lighter._distributed` divides it."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import RunningStage
from torch.utils.data import DataLoader

from lighter._distributed import DistributedBatches
from lighter.exact.loader import has_own_way
from lighter.exact.order import samplers


def distribute_batches(trainer: pl.Trainer, *, seeded: bool) -> None:
    """Divide what plain loaders load among the ranks, where Lightning would; predict, and other loaders, it divides.

    Where the run is `seeded` its samplers draw alike on all ranks; else they are given a seed that the ranks share.
    """
    connector: Any = trainer._data_connector
    prepare = connector._prepare_dataloader

    def prepare_distributed(loader: Any, shuffle: bool, mode: RunningStage) -> object:
        is_ours = (
            mode != RunningStage.PREDICTING and _is_plain(loader) and connector._requires_distributed_sampler(loader)
        )
        if not is_ours:
            return prepare(loader, shuffle=shuffle, mode=mode)
        seed = None if seeded else trainer.strategy.broadcast(random.SystemRandom().getrandbits(48))
        return _distributed(loader, seed, trainer.distributed_sampler_kwargs)

    connector._prepare_dataloader = prepare_distributed


def _is_plain(loader: object) -> bool:
    """Tell whether a loader draws as torch's does, and leaves the ranks to others."""
    if not isinstance(loader, DataLoader) or has_own_way(loader):
        return False
    parts = [part for slot in (loader.sampler, loader.batch_sampler) for part in samplers(slot)]
    return not any(hasattr(part, "num_replicas") for part in parts)


def _distributed(loader: DataLoader[Any], seed: int | None, share: Any) -> DataLoader[Any]:
    slot = "sampler" if loader.batch_sampler is None else "batch_sampler"
    batches = DistributedBatches(getattr(loader, slot), share["num_replicas"], share["rank"], seed)
    distributed = copy.copy(loader)
    vars(distributed)[slot] = batches  # which torch lets nobody set
    return distributed
