"""The names that expressions know: `_imports_`, `_requires_` and `$import` statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lighter.config.reference import is_import
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node, Path, join, key_text, nodes
from lighter.errors import ConfigError, Place, Problem


@dataclass(frozen=True)
class Import:
    """One name, the dotted name that it stands for, and the module that must be imported for it."""

    name: str
    dotted: str
    module: str
    place: Place
    path: Path

    def load(self) -> object:
        """Import and return the object.

        Raises:
            ConfigError: it does not exist, or its import failed.
        """
        try:
            name = self.module
            import_object(name)
            name = self.dotted
            return import_object(name)
        except TargetError as error:
            message, path = f"cannot import {name!r}: {error.message}", join(self.path)
            raise ConfigError(message, place=self.place, path=path, value=name, suggestion=error.suggestion) from error


def import_table(root: Node) -> dict[str, Import]:
    """Return what a config's expressions may use, by name; nothing is imported.

    Raises:
        ConfigError: with every import that is not written as one.
    """
    table, problems = import_what_can_be(root)
    if problems:
        raise ConfigError(problems=problems)
    return table


def import_what_can_be(root: Node) -> tuple[dict[str, Import], list[Problem]]:
    """Return what a config's expressions may use, by name, and what is wrong with the rest; nothing is imported."""
    table: dict[str, Import] = {}
    problems: list[Problem] = []
    found = [(path, node) for path, node in nodes(root) if is_import(node.value) and path[:1] != ("_requires_",)]
    for read, at in [
        (import_statement, found),
        (_required, _requirements(root)),
        (_named, _section(root, "_imports_")),
    ]:
        for path, node in at:
            try:
                table |= {item.name: item for item in read(path, node)}
            except ConfigError as error:
                problems += error.problems
    return table, problems


def required(root: Node) -> Iterator[Import]:
    """Yield what `_requires_` asks to import before anything is built."""
    for path, node in _requirements(root):
        yield from _required(path, node)


def _section(root: Node, name: str) -> list[tuple[Path, Node]]:
    section = root.value.get(name) if isinstance(root.value, dict) else None
    return [((name, key), node) for key, node in section.items()] if section else []


def _requirements(root: Node) -> list[tuple[Path, Node]]:
    section = root.value.get("_requires_") if isinstance(root.value, dict) else None
    if section is None or section.value is None:
        return []
    return _section(root, "_requires_") if isinstance(section.value, list) else [(("_requires_",), section)]


def _required(path: Path, node: Node) -> list[Import]:
    if is_import(node.value):
        return import_statement(path, node)
    if isinstance(node.value, str):
        return [Import(node.value.split(".")[0], node.value.split(".")[0], node.value, node.place, path)]
    raise ConfigError("`_requires_` takes modules or `$import` statements", place=node.place, path=join(path))


def _named(path: Path, node: Node) -> list[Import]:
    if not isinstance(node.value, str):
        message = "an import is a dotted name, such as np: numpy"
        raise ConfigError(message, place=node.place, path=join(path), value=node.plain())
    return [Import(key_text(path[-1]), node.value, node.value, node.place, path)]


def import_statement(path: Path, node: Node) -> list[Import]:
    """Return what a `$import …` or `$from … import …` statement binds.

    Raises:
        ConfigError: it does not parse.
    """
    text = str(node.value)[1:].strip()
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        message = f"the import {text!r} does not parse: {reason}"
        raise ConfigError(message, place=node.place, path=join(path), value=node.value) from error
    return [item for statement in body for item in _bound(statement, text, path, node.place)]


def _bound(statement: ast.stmt, text: str, path: Path, place: Place) -> Iterator[Import]:
    if isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.names[0].name != "*":
        module = statement.module or ""
        for name in statement.names:
            yield Import(name.asname or name.name, f"{module}.{name.name}", module, place, path)
    elif isinstance(statement, ast.Import):
        for name in statement.names:
            top = name.name.split(".")[0]
            yield Import(name.asname or top, name.name if name.asname else top, name.name, place, path)
    else:
        suggestion = "write 'import module', or 'from module import name' with a whole module name"
        message = f"cannot import by {text!r}"
        raise ConfigError(message, place=place, path=join(path), value=text, suggestion=suggestion)
