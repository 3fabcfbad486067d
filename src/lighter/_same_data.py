"""Notice ranks that train on the same samples, each of them for nothing."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader, rank_zero_warn
from torch import distributed
from torch.utils import _pytree as pytree
from torch.utils.data import IterableDataset

from lighter._ranks import part_of_data

_NONE: Any = None


class SameData(pl.Callback):
    """Warn if, of an iterable dataset, the first batch of two ranks is the same: nobody else can divide it."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if trainer.world_size == 1:
            self.on_train_batch_start = _NONE  # type: ignore[method-assign]  # Lightning then passes over it

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self.on_train_batch_start = _NONE  # type: ignore[method-assign]
        loaders = CombinedLoader(trainer.train_dataloader).flattened
        read = [
            dataset for loader in loaders if isinstance(dataset := getattr(loader, "dataset", None), IterableDataset)
        ]
        if not read:
            return
        everyones: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(everyones, (part_of_data(trainer)[0], _digest(batch)))
        digests = dict(everyones)  # of ranks that are to have the same, one
        same = [rank for rank in sorted(digests) if list(digests.values()).count(digests[rank]) > 1]
        if same:
            rank_zero_warn(
                f"{type(read[0]).__name__} yields the same samples on {len(same)} of {len(digests)} ranks, which train "
                "on each of them more than once. Let its __iter__ yield a part: "
                "itertools.islice(samples, torch.distributed.get_rank(), None, torch.distributed.get_world_size())"
            )


def _digest(batch: Any) -> tuple[int, ...]:
    return tuple(_digest_of(leaf) for leaf in pytree.tree_leaves(batch))


def _digest_of(leaf: Any) -> int:
    if not isinstance(leaf, torch.Tensor):
        return crc32(repr(leaf).encode())
    return crc32(leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
