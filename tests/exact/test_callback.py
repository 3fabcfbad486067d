"""What a seed switches on, and what is said where it cannot hold."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.callbacks import BackboneFinetuning, EarlyStopping
from torch import nn
from torch.utils.data import DataLoader

from lighter import Runner
from lighter._epoch import callbacks_of
from lighter.exact import Exact
from lighter.exact.loader import ExactLoader
from workspace import workspace  # noqa: F401 - a fixture

from .modules import Plain
from .parts import KeepAll, Noisy, Stream, differences, loader, make, run, seed_at_random

pytestmark = [
    pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create"),
]


def test_a_run_is_the_same_with_any_number_of_workers() -> None:
    runs = [
        run(train=loader(num_workers=number), val=loader(shuffle=False, num_workers=number), max_epochs=2)
        for number in (0, 2)
    ]
    assert differences(*runs) == []


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


class Evaluated(Plain):
    """Draw wherever Lightning evaluates, between batches that are loaded in a way of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[str, list[float]] = {}

    def draw(self, name: str) -> None:
        self.drawn.setdefault(name, []).append(float(torch.rand(())) + random.random() + float(np.random.rand()))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.draw("train")
        return super().training_step(batch, batch_idx)

    def on_train_epoch_start(self) -> None:
        self.draw("train")

    def on_validation_epoch_start(self) -> None:
        self.draw("val")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.draw("val")

    def on_test_epoch_start(self) -> None:
        self.draw("test")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.draw("test")

    def val_dataloader(self) -> Any:
        return Unseeded()

    test_dataloader = val_dataloader


class Unseeded:
    """Batches that leave the generators of the main process as they find them."""

    def __iter__(self) -> Iterator[Any]:
        return iter([0, 1])


@pytest.mark.filterwarnings("ignore:This run may not be repeated or resumed exactly. Unseeded loads")
@pytest.mark.filterwarnings("ignore:The .*_dataloader.* does not have many workers")
def test_what_is_drawn_in_evaluation_repeats_and_is_drawn_nowhere_else() -> None:
    def draw(stage: str) -> dict[str, list[float]]:
        trainer, module, _ = make(module=Evaluated, max_epochs=2, val_check_interval=0.5)
        getattr(trainer, stage)(module, **({} if stage == "fit" else {"verbose": False}))
        drawn: dict[str, list[float]] = module.drawn
        return drawn

    fitted = draw("fit")
    assert fitted == draw("fit")
    assert len(fitted["val"]) == 2 * 2 * 3  # twice in each of two epochs, once before and in each of two batches
    assert len(set(fitted["val"] + fitted["train"])) == len(fitted["val"] + fitted["train"])
    for stage, name in (("validate", "val"), ("test", "test")):
        values = draw(stage)[name]
        assert values == draw(stage)[name]
        assert len(set(values)) == 3
        assert not set(values) & set(fitted["train"])


def test_two_loaders_of_one_dataset_draw_differently() -> None:
    seen: list[Any] = []

    def first(batch: Any) -> tuple[Any, Any, None]:
        seen.append([x for x, _ in batch])
        return *batch[0], None

    trainer, system, _ = make(train=[loader(), loader()], max_epochs=1, limit_train_batches=1)
    system.adapters = {"train": {"batch": first}}
    trainer.fit(system)
    assert not torch.equal(*seen[0])


def test_what_is_augmented_in_the_main_process_does_not_depend_on_workers() -> None:
    class Augmented(Plain):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch[0] + torch.randn(()), batch[1]

        def train_dataloader(self) -> Any:
            return loader(num_workers=self.workers)

    runs = []
    for number in (0, 1):
        Augmented.workers = number  # type: ignore[attr-defined]
        runs.append(run(module=Augmented, max_epochs=2))
    assert differences(*runs) == []


class Prefetching(DataLoader[Any]):
    """Iterates in a way of its own."""

    def __iter__(self) -> Any:
        torch.rand(int(torch.randint(9, ())))
        return super().__iter__()


class Batches:
    """An iterable that is no DataLoader."""

    def __iter__(self) -> Iterator[Any]:
        return iter(DataLoader(Noisy(8), batch_size=4))


class Backbone(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)


class Ending(Plain):
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        pass


INEXACT: dict[str, tuple[Any, str]] = {
    "an iterable dataset": (lambda: {"train": DataLoader(Stream(), batch_size=4)}, "Stream is an iterable dataset"),
    "a loader's own way": (lambda: {"train": Prefetching(Noisy(8), batch_size=4)}, "Prefetching loads in a way of its"),
    "no loader": (lambda: {"train": Batches()}, "Batches loads in a way of its own.* starts at its first batch again"),
    "a callback that freezes again": (
        lambda: {"module": Backbone, "callbacks": [BackboneFinetuning(1)]},
        "BackboneFinetuning freezes again what it has thawed",
    ),
    "a module's own end of a batch": (lambda: {"module": Ending}, "Lightning calls Ending's on_train_batch_end or"),
}


@pytest.mark.parametrize("case", INEXACT)
def test_what_cannot_be_exact_is_said_once(case: str) -> None:
    options, message = INEXACT[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = options()
        run(*options.pop("callbacks", []), **options, max_epochs=2, reload_dataloaders_every_n_epochs=1)
    said = [str(warning.message) for warning in caught if "resumed exactly" in str(warning.message)]
    assert len(said) == 1
    assert re.match(f"This run may not be repeated or resumed exactly: {message}", said[0])


@pytest.mark.filterwarnings("ignore:This run may not be repeated or resumed exactly. Fixed loads in a way")
def test_steps_draw_the_same_also_where_the_loader_draws_as_it_likes() -> None:
    class Fixed(DataLoader[Any]):
        def __iter__(self) -> Any:
            for x, y in [(torch.ones(4, 5), torch.arange(4) % 3)] * 3:
                seed_at_random()
                yield x, y

    assert differences(*[run(train=Fixed(Noisy(12), batch_size=4), max_epochs=1) for _ in range(2)]) == []


@pytest.mark.usefixtures("workspace")
def test_the_runner_makes_a_run_with_a_seed_exact_and_no_other() -> None:
    runner = Runner()
    runner.run("fit", ["config.yaml"])
    assert isinstance(runner.trainer.train_dataloader, ExactLoader)
    runner.run("fit", ["config.yaml"], ["~seed"])
    assert type(runner.trainer.train_dataloader) is DataLoader
    assert not any(isinstance(callback, Exact) for callback in callbacks_of(runner.trainer))


def test_a_checkpoint_of_an_exact_run_loads_without_a_seed(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    run(keep, max_epochs=1)
    trainer, system, _ = make(max_epochs=1)
    callbacks_of(trainer).remove(next(callback for callback in callbacks_of(trainer) if isinstance(callback, Exact)))
    with pytest.warns(PossibleUserWarning, match="your dataloader is not resumable"):
        trainer.fit(system, ckpt_path=keep.saved[2], weights_only=True)
    assert trainer.global_step == 6


def test_a_checkpoint_of_a_run_without_a_seed_loads_with_one(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    trainer, system, _ = make(keep, max_epochs=1)
    callbacks_of(trainer).remove(next(callback for callback in callbacks_of(trainer) if isinstance(callback, Exact)))
    trainer.fit(system)
    trainer, system, _ = make(max_epochs=1)
    with pytest.warns(PossibleUserWarning, match="your dataloader is not resumable"):
        trainer.fit(system, ckpt_path=keep.saved[2], weights_only=True)
    assert trainer.global_step == 6


def test_a_run_that_goes_on_for_longer_is_the_longer_run(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    run(keep, max_epochs=2)
    assert differences(run(max_epochs=3), run(ckpt=keep.saved[-1], max_epochs=3)) == []


def test_a_run_that_stopped_early_stops_again_and_goes_on_without_what_stopped_it(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    run(EarlyStopping("val/loss/epoch", mode="max", patience=1), keep)  # the loss falls
    for stopping, epochs in ([EarlyStopping("val/loss/epoch", mode="max", patience=1)], 2), ([], 3):
        trainer, system, _ = make(*stopping)
        trainer.fit(system, ckpt_path=keep.saved[-1], weights_only=True)
        assert trainer.current_epoch == epochs


def test_gradients_are_in_a_checkpoint_only_while_they_are_accumulated(tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    run(keep, max_epochs=1, accumulate_grad_batches=2)
    states = [torch.load(path, weights_only=True)["lighter_exact"]["ranks"][0]["gradients"] for path in keep.saved]
    assert [bool(gradients) for gradients in states] == [True, False, True, False, True, False, False, False]
