"""What the adapters pass on, against what the criterion and the metrics take."""

from __future__ import annotations

from dataclasses import dataclass

from lighter.config.calls import unknown_argument
from lighter.config.check.called import Function, function_in, metrics_of
from lighter.config.check.subject import Subject
from lighter.config.tree import Node, Path, join
from lighter.errors import Place

ADAPTERS = {"criterion": "CriterionAdapter", "metrics": "MetricsAdapter"}
KINDS = {**ADAPTERS, "batch": "BatchAdapter", "logging": "LoggingAdapter"}
MODULE_OF_ADAPTERS = "lighter.adapters"
ARGUMENTS = ("input_argument", "target_argument", "pred_argument")  # in the adapters' order


@dataclass(frozen=True)
class Passed:
    """What reaches a function: how many by position, and which by name; and which parts of the config say so."""

    positions: int
    names: dict[str, tuple[Path, Place]]
    words: str
    path: Path  # where the adapter stands, or would
    place: Place | None = None  # of the adapter
    last: tuple[Path, Place] | None = None  # what says the highest position


def check_adapters(subject: Subject) -> None:
    if not subject.is_system:
        return
    for mode in _modes(subject):
        _check_kinds(subject, mode)
        _check_own_arguments(subject, mode)
        if not subject.imports:
            continue
        passed = _passed(subject, mode, "criterion")
        criterion = function_in(subject, "criterion") if mode in ("train", "val") else None
        if passed and criterion:
            _check_call(subject, passed, criterion)
        passed = _passed(subject, mode, "metrics")
        if passed:
            _check_metrics(subject, passed, list(metrics_of(subject, mode)))


def _modes(subject: Subject) -> list[str]:
    tables = ("dataloaders", "adapters", "metrics")
    of_data = ["train"] if subject.find(("data",)) is not None and subject.stage in (None, "fit") else []
    return list(dict.fromkeys([*of_data, *(str(mode) for table in tables for mode in subject.modes(table))]))


def _adapter(subject: Subject, mode: str, slot: str) -> tuple[Path, Node] | None:
    """Return path and node of an adapter; None where there is none."""
    found = subject.modes("adapters").get(mode)
    if found is None:
        return None
    path, node = subject.behind((*found[0], slot))
    return None if node is None or node.value is None or subject.may_be_absent(path, node) else (path, node)


def _passed(subject: Subject, mode: str, slot: str) -> Passed | None:
    """Return what reaches the criterion or the metrics; None where that is not known."""
    if _is_unknown(subject, mode):
        return None
    found = _adapter(subject, mode, slot)
    default = Passed(2, {}, "pred and target, by position", ("system", "adapters", mode, slot))
    if found is None:
        return default
    if subject.is_told(found[0]):
        return None
    arguments = _arguments(subject, *found, ADAPTERS[slot])
    if arguments is None:
        return None
    positions = {value: (name, path, place) for name, (value, path, place) in arguments.items() if type(value) is int}
    names = {value: (name, path, place) for name, (value, path, place) in arguments.items() if isinstance(value, str)}
    if not positions and not names:
        return default
    by_position = [(f"the {_ordinal(value)}", positions[value][0]) for value in sorted(positions)]
    by_name = [(repr(value), names[value][0]) for value in names]
    words = ", ".join(f"{name.removesuffix('_argument')} as {what}" for what, name in (*by_position, *by_name))
    where = {value: (path, place) for value, (_, path, place) in names.items()}
    last = positions[max(positions)][1:] if positions else None
    return Passed(len(positions), where, words, found[0], _place(found[1]), last)


def _place(component: Node) -> Place:
    return component.value["_target_"].place if isinstance(component.value, dict) else component.place


def _ordinal(value: int) -> str:
    return {0: "first", 1: "second", 2: "third"}.get(value, f"{value + 1}th")


def _is_unknown(subject: Subject, mode: str) -> bool:
    """Tell whether the adapters are something that only building would show."""
    slot = subject.slot("adapters")
    if slot is None:
        return False
    if slot[1].is_target or not isinstance(slot[1].value, dict):
        return True
    found = subject.modes("adapters").get(mode)
    return found is not None and (found[1].is_target or not isinstance(found[1].value, dict))


def _arguments(subject: Subject, path: Path, node: Node, kind: str) -> dict[str, tuple[object, Path, Place]] | None:
    """Return the arguments that say what goes where: value, path and place; None where they are not known."""
    if subject.target_name(path, node) != f"lighter.adapters.{kind}" or not isinstance(node.value, dict):
        return None
    if "_mode_" in node.value:
        return None
    items = {name: ((*path, name), node.value[name]) for name in ARGUMENTS if name in node.value}
    if "_args_" in node.value:
        there, args = subject.behind((*path, "_args_"))
        if args is None or not isinstance(args.value, list):
            return None
        items |= dict(zip(ARGUMENTS, subject.children(there, args), strict=False))
    unknown = "\0"
    found: dict[str, tuple[object, Path, Place]] = {}
    for name, (where, item) in items.items():
        value = subject.constant(where, item, unknown)
        if value == unknown or isinstance(value, (bool, float)):
            return None  # a float is told of where values are
        found[name] = value, where, item.place
    return found


def _check_kinds(subject: Subject, mode: str) -> None:
    """Find adapters that stand in the slot of another kind."""
    for slot, kind in KINDS.items():
        found = _adapter(subject, mode, slot)
        name = subject.target_name(*found) if found else None
        if found is None or name is None or name not in {f"{MODULE_OF_ADAPTERS}.{other}" for other in KINDS.values()}:
            continue
        takes = {kind, *ADAPTERS.values()} if slot in ADAPTERS else {kind}
        if name.rpartition(".")[2] not in takes:
            assert isinstance(found[1].value, dict)
            message = f"{name} is no adapter of {slot}"
            place, suggestion = found[1].value["_target_"].place, f"did you mean '{MODULE_OF_ADAPTERS}.{kind}'?"
            subject.problem(found[0], place, message, name, suggestion)


def _check_own_arguments(subject: Subject, mode: str) -> None:
    """Find positions with gaps, and two values that go to one argument."""
    for slot, kind in ADAPTERS.items():
        found = _adapter(subject, mode, slot)
        arguments = _arguments(subject, *found, kind) if found else None
        if found is None or not arguments:
            continue
        given = [(value, path, place) for value, path, place in arguments.values() if value is not None]
        seen: set[object] = set()
        for value, path, place in given:
            if value in seen:
                subject.problem(path, place, f"two of input, target and pred go to the same argument {value!r}", value)
            seen.add(value)
        positions = sorted(value for value in seen if isinstance(value, int))
        if positions != list(range(len(positions))):
            text = ", ".join(map(str, positions))
            _, path, place = next(item for item in given if item[0] == positions[-1])
            subject.problem(path, place, f"positions must count from 0 without a gap, not {text}", positions[-1])


# --- does it fit?


def _check_call(subject: Subject, passed: Passed, function: Function) -> None:
    signature = function.signature
    unknown = False
    for name, (path, place) in passed.names.items():
        if name not in signature.named and not signature.open:
            message, suggestion, _ = unknown_argument(function.name, name, signature.named)
            subject.problem(path, place, message, name, suggestion)
            unknown = True
    if not unknown:
        _check_fit(subject, passed, function)


def _check_metrics(subject: Subject, passed: Passed, functions: list[Function | None]) -> None:
    """Check each metric's update, which gets those of the named arguments that it takes."""
    known = [function for function in functions if function is not None]
    if not known:
        return
    everything = len(known) == len(functions) and not any(function.signature.open for function in known)
    taken = dict.fromkeys(name for function in known for name in function.signature.named)
    unknown = False
    for name, (path, place) in passed.names.items():
        if name not in taken and everything:
            which = known[0].name if len(known) == 1 else "none of the metrics"
            message, suggestion, _ = unknown_argument(which, name, taken)
            message = message.replace("none of the metrics takes no", "none of the metrics takes an")
            subject.problem(path, place, message, name, suggestion)
            unknown = True
    for function in known if not unknown else ():
        _check_fit(subject, passed, function)


def _check_fit(subject: Subject, passed: Passed, function: Function) -> None:
    """Find what a function is not given, and what it is given beyond what it takes."""
    signature = function.signature
    by_position = [argument.name for argument in signature.positional[: passed.positions]]
    missing = [
        name for name in signature.named if name in signature.required and name not in (*by_position, *passed.names)
    ]
    message, where = None, (function.path, function.place)
    if passed.positions > len(signature.positional) and not signature.any_positional:
        takes = ", ".join(signature.named) or "nothing"
        message, where = f"{function.name} takes {takes}, and gets {passed.words}", passed.last or where
    elif twice := [name for name in by_position if name in passed.names]:
        message = f"{function.name} gets {twice[0]!r} twice: {passed.words}"
        where = passed.names[twice[0]]
    elif missing:
        names = " and ".join(map(repr, missing))
        message = f"{function.name} needs {names}, and gets {passed.words}"
        where = (passed.path, passed.place) if passed.place else where
    if message:
        taken = ", ".join(signature.named)
        subject.problem(*where, message, function.name, f"say what goes where in {join(passed.path)}: it takes {taken}")
