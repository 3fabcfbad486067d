"""Let strategies that shard load what any strategy has saved, and say why where they cannot.

Lightning's own load what is in a folder and pass over the rest, take what stands beside a model for a part of it, read
a file with pickle in FSDP, and fail where an optimizer has no state, as SGD without momentum never has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import torch
from lightning_fabric.strategies.fsdp import _get_sharded_state_dict_context
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.strategies.strategy import Strategy
from pytorch_lightning.trainer.states import TrainerFn

from lighter._wrappers import own_name
from lighter.runs.checkpoints.mismatch import Shapes, misfit
from lighter.runs.checkpoints.sharded import WEIGHTS, is_sharded, kinds_in, refusal, settings_alone_in, shapes_in
from lighter.system import BESIDE_MODEL, System

_ONE_FILE = "save in one file, which all of them read: state_dict_type: full, or save_distributed_checkpoint: false"
_FLAT_FILE = "has a state of the optimizer that FSDP cannot take with use_orig_params=False"
_SAVED_SO = "_extra_state"  # of modules that save something of their own beside tensors

Settings: TypeAlias = list[list[dict[str, Any]]]  # the groups of each optimizer


def load_strictly(strategy: Any) -> None:
    """Let a strategy that shards load checkpoints that fit the model, and refuse others in words."""
    load = strategy.load_checkpoint

    def load_fitting(checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        path = Path(strategy.broadcast(checkpoint_path))
        if not path.is_file() and not is_sharded(path):
            return load(checkpoint_path, weights_only=weights_only)
        if path.is_dir():
            _check_kind(strategy, path)
        shapes, settings = _in_folder(path) if path.is_dir() else _in_file(path, weights_only)
        if not strategy.optimizers or strategy.lightning_module.trainer.state.fn != TrainerFn.FITTING:
            settings = None
        elif settings == []:
            raise refusal(path, "holds weights alone (save_weights_only), and a fit goes on with its optimizers too")
        elif path.is_file() and is_flat(strategy) and settings is None:
            raise refusal(path, _FLAT_FILE, "give the strategy use_orig_params: true")
        is_replicated = settings is None and path.is_dir() and _is_replicated(strategy)
        by_lightning = settings is None and not is_replicated
        with _fitting(strategy, path, shapes), nullcontext() if by_lightning else _no_optimizers(strategy):
            made = _load(load, path, weights_only)
        if is_replicated:
            _load_optimizers(strategy, path)
        for optimizer, groups in zip(strategy.optimizers if settings else (), settings or (), strict=True):
            _set(optimizer, groups)
        return made

    strategy.load_checkpoint = load_fitting


def is_flat(strategy: Strategy) -> bool:
    """Tell whether parameters lose their names when FSDP wraps them."""
    return isinstance(strategy, FSDPStrategy) and not strategy.kwargs.get("use_orig_params")


def _is_replicated(strategy: Strategy) -> bool:
    """Tell whether groups of ranks shard the model, each the whole of it."""
    return isinstance(strategy, FSDPStrategy) and "HYBRID" in getattr(strategy.sharding_strategy, "name", "")


def _load_optimizers(strategy: Any, path: Path) -> None:
    """Load the optimizers of a folder as the weights are: into what each rank has of them.

    By the function that Lightning calls, torch would take the parts for those of all ranks, where they are of a group.
    """
    from torch.distributed.checkpoint.state_dict import _init_optim_state
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.fsdp import FullyShardedDataParallel

    context: Any = _get_sharded_state_dict_context(strategy.model)
    with context:
        for number, optimizer in enumerate(strategy.optimizers):
            _init_optim_state(optimizer)
            state = FullyShardedDataParallel.optim_state_dict(strategy.model, optimizer)
            load({f"optimizer_{number}": state}, checkpoint_id=path)
            own = FullyShardedDataParallel.optim_state_dict_to_load(strategy.model, optimizer, state)
            optimizer.load_state_dict(own)


def _check_kind(strategy: Any, path: Path) -> None:
    own = next(name for kind, name in WEIGHTS.items() if kind in {base.__name__ for base in type(strategy).__mro__})
    kinds = kinds_in(path)
    if own not in kinds:
        other = next((kind for kind, name in WEIGHTS.items() if name in kinds), "another strategy")
        raise refusal(path, f"is a folder of {other}, which {type(strategy).__name__} cannot read", _ONE_FILE)


def _in_folder(path: Path) -> tuple[Shapes, Settings | None]:
    """Return the shapes of a folder's weights, and what its optimizers are set to; None if there is more to them."""
    return shapes_in(path), settings_alone_in(path)


def _in_file(path: Path, weights_only: bool | None) -> tuple[Shapes, Settings | None]:
    """Return the same of a file.

    Like this torch reads it before Lightning does, which for FSDP trusts whatever is pickled in it.
    """
    content = torch.load(path, map_location="cpu", mmap=True, weights_only=weights_only)
    states = content.get("optimizer_states", [])
    has_state = any(state["state"] for state in states)
    return _shapes(content["state_dict"]), None if has_state else [state["param_groups"] for state in states]


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(item.size()) for name, item in weights.items() if hasattr(item, "size")}


@contextmanager
def _fitting(strategy: Any, path: Path, given: Shapes) -> Iterator[None]:
    """Have a strategy load strictly but for what stands beside a System's model, as only some stages need that.

    Raises:
        RunError: the weights do not fit the model.
    """
    module = strategy.lightning_module
    if not module.strict_loading:
        yield
        return
    shapes = _shapes(strategy.lightning_module_state_dict())  # of all ranks, or on the first one
    own, theirs = _named_alike(strategy.broadcast(shapes)), _named_alike(given)
    beside = {name for name in own.keys() ^ theirs.keys() if name.startswith(_beside(module))}
    if failure := misfit(path, _without(beside, theirs), _without(beside, own)):
        raise failure

    def leave_out(_: Any, weights: dict[str, Any], prefix: str, __: Any) -> None:
        for name in beside:
            weights.pop(f"{prefix}{name}", None)

    hook, strict = strategy.model._register_state_dict_hook(leave_out), module._strict_loading
    module.strict_loading = not beside
    try:
        yield
    finally:
        hook.remove()
        module._strict_loading = strict


def _beside(module: Any) -> tuple[str, ...]:
    return BESIDE_MODEL if isinstance(module, System) else ()


def _named_alike(shapes: Shapes) -> Shapes:
    return {own_name(name): shape for name, shape in shapes.items() if _SAVED_SO not in name}


def _without(names: Collection[str], shapes: Shapes) -> Shapes:
    return {name: shape for name, shape in shapes.items() if name not in names}


def _load(load: Callable[..., Any], path: Path, weights_only: bool | None) -> Any:
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        return load(path, weights_only=weights_only)
    except CheckpointException as error:  # which is no Exception, and so would end the process without a word
        failure = next(iter(error.failures.values()))[0]
        raise refusal(path, f"cannot be loaded: {failure}") from error


@contextmanager
def _no_optimizers(strategy: Any) -> Iterator[None]:
    """Have a strategy load weights alone, as it does where nothing is trained."""
    state, optimizers = strategy.lightning_module.trainer.state, strategy.optimizers
    state.fn, strategy.optimizers = TrainerFn.VALIDATING, []
    try:
        yield
    finally:
        state.fn, strategy.optimizers = TrainerFn.FITTING, optimizers


def _set(optimizer: Any, groups: list[dict[str, Any]]) -> None:
    """Load what an optimizer is set to, such as its learning rate, where there is nothing else to load."""
    own = optimizer.state_dict()["param_groups"]
    made = [{**theirs, "params": mine["params"]} for mine, theirs in zip(own, groups, strict=True)]
    optimizer.load_state_dict({"state": {}, "param_groups": made})
