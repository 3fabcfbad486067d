"""Measure what exactness costs, in microseconds of CPU time a step with a tiny MLP.

    python benchmarks/exact_cost.py [--steps 400] [--repeats 7]

Fits with it and without it take turns. The medians are over all steps of a kind, of the time of the main process.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lighter.exact import Exact

CLASSES, FEATURES, BATCH_SIZE = 10, 32, 32


class Bare(pl.LightningModule):
    """Lightning with nothing but the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class Stopwatch(pl.Callback):
    """Take the time at the end of each step."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        self.marks.append(time.process_time())


def time_steps(steps: int, workers: int, *, exact: bool) -> list[float]:
    """Return the microseconds of all steps of a fit but the first."""
    dataset = TensorDataset(torch.randn(steps * BATCH_SIZE, FEATURES), torch.randint(CLASSES, (steps * BATCH_SIZE,)))
    stopwatch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        callbacks=[*([Exact(0)] if exact else []), stopwatch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Bare(), DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=workers))
    return [(after - before) * 1e6 for before, after in pairwise(stopwatch.marks)]


def measure(steps: int, repeats: int, workers: int) -> tuple[float, float]:
    """Return the medians without exactness and with it."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats):
        for exact, taken in times.items():
            taken += time_steps(steps, workers, exact=exact)
    return statistics.median(times[False]), statistics.median(times[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    options: Any = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # a benchmark of tiny batches earns many of Lightning's hints
    torch.set_num_threads(1)
    print("workers  without  exact   cost (us a step)")
    for workers in (0, 2):
        without, exact = measure(options.steps, options.repeats, workers)
        print(f"{workers:7d} {without:8.0f} {exact:6.0f} {exact - without:6.0f}")


if __name__ == "__main__":
    main()
