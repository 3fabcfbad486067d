"""What a stage needs and a config lacks, and what stands where the System takes something else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from lighter.config.check.subject import Subject
from lighter.config.structure import MODE_TABLES, STAGES, SYSTEM_TARGETS
from lighter.config.tree import Node, Path, is_reference, key_text
from lighter.errors import Place, Problem, did_you_mean

OTHER_TOOLS = ("target", "_target", "class_path", "class", "_class_", "type", "name", "__target__", "object")
BUILT = ("model", "criterion", "inferer")  # slots that hold one object


def check_stage(subject: Subject) -> None:
    if subject.stage is not None:
        subject.problems += missing(subject, subject.stage)
    if subject.is_system:
        _check_data(subject)
        _check_slots(subject)
    if subject.imports:
        _check_stage_arguments(subject)


def missing(subject: Subject, stage: str) -> Iterator[Problem]:
    """Yield what a stage needs of the System and does not find."""
    system = subject.find(("system",))
    if system is None or not subject.is_system:
        return
    place = system.key_place or system.place
    if stage == "fit" and not _overrides(subject, "configure_optimizers") and subject.slot("optimizer") is None:
        yield _needs("fit", "an optimizer", place, "system::optimizer")
    if stage == "fit" and not _overrides(subject, "training_step") and subject.slot("criterion") is None:
        yield _needs("fit", "a criterion", place, "system::criterion")
    mode = STAGES[stage][0]
    if subject.find(("data",)) is not None or _overrides(subject, f"{mode}_dataloader"):
        return
    path, table = subject.behind(("system", "dataloaders"))
    if table is not None and (table.is_target or not isinstance(table.value, (dict, type(None)))):
        return  # something that gives them by mode
    item = subject.behind((*path, mode))[1] if table is not None else None
    if item is None or item.value is None or subject.may_be_absent((*path, mode), item):
        place = (table.key_place or table.place) if table is not None else place
        yield _needs(stage, f"a dataloader for {mode!r}", place, f"system::dataloaders::{mode}")


def _needs(stage: str, what: str, place: Place, path: str) -> Problem:
    return Problem(f"{stage} needs {what}", place, path, None, None)


def _overrides(subject: Subject, hook: str) -> bool:
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
    if data is not None and data.value is not None and not data.is_target and not is_reference(data.value):
        message = "'data' must be a mapping with a `_target_`: a LightningDataModule"
        subject.problem(("data",), data.key_place or data.place, message, data.plain())
    if data is None or data.value is None or loaders is None or loaders.value is None:
        return
    if not subject.may_be_absent(("data",), data):
        message = "`data` stands in place of system::dataloaders: keep one of the two"
        subject.problem(("system", "dataloaders"), loaders.key_place or loaders.place, message)


def _check_slots(subject: Subject) -> None:
    """Find plain values where only something built can stand."""
    slots: list[tuple[str, Path]] = [(slot, ("system", slot)) for slot in BUILT]
    slots += [("dataloaders", path) for path, _ in subject.modes("dataloaders").values()]
    for slot, path in slots:
        if subject.uses(path):
            node = subject.find(path)
            if node is not None:
                _check_built(subject, slot, path, node)
    for path, table in subject.modes("adapters").values():
        if isinstance(table.value, dict) and not table.is_target:
            for key, item in table.value.items():
                _check_built(subject, "adapters", (*path, key), item)


def _check_built(subject: Subject, slot: str, path: Path, node: Node) -> None:
    if node.value is None or node.is_target or is_reference(node.value, "@%$"):
        return
    if not isinstance(node.value, dict):
        if not (isinstance(node.value, list) and slot == "dataloaders"):
            message = f"takes an object, not {node.plain()!r}"
            suggestion = "write a mapping with a `_target_`, a reference (@path) or an expression ($…)"
            subject.problem(path, node.place, message, node.plain(), suggestion)
        return
    if slot == "dataloaders" and any(item.is_target for item in node.value.values()):
        return  # several loaders, by name
    meant = next((key for key in node.value if key in OTHER_TOOLS), None)
    suggestion = "did you mean '_target_'?" if meant else "say what to build: `_target_: …`"
    place = node.value[meant].key_place if meant else node.key_place
    subject.problem(path, place or node.place, "this mapping has no `_target_`", node.plain(), suggestion)


def _check_stage_arguments(subject: Subject) -> None:
    """Check `args` against the methods of the Trainer."""
    trainer = subject.find(("trainer",))
    kind = subject.target(("trainer",), trainer) if trainer is not None else None
    for stage in STAGES if subject.stage is None else (subject.stage,):
        path, table = subject.behind(("args", stage))
        method = getattr(kind, stage, None)
        if table is None or not isinstance(table.value, dict) or method is None:
            continue
        known = set(inspect.signature(method).parameters) - {"self", "model", "datamodule"}
        for key, item in table.value.items():
            if key not in known:
                message = f"Trainer.{stage} takes no argument {key_text(key)!r}"
                suggestion = did_you_mean(key_text(key), known)
                subject.problem((*path, key), item.key_place or item.place, message, key, suggestion)


def lacking(subject: Subject, stage: str) -> str:
    """Return what a stage needs and does not find, as text; the empty text where it can run."""
    return " and ".join(problem.message.removeprefix(f"{stage} needs ") for problem in missing(subject, stage))
