"""What a LightningModule has summed up of an unfinished epoch: what it logs by epoch, and its metrics.

Lightning drops both. A System keeps its own, in `lighter.system`.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.connectors.logger_connector.result import _Sync
from torchmetrics import Metric

from lighter._metrics import load_metric_state, metric_state
from lighter.system import BESIDE_MODEL, System

AS_LOGGED = ("name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "add_dataloader_idx")


class _AloneSync(_Sync):
    """Be equal whether or not a value is to be reduced over the ranks, as one alone has nothing to reduce.

    What was asked for is not known: Lightning keeps that only under strategies for several ranks.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sync) and _how(self) == _how(other)

    __hash__ = None  # type: ignore[assignment]  # as that of a dataclass


def _how(sync: _Sync) -> tuple[Any, ...]:
    return sync.fn, sync.rank_zero_only, sync.op, sync.group


def sums_of(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    metrics = {name: metric_state(metric) for name, metric in _metrics(module)}
    logged = [_logged(item) for item in trainer.fit_loop.epoch_loop._results.values() if _is_sum(item)]
    return {"metrics": metrics, "logged": logged}


def restore_sums(trainer: pl.Trainer, module: pl.LightningModule, sums: Mapping[str, Any]) -> None:
    for name, metric in _metrics(module):
        if name in sums["metrics"]:
            load_metric_state(metric, sums["metrics"][name])
    for logged in sums["logged"]:
        _log_again(trainer, module, **logged)


def _metrics(module: pl.LightningModule) -> list[tuple[str, Metric]]:
    beside = BESIDE_MODEL if isinstance(module, System) else ()
    metrics = ((name, part) for name, part in module.named_modules() if isinstance(part, Metric))
    return [(name, metric) for name, metric in metrics if not name.startswith(beside)]


def _is_sum(item: Any) -> bool:
    return bool(item.meta.on_epoch and not item.has_reset and item.meta.sync.group is None)


def _logged(item: Any) -> dict[str, Any]:
    """Return how a value was logged, and what there is of it."""
    meta = item.meta
    how = {name: getattr(meta, name) for name in AS_LOGGED}
    how |= {"sync_dist": meta.sync._should, "rank_zero_only": meta.sync.rank_zero_only}
    reduce_fx = meta.reduce_fx.__name__
    is_builtin = meta.reduce_fx is getattr(builtins, reduce_fx, None)
    state = metric_state(item) if item.is_tensor else None
    return {
        "fx": meta.fx,
        "how": how,
        "reduce_fx": (reduce_fx, is_builtin),
        "attribute": meta.metric_attribute,
        "state": state,
    }


def _log_again(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    fx: str,
    how: dict[str, Any],
    reduce_fx: tuple[str, bool],
    attribute: str | None,
    state: dict[str, Any] | None,
) -> None:
    """Log any value as it was logged, so that Lightning takes the next one for more of it, and restore what it was."""
    if state is None and attribute is None:
        return
    results = trainer.fit_loop.epoch_loop._results
    value = module.get_submodule(attribute or "") if state is None else torch.zeros((), device=module.device)
    function = getattr(builtins if reduce_fx[1] else torch, reduce_fx[0])
    how |= {"reduce_fx": function, "sync_dist_fn": trainer.strategy.reduce, "metric_attribute": attribute}
    before = set(results)
    results.log(fx, value=value, batch_size=1, **how)
    (key,) = set(results) - before
    if trainer.world_size == 1:
        meta = results[key].meta
        is_reduced = trainer._accelerator_connector.is_distributed
        meta.sync = _AloneSync(meta.sync.fn, _should=is_reduced, rank_zero_only=meta.sync.rank_zero_only)
    if state is not None:
        load_metric_state(results[key], state)
        results[key].to(module.device)
