"""The modes that a System can be in, and the check of what is given to it by mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from lighter.errors import ConfigError, did_you_mean

MODES = ("train", "val", "test", "predict")

T = TypeVar("T")


def by_mode(section: str, given: Mapping[str, T | None] | None) -> dict[str, T]:
    """Return what `section` gives for each mode, without the modes that are None.

    Raises:
        ConfigError: `given` is no mapping, or has a key that is no mode.
    """
    if not isinstance(given, Mapping | None):
        raise ConfigError(f"{section} must be a mapping by mode ({', '.join(MODES)}), not {given!r}", value=given)
    check_keys(section, given or {}, MODES, "mode")
    return {mode: value for mode, value in (given or {}).items() if value is not None}


def check_keys(section: str, given: Iterable[object], allowed: Iterable[str], kind: str) -> None:
    """Refuse the first key of `section` that is not allowed."""
    allowed = tuple(allowed)
    for key in given:
        if key not in allowed:
            suggestion = did_you_mean(str(key), allowed) or f"use one of {', '.join(allowed)}"
            raise ConfigError(f"unknown {kind} {key!r} in {section}", value=key, suggestion=suggestion)
