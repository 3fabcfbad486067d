"""The composed config: a tree in which every value knows where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lighter.errors import Place, did_you_mean, nearest

SEPARATOR = "::"

Key: TypeAlias = str | int | float | bool | None
Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[Key, Plain]"
Path: TypeAlias = tuple[Key, ...]


@dataclass(eq=False)
class Node:
    """A scalar, a list or a mapping of a config, and where it and its key were written."""

    value: Scalar | list[Node] | dict[Key, Node]
    place: Place
    key_place: Place | None = None
    replaced: Node | None = field(default=None, repr=False)

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

    def __init__(self, message: str, node: Node, depth: int, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.depth = depth
        self.suggestion = suggestion


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


def find_key(node: Node, part: Key) -> Key:
    """Return the child key that a path's part names (`-1` is a list's last index), or None.

    None is also YAML's null key, which only an exact part finds: test with `part in node.value` for that.
    """
    if isinstance(node.value, dict):
        if part in node.value and not isinstance(part, bool):
            return part
        return next((key for key in node.value if key_text(key) == key_text(part)), None)
    if isinstance(node.value, list):
        try:
            index = int(key_text(part))
        except ValueError:
            return None
        length = len(node.value)
        return index % length if -length <= index < length else None
    return None


def child(node: Node, key: Key) -> Node:
    """Return the child under an existing key or index."""
    if isinstance(node.value, dict):
        return node.value[key]
    assert isinstance(node.value, list)
    assert isinstance(key, int)
    return node.value[key]


def set_child(node: Node, key: Key, value: Node) -> None:
    """Put a child under a mapping's key, or an existing index of a list."""
    if isinstance(node.value, dict):
        node.value[key] = value
    elif isinstance(node.value, list):
        assert isinstance(key, int)
        node.value[key] = value


def has_child(node: Node, part: Key) -> bool:
    """Tell whether a path's part leads to a child of this node."""
    return find_key(node, part) is not None or (isinstance(node.value, dict) and part is None and None in node.value)


def walk(root: Node, path: Sequence[Key]) -> Node:
    """Return the node at a path.

    Raises:
        PathError: a part leads nowhere.
    """
    node = root
    for depth, part in enumerate(path):
        if not has_child(node, part):
            raise lost(root, node, path, depth)
        node = child(node, find_key(node, part))
    return node


def lost(root: Node, node: Node, path: Sequence[Key], depth: int) -> PathError:
    """Explain why `path[depth]` is not in `node`, which stands at `path[:depth]`."""
    part = key_text(path[depth])
    here = repr(join(path[:depth])) if depth else "the config"
    suggestion: str | None = None
    if isinstance(node.value, dict):
        message = f"there is no {part!r} in {here}"
        suggestion = dotted(root, path) or did_you_mean(part, map(key_text, node.value)) or _elsewhere(root, path)
    elif isinstance(node.value, list):
        length = len(node.value)
        message = f"there is no item {part!r} in {here}, a list of {length} item{'s' * (length != 1)}"
        if part.lstrip("-").isdigit():
            suggestion = f"its indices are 0 to {length - 1}" if length else None
        else:
            suggestion = "a list takes an index, such as 0 or -1"
    else:
        message = f"{here} is {node.value!r}, which holds no {part!r}"
        if is_reference(node.value, "@%$"):
            message = f"{here} is the {'expression' if str(node.value)[0] == '$' else 'reference'} {node.value!r}"
    return PathError(message, node, depth, suggestion)


def dotted(root: Node, path: Sequence[Key]) -> str | None:
    """Suggest `a::b` where `a.b` was written and `a::b`, or at least its parent, exists."""
    if not any(isinstance(part, str) and "." in part for part in path):
        return None
    parts = split(join(path).replace(".", SEPARATOR))
    try:
        parent = walk(root, parts[:-1])
    except PathError:
        return None
    return f"levels are separated by '::': {join(parts)!r}" if isinstance(parent.value, (dict, list)) else None


def _elsewhere(root: Node, path: Sequence[Key]) -> str | None:
    """Suggest the existing path nearest to the whole path."""
    text = join(path)
    others = (join(other) for other, _ in nodes(root, limit=2000))
    match = nearest(text, (other for other in others if not text.startswith(other)))
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
