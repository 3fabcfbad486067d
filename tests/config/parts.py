"""What the configs of these tests build, and the few lines that write, compose and build them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from lighter.config import Config, compose
from lighter.config.resolve import Resolver
from lighter.config.tree import Plain
from lighter.errors import LighterError, Place, render

HEAD = "trainer: {_target_: builtins.dict}\nsystem: {_target_: builtins.dict}\n"
BUILT: list[str] = []


class Box:
    """Keep what it was given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


class Strict:
    def __init__(self, size: int, rate: float = 0.1) -> None:
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        self.size = size
        self.rate = rate


class Matrix:
    def __matmul__(self, other: object) -> tuple[str, object]:
        return "product", other


def record(name: str) -> str:
    BUILT.append(name)
    return name


def nothing() -> None:
    return None


def fails() -> None:
    try:
        try:
            raise OSError("the disk is gone")
        except OSError as error:
            raise ValueError("cannot read points.npz") from error
    except ValueError as error:
        raise RuntimeError("no data") from error


def refuses(*, placed: bool) -> None:
    from lighter.errors import ConfigError

    place = Place("elsewhere.yaml", 3, 5) if placed else None
    raise ConfigError("the parts do not fit", place=place, suggestion="use others")


def write(text: str, name: str = "config.yaml", *, head: str = HEAD) -> str:
    """Write a config whose first lines are `text`, then the sections that each config needs, and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(dedent(text).rstrip("\n") + "\n" + head, encoding="utf-8")
    return name


def composed(text: str, *overrides: str) -> Config:
    return compose([write(text)], overrides)


def variables(text: str, *overrides: str) -> Plain:
    """Return the values under `vars` of a config that is its text and the overrides."""
    return composed(text, *overrides).plain("vars")


def merged(*texts: str) -> Plain:
    """Return the values under `vars` of files merged in order."""
    files = [write(text, f"{index}.yaml", head="" if index else HEAD) for index, text in enumerate(texts)]
    return compose(files).plain("vars")


def resolver(text: str, *overrides: str) -> Resolver:
    return Resolver.of(composed(text, *overrides))


def built(text: str, path: str = "vars::x") -> Any:
    return resolver(text).resolve(path)


def screen(action: Callable[[], object]) -> str:
    """Return what a person sees of the error that an action raises, a line break first as in a literal."""
    with pytest.raises(LighterError) as caught:
        action()
    return f"\n{render(caught.value)}\n"
