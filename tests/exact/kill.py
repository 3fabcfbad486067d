"""A run from YAML in a process of its own, which is killed and resumed until it is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

CONFIG = """\
seed: 7
trainer:
  _target_: pytorch_lightning.Trainer
  max_epochs: 3
  accelerator: cpu
  logger: false
  enable_progress_bar: false
  accumulate_grad_batches: 2
  val_check_interval: 0.5
  callbacks:
    - {_target_: exact.kill.Killed}
    - {_target_: exact.kill.Final}
    - {_target_: pytorch_lightning.callbacks.ModelCheckpoint, dirpath: saved, every_n_train_steps: 2, save_top_k: -1}
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      dirpath: saved
      monitor: val/loss/epoch
      filename: "best-{step}"
system:
  _target_: lighter.System
  model: {_target_: exact.parts.Net}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.Adam, params: "$@system::model.parameters()", lr: 0.02}
  scheduler:
    scheduler:
      _target_: torch.optim.lr_scheduler.OneCycleLR
      optimizer: "@system::optimizer"
      max_lr: 0.1
      total_steps: "$@trainer.estimated_stepping_batches"
    interval: step
  metrics:
    train: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 3}
    val: "%::train"
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 4
      shuffle: true
      num_workers: 0
      dataset: {_target_: exact.parts.Noisy, samples: 50}
    val:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      dataset: {_target_: exact.parts.Noisy}
"""
ROOT = Path(__file__).parents[2]
STEPS = 13 * 3


class Killed(pl.Callback):
    """Kill the process as a power cut would, where KILL_AT says: batches from the start of this process."""

    def __init__(self) -> None:
        self.left = int(os.environ.get("KILL_AT", -1))

    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


class Final(pl.Callback):
    """Write down how the fit ended."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            metrics = {name: value.clone() for name, value in trainer.callback_metrics.items()}
            torch.save({"weights": pl_module.state_dict(), "metrics": metrics}, "final.pt")


def start(folder: Path, *overrides: str, kill_at: int | None = None) -> subprocess.Popen[bytes]:
    """Start the run in a folder, from the newest checkpoint that a run has left there."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    newest = max((folder / "saved").glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns, default=None)
    argv = [sys.executable, "-m", "lighter", "fit", "config.yaml", *overrides, "--no-check"]
    argv += ["--ckpt", str(newest)] if newest else []
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    if kill_at is not None:
        environment["KILL_AT"] = str(kill_at)
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log)


def final(folder: Path) -> dict[str, torch.Tensor]:
    made = torch.load(folder / "final.pt", weights_only=True)
    return {f"{kind}/{name}": value for kind in made for name, value in made[kind].items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in one | other if name not in one or name not in other or not same(one[name], other[name])]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
