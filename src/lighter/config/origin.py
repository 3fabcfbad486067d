"""A composed config as YAML for people: lists as they were written and, if asked for, where every value came from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import yaml

from lighter.config.dump import dump_in_one_line, represent, serialize
from lighter.config.tree import Node
from lighter.errors import Place, shorten

OVERRIDE_WIDTH = 60  # in a comment
REPLACED_WIDTH = 40
COLUMN = 60  # where comments stand at most, but for those beside longer lines


def show(root: Node) -> str:
    """Return a tree as YAML that loads again to the same values.

    A list of scalars that was written in one line stays in one line.
    """
    return "\n".join(_text(part) for part in _parts(root))


def show_origins(root: Node) -> str:
    """Return what `show` does, with comments that say where each value came from and what it replaced."""
    head = f"# {_origin(root)}\n" if _is_block(root) and _is_told(root) else ""
    return head + "\n".join(_commented(part) for part in _parts(root))


def _parts(root: Node) -> Iterator[Node]:
    """Split a mapping into what blank lines separate: each block alone, and the single lines between two."""
    if not isinstance(root.value, dict) or not root.value:
        yield root
        return
    for blocks, items in groupby(root.value.items(), lambda item: _is_block(item[1])):
        if blocks:
            yield from (Node({key: child}, root.place) for key, child in items)
        else:
            yield Node(dict(items), root.place)


def _is_block(node: Node) -> bool:
    """Tell whether a node takes lines of its own for what is in it."""
    return isinstance(node.value, (dict, list)) and bool(node.value) and not _is_one_line(node)


def _is_one_line(node: Node) -> bool:
    """Tell whether a node is a list of scalars that were written in one line."""
    return isinstance(node.value, list) and all(
        not isinstance(item.value, (dict, list))
        and "\n" not in str(item.value)
        and not item.replaced
        and (item.place.override, item.place.file, item.place.line)
        == (node.place.override, node.place.file, node.place.line)
        for item in node.value
    )


def _text(root: Node) -> str:
    top = represent(root.plain())
    stack = [(root, top)]
    while stack:
        node, shown = stack.pop()
        if isinstance(shown, yaml.SequenceNode) and _is_one_line(node):
            shown.flow_style = True
        else:
            stack += [(child, value) for child, _, value in _children(node, shown)]
    return serialize(top)


def _children(node: Node, shown: yaml.Node) -> Iterator[tuple[Node, yaml.Node, yaml.Node]]:
    """Yield a node's children, each with the YAML nodes that show its key (of an item: itself) and its value."""
    if isinstance(node.value, dict):
        yield from ((child, key, value) for child, (key, value) in zip(node.value.values(), shown.value, strict=True))
    elif isinstance(node.value, list):
        yield from ((child, value, value) for child, value in zip(node.value, shown.value, strict=True))


def _commented(part: Node) -> str:
    text = _text(part)
    lines = text.split("\n")
    shown = yaml.compose(text, yaml.CBaseLoader)
    assert shown is not None
    notes: dict[int, list[str]] = {}
    for line, note in _notes(part, shown, shown):
        notes.setdefault(line, []).append(note)
    column = max((len(lines[line]) for line in notes if len(lines[line]) <= COLUMN), default=0)
    for line, said in notes.items():
        lines[line] = f"{lines[line]:<{column}}  # {_together(said)}"
    return "\n".join(lines)


def _together(notes: list[str]) -> str:
    """Join the notes of a line, without one that another begins with."""
    return "; ".join(note for note in notes if not any(other.startswith((f"{note},", f"{note} ")) for other in notes))


def _notes(node: Node, key: yaml.Node, shown: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield a line and what to say in it, for a node and all below it."""
    if not _is_block(node):
        yield shown.start_mark.line, _origin(node)
        return
    if _is_told(node):
        yield key.start_mark.line, _origin(node)
    for child, its_key, value in _children(node, shown):
        yield from _notes(child, its_key, value)


def _is_told(block: Node) -> bool:
    """Tell whether the origin of a block is more than that of what is in it."""
    return block.replaced is not None or _via(block) != ""


def _origin(node: Node) -> str:
    """Say where a node was written, and which values it replaced, the last one first."""
    said, replaced = _source(node), []
    while node.replaced:
        node = node.replaced
        replaced.append(f"{_brief(node)} from {_source(node)}")
    return f"{said}, replaced {', '.join(replaced)}" if replaced else said


def _source(node: Node) -> str:
    via = _via(node)
    if isinstance(node.value, (dict, list)) and node.key_place and not via:
        return written(node.key_place)
    return written(node.place) + via


def _via(node: Node) -> str:
    """Name the key that took a value over from another file or, by an alias, from another line."""
    key, value = node.key_place, node.place
    if key is None:
        return ""
    if (key.file, key.override) != (value.file, value.override):
        return f" via {written(key)}"
    return f" via line {key.line}" if value.line < key.line else ""


def written(place: Place) -> str:
    """Name a place: file and line as a person looks for them, or the override as typed."""
    if place.override:
        return f"override {shorten(place.override, OVERRIDE_WIDTH)!r}"
    text = f"{place.file}:{place.line}"
    return text if text.isprintable() else repr(text)


def _brief(node: Node) -> str:
    text = dump_in_one_line(node.plain())
    return text if len(text) <= REPLACED_WIDTH else f"{text[: REPLACED_WIDTH - 1]}…"
