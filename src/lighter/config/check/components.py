"""Targets that do not exist or cannot be called, and reserved keys that are not what they can be."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from types import ModuleType

from lighter.config.check.arguments import Argument
from lighter.config.check.given import Call
from lighter.config.check.help import summary
from lighter.config.check.signatures import signature_of
from lighter.config.check.subject import Subject
from lighter.config.targets import TargetError, class_in, import_object, is_dotted
from lighter.config.tree import Node, Path, is_reference, key_text
from lighter.errors import did_you_mean

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
    given_to: dict[Path, Argument] = {}
    for path, node in subject.until_full(subject.components):
        assert isinstance(node.value, dict)
        positional = _positional(subject, path, node)
        target = _target(subject, path, node)
        if target is not None:
            signature = signature_of(target)
            _check_slips(subject, path, node, signature.named if signature else {})
            if signature is not None:
                Call(subject, path, node, target, signature, positional, given_to).check()


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
        meant = re.fullmatch(r"\s*([\w.]+)\s*(?:\(.*)?", re.sub(r"(?<!\.py)::?", ".", name))
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
        is_module = isinstance(found, ModuleType)
        message = f"{name!r} is a module, which cannot be called" if is_module else f"{name!r} is not callable"
        match = class_in(name) if is_module else None
        subject.problem(where, item.place, message, name, f"did you mean {match!r}?" if match else None)
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
