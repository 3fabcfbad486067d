"""Predictions of several ranks: in one table, those of one process, and none twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.fsdp import fully_shard

from lighter import Runner, System

from .parts import Net, Points

CONFIG = """\
trainer:
  _target_: pytorch_lightning.Trainer
  accelerator: cpu
  devices: 1
  logger: false
  enable_progress_bar: false
  callbacks: [{_target_: lighter.callbacks.TableWriter, path: table.csv}]
system:
  _target_: ranks.test_predict.Sharded
  model: {_target_: ranks.parts.Net}
  adapters: {predict: {batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: 0}}}
  dataloaders:
    predict:
      _target_: torch.utils.data.DataLoader
      batch_size: 4
      drop_last: true
      dataset: {_target_: ranks.parts.Points, samples: 9}
"""
PREDICT = "system::dataloaders::predict"
LOADER = "{_target_: torch.utils.data.DataLoader, dataset: {_target_: ranks.parts.Points, samples: %d}, %s}"
SIZES = "data_parallel_size: %d, tensor_parallel_size: %d"
STRATEGY = f"{{_target_: pytorch_lightning.strategies.ModelParallelStrategy, {SIZES}}}"


class Sharded(System):
    def configure_model(self) -> None:
        mesh = self.device_mesh if self.trainer.world_size > 1 else None
        if mesh is not None:
            fully_shard(self.model, mesh=mesh["data_parallel"])


def predict(folder: Path, *overrides: str) -> list[list[float]]:
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "lighter", "predict", "config.yaml", *overrides]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = (folder / "table.csv").read_text().splitlines()[1:]
    return [[float(cell) for cell in row.split(",")] for row in rows]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> list[list[float]]:
    return predict(tmp_path_factory.mktemp("predict") / "one")


@pytest.mark.no_cover
@pytest.mark.parametrize("parts", [2, 1], ids=["each its part of the data", "the same data"])
def test_ranks_that_share_a_model_predict_each_sample_once(parts: int, one: list[list[float]], tmp_path: Path) -> None:
    two = predict(tmp_path / "two", "trainer::devices=2", f"trainer::strategy={STRATEGY % (parts, 2 // parts)}")
    assert [row[0] for row in two] == list(range(9))  # of two parts one has 5 and one 4: 2 batches and 1
    assert two == [pytest.approx(row, abs=1e-6) for row in one]


@pytest.mark.no_cover
@pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork")
@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
def test_ranks_predict_few_samples_drawn_ones_and_batches_of_ones_own_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    loaders = [(1, "batch_size: 4"), (9, "batch_size: 2, shuffle: true")]
    loaders += [(5, "batch_sampler: {_target_: ranks.parts.ByLength, sizes: [2, 2, 1]}")]
    overrides = ["trainer::devices=2", "trainer::strategy=ddp_fork", "system::_target_=lighter.System"]
    overrides += [f"={PREDICT}=[{', '.join(LOADER % loader for loader in loaders)}]"]
    Runner().run("predict", ["config.yaml"], overrides)
    rows = [list(map(float, row.split(","))) for row in Path("table.csv").read_text().splitlines()[1:]]
    places = [(index, number) for number, (samples, _) in enumerate(loaders) for index in range(samples)]
    assert [(row[0], row[1]) for row in rows] == places
    expected = torch.cat([Net()(Points(samples).x) for samples, _ in loaders])
    torch.testing.assert_close(torch.tensor([row[2:] for row in rows]), expected, rtol=0, atol=1e-5)
