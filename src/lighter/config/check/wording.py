"""Annotations and values in the words of a message."""

from __future__ import annotations

import inspect
import numbers
import os
import re
import typing
from collections import abc
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lighter.config.check.annotations import alternatives_of, is_fixed, is_list, takes_of
from lighter.config.tree import Node, key_text
from lighter.errors import shorten

WORDS = 80  # of an annotation in words
_NAMES: dict[object, str] = {
    **dict.fromkeys((str, bytes, bytearray), "text"),
    **dict.fromkeys((numbers.Integral, typing.SupportsIndex), "an int"),
    **dict.fromkeys((numbers.Number, numbers.Complex, numbers.Real, typing.SupportsFloat), "a number"),
    **dict.fromkeys((PurePath, os.PathLike), "a path"),
    **dict.fromkeys((inspect.Parameter.empty, Any), "anything"),
    abc.Callable: "a callable",
    NoneType: "null",
}


def describe_annotation(annotation: object) -> str:
    """Say in at most 80 characters what an annotation asks for."""
    try:
        return words_for((annotation,), WORDS)
    except Exception:  # as above
        return "anything"


def words_for(annotations: tuple[Any, ...], width: int) -> str:
    """Name the alternatives of annotations, as many as there is room for."""
    alternatives = sorted(alternatives_of(*annotations), key=lambda item: item is NoneType)
    words = list(dict.fromkeys(_noun(alternative) for alternative in alternatives))
    text = _listed(words)
    while len(text) > width and len(words) > 1:
        words.pop()
        text = _listed([*words, "…"])
    return shorten(text, width)


def _listed(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _noun(annotation: Any, depth: int = 0) -> str:
    """Name what an annotation that is no union asks for."""
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Literal:
        choices = ", ".join(spelled(choice) for choice in args)
        choices = choices if len(choices) < 50 else f"{choices[:50].rsplit(', ', 1)[0]}, …"
        return f"one of {choices}" if len(args) > 1 else choices
    if origin is Any or not inspect.isclass(origin):
        return "anything"
    if name := next((_NAMES[base] for base in origin.__mro__ if base in _NAMES), None):
        return name
    if takes_of(origin) is None and issubclass(origin, abc.Mapping):
        return _holding("a mapping", " to ".join(_plural(arg, depth) for arg in args[:2]))
    if takes_of(origin) is None and is_list(origin):
        fixed = origin is tuple and is_fixed(args)
        items = list(dict.fromkeys(_plural(arg, depth) for arg in args if arg is not Ellipsis))
        if fixed and len(items) > 1:
            return f"a list of {' and '.join(_listed(_nouns(arg, depth)) for arg in args)}"
        counted = f"{len(args)} {'texts' if items == ['text'] else items[0]}" if fixed else ""
        return _holding("a list", counted or " and ".join(items))
    return f"{'an' if origin.__name__[:1].lower() in 'aeiou' else 'a'} {origin.__name__}"


def _holding(container: str, contents: str) -> str:
    return f"{container} of {contents}" if contents and not contents.endswith("anything") else container


def _plural(annotation: Any, depth: int) -> str:
    return _listed([re.sub(r"^an? (\w+)", r"\1s", noun) for noun in _nouns(annotation, depth)])


def _nouns(annotation: Any, depth: int) -> list[str]:
    alternatives = alternatives_of(annotation) if depth < 3 else [Any]
    nouns = [_noun(alternative, depth + 1) for alternative in alternatives if alternative is not NoneType]
    return list(dict.fromkeys(nouns)) or ["null"]


def shown(value: Any, width: int) -> str:
    """Say what stands in the config."""
    if isinstance(value, str):
        return f"the text {shorten(repr(value), width - len('the text '))}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    return shorten(spelled(value), width)


def spelled(value: Any, width: int = WORDS) -> str:
    """Spell a value as YAML does, or leave it out where it is too long to."""
    if isinstance(value, list):
        text = f"[{', '.join(spelled(item.plain() if isinstance(item, Node) else item) for item in value)}]"
        return text if len(text) <= width else "[…]"
    if isinstance(value, dict):
        return "{…}"
    if value is None or isinstance(value, bool):
        return key_text(value)
    return shorten(repr(value.name if isinstance(value, Enum) else value), width)
