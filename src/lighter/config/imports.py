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
        statement = ast.parse(text).body[0]
    except SyntaxError as error:
        message = f"the import {text!r} does not parse: {error.msg}"
        raise ConfigError(message, place=node.place, value=node.value) from error
    if isinstance(statement, ast.ImportFrom):
        module = statement.module or ""
        return [Import(n.asname or n.name, f"{module}.{n.name}", module, node.place) for n in statement.names]
    assert isinstance(statement, ast.Import)
    return [
        Import(n.asname or n.name.split(".")[0], n.name if n.asname else n.name.split(".")[0], n.name, node.place)
        for n in statement.names
    ]
