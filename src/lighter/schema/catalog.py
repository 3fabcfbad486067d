"""The targets that the schema knows: what configs name most, as it is in the installed versions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from lighter.config.structure import SYSTEM_TARGETS
from lighter.config.targets import import_object

TRAINER = "pytorch_lightning.Trainer"

_SINGLE = (*SYSTEM_TARGETS, TRAINER, "torchvision.models.get_model")
_CLASSES = (
    "lighter.adapters",
    "lighter.callbacks",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.plugins",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "torch.nn",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
    "torchmetrics",
    "torchmetrics.classification",
    "torchmetrics.regression",
    "torchmetrics.segmentation",
    "torchvision.datasets",
    "torchvision.transforms.v2",
)
_FUNCTIONS = ("lighter.utils.data", "lighter.utils.model")
_MODELS = ("torchvision.models", "torchvision.models.detection", "torchvision.models.segmentation")


def known_targets() -> dict[str, Callable[..., Any]]:
    """Return the known classes and functions by their dotted names, in order; one may have several names."""
    return dict(sorted(_targets()))


def _targets() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in _SINGLE:
        found = import_object(name)
        assert callable(found)
        yield name, found
    for name in _CLASSES:
        yield from _members(import_module(name), inspect.isclass)
    for name in _FUNCTIONS:
        yield from _members(import_module(name), inspect.isfunction)
    models = import_module("torchvision.models")
    for name in _MODELS:
        module = import_module(name)
        yield from ((f"{name}.{model}", getattr(module, model)) for model in models.list_models(module))


def _members(module: ModuleType, is_kind: Callable[[object], bool]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield what a module offers: what it says, else what it or a module below it defines."""
    stated = getattr(module, "__all__", None)
    for name in stated or dir(module):
        member: Any = getattr(module, name, None)
        if name.startswith("_") or not is_kind(member) or inspect.isabstract(member):
            continue
        if stated or f"{member.__module__}.".startswith(f"{module.__name__}."):
            yield f"{module.__name__}.{name}", member
