"""Clip gradients where a strategy shards them: by the norm of all of them, as one process has it, or by value."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer


def clip_where_sharded(trainer: pl.Trainer) -> None:
    """Let a Trainer's `gradient_clip_val` hold under strategies that shard, too.

    Lightning refuses a norm under FSDP, and torch fails where not all gradients are sharded in one way.
    """
    strategy: Any = trainer.strategy
    plugin = strategy.precision_plugin
    if isinstance(strategy, FSDPStrategy):
        plugin.clip_grad_by_norm = lambda _, clip_val: _clip_wrapped(strategy.model, clip_val)
    elif isinstance(strategy, ModelParallelStrategy):
        plugin.clip_grad_by_norm, plugin.clip_grad_by_value = _clip_norm, _clip_values


def _clip_wrapped(model: Any, clip_val: float) -> None:
    model.clip_grad_norm_(clip_val)


def _clip_norm(optimizer: Optimizer, clip_val: float) -> None:
    alike = _alike(optimizer)
    norms = [clip_grad_norm_(parameters, math.inf) for parameters in alike]  # which changes nothing
    if not norms:
        return
    norm = torch.linalg.vector_norm(torch.stack([_whole(norm) for norm in norms]))
    factor = torch.clamp(clip_val / (norm + 1e-6), max=1.0)  # as torch has it
    for parameter in (parameter for parameters in alike for parameter in parameters):
        assert parameter.grad is not None
        parameter.grad.mul_(factor)


def _clip_values(optimizer: Optimizer, clip_val: float) -> None:
    for parameters in _alike(optimizer):
        clip_grad_value_(parameters, clip_val)


def _alike(optimizer: Optimizer) -> list[list[Tensor]]:
    """Return the parameters that have gradients, those together that are sharded over the same ranks, or not at all."""
    found: dict[object, list[Tensor]] = {}
    for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
        if parameter.grad is not None:
            found.setdefault(getattr(parameter.grad, "device_mesh", None), []).append(parameter)
    return list(found.values())


def _whole(norm: Tensor) -> Tensor:
    whole: Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole
