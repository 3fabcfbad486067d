"""Have Lightning give each rank its part of the data as `lighter._distributed` divides it."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.overrides.distributed import _IndexBatchSamplerWrapper
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.trainer.states import RunningStage
from torch.utils.data import BatchSampler, DataLoader

from lighter._distributed import DistributedBatches
from lighter._ranks import part_of_data
from lighter._samplers import samplers
from lighter.exact.loader import has_own_way


def distribute_batches(trainer: pl.Trainer, *, seeded: bool) -> None:
    """Divide what plain loaders load among the ranks, where Lightning would; other loaders are left to Lightning.

    Where the run is `seeded` its samplers draw alike on all ranks; else they are given a seed that the ranks share.
    """
    connector: Any = trainer._data_connector
    prepare = connector._prepare_dataloader

    def prepare_distributed(loader: Any, shuffle: bool, mode: RunningStage) -> object:
        if not isinstance(loader, DataLoader) or has_own_way(loader):
            return prepare(loader, shuffle=shuffle, mode=mode)
        if not connector._requires_distributed_sampler(loader):
            return prepare(loader, shuffle=shuffle, mode=mode)
        if _sees_to_ranks(loader):
            return loader
        predicts = mode == RunningStage.PREDICTING
        alike = seeded and not predicts
        seed = None if alike else trainer.strategy.broadcast(random.SystemRandom().getrandbits(48))
        rank, ranks = part_of_data(trainer)
        draws = _draws(loader, drop_last=not predicts)
        together = not predicts or _steps_together(trainer)
        batches: Any = DistributedBatches(draws, ranks, rank, seed, together=together)
        if predicts and loader.batch_sampler is not None:
            batches = _IndexBatchSamplerWrapper(batches)  # which tells writers the positions of the samples
        return _with_batches(loader, batches)

    connector._prepare_dataloader = prepare_distributed


def _steps_together(trainer: pl.Trainer) -> bool:
    """Tell whether a rank waits for the others in a step of predict, as it has but a part of the model."""
    return isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy)


def _sees_to_ranks(loader: DataLoader[Any]) -> bool:
    parts = [part for slot in (loader.sampler, loader.batch_sampler) for part in samplers(slot)]
    return any(hasattr(part, "num_replicas") for part in parts)


def _draws(loader: DataLoader[Any], *, drop_last: bool) -> Any:
    """Return what draws the batches of a loader; those of torch's kind to the last sample unless it may `drop_last`."""
    batches = loader.batch_sampler
    if type(batches) is BatchSampler and not drop_last:
        return BatchSampler(batches.sampler, batches.batch_size, drop_last=False)  # as Lightning does
    return loader.sampler if batches is None else batches


def _with_batches(loader: DataLoader[Any], batches: Any) -> DataLoader[Any]:
    changed = copy.copy(loader)
    slot = "sampler" if loader.batch_sampler is None else "batch_sampler"
    vars(changed)[slot] = batches  # which torch lets nobody set
    return changed
