"""Two ranks: each has its own part of every epoch, of the sums, of the gradients and of the batch statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lighter._epoch import callbacks_of

from .modules import Plain
from .parts import KeepAll, Memory, Noisy, Result, differences, loader, make, result

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets"),
    pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork"),
    pytest.mark.filterwarnings("ignore:It is recommended to use .*sync_dist"),
]


def fit(folder: Path, monkeypatch: pytest.MonkeyPatch, ckpt: Path | None = None, module: Any = None) -> Result:
    """Fit on two ranks; what the first one ends with comes back."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    options: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "accumulate_grad_batches": 2, "max_epochs": 2}
    trainer, system, memory = make(KeepAll(folder), module=module, **options)
    callbacks_of(trainer).append(End(folder, memory))
    trainer.fit(system, ckpt_path=ckpt, weights_only=True)
    weights, metrics, logged = torch.load(folder / "end.pt", weights_only=True)
    return weights, metrics, logged


class End(pl.Callback):
    def __init__(self, folder: Path, memory: Memory) -> None:
        self.folder, self.memory = folder, memory

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            torch.save(result(trainer, pl_module, self.memory), self.folder / "end.pt")


@pytest.mark.parametrize("module", [None, Plain])
def test_ranks_resume_within_an_accumulation_and_before_validation(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(tmp_path, monkeypatch, module=module)
    saved = sorted(tmp_path.glob("*.ckpt"))
    assert [path.stem for path in saved[:5]] == ["000-batch", "001-batch", "002-batch", "003-validation", "004-epoch"]
    one, other = torch.load(saved[0], weights_only=True)["lighter_exact"]["ranks"]
    assert one["gradients"].keys() == other["gradients"].keys()
    assert {name.split(".")[-1] for name in other["buffers"]} == {"running_mean", "running_var"}
    for path in (saved[0], saved[2]):
        assert differences(whole, fit(tmp_path / path.stem, monkeypatch, path, module)) == []


class Noise(Noisy):
    """Samples that differ only by their augmentation."""

    def __init__(self) -> None:
        super().__init__()
        self.x.zero_()


class FirstBatch(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        torch.save(batch[0], f"{trainer.global_rank}.pt")


def test_ranks_augment_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 1, "limit_train_batches": 1}
    trainer, system, _ = make(FirstBatch(), train=loader(Noise()), **options)
    trainer.fit(system)
    assert not torch.equal(torch.load("0.pt"), torch.load("1.pt"))


def test_another_number_of_ranks_is_said_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path, monkeypatch)
    trainer, system, _ = make(KeepAll(tmp_path / "one"), max_epochs=2, accumulate_grad_batches=2)
    with pytest.warns(UserWarning, match="the checkpoint is of 2 ranks, here is 1: the epoch goes on inexactly"):
        trainer.fit(system, ckpt_path=tmp_path / "000-batch.ckpt", weights_only=True)
    assert trainer.current_epoch == 2


@pytest.mark.filterwarnings("ignore:the checkpoint is of 1 ranks")
def test_ranks_go_on_where_one_process_had_ended_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, system, _ = make(KeepAll(tmp_path), max_epochs=1)
    trainer.fit(system)
    last_batch = sorted(tmp_path.glob("*-batch.ckpt"))[-1]
    weights, _, _ = fit(tmp_path / "two", monkeypatch, last_batch)
    assert weights.keys() == system.state_dict().keys()


def test_between_epochs_another_number_of_ranks_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path, monkeypatch)
    trainer, system, _ = make(KeepAll(tmp_path / "one"), max_epochs=2, accumulate_grad_batches=2)
    trainer.fit(system, ckpt_path=tmp_path / "004-epoch.ckpt", weights_only=True)
    assert trainer.current_epoch == 2
