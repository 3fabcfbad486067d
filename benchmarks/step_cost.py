"""Measure what a training step costs beside its arithmetic, in microseconds of CPU time with a tiny MLP.

    python benchmarks/step_cost.py [--steps 400] [--repeats 7]

All loops see the same batches and keep the same four metrics. They take turns, so that a slow moment of the machine
hits all of them, and the medians over the repeats are compared within the one run.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision, MulticlassRecall

from lighter.system import System

CLASSES, FEATURES, BATCH_SIZE = 10, 32, 32
Batch = tuple[Tensor, Tensor]


def make_batches(count: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, BATCH_SIZE, FEATURES, generator=generator)
    targets = torch.randint(CLASSES, (count, BATCH_SIZE), generator=generator)
    return list(zip(features, targets, strict=True))


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def make_metrics() -> MetricCollection:
    kinds = (MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision, MulticlassRecall)
    return MetricCollection({kind.__name__: kind(num_classes=CLASSES, average="macro") for kind in kinds})


class Bare(pl.LightningModule):
    """Lightning with nothing but the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.model = make_model()
        self.criterion = nn.CrossEntropyLoss()
        self.metrics = make_metrics()

    def loss_and_pred(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pred = self.model(batch[0])
        return self.criterion(pred, batch[1]), pred

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.loss_and_pred(batch)[0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self)


class ByHand(Bare):
    """Update the metrics, compute them at the epoch's end, and log nothing."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, pred = self.loss_and_pred(batch)
        self.metrics.update(pred, batch[1])
        return loss

    def on_train_epoch_end(self) -> None:
        self.metrics.compute()
        self.metrics.reset()


class HandWritten(Bare):
    """Log as the documentation teaches: call the metrics, hand them to `log_dict`, and log the loss."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, pred = self.loss_and_pred(batch)
        self.metrics(pred, batch[1])
        self.log_dict(self.metrics, on_step=False, on_epoch=True)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss


class HandWrittenLean(Bare):
    """Log the same, but only update the metrics."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, pred = self.loss_and_pred(batch)
        self.metrics.update(pred, batch[1])
        self.log_dict(self.metrics, on_step=False, on_epoch=True)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss


def make_system() -> System:
    return System(
        make_model(),
        optimizer=make_optimizer,
        criterion=nn.CrossEntropyLoss(),
        metrics={"train": make_metrics()},
    )


def make_optimizer(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)


class Stopwatch(pl.Callback):
    """Time the second epoch, its end included; the first one warms up."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.marks.append(time.process_time())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.marks.append(time.process_time())


def time_raw(batches: list[Batch]) -> float:
    model, criterion = make_model(), nn.CrossEntropyLoss()
    optimizer = make_optimizer(model)
    start = 0.0
    for _ in range(2):
        start = time.process_time()
        for features, targets in DataLoader(batches, batch_size=None):  # type: ignore[arg-type]
            loss = criterion(model(features), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.process_time() - start


def time_fit(module: pl.LightningModule, batches: list[Batch], folder: str | None) -> float:
    stopwatch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=TensorBoardLogger(folder) if folder else False,
        callbacks=[stopwatch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, train_dataloaders=DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return stopwatch.marks[2] - stopwatch.marks[1]


def measure(steps: int, repeats: int) -> dict[str, float]:
    """Return the median microseconds a step of each loop."""
    batches = make_batches(steps)
    with tempfile.TemporaryDirectory() as folder:
        loops: dict[str, Callable[[], float]] = {
            "raw PyTorch": lambda: time_raw(batches),
            "TensorBoard: hand-written, as documented": lambda: time_fit(HandWritten(), batches, folder),
            "TensorBoard: hand-written, update only": lambda: time_fit(HandWrittenLean(), batches, folder),
            "TensorBoard: lighter.System": lambda: time_fit(make_system(), batches, folder),
            "off: Lightning, no metrics": lambda: time_fit(Bare(), batches, None),
            "off: Lightning, metrics by hand": lambda: time_fit(ByHand(), batches, None),
            "off: lighter.System": lambda: time_fit(make_system(), batches, None),
        }
        times: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(repeats):
            for name, loop in loops.items():
                times[name].append(loop() / steps * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    options: Any = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # a benchmark of tiny batches earns many of Lightning's hints
    torch.set_num_threads(1)
    medians = measure(options.steps, options.repeats)
    for name, microseconds in medians.items():
        print(f"{name:42s} {microseconds:8.0f} us a step")
    on, off = medians["TensorBoard: lighter.System"], medians["off: lighter.System"]
    print()
    for name in medians:
        if "hand" in name:
            print(f"System against {name:42s} {(on if name.startswith('TensorBoard') else off) / medians[name]:.2f}")


if __name__ == "__main__":
    main()
