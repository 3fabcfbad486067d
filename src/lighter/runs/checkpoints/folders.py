"""Let each strategy write checkpoints that are whole or not there: files, or folders with a part of each rank."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.strategies.strategy import Strategy
from torch import distributed

from lighter.errors import RunError
from lighter.runs.checkpoints.atomic_io import SUFFIX, AtomicCheckpointIO, failure_of, put_in_place
from lighter.runs.checkpoints.sharded import WEIGHTS, is_sharded, kinds_in, refusal

_ONE_FILE = "save in one file, which all of them read: state_dict_type: full, or save_distributed_checkpoint: false"
_ON_CPU = "on the CPU torch's FSDP would save a wrong state of the optimizer in one file"
_WITH_FLAT = "with use_orig_params=False"
_FLAT = f"{_WITH_FLAT} torch's FSDP cannot save the state of the optimizer in one file"
_NOT_FLAT = "give the strategy use_orig_params: true"


def write_atomically(trainer: pl.Trainer) -> None:
    """Let a Trainer write its checkpoints atomically, unless it has a way of its own."""
    strategy: Any = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = AtomicCheckpointIO()
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
        _write_whole(strategy)
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
        _refuse_unreadable(strategy)
    if isinstance(strategy, FSDPStrategy):
        _refuse_wrong_states(strategy)


def writes_folders(strategy: Strategy) -> bool:
    """Tell whether a strategy's checkpoints are folders."""
    if isinstance(strategy, FSDPStrategy):
        return strategy._state_dict_type == "sharded"
    if isinstance(strategy, ModelParallelStrategy):
        return strategy._save_distributed_checkpoint
    return isinstance(strategy, DeepSpeedStrategy)


def _write_whole(strategy: Any) -> None:
    """Let a strategy that shards write each folder beside its place, to be moved there when it is whole."""
    save = strategy.save_checkpoint

    def save_whole(checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        if storage_options is not None or "://" in str(filepath):
            save(checkpoint, filepath, storage_options)
        elif writes_folders(strategy):
            _save_folder(strategy, save, checkpoint, Path(strategy.broadcast(filepath)))
        else:  # the strategies' own has every rank remove a folder that is in its place
            Strategy.save_checkpoint(strategy, checkpoint, strategy.broadcast(filepath))

    strategy.save_checkpoint = save_whole


def _save_folder(strategy: Any, save: Callable[..., None], checkpoint: dict[str, Any], target: Path) -> None:
    beside = strategy.broadcast(target.with_name(f".{target.name}.{os.getpid()}{SUFFIX}"))
    try:
        _together(lambda: save(checkpoint, beside))
        _together(lambda: put_in_place(beside, target) if strategy.is_global_zero else None)
    except Exception as error:
        with suppress(OSError):
            shutil.rmtree(beside)
        raise failure_of(target, error) or error from error


def _together(act: Callable[[], None]) -> None:
    """Do what may fail on one rank alone, and have all of them fail then.

    Raises:
        OSError: a rank could not write; or whatever else was raised on it.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    failure: BaseException | None = None
    try:
        act()
    except CheckpointException as error:  # which is no Exception
        failure = next(iter(error.failures.values()))[0]
    except Exception as error:
        failure = error
    everyones: list[Any] = [failure]
    if distributed.is_available() and distributed.is_initialized():
        everyones = [None] * distributed.get_world_size()
        distributed.all_gather_object(everyones, _portable(failure))
    first = failure or next((item for item in everyones if item is not None), None)
    if first is not None:
        raise first


def _portable(error: BaseException | None) -> BaseException | None:
    """Return an error as another process can take it."""
    if error is None or type(error) is OSError:
        return error
    return OSError(error.errno, error.strerror) if isinstance(error, OSError) else RuntimeError(str(error))


def _refuse_wrong_states(strategy: FSDPStrategy) -> None:
    """Refuse to save what torch's FSDP has wrong in one file.

    It gathers one part of the state after the other into the same memory, which on the CPU is not copied.
    """
    state_of = strategy.optimizer_state
    own = type(strategy).optimizer_state is FSDPStrategy.optimizer_state

    def state_or_error(optimizer: Any) -> Any:
        if not writes_folders(strategy):
            on_cpu = own and strategy.root_device.type == "cpu"
            if on_cpu or _is_flat(strategy):
                raise RunError(_ON_CPU if on_cpu else _FLAT, suggestion="give the strategy state_dict_type: sharded")
        return state_of(optimizer)

    strategy.optimizer_state = state_or_error  # type: ignore[method-assign]


def _refuse_unreadable(strategy: Any) -> None:
    """Say which strategy has saved a folder that this one cannot read, or why it cannot read a file."""
    load = strategy.load_checkpoint
    own = next(name for kind, name in WEIGHTS.items() if kind in {base.__name__ for base in type(strategy).__mro__})

    def load_own(checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        path = Path(checkpoint_path)
        kinds = kinds_in(path) if is_sharded(path) else {own}
        if own not in kinds:
            other = next((kind for kind, name in WEIGHTS.items() if name in kinds), "another strategy")
            raise refusal(path, f"is a folder of {other}, which {type(strategy).__name__} cannot read", _ONE_FILE)
        if path.is_file() and strategy.optimizers and _is_flat(strategy):
            raise refusal(path, f"has a state of the optimizer that FSDP cannot take {_WITH_FLAT}", _NOT_FLAT)
        return load(checkpoint_path, weights_only=weights_only)

    strategy.load_checkpoint = load_own


def _is_flat(strategy: Strategy) -> bool:
    """Tell whether parameters lose their names when FSDP wraps them."""
    return isinstance(strategy, FSDPStrategy) and not strategy.kwargs.get("use_orig_params")
