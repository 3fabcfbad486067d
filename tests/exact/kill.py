"""Runs from YAML, each in a process of its own, which are killed and resumed until they are done."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

CONFIG = """\
seed: 7
trainer:
  _target_: pytorch_lightning.Trainer
  max_epochs: 3
  accelerator: cpu
  log_every_n_steps: 1
  logger: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: logs}
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
    - {_target_: exact.kill.KilledAfter}
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
LOADERS = "system::dataloaders"
NEVER = -1
LOADER = "{{_target_: torch.utils.data.DataLoader, batch_size: 4, dataset: {{_target_: exact.parts.{}}}, shuffle: {}}}"
VARIANTS = {  # of the config, by overrides
    "shuffled": [],
    "workers": [f"{LOADERS}::{mode}::num_workers=2" for mode in ("train", "val")],
    "workers that stay": [f"{LOADERS}::train::num_workers=2", f"{LOADERS}::train::persistent_workers=true"],
    "drawn by weight": [
        f"~{LOADERS}::train::shuffle",
        f"{LOADERS}::train::sampler={{_target_: exact.parts.by_weight, samples: 50}}",
    ],
    "without batches": [
        f"={LOADERS}::train::batch_size=null",
        f"{LOADERS}::train::dataset={{_target_: exact.parts.Batched, samples: 50}}",
    ],
    "two loaders": [
        f"={LOADERS}::train=[{LOADER.format('Big', 'true')}, {LOADER.format('Noisy', 'true')}]",
        "system::adapters={train: {batch: {_target_: exact.parts.both, _mode_: callable}}}",
    ],
    "iterable": [
        f"={LOADERS}::train={LOADER.format('Stream', 'false')}",
        "~system::scheduler",
        "trainer::val_check_interval=2",
    ],
    "two ranks": ["trainer::strategy=ddp_fork", "trainer::devices=2", f"{LOADERS}::train::dataset::samples=48"],
    "module of one's own": ["=system={_target_: exact.modules.Plain}", "trainer::callbacks::3::monitor=val"],
}


class Killed(pl.Callback):
    """Kill the process as a power cut would, at the hook of this number from its start."""

    variable = "KILL_AT"

    def __init__(self) -> None:
        self.left = int(os.environ.get(self.variable, -1))

    def count(self, *args: Any, **kwargs: Any) -> None:
        if self.left == 0:
            os.killpg(0, signal.SIGKILL)
        self.left -= 1

    on_train_batch_start = on_validation_batch_start = on_save_checkpoint = on_train_epoch_end = count


class KilledAfter(Checkpoint):
    """Kill the process after all checkpoints of a hook have been saved."""

    variable = "KILL_AFTER"
    __init__, count = Killed.__init__, Killed.count
    on_train_batch_end = on_validation_end = on_train_epoch_end = on_train_end = count


class Final(pl.Callback):
    """Write down how the fit ended."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            metrics = {name: value.clone() for name, value in trainer.callback_metrics.items()}
            torch.save({"weights": pl_module.state_dict(), "metrics": metrics}, "final.pt")


def start(folder: Path, *overrides: str, kill_at: int = NEVER) -> subprocess.Popen[bytes]:
    """Start the run in a folder, or go on with it."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "KILL_AT": str(kill_at)}
    argv = [sys.executable, "-m", "lighter", *_arguments(folder, overrides)]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def fork(folder: Path, *overrides: str, kill_at: int = NEVER, kill_after: int = NEVER) -> int:
    """Start the run in a copy of this process, which has all modules already, and return its id."""
    arguments = _arguments(folder, overrides)
    if process := os.fork():
        return process
    try:
        os.setsid()
        os.chdir(folder)
        os.environ |= {"KILL_AT": str(kill_at), "KILL_AFTER": str(kill_after)}
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w") for stream in (1, 2))
        from lighter.cli import main

        status = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    finally:
        os._exit(70)


def wait(process: int) -> int:
    """Return the status with which a forked process ended, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _arguments(folder: Path, overrides: tuple[str, ...]) -> list[str]:
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    run = _run(folder)
    if run is None:
        return ["fit", "config.yaml", *overrides, "--no-check"]
    anew = [text for text in overrides if text.startswith(f"{LOADERS}::")]  # the others are in its config
    return ["fit", str(run.relative_to(folder)), *anew, "--no-check", "--resume"]


def _run(folder: Path) -> Path | None:
    return max((path.parent for path in folder.glob("logs/*/*/run.json")), default=None)


def final(folder: Path) -> dict[str, Any]:
    """Return how a run ended, and the values that it has logged."""
    made, run = torch.load(folder / "final.pt", weights_only=True), _run(folder)
    assert run is not None
    found = {f"{kind}/{name}": value for kind in made for name, value in made[kind].items()}
    return found | {name: _table(run / name) for name in ("epochs.csv", "metrics.csv")}


def _table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, without the time that they took and without empty cells."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if value and name != "seconds"} for row in rows]


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one | other if name not in one or name not in other or not same(one[name], other[name])]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
    return bool(one == other)
