"""What is known of the names that are logged, where losses and metrics are of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lighter.checking import find_problems

PARTS = """\
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import Metric


class Joint(nn.Module):
    def forward(self, pred, target):
        return {"total": pred.sum(), "first": pred.sum()}


class Unknown(nn.Module):
    def forward(self, pred, target):
        return make(pred, target)


class Hits(Metric):
    def update(self, preds, target): ...
    def compute(self) -> Tensor: ...


class Free(Metric):
    def update(self, preds, target): ...
    def compute(self): ...


class Module(LightningModule):
    def training_step(self, batch, batch_idx): ...
    def train_dataloader(self): ...
"""
CONFIG = """\
project: proj
trainer:
  _target_: pytorch_lightning.Trainer
  callbacks: [{{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: {monitor}}}]
system:
  _target_: lighter.System
  model: {{_target_: torch.nn.Linear, in_features: 4, out_features: 2}}
  criterion: {{_target_: project.parts.{criterion}}}
  optimizer: {{_target_: torch.optim.SGD, params: "$@system::model.parameters()"}}
  metrics: {{val: {{hit: {{_target_: project.parts.{metric}}}}}}}
  dataloaders:
    train: {{_target_: torch.utils.data.DataLoader, dataset: {{_target_: builtins.list}}}}
    val: "%::train"
"""


@pytest.fixture(autouse=True)
def project(folder: Path) -> None:
    Path("proj").mkdir()
    Path("proj/parts.py").write_text(PARTS, encoding="utf-8")


def suggestion(monitor: str, criterion: str = "Joint", metric: str = "Hits") -> str | None:
    """Return what is suggested for a monitor; the empty text where it passes."""
    text = CONFIG.format(monitor=monitor, criterion=criterion, metric=metric)
    Path("config.yaml").write_text(text, encoding="utf-8")
    _, problems = find_problems(["config.yaml"])
    assert [problem.path for problem in problems] == ["trainer::callbacks::0::monitor"] * bool(problems)
    return problems[0].suggestion if problems else ""


METRIC_COLLECTION = """\
system:
  metrics:
    =val:
      _target_: torchmetrics.MetricCollection
      metrics: {{hit: {{_target_: project.parts.Hits}}, free: {{_target_: project.parts.{free}}}}}
      prefix: a_
      postfix: _b
"""


@pytest.mark.parametrize(
    ("monitor", "free", "count"),
    [
        ("val/metrics/a_hit_b/epoch", "Hits", 0),
        ("val/metrics/hit/epoch", "Hits", 1),
        ("val/metrics/hit/epoch", "Free", 0),  # whose keys are not known
    ],
)
def test_names_of_a_collection_have_what_it_puts_around_them(monitor: str, free: str, count: int) -> None:
    text = CONFIG.format(monitor=monitor, criterion="Joint", metric="Hits")
    Path("config.yaml").write_text(text, encoding="utf-8")
    Path("over.yaml").write_text(METRIC_COLLECTION.format(free=free), encoding="utf-8")
    assert len(find_problems(["config.yaml", "over.yaml"])[1]) == count


@pytest.mark.parametrize(
    "value",
    [
        "$lambda vars: vars.epochs",
        "$[input.shape for input in ()]",
        "${1, 2}",
        "$sorted({@vars::size})",
        "$@vars::sizes.items()",
        "${float.fromhex}",
    ],
)
def test_what_looks_like_the_attribute_of_a_builtin_or_another_tools_reference_may_be_none(value: str) -> None:
    text = CONFIG.format(monitor="val/loss/total/epoch", criterion="Joint", metric="Hits")
    Path("config.yaml").write_text(f"{text}vars: {{size: 3, sizes: {{a: 1}}}}\n", encoding="utf-8")
    assert find_problems(["config.yaml"], [f"vars::value={value}"])[1] == []


@pytest.mark.parametrize("monitor", ["val/loss/total/epoch", "train/loss/first/step", "val/metrics/hit/epoch"])
def test_names_of_ones_own_losses_and_metrics_are_known(monitor: str) -> None:
    assert suggestion(monitor) == ""


@pytest.mark.parametrize(
    ("monitor", "meant"),
    [
        ("val_loss", "val/loss/total/epoch"),
        ("val/loss/epoch", "val/loss/total/epoch"),
        ("val/metrics/hits/epoch", "val/metrics/hit/epoch"),
        ("val/metrics/hit/step", "val/metrics/hit/epoch"),
    ],
)
def test_a_dict_of_losses_is_read_for_its_keys(monitor: str, meant: str) -> None:
    assert str(suggestion(monitor)).startswith(f"did you mean {meant!r}?")


def test_what_cannot_be_known_passes_but_for_steps_of_validation() -> None:
    assert suggestion("val/loss/any/epoch", criterion="Unknown") == ""
    assert suggestion("val/metrics/any/epoch", metric="Free") == ""
    assert suggestion("val/metrics/hits/epoch", criterion="Unknown") != ""
    assert suggestion("val/metrics/any/step", metric="Free") != ""


def test_a_module_is_asked_for_the_methods_of_its_stage() -> None:
    text = "project: proj\ntrainer: {_target_: pytorch_lightning.Trainer}\nsystem: {_target_: project.parts.Module}\n"
    Path("config.yaml").write_text(text, encoding="utf-8")
    found = {stage: find_problems(["config.yaml"], [], stage)[1] for stage in ("fit", "test")}
    assert found["fit"] == []
    assert [problem.message for problem in found["test"]] == [
        "test needs a 'test_step' of Module",
        "test needs a 'test_dataloader' of Module",
    ]
