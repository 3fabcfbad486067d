"""Folders as runs leave them, written by the parts that runs use, without the minutes that training takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lighter.config import compose
from lighter.config.origin import show
from lighter.runs.record.flat import flatten
from lighter.runs.record.git import Git
from lighter.runs.record.metrics_file import MetricsFile
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Best, Devices, Run, create_run

CONFIG = """\
vars: {lr: 0.1}
trainer: {_target_: pytorch_lightning.Trainer, max_epochs: 3}
system:
  _target_: lighter.System
  model: {_target_: torch.nn.Linear, in_features: 4, out_features: 2}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: "%vars::lr"}
"""
LOSS = "val/loss/epoch"


def make_run(
    folder: Path | str,
    *overrides: str,
    losses: Iterable[float] = (0.5, 0.25),
    started: str = "2026-01-01T00:00:00.000+00:00",
    source: str = "config.yaml",
    **changes: Any,
) -> Run:
    """Leave a completed run of `config.yaml` with these overrides, which is made if it is not there."""
    folder, losses = Path(folder), list(losses)
    if not Path(source).exists():
        Path(source).write_text(CONFIG, encoding="utf-8")
    config = compose(source, overrides)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(show(config.root), encoding="utf-8")
    write_epochs(folder, [{LOSS: loss} for loss in losses])
    run = Run(
        stage="fit",
        command=" ".join(["lighter", "fit", source, *overrides]),
        working_folder=str(Path.cwd()),
        sources=(source,),
        overrides=overrides,
        process=this_process(),
        started=started,
        status="completed",
        seconds=12.5,
        epochs=len(losses),
        steps=10 * len(losses),
        metrics={LOSS: losses[-1]} if losses else {},
        best=(Best(LOSS, "min", min(losses), "checkpoints/best.ckpt"),) if losses else (),
        devices=Devices("cpu", 1, 1, "SingleDevice"),
        python="3.11.7",
        lighter="0.1.0",
        packages={"torch": "2.9.0", "numpy": "2.0.0"},
        config=flatten(config.root),
    )
    run = replace(run, **changes)
    create_run(folder, run)
    return run


def write_epochs(folder: Path, rows: Iterable[Mapping[str, float]]) -> None:
    file = MetricsFile(folder / "epochs.csv")
    for epoch, row in enumerate(rows):
        file.append({"epoch": epoch, "step": 10 * (epoch + 1), "seconds": float(epoch), **row})


def commit(name: str, *, dirty: bool = False) -> Git:
    """Return the state of a repository that is not there."""
    return Git("/no/repository", name * 40, dirty=dirty)
