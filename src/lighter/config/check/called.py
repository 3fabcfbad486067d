"""The criterion, the metrics and others of the System's slots, as functions that are called."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lighter.config.check.arguments import Argument, Signature
from lighter.config.check.signatures import signature_of
from lighter.config.check.sources import source_of
from lighter.config.check.subject import Subject, derives_from
from lighter.config.reference import parse_expression
from lighter.config.structure import RESERVED
from lighter.config.tree import Node, Path, is_reference
from lighter.errors import Place

METRIC = ("torchmetrics.metric.Metric",)
COLLECTION = ("torchmetrics.collections.MetricCollection",)
MODULE = ("torch.nn.modules.module.Module",)


@dataclass(frozen=True)
class Function:
    """Something that is called later, and where the config names it."""

    name: str
    signature: Signature
    path: Path
    place: Place


def function_in(subject: Subject, slot: str) -> Function | None:
    """Return what one of the System's slots calls; None where it is empty, or where that is not known."""
    found = subject.slot(slot)
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
        return None if own else _method_signature(kind, "forward")
    return _method_signature(kind, "__call__")


def losses_of(criterion: object) -> tuple[str, ...] | None:
    """Return the names of the losses that a criterion returns, '' for a single one; None where they are not known."""
    if str(getattr(criterion, "__module__", "")).startswith("torch."):
        return ("",)
    if not isinstance(criterion, type):
        return None
    method = inspect.getattr_static(criterion, "forward", None) or inspect.getattr_static(criterion, "__call__", None)
    source = source_of(method.__code__) if inspect.isfunction(method) else None
    made = [node.value for node in ast.walk(source.tree) if isinstance(node, ast.Return)] if source else []
    names: dict[str, None] = {}
    for value in made:
        keys = value.keys if isinstance(value, ast.Dict) else [None]
        if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
            return None
        names.update({str(key.value): None for key in keys if isinstance(key, ast.Constant)})
    return tuple(names) or None


def _method_signature(kind: type, name: str) -> Signature | None:
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


def metrics_of(subject: Subject, mode: str) -> Iterator[Function | None]:
    """Yield the update of each metric of a mode; None for one that is not known."""
    found = subject.modes("metrics").get(mode)
    for path, node in _metric_nodes(subject, *found) if found else ():
        kind = subject.target(path, node)
        signature = None
        if isinstance(kind, type) and derives_from(kind, METRIC):
            signature = _method_signature(kind, "update")
        name = subject.target_name(path, node) or ""
        place = node.value["_target_"].place if isinstance(node.value, dict) and node.is_target else node.place
        yield Function(f"{name}.update", signature, path, place) if signature else None


def _metric_nodes(subject: Subject, path: Path, node: Node) -> Iterator[tuple[Path, Node]]:
    """Yield the single metrics that metrics of a mode consist of, behind references."""
    if node.is_target and isinstance(node.value, dict):
        kind = subject.target(path, node)
        there, found = subject.behind((*path, "metrics"))
        if isinstance(kind, type) and derives_from(kind, COLLECTION) and found is not None:
            yield from _metric_nodes(subject, there, found)
        else:
            yield path, node
    elif isinstance(node.value, (dict, list)):
        for child, item in subject.children(path, node):
            there, found = subject.behind(child)
            if found is not None and found.value is not None and not subject.may_be_absent(child, item):
                yield from _metric_nodes(subject, there, found)
    else:
        yield path, node
