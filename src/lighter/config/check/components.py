"""Targets that do not exist, and arguments that do not fit their signatures."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from lighter.config.calls import unknown_argument
from lighter.config.check.arguments import Argument, Signature
from lighter.config.check.help import argument_help, argument_text, summary
from lighter.config.check.objects import check_mapping
from lighter.config.check.signatures import signature_of
from lighter.config.check.subject import Subject
from lighter.config.check.values import Contradiction, contradiction
from lighter.config.structure import RESERVED, SYSTEM_TARGETS
from lighter.config.targets import TargetError, import_object, is_dotted
from lighter.config.tree import Key, Node, Path, is_reference, join, key_text
from lighter.errors import Place, did_you_mean

MODES = ("default", "callable")
SLIPS: Mapping[str, Callable[[object], bool]] = {  # and what says that a key with an underscore less was meant as one
    "_args_": lambda value: isinstance(value, list),
    "_mode_": lambda value: value in MODES,
    "_disabled_": lambda value: isinstance(value, bool),
}


def check_components(subject: Subject) -> None:
    for path, node in subject.until_full(subject.written):
        if node.is_target:
            _check_mode(subject, path, node)
    for path, node in subject.until_full(subject.components):
        assert isinstance(node.value, dict)
        positional = _positional(subject, path, node)
        target = _target(subject, path, node)
        if target is not None:
            signature = signature_of(target)
            _check_slips(subject, path, node, signature.named if signature else {})
            if signature is not None:
                _Call(subject, path, node, target, signature, positional).check()


def _check_mode(subject: Subject, path: Path, node: Node) -> None:
    assert isinstance(node.value, dict)
    for key, kind in (("_mode_", MODES), ("_disabled_", (True, False))):
        item = node.value.get(key)
        if item is None:
            continue
        value = subject.constant((*path, key), item, kind[0])
        if value not in kind or (isinstance(value, bool) != isinstance(kind[0], bool)) or _is_list(item):
            if key == "_disabled_":
                subject.problem((*path, key), item.place, "`_disabled_` must be true or false", item.plain())
            else:
                suggestion = did_you_mean(str(item.value), MODES) or f"known: {', '.join(MODES)}"
                subject.problem((*path, key), item.place, f"{item.plain()!r} is not a `_mode_`", item.value, suggestion)


def _is_list(node: Node) -> bool:
    return isinstance(node.value, (dict, list))


def _check_slips(subject: Subject, path: Path, node: Node, named: Mapping[str, Argument]) -> None:
    """Find `_mode` and the like, which would be taken for an argument."""
    assert isinstance(node.value, dict)
    for key, item in node.value.items():
        name = key_text(key)
        meant = f"_{name.strip('_')}_"
        if meant in SLIPS and len(name) == len(meant) - 1 and name not in named and SLIPS[meant](item.value):
            place = item.key_place or item.place
            message = f"{name!r} is not a reserved key"
            subject.problem((*path, key), place, message, name, f"did you mean {meant!r}?")


def _positional(subject: Subject, path: Path, node: Node) -> list[tuple[Path, Node]] | None:
    """Return what `_args_` gives; None where that is not known."""
    assert isinstance(node.value, dict)
    item = node.value.get("_args_")
    if item is None:
        return []
    here, found = subject.behind((*path, "_args_"))
    if found is None or is_reference(found.value, "$%") or found.is_target:
        return None
    if not isinstance(found.value, list):
        subject.problem((*path, "_args_"), item.place, "`_args_` must be a list", item.plain())
        return None
    items = subject.children(here, found)
    return None if any(subject.may_be_absent(*item) for item in items) else items


def _target(subject: Subject, path: Path, node: Node) -> Callable[..., object] | None:
    """Return what `_target_` names, having told why where that is nothing that can be called."""
    assert isinstance(node.value, dict)
    item, where = node.value["_target_"], (*path, "_target_")
    name = subject.target_name(path, node)
    if name is None:
        if _is_list(item) or not isinstance(item.value, str):
            subject.problem(
                where, item.place, "`_target_` must be a dotted name, such as torch.nn.Linear", item.plain()
            )
        return None
    if not is_dotted(name):
        message = f"{name!r} is not a dotted name such as torch.nn.Linear"
        meant = re.fullmatch(r"\s*([\w.]+)\s*(?:\(.*)?", name)
        suggestion = f"write {meant[1]}" if meant and is_dotted(meant[1]) else None
        subject.problem(where, item.place, message, name, suggestion)
        return None
    if not subject.imports:
        return None
    try:
        found = subject.imported_target(name)
    except TargetError as error:
        if not (_is_of_project(name) and (subject.is_told(("project",)) or subject.is_misspelt(("project",)))):
            suggestion = _of_project(subject, name) or _with_summary(name, error)
            subject.problem(where, item.place, error.message, name, suggestion)
        return None
    if not callable(found):
        subject.problem(where, item.place, f"{name!r} is not callable", name)
        return None
    return found


def _is_of_project(name: str) -> bool:
    return name.split(".")[0] == "project"


def _of_project(subject: Subject, name: str) -> str | None:
    """Suggest `project.module` where the name of the project's folder was written for it."""
    folder = subject.find(("project",))
    head, _, rest = name.partition(".")
    is_folder = folder is not None and isinstance(folder.value, str) and FilePath(folder.value).name == head
    return f"the folder {head!r} is importable as 'project': project.{rest}" if is_folder and rest else None


def _with_summary(name: str, error: TargetError) -> str | None:
    """Return the suggestion with what the suggested class or function says of itself."""
    if "." not in name:
        return did_you_mean(name, dir(builtins), 0.8) or "write its module too, as in torch.nn.Linear"
    try:
        text = summary(import_object(error.nearest)) if error.nearest else None
    except TargetError:
        text = None
    return f"{error.suggestion} {text}" if text else error.suggestion


class _Call:
    """One component, and what its target takes."""

    def __init__(
        self,
        subject: Subject,
        path: Path,
        node: Node,
        target: Any,
        signature: Signature,
        positional: list[tuple[Path, Node]] | None,
    ) -> None:
        assert isinstance(node.value, dict)
        self.subject = subject
        self.path = path
        self.node = node
        self.target = target
        self.signature = signature
        self.positional = positional
        self.name = subject.target_name(path, node) or ""
        self.target_node: Node = node.value["_target_"]
        self.given: Mapping[str, tuple[Key, Node]] = {
            key_text(key): (key, item) for key, item in node.value.items() if key not in RESERVED
        }

    def check(self) -> None:
        self.check_names()
        if self.positional is not None and self.check_positional(self.positional):
            self.check_missing(len(self.positional))
        for name, (key, item) in self.given.items():
            if name in self.signature.named and self.subject.uses((*self.path, key)):
                self.check_value((*self.path, key), item, self.signature.named[name])
        for argument, (path, item) in zip(self.signature.positional, self.positional or (), strict=False):
            self.check_value(path, item, argument)

    def check_names(self) -> None:
        signature = self.signature
        if signature.open or (self.path == ("system",) and self.name in SYSTEM_TARGETS):
            return
        unknown = {name: item for name, (_, item) in self.given.items() if name not in signature.named}
        inherited = {name: item for name, item in unknown.items() if self.is_inherited(item)}
        for name, item in unknown.items():
            if name in inherited or self.is_meant_as_reserved(name):
                continue
            message, suggestion, match = unknown_argument(self.name, name, signature.named)
            if match and (text := argument_help(signature.named[match].owner, match)):
                suggestion = f"{suggestion} {match}: {text}"
            place = item.key_place or item.place
            self.subject.problem((*self.path, name), place, message, name, suggestion)
        if inherited:
            self.tell_inherited(inherited)

    def is_inherited(self, item: Node) -> bool:
        """Tell whether an argument was written for the target that a later source replaced."""
        old = self.target_node.replaced
        if old is None or old.value == self.target_node.value:
            return False
        return _source(item.key_place or item.place) != _source(self.target_node.place)

    def tell_inherited(self, inherited: Mapping[str, Node]) -> None:
        old = self.target_node.replaced
        assert old is not None
        names = ", ".join(map(repr, inherited))
        places = [item.key_place or item.place for item in inherited.values()]
        origin = f"{places[0].file}:{', '.join(str(place.line) for place in places)}" if places[0].line else places[0]
        message = (
            f"{self.name} takes no argument{'s' * (len(inherited) > 1)} {names},\n  which {origin} gave to {old.value}"
        )
        key = join(self.path) if isinstance(self.path[-1], int) else key_text(self.path[-1])
        suggestion = f"write '={key}:' to replace all of {join(self.path)} instead of merging into it"
        if self.target_node.place.override:
            suggestion = f"replace all of it: '={join(self.path)}={{_target_: {self.name}, …}}'"
        self.subject.problem(self.path, self.target_node.place, message, ", ".join(inherited), suggestion)

    def check_positional(self, items: list[tuple[Path, Node]]) -> bool:
        """Find what is too much or given by name too, and tell whether there are not too many."""
        taken = self.signature.positional
        fits = len(items) <= len(taken) or self.signature.any_positional
        if not fits:
            path, item = items[len(taken)]
            count = f"{len(taken) or 'no'} argument{'s' * (len(taken) > 1)} by position"
            message = f"{self.name} takes {count}, and `_args_` has {len(items)}"
            self.subject.problem(path, item.place, message, len(items))
        for argument in taken[: len(items)]:
            if argument.name in self.given and argument.name in self.signature.named:
                item = self.given[argument.name][1]
                message = f"{self.name} is given {argument.name!r} twice: by position in `_args_`, and by name"
                self.subject.problem((*self.path, argument.name), item.key_place or item.place, message, argument.name)
        return fits

    def is_misspelt(self, name: str) -> bool:
        return self.subject.is_misspelt((*self.path, name))

    def is_meant_as_reserved(self, name: str) -> bool:
        return "_" in (name[:1], name[-1:]) and self.subject.is_told((*self.path, name))

    def check_missing(self, count: int) -> None:
        if self.mode() != "default" or any(map(self.is_meant_as_reserved, self.given)):
            return
        given = {*self.given, *(argument.name for argument in self.signature.positional[:count])}
        required = self.signature.required - given
        missing = [name for name in self.order() if name in required and not self.is_misspelt(name)]
        if not missing:
            return
        names = " and ".join(filter(None, [", ".join(map(repr, missing[:-1])), repr(missing[-1])]))
        first = next(argument for argument in self.arguments() if argument.name == missing[0])
        text = argument_help(first.owner, first.name)
        suggestion = f"{missing[0]}: {text}" if text else None
        if inspect.isfunction(self.target) and first in self.signature.positional[:1]:
            suggestion = "to hand the function on, to be called later, write `_mode_: callable` beside it"
        message = f"{self.name} needs {names}"
        suggestion = self.subject.deletion_of((*self.path, missing[0])) or suggestion
        self.subject.problem(self.path, self.target_node.place, message, missing[0], suggestion)

    def mode(self) -> object:
        assert isinstance(self.node.value, dict)
        item = self.node.value.get("_mode_")
        return self.subject.constant((*self.path, "_mode_"), item, "unknown") if item else "default"

    def arguments(self) -> list[Argument]:
        positional = {argument.name for argument in self.signature.positional}
        named = [argument for argument in self.signature.named.values() if argument.name not in positional]
        return [*self.signature.positional, *named]

    def order(self) -> list[str]:
        return [argument.name for argument in self.arguments()]

    def check_value(self, path: Path, item: Node, argument: Argument) -> None:
        check_mapping(self.subject, path, item, argument.annotation)
        wrong = contradiction(item, argument.annotation, argument.default)
        if wrong is None or (not wrong.path and _is_documented(argument, item, wrong)):
            return
        if self.subject.is_told((*path, *wrong.path), wrong.node):
            return
        message = f"{self.name} {argument.name!r} {wrong.message}"
        suggestion = wrong.suggestion or self.a_forgotten_mark(wrong.node)
        if suggestion is None and (text := argument_help(argument.owner, argument.name)):
            suggestion = f"{argument.name}: {text}"
        self.subject.problem((*path, *wrong.path), wrong.node.place, message, wrong.node.plain(), suggestion)

    def a_forgotten_mark(self, node: Node) -> str | None:
        """Suggest the reference where a text is the path of something in the config."""
        text = node.value
        if not isinstance(text, str) or "::" not in text or self.subject.find(tuple(text.split("::"))) is None:
            return None
        return f"did you mean '%{text}'?"


def _is_documented(argument: Argument, item: Node, wrong: Contradiction) -> bool:
    """Tell whether the help of an argument speaks of a value that its annotation leaves out."""
    text = argument_text(argument.owner, argument.name)
    if isinstance(item.value, list):
        takes_others = " list of " in wrong.message.rpartition(", not ")[0]
        return not takes_others and re.search(r"\b(?:list|tuple|sequence|iterable)s?\b", text, re.I) is not None
    if not isinstance(item.value, str) or ("." in item.value and is_dotted(item.value)):
        return False  # what a dotted name leads to may be documented, but not the text
    return re.search(rf"[\"'`]{re.escape(item.value)}[\"'`]", text) is not None


def _source(place: Place) -> str:
    return place.override or place.file
