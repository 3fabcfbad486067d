"""A small project in a folder of its own, for tests of the command line and the runner."""

from __future__ import annotations

from pathlib import Path

import pytest

PARTS = '''\
import time
import torch
from torch.utils.data import Dataset

BUILT = []


class Points(Dataset):
    """Points in four dimensions, labelled by the side of a plane that they lie on."""

    def __init__(self, n=32, mode="any", fail=False):
        BUILT.append(mode)
        if fail:
            raise FileNotFoundError("no data at data/points.npz") from OSError("the disk is gone")
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(n, 4, generator=generator)
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Slow(torch.nn.Linear):
    def forward(self, x):
        print("training", flush=True)
        time.sleep(0.2)
        return super().forward(x)


def broken_collate(batch):
    raise RuntimeError("the collate function broke")
'''

CONFIG = """\
project: proj
seed: 1
trainer:
  _target_: pytorch_lightning.Trainer
  max_epochs: 2
  accelerator: cpu
  log_every_n_steps: 2
  logger: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: logs}
system:
  _target_: lighter.System
  model: {_target_: torch.nn.Linear, in_features: 4, out_features: 2}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.1}
  metrics:
    train: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 2}
    val: "%::train"
    test: "%::train"
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      shuffle: true
      dataset: {_target_: project.parts.Points, mode: train}
    val:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      dataset: {_target_: parts.Points, mode: val}
    test:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      dataset: {_target_: project.parts.Points, mode: test}
    predict:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      dataset: {_target_: project.parts.Points, mode: predict}
  adapters:
    predict: {batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: 0}}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `config.yaml` and its project, which is the working folder."""
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "parts.py").write_text(PARTS, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path
