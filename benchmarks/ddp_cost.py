"""Measure what a training step costs on two ranks that share this machine, in microseconds of the clock.

    python benchmarks/ddp_cost.py [--steps 300] [--repeats 5]

A tiny MLP on two processes with gloo: a raw loop around DistributedDataParallel, Lightning with a hand-written module,
and `Runner` with a config, without and with a seed. They take turns, and the medians are compared within the one run.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lighter import Runner

RANKS, BATCH_SIZE, FEATURES, CLASSES = 2, 32, 32, 10
CONFIG = """\
trainer:
  _target_: pytorch_lightning.Trainer
  accelerator: cpu
  devices: 2
  strategy: ddp_fork
  max_epochs: 2
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  callbacks: [{_target_: __main__.Stopwatch, path: time}]
system:
  _target_: lighter.System
  model: {_target_: __main__.make_model}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.01, momentum: 0.9}
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 32
      shuffle: true
      dataset: {_target_: __main__.Points, samples: SAMPLES}
"""


class Points(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, samples: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(samples, FEATURES, generator=generator)
        self.y = torch.randint(CLASSES, (samples,), generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model, self.criterion = make_model(), nn.CrossEntropyLoss()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self.model(batch[0]), batch[1])
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class Stopwatch(pl.Callback):
    """Write the seconds of the second epoch into a file; the first one warms up."""

    def __init__(self, path: str) -> None:
        self.path, self.start = Path(path), 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.path.write_text(str(time.perf_counter() - self.start))


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def raw_loop(rank: int, port: int, samples: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=RANKS)
    data = Points(samples)
    sampler: DistributedSampler[tuple[Tensor, Tensor]] = DistributedSampler(data)
    model, criterion = DistributedDataParallel(make_model()), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    start = 0.0
    for epoch in range(2):
        sampler.set_epoch(epoch)
        start = time.perf_counter()
        for x, y in DataLoader(data, batch_size=BATCH_SIZE, sampler=sampler):
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if rank == 0:
        Path("time").write_text(str(time.perf_counter() - start))
    torch.distributed.destroy_process_group()


def run_raw(samples: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(raw_loop, (port, samples), nprocs=RANKS, start_method="fork")


def run_lightning(samples: int) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=RANKS,
        strategy="ddp_fork",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Stopwatch("time")],
    )
    trainer.fit(Module(), DataLoader(Points(samples), batch_size=BATCH_SIZE, shuffle=True))


def run_lighter(samples: int, *overrides: str) -> None:
    Path("config.yaml").write_text(CONFIG.replace("SAMPLES", str(samples)))
    Runner().run("fit", ["config.yaml"], overrides)


def measure(steps: int, repeats: int) -> dict[str, float]:
    """Return the median microseconds a step of each loop."""
    samples = steps * RANKS * BATCH_SIZE
    loops: dict[str, Callable[[], None]] = {
        "raw DistributedDataParallel": lambda: run_raw(samples),
        "Lightning, hand-written": lambda: run_lightning(samples),
        "lighter": lambda: run_lighter(samples),
        "lighter, with a seed": lambda: run_lighter(samples, "seed=1"),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            loop()
            times[name].append(float(Path("time").read_text()) / steps * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        medians = measure(options.steps, options.repeats)
    for name, microseconds in medians.items():
        print(f"{name:30s} {microseconds:8.0f} us a step, {microseconds / medians['Lightning, hand-written']:.2f}")


if __name__ == "__main__":
    main()
