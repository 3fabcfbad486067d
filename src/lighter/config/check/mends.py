"""What may have been meant by a value that does not fit."""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import inspect
import re
import sys
from collections import abc
from collections.abc import Callable, Iterator
from enum import EnumMeta
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lighter.config.check.annotations import (
    REAL,
    alternatives_of,
    full_name,
    is_asked_for,
    is_fixed,
    is_list,
    takes_of,
)
from lighter.config.check.wording import spelled
from lighter.config.load import resolve_scalar
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node
from lighter.errors import Place, did_you_mean, nearest

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_ARITHMETIC = re.compile(r"\d[\d.]*(?:\s*(?:\*\*|[*/])\s*\d[\d.]*)+")
_NOT_FINITE = {"inf": ".inf", "+inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
_OTHER_WORDS = {  # for choices of libraries
    **dict.fromkeys(("fp16", "float16", "half", "amp", "mixed"), "16-mixed"),
    **dict.fromkeys(("bfloat16", "bf16"), "bf16-mixed"),
    **dict.fromkeys(("fp32", "float32", "float"), "32-true"),
    **dict.fromkeys(("fp64", "float64", "double"), "64-true"),
}
NOWHERE = Place()
_SWITCHES = {True: ("on", "yes", "true"), False: ("off", "no", "false")}


def mend(node: Node, wanted: tuple[Any, ...], fits: Callable[[Node, Any], bool], default: object = None) -> str | None:
    """Return the first mend that fits; else the choice, the mapping or the expression that may be meant."""
    alternatives = alternatives_of(*wanted)
    is_span = dt.timedelta in alternatives and isinstance(node.value, REAL)
    for value, words in () if is_span else _mends(node):
        if any(fits(Node(value, node.place), item) for item in _among(alternatives, node.value, value)):
            return words
    if listed := _as_list(node, [item for item in alternatives if _is_any_length(item)], fits):
        return listed
    if node.value is None:
        return "write none" if "none" in _choices(alternatives) else None
    if isinstance(node.value, str):
        if found := _choice(node.value, _choices(alternatives)) or _as_expression(node.value):
            return found
        if {int, float} & set(alternatives):
            return None  # a number is meant, and what number only its writer knows
    advice = (_advice(node.value, item, default) for item in alternatives)
    return next(filter(None, advice), None)


def _among(alternatives: list[Any], written: Any, meant: Any) -> list[Any]:
    """Return the alternatives that what is meant has to fit one of."""
    if isinstance(meant, bool):
        return [item for item in alternatives if inspect.isclass(item) and takes_of(item) == (bool,)]
    if not isinstance(meant, str) or isinstance(written, list):
        return alternatives
    return [] if int in alternatives or float in alternatives else texts_among(alternatives)


def texts_among(alternatives: list[Any]) -> list[Any]:
    """Return the alternatives that are text, or a choice of texts."""
    origins = [(item, get_origin(item)) for item in alternatives]
    classes = [
        item for item, origin in origins if origin is None and inspect.isclass(item) and takes_of(item) == (str,)
    ]
    return [*classes, *(item for item, origin in origins if origin is Literal)]


def _mends(node: Node) -> Iterator[tuple[Any, str]]:
    """Yield what may have been meant by a value, and how to write it."""
    value = node.value
    if isinstance(value, str):
        yield from _readings(value.strip())
    elif isinstance(value, bool):
        yield "\0", "in quotes"  # which is no one's choice: any text will do
        yield from ((word, f"in quotes: {word!r}") for word in _SWITCHES[value])
    elif isinstance(value, (int, float)):
        yield from _whole(value)
        yield str(value), f"in quotes: {str(value)!r}" if isinstance(value, int) else "in quotes"
    elif isinstance(value, list) and len(value) == 1:
        yield value[0].value, f"without the list: {spelled(value[0].plain(), 40)}"


def _readings(text: str) -> Iterator[tuple[Any, str]]:
    """Yield what text may have been meant to be that YAML does not read it as."""
    digits = text.replace("_", "")
    read = resolve_scalar(digits)
    if text and not isinstance(read, str):
        yield read, f"without quotes: {text}" if text == digits else f"write {digits}"
        yield from _whole(read)
    elif meant := nearest(text, ("true", "false")):
        yield meant == "true", f"write {meant}"
    if items := _tuple(text):
        yield items, f"write {spelled(items, 40)}"
    if text.lower() in ("none", ""):
        yield None, "write null"
    if text.lower() in _NOT_FINITE:
        yield float(text), f"write {_NOT_FINITE[text.lower()]}"
    if _ARITHMETIC.fullmatch(text):
        yield 0.5 if "/" in text else 1, f'as an expression: "${text}"'


def _whole(number: object) -> Iterator[tuple[Any, str]]:
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        yield int(number), f"write {int(number)}"


def _tuple(text: str) -> list[Node]:
    """Return the items of a tuple or list of literals as Python writes it."""
    try:
        items = ast.literal_eval(text) if text[:1] in "([" else ()
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return []
    plain = isinstance(items, (tuple, list)) and all(type(item) in (bool, int, float, str) for item in items)
    return [Node(item, NOWHERE) for item in items] if plain else []


def _is_any_length(annotation: Any) -> bool:
    """Tell whether an annotation takes a list of as many items as there are."""
    origin = get_origin(annotation) or annotation
    return inspect.isclass(origin) and is_list(origin) and not (origin is tuple and is_fixed(get_args(annotation)))


def _as_list(node: Node, lists: list[Any], fits: Callable[[Node, Any], bool]) -> str | None:
    """Return how to write a single item, or a mapping of things to build, as a list."""
    if is_table(node):
        items, words = [item for _, item in node.items()], "as a list, without the keys: [{_target_: …}]"
    elif isinstance(node.value, (str, int, float)):
        items, words = [node], f"as a list: [{spelled(node.value, 40)}]"
    else:
        return None
    return words if any(fits(Node(items, node.place), item) for item in lists) else None


def is_table(node: Node) -> bool:
    """Tell whether a value is a mapping of nothing but things to build."""
    return isinstance(node.value, dict) and bool(node.value) and all(item.is_target for item in node.value.values())


def _choices(alternatives: list[Any]) -> list[str]:
    literals = [choice for item in alternatives if get_origin(item) is Literal for choice in get_args(item)]
    members = [name for item in alternatives if isinstance(item, EnumMeta) for name in item.__members__]
    return [choice for choice in (*literals, *members) if isinstance(choice, str)]


def _choice(text: str, choices: list[str]) -> str | None:
    other, last = _OTHER_WORDS.get(text.lower()), text.rpartition(".")[2]
    if other in choices:
        return f"did you mean {other!r}?"
    return f"write {last}" if "." in text and last in choices else did_you_mean(text, choices)


def _as_expression(text: str) -> str | None:
    """Return how to write a lambda or a call, which is text without its `$`."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(tree, (ast.Lambda, ast.Call)):
        return None
    names = dict.fromkeys(item.id for item in ast.walk(tree) if isinstance(item, ast.Name))
    modules = ", ".join(f"{name}: {name}" for name in names if name in sys.modules and name not in dir(builtins))
    quoted = f'"${text}"' if not {'"', "\\"} & {*text} else "'$" + text.replace("'", "''") + "'"
    return f"an expression starts with '$': {quoted}" + (f" with `_imports_: {{{modules}}}`" if modules else "")


def _advice(value: Any, annotation: Any, default: object) -> str | None:
    """Return how to give an argument what no literal can be."""
    origin = get_origin(annotation) or annotation
    text = value if isinstance(value, str) else ""
    dotted = _DOTTED.fullmatch(text) is not None
    name, kind = text.removeprefix("torch."), full_name(origin)
    if kind == "torch.dtype":
        known = isinstance(getattr(sys.modules.get("torch"), name or "-", None), origin)
        return f'"$torch.{name}" with `_imports_: {{torch: torch}}`' if known else None
    if kind == "torch.Tensor" and not isinstance(value, (str, dict)):
        return f"{{_target_: torch.tensor, data: {spelled(value, 40)}}}"
    if origin is dt.timedelta and isinstance(value, REAL) and not isinstance(value, bool):
        return f"{{_target_: datetime.timedelta, seconds: {spelled(value)}}}"
    if origin is abc.Callable:
        is_built = dotted and _makes_callables(text, annotation, default)
        return f"{{_target_: {text}}}" if is_built else f"{{_target_: {text if dotted else '…'}, _mode_: callable}}"
    if origin is type:
        top = text.split(".")[0]
        return f'"${text}" with `_imports_: {{{top}: {top}}}`' if dotted else 'an expression: "$…"'
    if not inspect.isclass(origin) or origin is NoneType or takes_of(origin):
        return None
    if issubclass(origin, abc.Mapping) or is_list(origin):
        return None
    if isinstance(value, dict):
        return f"say what to build: `_target_: {kind}`"
    return None if "::" in text else f"{{_target_: {text}}}" if dotted else "a mapping with `_target_`"


def _makes_callables(name: str, annotation: Any, default: object) -> bool:
    """Tell whether a name is that of a class whose objects, and not itself, are meant where a callable is taken."""
    try:
        found = import_object(name) if name.split(".")[0] in sys.modules else None
    except TargetError:
        return False
    is_callable = isinstance(found, type) and any("__call__" in vars(base) for base in found.__mro__)
    return is_callable and isinstance(found, type) and not is_asked_for(found, annotation, default)
