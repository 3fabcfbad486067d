"""Optimizers and schedulers: built from the live module, handed to Lightning, and their values for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lighter.errors import ConfigError
from lighter.modes import check_keys

SCHEDULER_KEYS = ("scheduler", "interval", "frequency", "monitor", "strict", "name")


def build_optimizers(given: Any, module: LightningModule) -> Any:
    """Return the optimizer, or the list or mapping of them; a callable is called with the module.

    Raises:
        ConfigError: something else than an optimizer, or several of them without manual optimization.
    """
    built = given(module) if callable(given) else given
    if isinstance(built, Mapping):
        built = {name: _optimizer(item, module) for name, item in built.items()}
    elif isinstance(built, list | tuple):
        built = [_optimizer(item, module) for item in built]
    else:
        built = _optimizer(built, module)
    if len(listed(built)) > 1 and module.automatic_optimization:
        raise ConfigError(
            "several optimizers need manual optimization",
            suggestion="subclass System, set self.automatic_optimization = False and write its training_step",
        )
    return built


def scheduler_configs(given: Any, module: LightningModule) -> list[dict[str, Any]]:
    """Return Lightning's mapping of each scheduler that is given: none, one, a list of them, or a mapping of them."""
    if given is None:
        return []
    one = isinstance(given, Mapping) and any(
        key in SCHEDULER_KEYS or isinstance(value, str | int | None) for key, value in given.items()
    )
    return [_scheduler_config(item, module) for item in ([given] if one else listed(given))]


def listed(given: Any) -> list[Any]:
    if isinstance(given, Mapping):
        return list(given.values())
    return list(given) if isinstance(given, list | tuple) else [given]


def optimizer_values(optimizers: Iterable[Optimizer]) -> dict[str, float]:
    """Return learning rate and momentum by the names they are logged under; a second Adam is `Adam-1`."""
    values: dict[str, float] = {}
    seen: Counter[str] = Counter()
    for optimizer in optimizers:
        name = type(optimizer).__name__
        label = f"train/optimizer/{name}-{seen[name]}" if seen[name] else f"train/optimizer/{name}"
        seen[name] += 1
        for number, group in enumerate(optimizer.param_groups):
            suffix = f"/group{number}" if len(optimizer.param_groups) > 1 else ""
            if group["lr"] is not None:  # some optimizers find their own
                values[f"{label}/lr{suffix}"] = float(group["lr"])
            momentum = group["momentum"] if "momentum" in group else group.get("betas", [None])[0]
            if momentum is not None:
                values[f"{label}/momentum{suffix}"] = float(momentum)
    return values


def _optimizer(given: Any, module: LightningModule) -> Optimizer:
    optimizer = given(module) if callable(given) else given
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"{optimizer!r} was given as an optimizer, which it is not", value=optimizer)
    return optimizer


def _scheduler_config(given: Any, module: LightningModule) -> dict[str, Any]:
    config = dict(given) if isinstance(given, Mapping) else {"scheduler": given}
    check_keys("scheduler", config, SCHEDULER_KEYS, "key")
    if "scheduler" not in config:
        raise ConfigError(f"a scheduler's mapping needs the key 'scheduler', and has {', '.join(config)}")
    if callable(config["scheduler"]):
        config["scheduler"] = config["scheduler"](module)
    plateau = isinstance(config["scheduler"], ReduceLROnPlateau) and module.automatic_optimization
    if plateau and not config.get("monitor"):
        raise ConfigError(
            "ReduceLROnPlateau needs to know what to monitor",
            suggestion="write scheduler: {scheduler: ..., monitor: val/loss/epoch}",
        )
    return config
