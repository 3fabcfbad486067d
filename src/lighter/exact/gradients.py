"""The gradients to which the next step may add, as each rank has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor


def gradients_of(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the gradients by the names of what they are of: a parameter, or all those that FSDP has made one of.

    FSDP adds up the latter, and where it does not reduce them yet they are larger than its part of the parameters.
    """
    wrapped = _wrapped(trainer)
    own = {name: parameter.grad for name, parameter in _others(module, wrapped)}
    flat = {name: handle.flat_param.grad for name, handle in wrapped.items() if _has_gradient(handle)}
    return {name: local(grad) for name, grad in (own | flat).items() if grad is not None}


def restore_gradients(trainer: pl.Trainer, module: pl.LightningModule, gradients: Mapping[str, Tensor]) -> None:
    """Restore them; under another strategy there may be nothing that they are of, which is warned of."""
    wrapped = _wrapped(trainer)
    others = dict(_others(module, wrapped))
    fitting = {name for name in gradients if name in wrapped or _fits(others.get(name), gradients[name])}
    if fitting < gradients.keys():
        rank_zero_warn("the checkpoint's gradients are of another strategy: the next step goes on without them")
        return
    for name in fitting & others.keys():
        others[name].grad = torch.zeros_like(others[name])
        local(others[name].grad).copy_(gradients[name])
    for name in fitting & wrapped.keys():
        _restore_flat(wrapped[name], gradients[name])


def local(tensor: Any) -> Tensor:
    """Return the part of a sharded tensor that this rank has."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def _wrapped(trainer: pl.Trainer) -> dict[str, Any]:
    """Return what holds the parameters of each module that FSDP has wrapped; FSDP itself hides them."""
    if not isinstance(trainer.strategy, FSDPStrategy) or trainer.model is None:
        return {}
    handles = {name: getattr(part, "_handle", None) for name, part in trainer.model.named_modules()}
    return {f"{name}._flat_param": handle for name, handle in handles.items() if handle is not None}


def _others(module: pl.LightningModule, wrapped: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parameters that FSDP has not wrapped."""
    flat = {id(part) for handle in wrapped.values() for part in (handle.flat_param, *_originals(handle))}
    return ((name, parameter) for name, parameter in module.named_parameters() if id(parameter) not in flat)


def _originals(handle: Any) -> Iterator[Any]:
    """Yield the parameters that FSDP has made one of, where it shows them."""
    return chain(handle.flat_param._params or (), handle.flat_param._shared_params or ())


def _has_gradient(handle: Any) -> bool:
    """Tell whether there is a gradient that has not been set to None where FSDP shows it; FSDP sees to it later."""
    originals = list(_originals(handle))
    return not originals or any(parameter.grad is not None for parameter in originals)


def _fits(parameter: Any, gradient: Tensor) -> bool:
    return parameter is not None and local(parameter).shape == gradient.shape


def _restore_flat(handle: Any, gradient: Tensor) -> None:
    flat = handle.flat_param
    flat.grad = torch.empty_like(flat)
    flat.grad.data = gradient.to(handle.device)  # not copied, as it may be larger
    if handle._use_orig_params:
        handle._use_sharded_grad_views() if handle.is_sharded(flat.grad) else handle._use_unsharded_grad_views()
