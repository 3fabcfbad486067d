"""Predictions of several ranks: in one table, those of one process, and none twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributed.fsdp import fully_shard

from lighter import Runner, System
from sharded.parts import MARKS, way

from .parts import Net, Points

pytestmark = MARKS

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


class Sharded(System):
    def configure_model(self) -> None:
        mesh = self.device_mesh if self.trainer.world_size > 1 else None
        if mesh is not None:
            fully_shard(self.model, mesh=mesh["data_parallel"])


def predict(*overrides: str) -> list[list[float]]:
    """Predict in the working folder, and return the rows of the table."""
    Path("config.yaml").write_text(CONFIG)
    Runner().run("predict", ["config.yaml"], overrides)
    rows = Path("table.csv").read_text().splitlines()[1:]
    Path("table.csv").unlink()
    return [[float(cell) for cell in row.split(",")] for row in rows]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("parts", [2, 1], ids=["each its part of the data", "the same data"])
def test_ranks_that_share_a_model_predict_each_sample_once(parts: int) -> None:
    two = predict(*way("ForkedMesh", data_parallel_size=parts, tensor_parallel_size=2 // parts))
    assert [row[0] for row in two] == list(range(9))  # of two parts one has 5 and one 4: 2 batches and 1
    assert two == [pytest.approx(row, abs=1e-6) for row in predict()]


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
def test_ranks_predict_few_samples_drawn_ones_and_batches_of_ones_own_once() -> None:
    loaders = [(1, "batch_size: 4"), (9, "batch_size: 2, shuffle: true")]
    loaders += [(5, "batch_sampler: {_target_: ranks.parts.ByLength, sizes: [2, 2, 1]}")]
    overrides = ["trainer::devices=2", "trainer::strategy=ddp_fork", "system::_target_=lighter.System"]
    overrides += [f"={PREDICT}=[{', '.join(LOADER % loader for loader in loaders)}]"]
    rows = predict(*overrides)
    places = [(index, number) for number, (samples, _) in enumerate(loaders) for index in range(samples)]
    assert [(row[0], row[1]) for row in rows] == places
    expected = torch.cat([Net()(Points(samples).x) for samples, _ in loaders])
    torch.testing.assert_close(torch.tensor([row[2:] for row in rows]), expected, rtol=0, atol=1e-5)
