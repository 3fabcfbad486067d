"""Let each strategy write checkpoints that are whole or not there: files, or folders with a part of each rank."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.strategies.strategy import Strategy
from torch import distributed

from lighter.errors import ConfigError, LighterError, RunError
from lighter.runs.checkpoints.atomic_io import SUFFIX, AtomicCheckpointIO, failure_of, put_in_place
from lighter.runs.checkpoints.loading import load_strictly
from lighter.runs.checkpoints.optimizers import is_flat
from lighter.runs.checkpoints.sharded import check_shards, is_sharded

_ON_CPU = "on the CPU torch's FSDP would save a wrong state of the optimizer in one file"
_FLAT = "with use_orig_params=False torch's FSDP cannot save the state of the optimizer in one file"

_SHARE = "all nodes need a disk that they share, at the same path"


def write_atomically(trainer: pl.Trainer) -> None:
    """Let a Trainer write its checkpoints atomically, unless it has a way of its own."""
    strategy: Any = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = AtomicCheckpointIO()
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
        _write_whole(strategy)
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
        load_strictly(strategy)
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
        _together(lambda: beside.mkdir(parents=True, exist_ok=True))  # `save` does not see to one that fails in that
        _together(lambda: save(checkpoint, beside))
        _together(lambda: _place(beside, target) if strategy.is_global_zero else None)
    except Exception as error:
        if strategy.is_global_zero:
            shutil.rmtree(beside, ignore_errors=True)
        raise failure_of(target, error) or error from error


def _place(beside: Path, target: Path) -> None:
    if is_sharded(beside):
        try:
            check_shards(beside)
        except ConfigError as error:
            message = f"the checkpoint {str(target)!r} is not written: the parts of some ranks are not there"
            raise RunError(message, value=str(target), suggestion=_SHARE) from error
    put_in_place(beside, target)


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
    if isinstance(error, OSError):
        return OSError(*error.args[:2])
    return (RunError if isinstance(error, LighterError) else RuntimeError)(str(error))


def _refuse_wrong_states(strategy: FSDPStrategy) -> None:
    """Refuse to save what torch's FSDP has wrong in one file.

    It gathers one part of the state after the other into the same memory, which on the CPU is not copied.
    """
    state_of = strategy.optimizer_state
    own = type(strategy).optimizer_state is FSDPStrategy.optimizer_state

    def state_or_error(optimizer: Any) -> Any:
        if not writes_folders(strategy):
            on_cpu = own and strategy.root_device.type == "cpu"
            if on_cpu or is_flat(strategy):
                raise RunError(_ON_CPU if on_cpu else _FLAT, suggestion="give the strategy state_dict_type: sharded")
        return state_of(optimizer)

    strategy.optimizer_state = state_or_error  # type: ignore[method-assign]
