"""Does a value that stands in the config contradict the annotation of the argument that it is given to?

Annotations are hints and libraries convert, so what may be meant is trusted: only what is plainly wrong contradicts.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, Flag
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lighter.config.check.annotations import (
    ITERABLE,
    READABLE,
    REAL,
    alternatives_of,
    full_name,
    is_fixed,
    is_list,
    takes_of,
)
from lighter.config.check.mends import is_table, mend, texts_among
from lighter.config.check.wording import WORDS, shown, spelled, words_for
from lighter.config.reference import unescape
from lighter.config.tree import Key, Node, Path, is_reference

WIDTH = 110  # of a message
_PYDANTIC = ("__pydantic", "__get_pydantic")


@dataclass(frozen=True)
class Contradiction:
    """A value, or the item of it at `path`, that an annotation rules out."""

    node: Node
    path: Path
    message: str
    suggestion: str | None


@dataclass(frozen=True)
class _Misfit:
    """A node that fits none of the annotations in `wanted`; `is_key` where not its value but its key is wrong."""

    node: Node
    wanted: tuple[Any, ...]
    path: Path = ()
    is_key: bool = False
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
        suggestion = misfit.suggestion or mend(misfit.node, misfit.wanted, _fits, default)
        if node.value is None and suggestion is None and isinstance(default, (bool, int, float, str)):
            suggestion = f"leave it out for the default, {spelled(default)}"
        words = words_for(misfit.wanted, WORDS - 10)
        if misfit.is_key:
            message = f"takes {words} as a key, not {spelled(misfit.path[-1], 20)}"
        else:
            message = f"takes {words}, not {shown(misfit.node.value, WIDTH - len(f'takes {words}, not '))}"
        return Contradiction(misfit.node, misfit.path, message, suggestion)
    except Exception:  # an annotation is anyone's object: one that cannot be read rules nothing out
        return None


def _misfit(node: Node, *annotations: object) -> _Misfit | None:
    """Compare a value with annotations of which it has to fit one."""
    if node.is_target or is_reference(node.value, "@%$"):
        return None
    misfits: list[_Misfit] = []
    alternatives = alternatives_of(*annotations)
    is_meant_as_list = is_table(node) and any(map(_is_list_only, alternatives))
    for alternative in alternatives:
        misfit = _against(node, alternative)
        if is_meant_as_list and _is_object(alternative):
            misfit = _Misfit(node, (alternative,))
        if misfit is None:
            return None
        misfits.append(misfit)
    furthest = max(misfits, key=_progress)
    wanted = [other for misfit in misfits if misfit.path == furthest.path for other in misfit.wanted]
    return replace(furthest, wanted=tuple(wanted))


def _fits(node: Node, annotation: Any) -> bool:
    return _misfit(node, annotation) is None


def _progress(misfit: _Misfit) -> tuple[int, int]:
    """Order misfits by how much of a value fits: the alternative that is meant fits longest."""
    last = misfit.path[0] if misfit.path else 0
    return len(misfit.path), last if isinstance(last, int) else 0


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
    takes = takes_of(origin)
    if takes is not None:
        fits = isinstance(value, takes) or (bool in takes and isinstance(value, REAL) and value in (0, 1))
        no_member = isinstance(value, str) and issubclass(origin, Enum) and not _may_be_member(value, origin)
        return None if (fits and not no_member) or (value is None and origin is NoneType) else misfit
    if hasattr(origin, "__required_keys__"):  # a TypedDict
        known = typing.get_type_hints(origin)
        keys = Literal.__getitem__(tuple(known))
        return _mapping(node, keys, lambda key: known.get(str(key), Any)) if isinstance(value, dict) else misfit
    if issubclass(origin, abc.Mapping):
        of_keys, of_values = args if len(args) == 2 else (Any, Any)
        return _mapping(node, of_keys, lambda _: of_values) if isinstance(value, dict) else misfit
    if is_list(origin):
        if isinstance(value, list):
            return _items(node, annotation, origin)
        readable = isinstance(value, str) and origin in READABLE and (not args or not _misfit(node, args[0]))
        return None if readable or (isinstance(value, dict) and origin in ITERABLE) else misfit
    return None if _may_become(value, origin) else misfit


def _may_become(value: object, kind: type) -> bool:
    """Tell whether a value is as good as an object of a class that no literal is one of, or may be made into one."""
    if isinstance(value, list) and hasattr(kind, "__getitem__"):  # a list is as good as a Dataset
        return True
    if isinstance(value, dict) and value.keys() <= getattr(kind, "__dataclass_fields__", value).keys():
        return True
    return _is_made_from_anything(kind) or isinstance(value, kind)


def _is_list_only(annotation: Any) -> bool:
    """Tell whether an annotation takes lists, and not all that can be iterated over, as a mapping can."""
    origin = get_origin(annotation) or annotation
    return inspect.isclass(origin) and is_list(origin) and origin not in ITERABLE


def _is_object(annotation: Any) -> bool:
    """Tell whether an annotation is a class that is unlike a mapping."""
    origin = get_origin(annotation) or annotation
    is_class = inspect.isclass(origin) and origin.__module__ != "builtins"
    return is_class and not (hasattr(origin, "__getitem__") or _is_made_from_anything(origin))


def _may_be_member(text: str, kind: type[Enum]) -> bool:
    """Tell whether a text may name a member of an enumeration, or what it holds; one that reads others is unknown."""
    reads = any("_missing_" in vars(base) for base in kind.__mro__ if base is not Enum)
    if reads or issubclass(kind, Flag) or not kind.__members__:
        return True
    held = [item for member in kind for item in vars(member).values()]
    texts = [part for item in held for part in (item if isinstance(item, (tuple, list)) else [item])]
    known = {_normal(str(item)) for item in (*kind.__members__, *texts) if isinstance(item, (str, int))}
    return _normal(text.removeprefix(f"{kind.__name__}.")) in known


def _is_made_from_anything(cls: type) -> bool:
    """Tell whether nothing is known of what a class takes: a protocol, of Python's library, or one of pydantic's."""
    names = (name for base in cls.__mro__ for name in vars(base))
    known = getattr(cls, "_is_protocol", False) or any(name.startswith(_PYDANTIC) for name in names)
    return known or str(cls.__module__).split(".")[0] in (*sys.stdlib_module_names, "typing_extensions")


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
    wanted: list[Any] = list(args[:1] or [int if full_name(origin) == "torch.Size" else Any]) * len(node.value)
    if origin is tuple and is_fixed(args):
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


def _is_long(args: tuple[Any, ...]) -> bool:
    """Tell whether a tuple is one of so many items of one type that its length may be but an example."""
    return len(args) > 3 and len(set(args)) == 1


def _mapping(node: Node, of_keys: Any, of_value: Callable[[Key], Any]) -> _Misfit | None:
    """Compare a mapping with the annotation of its keys and that of each key's value."""
    assert isinstance(node.value, dict)
    for key, item in node.value.items():
        if misfit := _misfit(Node(key, item.place), of_keys):
            return _Misfit(item, misfit.wanted, (key,), True, mend(misfit.node, misfit.wanted, _fits))
        if misfit := _misfit(item, of_value(key)):
            return misfit.below(key)
    return None


def _fits_default(node: Node, annotation: object, default: object) -> bool:
    """Tell whether an argument's default vouches for a value: it may show that the annotation does not say all."""
    value = node.value
    if value is None:
        return default is None or default is False
    alternatives = alternatives_of(annotation)
    if value is False and NoneType in alternatives and not texts_among(alternatives):
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
