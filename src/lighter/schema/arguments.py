"""What an argument takes, as a JSON Schema. It refuses no more than `lighter check` does of a whole config."""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, get_args, get_origin

from lighter.config.check.arguments import Argument
from lighter.config.check.help import argument_help
from lighter.config.check.values import contradiction
from lighter.config.check.wording import describe_annotation
from lighter.config.tree import Node, Plain, Scalar
from lighter.errors import Place

Schema: TypeAlias = dict[str, Any]

_help = functools.cache(argument_help)  # the same for all that inherit an argument

REFERENCE = "^[@%$]"  # what it stands for, only composing or building tells
# An editor reads YAML 1.2, where these are text; Lighter reads them as booleans.
SWITCHES = "[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF"

_COMPONENT: Plain = {"_target_": "_"}
_SAMPLES: dict[str, Plain] = {
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "string": "\0",  # no one's choice
    "array": [_COMPONENT],  # of a tuple of any length
}
# A component, or a change of one in another file; a value that is still to be written, there or here.
_ALWAYS = ("object", "null")
_LONGEST = 4  # of the tuples whose items are looked at
_DEEPEST = 8  # of the annotations in annotations: an alias may name itself


def argument_schema(argument: Argument) -> Schema:
    """Return what an argument takes, its help and its default."""
    schema: Schema = {}
    annotation, default = argument.annotation, _jsonable(argument.default)
    words = ""
    if types := value_schema(annotation, argument.default):
        words = describe_annotation(annotation)
        schema["allOf"] = [types]
    if default is not None:
        words = ", ".join(filter(None, [words, f"default {json.dumps(default)}"]))
    if description := ". ".join(filter(None, [words, _help(argument.owner, argument.name)])):
        schema["description"] = description
    if default is not None:
        schema["default"] = default
    return schema


def value_schema(annotation: object, default: object = inspect.Parameter.empty) -> Schema:
    """Return what an annotation lets a config say; an empty schema where that is anything."""
    if annotation is inspect.Parameter.empty:
        return {}
    try:
        return dict(_value_schema(annotation, default))
    except TypeError:  # of no hash
        return _value_schema.__wrapped__(annotation, default)


@functools.lru_cache(maxsize=None, typed=True)
def _value_schema(annotation: object, default: object) -> Schema:
    def takes(value: Plain) -> bool:
        return contradiction(_node(value), annotation, default) is None

    kinds, choices = _taken(takes, annotation)
    if "array" not in kinds and takes({}):
        kinds.append("array")  # what is annotated with a class may be anything that does the same
    if {"boolean", "number", "string", "array"} <= {*kinds}:
        return {}
    schema = _of_kinds(kinds, [choice for choice in choices if isinstance(choice, str)])
    if kinds == ["boolean"] and takes(1):
        schema |= {"type": ["boolean", "integer", *schema["type"][1:]], "minimum": 0, "maximum": 1}
    if "array" in kinds and (items := _items(annotation, default)):
        schema["items"] = items
    message = f"takes {describe_annotation(annotation)}; or a reference (@, %) or an expression ($)"
    if choices:
        return {"anyOf": [{"enum": choices}, {**schema, "errorMessage": message}]}
    return {**schema, "errorMessage": message}


def _items(annotation: object, default: object) -> Schema:
    """Return what the items of a list may be, wherever they stand in it."""

    def takes(value: Plain) -> bool:
        return any(
            contradiction(_node(["@"] * before + [value] + ["@"] * (length - before - 1)), annotation, default) is None
            for length in range(1, _LONGEST + 1)
            for before in range(length)
        )

    if not takes("@"):
        return {}
    kinds, choices = _taken(takes, annotation)
    if {"boolean", "number", "string"} <= {*kinds}:
        return {}
    return _of_kinds(list(dict.fromkeys([*kinds, *map(_kind, choices)])), [])


def _taken(takes: Callable[[Plain], bool], annotation: object) -> tuple[list[str], list[Scalar]]:
    """Return the kinds of which any value will do, and the choices beside them."""
    kinds = [kind for kind, sample in _SAMPLES.items() if takes(sample)]
    kinds = [kind for kind in kinds if kind != "integer" or "number" not in kinds]
    known = {*kinds, *(["integer"] if "number" in kinds else [])}
    choices = dict.fromkeys((_kind(choice), choice) for choice in _choices(annotation))
    return kinds, [choice for kind, choice in choices if kind not in known and takes(choice)]


def _of_kinds(kinds: list[str], choices: list[str]) -> Schema:
    schema: Schema = {"type": [*kinds, *(["string"] if "string" not in kinds else []), *_ALWAYS]}
    if "string" not in kinds:
        words = [*([SWITCHES] if "boolean" in kinds else []), *map(_spelled, choices)]
        schema["pattern"] = f"{REFERENCE}|^({'|'.join(words)})$" if words else REFERENCE
    return schema


def _spelled(choice: str) -> str:
    """Return a pattern of the ways to spell a choice: case, `-` and `_` count for nothing."""
    spelled = []
    for character in choice:
        if character in "-_":
            spelled.append("[-_]")
        elif character.lower() != character.upper():
            spelled.append(f"[{character.lower()}{character.upper()}]")
        else:
            spelled.append(re.sub(r"[.^$*+?()\[\]{}|\\]", r"\\\g<0>", character))
    return "".join(spelled)


def _choices(annotation: Any, depth: int = 0) -> Iterator[Scalar]:
    """Yield the literals that stand anywhere in an annotation."""
    if get_origin(annotation) is Literal:
        yield from (item for item in get_args(annotation) if isinstance(item, (str, int)))
    elif depth < _DEEPEST:
        named = (getattr(annotation, name, None) for name in ("__value__", "__supertype__", "__bound__"))
        inner = (*get_args(annotation), *getattr(annotation, "__constraints__", ()), *named)
        for item in inner:
            if item is not None:
                yield from _choices(item, depth + 1)


def _kind(value: Scalar) -> str:
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"


def _jsonable(value: object) -> Plain:
    """Return a default as JSON has it; None where it has no such thing."""
    if isinstance(value, (list, tuple)):
        items = [_jsonable(item) for item in value]
        return None if None in items or not items else items
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if type(value) in (bool, int, float, str) else None  # type: ignore[return-value]


def _node(value: Plain) -> Node:
    place = Place()
    if isinstance(value, list):
        return Node([_node(item) for item in value], place)
    if isinstance(value, dict):
        return Node({key: _node(item) for key, item in value.items()}, place)
    return Node(value, place)
