"""Let strategies that shard load what any strategy has saved, and say why where they cannot.

Lightning's own load what is in a folder and pass over the rest, take what stands beside a model for a part of it, read
a file with pickle in FSDP.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.trainer.states import TrainerFn

from lighter._wrappers import own_name
from lighter.runs.checkpoints.mismatch import Shapes, misfit
from lighter.runs.checkpoints.optimizers import Way, way_to_load
from lighter.runs.checkpoints.sharded import WEIGHTS, is_sharded, kinds_in, refusal, shapes_in
from lighter.system import BESIDE_MODEL, System

_ONE_FILE = "save in one file, which all of them read: state_dict_type: full, or save_distributed_checkpoint: false"
_SAVED_SO = "_extra_state"  # of modules that save something of their own beside tensors


def load_strictly(strategy: Any) -> None:
    """Let a strategy that shards load checkpoints that fit the model, and refuse others in words."""
    load = strategy.load_checkpoint

    def load_fitting(checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        path = Path(strategy.broadcast(checkpoint_path))
        if not path.is_file() and not is_sharded(path):
            return load(checkpoint_path, weights_only=weights_only)
        if path.is_dir():
            _check_kind(strategy, path)
            shapes, way = shapes_in(path), way_to_load(strategy, path)
        else:
            content = _read(path, weights_only)
            shapes = _shapes(content["state_dict"])
            way = way_to_load(strategy, path, content.get("optimizer_states", []))
        with _fitting(strategy, path, shapes, way), nullcontext() if way.by_lightning else _no_optimizers(strategy):
            made = _load(load, path, weights_only)
        way.load()
        return made

    strategy.load_checkpoint = load_fitting


def _check_kind(strategy: Any, path: Path) -> None:
    own = next(name for kind, name in WEIGHTS.items() if kind in {base.__name__ for base in type(strategy).__mro__})
    kinds = kinds_in(path)
    if own not in kinds:
        other = next((kind for kind, name in WEIGHTS.items() if name in kinds), "another strategy")
        raise refusal(path, f"is a folder of {other}, which {type(strategy).__name__} cannot read", _ONE_FILE)


def _read(path: Path, weights_only: bool | None) -> dict[str, Any]:
    """Return what is in a file.

    Like this torch reads it before Lightning does, which for FSDP trusts whatever is pickled in it.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=weights_only)
    return content


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(item.size()) for name, item in weights.items() if hasattr(item, "size")}


@contextmanager
def _fitting(strategy: Any, path: Path, given: Shapes, way: Way) -> Iterator[None]:
    """Have a strategy load strictly but for what stands beside a System's model, as only some stages need that.

    A strategy is as strict with weights as with optimizers.

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
    module.strict_loading = not beside and way.is_strict
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
