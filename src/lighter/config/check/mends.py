"""What may have been meant by a value that does not fit."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import sys
from collections import abc
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lighter.config.check.annotations import REAL, alternatives_of, full_name, is_list, takes_of
from lighter.config.check.wording import spelled
from lighter.config.load import resolve_scalar
from lighter.config.tree import Node
from lighter.errors import did_you_mean

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_ARITHMETIC = re.compile(r"\d[\d.]*(?:\s*(?:\*\*|[*/])\s*\d[\d.]*)+")
_NOT_FINITE = {"inf": ".inf", "+inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
_SWITCHES = {True: ("on", "yes", "true"), False: ("off", "no", "false")}


def mend(node: Node, wanted: tuple[Any, ...], fits: Callable[[Node, Any], bool]) -> str | None:
    """Return the first mend that fits; else the choice, the mapping or the expression that may be meant."""
    alternatives = alternatives_of(*wanted)
    texts = [] if int in alternatives or float in alternatives else texts_among(alternatives)
    for value, words in _mends(node):
        among = texts if isinstance(value, str) and not isinstance(node.value, list) else alternatives
        if any(fits(Node(value, node.place), alternative) for alternative in among):
            return words
    literals = [item for item in alternatives if get_origin(item) is Literal]
    choices = [choice for item in literals for choice in get_args(item) if isinstance(choice, str)]
    if node.value is None:
        return "write none" if "none" in choices else None
    if isinstance(node.value, str) and (nearest := did_you_mean(node.value, choices)):
        return nearest
    if isinstance(node.value, str) and {int, float} & set(alternatives):
        return None  # a number is meant, and what number only its writer knows
    advice = (_advice(node.value, get_origin(item) or item) for item in alternatives)
    return next(filter(None, advice), None)


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
    if isinstance(value, list) and len(value) == 1:
        yield value[0].value, f"without the list: {spelled(value[0].plain(), 40)}"
    elif isinstance(value, (str, int, float)):
        yield [node], f"as a list: [{spelled(value, 40)}]"


def _readings(text: str) -> Iterator[tuple[Any, str]]:
    """Yield what text may have been meant to be that YAML does not read it as."""
    digits = text.replace("_", "")
    read = resolve_scalar(digits)
    if text and not isinstance(read, str):
        yield read, f"without quotes: {text}" if text == digits else f"write {digits}"
        yield from _whole(read)
    if text.lower() in ("none", ""):
        yield None, "write null"
    if text.lower() in _NOT_FINITE:
        yield float(text), f"write {_NOT_FINITE[text.lower()]}"
    if _ARITHMETIC.fullmatch(text):
        yield 0.5 if "/" in text else 1, f'as an expression: "${text}"'


def _whole(number: object) -> Iterator[tuple[Any, str]]:
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        yield int(number), f"write {int(number)}"


def _advice(value: Any, origin: Any) -> str | None:
    """Return how to give an argument what no literal can be."""
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
        return f"{{_target_: {text if dotted else '…'}, _mode_: callable}}"
    if origin is type:
        top = text.split(".")[0]
        return f'"${text}" with `_imports_: {{{top}: {top}}}`' if dotted else 'an expression: "$…"'
    if not inspect.isclass(origin) or origin is NoneType or takes_of(origin):
        return None
    if issubclass(origin, abc.Mapping) or is_list(origin):
        return None
    return None if "::" in text else f"{{_target_: {text}}}" if dotted else "a mapping with `_target_`"
