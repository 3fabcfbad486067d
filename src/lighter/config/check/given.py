"""What components give their targets, compared with what these take."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any

from lighter.config.calls import other_word, unknown_argument
from lighter.config.check.annotations import is_asked_for, takes_callable
from lighter.config.check.arguments import Argument, Signature
from lighter.config.check.help import argument_help, argument_text
from lighter.config.check.objects import OPTIMIZER, check_mapping
from lighter.config.check.subject import Subject, derives_from
from lighter.config.check.values import Contradiction, contradiction
from lighter.config.load import resolve_scalar
from lighter.config.structure import RESERVED, SYSTEM_TARGETS
from lighter.config.targets import is_dotted
from lighter.config.tree import Key, Node, Path, join, key_text
from lighter.errors import Place, nearest

OF_OBJECTS = ("model", "optimizer", "scheduler", "dataloaders", "metrics")  # slots that hold no functions


class Call:
    """One component, and what its target takes."""

    def __init__(
        self,
        subject: Subject,
        path: Path,
        node: Node,
        target: Any,
        signature: Signature,
        positional: list[tuple[Path, Node]] | None,
        given_to: dict[Path, Argument],
    ) -> None:
        assert isinstance(node.value, dict)
        self.subject = subject
        self.path = path
        self.node = node
        self.target = target
        self.signature = signature
        self.positional = positional
        self.given_to = given_to  # the arguments that components are given to, by the paths of these
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
        if isinstance(self.target, type) and derives_from(self.target, OPTIMIZER):
            self.check_groups()

    def check_names(self) -> None:
        signature = self.signature
        if signature.open or (self.path == ("system",) and self.name in SYSTEM_TARGETS):
            return
        unknown = {name: item for name, (_, item) in self.given.items() if name not in signature.named}
        inherited = {name: item for name, item in unknown.items() if self.is_inherited(item)}
        for name, item in unknown.items():
            if name in inherited or self.is_meant_as_reserved(name):
                continue
            others = "no arguments by name: give them in `_args_`" if signature.any_positional else "no arguments"
            message, suggestion, match = unknown_argument(self.name, name, signature.named, others)
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
        suggestion = self.subject.deletion_of((*self.path, missing[0])) or self.how_to_give(missing[0])
        self.subject.problem(self.path, self.target_node.place, f"{self.name} needs {names}", missing[0], suggestion)

    def how_to_give(self, name: str) -> str | None:
        """Return the mend of a missing argument: the name that it was meant by, a later call, or its help."""
        meant = nearest(name, self.given.keys() - self.signature.named.keys(), 0.8)
        if meant:
            return f"did you mean {name!r} for {meant!r}?"
        first = next(argument for argument in self.arguments() if argument.name == name)
        try:
            is_handed_on = self.is_handed_on(first)
        except Exception:  # an annotation is anyone's object
            is_handed_on = False
        if is_handed_on:
            kind = "class" if isinstance(self.target, type) else "function"
            return f"to hand the {kind} on, to be called later, write `_mode_: callable` beside it"
        text = argument_help(first.owner, name)
        return f"{name}: {text}" if text else None

    def is_handed_on(self, missing: Argument) -> bool:
        """Tell whether a class or a function that lacks an argument may be meant to be called later."""
        taker = self.given_to.get(self.path)
        if self.is_in_slot(OF_OBJECTS):
            return False
        if isinstance(self.target, type):
            return taker is not None and is_asked_for(self.target, taker.annotation, taker.default)
        is_first = any(missing is argument for argument in self.signature.positional[:1])
        if not inspect.isfunction(self.target) or not is_first:
            return False
        return taker is None or takes_callable(taker.annotation)

    def is_in_slot(self, slots: Collection[str]) -> bool:
        """Tell whether it is, or is in a table of, what one of the System's slots holds."""
        above = (self.subject.find(self.path[:depth]) for depth in range(2, len(self.path)))
        is_below = self.path[:2] in [("system", slot) for slot in slots]
        return is_below and not any(item and item.is_target for item in above)

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

    def check_groups(self) -> None:
        """Check what an optimizer's groups of parameters give for its arguments."""
        assert isinstance(self.node.value, dict)
        groups = self.node.value.get("params")
        others = (
            self.signature.named if str(self.target.__module__).startswith("torch.optim.") else ()
        )  # which reads no more
        if groups is None or not isinstance(groups.value, list):
            return
        for path, group in self.subject.children((*self.path, "params"), groups):
            for name, item in group.value.items() if isinstance(group.value, dict) and not group.is_target else ():
                where = (*path, name)
                if name in self.signature.named and name != "params":
                    self.check_value(where, item, self.signature.named[str(name)])
                elif meant := other_word(str(name), others):
                    message = f"{self.name} does not look at {name!r}"
                    place = item.key_place or item.place
                    self.subject.problem(where, place, message, name, f"did you mean {meant!r}?")

    def check_value(self, path: Path, item: Node, argument: Argument) -> None:
        if item.is_target:
            self.given_to[path] = argument
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
    is_text = isinstance(resolve_scalar(item.value), str) and item.value not in ("None", "")
    quotes = "\"'`" if is_text else "\"'"  # code in backticks that is no text is told without its quotes
    return re.search(rf"[{quotes}]{re.escape(item.value)}[{quotes}]", text) is not None


def _source(place: Place) -> str:
    return place.override or place.file
