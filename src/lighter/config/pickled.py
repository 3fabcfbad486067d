"""Read the plain data of a pickle without unpickling it: nothing in it is imported, called or built.

Python's own table of a pickle's operations says what each of them takes from the stack and leaves there. Those that
make plain data are carried out; whatever another one would leave is `OPAQUE`.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from typing import Any, Final

MAX_OPERATIONS = 5_000_000  # a bound on what a hostile file can cost; a tensor takes some thirty


class Opaque:
    """What is no plain data, such as a tensor."""

    def __repr__(self) -> str:
        return "<an object>"


OPAQUE: Final = Opaque()

_SCALARS = ("int", "int_or_bool", "float", "str", "bytes_or_str")  # what the table calls them
_MARK = "mark"


def read_pickle(pickled: bytes) -> object:
    """Return what a pickle holds, tuples as lists.

    Raises:
        ValueError: it is no pickle, or holds too much.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of odd escapes in damaged text
            return _run(pickled)
    except (IndexError, KeyError, UnicodeDecodeError) as error:  # a stack or a memo that holds less than is taken
        raise ValueError("it contradicts itself") from error


def _run(pickled: bytes) -> object:
    stack: list[Any] = []
    outer: list[list[Any]] = []  # the stacks below the marks
    memo: dict[Any, object] = {}
    for count, (operation, given, _) in enumerate(pickletools.genops(pickled)):
        if count == MAX_OPERATIONS:
            raise ValueError(f"it takes more than {MAX_OPERATIONS} operations")
        name = operation.name
        if name in _PUTS:
            memo[len(memo) if given is None else given] = stack[-1]
        elif name in _GETS:
            stack.append(memo[given])
        elif name == "MARK":
            outer.append(stack)
            stack = []
        elif name == "STOP":
            break
        else:
            number, to_mark = _TAKEN[name]
            taken = []
            if to_mark:
                taken, stack = stack, outer.pop()
            if number:
                taken[:0] = stack[-number:]
                del stack[len(stack) - number :]
            stack += _left(name, given, taken)
    return stack.pop()


def _left(name: str, given: object, taken: list[Any]) -> list[Any]:
    """Return what an operation leaves on the stack."""
    if name in _MAKERS:
        return _MAKERS[name](taken)
    left = _LEFT[name]
    return [given] if left and left[0] in _SCALARS else [OPAQUE] * len(left)


def _list(items: list[Any]) -> list[Any]:
    return [items]


def _extended(taken: list[Any]) -> list[Any]:
    target, *items = taken
    if isinstance(target, list):
        target += items
    return [target]


def _dict(items: list[Any]) -> list[Any]:
    return _filled([{}, *items])


def _filled(taken: list[Any]) -> list[Any]:
    target, *items = taken
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            is_plain = key is None or isinstance(key, (str, int, float))
            target[key if is_plain else OPAQUE] = value  # a tuple of tuples takes its depth in recursion to be a key
    return [target]


_MAKERS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "NONE": lambda _: [None],
    "NEWTRUE": lambda _: [True],
    "NEWFALSE": lambda _: [False],
    **dict.fromkeys(("EMPTY_LIST", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), _list),
    **dict.fromkeys(("APPEND", "APPENDS"), _extended),
    **dict.fromkeys(("EMPTY_DICT", "DICT"), _dict),
    **dict.fromkeys(("SETITEM", "SETITEMS"), _filled),
    "DUP": lambda taken: taken * 2,
}
_PUTS = ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT")
_GETS = ("BINGET", "LONG_BINGET", "GET")
_BEFORE = {item.name: [kind.name for kind in item.stack_before] for item in pickletools.opcodes}
_TAKEN = {  # how many from the stack, and whether all above the last mark too
    name: (before.index(_MARK) if _MARK in before else len(before), _MARK in before) for name, before in _BEFORE.items()
}
_LEFT = {item.name: [kind.name for kind in item.stack_after] for item in pickletools.opcodes}
