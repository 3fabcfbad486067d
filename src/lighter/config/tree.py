"""The composed config: a tree in which every value knows where it was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from lighter.errors import Place, did_you_mean, nearest

SEPARATOR = "::"
MAX_DEPTH = 100  # levels of nesting: a bound that keeps every recursion over a tree safe
MAX_NODES = 200_000  # values, once aliases and references are expanded: a bound on what a hostile file can cost

_LEVELS = re.compile(r"\[(-?\d+)\]|\.")  # levels, as other tools write them
_PREFIX = re.compile(r"^(?:\+{1,2}|--)(?=\w)")  # of an override of other tools

Key: TypeAlias = str | int | float | bool | None
Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[Key, Plain]"
Path: TypeAlias = tuple[Key, ...]


@dataclass(eq=False)
class Node:
    """A scalar, a list or a mapping of a config, where it and its key were written, and what it replaced."""

    value: Scalar | list[Node] | dict[Key, Node]
    place: Place
    key_place: Place | None = None
    replaced: Node | None = None  # what a later source or an override replaced by this

    @property
    def is_target(self) -> bool:
        """Tell whether this is a mapping that names a class or function to call."""
        return isinstance(self.value, dict) and "_target_" in self.value

    def plain(self) -> Plain:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def copy(self) -> Node:
        """Return a tree of new nodes; places are shared."""
        value: Scalar | list[Node] | dict[Key, Node] = self.value
        if isinstance(value, dict):
            value = {key: child.copy() for key, child in value.items()}
        elif isinstance(value, list):
            value = [child.copy() for child in value]
        return Node(value, self.place, self.key_place, self.replaced)

    def items(self) -> Iterator[tuple[Key, Node]]:
        """Yield the children with their keys or list indices."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)


class PathError(LookupError):
    """A path that leads nowhere: `depth` parts could be followed, down to `node`."""

    def __init__(self, message: str, node: Node, depth: int, suggest: Callable[[Path], str | None]) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.depth = depth
        self.suggestion_at = suggest  # the mend, for what stands at a path and cannot be meant itself

    @cached_property
    def suggestion(self) -> str | None:
        """The mend; looked for only when someone asks, as it takes a walk through the tree."""
        return self.suggestion_at(())


def key_text(key: Key) -> str:
    """Return a key as YAML spells it, which is how it stands in a path."""
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(key)


def join(path: Sequence[Key]) -> str:
    """Return a path as text."""
    return SEPARATOR.join(key_text(key) for key in path)


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a path; the empty text is the root."""
    return tuple(text.split(SEPARATOR)) if text else ()


def is_reference(value: object, marks: str = "@%") -> bool:
    """Tell whether a scalar is a reference of one of the kinds in `marks`."""
    return isinstance(value, str) and value != "" and value[0] in marks


def step(node: Node, part: Key) -> tuple[Key, Node] | None:
    """Return the child that a path's part leads to, with its key or index (`-1` is a list's last), or None."""
    if isinstance(node.value, dict):
        for key in (part, *_spellings(part)):
            if _holds(node.value, key):
                return key, node.value[key]
    elif isinstance(node.value, list):
        length = len(node.value)
        try:
            index = int(key_text(part))
        except ValueError:
            return None
        if -length <= index < length:
            return index % length, node.value[index]
    return None


def _spellings(part: Key) -> list[Key]:
    """Return the keys that are spelled like `part` but are of another type, such as 1 for the text '1'."""
    if not isinstance(part, str):
        return [key_text(part)]
    found: list[Key] = [key for key in (None, True, False) if key_text(key) == part]
    for kind in (int, float):
        try:
            found += [key for key in (kind(part),) if key_text(key) == part]
        except (ValueError, OverflowError):
            continue
    return found


def _holds(mapping: dict[Key, Node], key: Key) -> bool:
    """Tell whether a mapping has a key, without taking true for 1 and false for 0 as Python does."""
    return key in mapping and (key not in (0, 1) or any(type(own) is type(key) and own == key for own in mapping))


def set_child(node: Node, key: Key, value: Node) -> None:
    """Put a child under a mapping's key, or an existing index of a list."""
    if isinstance(node.value, dict):
        node.value[key] = value
    elif isinstance(node.value, list):
        assert isinstance(key, int)
        node.value[key] = value


def walk(root: Node, path: Sequence[Key]) -> Node:
    """Return the node at a path.

    Raises:
        PathError: a part leads nowhere.
    """
    node = root
    for depth, part in enumerate(path):
        found = step(node, part)
        if found is None:
            raise lost(root, node, path, depth)
        node = found[1]
    return node


def lost(root: Node, node: Node, path: Sequence[Key], depth: int) -> PathError:
    """Explain why `path[depth]` is not in `node`, which stands at `path[:depth]`."""
    part = key_text(path[depth])
    here = repr(join(path[:depth])) if depth else "the config"
    if isinstance(node.value, dict):
        message = f"there is no {part!r} in {here}"
    elif isinstance(node.value, list):
        length = len(node.value)
        message = f"there is no item {part!r} in {here}, a list of {length} item{'s' * (length != 1)}"
    else:
        message = f"{here} is {node.value!r}, which holds no {part!r}"
        if is_reference(node.value, "@%$"):
            message = f"{here} is the {'expression' if str(node.value)[0] == '$' else 'reference'} {node.value!r}"
    return PathError(message, node, depth, lambda at: _mend(root, node, path, depth, at))


def _mend(root: Node, node: Node, path: Sequence[Key], depth: int, at: Path) -> str | None:
    part = key_text(path[depth])
    if isinstance(node.value, dict):
        keys = [key_text(key) for key in node.value if (*path[:depth], key) != at[: depth + 1]]
        return dotted(root, path) or did_you_mean(part, keys) or _elsewhere(root, path, at)
    if not isinstance(node.value, list):
        return None
    if not part.lstrip("-").isdigit():
        return "a list takes an index, such as 0 or -1"
    return f"its indices are 0 to {len(node.value) - 1}" if node.value else None


def dotted(root: Node, path: Sequence[Key]) -> str | None:
    """Suggest `a::b` where `a.b`, `a[b]` or the like was written and `a::b`, or at least its parent, exists."""
    text = join(path)
    first, separator, rest = _LEVELS.sub(rf"{SEPARATOR}\1", text).partition(SEPARATOR)
    parts = split(re.sub("[:/]", SEPARATOR, _PREFIX.sub("", first)) + separator + rest)
    if len(parts) < 2 or join(parts) == text:
        return None
    try:
        parent = walk(root, parts[:-1])
    except PathError:
        return None
    if not isinstance(parent.value, (dict, list)):
        return None
    return f"levels are separated by '::': {join(parts)!r}" if len(parts) > len(path) else f"write {join(parts)!r}"


def _elsewhere(root: Node, path: Sequence[Key], at: Path) -> str | None:
    """Suggest the existing path nearest to the whole path, among those that end like it."""
    last = key_text(path[-1])
    others = [other for other, _ in nodes(root, limit=2000) if other and key_text(other[-1]) == last]
    match = nearest(join(path), [join(other) for other in others if other != at[: len(other)]])
    return f"did you mean {match!r}?" if match else None


def nodes(root: Node, limit: int | None = None) -> list[tuple[Path, Node]]:
    """List the nodes of a tree with their paths, in the order written, at most `limit`."""
    found: list[tuple[Path, Node]] = []
    stack: list[tuple[Path, Node]] = [((), root)]
    while stack and (limit is None or len(found) < limit):
        path, node = stack.pop()
        found.append((path, node))
        stack.extend(((*path, key), item) for key, item in reversed(list(node.items())))
    return found
