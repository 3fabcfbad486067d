"""Objects of a class that cannot serve where they stand: no metric, no callback, no data module, no parameters."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Callable, Sequence
from typing import get_type_hints

from lighter.config.check.called import COLLECTION, METRIC, MODULE
from lighter.config.check.objects import is_ours
from lighter.config.check.scopes import makes_instances
from lighter.config.check.stages import DATAMODULE, PACKAGES
from lighter.config.check.subject import Subject, derives_from
from lighter.config.structure import MODE_TABLES
from lighter.config.tree import Node, Path, is_reference, join

TRAINER = tuple(f"{package}.trainer.trainer.Trainer" for package in PACKAGES)
DATASET = ("torch.utils.data.dataset.Dataset",)
USED = {  # what Lightning asks of an argument of its Trainer, whatever it derives from
    "callbacks": ("state_key", "no callback"),
    "logger": ("save", "no logger"),
}


def check_kinds(subject: Subject) -> None:
    if not subject.imports:
        return
    for name, (attribute, words) in USED.items():
        _check_trainer(subject, name, attribute, words)
    _check_data(subject)
    _check_parameters(subject)
    if subject.is_system and is_ours(subject, "metrics"):
        _check_metrics(subject)


def class_of(subject: Subject, path: Path, node: Node | None) -> type | None:
    """Return the class whose instance a component is; None where only building would tell."""
    kind = subject.target(path, node) if node is not None else None
    if node is None or not isinstance(node.value, dict) or "_mode_" in node.value or not isinstance(kind, type):
        return None
    return kind if type(kind) in (type, ABCMeta) and makes_instances(kind) else None


def has(kind: type, *names: str) -> bool:
    """Tell whether a class has any of these attributes."""
    return any(inspect.getattr_static(kind, name, None) is not None for name in names)


def _tell(subject: Subject, path: Path, node: Node, what: str, suggestion: str | None) -> None:
    """Say what a component is not, where its target stands."""
    assert isinstance(node.value, dict)
    if not subject.is_told(path, node):
        name = subject.target_name(path, node)
        subject.problem(path, node.value["_target_"].place, f"{name} is {what}", name, suggestion)


def _check_trainer(subject: Subject, name: str, attribute: str, words: str) -> None:
    """Find what lacks an attribute that Lightning asks each callback, or each logger, for."""
    trainer = subject.find(("trainer",))
    kind = subject.target(("trainer",), trainer) if trainer is not None else None
    if trainer is None or not isinstance(kind, type) or f"{kind.__module__}.{kind.__qualname__}" not in TRAINER:
        return
    if isinstance(trainer.value, dict) and "fast_dev_run" in trainer.value:
        return  # which takes no loggers
    path, node = subject.behind(("trainer", name))
    items = subject.children(path, node) if node is not None and isinstance(node.value, list) else [(path, node)]
    for where, item in items:
        if item is None or subject.may_be_absent(where, item):
            continue
        there, found = subject.behind(where)
        kind = class_of(subject, there, found)
        if found is not None and kind and not has(kind, attribute, "__getattr__", "__iter__"):
            other = next((other for other, (asked, _) in USED.items() if has(kind, asked)), None)
            _tell(subject, there, found, words, f"it goes into trainer::{other}" if other else None)


def _check_data(subject: Subject) -> None:
    path, node = subject.behind(("data",))
    kind = class_of(subject, path, node)
    if node is None or kind is None or derives_from(kind, DATAMODULE) or subject.may_be_absent(path, node):
        return
    is_dataset = derives_from(kind, DATASET)
    suggestion = "a dataset goes into a DataLoader, such as that of system::dataloaders::train" if is_dataset else None
    _tell(subject, path, node, "no LightningDataModule", suggestion)


def _check_parameters(subject: Subject) -> None:
    """Find an optimizer that is given a module in place of its parameters."""
    for path, node in subject.components:
        optimizer = subject.target(path, node)
        if not isinstance(optimizer, type) or not str(optimizer.__module__).startswith("torch.optim."):
            continue
        assert isinstance(node.value, dict)
        item = node.value.get("params")
        there, found = subject.behind((*path, "params"))
        if item is None or found is None or not found.is_target or not _is_module(subject, there, found):
            continue
        module = join(there) if is_reference(item.value) else "system::model"
        message = f"{optimizer.__name__} 'params' takes parameters, and this is a module"
        suggestion = f'write params: "$@{module}.parameters()"'
        subject.problem((*path, "params"), item.key_place or item.place, message, item.plain(), suggestion)


def _is_module(subject: Subject, path: Path, node: Node) -> bool:
    """Tell whether a component is a module that holds no list of anything."""
    kind: object = class_of(subject, path, node)
    target = subject.target(path, node)
    if inspect.isfunction(target) and "_mode_" not in (node.value if isinstance(node.value, dict) else ()):
        kind = _made_by(target)
    return isinstance(kind, type) and derives_from(kind, MODULE) and not has(kind, "__iter__")


def _made_by(function: Callable[..., object]) -> object:
    try:
        return get_type_hints(inspect.unwrap(function)).get("return")
    except Exception:  # anyone's annotations
        return None


# --- metrics


def _check_metrics(subject: Subject) -> None:
    """Find what torchmetrics would not make a MetricCollection of."""
    slot = subject.slot("metrics")
    if slot is not None and _is_metric(class_of(subject, *slot)):
        modes = ", ".join(MODE_TABLES["metrics"])
        _tell(subject, *slot, "one metric, and a System takes metrics by mode", f"write it under one of {modes}")
    for path, node in subject.modes("metrics").values():
        if node.is_target:
            kind = class_of(subject, path, node)
            if kind is None or not issubclass(kind, (dict, Sequence)):
                _check_metric(subject, path, node)
        for where, item in () if node.is_target else subject.children(path, node):
            there, found = subject.behind(where)
            if found is not None and not subject.may_be_absent(where, item) and not subject.is_told(there, found):
                _check_metric(subject, there, found)


def _check_metric(subject: Subject, path: Path, node: Node) -> None:
    kind = class_of(subject, path, node)
    is_function = _is_handed_on(subject, path, node)
    if is_function or (kind and not _is_metric(kind)):
        what = "a function, and no metric" if is_function else "no metric"
        _tell(subject, path, node, what, "a metric is a class that derives from torchmetrics.Metric")
    elif node.value is None:
        subject.problem(path, node.key_place or node.place, "a metric cannot be null", None, "leave it out")
    elif not node.is_target and isinstance(node.value, (dict, list)):
        message = "metrics cannot be nested like this"
        suggestion = "write {_target_: torchmetrics.MetricCollection, metrics: …}"
        subject.problem(path, node.key_place or node.place, message, node.plain(), suggestion)


def _is_metric(kind: type | None) -> bool:
    return kind is not None and derives_from(kind, (*METRIC, *COLLECTION))


def _is_handed_on(subject: Subject, path: Path, node: Node) -> bool:
    mode = node.value.get("_mode_") if isinstance(node.value, dict) else None
    return mode is not None and subject.constant((*path, "_mode_"), mode) == "callable"
