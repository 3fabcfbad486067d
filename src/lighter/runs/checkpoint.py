"""Find the checkpoint that `--ckpt` names: a path, or the best or last one of the newest run of a config."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lighter.errors import ConfigError, did_you_mean


def find_checkpoint(which: str, trainer: pl.Trainer) -> Path:
    """Return the checkpoint that `which` names: `best`, `last` or a path.

    Raises:
        ConfigError: there is none.
    """
    if which not in ("best", "last"):
        return _existing(Path(which))
    folder = _newest_folder(trainer)
    files = sorted(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    if which == "last":
        named = [file for file in files if file.stem == "last" or file.stem.startswith("last-v")]
        return (named or files)[-1]
    return _best(files[-1])


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    siblings = (item.name for item in path.parent.glob("*.ckpt")) if path.parent.is_dir() else ()
    suggestion = did_you_mean(path.name, (*siblings, "best", "last"))
    raise ConfigError(f"there is no checkpoint {str(path)!r}", value=str(path), suggestion=suggestion)


def _newest_folder(trainer: pl.Trainer) -> Path:
    """Return the folder with the newest checkpoint among the runs that this trainer's settings lead to."""
    newest = max(_candidates(trainer), key=lambda file: file.stat().st_mtime_ns, default=None)
    if newest is not None:
        return newest.parent
    places = ", ".join(str(place) for place in _places(trainer))
    raise ConfigError(f"no run of this config has left a checkpoint (looked in {places})", suggestion="run fit first")


def _places(trainer: pl.Trainer) -> list[Path]:
    chosen = [
        Path(callback.dirpath)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.dirpath
    ]
    if chosen:
        return chosen
    if trainer.loggers and trainer.log_dir:
        return [Path(trainer.log_dir).parent]
    return [Path(trainer.default_root_dir)]


def _candidates(trainer: pl.Trainer) -> Iterable[Path]:
    for place in _places(trainer):
        for pattern in ("*.ckpt", "checkpoints/*.ckpt", "*/checkpoints/*.ckpt"):
            yield from place.glob(pattern)


def _best(newest: Path) -> Path:
    """Return the best checkpoint that the newest one knows of, where it lies now."""
    for state in _callback_states(newest):
        if path := state.get("best_model_path"):
            for candidate in (Path(path), newest.parent / Path(path).name):
                if candidate.exists():
                    return candidate
    suggestion = "give a path, or --ckpt last"
    raise ConfigError(f"{str(newest)!r} knows of no best checkpoint that still exists", suggestion=suggestion)


def _callback_states(file: Path) -> list[dict[str, Any]]:
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise ConfigError(f"cannot read the checkpoint {str(file)!r}: {error}", value=str(file)) from error
    states = checkpoint.get("callbacks", {})
    known = [state for name, state in states.items() if "Checkpoint" in name and isinstance(state, dict)]
    return sorted(known, key=lambda state: state.get("monitor") is None)
