"""Where the `**kwargs` of a function go: the names that it takes and does not declare, as far as its source tells.

The body is followed along all of its paths. A call that hands the names on lets through what its callee takes, a path
that raises lets none through, and where paths meet, what came along any of them has come through. Whatever is not
understood lets everything through: a name is refused only where every path surely refuses it.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from types import FunctionType
from typing import Any

from lighter.config.check.arguments import NONE, Signature
from lighter.config.check.flows import DEAD, Flow, holds, is_held, split
from lighter.config.check.scopes import Callee, Receiver, Scope
from lighter.config.check.sources import source_of

DEPTH = 30  # of functions that hand names on to each other
UNRUN = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR  # a call does not run the body
READERS: tuple[object, ...] = (bool, len, dict, list, tuple, set, frozenset, sorted, str, repr, print, any, all)
READERS += (isinstance, type, id, iter, enumerate, zip, copy.copy, copy.deepcopy, OrderedDict)
READING = ("get", "items", "keys", "values", "copy", "__contains__", "__getitem__", "__len__")
JUMPS = ("return", "raise", "break", "continue")
REFLECTIVE = (locals, eval, exec)  # may do anything to the variables around them
SWALLOWING = ("suppress", "raises", "ExitStack")  # context managers behind which a call that raises may pass

Trail = tuple[FunctionType, ...]
Describe = Callable[[Callee, Trail], Signature | None]

_settled: dict[tuple[int, str], tuple[FunctionType, Flow]] = {}  # of functions whose receiver makes no difference


def follow(function: FunctionType, holder: str, receiver: Receiver | None, describe: Describe, trail: Trail) -> Flow:
    """Return what has become of the names in the parameter `holder` once the function has returned.

    `describe` tells what a callee takes; `trail` are the functions that the names came through.
    """
    key = id(function), holder
    if key in _settled:
        return _settled[key][1]
    code = function.__code__
    source = None if code.co_flags & UNRUN or len(trail) > DEPTH or function in trail else source_of(code)
    if source is None:
        return Flow().shaken()
    body = _Body(Scope(function, source, receiver), describe, (*trail, function))
    flow = body.follow(holder)
    flow = Flow().shaken() if flow.dead else flow
    if not body.asks_receiver:
        _settled[key] = function, flow
    return flow


class _Body:
    """One function; a method a kind of syntax, which takes the flow before it and returns the one after it."""

    def __init__(self, scope: Scope, describe: Describe, trail: Trail) -> None:
        self.scope = scope
        self.describe = describe
        self.trail = trail
        self.exits: list[Flow] = []
        self.jumps: list[list[Flow]] = []
        self.asks_receiver = False

    def follow(self, holder: str) -> Flow:
        end = self.block(self.scope.source.tree.body, Flow(held=frozenset({holder})))
        return reduce(Flow.__or__, self.exits, end)

    def block(self, statements: list[ast.stmt], flow: Flow) -> Flow:
        for statement in statements:
            if not flow.dead and self.scope.source.mentions(statement, (*flow.held, *JUMPS)):
                flow = self.visit(statement, flow)
        return flow

    def visit(self, node: ast.AST, flow: Flow) -> Flow:
        handle: Callable[[Any, Flow], Flow] = getattr(self, f"_{type(node).__name__.lower()}", self.parts)
        return handle(node, flow)

    def parts(self, node: ast.AST, flow: Flow) -> Flow:
        for name in node._fields:
            value = getattr(node, name, None)
            for part in value if isinstance(value, list) else [value]:
                flow = self.visit(part, flow) if isinstance(part, ast.AST) else flow
        return flow

    def read(self, node: ast.AST, flow: Flow) -> Flow:
        """Visit what only looks at the names, if it is they."""
        return flow if is_held(node, flow) else self.visit(node, flow)

    def reads(self, nodes: list[Any], flow: Flow) -> Flow:
        return reduce(lambda flow, node: self.read(node, flow), nodes, flow)

    # Statements

    def _return(self, node: ast.Return, flow: Flow) -> Flow:
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        if not (is_none and self.scope.function.__name__ == "__new__"):  # a class that makes nothing is of no use
            self.exits.append(self.parts(node, flow))
        return DEAD

    def _raise(self, node: ast.Raise, flow: Flow) -> Flow:  # noqa: ARG002 - no path goes on
        return DEAD

    def _if(self, node: ast.If, flow: Flow) -> Flow:
        then, otherwise = split(node.test, self._test(node.test, flow))
        return self.block(node.body, then) | self.block(node.orelse, otherwise)

    def _assert(self, node: ast.Assert, flow: Flow) -> Flow:
        flow = self._test(node.test, flow)
        return split(node.test, flow)[0] if __debug__ else flow

    def _for(self, node: ast.For, flow: Flow) -> Flow:
        return self._loop(node, self.visit(node.target, self.read(node.iter, flow)))

    def _while(self, node: ast.While, flow: Flow) -> Flow:
        return self._loop(node, self._test(node.test, flow))

    def _loop(self, node: ast.For | ast.While, flow: Flow) -> Flow:
        self.jumps.append([])
        end = self.block(node.body, flow)
        after = reduce(Flow.__or__, self.jumps.pop(), flow | end)
        return after | self.block(node.orelse, after)

    def _break(self, node: ast.Break | ast.Continue, flow: Flow) -> Flow:  # noqa: ARG002 - there is nothing in it
        self.jumps[-1].append(flow)
        return DEAD

    _continue = _break

    def _with(self, node: ast.With, flow: Flow) -> Flow:
        flow = reduce(lambda flow, item: self.visit(item, flow), node.items, flow)
        end = self.block(node.body, flow)
        managers = ast.dump(ast.Tuple([item.context_expr for item in node.items], ast.Load()))
        return flow.shaken() | end if any(word in managers for word in SWALLOWING) else end

    def _try(self, node: ast.Try, flow: Flow) -> Flow:
        end = self.block(node.orelse, self.block(node.body, flow))
        caught = [self.block(handler.body, flow.shaken()) for handler in node.handlers]
        end = reduce(Flow.__or__, caught, end)
        last = ast.walk(ast.Module(node.finalbody, []))
        leaves = any(isinstance(part, ast.Return | ast.Break | ast.Continue) for part in last)
        return self.block(node.finalbody, end | flow.shaken() if leaves else end)

    _trystar = _try

    def _match(self, node: ast.Match, flow: Flow) -> Flow:
        flow = self.visit(node.subject, flow)
        end = flow
        for case in node.cases:
            flow = flow | self._test(case.guard, flow) if case.guard else flow
            end |= self.block(case.body, flow)
        return end | flow

    def _assign(self, node: ast.Assign | ast.AnnAssign, flow: Flow) -> Flow:
        if node.value is None:
            return flow
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = frozenset(target.id for target in targets if isinstance(target, ast.Name))
        keeps = len(names) == len(targets) and holds(node.value, flow)
        after = self.read(node.value, flow) if keeps else self.visit(node.value, flow)
        after = reduce(lambda flow, target: self.visit(target, flow), targets, after)
        if not keeps:
            return after
        return replace(after, held=after.held | names, filled=after.filled or not isinstance(node.value, ast.Name))

    _annassign = _assign

    def _augassign(self, node: ast.AugAssign, flow: Flow) -> Flow:
        flow = self.read(node.value, flow)
        merges = is_held(node.target, flow) and isinstance(node.op, ast.BitOr)
        return replace(flow, filled=True) if merges else self.visit(node.target, flow)

    def _functiondef(self, node: ast.AST, flow: Flow) -> Flow:
        return flow.shaken() if any(is_held(part, flow) for part in ast.walk(node)) else flow

    _asyncfunctiondef = _classdef = _lambda = _functiondef

    # Expressions

    def _name(self, node: ast.Name, flow: Flow) -> Flow:
        if node.id not in flow.held:
            return flow
        return flow.shaken() if isinstance(node.ctx, ast.Load) else replace(flow, held=flow.held - {node.id})

    def _subscript(self, node: ast.Subscript, flow: Flow) -> Flow:
        flow = self.visit(node.slice, flow)
        if not is_held(node.value, flow):
            return self.visit(node.value, flow)
        names = self.scope.texts(node.slice)
        if isinstance(node.ctx, ast.Store):
            return flow.put(names) if names is None else flow.put(names).take(names)
        return flow.take(names) if isinstance(node.ctx, ast.Del) else flow.peek(names)

    def _compare(self, node: ast.Compare, flow: Flow) -> Flow:
        return self.reads([node.left, *node.comparators], flow)

    def _boolop(self, node: ast.BoolOp, flow: Flow) -> Flow:
        flow = self.visit(node.values[0], flow)
        return reduce(lambda flow, value: flow | self.visit(value, flow), node.values[1:], flow)

    def _test(self, node: ast.expr, flow: Flow) -> Flow:
        if isinstance(node, ast.BoolOp):
            first = self._test(node.values[0], flow)
            return reduce(lambda flow, value: flow | self._test(value, flow), node.values[1:], first)
        return self.read(node, flow)

    def _unaryop(self, node: ast.UnaryOp, flow: Flow) -> Flow:
        return self._test(node.operand, flow)

    def _ifexp(self, node: ast.IfExp, flow: Flow) -> Flow:
        then, otherwise = split(node.test, self._test(node.test, flow))
        return self.visit(node.body, then) | self.visit(node.orelse, otherwise)

    def _binop(self, node: ast.BinOp, flow: Flow) -> Flow:
        return self.reads([node.left, node.right], flow)

    def _starred(self, node: ast.Starred | ast.FormattedValue, flow: Flow) -> Flow:
        return self.read(node.value, flow)

    _formattedvalue = _starred

    def _dict(self, node: ast.Dict, flow: Flow) -> Flow:
        for key, value in zip(node.keys, node.values, strict=True):
            flow = self.read(value, flow) if key is None else self.visit(value, self.visit(key, flow))
        return flow

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, flow: Flow) -> Flow:
        flow = self.reads([node.generators[0].iter], flow)
        inner = self.reads([part for loop in node.generators for part in (loop.iter, loop.target, *loop.ifs)], flow)
        items = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return flow | reduce(lambda flow, item: self.visit(item, flow), items, inner)

    _setcomp = _generatorexp = _dictcomp = _listcomp

    def _call(self, node: ast.Call, flow: Flow) -> Flow:
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(node.func, ast.Attribute) and is_held(node.func.value, flow):
            return self._own_method(node.func.attr, node, self.reads(values, flow))
        flow = self.reads(values, self.visit(node.func, flow))
        callee, arguments = self.scope.bound(self.scope.resolve(node.func), node.args)
        if callee and any(callee.target is item for item in REFLECTIVE):
            return flow.shaken()
        lends = any(is_held(value, flow) for value in [*node.args, *(item.value for item in node.keywords if item.arg)])
        forwards = any(item.arg is None and holds(item.value, flow) for item in node.keywords)
        if lends or forwards:
            self.asks_receiver |= self.scope.is_received(node.func) or bool(callee and callee.receiver)
        if lends:
            flow = self._lend(node, callee, arguments, flow)
        if forwards:
            signature = self.describe(callee, self.trail) if callee else None
            flow = self._forward(node, arguments, signature, flow) if signature else flow
        return flow

    def _own_method(self, name: str, node: ast.Call, flow: Flow) -> Flow:
        names = self.scope.texts(node.args[0]) if node.args else None
        if name in READING:
            return flow.peek(names)
        if name == "setdefault":
            return flow.put(names)
        if name == "update":
            given = [*node.args, *(keyword for keyword in node.keywords if keyword.arg is None)]
            return flow.put(None if given else frozenset(keyword.arg for keyword in node.keywords if keyword.arg))
        return flow.take(names) if name == "pop" else flow.shaken()

    def _lend(self, node: ast.Call, callee: Callee | None, arguments: list[ast.expr], flow: Flow) -> Flow:
        """Follow the names into a function that is handed the dictionary itself."""
        if callee and any(callee.target is reader for reader in READERS):
            return flow
        if callee is None and (found := self.scope.candidates(node.func)):
            lent = [Callee(item) for item in found if callable(item)]
            return reduce(lambda flow, callee: flow | self._lend(node, callee, arguments, flow), lent, flow)
        if callee is None or not isinstance(callee.target, FunctionType):
            return flow.shaken()
        names = list(callee.target.__code__.co_varnames[: callee.target.__code__.co_argcount])[bool(callee.receiver) :]
        given = [*zip(names, arguments, strict=False), *((keyword.arg, keyword.value) for keyword in node.keywords)]
        holders = [name for name, value in given if name and is_held(value, flow)]
        if len(holders) != 1 or any(isinstance(argument, ast.Starred) for argument in arguments):
            return flow.shaken()
        after = follow(callee.target, holders[0], callee.receiver, self.describe, self.trail)
        flow = flow.through(after.named, after.open)
        return replace(
            flow,
            gone=flow.gone | after.gone,
            added=flow.added | after.added,
            filled=flow.filled or after.filled,
            lost=flow.lost or after.lost,
        )

    def _forward(self, node: ast.Call, arguments: list[ast.expr], signature: Signature, flow: Flow) -> Flow:
        """Hand the names on to a callee, which takes those that the call itself does not give it."""
        count = [*(isinstance(argument, ast.Starred) for argument in arguments), True].index(True)
        placed = signature.positional[:count]
        given = {keyword.arg for keyword in node.keywords if keyword.arg}
        taken = {item.name for item in placed if signature.named.get(item.name) is item} | given
        named = {name: item for name, item in signature.named.items() if name not in taken}
        required = signature.required - {item.name for item in placed} - given - flow.added - flow.gone
        ours = [keyword for keyword in node.keywords if keyword.arg is None]
        if flow.filled or len(ours) > 1 or not is_held(ours[0].value, flow):
            required = NONE
        rest = signature.positional[count:]
        flow = flow.through(named, signature.open)
        match arguments[count:]:
            case []:
                pass
            case [ast.Starred(value=ast.Name(id=self.scope.vararg))]:
                flow = flow.placing(rest, signature.any_positional)
            case _:
                required -= {item.name for item in rest}
        return replace(flow, required=flow.required | required) if required else flow
