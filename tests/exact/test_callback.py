"""What a seed switches on, and what is said where it cannot hold."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lighter import Runner
from lighter._epoch import callbacks_of
from lighter.exact import Exact
from lighter.exact.loader import ExactLoader
from workspace import workspace  # noqa: F401 - a fixture

from .parts import KeepAll, Stream, differences, loader, make, run

pytestmark = pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets")


def test_a_run_is_the_same_with_any_number_of_workers() -> None:
    runs = [
        run(train=loader(num_workers=number), val=loader(shuffle=False, num_workers=number), max_epochs=2)
        for number in (0, 1, 2)
    ]
    assert [differences(runs[0], other) for other in runs[1:]] == [[], []]


def test_another_seed_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(max_epochs=1)
    monkeypatch.setattr(Exact, "__init__", _with_seed(8, Exact.__init__))
    assert "model.layers.0.weight" in differences(one, run(max_epochs=1))


def _with_seed(seed: int, init: Any) -> Any:
    return lambda self, _: init(self, seed)


def test_validate_draws_the_same_with_any_number_of_workers() -> None:
    values = []
    for number in (0, 1):
        trainer, system, _ = make(val=loader(shuffle=False, num_workers=number))
        values.append(trainer.validate(system, verbose=False))
    assert values[0] == values[1]


def test_two_loaders_of_one_dataset_draw_differently() -> None:
    seen: list[Any] = []

    def first(batch: Any) -> tuple[Any, Any, None]:
        seen.append([x for x, _ in batch])
        return *batch[0], None

    trainer, system, _ = make(train=[loader(), loader()], max_epochs=1, limit_train_batches=1)
    system.adapters = {"train": {"batch": first}}
    trainer.fit(system)
    assert not torch.equal(*seen[0])


def test_what_cannot_be_exact_is_said_once() -> None:
    with pytest.warns(UserWarning, match="may not be repeated or resumed exactly: Stream is an iterable") as caught:
        run(train=DataLoader(Stream(), batch_size=4), max_epochs=2, reload_dataloaders_every_n_epochs=1)
    assert len([warning for warning in caught if "exactly" in str(warning.message)]) == 1


@pytest.mark.usefixtures("workspace")
def test_the_runner_makes_a_run_with_a_seed_exact_and_no_other() -> None:
    runner = Runner()
    runner.run("fit", ["config.yaml"])
    assert isinstance(runner.trainer.train_dataloader, ExactLoader)
    runner.run("fit", ["config.yaml"], ["~seed"])
    assert type(runner.trainer.train_dataloader) is DataLoader
    assert not any(isinstance(callback, Exact) for callback in callbacks_of(runner.trainer))


def test_a_checkpoint_loads_without_the_callback(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    run(keep, max_epochs=1)
    trainer, system, _ = make(max_epochs=1)
    callbacks_of(trainer).remove(next(callback for callback in callbacks_of(trainer) if isinstance(callback, Exact)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(system, ckpt_path=keep.saved[2], weights_only=True)
    assert trainer.global_step == 6
