"""Composition: sources and overrides, in order, to one tree."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from lighter.config import structure
from lighter.config.load import Entry, PartlyReadError, Patch, load_text, misplaced_operator
from lighter.config.reference import absolute, expand
from lighter.config.stored import load_source
from lighter.config.tree import (
    MAX_DEPTH,
    SEPARATOR,
    Key,
    Node,
    Path,
    PathError,
    Plain,
    dotted,
    is_reference,
    join,
    key_text,
    lost,
    set_child,
    split,
    step,
    walk,
)
from lighter.errors import ConfigError, Place, Problem, UsageError, did_you_mean

MANY = 100  # problems: of more, no suggestions are looked for, which takes a while
MAX_FILES = 1000  # that a config may include: a bound on files that include each other again and again

_EXTERNAL = re.compile(r"%(?P<file>[^:\0]*?\.ya?ml)(?:::(?P<path>.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Config:
    """A composed config, what it was composed from, and the places of values that were taken out as secrets."""

    root: Node
    sources: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    hidden: frozenset[Place] = frozenset()

    def __contains__(self, path: str) -> bool:
        return self.find(path) is not None

    def find(self, path: str) -> Node | None:
        """Return the node at a path, or None."""
        try:
            return walk(self.root, split(path))
        except PathError:
            return None

    def plain(self, path: str = "") -> Plain:
        """Return the value at a path without places; None where there is none."""
        node = self.find(path)
        return node.plain() if node else None


def compose(sources: str | FilePath | Sequence[str | FilePath], overrides: str | Sequence[str] = ()) -> Config:
    """Merge one or more sources in order, then apply one or more overrides in order.

    A source is a YAML file, the folder of a run, or a checkpoint that a run has saved.

    Raises:
        ConfigError: with every problem found in the sources, the overrides and the fixed structure.
        UsageError: there is no source.
    """
    config, problems = compose_what_can_be(sources, overrides)
    if problems:
        raise ConfigError(problems=problems)
    return config


def compose_what_can_be(
    sources: str | FilePath | Sequence[str | FilePath], overrides: str | Sequence[str] = ()
) -> tuple[Config, list[Problem]]:
    """Compose like `compose` does, but leave out what cannot be, and return the problems with the rest.

    Raises:
        ConfigError: with every problem of the sources, where one of them cannot be read at all.
        UsageError: there is no source.
    """
    sources = [sources] if isinstance(sources, (str, FilePath)) else sources
    overrides = [overrides] if isinstance(overrides, str) else overrides
    files = [part for source in sources for part in _split_source(str(source))]
    if not files:
        raise UsageError("no config: name at least one source")
    root = Node({}, Place(files[0], 1, 1))
    composer = _Composer(root)
    readable = [composer.merge_source(file) for file in files]
    if not all(readable):
        raise ConfigError(problems=composer.problems)
    for text in overrides:
        composer.override(text)
    config = Config(root, tuple(files), tuple(overrides), frozenset(composer.hidden))
    return config, [*structure.problems(root), *composer.problems]


def _split_source(source: str) -> list[str]:
    """Split `a.yaml,b.yaml`, unless a file or folder of that very name exists."""
    if "," not in source or os.path.exists(source):  # noqa: PTH110 (pathlib raises on names that cannot exist)
        return [source] if source else []
    return [part.strip() for part in source.split(",") if part.strip()]


@dataclass
class _Composer:
    """Merge patches into a tree in place, collecting problems."""

    root: Node
    problems: list[Problem] = field(default_factory=list)
    open_files: tuple[str, ...] = ()
    included: list[str] = field(default_factory=list)
    hidden: set[Place] = field(default_factory=set)
    lists_append: bool = True

    def problem(
        self, message: str, place: Place, path: Path = (), value: object = None, suggestion: str | None = None
    ) -> None:
        self.problems.append(Problem(message, place, join(path) or None, value, suggestion))

    def merge_source(self, file: str, said_by: str = "") -> bool:
        """Merge a source, which the file `said_by` names, into the root; tell whether it could be read."""
        try:
            patch, hidden = load_source(file, said_by)
            self.hidden |= hidden
        except PartlyReadError as error:
            self.problems += error.problems
            patch = error.patch
        except ConfigError as error:
            self.problems += error.problems
            return False
        self.merge(self.root, patch, ())
        return True

    def enter(self, node: Node, entry: Entry, path: Path) -> None:
        """Apply one entry below `node`, which stands at `path`."""
        target = (*path, *entry.path)
        if len(target) > MAX_DEPTH:
            return self.problem(f"is nested more than {MAX_DEPTH} levels deep", entry.place)
        for depth, part in enumerate(entry.path[:-1], len(path)):
            found = step(node, part)
            if found is None and isinstance(node.value, dict) and not entry.operator:
                found = part, Node({}, entry.place, entry.place)
                node.value[part] = found[1]
            if found is None:
                return self.lost(lost(self.root, node, target, depth), target, entry)
            node = found[1]
        last = entry.path[-1]
        if found := step(node, last):
            if entry.operator == "~":
                return self.delete(node, found[0], found[1], entry, target)
            return self.put(node, found[0], found[1], entry, target)
        if not isinstance(node.value, dict) or entry.operator in ("=", "~"):
            return self.lost(lost(self.root, node, target, len(target) - 1), target, entry)
        if last in node.value:
            return self.problem("this key and 1 or 0 beside it are the same to Python", entry.place, target, last)
        return self.put(node, last, None, entry, target)

    def put(self, node: Node, key: Key, base: Node | None, entry: Entry, path: Path) -> None:
        """Merge, replace or append under `key`."""
        if entry.operator == "+":
            base = base or Node([], entry.place, entry.place)
            set_child(node, key, base)
            return self.append(base, entry, path)
        merged = self.merge(None if entry.operator == "=" else base, entry.patch, path)
        if merged is not base:
            merged.key_place = entry.place
            if base is not None:
                merged.replaced = base.replaced if _extends(merged, base) else base
        return set_child(node, key, merged)

    def append(self, base: Node, entry: Entry, path: Path) -> None:
        """Append what an override's `+=` gives: a list's items, or one item."""
        if not isinstance(base.value, list):
            given = base.plain()
            return self.problem(f"'+=' appends to a list, and this is {given!r}", entry.place, path, given)
        patches = entry.patch.value if isinstance(entry.patch.value, tuple) else (entry.patch,)
        start = len(base.value)
        base.value.extend(self.merge(None, patch, (*path, start + i)) for i, patch in enumerate(patches))
        return None

    def merge(self, base: Node | None, patch: Patch, path: Path) -> Node:
        """Return what `patch` makes of `base`: mappings merge, lists append, the rest replaces."""
        if len(path) > MAX_DEPTH:
            self.problem(f"is nested more than {MAX_DEPTH} levels deep", patch.place)
            return Node(None, patch.place)
        if isinstance(patch.value, list):
            if base is not None and is_reference(base.value, "@%$") and not _is_target(patch):
                self.drops(base, patch, path)
                return base
            node = base if base is not None and isinstance(base.value, dict) else Node({}, patch.place)
            for entry in patch.value:
                self.enter(node, entry, path)
            return node
        if isinstance(patch.value, tuple):
            old = base.value if base is not None and isinstance(base.value, list) and self.lists_append else []
            new = [self.merge(None, item, (*path, len(old) + i)) for i, item in enumerate(patch.value)]
            return Node([*old, *new], patch.place)
        if match := _external(patch.value):
            return self.include(patch, match, path)
        return Node(patch.value, patch.place)

    def delete(self, node: Node, key: Key, container: Node, entry: Entry, path: Path) -> None:
        """Delete a key, or the listed items of what is under it."""
        if entry.patch.value is None:
            return _remove(node, [key])
        if not isinstance(entry.patch.value, tuple):
            return self.problem("'~' takes null, or a list of the items to delete", entry.patch.place, path)
        doomed: list[Key] = []
        for item in entry.patch.value:
            if isinstance(item.value, (tuple, list)):
                self.problem("'~' takes a list of keys or indices", item.place, path)
            elif found := step(container, item.value):
                doomed.append(found[0])
            else:
                self.lost(lost(self.root, container, (*path, item.value), len(path)), path, entry)
        return _remove(container, doomed)

    def include(self, patch: Patch, match: re.Match[str], path: Path) -> Node:
        """Return a copy of what `%file.yaml::path` names, with that file's own raw references expanded."""
        here = FilePath(patch.place.file).parent if patch.place.file else FilePath()
        file = str(here / match["file"])
        real = os.path.realpath(file)
        failed = Node(match.string, patch.place)  # as written, so that whoever looks knows to leave it alone
        self.included.append(real)
        if real in self.open_files:
            self.problem(f"{file!r} refers back to itself through other files", patch.place, path, patch.value)
            return failed
        if len(self.included) > MAX_FILES:
            raise ConfigError(f"more than {MAX_FILES} files are included", place=patch.place, path=join(path))
        root = Node({}, Place(file, 1, 1))
        nested = _Composer(root, open_files=(*self.open_files, real), included=self.included, hidden=self.hidden)
        try:
            nested.merge_source(file, patch.place.file)
        except RecursionError:
            self.problem("files include files too deeply", patch.place, path, patch.value)
            return failed
        for problem in nested.problems:
            place = problem.place or patch.place
            self.problems.append(replace(problem, place=place, path=problem.path or join(path)))
        if nested.problems:
            return failed
        target = split(match["path"] or "")
        try:
            return expand(root, walk(root, target).copy(), target)
        except PathError as error:
            self.problem(f"{error.message} ({file})", patch.place, path, patch.value, error.suggestion)
        except ConfigError as error:
            self.problems += error.problems
        return failed

    def lost(self, error: PathError, path: Path, entry: Entry) -> None:
        """Report an entry whose path leads nowhere."""
        purpose = {"=": "'=' has nothing to replace: ", "~": "'~' has nothing to delete: "}.get(entry.operator, "")
        suggestion = error.suggestion if len(self.problems) < MANY else None
        if referred := _referred(error.node, path[: error.depth]):
            suggestion = f"change what it refers to: {referred + SEPARATOR + join(path[error.depth :])!r}"
        self.problem(purpose + error.message, entry.place, path, join(path), suggestion)

    def drops(self, base: Node, patch: Patch, path: Path) -> None:
        """Report a mapping that would be merged into a reference, and so drop it."""
        suggestion = f"to replace it, write {'=' + key_text(path[-1])!r} for the key"
        if referred := _referred(base, path):
            suggestion = f"change what it refers to: {referred!r}, or {suggestion}"
        message = f"a mapping cannot be merged into {base.value!r}"
        self.problem(message, patch.place, path, base.value, suggestion)

    def override(self, text: str) -> None:
        """Apply one override of the command line."""
        root = self.root
        try:
            entry = parse_override(text)
        except ConfigError as error:
            self.problems += error.problems
            return None
        structure.make_section(root, entry.path[:-1], entry.place)
        node = root
        for depth, part in enumerate(entry.path[:-1]):
            found = step(node, part)
            if found is None:
                missing = lost(root, node, entry.path, depth)
                known = [key for key in structure.known_keys(entry.path[:depth]) if key != part]
                missing.suggestion = missing.suggestion or did_you_mean(key_text(part), known)
                return self.lost(missing, entry.path, entry)
            node = found[1]
        if step(node, entry.path[-1]) is None and (suggestion := dotted(root, entry.path)):
            return self.problem("there is no such path", entry.place, entry.path, text, suggestion)
        nested = _Composer(root, self.problems, lists_append=False)
        return nested.enter(root, entry, ())


def parse_override(text: str) -> Entry:
    """Read an override: `path=value`, `=path=value`, `path+=value` or `~path`.

    Raises:
        ConfigError: it has no `=`, an empty path, no value or a value that is not YAML.
    """
    place = Place(override=text)
    operator = text[0] if text[:1] in ("=", "~") else ""
    name, equals, value = text[len(operator) :].partition("=")
    if operator != "~" and not equals:
        raise ConfigError("an override is written path=value", place=place if text else None, value=text)
    if not operator and name.endswith("+"):
        operator, name = "+", name[:-1]
    name = name.strip()
    path = split(name)
    if not path or not all(path):
        raise ConfigError("the path of an override has an empty part", place=place, value=name)
    if mend := misplaced_operator(operator, path):
        raise ConfigError("has an operator inside its path", place=place, path=name, value=name, suggestion=mend)
    if operator != "~" and not value.strip():
        raise ConfigError("has no value; write path=null for null", place=place, path=name, value=value)
    if value[:1] in tuple("@%$\\#"):
        return Entry(operator, path, Patch(value, place), place)  # YAML would refuse these, or take them for a comment
    return Entry(operator, path, load_text(value, place), place)


def _referred(node: Node, path: Path) -> str | None:
    """Return the path that a reference at `path` names, as text."""
    try:
        return join(absolute(str(node.value)[1:], path)) if is_reference(node.value) else None
    except ConfigError:
        return None


def _is_target(patch: Patch) -> bool:
    return isinstance(patch.value, list) and any(entry.path == ("_target_",) for entry in patch.value)


def _extends(node: Node, base: Node) -> bool:
    """Tell whether a list is another with more items behind."""
    old, new = base.value, node.value
    return isinstance(old, list) and isinstance(new, list) and bool(old) and new[: len(old)] == old


def is_external(value: object) -> bool:
    """Tell whether a value names another file."""
    return _external(value) is not None


def _external(value: object) -> re.Match[str] | None:
    return _EXTERNAL.fullmatch(value) if isinstance(value, str) else None


def _remove(node: Node, keys: Sequence[Key]) -> None:
    if isinstance(node.value, dict):
        node.value = {key: item for key, item in node.value.items() if key not in keys}
    elif isinstance(node.value, list):
        node.value = [item for index, item in enumerate(node.value) if index not in keys]
