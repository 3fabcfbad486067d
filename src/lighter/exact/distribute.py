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
from lighter.exact.loader import has_own_way
from lighter.exact.order import samplers


def distribute_batches(trainer: pl.Trainer, *, seeded: bool) -> None:
    """Divide what plain loaders load among the ranks, where Lightning would; other loaders are left to Lightning.

    Where the run is `seeded` its samplers draw alike on all ranks; else they are given a seed that the ranks share.
    """
    connector: Any = trainer._data_connector
    prepare = connector._prepare_dataloader

    def prepare_distributed(loader: Any, shuffle: bool, mode: RunningStage) -> object:
        predicts = mode == RunningStage.PREDICTING
        if not (_is_plain(loader) and connector._requires_distributed_sampler(loader)):
            return prepare(loader, shuffle=shuffle, mode=mode)
        if predicts and not _steps_together(trainer):
            return prepare(loader, shuffle=shuffle, mode=mode)  # with no step that any rank need not take
        alike = seeded and not predicts
        seed = None if alike else trainer.strategy.broadcast(random.SystemRandom().getrandbits(48))
        return _distributed(loader, part_of_data(trainer), seed, predicts)

    connector._prepare_dataloader = prepare_distributed


def _steps_together(trainer: pl.Trainer) -> bool:
    """Tell whether a rank waits for the others in a step of predict, as it has but a part of the model."""
    return isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy)


def _is_plain(loader: object) -> bool:
    """Tell whether a loader draws as torch's does, and leaves the ranks to others."""
    if not isinstance(loader, DataLoader) or has_own_way(loader):
        return False
    parts = [part for slot in (loader.sampler, loader.batch_sampler) for part in samplers(slot)]
    return not any(hasattr(part, "num_replicas") for part in parts)


def _distributed(loader: DataLoader[Any], part: tuple[int, int], seed: int | None, predicts: bool) -> DataLoader[Any]:
    rank, ranks = part
    slot = "sampler" if loader.batch_sampler is None else "batch_sampler"
    sampler = getattr(loader, slot)
    if predicts and type(sampler) is BatchSampler:
        sampler = BatchSampler(sampler.sampler, sampler.batch_size, drop_last=False)  # as Lightning does
    batches: Any = DistributedBatches(sampler, ranks, rank, seed)
    if predicts and slot == "batch_sampler":
        batches = _IndexBatchSamplerWrapper(batches)  # which tells writers the positions of the samples
    distributed = copy.copy(loader)
    vars(distributed)[slot] = batches  # which torch lets nobody set
    return distributed
