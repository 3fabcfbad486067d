"""Targets of which anything that is more than looking springs a trap: calling, comparing, printing, iterating."""

from __future__ import annotations

import abc
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

SPRUNG: list[str] = []


def spring(what: str) -> NoReturn:
    SPRUNG.append(what)
    raise RuntimeError(f"a trap: {what}")


# --- what is called


def function(size: int, rate: float = 0.1, **options: int) -> None:
    spring("function")


async def coroutine(size: int) -> None:
    spring("coroutine")


def generator(size: int) -> Iterator[int]:
    spring("generator")
    yield size


@functools.lru_cache
def cached(size: int) -> None:
    spring("cached")


@functools.singledispatch
def dispatched(size: int) -> None:
    spring("dispatched")


partial = functools.partial(function, 1, rate=0.5)


def wrapping(inner: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> None:
        spring("outer")
        inner(*args, **kwargs)

    return outer


wrapped = wrapping(function)
around = wrapping(function)
around.__wrapped__ = around  # type: ignore[attr-defined]  # in a circle


# --- objects that mind being looked at


class Touchy:
    """Spring on everything that is not a plain look-up of an attribute which is there."""

    def __repr__(self) -> str:
        spring("repr")

    def __eq__(self, other: object) -> bool:
        spring("==")

    def __hash__(self) -> int:
        spring("hash")

    def __bool__(self) -> bool:
        spring("bool")

    def __len__(self) -> int:
        spring("len")

    def __iter__(self) -> Iterator[object]:
        spring("iter")

    def __contains__(self, item: object) -> bool:
        spring("in")

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        spring("call")

    def __format__(self, spec: str) -> str:
        spring("format")


touchy = Touchy()


def defaults(a: object = touchy, b: int = touchy, *, c: str = touchy, **rest: object) -> None:  # type: ignore[assignment]
    spring("defaults")


def annotated(a, b, c=None, d=()):  # type: ignore[no-untyped-def]
    spring("annotated")


annotated.__annotations__ = {"a": touchy, "b": "spring('annotation')", "c": "no such thing", "d": "1 +"}
annotated.__doc__ = 5  # type: ignore[assignment]


class Answering:
    """Have every attribute that is asked for."""

    def __getattr__(self, name: str) -> object:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        spring("answering")


answering = Answering()


class Signed:
    """Have a signature that looks for itself, and is none."""

    @property
    def __signature__(self) -> object:
        return 5

    def __call__(self, size: int) -> None:
        spring("signed")


signed = Signed()


# --- classes


class Init:
    """Refuse to be made."""

    def __init__(self, size: int, **options: int) -> None:
        spring("init")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        spring("init_subclass")

    @property
    def value(self) -> int:
        spring("property")

    @staticmethod
    def make(size: int) -> None:
        spring("staticmethod")

    @classmethod
    def build(cls, size: int) -> None:
        spring("classmethod")


class New:
    def __new__(cls, *args: Any, **kwargs: Any) -> New:
        spring("new")

    def __class_getitem__(cls, item: object) -> object:
        spring("class_getitem")


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> object:
        spring("metaclass call")

    def __repr__(cls) -> str:
        spring("metaclass repr")

    def __eq__(cls, other: object) -> bool:
        spring("metaclass ==")

    def __hash__(cls) -> int:
        spring("metaclass hash")

    def __bool__(cls) -> bool:
        spring("metaclass bool")

    def __len__(cls) -> int:
        spring("metaclass len")

    def __dir__(cls) -> list[str]:
        spring("metaclass dir")

    def __instancecheck__(cls, instance: object) -> bool:
        spring("instancecheck")

    def __subclasscheck__(cls, subclass: type) -> bool:
        spring("subclasscheck")


class OfMeta(metaclass=Meta):
    def __init__(self, size: int = 1) -> None:
        spring("init of a metaclass")


class Abstract(abc.ABC):
    @abc.abstractmethod
    def step(self) -> None: ...


class Odd:
    """Have no sensible module, name or text."""

    def __init__(self, a: int, b: Abstract) -> None:
        spring("odd")


Odd.__module__ = 5  # type: ignore[assignment]
Odd.__doc__ = touchy  # type: ignore[assignment]


def takes(a: Odd, b: Touchy, c: Abstract, d: type[Odd], size: list[Odd]) -> None:
    spring("takes")


def nameless(size: int) -> None:
    spring("nameless")


nameless.__module__ = None  # type: ignore[assignment]
nameless.__qualname__ = "of.<locals>.nothing"


class Lazy(types.ModuleType):
    """A module that makes what it holds when it is asked for."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)  # Python itself asks every module for these
        raise RuntimeError(f"cannot make {name}")

    def __dir__(self) -> list[str]:
        raise RuntimeError("cannot list")


lazy = Lazy("lazy")
lazy.__path__ = []
sys.modules[f"{__name__}.lazy"] = lazy


def __getattr__(name: str) -> object:
    if name == "exits":
        raise SystemExit(3)
    if name == "made":
        return touchy
    raise AttributeError(name)


TARGETS = [
    *("function", "coroutine", "generator", "cached", "dispatched", "partial", "wrapped", "around"),
    *("touchy", "defaults", "annotated", "answering", "answering.any.thing", "signed", "made", "exits"),
    *(
        "Init",
        "Init.make",
        "Init.build",
        "Init.value",
        "Init.nothing",
        "New",
        "New.nothing",
        "OfMeta",
        "OfMeta.nothing",
    ),
    *(
        "Abstract",
        "Abstract.step",
        "Odd",
        "takes",
        "nameless",
        "lazy",
        "lazy.thing",
        "touchy.nothing",
        "spring",
        "Touchy.__call__",
    ),
]
