from __future__ import annotations

import dataclasses
import importlib
import math
import re
import signal
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lighter.commands import trace as command
from lighter.errors import BuildError, ConfigError, RunError, UsageError
from lighter.runner import Runner
from lighter.trace.values import rows_of
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

ROOT = Path(__file__).parents[1]

PARTS = '''
import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset
from torchmetrics import Metric

from lighter import System
from parts import Points

MADE = []


class Net(torch.nn.Module):
    """A network with what changes in a step: weights, and the statistics of a batch norm."""

    def __init__(self):
        super().__init__()
        self.norm, self.head = torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
        MADE.append((self, {name: value.clone() for name, value in self.state_dict().items()}))

    def forward(self, x):
        return self.head(self.norm(x))


class WithEpoch(torch.nn.Linear):
    def forward(self, x, epoch):
        return super().forward(x)


class Interrupted(torch.nn.Linear):
    def forward(self, x):
        raise KeyboardInterrupt


class HalfUsed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.used(x)


class Records(Points):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return {"point": x, "label": y, "name": f"point-{index}", "extra": {"weight": 1.0}}


class Broken(Points):
    def __getitem__(self, index):
        raise OSError(f"sample {index} is broken")


class Ragged(Points):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x[: 2 + (index == 5)], y


class NotFinite(Points):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return torch.stack([x[0], x[1], x[2] / 0, x[3] * np.nan]), y


class Stream(IterableDataset):
    def __init__(self, fail=False):
        self.fail = fail

    def __iter__(self):
        for x, y in Points():
            if self.fail:
                raise OSError("the stream broke")
            yield x, y


class Picky(Metric):
    full_state_update = False

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.add_state("seen", torch.zeros(2))

    def update(self, preds, target):
        self.seen += 1
        if self.where == "update":
            raise ValueError("preds are not to my taste")

    def compute(self):
        if self.where == "compute":
            raise ValueError("nothing to compute")
        return self.seen.sum()


def fail(*values):
    raise ValueError("no more")


def fail_to_infer(input, model):
    raise ValueError("no more")


def in_pieces(input, model):
    return torch.cat([model(piece) for piece in input.split(2)])


def two_losses(pred, target):
    loss = torch.nn.functional.cross_entropy(pred, target)
    return {"total": 2 * loss, "main": loss, "other": loss}


class Noisy(System):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return super().training_step((x + 1, y), batch_idx)


class Own(System):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self.model(x), y) + self.criterion(self.model(-x), y)
        self.log("my_loss", loss)
        return {"loss": loss, "parts": [1, 2]}


class Manual(System):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        loss = self.criterion(self.model(x), y)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        scheduler.step()
        return loss


class Data(pl.LightningDataModule):
    def __init__(self, on_device=None, fail=False):
        super().__init__()
        self.fail = fail

    def train_dataloader(self):
        return DataLoader(Points(), batch_size=8)

    def val_dataloader(self):
        return [DataLoader(Points(), batch_size=8), DataLoader(Points(), batch_size=4)]

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        if self.fail:
            raise ValueError("it does not fit")
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return x.double(), y


class Double(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x.float())


class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.net(x), y)
        self.log("lit_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)

    def train_dataloader(self):
        return DataLoader(Points(), batch_size=8)
'''

MODEL = "=system::model={_target_: more.%s, in_features: 4, out_features: 2}"
TRAIN = "system::dataloaders::train"
ADAPTERS = "system::adapters={train: {%s}}"


@pytest.fixture(autouse=True)
def parts(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (workspace / "proj" / "more.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "80")


def run(*overrides: str, stage: str = "fit") -> int:
    return command.run("config.yaml", *overrides, stage=stage).run()


def shown(capsys: pytest.CaptureFixture[str], *overrides: str, stage: str = "fit") -> str:
    """Return what a good trace prints, without its head."""
    assert run(*overrides, stage=stage) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def mode_of(text: str, mode: str) -> str:
    """Return the table of a mode, numbers with a point as #."""
    table = re.search(rf"^{mode} .*?(?=\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert table is not None, text
    return re.sub(r"-?\b\d+\.\d+(e[-+]\d+)?\b", "#", table[0]).rstrip() + "\n"


def failed(
    capsys: pytest.CaptureFixture[str], error: type[Exception], match: str, *overrides: str, stage: str = "fit"
) -> str:
    """Return the last section of the trace of a run that fails."""
    with pytest.raises(error, match=match):
        run(*overrides, stage=stage)
    table = mode_of(capsys.readouterr().out, "train" if stage == "fit" else "(val|test|predict)")
    return table[table.index("✗") :] if "✗" in table else ""


# --- what is seen of good batches


def test_fit_shows_the_way_of_a_batch_in_train_and_in_val(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    head, _, _ = text.partition("\n\n")
    assert head == (
        "lighter trace\n"
        "  config      config.yaml\n"
        "  stage       fit\n"
        "  device      cpu\n"
        "  weights     as built\n"
        "  seed        1\n"
        "  optimizer   SGD, lr 0.1"
    )
    assert mode_of(text, "train") == (
        "train                type    shape    dtype    device  range\n"
        "batch\n"
        "  batch              list    2 items\n"
        "  batch[0]           Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]           Tensor  [8]      int64    cpu     0 … 1\n"
        "batch adapter (default)\n"
        "  input ← batch[0]   Tensor  [8, 4]   float32  cpu     # … #\n"
        "  target ← batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
        "  identifier         None\n"
        "model Linear\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
        "criterion CrossEntropyLoss\n"
        "  input ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "  loss               Tensor  []       float32  cpu     #\n"
        "metric MulticlassAccuracy\n"
        "  preds ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "gradient SGD\n"
        "  norm                                                 #\n"
        "  parameters                                           2 of 2\n"
        "log\n"
        "  train/loss/step                         #\n"
        "  train/metrics/MulticlassAccuracy/step   #\n"
        "  train/optimizer/SGD/lr                  #\n"
        "  train/optimizer/SGD/momentum            0\n"
        "  train/loss/epoch                        #\n"
        "  train/metrics/MulticlassAccuracy/epoch  #\n"
    )
    assert mode_of(text, "val").endswith(
        "metric MulticlassAccuracy\n"
        "  preds ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "log\n"
        "  val/loss/step                         #\n"
        "  val/metrics/MulticlassAccuracy/step   #\n"
        "  val/loss/epoch                        #\n"
        "  val/metrics/MulticlassAccuracy/epoch  #\n"
    )


def test_validate_shows_val_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, stage="validate")
    assert "criterion CrossEntropyLoss" in mode_of(text, "val")
    assert "train" not in text
    assert "optimizer" not in text


def test_test_has_no_criterion(capsys: pytest.CaptureFixture[str]) -> None:
    assert mode_of(shown(capsys, stage="test"), "test") == (
        "test                 type    shape    dtype    device  range\n"
        "batch\n"
        "  batch              list    2 items\n"
        "  batch[0]           Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]           Tensor  [8]      int64    cpu     0 … 1\n"
        "batch adapter (default)\n"
        "  input ← batch[0]   Tensor  [8, 4]   float32  cpu     # … #\n"
        "  target ← batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
        "  identifier         None\n"
        "model Linear\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
        "metric MulticlassAccuracy\n"
        "  preds ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "log\n"
        "  test/metrics/MulticlassAccuracy/step   #\n"
        "  test/metrics/MulticlassAccuracy/epoch  #\n"
    )


def test_predict_ends_with_the_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    assert mode_of(shown(capsys, stage="predict"), "predict") == (
        "predict             type    shape    dtype    device  range\n"
        "batch\n"
        "  batch             list    2 items\n"
        "  batch[0]          Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]          Tensor  [8]      int64    cpu     0 … 1\n"
        "batch adapter BatchAdapter\n"
        "  input ← batch[0]  Tensor  [8, 4]   float32  cpu     # … #\n"
        "  target            None\n"
        "  identifier        None\n"
        "model Linear\n"
        "  pred              Tensor  [8, 2]   float32  cpu     # … #\n"
    )


def test_adapters_show_what_they_take_and_each_transform(capsys: pytest.CaptureFixture[str]) -> None:
    Path("adapters.yaml").write_text(
        """
        system:
          =criterion: {_target_: torch.nn.BCEWithLogitsLoss}
          dataloaders: {~val: null, train::dataset::_target_: more.Records}
          adapters:
            train:
              batch:
                _target_: lighter.adapters.BatchAdapter
                input_accessor: point
                target_accessor: label
                identifier_accessor: name
              criterion:
                _target_: lighter.adapters.CriterionAdapter
                pred_argument: input
                target_argument: target
                target_transforms:
                  - {_target_: torch.nn.functional.one_hot, _mode_: callable, num_classes: 2}
                  - "$lambda target: target.float()"
              metrics:
                _target_: lighter.adapters.MetricsAdapter
                pred_argument: preds
                target_argument: target
                pred_transforms: "$lambda pred: pred.argmax(1)"
              logging:
                _target_: lighter.adapters.LoggingAdapter
                input_transforms: "$lambda input: input[:2]"
        """
    )
    text = shown(capsys, "adapters.yaml")
    table = mode_of(text, "train")
    assert table[: table.index("gradient")] == (
        "train                         type    shape    dtype    device  range\n"
        "batch\n"
        "  batch                       dict    4 items\n"
        '  batch["point"]              Tensor  [8, 4]   float32  cpu     # … #\n'
        '  batch["label"]              Tensor  [8]      int64    cpu     0 … 1\n'
        "  batch[\"name\"]               list    8 items  str              'point-10', …\n"
        '  batch["extra"]              dict    1 item\n'
        '  batch["extra"]["weight"]    Tensor  [8]      float64  cpu     all 1\n'
        "batch adapter BatchAdapter\n"
        '  input ← batch["point"]      Tensor  [8, 4]   float32  cpu     # … #\n'
        '  target ← batch["label"]     Tensor  [8]      int64    cpu     0 … 1\n'
        "  identifier ← batch[\"name\"]  list    8 items  str              'point-10', …\n"
        "model Linear\n"
        "  pred                        Tensor  [8, 2]   float32  cpu     # … #\n"
        "criterion adapter\n"
        "  target → one_hot            Tensor  [8, 2]   int64    cpu     0 … 1\n"
        "  target → <lambda>           Tensor  [8, 2]   float32  cpu     0 … 1\n"
        "criterion BCEWithLogitsLoss\n"
        "  input ← pred                Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target                      Tensor  [8, 2]   float32  cpu     0 … 1\n"
        "  loss                        Tensor  []       float32  cpu     #\n"
        "metrics adapter\n"
        "  pred → <lambda>             Tensor  [8]      int64    cpu     0 … 1\n"
        "metric MulticlassAccuracy\n"
        "  preds ← pred                Tensor  [8]      int64    cpu     0 … 1\n"
        "  target                      Tensor  [8]      int64    cpu     0 … 1\n"
        "logging adapter\n"
        "  input → <lambda>            Tensor  [2, 4]   float32  cpu     # … #\n"
        "  input                       Tensor  [2, 4]   float32  cpu     # … #\n"
        "  target                      Tensor  [8]      int64    cpu     0 … 1\n"
        "  pred                        Tensor  [8, 2]   float32  cpu     # … #\n"
    )
    assert "val: no batch, for lack of a dataloader" in text


def test_metrics_that_received_the_same_share_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    two = (
        "=system::metrics::val={accuracy: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 2},"
        " f1: {_target_: torchmetrics.classification.MulticlassF1Score, num_classes: 2},"
        " mean: {_target_: torchmetrics.MeanMetric}}"
    )
    adapter = (
        "system::adapters={val: {metrics: {_target_: lighter.adapters.MetricsAdapter, pred_argument: preds,"
        " target_argument: target, input_argument: value}}}"
    )
    assert (
        "metrics accuracy, f1\n"
        "  preds ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "metric mean\n"
        "  value ← input      Tensor  [8, 4]   float32  cpu     # … #\n"
    ) in mode_of(shown(capsys, two, adapter, stage="validate"), "val")


def test_a_model_shows_what_it_received_beside_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, MODEL % "WithEpoch", stage="validate"), "val")
    assert (
        "model WithEpoch\n"
        "  x ← input          Tensor  [8, 4]   float32  cpu     # … #\n"
        "  epoch              int                               0\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
    ) in table


def test_an_inferer_shows_the_first_of_the_calls_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    inferer = "system::inferer={_target_: more.in_pieces, _mode_: callable}"
    text = shown(capsys, inferer)
    assert "inferer" not in mode_of(text, "train")
    assert (
        "model Linear, the first of 4 calls\n"
        "  input              Tensor  [2, 4]   float32  cpu     # … #\n"
        "  output             Tensor  [2, 2]   float32  cpu     # … #\n"
        "inferer in_pieces\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
    ) in mode_of(text, "val")


def test_each_of_several_losses_is_shown_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, "=system::criterion={_target_: more.two_losses, _mode_: callable}"), "train")
    assert (
        "criterion two_losses\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
        "  loss               dict    3 items\n"
        '  loss["total"]      Tensor  []       float32  cpu     #\n'
        '  loss["main"]       Tensor  []       float32  cpu     #\n'
        '  loss["other"]      Tensor  []       float32  cpu     #\n'
    ) in table
    assert "train/loss/other/step" in table


def test_without_metrics_and_logger_the_loss_remains(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, "trainer::logger=false", "~system::metrics"), "train")
    assert "metric" not in table
    assert table.endswith("log: no logger, only what can be monitored\n  train/loss/epoch  #\n")


def test_the_optimizer_and_the_scheduler_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    scheduler = (
        "system::scheduler={monitor: val/loss/epoch, scheduler:"
        " {_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, optimizer: '@system::optimizer'}}"
    )
    text = shown(capsys, scheduler)
    assert "  optimizer   SGD, lr 0.1\n  scheduler   ReduceLROnPlateau, every epoch, by val/loss/epoch\n" in text


def test_parameters_without_a_gradient_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, "=system::model={_target_: more.HalfUsed}"), "train")
    assert (
        "gradient SGD\n"
        "  norm                                                 #\n"
        "  parameters                                           2 of 4\n"
        "  without                                              model.unused.weight,\n"
        "                                                       model.unused.bias\n"
    ) in table


def test_the_batch_is_the_first_one_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    runner = Runner()
    runner.run("fit", ["config.yaml"], ["trainer::log_every_n_steps=1", "trainer::max_epochs=1"])
    rows = (Path(runner.trainer.log_dir or "") / "metrics.csv").read_text().splitlines()
    first = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    capsys.readouterr()
    logged = re.search(r"train/loss/step +(\S+)", shown(capsys))
    assert logged is not None
    assert logged[1] == f"{float(first['train/loss/step']):.4g}"


def test_numbers_that_are_not_finite_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, f"{TRAIN}::dataset::_target_=more.NotFinite", "~system::metrics"), "train")
    assert re.search(r"^  batch\[0\] +Tensor +\[8, 4\] +float32  cpu     # … #  8 NaN\n +8 Inf$", table, re.MULTILINE)
    assert re.search(r"^  loss +Tensor +\[\] +float32  cpu     1 NaN$", table, re.MULTILINE)
    assert re.search(r"^  norm +nan$", table, re.MULTILINE)
    assert re.search(r"^  train/loss/step +nan$", table, re.MULTILINE)


def test_a_terminal_sees_marks_in_red(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;31m8 NaN\x1b[0m" in shown(capsys, f"{TRAIN}::dataset::_target_=more.NotFinite")


# --- any data, any module


def test_every_dataloader_of_a_datamodule_gives_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "data={_target_: more.Data}", "~system::dataloaders", MODEL % "Double")
    assert (
        "train                type    shape    dtype    device  range\n"
        "batch, as loaded\n"
        "  batch              list    2 items\n"
        "  batch[0]           Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]           Tensor  [8]      int64    cpu     0 … 1\n"
        "batch\n"
        "  batch              tuple   2 items\n"
        "  batch[0]           Tensor  [8, 4]   float64  cpu     # … #\n"
    ) in mode_of(text, "train")
    assert "Tensor  [8, 4]   float64" in mode_of(text, "val, dataloader 0")
    assert "Tensor  [4, 4]   float64" in mode_of(text, "val, dataloader 1")


def test_a_stream_gives_its_first_batch(capsys: pytest.CaptureFixture[str]) -> None:
    stream = f"={TRAIN}={{_target_: torch.utils.data.DataLoader, batch_size: 8, dataset: {{_target_: more.Stream}}}}"
    assert "  batch[0]           Tensor  [8, 4]" in mode_of(shown(capsys, stream), "train")


def test_workers_and_many_batches_are_no_matter(capsys: pytest.CaptureFixture[str]) -> None:
    many = ["trainer::accumulate_grad_batches=3", "trainer::check_val_every_n_epoch=5", "trainer::min_epochs=2"]
    text = shown(capsys, f"{TRAIN}::num_workers=1", *many)
    assert text.count("\nbatch\n") == 2
    assert "train/loss/step" in text


def test_a_step_that_calls_super_shows_what_it_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        "batch adapter (default)\n"
        "  batch              tuple   2 items\n"
        "  batch[0]           Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]           Tensor  [8]      int64    cpu     0 … 1\n"
        "  input              Tensor  [8, 4]   float32  cpu     # … #\n"
        "  target ← batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
    ) in mode_of(shown(capsys, "system::_target_=more.Noisy"), "train")


def test_a_step_of_ones_own_shows_its_parts_and_what_it_returned(capsys: pytest.CaptureFixture[str]) -> None:
    table = mode_of(shown(capsys, "system::_target_=more.Own"), "train")
    assert (
        "model Linear, the first of 2 calls\n"
        "  input ← batch[0]   Tensor  [8, 4]   float32  cpu     # … #\n"
        "  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
        "criterion CrossEntropyLoss, the first of 2 calls\n"
        "  input ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target ← batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
        "  loss               Tensor  []       float32  cpu     #\n"
        "Own.training_step\n"
        "  returned           dict    2 items\n"
        '  returned["loss"]   Tensor  []       float32  cpu     #\n'
        '  returned["parts"]  list    2 items  int              1 … 2\n'
    ) in table
    assert table.endswith("log\n  my_loss  #\n")


def test_a_module_that_is_no_system_shows_batch_and_return(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "=system={_target_: more.Lit}")
    assert mode_of(text, "train") == (
        "train         type    shape    dtype    device  range\n"
        "batch\n"
        "  batch       list    2 items\n"
        "  batch[0]    Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]    Tensor  [8]      int64    cpu     0 … 1\n"
        "Lit.training_step\n"
        "  returned    Tensor  []       float32  cpu     #\n"
        "gradient SGD\n"
        "  norm                                          #\n"
        "  parameters                                    2 of 2\n"
        "log\n"
        "  lit_loss  #\n"
    )
    assert text.endswith("\na lighter.System shows more: input, target, prediction, criterion and metrics\n")


# --- what fails


BATCH = (
    "  batch              list    2 items\n"
    "  batch[0]           Tensor  [8, 4]   float32  cpu     # … #\n"
    "  batch[1]           Tensor  [8]      int64    cpu     0 … 1\n"
)


def test_a_dataset_that_fails_shows_the_index(capsys: pytest.CaptureFixture[str]) -> None:
    section = failed(capsys, OSError, "sample 10 is broken", f"{TRAIN}::dataset::_target_=more.Broken")
    assert section == "✗ dataset Broken failed; it received\n  index  int                         10\n"


def test_a_failure_in_a_worker_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    broken = [f"{TRAIN}::dataset::_target_=more.Broken", f"{TRAIN}::num_workers=1"]
    section = failed(capsys, OSError, "sample 10 is broken", *broken)
    assert section.startswith("✗ dataloader failed; it received\n  ?  ")
    assert section.endswith("in a worker process: num_workers=0 shows it\n")


def test_a_stream_that_fails_received_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    loader = "{_target_: torch.utils.data.DataLoader, batch_size: 8, dataset: {_target_: more.Stream, fail: true}}"
    assert failed(capsys, OSError, "the stream broke", f"={TRAIN}={loader}") == "✗ dataset Stream failed\n"


def test_a_collate_function_shows_its_samples_the_odd_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    ragged = [f"{TRAIN}::dataset::_target_=more.Ragged", f"{TRAIN}::shuffle=false"]
    assert failed(capsys, RuntimeError, "stack expects", *ragged) == (
        "✗ collate function default_collate failed; it received\n"
        "  samples        list    8 items\n"
        "  samples[0]     tuple   2 items\n"
        "  samples[0][0]  Tensor  [2]      float32  cpu     # … #\n"
        "  samples[0][1]  Tensor  []       int64    cpu     0\n"
        "  samples[1]     tuple   2 items\n"
        "  samples[1][0]  Tensor  [2]      float32  cpu     # … #\n"
        "  samples[1][1]  Tensor  []       int64    cpu     0\n"
        "  samples[2]     tuple   2 items\n"
        "  samples[2][0]  Tensor  [2]      float32  cpu     # … #\n"
        "  samples[2][1]  Tensor  []       int64    cpu     0\n"
        "  samples[5]     tuple   2 items\n"
        "  samples[5][0]  Tensor  [3]      float32  cpu     # … #\n"
        "  samples[5][1]  Tensor  []       int64    cpu     1\n"
        "  samples[…]     4 more\n"
    )


def test_a_transfer_that_fails_shows_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    section = failed(
        capsys, ValueError, "does not fit", "data={_target_: more.Data, fail: true}", "~system::dataloaders"
    )
    assert section == (
        "✗ transfer to cpu failed; it received\n"
        "  batch     list    2 items\n"
        "  batch[0]  Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
    )


def test_a_batch_adapter_that_fails_shows_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    adapter = ADAPTERS % "batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: image}"
    assert failed(capsys, RunError, "BatchAdapter input_accessor='image' received list of 2", adapter) == (
        "✗ batch adapter BatchAdapter failed; it received\n"
        "  batch     list    2 items\n"
        "  batch[0]  Tensor  [8, 4]   float32  cpu     # … #\n"
        "  batch[1]  Tensor  [8]      int64    cpu     0 … 1\n"
    )


def test_a_model_that_fails_shows_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, RuntimeError, "cannot be multiplied", "system::model::in_features=5") == (
        "✗ model Linear failed; it received\n  input              Tensor  [8, 4]   float32  cpu     # … #\n"
    )


def test_an_inferer_that_fails_shows_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    inferer = "system::inferer={_target_: more.fail_to_infer, _mode_: callable}"
    assert failed(capsys, ValueError, "no more", inferer, stage="predict") == (
        "✗ inferer fail_to_infer failed; it received\n"
        "  input             Tensor  [8, 4]   float32  cpu     # … #\n"
        "  model             Linear\n"
    )


def test_a_criterion_that_fails_shows_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    out_of_bounds = "CrossEntropyLoss received 0 .pred.: float32.8, 1., 1 .target.: int64.8.: IndexError"
    assert failed(capsys, RunError, out_of_bounds, "system::model::out_features=1", "~system::metrics") == (
        "✗ criterion CrossEntropyLoss failed; it received\n"
        "  input ← pred       Tensor  [8, 1]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
    )


def test_a_call_that_does_not_fit_shows_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    adapter = ADAPTERS % "criterion: {_target_: lighter.adapters.CriterionAdapter, pred_argument: prediction}"
    assert failed(capsys, RunError, "unexpected keyword argument 'prediction'", adapter) == (
        "✗ criterion CrossEntropyLoss failed; it received\n"
        "  prediction ← pred  Tensor  [8, 2]   float32  cpu     # … #\n"
    )


def test_a_transform_that_fails_shows_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    transform = "{_target_: more.fail, _mode_: callable}"
    adapter = f"{{_target_: lighter.adapters.CriterionAdapter, pred_transforms: {transform}}}"
    assert failed(capsys, RunError, "pred_transforms: fail received", ADAPTERS % f"criterion: {adapter}") == (
        "✗ criterion adapter failed; it received\n  pred               Tensor  [8, 2]   float32  cpu     # … #\n"
    )


def test_a_metric_that_fails_shows_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    picky = "=system::metrics::train={_target_: more.Picky, where: update}"
    assert failed(capsys, RunError, "Picky received .*: ValueError: preds are not to my taste", picky) == (
        "✗ metric Picky failed; it received\n"
        "  preds ← pred       Tensor  [8, 2]   float32  cpu     # … #\n"
        "  target             Tensor  [8]      int64    cpu     0 … 1\n"
    )


def test_a_metric_that_fails_at_the_end_shows_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    picky = "=system::metrics::val={_target_: more.Picky, where: compute}"
    assert failed(capsys, ValueError, "nothing to compute", picky, stage="validate").startswith(
        "✗ metric Picky, in compute, failed; it received\n"
        "  seen               Tensor  [2]      float32  cpu     all 1\n"
    )


def test_a_logging_adapter_that_fails_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    section = failed(capsys, ValueError, "no more", ADAPTERS % "logging: {_target_: more.fail, _mode_: callable}")
    assert section.startswith("✗ logging adapter fail failed; it received\n  input              Tensor  [8, 4]")


def test_a_loss_that_trains_nothing_is_marked_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    no_gradient = "=system::criterion=$lambda pred, target: pred.detach().sum()"
    assert failed(capsys, RuntimeError, "does not require grad", no_gradient) == (
        "✗ backward failed; it received\n  loss               Tensor  []       float32  cpu     #  no gradient\n"
    )


def test_a_step_of_ones_own_that_fails_shows_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    source = (
        Path("proj/more.py")
        .read_text()
        .replace("x, y = batch\n        loss = torch.nn", "x, y, z = batch\n        loss = torch.nn")
    )
    Path("proj/more.py").write_text(source)
    section = failed(capsys, ValueError, "not enough values to unpack", "=system={_target_: more.Lit}")
    assert section.startswith("✗ Lit.training_step failed; it received\n  batch     list    2 items\n")


def test_what_was_traced_before_the_failure_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="is broken"):
        run("system::dataloaders::val::dataset::_target_=more.Broken")
    text = capsys.readouterr().out
    assert "criterion CrossEntropyLoss" in mode_of(text, "train")
    assert mode_of(text, "val").startswith("val      type  shape  dtype  device  range\n✗ dataset Broken failed")


def test_what_the_batch_brings_to_light_ends_with_status_1_and_what_cannot_be_built_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RunError, match="without a batch adapter, a batch must be") as caught:
        run(f"{TRAIN}::dataset::_target_=more.Records")
    assert (caught.value.status, type(caught.value.__cause__)) == (1, ConfigError)
    capsys.readouterr()
    with pytest.raises(BuildError, match="Invalid learning rate") as built:
        run("system::optimizer::lr=-1")
    assert built.value.status == 2
    assert "train" not in capsys.readouterr().out


def test_ctrl_c_shows_what_there_is_and_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        assert run(MODEL % "Interrupted") == 130
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning turns it off for its shutdown
    text = capsys.readouterr().out
    assert "batch adapter (default)" in text
    assert "✗" not in text


def test_an_unknown_stage_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'tset' is not a stage") as caught:
        run(stage="tset")
    assert caught.value.problems[0].suggestion == "did you mean 'test'?"


# --- nothing is trained or written


@pytest.mark.parametrize("kind", ["lighter.System", "more.Manual"])
def test_nothing_is_trained(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = "=system::model={_target_: more.Net}"
    scheduler = (
        "system::scheduler={_target_: torch.optim.lr_scheduler.StepLR, optimizer: '@system::optimizer', step_size: 1}"
    )
    table = mode_of(
        shown(capsys, model, scheduler, f"system::_target_={kind}", "system::optimizer::momentum=0.9"), "train"
    )
    assert "  parameters                                           4 of 4" in table
    [(net, before)] = importlib.import_module("more").MADE
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), {name: after[name] for name in before}


def test_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = (
        "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, every_n_train_steps: 1},"
        " {_target_: lighter.callbacks.TableWriter, path: table.csv},"
        " {_target_: lighter.callbacks.FileWriter, path: files, writer: tensor}]"
    )
    files = ["trainer::profiler=simple", callbacks, f"+{callbacks}".replace("+", "")]

    def tree() -> dict[Path, float]:
        return {path: path.stat().st_mtime for path in Path().rglob("*") if "__pycache__" not in path.parts}

    before = {path: time for path, time in tree().items() if path.is_file()}
    for stage in ("fit", "validate", "test", "predict"):
        shown(capsys, *files[:2], stage=stage)
    assert {path: time for path, time in tree().items() if path.is_file()} == before


def test_a_checkpoint_that_the_config_names_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "args={test: {ckpt_path: best}}", stage="test")
    assert "  overrides   'args={test: {ckpt_path: best}}'\n" in text
    assert "  weights     as built\n" in text


def test_several_devices_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "device      cpu\n" in shown(capsys, "trainer::devices=2", "trainer::strategy=ddp", "trainer::num_nodes=2")


# --- the table


def test_a_pipe_gets_long_lines_and_nothing_but_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    lines = shown(capsys, "=system::model={_target_: more.HalfUsed}").splitlines()
    assert any(line.endswith("  model.unused.weight, model.unused.bias") for line in lines)
    assert all(line == line.rstrip() for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_a_narrow_terminal_hides_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    table = mode_of(shown(capsys, "=system::model={_target_: more.HalfUsed}"), "train")
    tables, _, _ = table.partition("log\n")
    assert max(map(len, tables.splitlines())) <= 60
    assert "…" in tables
    assert "".join(tables.split()).count("model.unused.weight") == 1


Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Item:
    image: object
    label: object


class Thing:
    def __init__(self) -> None:
        self.data, self.count, self._cache = torch.ones(2), 3, torch.ones(2)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (torch.tensor(3.14159), "Tensor [] float32 cpu 3.142"),
        (torch.arange(6).reshape(2, 3), "Tensor [2, 3] int64 cpu 0 … 5"),
        (torch.ones(3), "Tensor [3] float32 cpu all 1"),
        (torch.zeros(0, 4), "Tensor [0, 4] float32 cpu empty"),
        (torch.tensor([True, False, True]), "Tensor [3] bool cpu 2 of 3 true"),
        (torch.tensor(True), "Tensor [] bool cpu true"),
        (torch.tensor([3 + 4j, 1]), "Tensor [2] complex64 cpu modulus 1 … 5"),
        (torch.tensor([1, 2]).half(), "Tensor [2] float16 cpu 1 … 2"),
        (torch.tensor([1, 2]).to(torch.float8_e4m3fn), "Tensor [2] float8_e4m3fn cpu 1 … 2"),
        (torch.tensor([1, 2], dtype=torch.uint16), "Tensor [2] uint16 cpu 1 … 2"),
        (torch.eye(3).to_sparse(), "Tensor, sparse_coo [3, 3] float32 cpu all 1"),
        (torch.empty(3, device="meta"), "Tensor [3] float32 meta no data"),
        (torch.tensor([1, NAN, INF, -INF]), "Tensor [4] float32 cpu all 1 | 1 NaN 2 Inf"),
        (torch.tensor([NAN, NAN]), "Tensor [2] float32 cpu | 2 NaN"),
        (np.array([0.5, NAN, 1]), "ndarray [3] float64 0.5 … 1 | 1 NaN"),
        (np.ones((2, 2))[::-1], "ndarray [2, 2] float64 all 1"),
        (np.array(["a", "b"]), "ndarray [2] <U1"),
        (np.float32(2), "float32 [] float32 2"),
        (Image.new("RGB", (32, 24), (0, 2, 255)), "Image 32 x 24 RGB 0 … 255"),
        (Image.new("L", (3, 2)), "Image 3 x 2 L all 0"),
        (None, "None"),
        (True, "bool true"),
        (3, "int 3"),
        (0.1, "float 0.1"),
        (NAN, "float | 1 NaN"),
        ("text", "str 'text'"),
        (b"ab", "bytes b'ab'"),
        (["a", "b"], "list 2 items str 'a', …"),
        ([1, 2], "list 2 items int 1 … 2"),
        ([1.0, INF], "list 2 items float all 1 | 1 Inf"),
        ([10**30], "list 1 item int"),
        ((), "tuple 0 items"),
        ({1, 2}, "set 2 items"),
        (object(), "object"),
        (iter([1]), "list_iterator"),
    ],
)
def test_a_value_is_described(value: object, row: str) -> None:
    [found] = rows_of("x", value)
    texts = [found.name, found.kind, found.shape, found.dtype, found.device, found.range]
    marks = ["|", *found.marks] if found.marks else []
    assert " ".join([text for text in texts if text] + marks) == f"x {row}"


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"a": 1, "b": {"c": torch.ones(1)}, 3: 2}, ["x", 'x["a"]', 'x["b"]', 'x["b"]["c"]', "x[3]"]),
        (Pair(1, [torch.ones(1)]), ["x", "x.left", "x.right", "x.right[0]"]),
        (Item(None, 1), ["x", "x.image", "x.label"]),
        (Thing(), ["x", "x.data"]),
        ([1, "a"], ["x", "x[0]", "x[1]"]),
        ([torch.ones(2)] * 4, ["x", "x[0]", "x[1]", "x[2]", "x[3]"]),
        ([torch.ones(2)] * 5, ["x", "x[0]", "x[1]", "x[2]", "x[…]"]),
        ([torch.ones(2)] * 5 + [torch.ones(3)], ["x", "x[0]", "x[1]", "x[2]", "x[5]", "x[…]"]),
    ],
)
def test_what_is_in_a_value_is_named_as_one_writes_it(value: object, names: list[str]) -> None:
    assert [row.name for row in rows_of("x", value)] == names


def test_what_is_hidden_tells_what_is_not_finite() -> None:
    rows = rows_of("x", [torch.tensor([NAN])] * 6)
    assert (rows[-1].kind, rows[-1].marks) == ("3 more", ("3 NaN",))


def test_a_value_in_itself_ends() -> None:
    endless: list[Any] = [torch.ones(1)]
    endless.append(endless)
    assert len(rows_of("x", endless)) < 50


# --- the docs


def test_the_docs_show_what_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS")

    def without_numbers(text: str) -> str:
        return re.sub(r"(?<= )-?\d[\d.e-]*( … -?[\d.]+)?(?=\n)", "#", text)

    texts = re.findall(r"^```text\n(.*?)^```$", (ROOT / "docs/trace.md").read_text(), re.DOTALL | re.MULTILINE)
    good, bad = map(without_numbers, texts)
    config = "projects/digits/config_dict.yaml"
    assert command.run(config).run() == 0
    assert good in without_numbers(capsys.readouterr().out)
    with pytest.raises(RunError, match="Target size"):
        command.run(config, "~system::adapters::train::criterion").run()
    table, _, error = bad.partition("\n\n")
    assert without_numbers(capsys.readouterr().out).endswith(f"{table}\n\n")
    assert error.startswith("error: BCEWithLogitsLoss received 0 (pred): float32[64, 10], 1 (target): int64[64]: ")
