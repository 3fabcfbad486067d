"""What a Trainer tells of itself: the values logged, the checkpoints saved, the devices used."""

from __future__ import annotations

import os
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lighter.runs.record.run_file import Best, Devices, SavedCheckpoint
from lighter.runs.record.secrets import Secrets
from lighter.runs.resume.signals import Signals


def logged_values(trainer: pl.Trainer) -> dict[str, torch.Tensor]:
    """Return the last value of all that was logged but for single steps; to be called on every rank."""
    logged = trainer.callback_metrics.items()
    return {name: value for name, value in logged if not name.endswith(("/step", "_step")) and value.numel() == 1}


def saved_checkpoints(trainer: pl.Trainer, folder: Path) -> tuple[SavedCheckpoint, ...]:
    """Return the checkpoints that are kept, of each callback the scored ones first."""
    found: dict[str, SavedCheckpoint] = {}
    for callback in _model_checkpoints(trainer):
        for path, score in callback.best_k_models.items():
            found[path] = SavedCheckpoint(inside(path, folder), callback.monitor, float(score))
        for path in (callback.best_model_path, callback.last_model_path):
            if path:
                found.setdefault(path, SavedCheckpoint(inside(path, folder)))
    for saver in trainer.checkpoint_callbacks:
        if isinstance(saver, Signals) and saver.saved is not None:
            found[str(saver.saved)] = SavedCheckpoint(inside(str(saver.saved), folder))
    return tuple(found.values())


def best_checkpoints(trainer: pl.Trainer, folder: Path) -> tuple[Best, ...]:
    """Return the best checkpoint of each callback that chooses by a metric."""
    return tuple(
        Best(item.monitor, item.mode, float(item.best_model_score), inside(item.best_model_path, folder))
        for item in _model_checkpoints(trainer)
        if item.monitor
        and item.best_model_path
        and item.best_model_score is not None
        and item.best_model_score.isfinite()  # nan is none, and Lightning takes it for an infinity
    )


def devices_of(trainer: pl.Trainer) -> Devices:
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    strategy = type(trainer.strategy).__name__.removesuffix("Strategy")
    return Devices(device.type, trainer.num_devices * trainer.num_nodes, trainer.num_nodes, strategy, name)


def _model_checkpoints(trainer: pl.Trainer) -> list[ModelCheckpoint]:
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]


def inside(path: str, folder: Path) -> str:
    """Return a path relative to the run's folder if it is in it, else absolute; an URL as it is, without secrets."""
    if "://" in path:
        return Secrets.of().hide(path)
    real = Path(os.path.realpath(path))
    return str(real.relative_to(folder)) if folder in (real, *real.parents) else str(real)
