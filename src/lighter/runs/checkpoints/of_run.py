"""The checkpoints of one run, wherever its callbacks put them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lighter._run_folder import CHECKPOINTS
from lighter.config.checkpoint import SUFFIX, read_checkpoint
from lighter.errors import ConfigError
from lighter.runs.checkpoints.record import record_of
from lighter.runs.record.run_file import Run


@dataclass(frozen=True)
class Saved:
    """A checkpoint, and what it holds but for tensors."""

    path: Path
    content: Mapping[object, object]

    @property
    def steps(self) -> float:
        """Return how many steps led to it; less than none where that cannot be told."""
        steps = self.content.get("global_step")
        return steps if isinstance(steps, (int, float)) else -1

    @property
    def resumptions(self) -> int:
        """Return how often its run had been gone on with when it was saved."""
        count = record_of(self.content).get("resumed")
        return count if isinstance(count, int) else 0


def checkpoints_of(folder: Path, run: Run) -> tuple[list[Saved], list[str]]:
    """Return the checkpoints of a run, and what is wrong with those that cannot be read.

    The one that came furthest is the first, of those that are as far the newest.
    """
    found, broken = [], []
    for path in _files(folder, run):
        try:
            saved = Saved(path, read_checkpoint(str(path)))
        except ConfigError as error:
            broken.append(error.problems[0].message)
            continue
        if is_of(run, saved):
            found.append((saved.steps, saved.resumptions, _written(path), str(path), saved))
    return [item[-1] for item in sorted(found, key=lambda item: item[:-1], reverse=True)], broken


def is_of(run: Run, saved: Saved) -> bool:
    """Tell whether a checkpoint is of no other run, nor on a way that its run left by going on from before it."""
    if record_of(saved.content).get("run", run.started) != run.started:
        return False
    return all(saved.steps <= later.step for later in run.resumed[saved.resumptions :])


def _files(folder: Path, run: Run) -> list[Path]:
    """Return the files that a run has told of or has in its folder, each once."""
    told = [folder / item.path for item in run.checkpoints]
    files = {os.path.realpath(file): file for file in [*(folder / CHECKPOINTS).glob(f"*{SUFFIX}"), *told]}
    return [file for file in files.values() if file.exists()]


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # deleted just now, by a run that goes on
        return 0
