"""What each rank has of its own: in one checkpoint, and of the data."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities import move_data_to_device, rank_zero_warn


def of_all_ranks(trainer: Trainer, own: Any) -> list[Any]:
    """Return what every rank has, on the CPU; each rank must call this."""
    own = move_data_to_device(own, torch.device("cpu"))
    if trainer.world_size == 1:
        return [own]
    everyones: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyones, own)
    return everyones


def of_this_rank(trainer: Trainer, everyones: list[Any]) -> Any:
    """Return what this rank had, or None where there were more or fewer of them."""
    if len(everyones) == trainer.world_size:
        return everyones[trainer.global_rank]
    here = "is 1" if trainer.world_size == 1 else f"are {trainer.world_size}"
    rank_zero_warn(f"the checkpoint is of {len(everyones)} ranks, here {here}: the epoch goes on inexactly")
    return None


def part_of_data(trainer: Trainer) -> tuple[int, int]:
    """Return which part of the data this rank has, and how many parts there are."""
    share = trainer.distributed_sampler_kwargs or {"rank": 0, "num_replicas": 1}
    return share["rank"], share["num_replicas"]


def repeats_data(trainer: Trainer) -> bool:
    """Tell whether an earlier rank has the same data, as those have that share each layer between them."""
    if trainer.world_size == 1 or not isinstance(trainer.strategy, ModelParallelStrategy):
        return False
    mesh = trainer.strategy.device_mesh
    return mesh is not None and mesh["tensor_parallel"].get_local_rank() > 0
