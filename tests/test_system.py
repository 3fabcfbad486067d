from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchmetrics import Metric, MetricCollection, MinMaxMetric, MultitaskWrapper, R2Score, SumMetric
from torchmetrics.classification import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
)

from lighter._losses import count_samples
from lighter._metrics import SharedMetrics
from lighter.adapters import BatchAdapter, CriterionAdapter, LoggingAdapter, MetricsAdapter
from lighter.errors import ConfigError, RunError
from lighter.system import System

FEATURES, CLASSES, SAMPLES, BATCH = 6, 3, 22, 4  # 22 by 4: the last of the six batches has two samples
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(SAMPLES, FEATURES, generator=GENERATOR)
Y = (X @ torch.randn(FEATURES, CLASSES, generator=GENERATOR)).argmax(1)


def loader(x: Tensor = X, y: Tensor = Y, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(x, y), batch_size=BATCH, **options)


def sgd(system: System) -> SGD:
    return SGD(system.parameters(), lr=0.1)


def make_system(kind: type[System] = System, **changes: Any) -> System:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "model": nn.Linear(FEATURES, CLASSES),
        "dataloaders": {"train": loader(), "val": loader()},
        "optimizer": sgd,
        "criterion": nn.CrossEntropyLoss(),
    }
    return kind(**(arguments | changes))


def make_trainer(**changes: Any) -> pl.Trainer:
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 2,
    }
    return pl.Trainer(**(options | changes))


def fit(system: System, **changes: Any) -> pl.Trainer:
    trainer = make_trainer(**changes)
    trainer.fit(system)
    return trainer


class Memory(Logger):
    """A logger that keeps what it is given."""

    name = version = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def steps_of(self, name: str) -> list[int | None]:
        return [step for step, values in self.rows if name in values]

    def names(self) -> set[str]:
        return {name for _, values in self.rows for name in values} - {"epoch"}


class Outputs(pl.Callback):
    """Keep what the steps of each mode return."""

    def __init__(self) -> None:
        self.train: list[Any] = []
        self.val: list[Any] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.train.append(outputs)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *args: Any, **kwargs: Any) -> None:
        self.val.append(outputs)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of `self.log`, and of what computes the values of a batch."""
    counter: Counter[str] = Counter()

    def counted(owner: type, name: str, label: str) -> None:
        original = getattr(owner, name)

        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            counter[f"{label}:{args[0]}" if label == "log" else label] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapper)

    counted(pl.LightningModule, "log", "log")
    counted(SharedMetrics, "forward", "forward")
    return counter


# Epoch values


def test_epoch_metric_over_uneven_batches_is_the_metric_of_all_data_at_once() -> None:
    system = make_system(metrics={"val": MulticlassF1Score(CLASSES, average="macro")})
    trainer = make_trainer()
    trainer.validate(system, verbose=False)
    expected = MulticlassF1Score(CLASSES, average="macro")(system.model(X), Y)
    assert trainer.callback_metrics["val/metrics/MulticlassF1Score/epoch"] == pytest.approx(expected.item())


@pytest.mark.parametrize("mode", ["train", "val"])
def test_epoch_loss_is_weighted_by_samples(mode: str) -> None:
    system = make_system(optimizer=lambda system: SGD(system.parameters(), lr=0.0))
    trainer = fit(system)
    expected = nn.functional.cross_entropy(system.model(X), Y).item()
    assert trainer.callback_metrics[f"{mode}/loss/epoch"].item() == pytest.approx(expected, abs=1e-6)


def test_epoch_metrics_stay_exact_when_some_steps_log_batch_values() -> None:
    metrics = {
        "accuracy": MulticlassAccuracy(CLASSES),
        "f1": MulticlassF1Score(CLASSES),
        "precision": MulticlassPrecision(CLASSES),
    }
    still = make_system(metrics={"train": metrics}, optimizer=lambda system: SGD(system.parameters(), lr=0.0))
    trainer = fit(still, logger=Memory(), max_epochs=2)
    for name, metric in metrics.items():
        fresh = type(metric)(CLASSES)
        value = trainer.callback_metrics[f"train/metrics/{name}/epoch"]
        assert value == pytest.approx(fresh(still.model(X), Y).item())


def test_metrics_that_agree_on_the_first_batch_stay_apart() -> None:
    x = torch.tensor([[0.01], [0.99], [0.01], [0.99], [0.6], [0.6], [0.6], [0.6]])
    y = torch.tensor([0, 1, 0, 1, 0, 0, 0, 0])
    system = make_system(
        model=nn.Flatten(0),
        criterion=None,
        dataloaders={"test": loader(x, y)},
        metrics={"test": {"low": BinaryAccuracy(threshold=0.5), "high": BinaryAccuracy(threshold=0.9)}},
    )
    trainer = make_trainer()
    trainer.test(system, verbose=False)
    assert trainer.callback_metrics["test/metrics/low/epoch"] == pytest.approx(0.5)
    assert trainer.callback_metrics["test/metrics/high/epoch"] == pytest.approx(1.0)


def test_metric_shared_by_two_modes_keeps_two_states() -> None:
    metric = SumMetric()
    system = make_system(
        metrics={"train": metric, "val": metric},
        adapters={mode: {"metrics": MetricsAdapter(target_argument=0)} for mode in ("train", "val")},
    )
    trainer = fit(system, val_check_interval=4)
    for mode in ("train", "val"):
        assert trainer.callback_metrics[f"{mode}/metrics/SumMetric/epoch"] == Y.sum()


@pytest.mark.parametrize("as_given", [list, dict, MetricCollection], ids=["list", "dict", "collection"])
def test_metrics_of_one_kind_or_another_give_the_same_values(as_given: Any) -> None:
    metrics: Any = [MulticlassAccuracy(CLASSES), MulticlassF1Score(CLASSES)]
    given = as_given(metrics) if as_given is not dict else {type(metric).__name__: metric for metric in metrics}
    trainer = make_trainer()
    trainer.validate(make_system(metrics={"val": given}), verbose=False)
    names = {"val/metrics/MulticlassAccuracy/epoch", "val/metrics/MulticlassF1Score/epoch", "val/loss/epoch"}
    assert set(trainer.callback_metrics) == names


def test_each_epoch_starts_from_nothing() -> None:
    logger = Memory()
    system = make_system(
        optimizer=lambda system: SGD(system.parameters(), lr=0.0),
        metrics={mode: {"sum": SumMetric()} for mode in ("train", "val")},
        adapters={mode: {"metrics": MetricsAdapter(target_argument=0)} for mode in ("train", "val")},
    )
    fit(system, max_epochs=3, logger=logger)
    for mode in ("train", "val"):
        losses = [row[f"{mode}/loss/epoch"] for _, row in logger.rows if f"{mode}/loss/epoch" in row]
        sums = [row[f"{mode}/metrics/sum/epoch"] for _, row in logger.rows if f"{mode}/metrics/sum/epoch" in row]
        assert losses == [losses[0]] * 3
        assert sums == [Y.sum().item()] * 3


def test_sanity_check_leaves_no_trace() -> None:
    logger = Memory()
    seen: list[tuple[set[str], int]] = []

    class Watch(pl.Callback):
        def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, System)
            seen.append((set(trainer.callback_metrics), pl_module.metrics["val"]["MulticlassAccuracy"].update_count))

    system = make_system(metrics={"val": MulticlassAccuracy(CLASSES)})
    fit(system, num_sanity_val_steps=2, logger=logger, callbacks=[Watch()], log_every_n_steps=1)
    assert seen == [(set(), 0)]
    assert logger.steps_of("val/loss/step") == list(range(6))


def test_mode_without_batches_logs_nothing() -> None:
    trainer = fit(make_system(metrics={"val": MulticlassAccuracy(CLASSES)}), limit_val_batches=0)
    assert set(trainer.callback_metrics) == {"train/loss/epoch"}


def test_validation_in_the_middle_of_an_epoch_leaves_the_training_values_alone() -> None:
    logger = Memory()
    system = make_system(
        metrics={mode: MulticlassAccuracy(CLASSES) for mode in ("train", "val")},
        optimizer=lambda system: SGD(system.parameters(), lr=0.0),
    )
    trainer = fit(system, val_check_interval=2, logger=logger)
    assert len(logger.steps_of("val/loss/epoch")) == 3
    expected = MulticlassAccuracy(CLASSES)(system.model(X), Y).item()
    assert trainer.callback_metrics["train/metrics/MulticlassAccuracy/epoch"] == pytest.approx(expected)


def test_vectors_are_logged_by_element_and_matrices_skipped_with_one_warning() -> None:
    metrics = {"recall": MulticlassAccuracy(CLASSES, average=None), "confusion": MulticlassConfusionMatrix(CLASSES)}
    system = make_system(metrics={"val": metrics})
    with pytest.warns(
        UserWarning, match="val/metrics/confusion is no number and no vector, so it is not logged"
    ) as caught:
        trainer = fit(system, max_epochs=2, num_sanity_val_steps=0)
    assert len([warning for warning in caught if "confusion" in str(warning.message)]) == 1
    elements = {f"val/metrics/recall/{index}/epoch" for index in range(CLASSES)}
    assert set(trainer.callback_metrics) == {"train/loss/epoch", "val/loss/epoch"} | elements


# Names and when they are logged


def test_logged_names_are_these() -> None:
    logger = Memory()
    modes = ("train", "val", "test")
    system = make_system(
        dataloaders={mode: loader() for mode in modes},
        metrics={mode: {"accuracy": MulticlassAccuracy(CLASSES)} for mode in modes},
        optimizer=lambda system: Adam(system.parameters()),
    )
    trainer = fit(system, logger=logger)
    assert logger.names() == {
        "train/loss/step",
        "train/loss/epoch",
        "train/metrics/accuracy/step",
        "train/metrics/accuracy/epoch",
        "train/optimizer/Adam/lr",
        "train/optimizer/Adam/momentum",
        "val/loss/step",
        "val/loss/epoch",
        "val/metrics/accuracy/step",
        "val/metrics/accuracy/epoch",
    }
    logger.rows.clear()
    trainer.test(system, verbose=False)
    assert logger.names() == {"test/metrics/accuracy/step", "test/metrics/accuracy/epoch"}


def test_optimizer_values_have_a_group_only_where_there_are_several() -> None:
    logger = Memory()

    def two_groups(system: System) -> SGD:
        weight, bias = system.parameters()
        return SGD([{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": 0.2, "momentum": 0.5}])

    fit(make_system(optimizer=two_groups, dataloaders={"train": loader()}), logger=logger)
    rates = {name: value for name, value in logger.rows[0][1].items() if "optimizer" in name}
    assert rates == pytest.approx(
        {
            "train/optimizer/SGD/lr/group0": 0.1,
            "train/optimizer/SGD/lr/group1": 0.2,
            "train/optimizer/SGD/momentum/group0": 0.0,
            "train/optimizer/SGD/momentum/group1": 0.5,
        }
    )


def test_nothing_but_epoch_values_is_logged_when_nobody_looks(calls: Counter[str]) -> None:
    fit(make_system(metrics={"train": MulticlassAccuracy(CLASSES)}))
    assert calls == {
        "log:train/loss/epoch": 1,
        "log:train/metrics/MulticlassAccuracy/epoch": 1,
        "log:val/loss/epoch": 1,
    }


def test_steps_between_log_steps_neither_log_nor_compute(calls: Counter[str]) -> None:
    logger = Memory()
    fit(make_system(metrics={"train": MulticlassAccuracy(CLASSES)}), logger=logger, log_every_n_steps=3)
    assert logger.steps_of("train/loss/step") == [2, 5]
    assert calls["log:train/loss/step"] == 2
    assert calls["log:train/metrics/MulticlassAccuracy/step"] == 2
    assert calls["forward"] == 2


def test_progress_bar_alone_gets_the_loss_alone(calls: Counter[str], capsys: pytest.CaptureFixture[str]) -> None:
    trainer = fit(make_system(metrics={"train": MulticlassAccuracy(CLASSES)}), enable_progress_bar=True)
    assert set(trainer.progress_bar_metrics) == {"train/loss/step"}
    assert calls["log:train/loss/step"] == 3
    assert calls["forward"] == 0


def test_evaluation_steps_are_logged_on_log_steps_alone_and_counted_on() -> None:
    logger = Memory()
    fit(make_system(), logger=logger, max_epochs=2, log_every_n_steps=3)
    assert logger.steps_of("val/loss/step") == [2, 5, 8, 11]


def test_accumulated_batches_log_once_per_optimizer_step() -> None:
    logger = Memory()
    system = make_system(optimizer=lambda system: SGD(system.parameters(), lr=0.0))
    trainer = fit(system, logger=logger, accumulate_grad_batches=4, log_every_n_steps=1)
    assert logger.steps_of("train/loss/step") == [0, 1]
    losses = [values["train/loss/step"] for _, values in logger.rows if "train/loss/step" in values]
    expected = [nn.functional.cross_entropy(system.model(X[s]), Y[s]).item() for s in (slice(12, 16), slice(20, 22))]
    assert losses == pytest.approx(expected)
    assert trainer.callback_metrics["train/loss/epoch"].item() == pytest.approx(
        nn.functional.cross_entropy(system.model(X), Y).item()
    )


def test_barebones_trainer_hears_of_nothing(recwarn: pytest.WarningsRecorder, calls: Counter[str]) -> None:
    warnings.simplefilter("always")
    pl.Trainer(accelerator="cpu", max_epochs=1, barebones=True).fit(make_system())
    assert not calls
    assert not [warning for warning in recwarn if "self.log" in str(warning.message)]


# Losses


class Weighted(nn.Module):
    """Return two losses and their total."""

    def forward(self, pred: Tensor, target: Tensor) -> dict[str, Tensor | float]:
        cross, size = nn.functional.cross_entropy(pred, target), pred.square().mean()
        return {"total": cross + 0.1 * size, "cross": cross, "size": size, "weight": 0.1}


def test_each_part_of_a_dict_loss_is_logged() -> None:
    logger, outputs = Memory(), Outputs()
    system = make_system(criterion=Weighted(), optimizer=lambda system: SGD(system.parameters(), lr=0.0))
    trainer = fit(system, logger=logger, callbacks=[outputs])
    parts = {"total", "cross", "size", "weight"}
    assert {name for name in logger.names() if "loss" in name} == {
        f"{mode}/loss/{part}/{when}" for mode in ("train", "val") for part in parts for when in ("step", "epoch")
    }
    for name, value in Weighted()(system.model(X), Y).items():
        assert trainer.callback_metrics[f"train/loss/{name}/epoch"].item() == pytest.approx(
            float(torch.as_tensor(value).detach()), abs=1e-5
        )
    assert set(outputs.train[0]["losses"]) == parts
    assert outputs.train[0]["loss"] == outputs.train[0]["losses"]["total"]


def test_progress_bar_shows_the_total_of_a_dict_loss(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = fit(make_system(criterion=Weighted()), enable_progress_bar=True)
    assert set(trainer.progress_bar_metrics) == {"train/loss/total/step"}


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (lambda pred, target: {"dice": pred.mean()}, r"returned \{dice: float32\[\]\}; .* a dict with 'total'"),
        (lambda pred, target: None, "returned None; it must return a tensor, or a dict with 'total'"),
        (
            nn.CrossEntropyLoss(reduction="none"),
            r"CrossEntropyLoss returned float32\[4\], and a loss must be one number",
        ),
    ],
    ids=["no total", "nothing", "not reduced"],
)
def test_criterion_that_returns_no_loss_is_an_error(criterion: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(make_system(criterion=criterion))


def test_loss_of_one_element_is_taken_as_a_number() -> None:
    system = make_system(criterion=lambda pred, target: nn.functional.cross_entropy(pred, target).view(1))
    assert fit(system).callback_metrics["train/loss/epoch"].ndim == 0


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ((torch.zeros(5, 3), [1, 2]), 5),
        (([torch.zeros(3, 4)] * 6, torch.zeros(6)), 6),
        (({"a": "text", "b": torch.zeros(4)}, None), 4),
        (([torch.zeros(3, 4, 4)] * 2, None), 2),
        (((torch.zeros(3, 4, 4),) * 2, ({"boxes": torch.zeros(1, 4)},) * 2), 2),
        (((torch.zeros(3, 4, 4),) * 2, [torch.zeros(0, 4), torch.zeros(5, 4)]), 2),
        (((torch.zeros(7, 2), torch.zeros(7, 9)), None), 7),
        (([torch.zeros(7, 2), torch.zeros(7, 2)], None, ["name"] * 7), 7),
        ((torch.tensor(1.0), None), 1),
    ],
    ids=["tensor", "images", "mapping", "list", "detection", "boxes", "two inputs", "identifiers", "nothing"],
)
def test_batch_size_is_what_the_first_telling_value_shows(values: tuple[Any, ...], count: int) -> None:
    assert count_samples(*values) == count


# Monitors


@pytest.mark.parametrize("logger", [False, True], ids=["no logger", "logger"])
def test_monitors_find_epoch_values_with_and_without_a_logger(tmp_path: Path, logger: bool) -> None:
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/metrics/MulticlassAccuracy/epoch", mode="max")
    stopping = EarlyStopping("train/loss/epoch", patience=0, min_delta=100.0)
    system = make_system(
        metrics={"val": MulticlassAccuracy(CLASSES)},
        scheduler={
            "scheduler": lambda system: ReduceLROnPlateau(
                system.optimizer, patience=0, threshold=100.0, threshold_mode="abs"
            ),
            "monitor": "val/loss/epoch",
        },
    )
    trainer = fit(
        system,
        max_epochs=5,
        logger=Memory() if logger else False,
        enable_checkpointing=True,
        callbacks=[checkpoint, stopping],
    )
    assert Path(checkpoint.best_model_path).exists()
    assert trainer.current_epoch == 2
    assert system.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_monitored_step_value_is_logged_at_every_step_without_a_logger() -> None:
    plateau = {
        "scheduler": lambda system: ReduceLROnPlateau(
            system.optimizer, patience=0, threshold=100.0, threshold_mode="abs"
        ),
        "monitor": "train/loss/step",
        "interval": "step",
    }
    system = make_system(scheduler=plateau)
    trainer = fit(system, log_every_n_steps=50)
    assert "train/loss/step" in trainer.callback_metrics
    assert system.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**5)


# Outputs


def test_callbacks_receive_the_output_dict() -> None:
    outputs = Outputs()
    system = make_system(metrics={"train": {"accuracy": MulticlassAccuracy(CLASSES)}})
    fit(system, callbacks=[outputs], max_epochs=2, logger=Memory(), log_every_n_steps=2)
    first, second, last = outputs.train[0], outputs.train[1], outputs.train[-1]
    assert set(first) == {"identifier", "input", "target", "pred", "loss", "metrics", "step", "epoch"}
    assert torch.equal(first["input"], X[:BATCH])
    assert torch.equal(first["target"], Y[:BATCH])
    assert first["pred"].shape == (BATCH, CLASSES)
    assert not first["pred"].requires_grad
    assert first["identifier"] is None
    assert first["metrics"] is None
    assert set(second["metrics"]) == {"accuracy"}
    assert (first["step"], first["epoch"], last["step"], last["epoch"]) == (0, 0, 11, 1)
    assert set(outputs.val[0]) == set(first)


@pytest.mark.parametrize("mode", ["train", "val"])
def test_logging_adapter_changes_what_callbacks_receive_and_nothing_else(mode: str) -> None:
    outputs = Outputs()
    adapter = LoggingAdapter(input_transforms=lambda x: None, pred_transforms=lambda p: p.argmax(1))
    trainer = fit(make_system(adapters={mode: {"logging": adapter}}), callbacks=[outputs])
    output = getattr(outputs, mode)[0]
    assert output["input"] is None
    assert output["pred"].shape == (BATCH,)
    assert trainer.callback_metrics[f"{mode}/loss/epoch"].isfinite()


@pytest.mark.parametrize("callbacks", [[], [ModelCheckpoint(every_n_train_steps=100, save_last=False)]])
def test_steps_return_only_the_loss_when_nobody_reads_the_outputs(
    monkeypatch: pytest.MonkeyPatch, callbacks: list[pl.Callback]
) -> None:
    returned: list[Any] = []
    step = System._step

    def watched(self: System, mode: str, batch: Any, *index: Any, **again: Any) -> Any:
        returned.append(step(self, mode, batch, *index, **again))
        return returned[-1]

    monkeypatch.setattr(System, "_step", watched)
    fit(make_system(), callbacks=callbacks, enable_checkpointing=bool(callbacks))
    assert len(returned) == 14
    assert all(isinstance(output, Tensor) for output in returned)


def test_subclass_with_a_step_of_its_own_always_gets_the_output_dict() -> None:
    class Doubled(System):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return 2 * super().training_step(batch, batch_idx)["loss"]

    fit(make_system(Doubled))


def test_lambda_callback_and_a_hook_of_the_system_itself_receive_outputs() -> None:
    kept: list[Any] = []

    class Reader(System):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            kept.append(outputs)

    fit(make_system(Reader))
    callback = LambdaCallback(on_train_batch_end=lambda trainer, module, outputs, *_: kept.append(outputs))
    fit(make_system(), callbacks=[callback])
    assert len(kept) == 12
    assert all("pred" in outputs for outputs in kept)


def test_predict_returns_the_output_dict() -> None:
    x: DataLoader[Any] = DataLoader(X, batch_size=BATCH)  # type: ignore[arg-type]
    adapters = {"predict": {"logging": LoggingAdapter(pred_transforms=lambda p: p.softmax(1))}}
    system = make_system(dataloaders={"predict": x}, optimizer=None, criterion=None, adapters=adapters)
    outputs: Any = make_trainer().predict(system)
    assert len(outputs) == 6
    assert torch.equal(torch.cat([output["input"] for output in outputs]), X)
    assert torch.allclose(torch.cat([output["pred"] for output in outputs]), system.model(X).softmax(1))
    assert outputs[0]["loss"] is outputs[0]["metrics"] is outputs[0]["target"] is None


def test_predict_without_a_batch_adapter_says_why_the_model_was_given_a_list() -> None:
    system = make_system(dataloaders={"predict": loader()}, optimizer=None, criterion=None)
    with pytest.raises(
        RunError, match=r"predict gives the model the whole batch, list of 2 \(float32\[4, 6\], int64\[4\]\)"
    ):
        make_trainer().predict(system)


# What the model is called with


class Scheduled(nn.Linear):
    """A model that wants to know the epoch and the step."""

    def __init__(self) -> None:
        super().__init__(FEATURES, CLASSES)
        self.seen: list[tuple[int, int]] = []

    def forward(self, input: Tensor, epoch: int = -1, step: int = -1) -> Tensor:  # noqa: A002
        self.seen.append((epoch, step))
        return super().forward(input)


def test_model_that_takes_epoch_and_step_gets_them() -> None:
    model = Scheduled()
    fit(make_system(model=model, dataloaders={"train": loader()}), max_epochs=2)
    assert model.seen == [(index // 6, index) for index in range(12)]


def test_arguments_are_not_pushed_into_keywords_of_any_name() -> None:
    class Open(nn.Linear):
        def forward(self, input: Tensor, **options: Any) -> Tensor:  # noqa: A002
            assert not options
            return super().forward(input)

    fit(make_system(model=Open(FEATURES, CLASSES)))


def test_inferer_runs_the_model_in_every_mode_but_train() -> None:
    called: list[bool] = []

    def inferer(input: Tensor, model: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: A002
        called.append(isinstance(model, partial))
        return torch.cat([model(part) for part in input.chunk(len(input))])

    model = Scheduled()
    loaders = {"train": loader(), "val": loader(), "test": loader(), "predict": DataLoader(X)}  # type: ignore[arg-type]
    trainer = make_trainer(num_sanity_val_steps=0)
    system = make_system(model=model, inferer=inferer, dataloaders=loaders)
    trainer.fit(system)
    assert called == [True] * 6
    assert model.seen[-1] == (0, 6)
    trainer.test(system, verbose=False)
    trainer.predict(system)
    assert len(called) == 6 + 6 + 22
    assert all(called)


def test_system_itself_can_be_called() -> None:
    system = make_system()
    assert torch.equal(system(X), system.model(X))


def test_step_can_be_tried_without_a_trainer() -> None:
    output = make_system().training_step([X, Y], 0)
    assert output["loss"].requires_grad
    assert output["step"] == 0


# What is built late


def test_model_can_be_built_late_and_once() -> None:
    built: list[nn.Module] = []

    def make() -> nn.Module:
        built.append(nn.Linear(FEATURES, CLASSES))
        return built[-1]

    system = make_system(model=make)
    trainer = fit(system)
    trainer.validate(system, verbose=False)
    assert built == [system.model]


def test_late_model_must_be_a_module() -> None:
    with pytest.raises(ConfigError, match=r"returned 3 for the model, which is no nn.Module"):
        fit(make_system(model=lambda: 3))


def test_optimizer_and_scheduler_are_built_from_the_live_system_in_this_order() -> None:
    system = make_system(scheduler=lambda system: StepLR(system.optimizer, 1))
    fit(system)
    first = system.optimizer
    fit(system)
    assert isinstance(system.scheduler, StepLR)
    assert system.scheduler.optimizer is system.optimizer is not first


def test_optimizer_and_scheduler_may_be_objects() -> None:
    model = nn.Linear(FEATURES, CLASSES)
    optimizer = SGD(model.parameters(), lr=0.1)
    fit(make_system(model=model, optimizer=optimizer, scheduler=StepLR(optimizer, 1)), max_epochs=2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


@pytest.mark.parametrize("form", [list, lambda pair: {"warm": pair[0], "cool": pair[1]}], ids=["list", "mapping"])
def test_one_optimizer_may_have_several_schedulers(form: Callable[[Any], Any]) -> None:
    def schedulers(system: System) -> Any:
        steps = {"scheduler": StepLR(system.optimizer, 1, gamma=0.5), "interval": "step", "frequency": 3}
        return form([steps, StepLR(system.optimizer, 1)])

    system = make_system(scheduler=schedulers)
    fit(system)
    assert system.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**2 * 0.1)


def test_several_optimizers_work_in_manual_optimization() -> None:
    class Manual(System):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            output = super().training_step(batch, batch_idx)
            optimizers: Any = self.optimizers()
            for optimizer in optimizers:
                optimizer.zero_grad()
            self.manual_backward(output["loss"])
            for optimizer in optimizers:
                optimizer.step()
            return output

    logger = Memory()
    system = make_system(
        Manual,
        optimizer={
            "weight": lambda system: SGD([system.model.weight], lr=0.1),
            "bias": lambda system: SGD([system.model.bias], lr=0.2),
        },
        scheduler=lambda system: [StepLR(optimizer, 1) for optimizer in system.optimizer.values()],
    )
    trainer = fit(system, logger=logger)
    assert list(system.optimizer) == ["weight", "bias"]
    assert len(trainer.optimizers) == len(trainer.lr_scheduler_configs) == 2
    assert logger.steps_of("train/loss/step") == [1, 3, 5]
    rates = {name: value for name, value in logger.rows[0][1].items() if name.endswith("/lr")}
    assert rates == pytest.approx({"train/optimizer/SGD/lr": 0.1, "train/optimizer/SGD-1/lr": 0.2})


# Data


def test_fit_without_validation_data_runs_no_validation() -> None:
    trainer = fit(make_system(dataloaders={"train": loader()}, metrics={"val": MulticlassAccuracy(CLASSES)}))
    assert set(trainer.callback_metrics) == {"train/loss/epoch"}


def test_system_without_dataloaders_takes_them_from_the_trainer() -> None:
    trainer = make_trainer()
    trainer.fit(make_system(dataloaders=None), loader(), loader())
    assert set(trainer.callback_metrics) == {"train/loss/epoch", "val/loss/epoch"}


def test_several_validation_loaders_make_one_epoch() -> None:
    system = make_system(dataloaders={"val": [loader(X[:10], Y[:10]), loader(X[10:], Y[10:])]})
    trainer = make_trainer(logger=Memory(), log_every_n_steps=1)
    trainer.validate(system, verbose=False)
    expected = nn.functional.cross_entropy(system.model(X), Y).item()
    assert trainer.callback_metrics["val/loss/epoch"].item() == pytest.approx(expected)


def test_mode_without_a_dataloader_names_those_present() -> None:
    with pytest.raises(ConfigError, match="there is no dataloader for 'test', only for train, val"):
        make_trainer().test(make_system())
    with pytest.raises(ConfigError, match="there is no dataloader for 'val', only for train"):
        make_trainer().validate(make_system(dataloaders={"train": loader()}))
    with pytest.raises(ConfigError, match="there is no dataloader for 'train', only for no mode"):
        fit(make_system(dataloaders=None))


# Mistakes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"valid": []}}, "unknown mode 'valid' in metrics\n  did you mean 'val'"),
        ({"dataloaders": {"training": []}}, "unknown mode 'training' in dataloaders\n  did you mean 'train'"),
        ({"adapters": {"tets": {}}}, "unknown mode 'tets' in adapters\n  did you mean 'test'"),
        (
            {"adapters": {"val": {"metric": MetricsAdapter(0)}}},
            "unknown slot 'metric' in adapters::val\n  did you mean 'metrics'",
        ),
        ({"adapters": {"val": {"batch": "image"}}}, "adapters::val::batch must be callable, not 'image'"),
        (
            {"adapters": {"val": BatchAdapter(0)}},
            "adapters::val must be a mapping of batch, criterion, metrics, logging",
        ),
        ({"metrics": [MulticlassAccuracy(2)]}, "metrics must be a mapping by mode"),
        (
            {"metrics": {"val": [MulticlassAccuracy(2), MulticlassAccuracy(2)]}},
            "metrics of mode 'val': .*MulticlassAccuracy",
        ),
        ({"metrics": {"val": "accuracy"}}, "metrics of mode 'val': "),
        ({"model": "resnet"}, "the model must be an nn.Module or a callable that returns one, not 'resnet'"),
        ({"criterion": "ce"}, "the criterion must be callable, not 'ce'"),
        ({"inferer": 3}, "the inferer must be callable, not 3"),
    ],
)
def test_argument_that_cannot_be_right_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_system(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": None}, "fit needs an optimizer, and the System has none"),
        ({"criterion": None}, "fit needs a criterion, and the System has none"),
        ({"optimizer": lambda system: 3}, "3 was given as an optimizer, which it is not"),
        ({"optimizer": [sgd, sgd]}, "several optimizers need manual optimization"),
        (
            {"scheduler": {"schedular": 1, "interval": "step"}},
            "unknown key 'schedular' in scheduler\n  did you mean 'scheduler'",
        ),
        ({"scheduler": {"interval": "step"}}, "a scheduler's mapping needs the key 'scheduler', and has interval"),
        ({"scheduler": lambda s: ReduceLROnPlateau(s.optimizer)}, "ReduceLROnPlateau needs to know what to monitor"),
        (
            {"adapters": {"train": {"batch": lambda batch: batch}}},
            r"returned list of 2 .*; a batch adapter returns \(input, ",
        ),
    ],
)
def test_fit_that_cannot_work_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(make_system(**changes), num_sanity_val_steps=0)


def test_failing_part_says_what_it_received() -> None:
    with pytest.raises(
        RunError, match=r"^BCELoss received 0 \(pred\): float32\[4, 3\], 1 \(target\): int64\[4\]: ValueError"
    ):
        fit(make_system(criterion=nn.BCELoss()))


# Adapters in the step


def test_adapters_of_each_mode_are_used() -> None:
    def target_first(target: Tensor, pred: Tensor) -> Tensor:
        return nn.functional.mse_loss(pred, target)

    adapters: Mapping[str, Any] = {
        "train": {
            "batch": BatchAdapter("x", "y", "name"),
            "criterion": CriterionAdapter(
                target_argument=0,
                pred_argument="pred",
                target_transforms=lambda y: nn.functional.one_hot(y, CLASSES).float(),
            ),
            "metrics": MetricsAdapter(pred_argument=0, target_argument=1, pred_transforms=lambda p: p.argmax(1)),
        }
    }
    data = [{"x": x, "y": y, "name": f"sample {index}"} for index, (x, y) in enumerate(zip(X, Y, strict=True))]
    outputs = Outputs()
    system = make_system(
        dataloaders={"train": DataLoader(data, batch_size=BATCH)},  # type: ignore[arg-type]
        criterion=target_first,
        metrics={"train": MulticlassAccuracy(CLASSES)},
        adapters=adapters,
        optimizer=lambda system: SGD(system.parameters(), lr=0.0),
    )
    trainer = fit(system, callbacks=[outputs])
    assert outputs.train[0]["identifier"] == ["sample 0", "sample 1", "sample 2", "sample 3"]
    expected = nn.functional.mse_loss(system.model(X), nn.functional.one_hot(Y, CLASSES).float())
    assert trainer.callback_metrics["train/loss/epoch"].item() == pytest.approx(expected.item())


def test_system_can_be_copied_in_the_middle_of_an_epoch() -> None:
    system = make_system(metrics={"train": [MulticlassAccuracy(CLASSES), MulticlassF1Score(CLASSES)]})
    system.training_step([X, Y], 0)
    other = copy.deepcopy(system)
    other.training_step([X, Y], 1)
    for name, metric in other.metrics["train"].items():
        assert metric.update_count == 2, name
        assert system.metrics["train"][name].update_count == 1


# Several processes


class Record(pl.Callback):
    """Write each rank's epoch values to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        torch.save(values, self.folder / f"{trainer.global_rank}.pt")


@pytest.mark.parametrize("logger", [False, True], ids=["no logger", "logger"])
def test_ranks_agree_on_epoch_values_over_all_their_samples(tmp_path: Path, logger: bool) -> None:
    class Halves(torch.utils.data.Sampler[int]):
        """Give rank 0 the first 12 samples and rank 1 the other 10: no padding, the last batches uneven."""

        def __iter__(self) -> Iterator[int]:
            rank = torch.distributed.get_rank()
            return iter(range(12)) if rank == 0 else iter(range(12, SAMPLES))

        def __len__(self) -> int:
            return 12 if torch.distributed.get_rank() == 0 else 10

    metrics: dict[str, Metric] = {
        "f1": MulticlassF1Score(CLASSES, average="macro"),
        "recall": MulticlassAccuracy(CLASSES, average=None),
    }
    system = make_system(
        dataloaders={mode: loader(sampler=Halves()) for mode in ("train", "val")},
        optimizer=lambda system: SGD(system.parameters(), lr=0.0),
        metrics={mode: copy.deepcopy(metrics) for mode in ("train", "val")},
    )
    trainer = make_trainer(
        strategy="ddp_fork",
        devices=2,
        use_distributed_sampler=False,
        callbacks=[Record(tmp_path)],
        logger=Memory() if logger else False,
    )
    trainer.fit(system)
    expected = {"loss": nn.functional.cross_entropy(system.model(X), Y).item()}
    expected["metrics/f1"] = metrics["f1"](system.model(X), Y).item()
    for index, value in enumerate(metrics["recall"](system.model(X), Y)):
        expected[f"metrics/recall/{index}"] = value.item()
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for values in ranks:
        for mode in ("train", "val"):
            for name, value in expected.items():
                assert values[f"{mode}/{name}/epoch"] == pytest.approx(value, abs=1e-6), name


class Counting(Metric):
    """A metric that keeps what it counts in a plain attribute."""

    full_state_update = False
    seen = 0
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, pred: torch.Tensor, target: torch.Tensor) -> None:
        self.seen += len(pred)
        self.total += len(target)

    def compute(self) -> torch.Tensor:
        return torch.tensor(float(self.seen))


def test_metrics_of_ones_own_are_each_updated() -> None:
    metrics = SharedMetrics(MetricCollection({"a": Counting(), "b": Counting()}, compute_groups=False))
    metrics.update(torch.zeros(3), torch.zeros(3))
    assert {name: float(value) for name, value in metrics.compute().items()} == {"a": 3.0, "b": 3.0}


# What a review of all this found wrong


@pytest.mark.parametrize("logger", [False, True], ids=["no logger", "logger"])
def test_epoch_value_of_a_metric_that_holds_metrics_is_exact_with_a_logger_too(logger: bool) -> None:
    metrics = {"val": MinMaxMetric(MulticlassAccuracy(CLASSES, average="micro"))}
    system = make_system(metrics=metrics, optimizer=lambda system: SGD(system.parameters(), lr=0.0))
    trainer = fit(system, logger=Memory() if logger else False, log_every_n_steps=1)
    expected = MulticlassAccuracy(CLASSES, average="micro")(system.model(X), Y).item()
    for name in ("raw", "min", "max"):
        assert trainer.callback_metrics[f"val/metrics/{name}/epoch"].item() == pytest.approx(expected), name


def test_a_batch_too_small_for_a_value_logs_none_and_keeps_the_epochs() -> None:
    x, y = torch.arange(5.0)[:, None], torch.arange(5.0)[:, None] * 2
    logger = Memory()
    system = make_system(
        model=nn.Linear(1, 1),
        criterion=nn.MSELoss(),
        dataloaders={"val": loader(x, y)},
        metrics={"val": R2Score()},
    )
    make_trainer(logger=logger, log_every_n_steps=1).validate(system, verbose=False)
    assert logger.steps_of("val/metrics/R2Score/step") == [0]  # the second batch is one sample
    expected = R2Score()(system.model(x), y).item()
    assert logger.rows[-1][1]["val/metrics/R2Score/epoch"] == pytest.approx(expected)


def test_a_stage_without_the_criterion_takes_a_checkpoint_that_has_its_weights(tmp_path: Path) -> None:
    trainer = fit(make_system(criterion=nn.CrossEntropyLoss(weight=torch.ones(CLASSES))))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    system = make_system(criterion=None, optimizer=None, dataloaders={"test": loader()})
    make_trainer().test(system, ckpt_path=tmp_path / "run.ckpt", verbose=False)
    strict = make_system(model=nn.Linear(FEATURES, CLASSES, bias=False), dataloaders={"test": loader()})
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "model.bias"'):
        make_trainer().test(strict, ckpt_path=tmp_path / "run.ckpt", verbose=False)


def test_what_wraps_a_model_does_not_hide_what_it_takes() -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self._orig_mod = module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self._orig_mod(*args, **kwargs)

    model = Scheduled()
    fit(make_system(model=Wrapper(Wrapper(model)), dataloaders={"train": loader()}))
    assert model.seen == [(0, step) for step in range(6)]


def test_a_subclass_that_forgets_super_at_an_epochs_end_is_told() -> None:
    class Forgetful(System):
        def on_train_epoch_end(self) -> None:
            pass

    with pytest.raises(ConfigError, match=r"Forgetful.on_train_epoch_end must call super\(\).on_train_epoch_end\(\)"):
        fit(make_system(Forgetful), max_epochs=2)


def test_a_batch_whose_loss_is_asked_for_several_times_counts_once() -> None:
    losses: list[float] = []

    def criterion(pred: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(pred, target)
        losses.append(loss.item())
        return loss

    def lbfgs(system: System) -> Any:
        return torch.optim.LBFGS(system.model.parameters(), lr=0.1, max_iter=4)

    metric = SumMetric()
    adapter = MetricsAdapter(target_argument=0, target_transforms=lambda y: torch.ones(len(y)))
    outputs = Outputs()
    system = make_system(
        optimizer=lbfgs,
        criterion=criterion,
        metrics={"train": metric},
        adapters={"train": {"metrics": adapter}},
        dataloaders={"train": DataLoader(TensorDataset(X, Y), batch_size=len(X))},
    )
    values = fit(system, callbacks=[outputs], max_epochs=2).callback_metrics
    assert len(losses) > 4
    assert values["train/metrics/SumMetric/epoch"] == len(X)
    of_second_epoch = values["train/loss/epoch"].item()
    assert min(number for number, loss in enumerate(losses) if loss == pytest.approx(of_second_epoch)) > 1


def test_a_hook_made_of_a_lambda_receives_outputs() -> None:
    seen: list[Any] = []
    hook = eval("lambda trainer, module, outputs, *rest: seen.append(outputs)", {"seen": seen})
    hook.__module__ = None  # as a lambda's in a config is
    fit(make_system(), callbacks=[pl.callbacks.LambdaCallback(on_train_batch_end=hook)])
    assert "pred" in seen[0]


def test_a_collection_with_groups_of_its_own_counts_each_update_once() -> None:
    class Half(SumMetric):
        def compute(self) -> Tensor:
            return super().compute() / 2

    collection = MetricCollection({"sum": SumMetric(), "halved": Half()}, compute_groups=[["sum", "halved"]])
    adapter = MetricsAdapter(target_argument=0, target_transforms=lambda y: torch.ones(len(y)))
    system = make_system(metrics={"val": collection}, adapters={"val": {"metrics": adapter}})
    values = fit(system).callback_metrics
    assert values["val/metrics/sum/epoch"] == SAMPLES
    assert values["val/metrics/halved/epoch"] == SAMPLES / 2


def test_evaluation_steps_are_counted_on_after_a_resume(tmp_path: Path) -> None:
    logger = Memory()
    trainer = fit(make_system(), logger=logger, log_every_n_steps=3)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    make_trainer(logger=logger, max_epochs=2, log_every_n_steps=3).fit(make_system(), ckpt_path=tmp_path / "run.ckpt")
    assert logger.steps_of("val/loss/step") == [2, 5, 8, 11]


def test_nested_metric_values_are_logged_by_their_path() -> None:
    nested = MultitaskWrapper({"a": MetricCollection([MulticlassAccuracy(CLASSES), MulticlassF1Score(CLASSES)])})
    adapter = MetricsAdapter(pred_transforms=lambda p: {"a": p}, target_transforms=lambda y: {"a": y})
    trainer = fit(make_system(metrics={"val": nested}, adapters={"val": {"metrics": adapter}}))
    assert "val/metrics/a/MulticlassF1Score/epoch" in trainer.callback_metrics


def test_an_optimizer_without_a_learning_rate_is_logged_without_one() -> None:
    class Own(SGD):
        def step(self, closure: Any = None) -> Any:
            return closure()

    def build(system: System) -> Own:
        optimizer = Own(system.parameters(), lr=0.1)
        optimizer.param_groups[0]["lr"] = None
        return optimizer

    logger = Memory()
    fit(make_system(optimizer=build), logger=logger, log_every_n_steps=1)
    assert logger.steps_of("train/optimizer/Own/lr") == []
    assert len(logger.steps_of("train/optimizer/Own/momentum")) == 6


def test_a_monitored_step_value_is_there_at_every_step_and_alone(calls: Counter[str]) -> None:
    checkpoint = ModelCheckpoint(monitor="train/loss/step", every_n_train_steps=1, save_top_k=0)
    system = make_system(metrics={"train": MulticlassAccuracy(CLASSES)})
    fit(system, callbacks=[checkpoint], enable_checkpointing=True, log_every_n_steps=3)
    assert calls["log:train/loss/step"] == 6
    assert calls["log:train/metrics/MulticlassAccuracy/step"] == 2
    assert calls["forward"] == 2


class Shards(IterableDataset[tuple[Tensor, Tensor]]):
    """Give the first rank all samples and the others none."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(()) if torch.distributed.get_rank() else zip(X, Y, strict=True)


class Conditional(nn.Module):
    """A criterion whose parts depend on the batch, in another order on each rank."""

    def forward(self, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        parts = {"a": pred.sum() * 0 + 1.0, "b": pred.sum() * 0 + 100.0}
        names = ("a", "b") if torch.distributed.get_rank() == 0 else ("b", "a")
        return {"total": pred.sum() * 0} | {name: parts[name] for name in names}


class WriteValues(Record):
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_fit_end(trainer, pl_module)


def validate_on_two_ranks(folder: Path, system: System) -> list[dict[str, float]]:
    trainer = make_trainer(
        strategy="ddp_fork", devices=2, use_distributed_sampler=False, callbacks=[WriteValues(folder)]
    )
    trainer.validate(system, verbose=False)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_a_rank_without_a_batch_keeps_no_one_waiting(tmp_path: Path) -> None:
    metrics = {"val": {"f1": MulticlassF1Score(CLASSES), "auroc": MulticlassAUROC(CLASSES, thresholds=9)}}
    data: Any = Shards()
    system = make_system(dataloaders={"val": DataLoader(data, batch_size=BATCH)}, metrics=metrics)
    for values in validate_on_two_ranks(tmp_path, system):
        expected = nn.functional.cross_entropy(system.model(X), Y).item()
        assert values["val/loss/epoch"] == pytest.approx(expected)
        assert values["val/metrics/f1/epoch"] == pytest.approx(MulticlassF1Score(CLASSES)(system.model(X), Y).item())
        auroc = MulticlassAUROC(CLASSES, thresholds=9)(system.model(X).softmax(1), Y).item()
        assert values["val/metrics/auroc/epoch"] == pytest.approx(auroc)


def test_parts_of_a_loss_keep_apart_whatever_their_order_on_a_rank(tmp_path: Path) -> None:
    system = make_system(criterion=Conditional(), dataloaders={"val": loader()})
    for values in validate_on_two_ranks(tmp_path, system):
        assert (values["val/loss/a/epoch"], values["val/loss/b/epoch"]) == (1.0, 100.0)
