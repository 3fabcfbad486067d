"""The callback that sees to it that a fit trains the model, and the same one on every rank."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, distributed

from lighter._drift import deviation, differing, unsharded_dims
from lighter._sharded import is_parallelized
from lighter._wrappers import own_name
from lighter.errors import ConfigError, RunError
from lighter.system import System

DATA = "data_parallel"  # Lightning's name for the dimension of a mesh along which ranks have different batches
ROUNDING = 256  # units in the last place by which ranks of different hardware may come apart

_STALE = (
    "build it in configure_optimizers from what self.parameters() is there; to System, give a function of the System"
)
_INSIDE = "make it a part of system::model, which is what `parallelize` is given"
_SHARD_ALL = f"shard the rest of the model too: torch.distributed.fsdp.fully_shard(model, mesh=device_mesh[{DATA!r}])"


class TrainedWeights(pl.Callback):
    """End a fit that would train nothing or not the same on every rank, which nothing else would tell of."""

    def __init__(self) -> None:
        self._has_warned = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(trainer.strategy, ModelParallelStrategy):
            _check_mesh(pl_module)
        if not isinstance(trainer.strategy, DeepSpeedStrategy):  # whose optimizers hold copies
            _check_optimizers(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size == 1 or not has_equal_ranks(trainer):
            return
        parameters = {own_name(name): parameter for name, parameter in pl_module.named_parameters()}
        names = differing(trainer, list(parameters.items()))
        far = [(name, apart) for name in names if (apart := self._apart(trainer, parameters[name]))]
        if far:
            raise _drift(trainer.current_epoch, *far[0], others=len(far) - 1)
        if names and not self._has_warned:
            self._has_warned = True
            rank_zero_warn(f"the ranks' weights differ by rounding, {names[0]} first: is their hardware the same?")

    def _apart(self, trainer: pl.Trainer, parameter: Tensor) -> float:
        """Return how far apart the ranks are in a parameter; zero where it is no more than rounding."""
        most, largest = deviation(trainer, parameter)
        return 0.0 if most <= ROUNDING * torch.finfo(parameter.dtype).eps * largest else most


def has_equal_ranks(trainer: pl.Trainer) -> bool:
    """Tell whether ranks have the same weights by now, or the same parts of them, that can be looked at."""
    strategy = trainer.strategy
    if not distributed.is_available() or not distributed.is_initialized():
        return False
    if isinstance(strategy, FSDPStrategy):
        return strategy.sharding_strategy.name == "NO_SHARD"
    if isinstance(strategy, DeepSpeedStrategy):
        return not strategy.zero_stage_3
    return not (isinstance(strategy, DDPStrategy) and strategy._model_averager is not None)  # equal only at times


def _check_optimizers(trainer: pl.Trainer) -> None:
    assert trainer.model is not None
    own = {id(parameter): parameter for parameter in trainer.model.parameters()}
    held: set[int] = set()
    for optimizer in trainer.optimizers:
        ids = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        held |= ids
        if ids and ids.isdisjoint(own):
            name = type(optimizer).__name__
            raise ConfigError(f"{name} would train nothing: none of its parameters is the model's", suggestion=_STALE)
    left = [parameter for number, parameter in own.items() if parameter.requires_grad and number not in held]
    if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy) and held - own.keys() and left:
        message = f"an optimizer holds parameters from before the model was sharded, and {len(left)} would not train"
        raise ConfigError(message, suggestion=_STALE)
    if isinstance(trainer.strategy, FSDPStrategy) and not trainer.strategy.kwargs.get("use_orig_params"):
        _check_rest(trainer, held)


def _check_rest(trainer: pl.Trainer, held: set[int]) -> None:
    """Refuse a model of which FSDP has put what no layer wraps into a parameter that is not the model's own."""
    rest: Any = getattr(trainer.model, "_flat_param", None)
    if rest is None or not rest.requires_grad or id(rest) in held:
        return
    own = "model." if isinstance(trainer.lightning_module, System) else ""
    if lost := [name for name in rest._fqns if name.startswith(own)]:
        more = f" and {len(lost) - 1} more" if lost[1:] else ""
        message = f"{lost[0]}{more} would not train: with use_orig_params: false only wrapped layers do"
        raise ConfigError(message, value=lost[0], suggestion="give the strategy use_orig_params: true")


def _check_mesh(module: pl.LightningModule) -> None:
    """Refuse a model of a ModelParallelStrategy that is not sharded, or not all of it."""
    if not is_parallelized(module):
        raise ConfigError("the model is to be sharded, and none of its parameters is a DTensor")
    mesh: Any = module.device_mesh
    if mesh[DATA].size() == 1:
        return
    trained = ((name, item) for name, item in module.named_parameters() if item.requires_grad)
    loose = [name for name, item in trained if not hasattr(item, "device_mesh") or DATA in unsharded_dims(mesh, item)]
    if loose:
        more = f" and {len(loose) - 1} more are" if loose[1:] else " is"
        message = f"{loose[0]}{more} not sharded over {DATA}, so that each rank would train its own"
        is_beside = isinstance(module, System) and not loose[0].startswith("model.")
        raise ConfigError(message, value=loose[0], suggestion=_INSIDE if is_beside else _SHARD_ALL)


def _drift(epoch: int, name: str, apart: float, others: int) -> RunError:
    more = f", and {others} more" if others else ""
    return RunError(
        f"after epoch {epoch} the ranks have different weights: {name} differs by up to {apart:.3g}{more}",
        value=name,
        suggestion="was it changed on one rank alone, or used around the wrapped model, whose gradients are shared?",
    )
