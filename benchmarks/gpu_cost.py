"""Measure steps a second on a GPU: a raw loop, Lightning with a hand-written module, and `Runner` with a config.

    python benchmarks/gpu_cost.py [--steps 300] [--repeats 5] [--batch-size 128] [--device cuda]

ResNet-18 in bf16 on random images of CIFAR-10's size, loaded by a worker, with the same optimizer and accuracy in all.
They take turns, and the medians are compared within the one run. `--device cpu` shows that it works, no more.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy
from torchvision.models import resnet18

from lighter import Runner

CLASSES = 10
CONFIG = """\
trainer:
  _target_: pytorch_lightning.Trainer
  accelerator: ACCELERATOR
  devices: 1
  precision: bf16-mixed
  max_epochs: 2
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  callbacks: [{_target_: __main__.Stopwatch}]
system:
  _target_: lighter.System
  model: {_target_: torchvision.models.resnet18, num_classes: 10}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.01, momentum: 0.9}
  metrics:
    train: {accuracy: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 10}}
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: BATCH_SIZE
      num_workers: 1
      pin_memory: PINNED
      dataset: {_target_: __main__.Images, samples: SAMPLES}
"""


class Images(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, samples: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(512, 3, 32, 32, generator=generator)
        self.y = torch.randint(CLASSES, (512,), generator=generator)
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index % 512], self.y[index % 512]


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model, self.criterion = resnet18(num_classes=CLASSES), nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(CLASSES)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        pred = self.model(batch[0])
        loss: Tensor = self.criterion(pred, batch[1])
        self.accuracy.update(pred, batch[1])
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class Stopwatch(pl.Callback):
    """Keep the seconds of the second epoch; the first one warms up."""

    seconds = start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Stopwatch.start = now()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Stopwatch.seconds = now() - Stopwatch.start


def now() -> float:
    """Return the time when all that was asked of the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def make_loader(samples: int, options: argparse.Namespace) -> DataLoader[tuple[Tensor, Tensor]]:
    pinned = options.device == "cuda"
    return DataLoader(Images(samples), batch_size=options.batch_size, num_workers=1, pin_memory=pinned)


def run_raw(samples: int, options: argparse.Namespace) -> None:
    device = torch.device(options.device)
    model, criterion = resnet18(num_classes=CLASSES).to(device), nn.CrossEntropyLoss()
    accuracy = MulticlassAccuracy(CLASSES).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loader = make_loader(samples, options)
    for _ in range(2):
        start = now()
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            with torch.autocast(options.device, torch.bfloat16):
                pred = model(x)
                loss = criterion(pred, y)
            accuracy.update(pred, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy.compute()
        accuracy.reset()
        Stopwatch.seconds = now() - start


def run_lightning(samples: int, options: argparse.Namespace) -> None:
    trainer = pl.Trainer(
        accelerator=options.device,
        devices=1,
        precision="bf16-mixed",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Stopwatch()],
    )
    trainer.fit(Module(), make_loader(samples, options))


def run_lighter(samples: int, options: argparse.Namespace, *overrides: str) -> None:
    text = CONFIG.replace("SAMPLES", str(samples)).replace("BATCH_SIZE", str(options.batch_size))
    text = text.replace("ACCELERATOR", options.device).replace("PINNED", str(options.device == "cuda"))
    Path("config.yaml").write_text(text)
    Runner().run("fit", ["config.yaml"], overrides)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return the median steps a second of each loop."""
    samples = options.steps * options.batch_size
    compiled = "{_target_: torchvision.models.resnet18, num_classes: 10}"
    compiled = f"=system::model={{_target_: lighter.utils.model.compile_in_place, model: {compiled}}}"
    loops: dict[str, Callable[[], None]] = {
        "raw loop": lambda: run_raw(samples, options),
        "Lightning, hand-written": lambda: run_lightning(samples, options),
        "lighter": lambda: run_lighter(samples, options),
        "lighter, with a seed": lambda: run_lighter(samples, options, "seed=1"),
        "lighter, compiled": lambda: run_lighter(samples, options, compiled),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.repeats):
        for name, loop in loops.items():
            loop()
            speeds[name].append(options.steps / Stopwatch.seconds)
    return {name: statistics.median(values) for name, values in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu shows that it works")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        medians = measure(options)
    print(torch.cuda.get_device_name() if options.device == "cuda" else "CPU")
    for name, speed in medians.items():
        print(f"{name:25s} {speed:8.1f} steps a second, {speed / medians['raw loop']:.2f} of the raw loop's")


if __name__ == "__main__":
    main()
