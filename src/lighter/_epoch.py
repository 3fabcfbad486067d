"""What one epoch in one mode works with, decided before its first step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from lighter._distributed import weight_of
from lighter._losses import Losses
from lighter._metrics import SharedMetrics
from lighter._wrappers import WRAPPERS

IGNORE_OUTPUTS = ("pytorch_lightning.", "lightning.pytorch.", "lighter.runs.")  # callbacks of these
HOOKS = {
    "train": ("training_step", "on_train_batch_end"),
    "val": ("validation_step", "on_validation_batch_end"),
    "test": ("test_step", "on_test_batch_end"),
}


@dataclass
class Epoch:
    """The parts of the steps of one epoch, who looks at what they make, and their losses."""

    mode: str
    unpack: Callable[[Any], tuple[Any, Any, Any]]
    model: nn.Module
    model_arguments: tuple[str, ...]
    inferer: Callable[..., Any] | None
    criterion: Callable[..., Any] | None
    criterion_adapter: Callable[..., Any]
    metrics: SharedMetrics | None
    metrics_adapter: Callable[..., Any]
    logging_adapter: Callable[..., tuple[Any, Any, Any]] | None
    returns_outputs: bool
    logs_values: bool
    logs_loss: bool
    monitored: frozenset[str]
    weights: Sequence[Sequence[Mapping[int, float]]]  # of this rank's batches, by loader
    counts: bool  # unless another rank has the same data
    now: tuple[int, int] | None = None  # epoch and batch of the last training step
    batches: int = 0
    losses: Losses = field(default_factory=Losses)

    @property
    def monitors_metrics(self) -> bool:
        return any(name.startswith(f"{self.mode}/metrics/") for name in self.monitored)

    @property
    def is_evaluation(self) -> bool:
        return self.mode in ("val", "test")

    def weight(self, batch_idx: int, dataloader_idx: int = 0) -> float:
        """Return how much a batch of this rank counts in a mean over the ranks; nothing if another rank has it."""
        return weight_of(self.weights, batch_idx, dataloader_idx)

    def state_dict(self) -> dict[str, Any]:
        """Return what the epoch has summed up so far on this rank."""
        metrics = None if self.metrics is None else self.metrics.state_dict()
        return {"batches": self.batches, "losses": self.losses.state_dict(), "metrics": metrics}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self.batches = state["batches"]
        self.losses.load_state_dict(state["losses"], device)
        if self.metrics is not None:
            self.metrics.load_state_dict(state["metrics"] or {})


def callbacks_of(trainer: Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning does not declare it
    return callbacks


def wants_outputs(mode: str, trainer: Trainer, module: LightningModule) -> bool:
    """Tell whether anyone's own code receives what a step returns: a subclass's step, or a hook that ends the batch.

    Lightning's own callbacks and ours have that hook too, and ignore what it is given.
    """
    if mode == "predict":
        return True
    step, batch_end = HOOKS[mode]
    hooks = [hook for owner in (*callbacks_of(trainer), module) if callable(hook := getattr(owner, batch_end))]
    return getattr(module, step).__module__ != "lighter.system" or any(
        not str(hook.__module__).startswith(IGNORE_OUTPUTS)
        for hook in hooks  # that of a lambda in a config is None
    )


def monitored_steps(trainer: Trainer) -> frozenset[str]:
    """Return the names of the values of training steps that a callback or a scheduler monitors."""
    monitors = [getattr(callback, "monitor", None) for callback in callbacks_of(trainer)]
    monitors += [config.monitor for config in trainer.lr_scheduler_configs]
    names = (name for name in monitors if isinstance(name, str))
    return frozenset(name for name in names if name.startswith("train/") and name.endswith("/step"))


def extra_arguments(model: nn.Module) -> tuple[str, ...]:
    """Return which of `epoch` and `step` the model's forward takes by name, behind what may wrap the model."""
    while inner := next((getattr(model, name) for name in WRAPPERS if hasattr(model, name)), None):
        model = inner
    parameters = inspect.signature(model.forward).parameters
    return tuple(name for name in ("epoch", "step") if name in parameters)
