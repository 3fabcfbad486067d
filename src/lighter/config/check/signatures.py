"""What a callable takes: by position, by name, at least, and at most. Callables are inspected, never called."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import BuiltinFunctionType, FunctionType, MethodType, SimpleNamespace
from typing import Any

from lighter.config.check.arguments import EMPTY, NONE, NOTHING, Argument, Signature
from lighter.config.check.flows import Flow
from lighter.config.check.forwarding import Trail, follow
from lighter.config.check.kept import call_of, taking
from lighter.config.check.scopes import Callee, Receiver, lookup, makes_instances

UNSEEN = {  # what modules import for type checkers only, under names that no one gives to anything else
    **{name: getattr(abc, name) for name in ("Callable", "Collection", "Iterable", "Iterator", "Mapping", "Sequence")},
    **{name: getattr(typing, name) for name in ("Any", "Literal", "Optional", "Union")},
}
PASS_ON = type(functools.lru_cache(len))  # wraps a function, and calls it with what it is given
_known: dict[tuple[int, ...], tuple[Callee, Signature | None]] = {}  # by identity: what is kept cannot be confused


def signature_of(target: Callable[..., object]) -> Signature | None:
    """Return what a callable takes, or None where that cannot be known."""
    try:
        return _describe(Callee(target), ())
    except Exception:  # other people's metaclasses and descriptors run here, and may do anything
        return None


def _describe(callee: Callee, trail: Trail) -> Signature | None:
    receiver = callee.receiver
    key = id(callee.target), id(receiver and receiver.kind), id(receiver and receiver.itself)
    if key in _known:
        return _known[key][1]
    if isinstance(callee.target, type):
        found = _of_class(callee.target, trail)
    elif isinstance(callee.target, FunctionType):
        found = _of_function(callee.target, receiver, trail)
    else:
        return _of_object(callee, trail)
    _known[key] = callee, found
    return found


def _of_object(callee: Callee, trail: Trail) -> Signature | None:
    target, receiver = callee.target, callee.receiver
    if target is object.__init__ or target is object.__new__:
        return NOTHING  # it refuses all arguments where a class has an `__init__` or a `__new__` of its own
    if receiver:
        return _of_instance_of(receiver.itself, trail) if target is type.__call__ else None
    if isinstance(target, MethodType):
        owner = target.__self__
        bound = Receiver(owner, owner) if isinstance(owner, type) else Receiver(type(owner))
        return _describe(Callee(target.__func__, bound), trail)
    if isinstance(target, functools.partial):
        return _of_partial(target, trail)
    if isinstance(target, PASS_ON):
        return _describe(Callee(target.__wrapped__), trail)
    if isinstance(target, BuiltinFunctionType):
        return _stated(target, is_open=(target.__module__ or "").split(".")[0] not in sys.stdlib_module_names)
    call = lookup(type(target), "__call__")
    if call and isinstance(call[1], FunctionType):
        return _describe(Callee(call[1], Receiver(type(target))), trail)
    return _stated(target, is_open=True)


def _stated(target: Any, is_open: bool) -> Signature | None:
    """Return what a callable says of itself."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return None
    arguments = {item.name: Argument(item.name, item.annotation, item.default, target) for item in parameters}
    kinds = {item.name: item.kind for item in parameters}
    plain = [
        name
        for name, kind in kinds.items()
        if kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    return Signature(
        positional=tuple(arguments[name] for name in plain if kinds[name] is not inspect.Parameter.KEYWORD_ONLY),
        any_positional=is_open or inspect.Parameter.VAR_POSITIONAL in kinds.values(),
        named={name: arguments[name] for name in plain if kinds[name] is not inspect.Parameter.POSITIONAL_ONLY},
        required=NONE if is_open else frozenset(name for name in plain if arguments[name].default is EMPTY),
        open=is_open or inspect.Parameter.VAR_KEYWORD in kinds.values(),
    )


def _of_partial(target: functools.partial[object], trail: Trail) -> Signature | None:
    inner = _describe(Callee(target.func), trail)
    if inner is None:
        return None
    count = len(target.args)
    given = {item.name for item in inner.positional[:count] if inner.named.get(item.name) is item}
    named = {name: item for name, item in inner.named.items() if name not in given}
    named |= {name: replace(named[name], default=value) for name, value in target.keywords.items() if name in named}
    rest = inner.positional[count:]
    ends = [number for number, item in enumerate(rest) if item.name in target.keywords]
    return Signature(
        positional=rest[: ends[0]] if ends else rest,
        any_positional=inner.any_positional and not ends,
        named=named,
        required=inner.required - {item.name for item in inner.positional[:count]} - target.keywords.keys(),
        open=inner.open,
    )


# Classes


def _of_class(kind: type, trail: Trail) -> Signature | None:
    call = lookup(type(kind), "__call__")
    if call is None or call[1] is type.__call__:
        return _of_instance_of(kind, trail)
    if isinstance(call[1], FunctionType):
        return _describe(Callee(call[1], Receiver(type(kind), kind)), trail)
    return _stated(kind, is_open=True)


def _of_instance_of(kind: Any, trail: Trail) -> Signature | None:
    """Return what `type.__call__` takes for a class: what its `__new__` and its `__init__` do."""
    new, init = lookup(kind, "__new__"), lookup(kind, "__init__")
    assert new
    assert init
    make = new[1].__func__ if isinstance(new[1], staticmethod) else new[1]
    made = _describe(Callee(make, Receiver(kind, kind)), trail) if isinstance(make, FunctionType) else None
    is_plain = isinstance(init[1], FunctionType)
    if made is None:
        if is_plain:
            return _describe(Callee(init[1], Receiver(kind)), trail)
        return NOTHING if make is object.__new__ and init[1] is object.__init__ else _stated(kind, is_open=True)
    if init[1] is object.__init__:
        return made
    begun = _describe(Callee(init[1], Receiver(kind)), trail) if is_plain else None
    if begun is None or not makes_instances(kind):
        return _knowing(made, begun)
    return _both(made, begun)


def _knowing(signature: Signature, other: Signature | None) -> Signature:
    """Add what another signature tells of names that an open one may take."""
    return replace(signature, named={**other.named, **signature.named}) if signature.open and other else signature


def _both(first: Signature, second: Signature) -> Signature:
    """Return what two callables take that are called with the same arguments."""
    limited = [item for item in (second, first) if not item.any_positional]
    rule = min(limited, key=_count) if limited else max(second, first, key=_count)
    names = [item.name for item in rule.positional]
    disputed = {
        item.name
        for signature in (first, second)
        for item, name in zip(signature.positional, names, strict=False)
        if item.name != name
    }
    return Signature(
        positional=rule.positional,
        any_positional=rule.any_positional,
        named={
            name: second.named.get(name) or first.named[name]
            for name in (*second.named, *first.named)
            if (first.open or name in first.named) and (second.open or name in second.named)
        },
        required=(first.required | second.required) - disputed,
        open=first.open and second.open,
    )


def _count(signature: Signature) -> int:
    return len(signature.positional)


# Functions


def _of_function(function: FunctionType, receiver: Receiver | None, trail: Trail) -> Signature | None:
    if (function.__module__, function.__qualname__) == ("torch.nn.modules.module", "Module.__init__"):
        hands_on = lookup(receiver.kind, "call_super_init") if receiver else None
        return NOTHING if hands_on and hands_on[1] is False else Signature((), True, {}, NONE, True)
    code = function.__code__
    count, names = code.co_argcount, code.co_varnames
    arguments = {item.name: item for item in _arguments(function, receiver)}
    start = 1 if receiver and count else 0
    own = Signature(
        positional=tuple(arguments[name] for name in names[start:count]),
        any_positional=bool(code.co_flags & inspect.CO_VARARGS),
        named={name: arguments[name] for name in names[max(start, code.co_posonlyargcount) : len(arguments)]},
        required=frozenset(name for name in names[start : len(arguments)] if arguments[name].default is EMPTY),
        open=False,
    )
    if not code.co_flags & inspect.CO_VARKEYWORDS:
        return own
    holder = names[len(arguments) + own.any_positional]
    flow = follow(function, holder, receiver, _describe, trail)
    signature = _extended(own, flow, owner=function)
    if signature.open and (call := call_of(function, receiver)):
        signature = taking(signature, call, lambda target: _describe(Callee(target), trail))
    wrapped = getattr(function, "__wrapped__", None) if signature.open else None
    return _knowing(signature, _describe(Callee(wrapped, receiver), trail)) if callable(wrapped) else signature


def _extended(own: Signature, flow: Flow, owner: object) -> Signature:
    """Add to what a function declares what becomes of the rest."""
    extra = {
        name: argument or Argument(name, EMPTY, EMPTY, owner)
        for name, argument in flow.named.items()
        if name not in own.named
    }
    is_sure = own.any_positional and not (flow.disputed or flow.lost or flow.gone & flow.placed)
    places = flow.places if is_sure else None
    required = flow.required & (extra.keys() | {item.name for item in places or ()})
    return Signature(
        positional=own.positional + (places or ()),
        any_positional=own.any_positional and (places is None or flow.more_places),
        named={**own.named, **extra},
        required=own.required | (required if places is not None else required - flow.placed),
        open=flow.open,
    )


def _arguments(function: FunctionType, receiver: Receiver | None) -> Iterator[Argument]:
    """Yield the arguments that a function declares, the positional ones first, as its code has them."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False))
    defaults |= function.__kwdefaults__ or {}
    kind = _class_of(function, receiver)
    is_generated = code.co_filename == "<string>"  # the constructor of a dataclass or a named tuple
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        source = _declaring(kind, name) if kind and is_generated else kind
        namespace = vars(sys.modules[source.__module__]) if source and is_generated else function.__globals__
        annotation = _evaluated(function, name, namespace, source)
        is_construction = function.__name__ in ("__init__", "__new__")
        yield Argument(name, annotation, defaults.get(name, EMPTY), source if source and is_construction else function)


def _class_of(function: FunctionType, receiver: Receiver | None) -> type | None:
    """Return the class that defines a method, a decorated one too."""
    for kind in receiver.kind.__mro__ if receiver else ():
        here = f"{kind.__module__}.{kind.__qualname__}.{function.__name__}"
        there = vars(kind).get(function.__name__)
        if getattr(there, "__func__", there) is function or here == f"{function.__module__}.{function.__qualname__}":
            return kind
    return None


def _declaring(kind: type, field: str) -> type:
    """Return the class that a field comes from."""
    return next((base for base in kind.__mro__ if field in inspect.get_annotations(base)), kind)


def _evaluated(function: FunctionType, name: str, namespace: dict[str, Any], kind: type | None) -> object:
    """Return an annotation as an object, or empty where it is none: it may name what only a type checker imports."""
    written = function.__annotations__.get(name, EMPTY)
    if type(written) is type:
        return written
    if isinstance(written, str) and "(" in written:
        return EMPTY  # evaluating it would call something
    holder = SimpleNamespace(__annotations__={name: written}, __type_params__=getattr(function, "__type_params__", ()))
    for known, owner in ((namespace, None), (namespace, kind), ({**UNSEEN, **namespace}, kind)):
        try:
            local = dict(vars(owner)) if owner else {}
            return typing.get_type_hints(holder, known, local, include_extras=True)[name]
        except Exception:  # whatever evaluating other people's text may raise
            continue
    return EMPTY
