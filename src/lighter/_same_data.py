"""Notice ranks that train on the same samples, each of them for nothing, and samples that no rank trains on."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader, rank_zero_warn
from torch.utils import _pytree as pytree
from torch.utils.data import IterableDataset

from lighter._distributed import DistributedBatches, distributed_batches
from lighter._ranks import of_all_ranks, part_of_data
from lighter._samplers import samplers

_NONE: Any = None


class SameData(pl.Callback):
    """Warn if of an iterable dataset the first batch of two ranks is the same, or if a sampler draws differently."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if trainer.world_size == 1:
            self.on_train_batch_start = _NONE  # type: ignore[method-assign]  # Lightning then passes over it

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self.on_train_batch_start = _NONE  # type: ignore[method-assign]
        loaders = CombinedLoader(trainer.train_dataloader).flattened
        streams = [loader.dataset for loader in loaders if isinstance(_dataset(loader), IterableDataset)]
        if streams:
            _warn_of_same(trainer, streams[0], batch)
        for divided in filter(None, map(distributed_batches, loaders)):
            _warn_of_different(trainer, divided)


def _dataset(loader: Any) -> Any:
    return getattr(loader, "dataset", None)


def _warn_of_same(trainer: pl.Trainer, stream: IterableDataset[Any], batch: Any) -> None:
    """Nobody else can divide what a dataset yields."""
    digests = dict(of_all_ranks(trainer, (part_of_data(trainer)[0], _digest(batch))))  # one where they are to be same
    same = [rank for rank in sorted(digests) if list(digests.values()).count(digests[rank]) > 1]
    if same:
        rank_zero_warn(
            f"{type(stream).__name__} yields the same samples on {len(same)} of {len(digests)} ranks, which train "
            "on each of them more than once. Let its __iter__ yield a part: "
            "itertools.islice(samples, torch.distributed.get_rank(), None, torch.distributed.get_world_size())"
        )


def _warn_of_different(trainer: pl.Trainer, divided: DistributedBatches) -> None:
    """What the ranks take their parts of has to be the same."""
    if len(set(of_all_ranks(trainer, crc32(repr(divided.first).encode())))) > 1:
        *_, sampler = samplers(divided)
        rank_zero_warn(
            f"{type(sampler).__name__} draws differently on the ranks, so they train on some samples more than once "
            "and on others not at all. Let it draw from the global generators of torch, numpy or random; or give the "
            "config a `seed`, and the sampler a generator that it keeps."
        )


def _digest(batch: Any) -> tuple[int, ...]:
    return tuple(_digest_of(leaf) for leaf in pytree.tree_leaves(batch))


def _digest_of(leaf: Any) -> int:
    if not isinstance(leaf, torch.Tensor) or leaf.layout != torch.strided:
        return crc32(repr(leaf).encode())
    return crc32(leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
