"""What a stage needs and a config lacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from lighter.config.check.signatures import signature_of
from lighter.config.check.subject import Subject, derives_from
from lighter.config.check.values import contradiction
from lighter.config.structure import STAGES, SYSTEM_TARGETS
from lighter.config.tree import Path, is_reference, join, key_text
from lighter.errors import Problem, did_you_mean

PACKAGES = ("pytorch_lightning", "lightning.pytorch")
LIGHTNING_MODULE = tuple(f"{package}.core.module.LightningModule" for package in PACKAGES)
DATAMODULE = tuple(f"{package}.core.datamodule.LightningDataModule" for package in PACKAGES)
STEPS = {"fit": ("training_step",), "validate": ("validation_step",), "test": ("test_step",), "predict": ()}


def check_stage(subject: Subject) -> None:
    if subject.stage is not None:
        subject.problems += missing(subject, subject.stage)
    if subject.is_system:
        _check_data(subject)
    if subject.imports:
        _check_stage_arguments(subject)


def missing(subject: Subject, stage: str) -> Iterator[Problem]:
    """Yield what a stage needs of the System and does not find."""
    system = subject.find(("system",))
    if system is None or not subject.is_system:
        yield from _missing_hooks(subject, stage) if system is not None else ()
        return
    if stage == "fit" and not overrides(subject, "configure_optimizers") and subject.slot("optimizer") is None:
        yield from _needs(subject, "fit", "an optimizer", ("system", "optimizer"))
    if stage == "fit" and not overrides(subject, "training_step") and subject.slot("criterion") is None:
        yield from _needs(subject, "fit", "a criterion", ("system", "criterion"))
    mode = STAGES[stage][0]
    if overrides(subject, f"{mode}_dataloader"):
        return
    if _has_data(subject):
        yield from _missing_of_data(subject, stage)
        return
    path, table = subject.behind(("system", "dataloaders"))
    if table is not None and (table.is_target or not isinstance(table.value, (dict, type(None)))):
        return  # something that gives them by mode
    item = subject.behind((*path, mode))[1] if table is not None else None
    if item is None or item.value is None or subject.may_be_absent((*path, mode), item):
        yield from _needs(subject, stage, f"a dataloader for {mode!r}", ("system", "dataloaders", mode))


def _has_data(subject: Subject) -> bool:
    node = subject.find(("data",))
    return node is not None and node.value is not None


def _missing_of_data(subject: Subject, stage: str) -> Iterator[Problem]:
    """Yield the dataloader that a stage asks a LightningDataModule for, where its class has none."""
    path, node = subject.behind(("data",))
    kind = subject.target(path, node) if node is not None else None
    if node is None or not isinstance(kind, type) or not derives_from(kind, DATAMODULE):
        return
    hook = f"{STAGES[stage][0]}_dataloader"
    own = [
        base
        for base in kind.__mro__
        if base is not object and not f"{base.__module__}.".startswith(tuple(f"{package}." for package in PACKAGES))
    ]
    functions = [item for base in own for item in vars(base).values() if inspect.isfunction(item)]
    if not any(hook in vars(base) for base in own) and not any(hook in item.__code__.co_names for item in functions):
        place = node.value["_target_"].place if isinstance(node.value, dict) else node.place
        yield Problem(f"{stage} needs a {hook!r} of {kind.__name__}", place, join(path))


def _missing_hooks(subject: Subject, stage: str) -> Iterator[Problem]:
    """Yield the methods that a stage calls and a plain LightningModule lacks."""
    node = subject.find(("system",))
    kind = subject.target(("system",), node) if node is not None else None
    if node is None or not isinstance(kind, type) or not derives_from(kind, LIGHTNING_MODULE):
        return
    base = next(item for item in kind.__mro__ if f"{item.__module__}.{item.__qualname__}" in LIGHTNING_MODULE)
    loader = () if _has_data(subject) else (f"{STAGES[stage][0]}_dataloader",)
    for hook in (*STEPS[stage], *loader):
        if getattr(kind, hook) is getattr(base, hook, None):
            yield Problem(f"{stage} needs a {hook!r} of {kind.__name__}", node.key_place or node.place, "system")


def _needs(subject: Subject, stage: str, what: str, path: Path) -> Iterator[Problem]:
    """Tell what is missing where it would stand, unless it is there under a name that is told of."""
    there = next(filter(None, (subject.find(path[:depth]) for depth in range(len(path), 0, -1))))
    if not subject.is_misspelt(path):
        yield Problem(f"{stage} needs {what}", there.key_place or there.place, join(path))


def overrides(subject: Subject, hook: str) -> bool:
    """Tell whether the System is, or may be, a subclass with a hook of its own."""
    system = subject.find(("system",))
    if system is None or subject.target_name(("system",), system) in SYSTEM_TARGETS:
        return False
    kind = subject.target(("system",), system)
    if not isinstance(kind, type):
        return True
    base = next(item for item in kind.__mro__ if f"{item.__module__}.{item.__qualname__}" in SYSTEM_TARGETS)
    return getattr(kind, hook) is not getattr(base, hook)


def _check_data(subject: Subject) -> None:
    data, loaders = subject.find(("data",)), subject.find(("system", "dataloaders"))
    is_object = data is None or data.value is None or data.is_target or is_reference(data.value)
    if data is not None and not is_object and not subject.is_told(("data",)):
        message = "'data' must be a mapping with a `_target_`: a LightningDataModule"
        subject.problem(("data",), data.key_place or data.place, message, data.plain())
    if data is None or data.value is None or loaders is None or loaders.value is None:
        return
    if not subject.may_be_absent(("data",), data):
        message = "`data` stands in place of system::dataloaders: keep one of the two"
        subject.problem(("system", "dataloaders"), loaders.key_place or loaders.place, message)


def _check_stage_arguments(subject: Subject) -> None:
    """Check `args` against the methods of the Trainer."""
    trainer = subject.find(("trainer",))
    kind = subject.target(("trainer",), trainer) if trainer is not None else None
    for stage in STAGES if subject.stage is None else (subject.stage,):
        path, table = subject.behind(("args", stage))
        method = inspect.getattr_static(kind, stage, None) if isinstance(kind, type) else None
        signature = signature_of(method) if method is not None else None
        if table is None or not isinstance(table.value, dict) or signature is None:
            continue
        known = {name: item for name, item in signature.named.items() if name not in ("self", "model", "datamodule")}
        for key, item in table.value.items():
            name, where = key_text(key), (*path, key)
            if name not in known:
                message = f"Trainer.{stage} takes no argument {name!r}"
                suggestion = did_you_mean(name, known) or f"it takes {', '.join(known)}"
                subject.problem(where, item.key_place or item.place, message, key, suggestion)
            elif wrong := contradiction(item, known[name].annotation, known[name].default):
                message = f"Trainer.{stage} {name!r} {wrong.message}"
                subject.problem((*where, *wrong.path), wrong.node.place, message, item.plain(), wrong.suggestion)


def lacking(subject: Subject, stage: str) -> str:
    """Return what a stage needs and does not find, as text; the empty text where it can run."""
    return " and ".join(problem.message.removeprefix(f"{stage} needs ") for problem in missing(subject, stage))
