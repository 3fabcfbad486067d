"""The optimizers and schedulers of a trace: what they are, their gradients, and a step that changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lighter.trace.values import Row, stored

FIRST_NAMES = 3  # of the parameters without a gradient


def optimizer_facts(trainer: pl.Trainer) -> Iterator[tuple[str, str]]:
    for optimizer in trainer.optimizers:
        rates = dict.fromkeys(f"{group['lr']:.4g}" for group in optimizer.param_groups if group.get("lr") is not None)
        yield "optimizer", ", ".join([type(optimizer).__name__, *[f"lr {' and '.join(rates)}"] * bool(rates)])


def scheduler_facts(trainer: pl.Trainer) -> Iterator[tuple[str, str]]:
    for config in trainer.lr_scheduler_configs:
        every = config.interval if config.frequency == 1 else f"{config.frequency} {config.interval}s"
        monitor = f", by {config.monitor}" if config.monitor else ""
        yield "scheduler", f"{type(config.scheduler).__name__}, every {every}{monitor}"


def only_closure(closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:  # noqa: ARG001
    """Take the place of an optimizer's step: the forward and the backward pass, and no change."""
    return closure() if closure is not None else None


def gradient_rows(module: nn.Module, optimizer: Optimizer) -> list[Row]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    trained = [item for group in optimizer.param_groups for item in group["params"] if item.requires_grad]
    norms = [_norm(item.grad) for item in trained if item.grad is not None]
    missing = [names.get(id(item), "?") for item in trained if item.grad is None]
    if not norms:
        return [Row("none", marks=("no parameter has one",))]
    norm = math.hypot(*norms)
    finite = math.isfinite(norm)
    rows = [Row("norm", range=f"{norm:.4g}" * finite, marks=(f"{norm}",) * (not finite))]
    rows.append(Row("parameters", range=f"{len(norms)} of {len(trained)}"))
    if missing:
        more = f", and {len(missing) - FIRST_NAMES} more" * (len(missing) > FIRST_NAMES)
        rows.append(Row("without", range=", ".join(missing[:FIRST_NAMES]) + more))
    return rows


def _norm(gradient: Tensor) -> float:
    values = stored(gradient)
    return float(torch.linalg.vector_norm(values if values.is_complex() else values.float()))
