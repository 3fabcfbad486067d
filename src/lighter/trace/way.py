"""The way of one batch through the parts of a step: what each received and made, and which one failed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from torch import Tensor

from lighter.trace.values import Row, parts_of, rows_of

FROM, THEN = " ← ", " → "  # an argument and the value it is; a value and what a transform makes of it
Received: TypeAlias = Literal["shown", "if new", "if failed"]

MOST_ITEMS = 100  # of a container that is recognised by what is in it


@dataclass(frozen=True, eq=False)
class Part:
    """Someone whom a batch meets on its way: its role, its author's name for it, and whether to show what it received.

    What is not new is the batch or the input as it is.
    """

    role: str
    name: str = ""
    received: Received = "if failed"


@dataclass
class Section:
    """What one part received and made, row by row; metrics that received the same share one."""

    role: str
    names: list[str]
    rows: list[Row]
    calls: int = 1
    failed: bool = False


@dataclass
class _Call:
    part: Part
    received: Mapping[str, object]
    rows: list[Row]
    is_new: bool


@dataclass
class Way:
    """Collects the sections of one batch of one dataloader.

    Parts call each other, so the calls that have begun and not ended are a stack, and the last of them is what failed.
    """

    mode: str
    loader: int = 0
    sections: list[Section] = field(default_factory=list)
    over: bool = False  # once the step has returned: hooks that call its parts again are no part of the way
    _calls: list[_Call] = field(default_factory=list)
    _done: dict[Part, Section] = field(default_factory=dict)
    _names: dict[Hashable, str] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)  # so that no other value gets the id of one that is named

    def is_in(self, role: str) -> bool:
        return any(call.part.role == role for call in self._calls)

    def begin(self, part: Part, received: Mapping[str, object]) -> None:
        rows = [] if part.received == "if failed" or part in self._done else self._rows(received)
        is_new = len(received) != 1 or self._name_of(*received.values()) not in ("batch", "input")
        self._calls.append(_Call(part, received, rows, is_new))

    def end(self, part: Part, made: Mapping[str, object]) -> None:
        while (call := self._calls.pop()).part != part:  # their exceptions were caught on the way
            pass
        if self.over:
            return
        if part in self._done:
            self._done[part].calls += 1
            return
        rows = call.rows if part.received == "shown" or call.is_new else []
        rows = rows + self._rows(made)
        for name, value in made.items():
            self._remember(name.partition(THEN)[0], value)
        if rows:
            self._done[part] = self._add(Section(part.role, [part.name] if part.name else [], rows))

    def fail(self) -> None:
        """Note that the part of the moment failed, with what it received."""
        if self._calls:
            call = self._calls[-1]
            rows = call.rows or self._rows(call.received)
            self.sections.append(Section(call.part.role, [call.part.name] * bool(call.part.name), rows, failed=True))

    def _add(self, section: Section) -> Section:
        last = self.sections[-1] if self.sections else None
        if last is None or last.role != section.role:
            self.sections.append(section)
            return section
        if last.rows == section.rows:
            last.names += [name for name in section.names if name not in last.names]
        elif not section.names:
            last.rows += section.rows
        else:
            self.sections.append(section)
            return section
        return last

    def _rows(self, values: Mapping[str, object]) -> list[Row]:
        found = []
        for name, value in values.items():
            first, *others = rows_of(name, value)
            source = self._name_of(value)
            if source not in (None, name, name.partition(THEN)[0]):
                first = replace(first, name=f"{name}{FROM}{source}")
            if name == "loss" and self.mode == "train" and not _has_gradient(value):
                first = replace(first, marks=(*first.marks, "no gradient"))
            found += [first, *others]
        return found

    def _name_of(self, value: object) -> str | None:
        return self._names.get(_identity(value))

    def _remember(self, name: str, value: object, depth: int = 3) -> None:
        if depth and not isinstance(value, bool | int | float | str | None):
            self._kept.append(value)
            self._names[_identity(value)] = name
            for suffix, part in parts_of(value):
                self._remember(name + suffix, part, depth - 1)


def _identity(value: object) -> Hashable:
    """Return what equals that of the same data: a detached tensor is still the tensor that it was."""
    if isinstance(value, Tensor):
        try:
            data = value.data_ptr(), value.shape, value.stride(), value.dtype
        except RuntimeError:  # a sparse or nested one
            return id(value)
        return data if data[0] else id(value)
    if isinstance(value, list | tuple | Mapping) and len(value) <= MOST_ITEMS:
        return type(value), tuple((suffix, _identity(part)) for suffix, part in parts_of(value)) or id(value)
    return id(value)


def _has_gradient(loss: object) -> bool:
    total = loss.get("total") if isinstance(loss, Mapping) else loss
    return not isinstance(total, Tensor) or total.requires_grad
