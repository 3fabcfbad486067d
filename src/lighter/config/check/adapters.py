"""What the adapters pass on, against what the criterion and the metrics take."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lighter.config.calls import unknown_argument
from lighter.config.check.signatures import Argument, Signature, signature_of
from lighter.config.check.subject import Subject, derives_from
from lighter.config.reference import parse_expression
from lighter.config.structure import RESERVED
from lighter.config.tree import Node, Path, is_reference
from lighter.errors import Place

ADAPTERS = {"criterion": "CriterionAdapter", "metrics": "MetricsAdapter"}
KINDS = {**ADAPTERS, "batch": "BatchAdapter", "logging": "LoggingAdapter"}
MODULE_OF_ADAPTERS = "lighter.adapters"
ARGUMENTS = ("input_argument", "target_argument", "pred_argument")  # in the adapters' order
METRIC = ("torchmetrics.metric.Metric",)
COLLECTION = ("torchmetrics.collections.MetricCollection",)
MODULE = ("torch.nn.modules.module.Module",)


@dataclass(frozen=True)
class Passed:
    """What an adapter hands to a function: how many by position, and which by name; `places` says where that stands."""

    positions: int
    names: dict[str, tuple[Path, Place]]
    words: str


@dataclass(frozen=True)
class Function:
    """Something that an adapter calls, and where the config names it."""

    name: str
    signature: Signature
    path: Path
    place: Place


def check_adapters(subject: Subject) -> None:
    if not subject.is_system:
        return
    for mode in _modes(subject):
        _check_kinds(subject, mode)
        _check_own_arguments(subject, mode)
        if not subject.imports:
            continue
        passed = _passed(subject, mode, "criterion")
        criterion = _criterion(subject) if mode in ("train", "val") else None
        if passed and criterion:
            _check_call(subject, passed, criterion)
        passed = _passed(subject, mode, "metrics")
        if passed:
            _check_metrics(subject, passed, list(_metrics(subject, mode)))


def _modes(subject: Subject) -> list[str]:
    tables = ("dataloaders", "adapters", "metrics")
    return list(dict.fromkeys(str(mode) for table in tables for mode in subject.modes(table)))


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
    if found is None:
        return Passed(2, {}, "pred and target, by position")
    arguments = _arguments(subject, *found, ADAPTERS[slot])
    if arguments is None:
        return None
    given = {name: value for name, (value, _, _) in arguments.items() if value is not None}
    if not given:
        return Passed(2, {}, "pred and target, by position")
    names = {str(value): (path, place) for value, path, place in arguments.values() if isinstance(value, str)}
    words = ", ".join(
        f"{name.removesuffix('_argument')} as {'the ' * isinstance(value, int)}{_ordinal(value)}"
        for name, value in given.items()
    )
    return Passed(sum(isinstance(value, int) for value in given.values()), names, words)


def _ordinal(value: object) -> str:
    if not isinstance(value, int):
        return repr(value)
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


# --- what is called


def _criterion(subject: Subject) -> Function | None:
    found = subject.slot("criterion")
    if found is None:
        return None
    path, node = found
    if is_reference(node.value, "$"):
        return _of_expression(subject, path, node)
    target = subject.target(path, node)
    if not callable(target) or not isinstance(node.value, dict):
        return None
    name = subject.target_name(path, node) or ""
    mode = node.value.get("_mode_")
    if mode is not None:
        if subject.constant((*path, "_mode_"), mode) != "callable" or isinstance(target, type):
            return None
        signature = _bound(node, target)
    elif isinstance(target, type):
        signature = _called(target)
    else:
        return None
    place = node.value["_target_"].place
    return Function(name, signature, path, place) if signature else None


def _of_expression(subject: Subject, path: Path, node: Node) -> Function | None:
    """Return the function that an expression is, where it is a lambda or just a name."""
    expression = parse_expression(str(node.value)[1:])
    try:
        tree = ast.parse(expression.code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if isinstance(tree, ast.Lambda):
        return Function("the lambda", _of_lambda(tree.args), path, node.place)
    head, _, rest = ast.unparse(tree).partition(".")
    if head not in subject.names or not all(part.isidentifier() for part in rest.split(".")):
        return None
    dotted = f"{subject.names[head].dotted}.{rest}"
    try:
        target = subject.imported_target(dotted)
    except LookupError:
        return None
    found = signature_of(target) if inspect.isroutine(target) and callable(target) else None
    return Function(dotted, found, path, node.place) if found else None


def _of_lambda(given: ast.arguments) -> Signature:
    empty = inspect.Parameter.empty
    positional = [Argument(item.arg, empty, empty, None) for item in (*given.posonlyargs, *given.args)]
    named = positional[len(given.posonlyargs) :] + [Argument(item.arg, empty, empty, None) for item in given.kwonlyargs]
    required = {item.name for item in positional[: len(positional) - len(given.defaults)]}
    required |= {item.arg for item, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None}
    return Signature(
        positional=tuple(positional),
        any_positional=given.vararg is not None,
        named={item.name: item for item in named},
        required=frozenset(required),
        open=given.kwarg is not None,
    )


def _called(kind: type) -> Signature | None:
    """Return what the instances of a class take when they are called."""
    if derives_from(kind, MODULE):
        base = next(item for item in kind.__mro__ if derives_from(item, MODULE) and item.__name__ == "Module")
        own = inspect.getattr_static(kind, "__call__") is not inspect.getattr_static(base, "__call__")
        return None if own else method_signature(kind, "forward")
    return method_signature(kind, "__call__")


def method_signature(kind: type, name: str) -> Signature | None:
    """Return what a method of a class's instances takes, without the instance."""
    static = inspect.getattr_static(kind, name, None)
    if isinstance(static, (staticmethod, classmethod)):
        return signature_of(getattr(kind, name))
    return signature_of(static.__get__(object.__new__(object), kind)) if inspect.isfunction(static) else None


def _bound(node: Node, target: Callable[..., object]) -> Signature | None:
    """Return what is left of a function's signature once a config has bound some arguments."""
    assert isinstance(node.value, dict)
    if "_args_" in node.value:
        return None
    names = [str(key) for key in node.value if key not in RESERVED]
    try:
        return signature_of(functools.partial(target, **dict.fromkeys(names)))
    except TypeError:
        return None


def _metrics(subject: Subject, mode: str) -> Iterator[Function | None]:
    """Yield the update of each metric of a mode; None for one that is not known."""
    found = subject.modes("metrics").get(mode)
    for path, node in metric_nodes(subject, *found) if found else ():
        kind = subject.target(path, node)
        signature = None
        if isinstance(kind, type) and derives_from(kind, METRIC):
            signature = method_signature(kind, "update")
        name = subject.target_name(path, node) or ""
        place = node.value["_target_"].place if isinstance(node.value, dict) and node.is_target else node.place
        yield Function(f"{name}.update", signature, path, place) if signature else None


def metric_nodes(subject: Subject, path: Path, node: Node) -> Iterator[tuple[Path, Node]]:
    """Yield the single metrics that metrics of a mode consist of, behind references."""
    if node.is_target and isinstance(node.value, dict):
        kind = subject.target(path, node)
        there, found = subject.behind((*path, "metrics"))
        if isinstance(kind, type) and derives_from(kind, COLLECTION) and found is not None:
            yield from metric_nodes(subject, there, found)
        else:
            yield path, node
    elif isinstance(node.value, (dict, list)):
        for child, item in subject.children(path, node):
            there, found = subject.behind(child)
            if found is not None and found.value is not None and not subject.may_be_absent(child, item):
                yield from metric_nodes(subject, there, found)
    else:
        yield path, node


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
    message = None
    if passed.positions > len(signature.positional) and not signature.any_positional:
        takes = ", ".join(signature.named) or "nothing"
        message = f"{function.name} takes {takes}, and the adapter passes {passed.words}"
    elif twice := [name for name in by_position if name in passed.names]:
        message = f"{function.name} is given {twice[0]!r} twice: the adapter passes {passed.words}"
    elif missing:
        names = " and ".join(map(repr, missing))
        message = f"{function.name} needs {names}, and the adapter passes {passed.words}"
    if message:
        where = next(iter(passed.names.values()), (function.path, function.place))
        taken = ", ".join(signature.named)
        subject.problem(*where, message, function.name, f"say what goes where in the adapter: it takes {taken}")
