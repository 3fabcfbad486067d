"""Plain values where something built has to stand, and mappings that lack their `_target_`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import get_args, get_origin, is_typeddict

from lighter.config.check.signatures import signature_of
from lighter.config.check.subject import Subject
from lighter.config.structure import SYSTEM_TARGETS
from lighter.config.targets import is_dotted
from lighter.config.tree import Node, Path, is_reference, key_text, split
from lighter.errors import did_you_mean

OTHER_TOOLS = ("target", "_target", "__target__", "class_path", "class", "_class_", "type", "name", "object")
ONE = ("model", "criterion", "inferer")  # slots that hold one object
SCHEDULER_KEYS = ("scheduler", "interval", "frequency", "monitor", "strict", "name")  # Lightning's


def check_slots(subject: Subject) -> None:
    """Find what is no object in the System's slots."""
    for slot in filter(lambda slot: _is_ours(subject, slot), ONE):
        _check_slot(subject, ("system", slot), _check_one)
    if _is_ours(subject, "optimizer"):
        _check_slot(subject, ("system", "optimizer"), _check_several)
    if _is_ours(subject, "scheduler"):
        _check_slot(subject, ("system", "scheduler"), _check_scheduler)
    for table in filter(lambda slot: _is_ours(subject, slot), ("dataloaders", "metrics")):
        for path, _ in subject.modes(table).values():
            _check_slot(subject, path, _check_several)
    for path, adapters in subject.modes("adapters").values() if _is_ours(subject, "adapters") else ():
        if isinstance(adapters.value, dict) and not adapters.is_target:
            for key, item in adapters.value.items():
                _check_one(subject, (*path, key), item)


def _is_ours(subject: Subject, slot: str) -> bool:
    """Tell whether a slot is lighter.System's: a subclass may take something else under its name."""
    system = subject.find(("system",))
    if system is None or subject.target_name(("system",), system) in SYSTEM_TARGETS:
        return system is not None
    kind = subject.target(("system",), system)
    signature = signature_of(kind) if isinstance(kind, type) else None
    argument = signature.named.get(slot) if signature else None
    owner = argument.owner if argument else None
    return isinstance(owner, type) and f"{owner.__module__}.{owner.__qualname__}" in SYSTEM_TARGETS


def _check_slot(subject: Subject, path: Path, check: Callable[[Subject, Path, Node], None]) -> None:
    node = subject.find(path)
    if node is not None and subject.uses(path):
        check(subject, path, node)


def _check_one(subject: Subject, path: Path, node: Node) -> None:
    if node.value is None or node.is_target or is_reference(node.value, "@%$") or subject.is_told(path, node):
        return
    if isinstance(node.value, dict):
        _tell_no_target(subject, path, node)
    else:
        message = f"takes an object, not {node.plain()!r}"
        subject.problem(path, node.place, message, node.plain(), _as_object(subject, node.value))


def _check_several(subject: Subject, path: Path, node: Node) -> None:
    """Check one object, or a list or mapping of them, which may hold others."""
    if not _is_several(node):
        _check_one(subject, path, node)
        return
    for child, item in subject.children(path, node):
        _check_several(subject, child, item)


def _is_several(node: Node) -> bool:
    if not isinstance(node.value, dict):
        return isinstance(node.value, list)
    plain = any(not isinstance(item.value, (dict, list, str, NoneType)) for item in node.value.values())
    return not (node.is_target or plain or _other_target(node))


def _check_scheduler(subject: Subject, path: Path, node: Node) -> None:
    """Check a scheduler, Lightning's mapping of one, or several of either."""
    if isinstance(node.value, dict) and not node.is_target and not _other_target(node) and _is_mapping_of_one(node):
        _check_scheduler_keys(subject, path, node)
    elif _is_several(node):
        for child, item in subject.children(path, node):
            _check_scheduler(subject, child, item)
    else:
        _check_one(subject, path, node)


def _is_mapping_of_one(node: Node) -> bool:
    return any(key in SCHEDULER_KEYS or not isinstance(item.value, (dict, list)) for key, item in node.items())


def _check_scheduler_keys(subject: Subject, path: Path, node: Node) -> None:
    assert isinstance(node.value, dict)
    unknown = {key_text(key): item for key, item in node.value.items() if key not in SCHEDULER_KEYS}
    for name, item in unknown.items():
        suggestion = did_you_mean(name, SCHEDULER_KEYS) or f"known: {', '.join(SCHEDULER_KEYS)}"
        message = f"{name!r} is not a known key of a scheduler's mapping"
        subject.problem((*path, name), item.key_place or item.place, message, name, suggestion)
    if "scheduler" in node.value:
        _check_one(subject, (*path, "scheduler"), node.value["scheduler"])
    elif not unknown:
        place = node.key_place or node.place
        subject.problem(path, place, "a scheduler's mapping needs the key 'scheduler'", node.plain())


def _as_object(subject: Subject, value: object) -> str:
    if isinstance(value, str) and "." in value and is_dotted(value):
        return f"write {{_target_: {value}}}"
    if isinstance(value, str) and "::" in value and subject.find(split(value)) is not None:
        return f"did you mean '@{value}'?"
    return "write a mapping with a `_target_`, a reference (@path) or an expression ($…)"


# --- mappings of other tools


def check_mapping(subject: Subject, path: Path, node: Node, annotation: object) -> None:
    """Find a mapping that another tool would build, where an argument takes an object."""
    if not _takes_object(annotation):
        return
    for where, item in [(path, node), *(subject.children(path, node) if isinstance(node.value, list) else ())]:
        if isinstance(item.value, dict) and not item.is_target and _other_target(item):
            _tell_no_target(subject, where, item)


def _tell_no_target(subject: Subject, path: Path, node: Node) -> None:
    meant = _other_target(node)
    suggestion = "did you mean '_target_'?" if meant else "say what to build: `_target_: …`"
    place = meant.key_place if meant else node.key_place
    subject.problem(path, place or node.place, "this mapping has no `_target_`", node.plain(), suggestion)


def _other_target(node: Node) -> Node | None:
    """Return what says in another tool's words what to build."""
    items = node.value if isinstance(node.value, dict) else {}
    texts = {key: items[key].value for key in OTHER_TOOLS if key in items}
    named = (key for key, text in texts.items() if isinstance(text, str) and "." in text and is_dotted(text))
    return next((items[key] for key in named), None)


def _takes_object(annotation: object) -> bool:
    """Tell whether an argument takes an object of some class, or a function, and no mapping."""
    kinds = list(_classes(annotation))
    is_mapping = any(issubclass(kind, Mapping) or is_typeddict(kind) for kind in kinds)
    return not is_mapping and any(kind.__module__ != "builtins" for kind in kinds)


def _classes(annotation: object) -> Iterator[type]:
    origin = get_origin(annotation) or annotation
    if inspect.isclass(origin):
        yield origin
    is_generic = inspect.isclass(origin) and origin.__module__ not in ("builtins", "collections.abc", "types", "typing")
    for argument in () if is_generic else get_args(annotation):
        yield from _classes(argument)
