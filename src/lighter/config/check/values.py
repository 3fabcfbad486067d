"""Does a value that stands in the config contradict the annotation of the argument that it is given to?

Annotations are hints and libraries convert, so what may be meant is trusted: only what is plainly wrong contradicts.
"""

from __future__ import annotations

import datetime as dt
import inspect
import numbers
import os
import re
import sys
import typing
from collections import abc, deque
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, replace
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from lighter.config.load import resolve_scalar
from lighter.config.reference import unescape
from lighter.config.tree import Key, Node, Path, is_reference, key_text
from lighter.errors import did_you_mean, shorten

WIDTH = 110  # of a message
WORDS = 80  # of an annotation in words
MAX_DEPTH = 8  # of unions and wrappers in each other: an alias may name itself

_REAL = (int, float)
_TAKES: dict[object, tuple[type, ...]] = {  # the literals that a class and its subclasses take; torch's go by name
    **dict.fromkeys((int, numbers.Integral, typing.SupportsIndex, "numpy.integer"), (int,)),
    **dict.fromkeys((float, complex, numbers.Number, numbers.Complex, numbers.Real, numbers.Rational), _REAL),
    **dict.fromkeys((typing.SupportsFloat, typing.SupportsInt, typing.SupportsComplex, "numpy.number"), _REAL),
    **dict.fromkeys((bool, "numpy.bool", "numpy.bool_"), (bool,)),
    **dict.fromkeys((str, bytes, bytearray, PurePath, os.PathLike), (str,)),
    **dict.fromkeys((Decimal, Fraction), (*_REAL, str)),
    **dict.fromkeys((dt.date, dt.time, dt.timedelta), (str, dict)),
    **dict.fromkeys((abc.Callable, type, NoneType, "torch.dtype", "torch.Tensor"), ()),
    **dict.fromkeys((Enum, "torch.device"), (str, int)),
    **dict.fromkeys(("numpy.ndarray", "numpy.dtype"), (*_REAL, str, list, dict)),
}
_NAMES: dict[object, str] = {
    **dict.fromkeys((str, bytes, bytearray), "text"),
    **dict.fromkeys((numbers.Integral, typing.SupportsIndex), "an int"),
    **dict.fromkeys((numbers.Number, numbers.Complex, numbers.Real, typing.SupportsFloat), "a number"),
    **dict.fromkeys((PurePath, os.PathLike), "a path"),
    **dict.fromkeys((inspect.Parameter.empty, Any), "anything"),
    abc.Callable: "a callable",
    NoneType: "null",
}
_READABLE = (abc.Sequence, abc.Collection, abc.Iterable, abc.Container, abc.Reversible, abc.Sized)  # as text is
_ITERABLE = (*_READABLE[1:], abc.Iterator, abc.Generator)  # as a mapping is, or what iter() makes of one
_LISTS = (abc.Sequence, abc.Set, deque)
_WRAPPERS = {
    f"{module}.{name}"
    for module in ("typing", "typing_extensions")
    for name in ("Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly")
}
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_ARITHMETIC = re.compile(r"\d[\d.]*(?:\s*(?:\*\*|[*/])\s*\d[\d.]*)+")
_NOT_FINITE = {"inf": ".inf", "+inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
_SWITCHES = {True: ("on", "yes", "true"), False: ("off", "no", "false")}


@dataclass(frozen=True)
class Contradiction:
    """A value, or the item of it at `path`, that an annotation rules out."""

    node: Node
    path: Path
    message: str
    suggestion: str | None


@dataclass(frozen=True)
class _Misfit:
    """A node that fits none of the annotations in `wanted`; `got` is set where not its value but its key is wrong."""

    node: Node
    wanted: tuple[Any, ...]
    path: Path = ()
    got: str = ""
    suggestion: str | None = None

    def below(self, key: Key) -> _Misfit:
        return replace(self, path=(key, *self.path))


def contradiction(node: Node, annotation: object, default: object = inspect.Parameter.empty) -> Contradiction | None:
    """Return how a value contradicts an argument's annotation, or None if it fits or may be meant."""
    if annotation is None or annotation is NoneType:  # no one means that: torch writes it for its script compiler
        return None
    try:
        misfit = _misfit(node, annotation)
        if misfit is None or _fits_default(node, annotation, default):
            return None
        suggestion = misfit.suggestion or _suggestion(misfit)
        if node.value is None and suggestion is None and isinstance(default, (bool, int, float, str)):
            suggestion = f"leave it out for the default, {_spelled(default)}"
        words = _words(misfit.wanted, WORDS - 10)
        got = misfit.got or _shown(misfit.node.value, WIDTH - len(f"takes {words}, not "))
        return Contradiction(misfit.node, misfit.path, f"takes {words}, not {got}", suggestion)
    except Exception:  # an annotation is anyone's object: one that cannot be read rules nothing out
        return None


def describe_annotation(annotation: object) -> str:
    """Say in at most 80 characters what an annotation asks for."""
    try:
        return _words((annotation,), WORDS)
    except Exception:  # as above
        return "anything"


def _misfit(node: Node, *annotations: object) -> _Misfit | None:
    """Compare a value with annotations of which it has to fit one."""
    if node.is_target or is_reference(node.value, "@%$"):
        return None
    misfits: list[_Misfit] = []
    for alternative in _alternatives(*annotations):
        misfit = _against(node, alternative)
        if misfit is None:
            return None
        misfits.append(misfit)
    furthest = max(misfits, key=_progress)
    wanted = [other for misfit in misfits if misfit.path == furthest.path for other in misfit.wanted]
    return replace(furthest, wanted=tuple(wanted))


def _progress(misfit: _Misfit) -> tuple[int, int]:
    """Order misfits by how much of a value fits: the alternative that is meant fits longest."""
    last = misfit.path[0] if misfit.path else 0
    return len(misfit.path), last if isinstance(last, int) else 0


def _alternatives(*annotations: Any, depth: int = 0) -> list[Any]:
    """Return what annotations come down to without unions and wrappers, all literals as one."""
    found: list[Any] = []
    for annotation in annotations:
        if type(annotation) is type:  # as most are
            found.append(annotation)
            continue
        inner = _inside(annotation) if depth <= MAX_DEPTH else (Any,)
        found += [annotation] if inner is None else _alternatives(*inner, depth=depth + 1)
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
    if _full_name(origin) in _WRAPPERS or str(origin) in _WRAPPERS:
        return args[:1]
    if isinstance(annotation, InitVar):
        return (annotation.type,)
    if isinstance(annotation, TypeVar):
        return annotation.__constraints__ or (annotation.__bound__ or Any,)
    if type(annotation if origin is None else origin).__name__ == "TypeAliasType":
        return (annotation.__value__,)
    return (annotation.__supertype__,) if hasattr(annotation, "__supertype__") else None


def _against(node: Node, annotation: Any) -> _Misfit | None:
    """Compare a literal with an annotation that is no union."""
    value = unescape(node.value) if isinstance(node.value, str) else node.value
    if type(value) is annotation and not isinstance(value, (list, dict)):
        return None
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    misfit = _Misfit(node, (annotation,))
    if origin is Literal:
        return None if _is_choice(value, args) else misfit
    if origin is Any or not inspect.isclass(origin):  # a forward reference, a ParamSpec, …
        return None
    takes = _takes(origin)
    if takes is not None:
        fits = isinstance(value, takes) or (bool in takes and isinstance(value, _REAL) and value in (0, 1))
        return None if fits or (value is None and origin is NoneType) else misfit
    if hasattr(origin, "__required_keys__"):  # a TypedDict
        known = typing.get_type_hints(origin)
        keys = Literal.__getitem__(tuple(known))
        return _mapping(node, keys, lambda key: known.get(str(key), Any)) if isinstance(value, dict) else misfit
    if issubclass(origin, abc.Mapping):
        of_keys, of_values = args if len(args) == 2 else (Any, Any)
        return _mapping(node, of_keys, lambda _: of_values) if isinstance(value, dict) else misfit
    if _is_list(origin):
        if isinstance(value, list):
            return _items(node, annotation, origin)
        readable = isinstance(value, str) and origin in _READABLE and (not args or not _misfit(node, args[0]))
        return None if readable or (isinstance(value, dict) and origin in _ITERABLE) else misfit
    if isinstance(value, list) and hasattr(origin, "__getitem__"):  # a list is as good as a Dataset
        return None
    return None if isinstance(value, dict) or _is_made_from_anything(origin) or isinstance(value, origin) else misfit


def _takes(cls: type) -> tuple[type, ...] | None:
    """Return the literals that a class takes; torch's and numpy's go by name, so that neither is imported here."""
    for base in (Enum,) if issubclass(cls, Enum) else cls.__mro__:
        found = _TAKES.get(base, _TAKES.get(_full_name(base)))
        if found is not None:
            return found
    return None


def _full_name(item: Any) -> str:
    return f"{getattr(item, '__module__', '')}.{getattr(item, '__qualname__', '')}"


def _is_list(cls: type) -> bool:
    return issubclass(cls, _LISTS) or cls in _ITERABLE


def _is_made_from_anything(cls: type) -> bool:
    """Tell whether nothing is known of what a class takes: a protocol, of Python's library, or one of pydantic's."""
    known = getattr(cls, "_is_protocol", False) or hasattr(cls, "__get_pydantic_core_schema__")
    return known or cls.__module__.split(".")[0] in (*sys.stdlib_module_names, "typing_extensions")


def _is_choice(value: object, choices: tuple[Any, ...]) -> bool:
    """Tell whether a value is one of a Literal's; case, `-` and `_` count for nothing, as libraries see to them."""
    if isinstance(value, (str, int)) and any(isinstance(choice, Enum) for choice in choices):
        return True
    texts = {_normal(choice) for choice in choices if isinstance(choice, str)}
    same = any(type(choice) is type(value) and choice == value for choice in choices)
    return same or (isinstance(value, str) and _normal(value) in texts)


def _normal(text: str) -> str:
    return text.casefold().replace("-", "_")


def _items(node: Node, annotation: Any, origin: type) -> _Misfit | None:
    """Compare a list with the items that a generic asks for; what a class of someone else's asks for is unknown."""
    assert isinstance(node.value, list)
    args = get_args(annotation) if origin.__module__ in ("builtins", "collections", "collections.abc") else ()
    wanted: list[Any] = list(args[:1] or [int if _full_name(origin) == "torch.Size" else Any]) * len(node.value)
    if origin is tuple and _is_fixed(args):
        if any(str(arg).startswith(("*", "typing.Unpack", "typing_extensions.Unpack")) for arg in args):
            return None
        one_size = len(node.value) == 1 and set(args) == {int}  # for each dimension, as torch's kernels read it
        if len(args) != len(node.value) and not one_size and not any(item.is_target for item in node.value):
            return None if _is_long(args) else _Misfit(node, (annotation,))
        wanted = list(args)
    for index, (item, own) in enumerate(zip(node.value, wanted, strict=False)):
        if misfit := _misfit(item, own):
            return misfit.below(index)
    return None


def _is_fixed(args: tuple[Any, ...]) -> bool:
    """Tell whether a tuple's length is said; tuple[int] is written for tuples of any length too often to say it."""
    return len(args) > 1 and args[-1] is not Ellipsis


def _is_long(args: tuple[Any, ...]) -> bool:
    """Tell whether a tuple is one of so many items of one type that its length may be but an example."""
    return len(args) > 3 and len(set(args)) == 1


def _mapping(node: Node, of_keys: Any, of_value: Callable[[Key], Any]) -> _Misfit | None:
    """Compare a mapping with the annotation of its keys and that of each key's value."""
    assert isinstance(node.value, dict)
    for key, item in node.value.items():
        if misfit := _misfit(Node(key, item.place), of_keys):
            return _Misfit(item, misfit.wanted, (key,), f"the key {_spelled(key, 20)}", _suggestion(misfit))
        if misfit := _misfit(item, of_value(key)):
            return misfit.below(key)
    return None


def _fits_default(node: Node, annotation: object, default: object) -> bool:
    """Tell whether an argument's default vouches for a value: it may show that the annotation does not say all."""
    value = node.value
    if value is None:
        return default is None or default is False
    alternatives = _alternatives(annotation)
    if value is False and NoneType in alternatives and not _texts(alternatives):
        return True  # none of it, said otherwise
    if isinstance(default, (int, float, str)) and not isinstance(value, bool) and value == default:
        return True
    own = _node(default, node)
    return own is not None and type(own.value) is type(value) and _misfit(own, annotation) is not None


def _node(value: object, like: Node) -> Node | None:
    """Return a default as if it stood in the config, or None if no literal is like it."""
    if isinstance(value, (list, tuple)):
        items = [_node(item, like) for item in value]
        return Node([item for item in items if item], like.place)
    return Node(value, like.place) if type(value) in (bool, int, float, str) else None  # type: ignore[arg-type]


def _suggestion(misfit: _Misfit) -> str | None:
    """Return the first mend that fits; else the choice, the mapping or the expression that may be meant."""
    node, alternatives = misfit.node, _alternatives(*misfit.wanted)
    texts = [] if int in alternatives or float in alternatives else _texts(alternatives)
    for value, words in _mends(node):
        among = texts if isinstance(value, str) and not isinstance(node.value, list) else alternatives
        if any(_misfit(Node(value, node.place), alternative) is None for alternative in among):
            return words
    literals = [item for item in alternatives if get_origin(item) is Literal]
    choices = [choice for item in literals for choice in get_args(item) if isinstance(choice, str)]
    if node.value is None:
        return "write none" if "none" in choices else None
    if isinstance(node.value, str) and (nearest := did_you_mean(node.value, choices)):
        return nearest
    advice = (_advice(node.value, get_origin(item) or item) for item in alternatives)
    return next(filter(None, advice), None)


def _texts(alternatives: list[Any]) -> list[Any]:
    """Return the alternatives that are text, or a choice of texts."""
    origins = [(item, get_origin(item)) for item in alternatives]
    classes = [item for item, origin in origins if origin is None and inspect.isclass(item) and _takes(item) == (str,)]
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
        yield value[0].value, f"without the list: {_spelled(value[0].plain(), 40)}"
    elif isinstance(value, (str, int, float)):
        yield [node], f"as a list: [{_spelled(value, 40)}]"


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
    name, kind = text.removeprefix("torch."), _full_name(origin)
    if kind == "torch.dtype":
        known = isinstance(getattr(sys.modules.get("torch"), name or "-", None), origin)
        return f'"$torch.{name}" with `_imports_: {{torch: torch}}`' if known else None
    if kind == "torch.Tensor" and not isinstance(value, (str, dict)):
        return f"{{_target_: torch.tensor, data: {_spelled(value, 40)}}}"
    if origin is dt.timedelta and isinstance(value, _REAL) and not isinstance(value, bool):
        return f"{{_target_: datetime.timedelta, seconds: {_spelled(value)}}}"
    if origin is abc.Callable:
        return f"{{_target_: {text if dotted else '…'}, _mode_: callable}}"
    if origin is type:
        top = text.split(".")[0]
        return f'"${text}" with `_imports_: {{{top}: {top}}}`' if dotted else 'an expression: "$…"'
    if not inspect.isclass(origin) or origin is NoneType or _takes(origin):
        return None
    if issubclass(origin, abc.Mapping) or _is_list(origin):
        return None
    return None if "::" in text else f"{{_target_: {text}}}" if dotted else "a mapping with `_target_`"


def _words(annotations: tuple[Any, ...], width: int) -> str:
    """Name the alternatives of annotations, as many as there is room for."""
    alternatives = sorted(_alternatives(*annotations), key=lambda item: item is NoneType)
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
        choices = ", ".join(_spelled(choice) for choice in args)
        choices = choices if len(choices) < 50 else f"{choices[:50].rsplit(', ', 1)[0]}, …"
        return f"one of {choices}" if len(args) > 1 else choices
    if origin is Any or not inspect.isclass(origin):
        return "anything"
    if name := next((_NAMES[base] for base in origin.__mro__ if base in _NAMES), None):
        return name
    if _takes(origin) is None and issubclass(origin, abc.Mapping):
        return _holding("a mapping", " to ".join(_plural(arg, depth) for arg in args[:2]))
    if _takes(origin) is None and _is_list(origin):
        fixed = origin is tuple and _is_fixed(args)
        items = list(dict.fromkeys(_plural(arg, depth) for arg in args if arg is not Ellipsis))
        if fixed and len(items) > 1:
            return f"a list of {' and '.join(_listed(_nouns(arg, depth)) for arg in args)}"
        return _holding("a list", f"{len(args)} {items[0]}" if fixed else " and ".join(items))
    return f"{'an' if origin.__name__[:1].lower() in 'aeiou' else 'a'} {origin.__name__}"


def _holding(container: str, contents: str) -> str:
    return f"{container} of {contents}" if contents and not contents.endswith("anything") else container


def _plural(annotation: Any, depth: int) -> str:
    return _listed([re.sub(r"^an? (\w+)", r"\1s", noun) for noun in _nouns(annotation, depth)])


def _nouns(annotation: Any, depth: int) -> list[str]:
    alternatives = _alternatives(annotation) if depth < 3 else [Any]
    nouns = [_noun(alternative, depth + 1) for alternative in alternatives if alternative is not NoneType]
    return list(dict.fromkeys(nouns)) or ["null"]


def _shown(value: Any, width: int) -> str:
    """Say what stands in the config."""
    if isinstance(value, str):
        return f"the text {shorten(repr(value), width - len('the text '))}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    return shorten(_spelled(value), width)


def _spelled(value: Any, width: int = WORDS) -> str:
    """Spell a value as YAML does, or leave it out where it is too long to."""
    if isinstance(value, list):
        text = f"[{', '.join(_spelled(item.plain() if isinstance(item, Node) else item) for item in value)}]"
        return text if len(text) <= width else "[…]"
    if isinstance(value, dict):
        return "{…}"
    if value is None or isinstance(value, bool):
        return key_text(value)
    return shorten(repr(value.name if isinstance(value, Enum) else value), width)
