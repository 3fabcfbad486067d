"""What is known of the arguments of a callable."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EMPTY = inspect.Parameter.empty
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Argument:
    """One argument of a callable; `owner` is the class or function whose docstring describes it."""

    name: str
    annotation: object
    default: object
    owner: Any


@dataclass(frozen=True)
class Signature:
    """What a callable takes, `self` and what else is bound left out.

    `named` is followed through `**kwargs`; where `open`, names that are not in it may be taken too. A positional-only
    argument is in `positional` and not in `named`, where a different argument can have its name.
    """

    positional: tuple[Argument, ...]
    any_positional: bool
    named: Mapping[str, Argument]
    required: frozenset[str]
    open: bool


NOTHING = Signature((), False, {}, NONE, False)
