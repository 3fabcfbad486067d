"""Whether ranks that should have the same tensors do, told from a digest of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed
from torch.nn.functional import pad

WORD = 8  # bytes that are summed as one number


def differing(trainer: pl.Trainer, named: Sequence[tuple[str, Tensor]]) -> list[str]:
    """Return the names of the tensors that differ between ranks that have the same part of them.

    Each rank must call this with tensors of the same names in the same order, and gets the same answer.
    """
    if not named or not distributed.is_available() or not distributed.is_initialized():
        return []
    device = trainer.strategy.root_device
    by_group: dict[Any, list[int]] = {}
    for number, (_, tensor) in enumerate(named):
        for group in groups_of(trainer, tensor):
            by_group.setdefault(group, []).append(number)
    digests = torch.stack([_digest(tensor).to(device) for _, tensor in named])
    differs = torch.zeros(len(named), dtype=torch.int64, device=device)
    for group, numbers in by_group.items():
        index = torch.tensor(numbers, device=device)
        own = digests[index]
        extremes = torch.stack([own, ~own])  # the most of what is inverted is the least
        distributed.all_reduce(extremes, distributed.ReduceOp.MAX, group)
        differs[index] |= (extremes[0] != ~extremes[1]).long()
    distributed.all_reduce(differs, distributed.ReduceOp.MAX)  # of groups with other parts too
    return [named[number][0] for number in differs.nonzero().flatten().tolist()]


def deviation(trainer: pl.Trainer, tensor: Tensor) -> tuple[float, float]:
    """Return how far apart the ranks are in a tensor at most, and its largest value; each rank must call this."""
    device = trainer.strategy.root_device
    own = local(tensor).detach().to(device, torch.float64).reshape(-1)
    found = torch.zeros(2, dtype=torch.float64, device=device)
    for group in groups_of(trainer, tensor):
        extremes = torch.stack([own, -own])
        distributed.all_reduce(extremes, distributed.ReduceOp.MAX, group)
        if own.numel():
            found = torch.maximum(found, torch.stack([extremes.sum(0).max(), extremes.abs().max()]))
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return float(found[0]), float(found[1])


def groups_of(trainer: pl.Trainer, tensor: Any) -> list[Any]:
    """Return the groups of ranks that have the same part of a tensor as this one; None is all ranks."""
    if not hasattr(tensor, "device_mesh"):
        return [None]
    mesh: Any = tensor.device_mesh
    whole: Any = trainer.lightning_module.device_mesh
    groups = [mesh.get_group(dim) for dim, placement in enumerate(tensor.placements) if placement.is_replicate()]
    return groups + [whole.get_group(name) for name in unsharded_dims(whole, tensor)]


def unsharded_dims(whole: Any, tensor: Any) -> Iterable[str]:
    """Return the names of a mesh's dimensions that a tensor on a part of the mesh does not know of."""
    names, own = (mesh.mesh_dim_names or () if mesh is not None else () for mesh in (whole, tensor.device_mesh))
    return [name for name in names if name not in own] if set(own) <= set(names) else []


def local(tensor: Any) -> Tensor:
    """Return the part of a sharded tensor that this rank has."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def _digest(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, taken as whole numbers: three times as fast as any checksum."""
    raw = local(tensor).detach().contiguous().reshape(-1).view(torch.uint8)
    if raw.storage_offset() % WORD:
        raw = raw.clone()
    whole = raw.numel() // WORD * WORD
    rest = pad(raw[whole:], (0, WORD - (raw.numel() - whole)))
    return raw[:whole].view(torch.int64).sum() + rest.view(torch.int64).sum()
