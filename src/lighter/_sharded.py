"""Models that are sharded over the ranks: by a plan of the user's, and made where no rank could hold the whole."""

from __future__ import annotations

import inspect
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, distributed, nn
from torch.nn.parameter import is_lazy

from lighter._drift import differing
from lighter.adapters import name_of
from lighter.errors import ConfigError, RunError

_LOST = (
    ".*to a meta parameter in the current model, which is a no-op"  # torch, where a state dict is loaded for nothing
)
_EACH_ITS_OWN = ("FULL_SHARD", "SHARD_GRAD_OP")  # FSDP's ways in which no two ranks have the same part
_PLAN = "system::parallelize"
_NOT_EMPTY = "leave out empty_init; or begin from a checkpoint: --ckpt PATH"
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
                suggestion=_NOT_EMPTY,
            ) from error


def check_alike(model: nn.Module, trainer: pl.Trainer) -> None:
    """Refuse models that the ranks have built differently, before a strategy shards them that shares none of them.

    DDP takes the first rank's, and a checkpoint sets them. Of a parameter of which each rank keeps a part of its own
    any will do. The shapes must be the same whatever the strategy.

    Raises:
        RunError: the models differ.
    """
    _check_shapes(model, trainer)
    strategy = trainer.strategy
    if not isinstance(strategy, FSDPStrategy | ModelParallelStrategy) or trainer.ckpt_path:
        return
    is_parted = isinstance(strategy, FSDPStrategy) and strategy.sharding_strategy.name in _EACH_ITS_OWN
    named = itertools.chain(() if is_parted else model.named_parameters(), model.named_buffers())
    if names := differing(trainer, [(name, tensor) for name, tensor in named if not _is_empty(tensor)]):
        raise _unlike(f"{names[0]} differs", "give the config a seed")


def _check_shapes(model: nn.Module, trainer: pl.Trainer) -> None:
    """Refuse models of other shapes before the ranks exchange their values, which would fail or never end."""
    if not distributed.is_available() or not distributed.is_initialized():
        return
    own = {name: list(item.shape) for name, item in model.named_parameters() if not is_lazy(item)}
    first = trainer.strategy.broadcast(own)
    names = [name for name in {**first, **own} if first.get(name) != own.get(name)]
    shapes = [str(shapes.get(names[0], "not there")) for shapes in (own, first)] if names else []
    told: list[str | None] = [None] * trainer.world_size
    mine = f"{names[0]} is {shapes[0]} on rank {trainer.global_rank} and {shapes[1]} on the first" if names else None
    distributed.all_gather_object(told, mine)
    if unlike := next(filter(None, told), None):
        raise _unlike(unlike, "build it from the config alone, and not from what differs between ranks")


def _unlike(what: str, suggestion: str) -> RunError:
    error = RunError(f"the ranks have built different models: {what}", suggestion=suggestion)
    error.is_everyones = True
    return error


def parallelized(model: nn.Module, plan: Callable[..., Any] | None, trainer: pl.Trainer) -> nn.Module:
    """Return the model that a plan makes of one, over the mesh of a ModelParallelStrategy.

    Raises:
        ConfigError: there is no plan, or it shards nothing.
    """
    if plan is None:
        raise _of_all(
            "ModelParallelStrategy leaves it to the model how it is sharded, and the System does not say",
            suggestion="give it system::parallelize, a function (model, device_mesh)",
        )
    _check_plan(plan)
    made = plan(model, trainer.lightning_module.device_mesh)
    if made is not None and not isinstance(made, nn.Module):
        message = f"{name_of(plan)} returned {made!r}; a plan returns a model, or None if it changed it in place"
        raise _of_all(message, path=_PLAN)
    model = model if made is None else made
    if not is_parallelized(model):
        raise _of_all(f"{name_of(plan)} has sharded nothing: no parameter of the model is a DTensor", path=_PLAN)
    return model


def _check_plan(plan: Callable[..., Any]) -> None:
    """Refuse a plan that cannot be called as it will be."""
    try:
        signature = inspect.signature(plan)
    except (TypeError, ValueError):  # of some that are written in C
        return
    try:
        signature.bind("model", "device_mesh")
    except TypeError as error:
        message = f"{name_of(plan)} cannot be called with (model, device_mesh): {error}"
        raise _of_all(message, path=_PLAN) from error


def is_parallelized(model: nn.Module) -> bool:
    return any(hasattr(parameter, "device_mesh") for parameter in model.parameters())


def materialize(model: nn.Module, trainer: pl.Trainer) -> None:
    """Give a model's empty tensors memory and values, each rank no more than its own and one layer.

    The values are those of the layers' `reset_parameters`, drawn alike by all ranks. FSDP does it when it wraps.

    Raises:
        ConfigError: a layer cannot set its values, and no checkpoint will.
    """
    layers = [layer for layer in dict.fromkeys(_layers(model)) if any(map(_is_empty, _own(layer)))]
    if not layers:
        return
    _check_layers(model, has_weights=bool(trainer.ckpt_path))
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


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of a model, each after those in it, as constructors set them."""
    for child in model.children():
        yield from _layers(child)
    yield model


def _check_layers(model: nn.Module, *, has_weights: bool) -> None:
    """Refuse layers whose values no one would set; a checkpoint sets all but buffers that are not in it."""
    for name, layer in model.named_modules():
        where = f"{name} ({type(layer).__name__})" if name else type(layer).__name__
        if isinstance(layer, nn.Transformer) and not has_weights:
            message = f"with empty_init {where} would not set the weights of its layers, as its constructor does"
            raise _of_all(message, value=name, suggestion=_NOT_EMPTY)
        if _reset_of(layer) is not None:
            continue
        lost = [own for own, buffer in layer.named_buffers(recurse=False) if _is_empty(buffer)]
        if has_weights:
            lost = [own for own in lost if own in layer._non_persistent_buffers_set]
        else:
            lost = [own for own, item in layer.named_parameters(recurse=False) if _is_empty(item)] + lost
        if lost:
            message = f"with empty_init nothing would set {', '.join(lost)} of {where}"
            raise _of_all(message, value=name, suggestion=_NO_INIT)


def _reset_of(layer: nn.Module) -> Callable[[], object] | None:
    """Return what sets a layer's values, which one of torch's own calls by another name than all others."""
    found = getattr(layer, "reset_parameters", None)
    if found is None and isinstance(layer, nn.MultiheadAttention):
        found = layer._reset_parameters
    return found if callable(found) else None


def _with_memory(model: Any, device: torch.device) -> None:
    model._apply(lambda tensor: torch.empty_like(tensor, device=device) if _is_empty(tensor) else tensor.to(device))


def _fill(layer: nn.Module, device: torch.device) -> None:
    """Give a layer that FSDP wraps memory and values, after those in it, for which FSDP asks later."""
    for child in layer.children():
        _fill(child, device)
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


def _of_all(
    message: str, *, path: str | None = None, value: object = None, suggestion: str | None = None
) -> ConfigError:
    """Return an error that all ranks have."""
    error = ConfigError(message, path=path, value=value, suggestion=suggestion)
    error.is_everyones = True
    return error
