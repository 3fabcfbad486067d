"""A module, a trainer and data small enough for every test of the callbacks."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

# Lightning's advice on speed; its own use of a class that torch deprecates; Python 3.12's advice against forking.
ADVICE = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]


class Numbers(Dataset[Tensor]):
    """Sample i is [i, -i]."""

    def __init__(self, length: int, start: int = 0) -> None:
        self.length = length
        self.start = start

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        value = float(self.start + index)
        return torch.tensor([value, -value])


class Predictor(LightningModule):
    """Predict what a function makes of the batch."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def predict_step(self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return self.function(batch)


class Growth(Callback):
    """Record, within `with`, the bytes that Python holds after every so many batches."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.sizes: list[int] = []

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        tracemalloc.stop()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx % self.every == self.every - 1:
            gc.collect()
            self.sizes.append(tracemalloc.get_traced_memory()[0])


def trainer(*callbacks: Callback, **arguments: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **arguments,
    )


def predict(
    writer: Callback,
    function: Callable[[Tensor], Any] = lambda batch: batch,
    samples: int = 10,
    batch_size: int = 4,
    **arguments: Any,
) -> None:
    loader = DataLoader(Numbers(samples), batch_size=batch_size)
    trainer(writer, **arguments).predict(Predictor(function), loader, return_predictions=False)
