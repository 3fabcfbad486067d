"""What is looked at: the part of a config that a stage uses, with raw references expanded, and the problems found."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import TypeVar

from lighter.config.compose import Config
from lighter.config.imports import import_what_can_be
from lighter.config.reference import (
    MAX_HOPS,
    absolute,
    expand_what_can_be,
    follow,
    is_import,
    parse_expression,
    unescape,
)
from lighter.config.structure import MODE_TABLES, SLOTS, STAGES, SYSTEM_TARGETS
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import (
    SEPARATOR,
    Key,
    Node,
    Path,
    PathError,
    Plain,
    Scalar,
    is_reference,
    join,
    key_text,
    nodes,
    split,
)
from lighter.errors import ConfigError, Place, Problem

ALWAYS = ("model", "inferer", "parallelize", "empty_init")  # slots of every stage
SLOTS_OF = {  # beside those by mode
    "fit": (*ALWAYS, "criterion", "optimizer", "scheduler"),
    "validate": (*ALWAYS, "criterion"),
    "test": ALWAYS,
    "predict": ALWAYS,
}
UNBUILT = ("vars", "sweep")  # sections of which only what others refer to is built
LATE = (("system", "optimizer"), ("system", "scheduler"))
MANY = 100  # problems: more are not looked for, as no one reads so many and each may take a while to phrase

Item = TypeVar("Item")


@dataclass
class Subject:
    """A config under check, for one stage or, with None, for whatever it holds."""

    config: Config
    stage: str | None
    imports: bool  # may modules be imported?
    told: Sequence[Problem] = ()  # by whoever composed it
    problems: list[Problem] = field(default_factory=list)
    doubtful: list[tuple[Path, Problem]] = field(default_factory=list)  # none, if the path turns out to be misspelt

    def __post_init__(self) -> None:
        self.tree = expand_what_can_be(self.config.root)
        self.names, problems = import_what_can_be(self.tree)
        self.problems += problems
        self._targets: dict[str, object | TargetError] = {}
        self._behind: dict[Path, tuple[Path, Node | None]] = {}

    def problem(
        self, path: Path, place: Place, message: str, value: object = None, suggestion: str | None = None
    ) -> None:
        self.problems.append(Problem(message, place, join(path) or None, value, suggestion))

    def deletion_of(self, path: Path) -> str | None:
        """Name the override that deletes what stood at a path."""
        parts = tuple(map(key_text, path))
        for text in self.config.overrides:
            if text.startswith("~") and "=" not in text and parts[: len(split(text[1:]))] == split(text[1:]):
                return f"the override {text!r} deletes it"
        return None

    @property
    def known(self) -> Iterator[Problem]:
        """All problems that are known by now."""
        yield from self.told
        yield from self.problems

    def settle(self) -> list[Problem]:
        """Return the problems, without those that only follow from others."""
        found = list(self.problems)
        for path, problem in self.doubtful:
            if deletion := self.deletion_of(path):
                found.append(replace(problem, suggestion=deletion))
            elif not self.is_misspelt(path):
                found.append(problem)
        return [*found, Problem(f"there are more than {MANY} problems; these are the first")] if self.is_full else found

    @property
    def is_full(self) -> bool:
        return len(self.problems) + len(self.doubtful) > MANY

    def until_full(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items while there are few problems."""
        yield from itertools.takewhile(lambda _: not self.is_full, items)

    def is_told(self, path: Path, node: Node | None = None) -> bool:
        """Tell whether a problem is known of a path, of what is beneath it, or of a value that is copied to it."""
        at = join(path)
        return any(
            problem.path == at
            or (problem.path or "").startswith(f"{at}{SEPARATOR}")
            or (node is not None and _is_of(problem, node))
            for problem in self.known
        )

    def is_misspelt(self, path: Path) -> bool:
        """Tell whether a problem is known of a key that was meant to be one of a path's."""
        names = {join(path[:depth]): repr(key_text(key)) for depth, key in enumerate(path)}
        whole = [repr(join(path[:depth])) for depth in range(2, len(path) + 1)]
        told = [
            (problem.path.rpartition(SEPARATOR)[0], problem.suggestion or "") for problem in self.known if problem.path
        ]
        return any(
            (parent in names and names[parent] in suggestion) or any(meant in suggestion for meant in whole)
            for parent, suggestion in told
        )

    # --- what the stage uses

    @cached_property
    def used(self) -> list[tuple[Path, Node]]:
        """The nodes that the stage uses, each once, with what they refer to; disabled components are left out."""
        found: dict[Path, Node] = {}
        for root in self._roots():
            stack = [root]
            while stack:
                path, node = stack.pop()
                if path in found or self.may_be_absent(path, node):
                    continue
                found[path] = node
                children = self.children(path, node)
                if path == ("system",) and self.stage is not None and self.is_system:
                    children = [item for item in children if item[0][-1] not in SLOTS]  # which have roots of their own
                stack += reversed([*children, *self.referred(path, node)])
        return list(found.items())

    @cached_property
    def written(self) -> list[tuple[Path, Node]]:
        """The nodes that a stage uses or, without a stage, all that there are."""
        if self.stage is not None:
            return self.used
        return [(path, node) for path, node in nodes(self.tree) if path[:1] != ("sweep",)]

    def uses(self, path: Path) -> bool:
        return path in self._used_paths

    @cached_property
    def _used_paths(self) -> set[Path]:
        return {path for path, _ in self.used}

    @cached_property
    def components(self) -> list[tuple[Path, Node]]:
        """The mappings with a `_target_` among what is used."""
        return [(path, node) for path, node in self.used if node.is_target]

    def _roots(self) -> Iterator[tuple[Path, Node]]:
        if self.stage is None:
            yield from (item for item in self.children((), self.tree) if item[0][0] not in UNBUILT)
            return
        for path in [("trainer",), ("seed",), ("args", self.stage), ("data",), ("_requires_",)]:
            if (node := self.find(path)) is not None:
                yield path, node
        yield from self._system(self.stage)

    def _system(self, stage: str) -> Iterator[tuple[Path, Node]]:
        """Yield the System, then those of its slots that a stage builds."""
        system = self.find(("system",))
        if system is None:
            return
        yield ("system",), system
        if not self.is_system:
            return
        for slot in SLOTS_OF[stage]:
            if (node := self.find(("system", slot))) is not None:
                yield ("system", slot), node
        for slot in MODE_TABLES:
            path, table = self.behind(("system", slot))
            if table is None:
                continue
            if table.is_target or not isinstance(table.value, dict):
                yield path, table
            else:
                yield from (((*path, mode), table.value[mode]) for mode in STAGES[stage] if mode in table.value)

    # --- walking the tree

    def find(self, path: Path) -> Node | None:
        """Return the node at a path, going behind the references on the way to it."""
        try:
            return follow(self.tree, path)[1]
        except (PathError, ConfigError):
            return None

    def behind(self, path: Path) -> tuple[Path, Node | None]:
        """Return the path and node that a path leads to, behind the references that stand there too."""
        if path not in self._behind:
            self._behind[path] = self._look_behind(path)
        return self._behind[path]

    def _look_behind(self, path: Path) -> tuple[Path, Node | None]:
        try:
            here, node = follow(self.tree, path)
            for _ in range(MAX_HOPS):
                if not is_reference(node.value, "@"):
                    return here, node
                here, node = follow(self.tree, absolute(str(node.value)[1:], here))
        except (PathError, ConfigError):
            pass
        return path, None

    def children(self, path: Path, node: Node) -> list[tuple[Path, Node]]:
        return [((*path, key), item) for key, item in node.items()]

    def references(self, path: Path, node: Node) -> Iterator[tuple[str, Path]]:
        """Yield each `@` reference of a node as written, with the path that it names.

        Raises:
            ConfigError: one climbs above the top, or the expression cannot be scanned.
        """
        if is_reference(node.value, "@"):
            yield str(node.value), absolute(str(node.value)[1:], path)
        elif is_reference(node.value, "$") and not is_import(node.value):
            for written in parse_expression(str(node.value)[1:]).references.values():
                yield f"@{written}", absolute(written, path)

    def referred(self, path: Path, node: Node) -> list[tuple[Path, Node]]:
        """Return what a node's `@` references lead to; those that lead nowhere are left out."""
        found = []
        try:
            for _, target in self.references(path, node):
                try:
                    canonical, there = follow(self.tree, target)
                except (PathError, ConfigError):
                    continue
                if canonical != ("system",):  # the live one
                    found.append((canonical, there))
        except ConfigError:
            pass
        return found

    def may_be_absent(self, path: Path, node: Node) -> bool:
        """Tell whether a node is a component that is, or may turn out to be, disabled; or a reference to one."""
        if is_reference(node.value, "@"):
            found = self.behind(path)[1]
            if found is None:
                return False
            node = found
        if not isinstance(node.value, dict) or not node.is_target or "_disabled_" not in node.value:
            return False
        return self.constant((*path, "_disabled_"), node.value["_disabled_"], True) is not False

    def constant(self, path: Path, node: Node, unknown: Scalar = None) -> Plain:
        """Return the plain value of a node, behind references; `unknown` where only building would tell."""
        if is_reference(node.value, "@"):
            path, found = self.behind(path)
            if found is None:
                return unknown
            node = found
        if is_reference(node.value, "$%") or isinstance(node.value, (dict, list)):
            return unknown
        return unescape(node.value) if isinstance(node.value, str) else node.value

    # --- what it names

    def target_name(self, path: Path, node: Node) -> str | None:
        """Return the dotted name that a component's `_target_` is, where that is known."""
        if not isinstance(node.value, dict) or "_target_" not in node.value:
            return None
        name = self.constant((*path, "_target_"), node.value["_target_"])
        return name if isinstance(name, str) else None

    def imported_target(self, name: str) -> object:
        """Return the object at a dotted name, each imported once.

        Raises:
            TargetError: there is none, or its import failed.
        """
        if name not in self._targets:
            try:
                self._targets[name] = import_object(name)
            except TargetError as error:
                self._targets[name] = error
        found = self._targets[name]
        if isinstance(found, TargetError):
            raise found
        return found

    def target(self, path: Path, node: Node) -> object | None:
        """Return what a component's `_target_` names; None where it is not known or must not be imported."""
        name = self.target_name(path, node)
        if name is None or not self.imports:
            return None
        try:
            return self.imported_target(name)
        except TargetError:
            return None

    @cached_property
    def is_system(self) -> bool:
        """Whether the `system` is lighter.System or a subclass of it."""
        node = self.find(("system",))
        name = self.target_name(("system",), node) if node else None
        if name in SYSTEM_TARGETS:
            return True
        found = self.target(("system",), node) if node else None
        return isinstance(found, type) and derives_from(found, SYSTEM_TARGETS)

    @property
    def may_be_system(self) -> bool:
        """Whether the `system` is one, or something that only importing would tell."""
        node = self.find(("system",))
        return self.is_system or node is None or self.target(("system",), node) is None

    def slot(self, name: str) -> tuple[Path, Node] | None:
        """Return path and node of one of the System's slots, behind references; None where it is absent or null."""
        if not self.is_system:
            return None
        path, node = self.behind(("system", name))
        return None if node is None or node.value is None or self.may_be_absent(path, node) else (path, node)

    def modes(self, slot: str) -> Mapping[Key, tuple[Path, Node]]:
        """Return what a slot holds for each mode that the stage uses, behind references."""
        found = self.slot(slot)
        if found is None or found[1].is_target or not isinstance(found[1].value, dict):
            return {}
        modes = {}
        for mode in found[1].value:
            path, node = self.behind((*found[0], mode))
            used = self.stage is None or mode in STAGES[self.stage]
            if used and node is not None and node.value is not None and not self.may_be_absent(path, node):
                modes[mode] = path, node
        return modes


def _is_of(problem: Problem, node: Node) -> bool:
    """Tell whether a problem stands where a value or one of its keys does."""
    if problem.place is None or not problem.place.file:  # all that an override says has one place
        return problem.place == node.place and problem.value == node.plain()
    keys = [item.key_place for item in node.value.values()] if isinstance(node.value, dict) else []
    return problem.place in (node.place, *keys)


def within(place: Place, text: str) -> Place:
    """Return where in a value, which begins at a place, a text first stands; or the place, where that is not known."""
    try:
        lines = FilePath(place.file).read_text(encoding="utf-8-sig").split("\n") if place.file else []
    except (OSError, UnicodeDecodeError):
        lines = []
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    column = line.find(text, place.column - 1)
    return replace(place, column=column + 1) if column >= 0 else place


def derives_from(kind: type, names: tuple[str, ...]) -> bool:
    """Tell whether a class is, or derives from, one of these dotted names (`module.Class`, as defined there)."""
    return any(f"{base.__module__}.{base.__qualname__}" in names for base in kind.__mro__)
