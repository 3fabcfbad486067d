"""From every checkpoint that a run can leave, the resumed run ends with the same bits as the one never cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    StochasticWeightAveraging,
)
from pytorch_lightning.utilities import CombinedLoader
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from lighter.callbacks import Freezer

from .modules import Data, Manual, Plain
from .parts import EPOCHS, FEATURES, KeepAll, Noisy, Stream, both, by_weight, differences, loader, mixing, run

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets"),
    pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides"),
    pytest.mark.filterwarnings("ignore:This run may not be .* (Knowing loads in a way of its own|Stream is an)"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training"),
]

BATCHES = 6
TOTAL = BATCHES * EPOCHS


def one_cycle(system: Any) -> dict[str, Any]:
    total = system.trainer.estimated_stepping_batches
    return {"scheduler": OneCycleLR(system.optimizer, max_lr=0.1, total_steps=total), "interval": "step"}


def plateau(system: Any) -> dict[str, Any]:
    scheduler = ReduceLROnPlateau(system.optimizer, factor=0.5, patience=0, mode="max")  # reduces ever again
    return {"scheduler": scheduler, "monitor": "val/loss/epoch"}


def step_lr(system: Any) -> Any:
    return StepLR(system.optimizer, 1, 0.5)


def early_stopping() -> Any:
    return EarlyStopping("val/loss/epoch", mode="max", patience=2)  # the loss falls, so after the third


class Stop(pl.Callback):
    """Stop in the middle of the second epoch."""

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= BATCHES + 2


class Jolt(pl.Callback):
    """Draw where an epoch starts and ends."""

    def jolt(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for parameter in pl_module.parameters():
            parameter.data.add_(0.01 * torch.randn_like(parameter))

    on_train_epoch_start = on_train_epoch_end = jolt


class Both(pl.Callback):
    """Let a System train with several loaders."""

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        pl_module.adapters = {"train": {"batch": both}}


def two_loaders(mode: Any) -> Callable[[], Any]:
    return lambda: CombinedLoader([loader(), loader(Noisy(10), num_workers=1)], mode)


def drawn_in_batches() -> Any:
    return DataLoader(Noisy(), batch_sampler=BatchSampler(RandomSampler(Noisy()), 5, drop_last=False))


class Knowing:
    """A loader that knows where it is."""

    def __init__(self) -> None:
        self.start = self.done = 0

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[Any]:
        start, self.start = self.start, 0
        return self.batches(start)

    def batches(self, start: int) -> Iterator[Any]:
        for number in range(start, BATCHES):
            self.done = number + 1
            yield torch.full((4, FEATURES), 0.1 * number), torch.arange(4) % 3

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["done"]


Options = dict[str, Any]
CASES: dict[str, tuple[Options, int]] = {  # and how many checkpoints there are
    "plain": ({}, TOTAL + 2 * EPOCHS),
    "without validation": ({"val": False}, TOTAL + EPOCHS),
    "one cycle, accumulation": ({"scheduler": one_cycle, "accumulate_grad_batches": 2}, TOTAL + 2 * EPOCHS),
    "uneven accumulation, validation within": (
        {"accumulate_grad_batches": 4, "val_check_interval": 3, "scheduler": step_lr},
        TOTAL + 3 * EPOCHS,
    ),
    "plateau": ({"scheduler": plateau, "val_check_interval": 0.5}, TOTAL + 3 * EPOCHS),
    "max_steps": ({"max_epochs": -1, "max_steps": TOTAL, "scheduler": plateau}, TOTAL + 2 * EPOCHS),
    "max_steps within an epoch": ({"max_epochs": -1, "max_steps": 15}, 15 + 2 + 3),
    "validation over epochs": (
        {"check_val_every_n_epoch": None, "val_check_interval": 4, "scheduler": plateau},
        TOTAL + TOTAL // 4 + EPOCHS,
    ),
    "limited batches": ({"limit_train_batches": 4, "limit_val_batches": 2}, 4 * EPOCHS + 2 * EPOCHS),
    "random collate": ({"train": lambda: loader(collate_fn=mixing, drop_last=True)}, 5 * EPOCHS + 2 * EPOCHS),
    "early stopping": (
        {"callbacks": lambda: [early_stopping()], "val_check_interval": 0.5, "num_sanity_val_steps": 2},
        9 + 3 + 2,
    ),
    "stopped within an epoch": ({"callbacks": lambda: [Stop()], "scheduler": plateau}, BATCHES + 2 + 2 + 2),
    "reloaded": ({"reload_dataloaders_every_n_epochs": 1}, TOTAL + 2 * EPOCHS),
    "drawn by weight": ({"train": lambda: loader(shuffle=False, sampler=by_weight(18))}, 5 * EPOCHS + 2 * EPOCHS),
    "drawn in batches": ({"train": drawn_in_batches}, 5 * EPOCHS + 2 * EPOCHS),
    "workers that stay": (
        {"train": lambda: loader(num_workers=2, persistent_workers=True)},
        TOTAL + 2 * EPOCHS,
    ),
    "the shorter goes round": (
        {"train": two_loaders("max_size_cycle"), "callbacks": lambda: [Both()]},
        TOTAL + 2 * EPOCHS,
    ),
    "the shorter ends": ({"train": two_loaders("max_size"), "callbacks": lambda: [Both()]}, TOTAL + 2 * EPOCHS),
    "the shorter ends both": ({"train": two_loaders("min_size"), "callbacks": lambda: [Both()]}, 5 * EPOCHS),
    "a loader that knows where it is": ({"train": Knowing}, TOTAL + 2 * EPOCHS),
    "averaged weights": ({"callbacks": lambda: [EMAWeightAveraging(decay=0.8)]}, TOTAL + 2 * EPOCHS),
    "averaged weights, stochastic": (
        {"callbacks": lambda: [StochasticWeightAveraging(0.05, swa_epoch_start=1)], "scheduler": step_lr},
        (BATCHES + 2) * (EPOCHS + 1),
    ),
    "accumulation by epoch": (
        {"callbacks": lambda: [GradientAccumulationScheduler({1: 2, 2: 4})]},
        TOTAL + 2 * EPOCHS,
    ),
    "frozen until a step": (
        {"callbacks": lambda: [Freezer(name_starts_with="layers.0", until_step=9)]},
        TOTAL + 2 * EPOCHS,
    ),
    "bf16": ({"precision": "bf16-mixed"}, TOTAL + 2 * EPOCHS),
    "a module of one's own": ({"module": Plain}, TOTAL + 2 * EPOCHS),
    "a module of one's own, accumulation": ({"module": Plain, "accumulate_grad_batches": 4}, TOTAL + 2 * EPOCHS),
    "data module": ({"module": Plain, "data": Data}, TOTAL + 2 * EPOCHS),
    "manual optimization": ({"module": Manual}, TOTAL + 2 * EPOCHS),
    "random hooks": ({"callbacks": lambda: [Jolt()]}, TOTAL + 2 * EPOCHS),
    "an iterable dataset": ({"train": lambda: DataLoader(Stream(), batch_size=4)}, TOTAL + 2 * EPOCHS),
}
OTHERS_SHOW_IT = (  # here at every checkpoint, but only in the slow tests
    "limited batches",
    "random collate",
    "drawn by weight",
    "drawn in batches",
    "a module of one's own, accumulation",
    "data module",
    "bf16",
)
MADE = ("train", "callbacks", "data")  # anew for each run


def build(case: str) -> tuple[list[pl.Callback], Options]:
    options = {name: made() if name in MADE else made for name, made in CASES[case][0].items()}
    return options.pop("callbacks", []), options


def resume_from(case: str, folder: Path, chosen: Callable[[list[Path]], list[Path]]) -> None:
    keep = KeepAll(folder)
    callbacks, options = build(case)
    whole = run(*callbacks, keep, **options)
    assert len(keep.saved) == CASES[case][1]
    found = {}
    for path in chosen(keep.saved):
        callbacks, options = build(case)
        found[path.stem] = differences(whole, run(*callbacks, KeepAll(folder / "again"), ckpt=path, **options))[:3]
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("case", [case for case in CASES if case not in OTHERS_SHOW_IT])
def test_resuming_in_the_middle_of_a_run(case: str, tmp_path: Path) -> None:
    """Resume from after a batch, and from another place; each case has its own, lest it takes long."""
    number = list(CASES).index(case)

    def some(saved: list[Path]) -> list[Path]:
        after = [*saved[len(saved) // 2 + (number + 1) % 3 :], *saved]
        hooks = ("batch", ("validation", "epoch", "")[number % 3])
        return [next(path for path in after if path.stem.endswith(hook)) if hook else saved[-1] for hook in hooks]

    resume_from(case, tmp_path, some)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_resuming_from_every_checkpoint_of_a_run(case: str, tmp_path: Path) -> None:
    resume_from(case, tmp_path, list)
