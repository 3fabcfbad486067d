"""Two ranks: each has its own part of every epoch, of the sums and of the gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from .kill import Final, differing, final
from .parts import KeepAll, loader, make

pytestmark = [
    pytest.mark.filterwarnings("ignore:No (posi|nega)tive samples in targets"),
    pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork"),
]


def fit(folder: Path, monkeypatch: pytest.MonkeyPatch, ckpt: Path | None = None, workers: int = 0) -> list[Path]:
    folder.mkdir()
    monkeypatch.chdir(folder)
    options: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "accumulate_grad_batches": 2, "max_epochs": 2}
    trainer, system, _ = make(KeepAll(folder), Final(), train=loader(num_workers=workers), **options)
    trainer.fit(system, ckpt_path=ckpt, weights_only=True)
    return sorted(folder.glob("*.ckpt"))


def test_ranks_resume_within_an_accumulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = fit(tmp_path / "whole", monkeypatch)
    whole = final(tmp_path / "whole")
    assert [path.stem for path in saved[:5]] == ["000-batch", "001-batch", "002-batch", "003-validation", "004-epoch"]
    assert len(torch.load(saved[0], weights_only=True)["lighter_exact"]["gradients"]) == 2
    for path, workers in ((saved[0], 0), (saved[2], 1)):
        fit(tmp_path / path.stem, monkeypatch, path, workers)
        assert differing(whole, final(tmp_path / path.stem)) == []
