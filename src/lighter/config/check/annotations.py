"""What annotations come down to, and what literals their classes take."""

from __future__ import annotations

import datetime as dt
import inspect
import numbers
import os
import typing
from collections import abc, deque
from dataclasses import InitVar
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

REAL = (int, float)
_TAKES: dict[object, tuple[type, ...]] = {  # the literals that a class and its subclasses take; torch's go by name
    **dict.fromkeys((int, numbers.Integral, typing.SupportsIndex, "numpy.integer"), (int,)),
    **dict.fromkeys((float, complex, numbers.Number, numbers.Complex, numbers.Real, numbers.Rational), REAL),
    **dict.fromkeys((typing.SupportsFloat, typing.SupportsInt, typing.SupportsComplex, "numpy.number"), REAL),
    **dict.fromkeys((bool, "numpy.bool", "numpy.bool_"), (bool,)),
    **dict.fromkeys((str, bytes, bytearray, PurePath, os.PathLike), (str,)),
    **dict.fromkeys((Decimal, Fraction), (*REAL, str)),
    **dict.fromkeys((dt.date, dt.time, dt.timedelta), (str, dict)),
    **dict.fromkeys((abc.Callable, type, NoneType, "torch.dtype", "torch.Tensor"), ()),
    **dict.fromkeys((Enum, "torch.device"), (str, int)),
    **dict.fromkeys(("numpy.ndarray", "numpy.dtype"), (*REAL, str, list, dict)),
}
READABLE = (abc.Sequence, abc.Collection, abc.Iterable, abc.Container, abc.Reversible, abc.Sized)  # as text is
ITERABLE = (*READABLE[1:], abc.Iterator, abc.Generator)  # as a mapping is, or what iter() makes of one
_LISTS = (abc.Sequence, abc.Set, deque)
_WRAPPERS = {
    f"{module}.{name}"
    for module in ("typing", "typing_extensions")
    for name in ("Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly")
}
MAX_DEPTH = 8  # of unions and wrappers in each other: an alias may name itself


def alternatives_of(*annotations: Any, depth: int = 0) -> list[Any]:
    """Return what annotations come down to without unions and wrappers, all literals as one."""
    found: list[Any] = []
    for annotation in annotations:
        if type(annotation) is type:  # as most are
            found.append(annotation)
            continue
        inner = _inside(annotation) if depth <= MAX_DEPTH else (Any,)
        found += [annotation] if inner is None else alternatives_of(*inner, depth=depth + 1)
    choices = [choice for item in found if get_origin(item) is Literal for choice in get_args(item)]
    if not choices or len(found) == 1:
        return found
    return [Literal.__getitem__(tuple(choices)), *(item for item in found if get_origin(item) is not Literal)]


def _inside(annotation: Any) -> tuple[Any, ...] | None:
    """Return the annotations that a union or a wrapper stands for, or None where it is neither."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None and inspect.isclass(annotation):
        return None
    if origin is Union or origin is UnionType:
        return args
    if full_name(origin) in _WRAPPERS or str(origin) in _WRAPPERS:
        return args[:1]
    if isinstance(annotation, InitVar):
        return (annotation.type,)
    if isinstance(annotation, TypeVar):
        return annotation.__constraints__ or (annotation.__bound__ or Any,)
    if type(annotation if origin is None else origin).__name__ == "TypeAliasType":
        return (annotation.__value__,)
    return (annotation.__supertype__,) if hasattr(annotation, "__supertype__") else None


def takes_of(cls: type) -> tuple[type, ...] | None:
    """Return the literals that a class takes; torch's and numpy's go by name, so that neither is imported here."""
    for base in (Enum,) if issubclass(cls, Enum) else cls.__mro__:
        found = _TAKES.get(base, _TAKES.get(full_name(base)))
        if found is not None:
            return found
    return None


def full_name(item: Any) -> str:
    return f"{getattr(item, '__module__', '')}.{getattr(item, '__qualname__', '')}"


def is_list(cls: type) -> bool:
    return issubclass(cls, _LISTS) or cls in ITERABLE


def is_fixed(args: tuple[Any, ...]) -> bool:
    """Tell whether a tuple's length is said; tuple[int] is written for tuples of any length too often to say it."""
    return len(args) > 1 and args[-1] is not Ellipsis


def is_asked_for(kind: type, annotation: Any, default: object = None) -> bool:
    """Tell whether an argument takes a class itself: something that makes such objects when it is called."""
    if inspect.isclass(default) and default is not inspect.Parameter.empty:
        return True
    calls = [get_args(item) for item in alternatives_of(annotation) if get_origin(item) is abc.Callable]
    made = [get_origin(item) or item for args in calls if args[:1] != ([],) for item in alternatives_of(*args[-1:])]
    return any(item is base for item in made for base in kind.__mro__ if base is not object)


def takes_callable(annotation: Any) -> bool:
    """Tell whether a function may be given."""
    kinds = [get_origin(item) or item for item in alternatives_of(annotation)]
    free = (abc.Callable, object, inspect.Parameter.empty)
    return any(not inspect.isclass(kind) or any(kind is item for item in free) for kind in kinds)
