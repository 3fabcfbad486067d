"""The names that expressions know: `_imports_`, `_requires_` and `$import` statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lighter.config.reference import is_import
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node, key_text, nodes
from lighter.errors import ConfigError, Place


@dataclass(frozen=True)
class Import:
    """One name, the dotted name that it stands for, and the module that must be imported for it."""

    name: str
    dotted: str
    module: str
    place: Place

    def load(self) -> object:
        """Import and return the object.

        Raises:
            ConfigError: it does not exist, or its import failed.
        """
        try:
            import_object(self.module)
            return import_object(self.dotted)
        except TargetError as error:
            message = f"cannot import {self.dotted!r}: {error.message}"
            raise ConfigError(message, place=self.place, value=self.dotted, suggestion=error.suggestion) from error


def import_table(root: Node) -> dict[str, Import]:
    """Return what a config's expressions may use, by name; nothing is imported.

    Raises:
        ConfigError: an import is not written as one.
    """
    table: dict[str, Import] = {}
    for path, node in nodes(root):
        if is_import(node.value) and path[:1] != ("_requires_",):
            table.update({item.name: item for item in import_statement(node)})
    table.update({item.name: item for item in required(root)})
    section = root.value.get("_imports_") if isinstance(root.value, dict) else None
    for key, node in section.items() if section else ():
        if not isinstance(node.value, str):
            message = "an import is a dotted name, such as np: numpy"
            raise ConfigError(message, place=node.place, path=f"_imports_::{key_text(key)}", value=node.plain())
        table[key_text(key)] = Import(key_text(key), node.value, node.value, node.place)
    return table


def required(root: Node) -> Iterator[Import]:
    """Yield what `_requires_` asks to import before anything is built."""
    section = root.value.get("_requires_") if isinstance(root.value, dict) else None
    if section is None:
        return
    for node in section.value if isinstance(section.value, list) else [section]:
        if is_import(node.value):
            yield from import_statement(node)
        elif isinstance(node.value, str):
            yield Import(node.value.split(".")[0], node.value.split(".")[0], node.value, node.place)
        else:
            raise ConfigError("`_requires_` takes modules or `$import` statements", place=node.place, path="_requires_")


def import_statement(node: Node) -> list[Import]:
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
        raise ConfigError(message, place=node.place, value=node.value) from error
    return [item for statement in body for item in _bound(statement, text, node.place)]


def _bound(statement: ast.stmt, text: str, place: Place) -> Iterator[Import]:
    if isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.names[0].name != "*":
        module = statement.module or ""
        for name in statement.names:
            yield Import(name.asname or name.name, f"{module}.{name.name}", module, place)
    elif isinstance(statement, ast.Import):
        for name in statement.names:
            top = name.name.split(".")[0]
            yield Import(name.asname or top, name.name if name.asname else top, name.name, place)
    else:
        suggestion = "write 'import module', or 'from module import name' with a whole module name"
        raise ConfigError(f"cannot import by {text!r}", place=place, value=text, suggestion=suggestion)
