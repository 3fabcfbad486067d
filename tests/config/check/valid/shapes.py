"""Callables of every shape that a `_target_` may name: what they take is not always what their signature says."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cache, partial, singledispatch, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar, overload

import torch
from torch import Tensor, nn
from typing_extensions import ParamSpec, Unpack

if TYPE_CHECKING:
    from fractions import Fraction  # a type that does not exist when the config is run

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

LAYERS: dict[str, Callable[..., nn.Module]] = {"linear": nn.Linear, "conv": nn.Conv2d}


# --- decorators


def registered(name: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    def register(layer: type[nn.Module]) -> type[nn.Module]:
        LAYERS[name] = layer
        return layer

    return register


def timed(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


def repeatable(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Add an argument of which the wrapped function's signature knows nothing."""

    @wraps(function)
    def wrapper(*args: Any, repeat: int = 1, **kwargs: Any) -> nn.Module:
        return nn.Sequential(*(function(*args, **kwargs) for _ in range(repeat)))

    return wrapper


def opaque(function: Callable[..., R]) -> Callable[..., R]:
    """Wrap without `wraps`, so that nothing of the function is to be seen."""

    def wrapper(*args: Any, **kwargs: Any) -> R:
        return function(*args, **kwargs)

    return wrapper


def configurable(init: Callable[..., None]) -> Callable[..., None]:
    """Let a mapping `settings` stand for the arguments of an `__init__`."""

    @wraps(init)
    def wrapper(self: Any, *args: Any, settings: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        init(self, *args, **{**(settings or {}), **kwargs})

    return wrapper


# --- functions


@timed
def layer(width: int, *, bias: bool = True) -> nn.Module:
    return nn.Linear(width, width, bias=bias)


@repeatable
def block(width: int) -> nn.Module:
    return nn.Linear(width, width)


@opaque
def head(width: int, classes: int) -> nn.Module:
    return nn.Linear(width, classes)


@cache
def table(size: int) -> Tensor:
    return torch.zeros(size)


@singledispatch
def size_of(value: object) -> int:
    return 1


@size_of.register
def _(value: list) -> int:  # type: ignore[type-arg]
    return len(value)


def make_layer(kind: str, **kwargs: Any) -> nn.Module:
    """Hand on whatever comes to what `kind` names."""
    return LAYERS[kind](**kwargs)


def pooling(**kwargs: Any) -> nn.Module:
    """Take one argument out of `kwargs`, and hand on the rest."""
    kind = kwargs.pop("kind", "max")
    return (nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(**kwargs)


class Options(TypedDict, total=False):
    depth: int
    name: str


def optional(**options: Unpack[Options]) -> Options:
    return options


def placed(first: int, /, second: int = 2, *rest: int, last: int = 0, **first_again: int) -> dict[str, Any]:
    """Take `first` by position alone, and any keyword, `first` too."""
    return {"given": [first, second, *rest, last], **first_again}


@overload
def scale(value: int) -> int: ...
@overload
def scale(value: Sequence[float], factor: float) -> list[float]: ...
def scale(value: Any, factor: Any = 1) -> Any:
    return [item * factor for item in value] if isinstance(value, Sequence) else value * factor


def loosely(
    ratio: float,
    size: tuple[int, int],
    where: Path,
    weights: Tensor,
    names: Iterable[str] = (),
    part: Fraction | None = None,
    level: Literal["low", "high"] = "low",
    limit: int = None,  # type: ignore[assignment]  # noqa: RUF013 - users write it
    dtype: torch.dtype = torch.float32,
    flag: bool = False,
) -> dict[str, Any]:
    """Be given what YAML has in place of what is annotated, which nobody checks, and make of it what it should be."""
    return {
        "ratio": float(ratio),
        "size": tuple(size),
        "where": Path(where),
        "weights": torch.as_tensor(weights, dtype=dtype),
        "names": list(names),
        "part": part,
        "level": level,
        "limit": limit,
        "flag": bool(flag),
    }


# --- classes


@dataclass(frozen=True)
class Settings:
    width: int
    rates: list[float] = field(default_factory=lambda: [0.1])
    note: str | None = None

    @classmethod
    def wide(cls, **kwargs: Any) -> Settings:
        return cls(width=1024, **kwargs)


@dataclass(kw_only=True)
class MoreSettings:
    """A dataclass with an argument that is no field, and a field that is no argument."""

    width: int = 1
    factor: InitVar[int] = 2
    area: int = field(init=False)

    def __post_init__(self, factor: int) -> None:
        self.area = self.width * factor


class Size(NamedTuple):
    height: int
    width: int = 1


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Either:
    """Make something else than itself."""

    def __new__(cls, kind: str, *args: Any, **kwargs: Any) -> Any:
        return nn.Linear(*args, **kwargs) if kind == "linear" else nn.Identity()


class _Tagging(type):
    """Take a `tag`, of which no `__init__` knows."""

    def __call__(cls, *args: Any, tag: str = "", **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.tag = tag
        return made


class Tagged(metaclass=_Tagging):
    def __init__(self, value: int) -> None:
        self.value = value


@registered("gated")
class Gated(nn.Module):
    @configurable
    def __init__(self, width: int, gates: int = 1) -> None:
        super().__init__()
        self.gates = nn.Linear(width, gates)


class Transform(abc.ABC, Generic[T]):
    def __init__(self, default: T) -> None:
        self.default = default

    @abc.abstractmethod
    def __call__(self, value: T) -> T: ...


class Clip(Transform[float]):
    """Have no `__init__` of its own."""

    def __call__(self, value: float) -> float:
        return min(value, self.default)


class Bag:
    """Keep whatever comes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.__dict__.update(kwargs)


class LooseBag(Bag):
    """Hand everything on, and know one argument more."""

    def __init__(self, *args: Any, loose: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loose = loose


class Mixin:
    def __init__(self, *args: Any, extra: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.extra = extra


class MixedLinear(Mixin, nn.Linear):
    """Get `extra` from one parent and `in_features` from the other."""


class Outer:
    class Inner:
        def __init__(self, depth: int) -> None:
            self.depth = depth

        @classmethod
        def deeper(cls, depth: int, by: int = 1) -> Outer.Inner:
            return cls(depth + by)


class Builder:
    def __call__(self, width: int, **kwargs: Any) -> nn.Module:
        return nn.Linear(width, width, **kwargs)

    def small(self, bias: bool = False) -> nn.Module:
        return self(1, bias=bias)


# --- what is no function and no class, yet can be called

builder = Builder()
small = builder.small
to_two = partial(nn.Linear, out_features=2, bias=False)


def __getattr__(name: str) -> Any:
    """Make `LateBag` when it is asked for, as packages do that import their parts lazily."""
    if name == "LateBag":
        return LooseBag
    raise AttributeError(name)
