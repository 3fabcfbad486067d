"""The resolver of sparkwheel as we use it: paths for keys, items made on demand, no reference but by its type."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import sparkwheel

from lighter.config.reference import MAX_HOPS
from lighter.config.tree import Path, join
from lighter.errors import ConfigError


class Reference(str):
    """A leaf of an item that stands for the value at `path`."""

    path: Path

    @classmethod
    def to(cls, path: Path) -> Reference:
        reference = cls(f"@{join(path)}")
        reference.path = path
        return reference


class _Items(dict[Path, sparkwheel.Item]):
    """sparkwheel's table of items, each made when it is first asked for."""

    def __init__(self, make: Callable[[Path], sparkwheel.Item]) -> None:
        self._make = make

    def __contains__(self, _: object) -> bool:
        return True  # whoever asks got the path from the tree

    def __missing__(self, path: Path) -> sparkwheel.Item:
        try:
            self[path] = self._make(path)
        except ConfigError as error:  # sparkwheel takes a ValueError here for a path that is not there
            self[path] = Step(functools.partial(_raise, error))
        return self[path]

    def items(self) -> Any:
        """Return nothing: sparkwheel would look through all items for import statements at each step."""
        return ()


class Engine(sparkwheel.Resolver):  # type: ignore[misc]
    """sparkwheel's resolver, with paths as keys, told that only `Reference` leaves are references."""

    max_resolution_depth = 2 * MAX_HOPS

    def __init__(self, make: Callable[[Path], sparkwheel.Item]) -> None:
        super().__init__()
        self._items = _Items(make)

    @classmethod
    def normalize_id(cls, id: Any) -> Any:  # noqa: A002 (sparkwheel's name)
        return id

    @classmethod
    def match_refs_pattern(cls, value: object) -> dict[Path, int]:
        return {value.path: 1} if isinstance(value, Reference) else {}

    @classmethod
    def update_refs_pattern(cls, value: object, refs: Mapping[Path, Any]) -> object:
        return refs[value.path] if isinstance(value, Reference) else value

    def preset(self, values: Mapping[Path, object]) -> None:
        """Take these values as built."""
        self._resolved.update(values)

    def circle(self, start: Path) -> str:
        """Return the circle of references that a path leads into, as text."""
        trail, here, built = [start], start, self.built()
        while True:
            references = self.find_refs_in_config(self.get_item(here).get_config(), here)
            here = next(path for path in references if path not in built)  # what was under way when the circle closed
            trail.append(here)
            if here in trail[:-1]:
                break
        trail = trail[trail.index(here) :]
        return f"references form a circle: {' -> '.join(map(join, trail))}"

    def built(self) -> dict[Path, object]:
        """Return what was built so far, by path."""
        return dict(self._resolved)


class Step(sparkwheel.Component):  # type: ignore[misc]
    """An item whose value is made by calling `make` with its resolved config."""

    def __init__(self, make: Callable[[Any], object], config: object = None) -> None:
        super().__init__(config=config)
        self._make = make

    def instantiate(self, **_: Any) -> object:
        return self._make(self.get_config())


def _raise(error: ConfigError, _: object) -> None:
    raise error
