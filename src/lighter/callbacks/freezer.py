"""Freeze parameters by name, for good or until a step or an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from loguru import logger
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.nn import Parameter
from torch.optim import Optimizer

from lighter._epoch import callbacks_of
from lighter._wrappers import own_name
from lighter.errors import ConfigError, did_you_mean


class Freezer(Callback):
    """Keep the named parameters from training, for good or until a step or an epoch.

    A parameter goes by its name in the LightningModule, with or without the leading `model.`; an exception wins.
    `until_step` counts optimizer steps; the parameters train from that step or epoch on; of several Freezers
    the last one counts. On one device frozen parameters need no gradient; on several, while a thaw is planned, their
    gradients are computed, kept in step across the ranks, and dropped before the optimizer sees them.

    Raises:
        ConfigError: nothing is named, both limits are given, or (when the fit starts) a name matches no parameter.
    """

    def __init__(
        self,
        names: str | Sequence[str] | None = None,
        name_starts_with: str | Sequence[str] | None = None,
        except_names: str | Sequence[str] | None = None,
        except_name_starts_with: str | Sequence[str] | None = None,
        until_step: int | None = None,
        until_epoch: int | None = None,
    ) -> None:
        self.names = _as_tuple(names)
        self.name_starts_with = _as_tuple(name_starts_with)
        self.except_names = _as_tuple(except_names)
        self.except_name_starts_with = _as_tuple(except_name_starts_with)
        self.until_step = until_step
        self.until_epoch = until_epoch
        if not self.names and not self.name_starts_with:
            raise ConfigError("Freezer needs `names` or `name_starts_with`")
        if until_step is not None and until_epoch is not None:
            raise ConfigError("Freezer takes `until_step` or `until_epoch`, not both", value=until_step)
        self._frozen: set[str] = set()  # by name, since wrapping and sharding may replace the parameters themselves
        self._awaiting: dict[str, Parameter] = {}  # frozen now, thawed later
        self._has_thawed = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self._has_thawed = False
        # Lightning calls no callback between building the model and wrapping it for DDP, so a hook of the module that
        # may yet build the model is followed by the freeze.
        if not any(is_overridden(hook, pl_module) for hook in ("setup", "configure_model")):
            self._freeze(trainer, pl_module)
            return
        configure_model = pl_module.configure_model

        def configure_model_then_freeze() -> None:
            pl_module.__dict__.pop("configure_model", None)
            configure_model()
            self._freeze(trainer, pl_module)

        pl_module.__dict__["configure_model"] = configure_model_then_freeze

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._thaws:
            return
        parameters = {own_name(name): parameter for name, parameter in pl_module.named_parameters()}
        if lost := sorted(self._frozen - parameters.keys()):
            raise ConfigError(
                f"Freezer cannot thaw {lost[0]}, which is part of a larger parameter now",
                value=lost[0],
                suggestion="give the FSDP strategy use_orig_params: true",
            )
        self._awaiting = {name: parameters[name] for name in self._frozen}
        optimized = {id(p) for optimizer in trainer.optimizers for g in optimizer.param_groups for p in g["params"]}
        if trainer.is_global_zero and any(id(parameter) not in optimized for parameter in self._awaiting.values()):
            logger.warning("Freezer will thaw parameters that no optimizer holds: they will not train")
        self._thaw_when_due(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self._thaw_when_due(trainer)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        for parameter in self._awaiting.values():
            parameter.grad = None  # an optimizer passes over what has no gradient, weight decay and momentum included

    @property
    def _thaws(self) -> bool:
        return self.until_step is not None or self.until_epoch is not None

    def _freeze(self, trainer: Trainer, pl_module: LightningModule) -> None:
        parameters = {own_name(name): parameter for name, parameter in pl_module.named_parameters()}
        chosen = _select(parameters, self.names, self.name_starts_with)
        chosen -= _select(parameters, self.except_names, self.except_name_starts_with)
        others = _others(self, trainer)
        held = {name for other in others for name in other._frozen}
        self._frozen |= {name for name in chosen if parameters[name].requires_grad or name in held}
        for_good = {name for freezer in (self, *others) if not freezer._thaws for name in freezer._frozen}
        for name in self._frozen & parameters.keys():
            parameters[name].requires_grad_(trainer.world_size > 1 and name not in for_good)
        if trainer.is_global_zero:
            logger.info(f"Freezer: {len(chosen)} of {len(parameters)} parameters are frozen")

    def _thaw_when_due(self, trainer: Trainer) -> None:
        due = (self.until_step is not None and trainer.global_step >= self.until_step) or (
            self.until_epoch is not None and trainer.current_epoch >= self.until_epoch
        )
        if not due or not self._awaiting:
            return
        self._has_thawed = True
        held = {name for other in _others(self, trainer) if not other._has_thawed for name in other._frozen}
        thawed = [parameter for name, parameter in self._awaiting.items() if name not in held]
        for parameter in thawed:
            parameter.requires_grad_(True)
        if trainer.is_global_zero:
            logger.info(f"Freezer: {len(thawed)} parameters train from step {trainer.global_step} on")
        self._awaiting = {}


def _others(freezer: Freezer, trainer: Trainer) -> list[Freezer]:
    return [item for item in callbacks_of(trainer) if isinstance(item, Freezer) and item is not freezer]


def _as_tuple(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _select(parameters: Iterable[str], names: Iterable[str], prefixes: Iterable[str]) -> set[str]:
    """Return the parameters that have one of the names or prefixes; each of these must match at least one."""
    full = {name: name for name in parameters}
    spellings = {name.removeprefix("model."): name for name in full} | full  # a full name wins over a shortened one
    chosen: set[str] = set()
    for name in names:
        if name not in spellings:
            raise _no_match("parameter is named", name, spellings)
        chosen.add(spellings[name])
    for prefix in prefixes:
        matches = {name for spelling, name in spellings.items() if spelling.startswith(prefix)}
        if not matches:
            raise _no_match("parameter's name starts with", prefix, spellings)
        chosen |= matches
    return chosen


def _no_match(what: str, name: str, spellings: Iterable[str]) -> ConfigError:
    if any(spelling.startswith(f"{name}.") for spelling in spellings):
        suggestion: str | None = f"{name!r} is a module: name it under `name_starts_with`"
    else:
        suggestion = did_you_mean(name, spellings)
    return ConfigError(f"Freezer: no {what} {name!r}", value=name, suggestion=suggestion)
