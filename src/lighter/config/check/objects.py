"""Plain values where something built has to stand, and mappings that lack their `_target_`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import get_args, get_origin, is_typeddict

from lighter.config.check.signatures import signature_of
from lighter.config.check.subject import Subject, derives_from
from lighter.config.structure import MODE_TABLES, SYSTEM_TARGETS, mode_problems
from lighter.config.targets import TargetError, is_dotted
from lighter.config.tree import Key, Node, Path, is_reference, key_text, split
from lighter.errors import did_you_mean, nearest

OTHER_TOOLS = ("target", "_target", "__target__", "class_path", "class", "_class_", "type", "name", "object")
OPTIMIZER = ("torch.optim.optimizer.Optimizer",)
INTERVALS = ("epoch", "step")  # Lightning's, of a scheduler's mapping
ONE = ("model", "criterion", "inferer", "parallelize")  # slots that hold one object
OF_CALLABLES = ("criterion", "inferer", "parallelize", "adapters")  # slots in which a function stands for itself
SCHEDULER_KEYS = ("scheduler", "interval", "frequency", "monitor", "strict", "name")  # Lightning's


def check_slots(subject: Subject) -> None:
    """Find what is no object in the System's slots."""
    for slot in filter(lambda slot: is_ours(subject, slot), ONE):
        _check_slot(subject, ("system", slot), _check_one)
    system = subject.find(("system",))
    if system is not None and subject.target_name(("system",), system) not in SYSTEM_TARGETS:
        subject.problems += mode_problems(system, [slot for slot in MODE_TABLES if is_ours(subject, slot)])
    if is_ours(subject, "optimizer"):
        _check_slot(subject, ("system", "optimizer"), _check_several)
        _check_slot(subject, ("system", "optimizer"), _check_number)
    if is_ours(subject, "scheduler"):
        _check_slot(subject, ("system", "scheduler"), _check_scheduler)
    _check_groups(subject)
    for table in filter(lambda slot: is_ours(subject, slot), ("dataloaders", "metrics")):
        for path, _ in subject.modes(table).values():
            _check_slot(subject, path, _check_several)
    for path, adapters in subject.modes("adapters").values() if is_ours(subject, "adapters") else ():
        if isinstance(adapters.value, dict) and not adapters.is_target:
            for key, item in adapters.value.items():
                _check_one(subject, (*path, key), item)


def is_ours(subject: Subject, slot: str) -> bool:
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
    used = subject.uses(path)
    path, node = subject.behind(path)
    if node is not None and used and not subject.is_told(path, node):
        check(subject, path, node)


def _check_one(subject: Subject, path: Path, node: Node) -> None:
    if node.value is None or node.is_target or is_reference(node.value, "@%$") or subject.is_told(path, node):
        return
    if isinstance(node.value, dict):
        _tell_no_target(subject, path, node)
    else:
        message = f"takes an object, not {node.plain()!r}"
        subject.problem(path, node.place, message, node.plain(), _as_object(subject, path, node.value))


def _check_several(subject: Subject, path: Path, node: Node) -> None:
    """Check one object, or a list or mapping of them, which may hold others."""
    if subject.is_told(path, node):
        return
    stray = _stray(subject, path, node)
    for key, (owner, item) in stray.items():
        message = f"{key!r} stands beside {owner!r}, which takes it"
        suggestion = f"indent it further to make it an argument of {owner!r}"
        subject.problem((*path, key), item.key_place or item.place, message, key, suggestion)
    if not stray and not _is_several(node):
        _check_one(subject, path, node)
        return
    for child, item in subject.children(path, node):
        if child[-1] not in stray:
            _check_several(subject, child, item)


def _stray(subject: Subject, path: Path, node: Node) -> dict[Key, tuple[str, Node]]:
    """Return the plain values that stand beside the component above them, whose arguments they are, with its key."""
    found: dict[Key, tuple[str, Node]] = {}
    owner = ""
    named: Mapping[str, object] = {}
    for child, item in subject.children(path, node) if isinstance(node.value, dict) and not node.is_target else ():
        if item.is_target:
            kind = subject.target(child, item)
            signature = signature_of(kind) if callable(kind) else None
            owner, named = key_text(child[-1]), signature.named if signature else {}
        elif child[-1] in named and not isinstance(item.value, (dict, list)) and not is_reference(item.value, "@%$"):
            found[child[-1]] = owner, item
    return found


def _check_number(subject: Subject, path: Path, node: Node) -> None:
    """Find several optimizers where there is no code to step them."""
    system = subject.find(("system",))
    is_plain = system is not None and subject.target_name(("system",), system) in SYSTEM_TARGETS
    there = [item for item in subject.children(path, node) if not subject.may_be_absent(*item)]
    if is_plain and _is_several(node) and len(there) > 1:
        message = "several optimizers need manual optimization"
        suggestion = "subclass System, set self.automatic_optimization = False and write its training_step"
        subject.problem(path, node.key_place or node.place, message, node.plain(), suggestion)


def _check_groups(subject: Subject) -> None:
    """Find groups of an optimizer's parameters that have none."""
    for path, node in subject.components:
        kind = subject.target(path, node)
        groups = node.value.get("params") if isinstance(node.value, dict) else None
        if groups is None or not isinstance(kind, type) or not derives_from(kind, OPTIMIZER):
            continue
        for where, group in subject.children((*path, "params"), groups) if isinstance(groups.value, list) else ():
            if isinstance(group.value, dict) and not group.is_target and "params" not in group.value:
                key = nearest("params", group.value)
                place = group.value[key].key_place if key else None
                suggestion = "did you mean 'params'?" if key else None
                message = "a group of parameters needs 'params'"
                subject.problem(where, place or group.place, message, group.plain(), suggestion)


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
    if "interval" in node.value:
        _check_interval(subject, (*path, "interval"), node.value["interval"])
    if "frequency" in node.value:
        _check_frequency(subject, (*path, "frequency"), node.value["frequency"])
    if "scheduler" in node.value:
        _check_one(subject, (*path, "scheduler"), node.value["scheduler"])
    elif not unknown:
        place = node.key_place or node.place
        subject.problem(path, place, "a scheduler's mapping needs the key 'scheduler'", node.plain())


def _check_interval(subject: Subject, path: Path, node: Node) -> None:
    interval = subject.constant(path, node, INTERVALS[0])
    if interval not in INTERVALS or isinstance(node.value, (dict, list)):
        suggestion = did_you_mean(str(interval), INTERVALS) or f"known: {', '.join(INTERVALS)}"
        subject.problem(path, node.place, f"{node.plain()!r} is no interval", node.plain(), suggestion)


def _check_frequency(subject: Subject, path: Path, node: Node) -> None:
    """Find a scheduler that is stepped every 0 steps, by which Lightning would divide."""
    system = subject.find(("system",))
    is_plain = system is not None and subject.target_name(("system",), system) in SYSTEM_TARGETS
    if is_plain and subject.constant(path, node, "") == 0:
        subject.problem(path, node.place, "the frequency of a scheduler is at least 1", node.plain())


def _as_object(subject: Subject, path: Path, value: object) -> str:
    if value in ("None", "none", ""):
        return "write null"
    if isinstance(value, str) and "." in value and is_dotted(value):
        mode = ", _mode_: callable" if _is_handed_on(subject, path, value) else ""
        return f"write {{_target_: {value}{mode}}}"
    if isinstance(value, str) and "::" in value and subject.find(split(value)) is not None:
        return f"did you mean '@{value}'?"
    return "write a mapping with a `_target_`, a reference (@path) or an expression ($…)"


def _is_handed_on(subject: Subject, path: Path, name: str) -> bool:
    """Tell whether a name in a slot is that of a function, which is to be called later."""
    if path[:1] != ("system",) or path[1] not in OF_CALLABLES:
        return False
    try:
        return inspect.isroutine(subject.imported_target(name)) if subject.imports else path[1] == "parallelize"
    except TargetError:
        return path[1] == "parallelize"


# --- mappings of other tools


def check_mapping(subject: Subject, path: Path, node: Node, annotation: object) -> None:
    """Find a mapping that another tool would build, where an argument takes an object."""
    items = [(path, node), *(subject.children(path, node) if isinstance(node.value, list) else ())]
    tables = [item for item in items if isinstance(item[1].value, dict) and not item[1].is_target]
    if not tables or not _takes_object(annotation):
        return
    for where, item in tables:
        if _other_target(item):
            _tell_no_target(subject, where, item)
        elif meant := _named_class(item, annotation):
            message, suggestion = "this mapping has no `_target_`", f"write `_target_: {meant}`"
            subject.problem(where, item.key_place or item.place, message, item.plain(), suggestion)


def _named_class(node: Node, annotation: object) -> str | None:
    """Return the class that another tool would find by the name that a mapping gives, with its module."""
    assert isinstance(node.value, dict)
    texts = [node.value[key].value for key in OTHER_TOOLS if key in node.value]
    kinds = [kind for kind in _classes(annotation) if _top(kind) not in sys.stdlib_module_names] if texts else []
    found = (kind for top in kinds for kind in _subclasses(top) if str(kind.__name__) in texts)
    return next(
        (f"{_public_module(kind)}.{kind.__name__}" for kind in found if "<" not in str(kind.__qualname__)), None
    )


def _top(kind: type) -> str:
    return str(kind.__module__).split(".")[0]


def _subclasses(kind: type) -> Iterator[type]:
    below: list[type] = type.__subclasses__(kind)
    for each in below:
        yield each
        yield from _subclasses(each)


def _public_module(kind: type) -> str:
    """Return the outermost module that gives a class under its name."""
    parts = str(kind.__module__).split(".")
    names = [".".join(parts[:count]) for count in range(1, len(parts))]
    modules = ((name, getattr(sys.modules.get(name), "__dict__", {})) for name in names)
    return next((name for name, module in modules if module.get(kind.__name__) is kind), ".".join(parts))


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
