"""What runs on several ranks are compared by: data, models and samplers without hidden state, and what each has."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import Dataset, Sampler
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

FEATURES, CLASSES = 5, 3


class Points(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, samples: int, seed: int = 0) -> None:
        self.x = torch.randn(samples, FEATURES, generator=torch.Generator().manual_seed(seed))
        self.y = (self.x @ torch.arange(FEATURES).float() * 3).long() % CLASSES

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


class Batched(Points):
    """A dataset of batches of two samples."""

    def __len__(self) -> int:
        return len(self.x) // 2

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[2 * index : 2 * index + 2], self.y[2 * index : 2 * index + 2]


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, CLASSES))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)


class Shuffled(Sampler[int]):
    """A sampler of one's own that draws from python's generator, one index after the other."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[int]:
        left = list(range(self.samples))
        while left:
            yield left.pop(random.randrange(len(left)))


class Hidden(Sampler[int]):
    """A sampler whose order nobody can settle."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[int]:
        return iter(random.Random(os.getpid()).sample(range(self.samples), self.samples))


class ByLength(Sampler[list[int]]):
    """Batches of different sizes."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        start = 0
        for size in self.sizes:
            yield list(range(start, start + size))
            start += size


class Spread(Metric):
    """The standard deviation of what each sample's class was predicted with, kept sample by sample."""

    full_state_update = False

    def __init__(self, reduction: str | None = None) -> None:
        super().__init__()
        self.rows: list[Tensor]
        self.add_state("rows", [], dist_reduce_fx=reduction)

    def update(self, pred: Tensor, target: Tensor) -> None:
        self.rows.extend(row[kind] for row, kind in zip(pred, target, strict=True))

    def compute(self) -> Tensor:
        return dim_zero_cat(list(self.rows)).std(unbiased=False)


class Keep(pl.Callback):
    """Keep what each rank has trained, logged and loaded, in a file a rank."""

    def __init__(self, folder: str) -> None:
        self.folder, self.loaded, self.epochs = Path(folder), {"train": [], "val": []}, []  # type: ignore[var-annotated]

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, _: Any, batch: Any, *__: Any) -> None:
        self.loaded["train"].append(tree_leaves(batch)[0].clone())

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, _: Any, batch: Any, *__: Any
    ) -> None:
        self.loaded["val"].append(batch[0].clone())

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.on_train_epoch_start(trainer, module)
        model: Any = module.model
        kept: dict[str, Any] = {"weights": {name: value.cpu() for name, value in model.state_dict().items()}}
        kept |= {"epochs": self.epochs[1:], "loaded": self.loaded}
        self.folder.mkdir(exist_ok=True)
        torch.save(kept, self.folder / f"{trainer.global_rank}.pt")
