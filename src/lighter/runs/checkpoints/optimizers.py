"""Load the optimizers of a checkpoint where a strategy shards, as far as torch and Lightning do not.

They fail where an optimizer has no state, as SGD without momentum never has, or none of some parameters, as of those
that were frozen; and where groups of ranks have the whole each, torch takes the parts of one for those of all ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from lightning_fabric.strategies.fsdp import _get_sharded_state_dict_context
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.strategies.strategy import Strategy
from pytorch_lightning.trainer.states import TrainerFn

from lighter.runs.checkpoints.sharded import names_in, refusal, settings_alone_in

Settings: TypeAlias = list[list[dict[str, Any]]]  # the groups of each optimizer
States: TypeAlias = Sequence[dict[str, Any]]  # of the optimizers in a file, as torch has them

_FLAT_FILE = "has a state of the optimizer that FSDP cannot take with use_orig_params=False"


class Way(NamedTuple):
    """How the optimizers of a checkpoint are loaded."""

    by_lightning: bool = True
    is_strict: bool = True  # about what there is
    load: Callable[[], None] = lambda: None  # what is to be done once Lightning has loaded the rest


def way_to_load(strategy: Any, path: Path, states: States | None = None) -> Way:
    """Return how a strategy is to load the optimizers of a folder, or of a file with these states.

    Raises:
        ConfigError: it cannot.
    """
    own = strategy.optimizers
    if not own or strategy.lightning_module.trainer.state.fn != TrainerFn.FITTING:
        return Way()
    settings = settings_alone_in(path) if states is None else _settings_alone(states)
    if settings == []:
        raise refusal(path, "holds weights alone (save_weights_only), and a fit goes on with its optimizers too")
    if settings is not None:
        return Way(by_lightning=False, load=partial(_load_settings, own, settings))
    if states is None:
        return Way(by_lightning=False, load=partial(_load_parts, strategy, path)) if _in_parts(strategy) else Way()
    if is_flat(strategy):
        raise refusal(path, _FLAT_FILE, "give the strategy use_orig_params: true")
    if isinstance(strategy, ModelParallelStrategy) and _lacks_some(states):
        return Way(is_strict=False, load=partial(_forget_missing, own, states))
    return Way()


def is_flat(strategy: Strategy) -> bool:
    """Tell whether parameters lose their names when FSDP wraps them."""
    return isinstance(strategy, FSDPStrategy) and not strategy.kwargs.get("use_orig_params")


def _settings_alone(states: States) -> Settings | None:
    """Return what optimizers are set to; None if one of them has a state beside that."""
    return None if any(state["state"] for state in states) else [state["param_groups"] for state in states]


def _load_settings(optimizers: Sequence[Any], settings: Settings) -> None:
    """Load what optimizers are set to, such as their learning rates."""
    for optimizer, groups in zip(optimizers, settings, strict=True):
        own = optimizer.state_dict()["param_groups"]
        made = [{**theirs, "params": mine["params"]} for mine, theirs in zip(own, groups, strict=True)]
        optimizer.load_state_dict({"state": {}, "param_groups": made})


def _in_parts(strategy: Strategy) -> bool:
    """Tell whether Lightning cannot load a folder's optimizers."""
    if isinstance(strategy, FSDPStrategy):
        return "HYBRID" in getattr(strategy.sharding_strategy, "name", "")
    return isinstance(strategy, ModelParallelStrategy)


def _load_parts(strategy: Any, folder: Path) -> None:
    """Load the optimizers of a folder as the weights are: into what each rank has of them."""
    from torch.distributed.checkpoint.state_dict_loader import load

    stored = names_in(folder)
    for number, optimizer in enumerate(strategy.optimizers):
        key = f"optimizer_{number}"
        with _state_of(strategy, optimizer) as state:
            for name, own in list(state["state"].items()):
                if not stored >= {f"{key}.state.{name}.{part}" for part in own}:
                    del state["state"][name]
            load({key: state}, checkpoint_id=folder)


def _lacks_some(states: States) -> bool:
    """Tell whether there is no state of some parameters."""
    return any(not state["state"].keys() >= set(_parameters(state["param_groups"])) for state in states)


def _forget_missing(optimizers: Sequence[Any], states: States) -> None:
    """Let optimizers have no state of parameters of which a file has none; torch leaves them one of zeros."""
    for optimizer, state in zip(optimizers, states, strict=True):
        named = zip(_parameters(state["param_groups"]), _parameters(optimizer.param_groups), strict=True)
        for name, parameter in named:
            if name not in state["state"]:
                optimizer.state.pop(parameter, None)


def _parameters(groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [parameter for group in groups for parameter in group["params"]]


@contextmanager
def _state_of(strategy: Any, optimizer: Any) -> Iterator[dict[str, Any]]:
    """Give what this rank has of an optimizer's state, by the names of parameters, and set it to what that is then."""
    from torch.distributed.checkpoint import state_dict
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = strategy.model
    if isinstance(strategy, FSDPStrategy):
        context: Any = _get_sharded_state_dict_context(model)
        with context:
            state_dict._init_optim_state(optimizer)
            state = FullyShardedDataParallel.optim_state_dict(model, optimizer)
            yield state
            optimizer.load_state_dict(FullyShardedDataParallel.optim_state_dict_to_load(model, optimizer, state))
    else:
        state = state_dict.get_optimizer_state_dict(model, optimizer)
        yield state
        options = state_dict.StateDictOptions(cpu_offload=True, strict=False)
        state_dict.set_optimizer_state_dict(model, optimizer, optim_state_dict=state, options=options)
