"""From a composed config to objects: the bridge to sparkwheel, which orders, builds and caches.

Every node of the tree becomes one sparkwheel item whose children are references to their own items. So each value is
built once, only when asked for, and an error is ours to phrase where it arises: with place, path, target and cause.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sparkwheel

from lighter.config.compose import Config
from lighter.config.imports import import_statement, import_table, required
from lighter.config.reference import (
    MAX_HOPS,
    Expression,
    absolute,
    expand,
    follow,
    is_import,
    parse_expression,
    reference_error,
    unescape,
)
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node, Path, PathError, is_reference, join, key_text, nodes, split
from lighter.errors import BuildError, ConfigError, Place, did_you_mean

RESERVED = ("_target_", "_args_", "_mode_", "_disabled_")
_DISABLED = "_disabled_"


class _Reference(str):
    """A leaf of an item that stands for another item's value."""

    __slots__ = ()

    @property
    def path(self) -> str:
        return self[1:]


class _Engine(sparkwheel.Resolver):  # type: ignore[misc]
    """sparkwheel's resolver, told that only `_Reference` leaves are references."""

    @classmethod
    def match_refs_pattern(cls, value: object) -> dict[str, int]:
        return {value.path: 1} if isinstance(value, _Reference) else {}

    @classmethod
    def update_refs_pattern(cls, value: object, refs: Mapping[str, Any]) -> object:
        return refs[value.path] if isinstance(value, _Reference) else value

    def preset(self, values: Mapping[str, object]) -> None:
        """Take these values as built."""
        self._resolved.update(values)

    def built(self) -> dict[str, object]:
        """Return what was built so far, by path."""
        return dict(self._resolved)


class _Step(sparkwheel.Component):  # type: ignore[misc]
    """An item whose value is made by calling `make` with its resolved config."""

    def __init__(self, make: Callable[[Any], object], config: object, path: str) -> None:
        super().__init__(config=config, id=path)
        self._make = make

    def instantiate(self, **_: Any) -> object:
        return self._make(self.get_config())


class Resolver:
    """Builds what a config describes, one path at a time; the same path is the same object."""

    def __init__(self, tree: Node, disabled: frozenset[str] = frozenset(), *, inert: bool = False) -> None:
        self._tree = tree
        self._disabled = disabled
        self._inert = inert
        self._imports = import_table(tree)
        self._engine = _Engine()
        self._engine.add_items([self._item(join(path), node, path) for path, node in nodes(tree)])

    @classmethod
    def of(cls, config: Config) -> Resolver:
        """Return a resolver of a config; nothing is built yet.

        Raises:
            ConfigError: a raw reference names nothing, or a `_disabled_` is not true or false.
        """
        tree = expand(config.root, config.root)
        return cls(tree, _find_disabled(tree))

    def with_live(self, live: Mapping[str, object]) -> Resolver:
        """Return a resolver that shares what is built so far and takes `live` (path -> object) as built."""
        other = Resolver(self._tree, self._disabled)
        other._engine.preset({**self._engine.built(), **live})
        return other

    def __contains__(self, path: str) -> bool:
        try:
            canonical, node = follow(self._tree, split(path))
        except (PathError, ConfigError):
            return False
        return node.value is not None and not self._is_disabled(canonical, node)

    def keys(self, path: str) -> list[str] | None:
        """Return the keys of the plain mapping that a path leads to, behind a reference too; None for anything else."""
        path, node = self._behind(path)
        if node.is_target or not isinstance(node.value, dict):
            return None
        return [key_text(key) for key in node.value if f"{path}::{key_text(key)}" in self]

    def resolve(self, path: str) -> Any:
        """Return the object at a path, building it and what it refers to.

        Raises:
            ConfigError: a reference names nothing, references form a circle, a target does not exist.
            BuildError: a target or an expression raised.
        """
        canonical, node = follow(self._tree, split(path))
        try:
            return self._engine.resolve(join(canonical))
        except sparkwheel.CircularReferenceError as error:
            raise ConfigError(_circle(self._engine, join(canonical)), place=node.place, path=path) from error
        except RecursionError as error:
            raise ConfigError("references lead too deep", place=node.place, path=path) from error

    def target(self, path: str) -> Callable[..., object]:
        """Return the class or function that the `_target_` at a path names."""
        node = follow(self._tree, (*split(path), "_target_"))[1]
        return self._target(path, self.resolve(f"{path}::_target_"), node.place)

    def arguments(self, path: str, skip: Sequence[str] = ()) -> dict[str, Any]:
        """Return the resolved keyword arguments of the target at a path."""
        node = follow(self._tree, split(path))[1]
        names = [key_text(key) for key, item in node.items() if not self._is_disabled((*split(path), key), item)]
        return {name: self.resolve(f"{path}::{name}") for name in names if name not in (*RESERVED, *skip)}

    def call(self, path: str, arguments: Mapping[str, object]) -> Any:
        """Call the target at a path with keyword arguments that were resolved before."""
        args = self.resolve(f"{path}::_args_") if f"{path}::_args_" in self else []
        return self._call(path, self.target(path), args, dict(arguments))

    def place(self, path: str) -> Place:
        """Return where the value at a path was written."""
        return follow(self._tree, split(path))[1].place

    def require(self) -> None:
        """Import what `_requires_` names.

        Raises:
            ConfigError: an import failed.
        """
        for item in required(self._tree):
            item.load()

    def _behind(self, path: str) -> tuple[str, Node]:
        """Return the path and node that a path leads to, behind the references that stand there."""
        canonical, node = follow(self._tree, split(path))
        for _ in range(MAX_HOPS):
            if not is_reference(node.value, "@"):
                break
            canonical, node = follow(self._tree, absolute(str(node.value)[1:], canonical))
        return join(canonical), node

    def _is_disabled(self, path: Path, node: Node) -> bool:
        if join(path) in self._disabled:
            return True
        try:
            return is_reference(node.value, "@") and self._behind(join(path))[0] in self._disabled
        except (PathError, ConfigError):
            return False

    # --- items

    def _item(self, path: str, node: Node, keys: Path) -> sparkwheel.Item:
        value = node.value
        if path in self._disabled:
            return sparkwheel.Item(config=None, id=path)
        if node.is_target and (path == "system" or self._inert):
            return _Step(functools.partial(_raise, _not_here(path, node)), None, path)
        if isinstance(value, str):
            return self._text_item(path, node, value, keys)
        if isinstance(value, (dict, list)):
            present = [(key, item) for key, item in node.items() if not self._is_disabled((*keys, key), item)]
            if node.is_target:
                shape = {key_text(key): _leaf((*keys, key), item) for key, item in present}
                return _Step(functools.partial(self._build, path, node), shape, path)
            leaves = {key: _leaf((*keys, key), item) for key, item in present}
            return sparkwheel.Item(config=leaves if isinstance(value, dict) else list(leaves.values()), id=path)
        return sparkwheel.Item(config=value, id=path)

    def _text_item(self, path: str, node: Node, text: str, keys: Path) -> sparkwheel.Item:
        if text.startswith("@"):
            try:
                return sparkwheel.Item(config=self._refer(text[1:], keys), id=path)
            except (PathError, ConfigError) as error:
                return _Step(functools.partial(_raise, reference_error(error, text, node.place, keys)), None, path)
        if not text.startswith("$"):
            return sparkwheel.Item(config=unescape(text), id=path)
        if is_import(text):
            return _Step(lambda _: [item.load() for item in import_statement(node)][-1], None, path)
        expression = parse_expression(text[1:])
        references: dict[str, _Reference] = {}
        for name, written in expression.references.items():
            try:
                references[name] = self._refer(written, keys)
            except (PathError, ConfigError) as error:
                problem = reference_error(error, f"@{written}", node.place, keys)
                return _Step(functools.partial(_raise, problem), None, path)
        return _Step(functools.partial(self._evaluate, path, node, expression), references, path)

    def _refer(self, text: str, at: Path) -> _Reference:
        return _Reference(f"@{join(follow(self._tree, absolute(text, at))[0])}")

    # --- building

    def _build(self, path: str, node: Node, config: dict[str, Any]) -> object:
        target = self._target(path, config["_target_"], _place_of(node, "_target_"))
        args, mode = config.get("_args_") or [], config.get("_mode_", "default")
        kwargs = {key: value for key, value in config.items() if key not in RESERVED}
        if not isinstance(args, (list, tuple)):
            raise ConfigError("`_args_` must be a list", place=_place_of(node, "_args_"), path=path, value=args)
        if mode == "callable":
            return functools.partial(target, *args, **kwargs) if args or kwargs else target
        if mode != "default":
            known = ("default", "callable")
            suggestion = did_you_mean(str(mode), known) or "known: default, callable"
            place = _place_of(node, "_mode_")
            raise ConfigError(f"{mode!r} is not a `_mode_`", place=place, path=path, value=mode, suggestion=suggestion)
        return self._call(path, target, args, kwargs)

    def _target(self, path: str, name: object, place: Place) -> Callable[..., object]:
        found: object = name
        if isinstance(name, str):
            try:
                found = import_object(name)
            except TargetError as error:
                where = f"{path}::_target_"
                raise ConfigError(
                    error.message, place=place, path=where, value=name, suggestion=error.suggestion
                ) from error
        if not callable(found):
            raise ConfigError(f"{name!r} is not callable", place=place, path=f"{path}::_target_", value=name)
        return found

    def _call(self, path: str, target: object, args: Sequence[object], kwargs: dict[str, object]) -> object:
        assert callable(target)
        node = follow(self._tree, split(path))[1]
        try:
            return target(*args, **kwargs)
        except Exception as error:
            raise self._call_error(path, node, target, args, kwargs, error) from error

    def _call_error(
        self, path: str, node: Node, target: object, args: Sequence[object], kwargs: dict[str, object], error: Exception
    ) -> ConfigError:
        """Place what a target raised: at the argument it cannot take, else at the target."""
        place, name = _place_of(node, "_target_"), _name_of(node, target)
        if isinstance(error, ConfigError) and error.problems[0].place is not None:
            return error
        if isinstance(error, ConfigError):
            first = error.problems[0]
            return BuildError(f"{name}: {first.message}", place=place, path=path, suggestion=first.suggestion)
        mismatch = _mismatch(target, args, kwargs) if isinstance(error, TypeError) else None
        if mismatch:
            argument, message, suggestion = mismatch
            place = _key_place_of(node, argument) if argument else place
            where = f"{path}::{argument}" if argument else path
            return BuildError(f"{name}: {message}", place=place, path=where, value=argument, suggestion=suggestion)
        return BuildError(f"{name} raised {cause_text(error)}", place=place, path=path)

    def _evaluate(self, path: str, node: Node, expression: Expression, references: dict[str, object]) -> object:
        try:
            tree = ast.parse(expression.code, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            message = f"the expression {node.value!r} does not parse: {reason}"
            raise ConfigError(message, place=node.place, path=path, value=node.value) from error
        names = {item.id for item in ast.walk(tree) if isinstance(item, ast.Name)}
        scope = {name: self._imports[name].load() for name in names & self._imports.keys()}
        try:
            return eval(compile(tree, f"<{path}>", "eval"), {**scope, **references})  # what `$` is for
        except Exception as error:
            suggestion = (
                did_you_mean(error.name, self._imports) if isinstance(error, NameError) and error.name else None
            )
            if isinstance(error, NameError) and not suggestion:
                suggestion = "an expression knows builtins, references (@path) and the names in `_imports_`"
            message = f"the expression {node.value!r} raised {cause_text(error)}"
            raise BuildError(message, place=node.place, path=path, value=node.value, suggestion=suggestion) from error


def cause_text(error: BaseException) -> str:
    """Return an exception and the root of its causes as one line or more."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    return text if root is error else f"{text}\n  caused by {type(root).__name__}: {root}"


def _leaf(path: Path, node: Node) -> object:
    """Return a child as its parent's item holds it: a plain scalar itself, anything else a reference."""
    if isinstance(node.value, (dict, list)) or is_reference(node.value, "@$\\"):
        return _Reference(f"@{join(path)}")
    return node.value


def _raise(error: ConfigError, _: object) -> None:
    raise error


def _not_here(path: str, node: Node) -> ConfigError:
    """Say why a component cannot be had where it was asked for."""
    if path == "system":
        message = "'@system' is the live System, which exists only in what is built late: optimizer and scheduler"
        return ConfigError(message, place=node.place, path=path)
    return ConfigError("`_disabled_` cannot depend on a built object", place=node.place, path=path)


def _circle(engine: _Engine, start: str) -> str:
    """Return the circle of references that a path leads into, as text."""
    trail: list[str] = []

    def visit(path: str) -> bool:
        trail.append(path)
        item = engine.get_item(path)
        for reference in engine.find_refs_in_config(item.get_config(), path) if item else ():
            if reference in trail:
                del trail[: trail.index(reference)]
                trail.append(reference)
                return True
            if visit(reference):
                return True
        trail.pop()
        return False

    visit(start)
    return f"references form a circle: {' -> '.join(trail)}"


def _place_of(node: Node, key: str) -> Place:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return item.place if item else node.place


def _key_place_of(node: Node, key: str) -> Place:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return (item.key_place or item.place) if item else node.place


def _name_of(node: Node, target: object) -> str:
    name = node.value["_target_"].value if isinstance(node.value, dict) and node.is_target else None
    return name if isinstance(name, str) else getattr(target, "__qualname__", repr(target))


def _mismatch(target: Any, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[str, str, str | None] | None:
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
            suggestion = did_you_mean(unknown[0], signature.parameters)
            suggestion = suggestion or f"it takes {', '.join(signature.parameters) or 'no arguments'}"
            return unknown[0], f"takes no argument {unknown[0]!r}", suggestion
        return "", str(error), None
    return None


def _find_disabled(tree: Node) -> frozenset[str]:
    """Return the paths of the components whose `_disabled_` is true."""
    switches = [
        (path, node.value[_DISABLED])
        for path, node in nodes(tree)
        if isinstance(node.value, dict) and node.is_target and _DISABLED in node.value
    ]
    inert: Resolver | None = None
    found: set[str] = set()
    for path, switch in switches:
        value: object = switch.value
        if is_reference(value, "@$"):
            inert = inert or Resolver(tree, inert=True)
            value = inert.resolve(join((*path, _DISABLED)))
        if not isinstance(value, bool):
            raise ConfigError("`_disabled_` must be true or false", place=switch.place, path=join(path), value=value)
        found |= {join(path)} if value else set()
    return frozenset(found)
