"""Choose the checkpoint that a run goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_warn

from lighter.config.checkpoint import read_checkpoint
from lighter.errors import ConfigError, RunError
from lighter.runs.checkpoints.file import check_sums
from lighter.runs.checkpoints.of_run import Saved, checkpoints_of
from lighter.runs.record.run_file import Run
from lighter.runs.resume.position import Position, position_of


def choose(folder: Path, run: Run, chosen: Path | None) -> tuple[Saved, Position] | None:
    """Return the checkpoint to go on from, and how far it came; None of a run that has saved none.

    It is the chosen one, else of those that are whole the one that came furthest.

    Raises:
        RunError: none of those that there are can be gone on from.
    """
    found, broken = _read(chosen) if chosen else checkpoints_of(folder, run)
    for saved in found:
        try:
            position = position_of(saved)
            check_sums(saved.path)
        except ConfigError as error:
            broken.append(error.problems[0].message)
            continue
        if broken:
            rank_zero_warn(f"passed over: {'; '.join(broken)}")
        return saved, position
    if broken:
        suggestion = None if chosen else "move them away to begin the run anew in its folder"
        raise RunError("\n  ".join(["no checkpoint can be gone on from", *broken]), suggestion=suggestion)
    if remote := [item.path for item in run.checkpoints if "://" in item.path]:
        suggestion = f"begin a new run from it: --ckpt {remote[-1]} in place of --resume"
        raise RunError(f"{remote[-1]!r} is in a remote place, which is not looked into", suggestion=suggestion)
    if run.weights and Path(run.weights).exists():  # it was to go on from there, and has to begin so again
        weights = Saved(Path(run.weights), read_checkpoint(run.weights))
        return weights, replace(position_of(weights), rows=(), recorded=0)  # those are of another run
    return None


def _read(path: Path) -> tuple[list[Saved], list[str]]:
    try:
        return [Saved(path, read_checkpoint(str(path)))], []
    except ConfigError as error:
        return [], [error.problems[0].message]
