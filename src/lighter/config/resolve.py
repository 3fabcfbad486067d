"""From a composed config to objects: the bridge to sparkwheel, which orders, builds and caches.

Every node of the tree becomes one sparkwheel item whose children are references to their own items. So each value is
built once, only when asked for, and an error is ours to phrase where it arises: with place, path, target and cause.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sparkwheel

from lighter.config.calls import call_error, cause_text, name_of, overrides_text, place_of
from lighter.config.compose import Config
from lighter.config.engine import Engine, Reference, Step
from lighter.config.imports import import_statement, import_table, required
from lighter.config.reference import (
    KNOWN_NAMES,
    MAX_HOPS,
    SYSTEM_IS_LIVE,
    Expression,
    absolute,
    expand,
    expand_what_can_be,
    follow,
    is_import,
    parse_expression,
    reference_error,
    syntax_tree,
    unescape,
)
from lighter.config.stored import hidden_problem
from lighter.config.structure import RESERVED
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Key, Node, Path, PathError, is_reference, join, key_text, split, walk
from lighter.errors import BuildError, ConfigError, Place, did_you_mean

_DISABLED = "_disabled_"


class Resolver:
    """Builds what a config describes, one path at a time; the same path is the same object."""

    def __init__(self, tree: Node, inert: Resolver | None, hidden: frozenset[Place]) -> None:
        self._tree = tree
        self._hidden = hidden
        self._inert = inert  # resolves what `_disabled_` says, and builds nothing; None in that resolver itself
        self._imports = import_table(tree)
        self._engine = Engine(self._item)

    @classmethod
    def of(cls, config: Config) -> Resolver:
        """Return a resolver of a config; nothing is built yet, and what is wrong in a part is raised when it is.

        Raises:
            ConfigError: an import is not written as one.
        """
        tree = expand_what_can_be(config.root)
        return cls(tree, cls(tree, None, config.hidden), config.hidden)

    def with_live(self, live: Mapping[str, object]) -> Resolver:
        """Return a resolver that shares what is built so far and takes `live` (path -> object) as built."""
        other = Resolver(self._tree, self._inert, self._hidden)
        other._engine.preset({**self._engine.built(), **{split(path): value for path, value in live.items()}})
        return other

    def __contains__(self, path: str) -> bool:
        try:
            canonical, node = follow(self._tree, split(path))
        except (PathError, ConfigError):
            return False
        return node.value is not None and not self._is_disabled(canonical, node)

    def keys(self, path: str) -> list[str] | None:
        """Return the keys of the plain mapping that a path leads to, behind a reference too; None for anything else."""
        canonical, node = self._behind(self._canonical(path))
        if node.is_target or not isinstance(node.value, dict):
            return None
        return [key_text(key) for key, item in self._present(canonical, node) if item.value is not None]

    def resolve(self, path: str) -> Any:
        """Return the object at a path, building it and what it refers to.

        Raises:
            ConfigError: a reference names nothing, references form a circle, a target does not exist.
            BuildError: a target or an expression raised.
        """
        return self._resolve(self._canonical(path))

    def has_built(self, path: str) -> bool:
        """Tell whether the object at a path is built."""
        return self._canonical(path) in self._engine.built()

    def target(self, path: str) -> Callable[..., object]:
        """Return the class or function that the `_target_` at a path names."""
        canonical = self._component(path)
        name = self._resolve(self._canonical(join((*canonical, "_target_"))))
        return self._target(canonical, name, place_of(walk(self._tree, canonical), "_target_"))

    def arguments(self, path: str, skip: Sequence[str] = ()) -> dict[str, Any]:
        """Return the resolved keyword arguments of the target at a path."""
        canonical = self._component(path)
        present = self._present(canonical, walk(self._tree, canonical))
        names = {key_text(key): (*canonical, key) for key, _ in present}
        return {name: self._resolve(path) for name, path in names.items() if name not in (*RESERVED, *skip)}

    def call(self, path: str, arguments: Mapping[str, object]) -> Any:
        """Call the target at a path with keyword arguments that were resolved before."""
        canonical = self._component(path)
        args = self.resolve(f"{join(canonical)}::_args_") if f"{join(canonical)}::_args_" in self else []
        return self._call(canonical, self.target(path), self._positional(canonical, args), dict(arguments))

    def place(self, path: str) -> Place:
        """Return where the value at a path was written."""
        return walk(self._tree, self._canonical(path)).place

    def require(self) -> None:
        """Import what `_requires_` names.

        Raises:
            ConfigError: an import failed.
        """
        for item in required(self._tree):
            item.load()

    def _canonical(self, path: str) -> Path:
        """Return the path of the node that a path leads to.

        Raises:
            ConfigError: it leads nowhere.
        """
        try:
            return follow(self._tree, split(path))[0]
        except PathError as error:
            raise ConfigError(error.message, place=error.node.place, path=path, suggestion=error.suggestion) from error

    def _behind(self, path: Path) -> tuple[Path, Node]:
        """Return the path and node that a canonical path leads to, behind the references that stand there."""
        node = walk(self._tree, path)
        for _ in range(MAX_HOPS):
            if not is_reference(node.value, "@"):
                break
            path, node = self._follow(str(node.value), node, path)
        return path, node

    def _component(self, path: str) -> Path:
        """Return the path of the component that a path leads to, behind references too."""
        canonical, node = self._behind(self._canonical(path))
        if not node.is_target:
            raise ConfigError("is not a mapping with a `_target_`", place=node.place, path=path, value=node.plain())
        return canonical

    def _resolve(self, path: Path) -> Any:
        try:
            return self._engine.resolve(path)
        except sparkwheel.CircularReferenceError as error:
            place = walk(self._tree, path).place
            raise ConfigError(self._engine.circle(path), place=place, path=join(path)) from error
        except RecursionError as error:
            place = walk(self._tree, path).place
            raise ConfigError("references lead too deep", place=place, path=join(path)) from error

    # --- what is disabled

    def _present(self, path: Path, node: Node) -> list[tuple[Key, Node]]:
        """Return the children of a node that are not disabled."""
        return [(key, item) for key, item in node.items() if not self._is_disabled((*path, key), item)]

    def _is_disabled(self, path: Path, node: Node) -> bool:
        """Tell whether a node is a disabled component, or a reference to one."""
        if is_reference(node.value, "@"):
            try:
                path, node = self._behind(path)
            except ConfigError:
                return False  # whoever resolves it gets the error
        if not isinstance(node.value, dict) or not node.is_target or _DISABLED not in node.value:
            return False
        return self._inert is not None and self._inert._switch((*path, _DISABLED), node.value[_DISABLED])

    def _switch(self, path: Path, node: Node) -> bool:
        value = self._resolve(path)
        if not isinstance(value, bool):
            raise ConfigError("`_disabled_` must be true or false", place=node.place, path=join(path), value=value)
        return value

    # --- items

    def _item(self, path: Path) -> sparkwheel.Item:
        """Return what sparkwheel takes for the node at a path."""
        node = walk(self._tree, path)
        value = node.value
        if node.place in self._hidden:
            raise ConfigError(problems=[hidden_problem(path, node)])
        if self._is_disabled(path, node):
            return sparkwheel.Item(config=None)
        if node.is_target and path == ("system",):
            raise ConfigError(SYSTEM_IS_LIVE, place=node.place, path=join(path))
        if node.is_target and self._inert is None:
            raise ConfigError("`_disabled_` cannot depend on a built object", place=node.place, path=join(path))
        if isinstance(value, str):
            return self._text_item(path, node, value)
        if isinstance(value, (dict, list)):
            present = self._present(path, node)
            leaves = {key: self._leaf((*path, key), item) for key, item in present}
            if node.is_target:
                shape = {key_text(key): leaf for key, leaf in leaves.items()}
                return Step(functools.partial(self._build, path, node), shape)
            return sparkwheel.Item(config=leaves if isinstance(value, dict) else list(leaves.values()))
        return sparkwheel.Item(config=value)

    def _leaf(self, path: Path, node: Node) -> object:
        """Return a child as its parent's item holds it: a plain scalar itself, anything else a reference."""
        is_item = isinstance(node.value, (dict, list)) or is_reference(node.value, "@%$\\")
        return Reference.to(path) if is_item or node.place in self._hidden else node.value

    def _text_item(self, path: Path, node: Node, text: str) -> sparkwheel.Item:
        if text.startswith("@"):
            return sparkwheel.Item(config=self._refer(text, node, path))
        if text.startswith("%"):
            expand(self._tree, node, path)  # raises: what could be expanded was
        if not text.startswith("$"):
            return sparkwheel.Item(config=unescape(text))
        if is_import(text):
            return Step(lambda _: [item.load() for item in import_statement(path, node)][-1])
        expression = parse_expression(text[1:])
        references = {name: self._refer(f"@{to}", node, path) for name, to in expression.references.items()}
        return Step(functools.partial(self._evaluate, path, node, expression), references)

    def _refer(self, text: str, node: Node, at: Path) -> Reference:
        return Reference.to(self._follow(text, node, at)[0])

    def _follow(self, text: str, node: Node, at: Path) -> tuple[Path, Node]:
        try:
            return follow(self._tree, absolute(text[1:], at))
        except (PathError, ConfigError) as error:
            raise reference_error(error, self._tree, text, node.place, at) from error

    # --- building

    def _build(self, path: Path, node: Node, config: dict[str, Any]) -> object:
        target = self._target(path, config["_target_"], place_of(node, "_target_"))
        args, mode = self._positional(path, config.get("_args_")), config.get("_mode_", "default")
        kwargs = {key: value for key, value in config.items() if key not in RESERVED}
        if mode == "callable":
            return functools.partial(target, *args, **kwargs) if args or kwargs else target
        if mode != "default":
            known = ("default", "callable")
            suggestion = did_you_mean(str(mode), known) or "known: default, callable"
            place = place_of(node, "_mode_")
            message = f"{mode!r} is not a `_mode_`"
            raise ConfigError(message, place=place, path=join(path), value=mode, suggestion=suggestion)
        return self._call(path, target, args, kwargs)

    def _positional(self, path: Path, args: object) -> Sequence[object]:
        if args is None:
            return ()
        if not isinstance(args, (list, tuple)):
            place = place_of(walk(self._tree, path), "_args_")
            raise ConfigError("`_args_` must be a list", place=place, path=join(path), value=args)
        return args

    def _target(self, path: Path, name: object, place: Place) -> Callable[..., object]:
        where = join((*path, "_target_"))
        try:
            found = import_object(name) if isinstance(name, str) else name
        except TargetError as error:
            raise ConfigError(
                error.message, place=place, path=where, value=name, suggestion=error.suggestion
            ) from error
        if not callable(found):
            raise ConfigError(f"{name!r} is not callable", place=place, path=where, value=name)
        return found

    def _call(
        self, path: Path, target: Callable[..., object], args: Sequence[object], kwargs: dict[str, object]
    ) -> object:
        try:
            return target(*args, **kwargs)
        except ConfigError as error:
            if error.problems[0].place is not None:
                raise
            node, first = walk(self._tree, path), error.problems[0]
            place = place_of(node, "_target_")
            message = f"{name_of(node, target)}: {first.message}{overrides_text(node, place)}"
            raise BuildError(message, place=place, path=join(path), suggestion=first.suggestion) from error
        except Exception as error:
            raise call_error(path, walk(self._tree, path), target, args, kwargs, error) from error

    def _evaluate(self, path: Path, node: Node, expression: Expression, references: dict[str, object]) -> object:
        tree = syntax_tree(expression, node, path)
        names = {item.id for item in ast.walk(tree) if isinstance(item, ast.Name)}
        scope = {name: self._imports[name].load() for name in names & self._imports.keys()}
        try:
            return eval(compile(tree, f"<{join(path)}>", "eval"), {**scope, **references})  # what `$` is for
        except Exception as error:
            suggestion = None
            if isinstance(error, NameError):
                suggestion = did_you_mean(error.name or "", self._imports) or KNOWN_NAMES
            message, where = f"the expression {node.value!r} raised {cause_text(error)}", join(path)
            raise BuildError(message, place=node.place, path=where, value=node.value, suggestion=suggestion) from error
