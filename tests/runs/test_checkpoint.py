from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from lighter.errors import ConfigError
from lighter.runs.checkpoint import find_checkpoint


def trainer(folder: Path, callback: ModelCheckpoint | None = None, *, logger: bool = True) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=CSVLogger(folder) if logger else False,
        callbacks=[callback] if callback else [],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def save(path: Path, age: int, best: str = "", monitor: str | None = "val/loss/epoch") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"callbacks": {"ModelCheckpoint{}": {"best_model_path": best, "monitor": monitor}}}, path)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_a_path_is_itself(tmp_path: Path) -> None:
    file = save(tmp_path / "some.ckpt", 1)
    assert find_checkpoint(str(file), trainer(tmp_path)) == file


def test_a_missing_path_suggests_the_nearest(tmp_path: Path) -> None:
    save(tmp_path / "epoch=1.ckpt", 1)
    with pytest.raises(ConfigError, match=r"there is no checkpoint .*epoch=2.ckpt'\n  did you mean 'epoch=1.ckpt'"):
        find_checkpoint(str(tmp_path / "epoch=2.ckpt"), trainer(tmp_path))


def test_best_and_last_are_of_the_newest_run(tmp_path: Path) -> None:
    logs = tmp_path / "lightning_logs"
    old = save(logs / "version_0" / "checkpoints" / "epoch=0.ckpt", 90)
    save(logs / "version_0" / "checkpoints" / "epoch=9.ckpt", 80, best=str(old))
    best = save(logs / "version_1" / "checkpoints" / "epoch=0.ckpt", 20)
    last = save(logs / "version_1" / "checkpoints" / "last.ckpt", 10, best=str(best))
    assert find_checkpoint("best", trainer(tmp_path)) == best
    assert find_checkpoint("last", trainer(tmp_path)) == last


def test_last_is_the_newest_where_none_is_so_named(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    save(folder / "epoch=0.ckpt", 20)
    newest = save(folder / "epoch=1.ckpt", 10)
    assert find_checkpoint("last", trainer(tmp_path)) == newest


def test_a_run_folder_that_was_moved_keeps_its_best(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    best = save(folder / "epoch=0.ckpt", 20)
    save(folder / "epoch=1.ckpt", 10, best="elsewhere/checkpoints/epoch=0.ckpt")
    assert find_checkpoint("best", trainer(tmp_path)) == best


def test_a_monitored_best_goes_before_an_unmonitored_one(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    paths = {name: str(save(folder / f"{name}.ckpt", 20)) for name in ("every", "best")}
    states = {
        "ModelCheckpoint{1}": {"best_model_path": paths["every"], "monitor": None},
        "ModelCheckpoint{2}": {"best_model_path": paths["best"], "monitor": "val/loss/epoch"},
        "EarlyStopping": {"best_score": 1.0},
    }
    torch.save({"callbacks": states}, folder / "newest.ckpt")
    assert find_checkpoint("best", trainer(tmp_path)) == Path(paths["best"])


def test_without_a_logger_or_with_a_chosen_folder_it_is_looked_for_there(tmp_path: Path) -> None:
    plain = save(tmp_path / "checkpoints" / "epoch=0.ckpt", 10)
    assert find_checkpoint("last", trainer(tmp_path, logger=False)) == plain
    chosen = save(tmp_path / "chosen" / "epoch=0.ckpt", 10)
    assert find_checkpoint("last", trainer(tmp_path, ModelCheckpoint(dirpath=tmp_path / "chosen"))) == chosen


def test_no_checkpoint_at_all_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no run of this config has left a checkpoint \(looked in .*lightning_logs\)"
    ):
        find_checkpoint("best", trainer(tmp_path))


def test_a_best_that_is_gone_and_a_file_that_is_no_checkpoint_are_errors(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    file = save(folder / "epoch=0.ckpt", 10, best="gone.ckpt")
    with pytest.raises(ConfigError, match="knows of no best checkpoint that still exists"):
        find_checkpoint("best", trainer(tmp_path))
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigError, match="cannot read the checkpoint"):
        find_checkpoint("best", trainer(tmp_path))
