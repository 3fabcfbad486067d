"""Two ranks train and measure what one process does with the batches of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lighter import Runner

from .parts import Net, Points

CONFIG = """\
seed: 3
trainer:
  _target_: pytorch_lightning.Trainer
  accelerator: cpu
  max_epochs: 2
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
  callbacks: [{_target_: ranks.parts.Keep, folder: kept}]
system:
  _target_: lighter.System
  model: {_target_: ranks.parts.Net}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.2, momentum: 0.9}
  scheduler: {_target_: torch.optim.lr_scheduler.ExponentialLR, optimizer: "@system::optimizer", gamma: 0.5}
  metrics:
    train:
      accuracy: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 3, average: micro}
      auroc: {_target_: torchmetrics.classification.MulticlassAUROC, num_classes: 3}
      listed: {_target_: ranks.parts.Spread}
      joined: {_target_: ranks.parts.Spread, reduction: cat}
    val: "%::train"
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 4
      shuffle: true
      dataset: {_target_: ranks.parts.Points, samples: 24}
    val:
      _target_: torch.utils.data.DataLoader
      batch_size: 4
      dataset: {_target_: ranks.parts.Points, samples: 13, seed: 5}
"""
TRAIN, VAL = "system::dataloaders::train", "system::dataloaders::val"
LOADER = (
    "{_target_: torch.utils.data.DataLoader, batch_size: '%%system::dataloaders::val::batch_size', "
    "dataset: {_target_: ranks.parts.Points, samples: %d}}"
)
TWO = ["trainer::devices=2", "trainer::strategy=ddp_fork"]
TWICE = [f"{TRAIN}::batch_size=8", f"{VAL}::batch_size=8"]

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork"),
    pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets"),
]

CASES: dict[str, list[str]] = {
    "even": [],
    "in order": [f"{TRAIN}::shuffle=false"],
    "samples left for both": [f"{TRAIN}::dataset::samples=21"],
    "samples left for one": [f"{TRAIN}::dataset::samples=25", f"{VAL}::dataset::samples=9"],
    "fewer samples than ranks": [f"{TRAIN}::dataset::samples=1", f"{VAL}::dataset::samples=1"],
    "the last dropped": [f"{TRAIN}::dataset::samples=23", f"{TRAIN}::drop_last=true"],
    "workers": [f"{TRAIN}::dataset::samples=21", f"{TRAIN}::num_workers=2", f"{VAL}::num_workers=1"],
    "a sampler": [
        f"~{TRAIN}::shuffle",
        f"{TRAIN}::sampler={{_target_: ranks.parts.Shuffled, samples: 19}}",
    ],
    "accumulated": [f"{TRAIN}::dataset::samples=21", "trainer::accumulate_grad_batches=2"],
    "several loaders at once": [
        f"={TRAIN}={{first: {LOADER % 9}, second: {LOADER % 9}}}",
        "system::adapters={train: {batch: {_target_: ranks.test_equality.of_both, _mode_: callable}}}",
    ],
    "several losses": ["system::criterion={_target_: ranks.test_equality.Losses}", f"{TRAIN}::dataset::samples=21"],
}


def of_both(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, None]:
    x, y = (torch.cat(parts) for parts in zip(*batch.values(), strict=True))
    return x, y, None


class Losses(torch.nn.Module):
    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        loss = torch.nn.functional.cross_entropy(pred, target)
        return {"total": loss + 0.1 * pred.square().mean(), "entropy": loss}


def fit(folder: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], ranks: int = 1) -> list[dict[str, Any]]:
    """Fit, and return what each rank has kept."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("config.yaml").write_text(CONFIG)
    Runner().run("fit", ["config.yaml"], overrides)
    return [torch.load(f"kept/{rank}.pt") for rank in range(ranks)]


def assert_equal(kept: dict[str, Any], expected: dict[str, Any]) -> None:
    torch.testing.assert_close(kept["weights"], expected["weights"], rtol=1e-4, atol=1e-6)
    assert len(kept["epochs"]) == len(expected["epochs"])
    for epoch, values in enumerate(expected["epochs"]):
        mine = {name: value for name, value in kept["epochs"][epoch].items() if name.endswith("/epoch")}
        assert mine == pytest.approx({name: value for name, value in values.items() if name in mine}, abs=1e-5), epoch
        assert {name for name in values if name.endswith("/epoch")} == mine.keys()


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_equal_one_process(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = fit(tmp_path / "one", monkeypatch, [*TWICE, *CASES[case]])
    two = fit(tmp_path / "two", monkeypatch, [*TWO, *CASES[case]], ranks=2)
    for kept in two:
        assert_equal(kept, one)
    torch.testing.assert_close(two[0]["weights"], two[1]["weights"], rtol=0, atol=0)


def test_ranks_decide_alike_on_values_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plateau = "{_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, optimizer: '@system::optimizer', patience: 0}"
    scheduler = f"=system::scheduler={{scheduler: {plateau}, interval: step, monitor: train/loss/step}}"
    two = fit(tmp_path / "two", monkeypatch, [*TWO, scheduler, *CASES["samples left for one"]], ranks=2)
    torch.testing.assert_close(two[0]["weights"], two[1]["weights"], rtol=0, atol=0)
    assert two[0]["epochs"][-1]["train/loss/step"] == two[1]["epochs"][-1]["train/loss/step"]


def test_without_a_seed_the_ranks_still_load_each_sample_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sampler in {"torch": [], "own": CASES["a sampler"]}.items():
        two = fit(tmp_path / name, monkeypatch, [*TWO, "~seed", f"{TRAIN}::dataset::samples=19", *sampler], ranks=2)
        steps = [torch.cat(pair) for pair in zip(*(kept["loaded"]["train"] for kept in two), strict=True)]
        epochs = [torch.cat(steps[:3]), torch.cat(steps[3:])]
        for epoch in epochs:
            assert sorted(epoch.sum(1).tolist()) == pytest.approx(sorted(Points(19).x.sum(1).tolist()))
        assert not torch.equal(*epochs)


def test_batches_of_ones_own_go_to_the_ranks_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [3, 2, 4, 1, 2]
    by_length = f"{{_target_: ranks.parts.ByLength, sizes: {sizes}}}"
    overrides = [*TWO, f"{TRAIN}::dataset::samples=12", "trainer::max_epochs=1", "system::optimizer::lr=0.0"]
    overrides += [f"~{TRAIN}::{key}" for key in ("batch_size", "shuffle")] + [f"{TRAIN}::batch_sampler={by_length}"]
    two = fit(tmp_path / "two", monkeypatch, overrides, ranks=2)
    assert [[len(batch) for batch in kept["loaded"]["train"]] for kept in two] == [[3, 4, 2], [2, 1, 2]]
    points = Points(12)
    loss = torch.nn.functional.cross_entropy(Net()(points.x), points.y).item()
    for kept in two:
        assert kept["epochs"][0]["train/loss/epoch"] == pytest.approx(loss)


def test_a_dataset_of_batches_is_divided_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batched = [f"={TRAIN}::batch_size=null", f"{TRAIN}::dataset={{_target_: ranks.parts.Batched, samples: 10}}"]
    batched += [f"{TRAIN}::shuffle=false", "trainer::max_epochs=1"]
    two = fit(tmp_path / "two", monkeypatch, [*TWO, *batched], ranks=2)
    steps = [kept["loaded"]["train"] for kept in two]
    assert torch.equal(torch.cat([steps[0][0], steps[1][0], steps[0][1], steps[1][1], steps[0][2]]), Points(10).x)
    (one,) = fit(
        tmp_path / "one", monkeypatch, [f"{TRAIN}::dataset::samples=10", f"{TRAIN}::batch_size=4", *batched[2:]]
    )
    assert_equal(two[0], one)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_each_sample_counts_once_in_several_loaders(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = {"validate": "val", "test": "test"}[stage]
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    dataset = "{{_target_: ranks.parts.Points, samples: {}}}"
    loader = "{{_target_: torch.utils.data.DataLoader, batch_size: 2, dataset: " + dataset + "}}"
    overwrite = "=" if mode == "val" else ""
    moved = [f"{overwrite}system::dataloaders::{mode}=[{loader.format(7)}, {loader.format(1)}]"]
    moved += [] if mode == "val" else ["system::metrics::test=%::train"]
    runner = Runner()
    (values, *_) = runner.run(stage, ["config.yaml"], [*TWO, *moved])  # type: ignore[arg-type]
    x, y = (torch.cat([vars(Points(samples))[name] for samples in (7, 1)]) for name in ("x", "y"))
    assert values[f"{mode}/metrics/accuracy/epoch"] == pytest.approx((Net()(x).argmax(1) == y).float().mean().item())
    if mode == "val":
        assert values["val/loss/epoch"] == pytest.approx(torch.nn.functional.cross_entropy(Net()(x), y).item())
