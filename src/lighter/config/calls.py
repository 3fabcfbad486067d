"""What is said of a call that failed: where, which argument, and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lighter.config.tree import Node, Path, join, nodes
from lighter.errors import BuildError, Place, nearest, own_frame, shorten

OTHER_WORDS = {  # that other tools, or these libraries in the past, have for an argument
    "learning_rate": "lr",
    "gpus": "devices",
    "epochs": "max_epochs",
}


def call_error(
    path: Path,
    node: Node,
    target: Callable[..., object],
    args: Sequence[object],
    kwargs: dict[str, object],
    error: Exception,
) -> BuildError:
    """Place what a target raised: at the argument it cannot take, else at the target."""
    place, name = place_of(node, "_target_"), name_of(node, target)
    mismatch = _mismatch(name, target, args, kwargs) if isinstance(error, TypeError) else None
    if mismatch is None:
        message = f"{name} raised {cause_text(error)}{overrides_text(node, place)}"
        return BuildError(message, place=place, path=join(path))
    argument, message, suggestion = mismatch
    place = _key_place_of(node, argument) if argument else place
    where = join((*path, argument)) if argument else join(path)
    message = f"{message}{overrides_text(node, place)}"
    return BuildError(message, place=place, path=where, value=argument, suggestion=suggestion)


def cause_text(error: BaseException) -> str:
    """Return an exception, the root of its causes and where in the user's code it came from, a line each."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    lines = [text] if root is error else [text, f"caused by {type(root).__name__}: {root}"]
    return "\n  ".join(filter(None, [*lines, own_frame(error)]))


def overrides_text(node: Node, place: Place) -> str:
    """Name the overrides that values of a component come from as a line of its message, but for one in `place`."""
    overrides = dict.fromkeys(item.place.override for _, item in nodes(node))
    names = [repr(shorten(text)) for text in overrides if text not in ("", place.override)]
    return f"\n  with {', '.join(names)}" if names else ""


def place_of(node: Node, key: str) -> Place:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return item.place if item else node.place


def _key_place_of(node: Node, key: str) -> Place:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return (item.key_place or item.place) if item else node.place


def name_of(node: Node, target: object) -> str:
    name = node.value["_target_"].value if isinstance(node.value, dict) and node.is_target else None
    return name if isinstance(name, str) else getattr(target, "__qualname__", repr(target))


def unknown_argument(
    name: str, argument: str, known: Collection[str], others: str = "no arguments"
) -> tuple[str, str, str | None]:
    """Say that the target `name` takes no such argument; return (message, suggestion, the nearest known).

    Where none is known, `others` says what it takes.
    """
    match = other_word(argument, known) or nearest(argument, known)
    suggestion = f"did you mean {match!r}?" if match else f"it takes {shorten(', '.join(known)) or others}"
    return f"{name} takes no argument {argument!r}", suggestion, match


def other_word(argument: str, known: Collection[str]) -> str | None:
    """Return the known argument for which others have another word."""
    meant = OTHER_WORDS.get(argument)
    return meant if meant in known else None


def _mismatch(
    name: str, target: Any, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[str, str, str | None] | None:
    """Return (argument, message, suggestion) if a call does not fit its target's signature, else None."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [name for name in kwargs if name not in signature.parameters]
        takes_any = any(item.kind is item.VAR_KEYWORD for item in signature.parameters.values())
        if unknown and not takes_any:
            message, suggestion, _ = unknown_argument(name, unknown[0], signature.parameters)
            return unknown[0], message, suggestion
        return "", f"{name}: {error}", None
    return None
