"""What a checkpoint tells beside Lightning's own, so that a fit goes on from it as if it had never ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
from torch import Tensor

from lighter._ranks import of_all_ranks, of_this_rank
from lighter._wrappers import own_name
from lighter.exact.gradients import gradients_of, local, restore_gradients
from lighter.exact.resume import BETWEEN_EPOCHS, Due, due
from lighter.exact.sums import restore_sums, sums_of


def state_of(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    """Return the state in which the fit will go on; each rank must call this."""
    may_add = not module.automatic_optimization or _is_accumulating(trainer)
    own = {"gradients": gradients_of(trainer, module) if may_add else {}, "sums": sums_of(trainer, module)}
    own["buffers"] = _own_buffers(trainer, module)
    return {
        "due": due(trainer).value,
        "should_stop": bool(trainer.should_stop),
        "callback_metrics": {name: value.detach().cpu() for name, value in trainer.callback_metrics.items()},
        "ranks": of_all_ranks(trainer, own),
    }


def restore(trainer: pl.Trainer, module: pl.LightningModule, state: Mapping[str, Any]) -> None:
    """Restore what callbacks and schedulers look at, and what the ranks have of an unfinished epoch."""
    device = trainer.strategy.root_device
    metrics = {name: value.to(device) for name, value in state["callback_metrics"].items()}
    trainer._logger_connector._callback_metrics.update(metrics)
    if Due(state["due"]) in BETWEEN_EPOCHS and len(state["ranks"]) != trainer.world_size:
        return  # there is nothing that a rank would have to itself
    own = of_this_rank(trainer, state["ranks"])
    if own is None:
        return
    restore_sums(trainer, module, own["sums"])
    with torch.no_grad():
        for name, buffer in _buffers(module).items():
            if name in own["buffers"]:
                buffer.copy_(own["buffers"][name])
    restore_gradients(trainer, module, own["gradients"])


def _own_buffers(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the buffers that differ between the ranks; the others are in the checkpoint as the first rank has them."""
    if trainer.world_size == 1:
        return {}
    buffers = _buffers(module)
    everyones = of_all_ranks(trainer, {name: _digest(buffer) for name, buffer in buffers.items()})
    return {name: buffer for name, buffer in buffers.items() if len({digests.get(name) for digests in everyones}) > 1}


def _buffers(module: pl.LightningModule) -> dict[str, Tensor]:
    return {own_name(name): buffer for name, buffer in module.named_buffers()}


def _digest(tensor: Tensor) -> int:
    return crc32(local(tensor).detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def _is_accumulating(trainer: pl.Trainer) -> bool:
    if due(trainer) in BETWEEN_EPOCHS:
        return False
    batch: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    if batch.processed == batch.ready:
        return trainer.fit_loop._should_accumulate()
    return bool(batch.processed % trainer.accumulate_grad_batches)
