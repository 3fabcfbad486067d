"""Models that are sharded over the ranks: by a plan of the user's, and made where no rank could hold the whole."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn

from lighter._drift import differing
from lighter.adapters import name_of
from lighter.errors import ConfigError, RunError

_LOST = (
    ".*to a meta parameter in the current model, which is a no-op"  # torch, where a state dict is loaded for nothing
)
_EACH_ITS_OWN = ("FULL_SHARD", "SHARD_GRAD_OP")  # FSDP's ways in which no two ranks have the same part
_NO_INIT = "give them reset_parameters(), which sets the layer's own parameters and buffers; or leave out empty_init"


@contextmanager
def empty_tensors(trainer: pl.Trainer | None) -> Iterator[None]:
    """Create tensors without memory, where the strategy will shard them; elsewhere as always.

    Raises:
        ConfigError: weights were loaded into such tensors, which loses them.
    """
    if trainer is None or not isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
        yield
        return
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("error", _LOST)
        try:
            yield
        except Exception as error:
            if not re.search(_LOST, str(error)):
                raise
            raise ConfigError(
                "the model loads weights while it is built, and with empty_init there is nothing yet to load them into",
                suggestion="leave out empty_init; or begin from a checkpoint: --ckpt PATH",
            ) from error


def check_alike(model: nn.Module, trainer: pl.Trainer) -> None:
    """Refuse models that the ranks have built differently, before a strategy shards them that shares none of them.

    DDP takes the first rank's, and a checkpoint sets them. Of a parameter of which each rank keeps a part of its own
    any will do.

    Raises:
        RunError: the models differ.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, FSDPStrategy | ModelParallelStrategy) or trainer.ckpt_path:
        return
    is_parted = isinstance(strategy, FSDPStrategy) and strategy.sharding_strategy.name in _EACH_ITS_OWN
    named = itertools.chain(() if is_parted else model.named_parameters(), model.named_buffers())
    if names := differing(trainer, [(name, tensor) for name, tensor in named if not _is_empty(tensor)]):
        raise RunError(
            f"the ranks have built different models: {names[0]} differs", suggestion="give the config a seed"
        )


def parallelized(model: nn.Module, plan: Callable[..., Any] | None, trainer: pl.Trainer) -> nn.Module:
    """Return the model that a plan makes of one, over the mesh of a ModelParallelStrategy.

    Raises:
        ConfigError: there is no plan, or it shards nothing.
    """
    if plan is None:
        raise ConfigError(
            "ModelParallelStrategy leaves it to the model how it is sharded, and the System does not say",
            suggestion="give it system::parallelize, a function (model, device_mesh)",
        )
    made = plan(model, trainer.lightning_module.device_mesh)
    if made is not None and not isinstance(made, nn.Module):
        raise ConfigError(
            f"{name_of(plan)} returned {made!r}; a plan returns a model, or None if it changed it in place"
        )
    model = model if made is None else made
    if not is_parallelized(model):
        raise ConfigError(f"{name_of(plan)} has sharded nothing: no parameter of the model is a DTensor")
    return model


def is_parallelized(model: nn.Module) -> bool:
    return any(hasattr(parameter, "device_mesh") for parameter in model.parameters())


def materialize(model: nn.Module, trainer: pl.Trainer) -> None:
    """Give a model's empty tensors memory and values, each rank no more than its own and one layer.

    The values are those of the layers' `reset_parameters`, drawn alike by all ranks. FSDP does it when it wraps.

    Raises:
        ConfigError: a layer cannot set its values, and no checkpoint will.
    """
    layers = [layer for layer in model.modules() if any(map(_is_empty, _own(layer)))]
    if not layers:
        return
    _check_layers(layers, has_weights=bool(trainer.ckpt_path))
    strategy, tied = trainer.strategy, _tied(model)
    device = strategy.root_device
    if isinstance(strategy, FSDPStrategy):
        if tied:
            raise _untied(tied)
        torch.manual_seed(strategy.broadcast(torch.initial_seed()))  # FSDP fills the layers once this has returned
        strategy.kwargs.setdefault("param_init_fn", lambda layer: _fill(layer, device))
        return
    _with_memory(model, device)
    if lost := tied - _tied(model):
        raise _untied(lost)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(strategy.broadcast(torch.initial_seed()))
        for layer in layers:
            _reset(layer)


def _check_layers(layers: list[nn.Module], *, has_weights: bool) -> None:
    """Refuse layers whose values no one would set; a checkpoint sets all but buffers that are not in it."""
    for layer in layers:
        if _reset_of(layer) is not None:
            continue
        lost = [name for name, buffer in layer.named_buffers(recurse=False) if _is_empty(buffer)]
        if has_weights:
            lost = [name for name in lost if name in layer._non_persistent_buffers_set]
        else:
            lost = [name for name, item in layer.named_parameters(recurse=False) if _is_empty(item)] + lost
        if lost:
            message = f"with empty_init nothing would set {', '.join(lost)} of {type(layer).__name__}"
            raise ConfigError(message, value=type(layer).__name__, suggestion=_NO_INIT)


def _reset_of(layer: nn.Module) -> Callable[[], object] | None:
    found = getattr(layer, "reset_parameters", None)
    return found if callable(found) else None


def _with_memory(model: Any, device: torch.device) -> None:
    model._apply(lambda tensor: torch.empty_like(tensor, device=device) if _is_empty(tensor) else tensor.to(device))


def _fill(layer: nn.Module, device: torch.device) -> None:
    """Give a layer that FSDP wraps memory and values."""
    if any(map(_is_empty, _own(layer))):
        layer.to_empty(device=device, recurse=False)
        if (reset := _reset_of(layer)) is not None:
            with torch.no_grad():
                reset()


def _reset(layer: nn.Module) -> None:
    """Reset a layer whose parameters are sharded as if they were whole, and keep this rank's part."""
    reset = _reset_of(layer)
    if reset is None:
        return
    own: dict[str, Any] = layer._parameters
    parts: dict[str, Any] = {name: item for name, item in own.items() if hasattr(item, "device_mesh")}
    for name, part in parts.items():
        own[name] = nn.Parameter(torch.empty(part.shape, dtype=part.dtype, device=part.device))
    try:
        reset()
        wholes = {name: own[name].detach() for name in parts}
    finally:
        own.update(parts)
    for name, part in parts.items():
        part.to_local().copy_(_part_of(wholes[name], part))


def _part_of(whole: Tensor, like: Any) -> Tensor:
    """Return what this rank has of a tensor that is sharded like another; every rank has the whole."""
    from torch.distributed.tensor import DTensor, Replicate

    replicated = DTensor.from_local(whole, like.device_mesh, [Replicate()] * like.device_mesh.ndim, run_check=False)
    made: Tensor = replicated.redistribute(like.device_mesh, like.placements).to_local()
    return made


def _own(layer: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(layer.parameters(recurse=False), layer.buffers(recurse=False))


def _is_empty(tensor: Tensor) -> bool:
    return tensor.is_meta


def _tied(model: nn.Module) -> set[frozenset[str]]:
    """Return the names of parameters that are one and the same."""
    names: dict[int, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(name)
    return {frozenset(several) for several in names.values() if len(several) > 1}


def _untied(tied: set[frozenset[str]]) -> ConfigError:
    names = " and ".join(sorted(next(iter(tied))))
    return ConfigError(f"with empty_init {names} would no longer be one parameter", suggestion="leave out empty_init")
