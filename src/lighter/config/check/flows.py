"""What becomes of the names in a function's `**kwargs` on the way through its body."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lighter.config.check.arguments import NONE, Argument


@dataclass(frozen=True)
class Flow:
    """What has become, at one point of a function, of the names in its `**kwargs`."""

    held: frozenset[str] = NONE  # the variables that hold them
    named: Mapping[str, Argument | None] = field(default_factory=dict)  # those known to have come through
    open: bool = True  # others may have come through too
    gone: frozenset[str] = NONE  # may have been taken out or replaced
    added: frozenset[str] = NONE  # may have been put in
    filled: bool = False  # any may have been put in
    lost: bool = False  # any may have been taken out
    required: frozenset[str] = NONE
    placed: frozenset[str] = NONE  # of those required, what `*args` may have given
    places: tuple[Argument, ...] | None = None  # what `*args` are, where all calls that they go to agree
    more_places: bool = True
    disputed: bool = False  # they do not agree
    dead: bool = False  # no call gets here

    def through(self, named: Mapping[str, Argument | None], is_open: bool) -> Flow:
        """Let through only the names that a callee takes, and those that never reach it."""
        told = {name: self._told(name, named.get(name)) for name in (*named, *sorted(self.gone))}
        stays_open = is_open or self.lost
        names = (*told, *self.named) if stays_open else tuple(told)
        if not self.open:
            names = tuple(name for name in self.named if stays_open or name in told)
        known = {name: self.named.get(name) or told.get(name) for name in names}
        return replace(self, named=known, open=self.open and stays_open)

    def _told(self, name: str, argument: Argument | None) -> Argument | None:
        return _unannotated(argument) if self.lost or name in self.gone else argument

    def placing(self, places: tuple[Argument, ...], more: bool) -> Flow:
        """Hand `*args` on as these arguments of a callee."""
        agree = self.places is None or (_names(places), more) == (_names(self.places), self.more_places)
        placed = self.placed | {item.name for item in places}
        return replace(self, places=places, more_places=more, placed=placed, disputed=self.disputed or not agree)

    def peek(self, names: frozenset[str] | None) -> Flow:
        return replace(self, named={**dict.fromkeys(sorted(names or ())), **self.named}) if self.open else self

    def take(self, names: frozenset[str] | None) -> Flow:
        return self.shaken() if names is None else replace(self.peek(names), gone=self.gone | names)

    def put(self, names: frozenset[str] | None) -> Flow:
        return replace(self, filled=True) if names is None else replace(self, added=self.added | names)

    def shaken(self) -> Flow:
        """Return the flow after something that may have changed the names in any way."""
        return self if self.lost and self.filled else replace(self, lost=True, filled=True)

    def __or__(self, other: Flow) -> Flow:
        """Return the flow where two paths meet."""
        if self is other or self.dead or other.dead:
            return self if other.dead else other
        agree = _names(self.places) == _names(other.places) and self.more_places == other.more_places
        return Flow(
            held=self.held & other.held,
            named={name: _either(name, self, other) for name in (*self.named, *other.named)},
            open=self.open or other.open,
            gone=self.gone | other.gone,
            added=self.added | other.added,
            filled=self.filled or other.filled,
            lost=self.lost or other.lost or self.held != other.held,
            required=self.required & other.required,
            placed=self.placed | other.placed,
            places=self.places,
            more_places=self.more_places,
            disputed=self.disputed or other.disputed or not agree,
        )


DEAD = Flow(dead=True)


def is_held(node: ast.AST, flow: Flow) -> bool:
    """Tell whether an expression is a variable that holds the names."""
    return isinstance(node, ast.Name) and node.id in flow.held


def holds(node: ast.expr, flow: Flow) -> bool:
    """Tell whether an expression is a dictionary with all of the names as they are, perhaps among others."""
    match node:
        case ast.Name():
            return is_held(node, flow)
        case ast.Dict(keys=[*_, None], values=[*_, last]):
            return holds(last, flow)
        case ast.BinOp(op=ast.BitOr() | ast.Add(), right=last):
            return holds(last, flow)
        case ast.Call(func=ast.Attribute(value=value, attr="copy" | "items"), args=[]):
            return holds(value, flow)
        case ast.Call(func=ast.Name(id="dict" | "list" | "OrderedDict"), args=[value], keywords=[]):
            return holds(value, flow)
        case ast.Call(func=ast.Name(id="dict" | "OrderedDict"), keywords=[*_, ast.keyword(arg=None, value=value)]):
            return holds(value, flow)
    return False


def split(test: ast.expr, flow: Flow) -> tuple[Flow, Flow]:
    """Return the flows where a test holds and where it does not."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return split(test.operand, flow)[::-1]
        case ast.BoolOp(op=ast.And()):
            then, otherwise = flow, DEAD
            for value in test.values:
                then, fails = split(value, then)
                otherwise |= fails
            return then, otherwise
        case ast.BoolOp(op=ast.Or()):
            turned: list[ast.expr] = [ast.UnaryOp(ast.Not(), value) for value in test.values]
            return split(ast.BoolOp(ast.And(), turned), flow)[::-1]
    some = _some(test, flow)
    if some is None:
        return flow, flow
    none = flow.through({}, False)
    return (flow, none) if some else (none, flow)


def _some(test: ast.expr, flow: Flow) -> bool | None:
    """Tell whether a test means that names are left (True) or that none is (False)."""
    match test:
        case ast.Compare(left=left, ops=[operator], comparators=[ast.Constant(value=0) | ast.Dict(keys=[])]):
            sized = _some(left, flow)
            kinds = {ast.Gt: sized, ast.NotEq: sized, ast.Eq: not sized}
            return kinds.get(type(operator)) if sized else None
        case ast.Call(func=ast.Name(id="len" | "bool"), args=[value], keywords=[]):
            return _some(value, flow)
    return True if is_held(test, flow) else None


def _names(arguments: tuple[Argument, ...] | None) -> list[str] | None:
    return None if arguments is None else [argument.name for argument in arguments]


def _either(name: str, first: Flow, second: Flow) -> Argument | None:
    """Return what is known of a name that came along one path or the other: its annotation, only if they agree."""
    if name not in first.named:
        first, second = second, first
    argument = first.named[name]
    if name not in second.named:
        return _unannotated(argument) if second.open else argument
    other = second.named[name]
    if argument is None or other is None:
        return _unannotated(argument or other)
    return argument if argument.annotation == other.annotation else _unannotated(argument)


def _unannotated(argument: Argument | None) -> Argument | None:
    return replace(argument, annotation=inspect.Parameter.empty) if argument else None
