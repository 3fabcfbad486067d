"""The part of a composed config that a person names by its path."""

from __future__ import annotations

from lighter.config.origin import written
from lighter.config.reference import MAX_HOPS, absolute, follow, reference_error
from lighter.config.tree import Node, Path, PathError, is_reference, join, split, walk
from lighter.errors import ConfigError, UsageError


def part_at(root: Node, path: str) -> tuple[Node, list[str]]:
    """Return the node that a path leads to, and a note for each reference that was followed on the way.

    A reference at the very end is followed too: what it stands for is what the path was asked for.

    Raises:
        UsageError: the path leads nowhere.
        ConfigError: a reference on the way does.
    """
    here: Path = split(path)
    notes: list[str] = []
    while len(notes) < MAX_HOPS:
        depth, node = _until_reference(root, here, path)
        if not is_reference(node.value):
            return node, notes
        there = (*_target(root, node, here[:depth]), *here[depth:])
        notes.append(f"{_name(here[:depth])} is {node.value!r} in {written(node.place)}, so this is {_name(there)}")
        here = there
    raise UsageError("its references lead in a circle", path=path, value=path)


def _until_reference(root: Node, path: Path, asked: str) -> tuple[int, Node]:
    """Return the first reference on a path, or the node at its end, and how many parts lead there."""
    try:
        return len(path), walk(root, path)
    except PathError as error:
        if is_reference(error.node.value):
            return error.depth, error.node
        raise UsageError(error.message, path=asked, value=asked, suggestion=error.suggestion) from error


def _target(root: Node, node: Node, path: Path) -> Path:
    """Return the path that the reference at `path` names, which is there."""
    text = str(node.value)
    try:
        return follow(root, absolute(text[1:], path))[0]
    except (PathError, ConfigError) as error:
        raise reference_error(error, root, text, node.place, path) from error


def _name(path: Path) -> str:
    return repr(join(path)) if path else "the whole config"
