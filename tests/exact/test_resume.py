"""From every checkpoint that a run can leave, the resumed run ends with the same bits as the one never cut off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.callbacks import EarlyStopping
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from .parts import EPOCHS, KeepAll, differences, loader, mixing, run

pytestmark = pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets")

BATCHES = 6
TOTAL = BATCHES * EPOCHS


def one_cycle(system: Any) -> dict[str, Any]:
    total = system.trainer.estimated_stepping_batches
    return {"scheduler": OneCycleLR(system.optimizer, max_lr=0.1, total_steps=total), "interval": "step"}


def plateau(system: Any, interval: str = "epoch") -> dict[str, Any]:
    scheduler = ReduceLROnPlateau(system.optimizer, factor=0.5, patience=0, mode="max")  # reduces ever again
    return {"scheduler": scheduler, "monitor": "val/loss/epoch", "interval": interval}


def step_lr(system: Any) -> Any:
    return StepLR(system.optimizer, 1, 0.5)


def stopping() -> Any:
    return EarlyStopping("val/loss/epoch", mode="max", patience=2)  # the loss falls, so after the third


CASES: dict[str, tuple[dict[str, Any], int]] = {
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
    "limited batches": ({"limit_train_batches": 4, "limit_val_batches": 2}, 4 * EPOCHS + 2 * EPOCHS),
    "random collate": ({"train": lambda: loader(collate_fn=mixing, drop_last=True)}, 5 * EPOCHS + 2 * EPOCHS),
    "early stopping": ({"stopping": stopping, "val_check_interval": 0.5, "num_sanity_val_steps": 2}, 9 + 3 + 2),
    "reloaded": ({"reload_dataloaders_every_n_epochs": 1}, TOTAL + 2 * EPOCHS),
}


def resume_from(case: str, folder: Path, only: str) -> None:
    """Resume a run from those of its checkpoints whose number or hook matches."""
    options, saved = CASES[case]

    def build() -> dict[str, Any]:
        return {name: make() if name in ("train", "stopping") else make for name, make in options.items()}

    keep = KeepAll(folder)
    whole = run(keep, **build())
    assert len(keep.saved) == saved
    chosen = [path for path in keep.saved if re.search(only, path.stem)]
    assert chosen
    found = {path.stem: differences(whole, run(KeepAll(folder / "again"), ckpt=path, **build())) for path in chosen}
    assert {name: what[:3] for name, what in found.items() if what} == {}


@pytest.mark.parametrize("case", CASES)
def test_resuming_from_the_end_of_a_run_from_within_it_and_from_the_end_of_an_epoch(case: str, tmp_path: Path) -> None:
    resume_from(case, tmp_path, "^00[4-8]")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_resuming_from_every_checkpoint_of_a_run(case: str, tmp_path: Path) -> None:
    resume_from(case, tmp_path, "")
