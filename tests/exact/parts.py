"""Runs with every kind of randomness, cut off and resumed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

from lighter.exact import Exact
from lighter.system import System

SAMPLES, FEATURES, CLASSES, BATCH, EPOCHS = 22, 5, 3, 4, 3  # the last of the six batches has two samples
SEED = 7


class Noisy(Dataset[tuple[Tensor, int]]):
    """Samples augmented from all three global generators, wherever they are loaded."""

    def __init__(self, samples: int = SAMPLES) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(samples, FEATURES, generator=generator)
        self.y = self.x.argmax(1) % CLASSES

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.randn(FEATURES) + float(np.random.randn()) + random.random()
        return self.x[index] + 0.3 * noise, int(self.y[index])


class Stream(IterableDataset[tuple[Tensor, int]]):
    def __init__(self) -> None:
        self.data = Noisy()

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for index in range(SAMPLES):
            yield self.data[index]


class Big(Noisy):
    def __init__(self) -> None:
        super().__init__(50)


class Batched(Noisy):
    """A dataset of batches."""

    def __len__(self) -> int:
        return len(self.x) // BATCH

    def __getitem__(self, index: int) -> Any:
        return mixing([super(Batched, self).__getitem__(BATCH * index + offset) for offset in range(BATCH)])


def by_weight(samples: int) -> WeightedRandomSampler:
    return WeightedRandomSampler([1.0 + number for number in range(samples)], samples)


def both(batches: Any) -> tuple[Tensor, Tensor, None]:
    """Take a batch from several loaders: the sum of what they yield; of one that has ended, nothing."""
    there = [batch for batch in batches if batch is not None]
    smallest = min(len(x) for x, _ in there)
    return torch.stack([x[:smallest] for x, _ in there]).sum(0), there[0][1][:smallest], None


def mixing(samples: list[Any]) -> Any:
    """Collate, with a random permutation of the features of the whole batch."""
    x = torch.stack([x for x, _ in samples])
    return x[:, torch.randperm(FEATURES)], torch.tensor([y for _, y in samples])


class Net(nn.Module):
    """Dropout, batch statistics, and noise in the main process from all three generators."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x + 0.1 * (torch.randn_like(x) + float(np.random.randn()) + random.random())
        made: Tensor = self.layers(x)
        return made


class Memory(Logger):
    """Keep what is logged, by name and step; what is logged again must be the same."""

    name = version = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[tuple[str, int | None], float] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.values |= {(name, step): value for name, value in metrics.items()}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


class KeepAll(ModelCheckpoint):
    """Save in every hook that Lightning's own checkpoints are saved in, and keep every one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, save_top_k=0)
        self.folder = folder
        self.saved: list[Path] = []

    def save(self, trainer: pl.Trainer, where: str) -> None:
        if trainer.sanity_checking:
            return
        path = self.folder / f"{len(self.saved):03}-{where}.ckpt"
        self.saved.append(path)
        trainer.save_checkpoint(path)

    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        self.save(trainer, "batch")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.save(trainer, "validation")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.save(trainer, "epoch")


def loader(dataset: Any = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset or Noisy(), **({"batch_size": BATCH, "shuffle": True} | options))


def make(
    *callbacks: pl.Callback,
    train: Any = None,
    val: Any = None,
    scheduler: Any = None,
    module: Any = None,
    **changes: Any,
) -> tuple[pl.Trainer, Any, Memory]:
    """Return a run that is ready to start, whatever the generators hold."""
    torch.manual_seed(SEED)
    made = Net() if module is None else module()
    metrics = {
        "accuracy": MulticlassAccuracy(CLASSES, average="micro"),
        "auroc": MulticlassAUROC(CLASSES, average=None),
    }
    memory = Memory()
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": EPOCHS,
        "logger": memory,
        "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
    }
    trainer = pl.Trainer(callbacks=[Exact(SEED), *callbacks], **(options | changes))
    if module is not None:
        seed_at_random()
        return trainer, made, memory
    system = System(
        made,
        dataloaders={
            "train": loader() if train is None else train,
            **({} if val is False else {"val": loader(shuffle=False) if val is None else val}),
        },
        optimizer=lambda system: torch.optim.Adam(system.parameters(), lr=0.02),
        scheduler=scheduler,
        criterion=nn.CrossEntropyLoss(),
        metrics={"train": metrics, **({} if val is False else {"val": metrics})},
    )
    seed_at_random()
    return trainer, system, memory


def seed_at_random() -> None:
    """Leave the global generators as no other run has them."""
    random.seed()
    np.random.seed()
    torch.seed()


Result = tuple[dict[str, Tensor], dict[str, float], dict[tuple[str, int | None], float]]


def result(trainer: pl.Trainer, system: pl.LightningModule, memory: Memory) -> Result:
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return system.state_dict(), metrics, memory.values


def run(
    *callbacks: pl.Callback, ckpt: Path | None = None, data: pl.LightningDataModule | None = None, **changes: Any
) -> Result:
    trainer, system, memory = make(*callbacks, **changes)
    trainer.fit(system, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return result(trainer, system, memory)


def differences(whole: Result, resumed: Result) -> list[str]:
    """Return what a resumed run has differently; of what it logged, all must be what the whole run logged there."""
    found = [name for name, value in whole[0].items() if not torch.equal(value, resumed[0][name])]
    found += [name for name in whole[1] | resumed[1] if not same(whole[1].get(name), resumed[1].get(name))]
    return found + [f"{key}" for key, value in resumed[2].items() if not same(whole[2].get(key), value)]


def same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and one != one and other != other)
