"""What the names in a function's source stand for, found without running any of it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from lighter.config.check.sources import Source, source_of

MISSING = object()


@dataclass(frozen=True)
class Receiver:
    """The first argument of a method: an instance of `kind`, or `kind` itself; `itself` where it is known."""

    kind: type
    itself: object = None


@dataclass(frozen=True)
class Callee:
    """What an expression stands for, and what it is bound to."""

    target: Any
    receiver: Receiver | None = None


def lookup(kind: type, name: str, after: type | None = None) -> tuple[type, Any] | None:
    """Return the class that defines an attribute, and the attribute as it is there; of those `after` a class."""
    mro = kind.__mro__
    if after is not None:
        if after not in mro:
            return None
        mro = mro[mro.index(after) + 1 :]
    return next(((owner, vars(owner)[name]) for owner in mro if name in vars(owner)), None)


class Scope:
    """The names that a function sees: its receiver, and what its module and its closure hold."""

    def __init__(self, function: FunctionType, source: Source, receiver: Receiver | None) -> None:
        self.function = function
        self.source = source
        code = function.__code__
        self.local = {*code.co_varnames, *code.co_cellvars}
        first = code.co_varnames[0] if code.co_argcount else None
        self.receiver = receiver if first not in source.stored else None
        self.first = first if self.receiver else None
        self.known: dict[str, list[object]] = {}
        vararg = source.tree.args.vararg
        self.vararg = vararg.arg if vararg and vararg.arg not in source.stored else None

    def resolve(self, node: ast.expr) -> Callee | None:
        """Return what a name or a chain of attributes stands for, where that is sure to be so."""
        if isinstance(node, ast.Name):
            if node.id == self.first and self.receiver:
                return Callee(self.receiver.itself) if self.receiver.itself is not None else None
            found = self._value(node.id)
            return None if found is MISSING else Callee(found)
        return self._attribute(node.value, node.attr) if isinstance(node, ast.Attribute) else None

    def is_received(self, node: ast.expr) -> bool:
        """Tell whether what a chain of attributes stands for is up to the receiver."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return not isinstance(node, ast.Name) or node.id == self.first

    def bound(self, callee: Callee | None, arguments: list[ast.expr]) -> tuple[Callee | None, list[ast.expr]]:
        """Bind a function to this one's receiver where a call hands that on as the first argument."""
        if callee is None or callee.receiver or not (self.receiver and arguments and _is_function(callee.target)):
            return callee, arguments
        match arguments[0]:
            case ast.Name(id=self.first):
                return Callee(callee.target, self.receiver), arguments[1:]
            case ast.Starred(value=ast.Name(id=self.vararg)) if self.first is None:
                return Callee(callee.target, self.receiver), arguments
        return callee, arguments

    def texts(self, key: ast.expr) -> frozenset[str] | None:
        """Return the texts that a key may be; None where it may be any."""
        found = [key.value] if isinstance(key, ast.Constant) else self.candidates(key)
        return frozenset(item for item in found if isinstance(item, str)) or None

    def candidates(self, node: ast.expr) -> list[object]:
        """Return the objects that a variable may be: one of the module's, or a loop's over a fixed collection."""
        if not isinstance(node, ast.Name):
            return []
        if node.id not in self.known:
            self.known[node.id] = self._candidates(node)
        return self.known[node.id]

    def _candidates(self, node: ast.Name) -> list[object]:
        loops = [loop for loop in self.source.loops if _stores(loop.target, node.id)]
        if not loops:
            found = self.resolve(node)
            return [found.target] if found else []
        fixed = sum(_stores(loop.target, node.id) for loop in loops if isinstance(loop, ast.For))
        if self.source.stored[node.id] != fixed or node.id in self.source.parameters:
            return []
        items = [self._collection(part.iter) for part in loops]
        return [leaf for item in items for leaf in _leaves(item)] if None not in items else []

    def _collection(self, node: ast.expr) -> Any:
        match node:
            case ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
                try:
                    return ast.literal_eval(node)
                except ValueError:
                    return None
            case ast.Call(func=ast.Attribute(value=value, attr="items" | "keys" | "values"), args=[], keywords=[]):
                return self._collection(value)
            case ast.Call(func=ast.Name(id="list" | "tuple" | "sorted" | "enumerate"), args=[value], keywords=[]):
                return self._collection(value)
        found = self.resolve(node)
        return found.target if found and isinstance(found.target, _COLLECTIONS) else None

    def _value(self, name: str) -> object:
        function = self.function
        if name in self.source.stored:
            return MISSING
        if name in function.__code__.co_freevars:
            cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:
                return MISSING
        if name in self.local:
            return MISSING
        return function.__globals__.get(name, vars(builtins).get(name, MISSING))

    def _attribute(self, base: ast.expr, name: str) -> Callee | None:
        if isinstance(base, ast.Call):
            return self._beyond(base, name)
        if isinstance(base, ast.Name) and base.id == self.first and self.receiver:
            is_plain = name not in self.source.attributes and self.receiver.itself in (None, self.receiver.kind)
            found = lookup(self.receiver.kind, name) if is_plain else None
            return _bind(found[1], self.receiver) if found else None
        owner = self.resolve(base)
        if owner and isinstance(owner.target, ModuleType):
            value = vars(owner.target).get(name, MISSING)
            return None if value is MISSING else Callee(value)
        found = lookup(owner.target, name) if owner and isinstance(owner.target, type) else None
        if owner is None or found is None:
            return None
        return _bind(found[1], Receiver(owner.target, owner.target) if isinstance(found[1], classmethod) else None)

    def _beyond(self, call: ast.Call, name: str) -> Callee | None:
        """Resolve an attribute of `super()`: the next in the order of the receiver's class, which mixins change."""
        if not isinstance(call.func, ast.Name) or self._value(call.func.id) is not super or not self.receiver:
            return None
        match call.args:
            case []:
                after = self._value("__class__")
            case [kind, ast.Name(id=self.first)]:
                callee = self.resolve(kind)
                after = callee.target if callee else None
            case _:
                return None
        found = lookup(self.receiver.kind, name, after) if isinstance(after, type) else None
        return _bind(found[1], self.receiver) if found else None


def _bind(found: object, receiver: Receiver | None) -> Callee | None:
    if isinstance(found, staticmethod):
        return Callee(found.__func__)
    if isinstance(found, classmethod):
        return Callee(found.__func__, Receiver(receiver.kind, receiver.kind)) if receiver else None
    if isinstance(found, type):
        return Callee(found)
    return Callee(found, receiver) if _is_function(found) or found is type.__call__ else None


def _is_function(target: object) -> bool:
    return isinstance(target, FunctionType) or target is object.__init__ or target is object.__new__


_COLLECTIONS = (dict, list, tuple, set, frozenset)


def _leaves(item: Any) -> Iterator[object]:
    if not isinstance(item, _COLLECTIONS):
        yield item
    elif isinstance(item, dict):
        for pair in item.items():
            yield from _leaves(pair)
    else:
        for part in item:
            yield from _leaves(part)


def _stores(tree: ast.AST, name: str) -> int:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name)
    return sum(isinstance(node.ctx, ast.Store) for node in found)


def makes_instances(kind: type) -> bool:
    """Tell whether each `__new__` of a class returns an instance of it, whose `__init__` Python then calls."""
    found = [vars(owner)["__new__"] for owner in kind.__mro__ if "__new__" in vars(owner)]
    return all(_makes_instance(item.__func__) for item in found if isinstance(item, staticmethod))


def _makes_instance(new: Any) -> bool:
    source = source_of(new.__code__)
    if source is None or not source.parameters or source.stored[source.parameters[0]]:
        return False
    scope = Scope(new, source, None)
    made: dict[str, bool] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            made[node.targets[0].id] = made.get(node.targets[0].id, True) and _is_instance(node.value, scope)
    returned = [node.value for node in ast.walk(source.tree) if isinstance(node, ast.Return)]
    return bool(returned) and all(
        made.get(value.id, False) if isinstance(value, ast.Name) else _is_instance(value, scope) for value in returned
    )


def _is_instance(node: ast.expr | None, scope: Scope) -> bool:
    """Tell whether an expression in a `__new__` asks another `__new__` for an instance of the same class."""
    match node:
        case ast.Call(func=function, args=[ast.Name(id=name), *_]) if name == scope.source.parameters[0]:
            callee = scope.resolve(function)
            is_object_s = callee is not None and callee.target is object.__new__
            return is_object_s or (isinstance(function, ast.Attribute) and function.attr == "__new__")
    return False
