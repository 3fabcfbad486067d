"""A fit that ends where a test says, in a process of its own, and what it leaves."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch._dynamo  # before the processes are forked, each of which would import it
import torchmetrics.classification  # noqa: F401 - as above

import lighter.report  # noqa: F401 - as above
from lighter.cli import main
from lighter.runs.record.run_file import read_run

SOURCES = ("config.yaml", "more.yaml")
FIRST = Path("logs/lightning_logs/version_0")
SAVED = FIRST / "checkpoints"
NO_MORE: Mapping[str, str] = {}

_PARTS = """
import os
import signal
import subprocess
import pytorch_lightning as pl

class Ends(pl.Callback):
    '''Ends the run where END says: a hook, how often it passes before, a signal (or `error`), and maybe `group`.'''

    variable = "END"

    def __init__(self):
        self.hook, left, *self.how = os.environ.get(self.variable, "setup -1 error").split()
        self.left = int(left)
        setattr(self, self.hook, self.end)

    def end(self, trainer, *_, **__):
        if trainer.sanity_checking and "sanity" not in self.hook:
            return
        if self.left == 0 and self.how[0] == "error":
            raise RuntimeError("it broke")
        if self.left == 0:
            if self.how[1:]:  # from another process, as torch takes signals of its own for something else
                subprocess.run(["sh", "-c", f"kill -{self.how[0][3:]} -{os.getpgrp()}"])
            else:
                os.kill(os.getpid(), getattr(signal, self.how[0]))
        self.left -= 1

class EndsLast(Ends, pl.callbacks.Checkpoint):
    variable = "END_LAST"  # after the checkpoints of its hook have been saved
"""
_MORE = """
trainer:
  max_epochs: 4
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - {_target_: ends.Ends}
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      monitor: val/loss/epoch
      save_top_k: 2
      save_last: true
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      every_n_train_steps: 3
      filename: "each-{step}"
      save_top_k: 1
    - {_target_: ends.EndsLast}
"""


@pytest.fixture
def parts(workspace: Path) -> None:
    """Put into the workspace what lets a run end, and a second config with the callbacks."""
    (workspace / "proj/ends.py").write_text(_PARTS)
    (workspace / "more.yaml").write_text(_MORE)


def stage(name: str, *arguments: str, end: str = "", environment: Mapping[str, str] = NO_MORE) -> int:
    """Run a stage in a process of its own, and return its status; it ends where `end` says."""
    process = start(name, *arguments, end=end, environment=environment)
    process.join(timeout=60)
    if process.exitcode is None:
        process.kill()
        pytest.fail("it does not end")
    return process.exitcode


def fit(
    *arguments: str, sources: Sequence[str] = SOURCES, end: str = "", environment: Mapping[str, str] = NO_MORE
) -> int:
    return stage("fit", *sources, *arguments, end=end, environment=environment)


def start(
    name: str, *arguments: str, end: str = "", environment: Mapping[str, str] = NO_MORE
) -> multiprocessing.process.BaseProcess:
    if name != "fit":
        arguments = (*SOURCES, *arguments)

    def run() -> None:
        os.setpgrp()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have switched off
        warnings.simplefilter("default")  # those that a test would fail of
        variable = "END_LAST" if end.startswith("last: ") else "END"
        os.environ.update({**environment, **({variable: end.removeprefix("last: ")} if end else {})})
        sys.exit(main([name, *arguments, "--no-check"]))  # through what multiprocessing does at the end of a process

    sys.stdout.flush()
    sys.stderr.flush()
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def said(text: str) -> str:
    """Return what was printed, on one line."""
    return " ".join(text.split())


def table(name: str, folder: Path = FIRST) -> list[dict[str, str]]:
    """Return the rows of a table that a run has left, without the time they took, in an order that is not chance."""
    with (folder / name).open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (int(row["step"]), repr(row)))


def left(folder: Path = FIRST) -> dict[str, object]:
    """Return what a run has left that does not depend on how often it ended."""
    run = read_run(folder)
    weights = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {
        "record": (run.status, run.epochs, run.steps, run.metrics, run.best, set(run.checkpoints)),
        "epochs": table("epochs.csv", folder),
        "metrics": table("metrics.csv", folder),
        "files": sorted(file.name for file in (folder / "checkpoints").iterdir()),
        "weights": {name: value.tolist() for name, value in weights.items()},
    }
