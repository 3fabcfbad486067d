# ruff: noqa: UP006, UP007, UP045  (the ways to write an annotation are what is tested)
from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import inspect
import logging
import numbers
import os
import pathlib
import random
import sys
import time
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
    get_type_hints,
)

import numpy as np
import numpy.typing as npt
import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
import torchvision  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    Timer,
)
from pytorch_lightning.loggers import CSVLogger
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score
from torchmetrics.image import PeakSignalNoiseRatio
from torchvision.transforms import v2  # type: ignore[import-untyped]

from lighter.config.check import values
from lighter.config.check.values import Contradiction, contradiction
from lighter.config.check.wording import describe_annotation
from lighter.config.tree import Node, Path
from lighter.errors import Place

EMPTY = inspect.Parameter.empty


def node(value: Any) -> Node:
    if isinstance(value, dict):
        return Node({key: node(item) for key, item in value.items()}, Place("config.yaml", 1, 1))
    if isinstance(value, list):
        return Node([node(item) for item in value], Place("config.yaml", 1, 1))
    return Node(value, Place("config.yaml", 1, 1))


def found(value: Any, annotation: Any, default: Any = EMPTY) -> Contradiction | None:
    return contradiction(node(value), annotation, default)


def told(value: Any, annotation: Any, default: Any = EMPTY) -> Contradiction:
    wrong = found(value, annotation, default)
    assert wrong is not None
    return wrong


def argument(target: Callable[..., Any], name: str) -> tuple[object, object]:
    """Return an argument's annotation, evaluated, and default."""
    parameter = inspect.signature(target).parameters[name]
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function, {**vars(typing), **vars(abc), **vars(sys.modules[target.__module__])})
    return hints.get(name, parameter.annotation), parameter.default


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Shade(enum.Enum):
    """Hold more than one text."""

    DARK = ("#f00", "dark")

    def __init__(self, code: str, name: str) -> None:
        self.nickname = "crimson"


class Reading(enum.Enum):
    """Make a member of any text."""

    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Reading:
        return cls.RED


class Flags(enum.Flag):
    A = 1
    B = 2


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Options:
    size: int = 1


class Known(TypedDict, total=False):
    lr: float
    name: str


class Net:
    pass


class Text(str):
    pass


@dataclass
class Read:
    """Read mappings, as what pydantic makes of a dataclass."""

    __pydantic_config__ = None
    size: int = 1


class Pydantic:
    def __get_pydantic_core_schema__(self) -> None: ...


class Speaks(Protocol):
    def speak(self) -> None: ...


T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", int, str)
P = ParamSpec("P")
Size = NewType("Size", int)


class Box(Generic[T]):
    pass


class Required(Generic[T]):
    pass


class Rude(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no")


class Unanswering(metaclass=Rude):
    pass


class TypeAliasType:
    """Stand in for what Python 3.12 makes of `type X = ...`."""

    __value__: Any


FITS: list[tuple[Any, Any]] = [
    # null
    (None, Optional[int]),
    (None, int | None),
    (None, Literal["a", None]),
    (None, Any),
    (None, object),
    (None, None),
    (5, None),
    # numbers
    (1, int),
    (True, int),
    (True, float),
    (1, float),
    (0.5, float),
    (1, complex),
    (0, bool),
    (1, bool),
    (False, bool),
    (1, numbers.Number),
    (0.5, numbers.Real),
    (1, numbers.Integral),
    (0.5, typing.SupportsFloat),
    (1, typing.SupportsIndex),
    (0.5, decimal.Decimal),
    ("0.1", decimal.Decimal),
    ("1/3", fractions.Fraction),
    (1, np.integer),
    (0.5, np.float32),
    (True, np.bool_),
    (float("inf"), float),
    # text
    ("a", str),
    ("", str),
    ("$torch.float32", torch.dtype),
    ("@model", nn.Module),
    ("%vars::lr", float),
    (r"\@model", str),
    ("runs", pathlib.Path),
    ("runs", os.PathLike),
    ("runs", Union[str, "os.PathLike[str]"]),
    ("a", bytes),
    ("a", Text),
    # unions and wrappers
    (1, Union[str, Union[None, int]]),
    (1, Annotated[int, "positive"]),
    (1, Annotated[Optional[int], ["unhashable"]]),
    (1, Final[int]),
    (1, ClassVar[int]),
    (1, InitVar[int]),
    (1, Size),
    (1, Bound),
    ("a", Either),
    ("a", T),
    ("a", P),
    ("a", "int"),
    ("a", typing.ForwardRef("int")),
    ("a", Optional[typing.ForwardRef("Unknown")]),
    ("a", EMPTY),
    ("a", 5),
    ("a", getattr(typing, "Self", Any)),
    # choices
    ("min", Literal["min", "max"]),
    ("MIN", Literal["min", "max"]),
    ("reduce-on-plateau", Literal["reduce_on_plateau"]),
    (16, Literal[16, 32]),
    ("red", Literal[Color.RED]),
    ("32", Union[Literal[16, 32], Literal["16", "32"]]),
    # containers
    ([1, 2], list[int]),
    ([1, 2], typing.List[int]),
    ([1, 2], list),
    ([], list[int]),
    ([1, 0.5], list[float]),
    ([1, 2], tuple[int, int]),
    ([1], tuple[int, int]),
    ([], tuple[int, ...]),
    ([1, 2], tuple[int]),  # as torch writes it for any number
    ([1, "a"], tuple[int, str]),
    ([1, 2], tuple),
    ([1, 2], set[int]),
    ([1, 2], frozenset),
    ([1, 2], collections.deque),
    ([1, 2], abc.Sequence[int]),
    ([1, 2], abc.Iterable[int]),
    ([1, 2], abc.Collection[float]),
    ([1, 2], abc.Iterator[int]),
    ([1, 2], abc.Sized),
    ([1, 2], abc.Hashable),
    ([1, 2], torch.Size),
    ([1, 2], Point),
    ([[1], [2, 3]], list[list[int]]),
    ([{"_target_": "a.B"}], list[int]),
    ([{"_target_": "a.B"}, 1, 2], tuple[int, int]),
    (["@a", "%b", "$c", 1], list[int]),
    ("abc", abc.Sequence[str]),
    ("abc", abc.Iterable),
    ("abc", abc.Sized),
    ({"a": 1}, dict[str, int]),
    ({"a": 1}, dict),
    ({"a": 1}, abc.Mapping[str, float]),
    ({1: "a"}, dict[int, str]),
    ({"a": "@b"}, dict[str, int]),
    ({"a": 1}, collections.OrderedDict),
    ({"a": 1}, abc.Iterable[str]),
    ({"lr": 1, "name": "a"}, Known),
    ({"lr": 1}, Union[Known, None]),
    # classes
    ("RED", Color),
    ("red", Color),
    ("Color.BLUE", Color),
    ("blue", Color),
    ("#f00", Shade),
    ("crimson", Shade),
    ("anything", Reading),
    ("A|B", Flags),
    ("anything", enum.Enum),
    (2, Color),
    ("LOW", Level),
    ({"size": 2}, Options),
    ({"size": 2}, Net),
    ({}, Options),
    ({"sizes": 2}, Read),
    ({"a": {"_target_": "a.B"}}, Net),
    ({"a": {"_target_": "a.B"}}, Union[list[Net], nn.ModuleDict]),
    ({"a": {"_target_": "a.B"}}, Union[list[Net], dict[str, Net]]),
    ({"a": {"_target_": "a.B"}}, Union[abc.Iterable[Net], Net]),
    ({}, Union[list[Net], Net]),
    ({"_target_": "a.B"}, Net),
    ({"_target_": "a.B"}, int),
    ("a", Speaks),
    (5, Speaks),
    ("a", Pydantic),
    ("12345678-1234-5678-1234-567812345678", uuid.UUID),
    ("a", Unanswering),
    ([1], Unanswering),
    ("1:30", dt.timedelta),
    ({"minutes": 1}, dt.timedelta),
    ("2026-01-31", dt.date),
    # torch and numpy
    ("cuda:0", torch.device),
    (0, torch.device),
    (0.1, Union[float, torch.Tensor]),
    ([0.1, 0.2], Union[torch.Tensor, list[float]]),
    ("float32", np.dtype),
    ([1, 2], np.ndarray),
    (1.5, npt.NDArray[np.float32]),
    ([[1, 2], [3, 4]], npt.ArrayLike),
    ("float32", npt.DTypeLike),
]


@pytest.mark.parametrize(("value", "annotation"), FITS, ids=lambda item: str(item)[:60])
def test_what_may_be_meant_is_trusted(value: Any, annotation: Any) -> None:
    assert found(value, annotation) is None
    values._misfit(node(value), annotation) if annotation is not Unanswering else None  # it raises nothing inside


CONTRADICTS: list[tuple[Any, Any, Path, str, str | None]] = [
    # numbers
    ("10", int, (), "takes an int, not the text '10'", "without quotes: 10"),
    ("1e-3", float, (), "takes a float, not the text '1e-3'", "without quotes: 1e-3"),
    ("false", bool, (), "takes a bool, not the text 'false'", "without quotes: false"),
    ("10.0", int, (), "takes an int, not the text '10.0'", "write 10"),
    ("1_000", int, (), "takes an int, not the text '1_000'", "write 1000"),
    ("1/255", float, (), "takes a float, not the text '1/255'", 'as an expression: "$1/255"'),
    ("2**10", int, (), "takes an int, not the text '2**10'", 'as an expression: "$2**10"'),
    ("-inf", Optional[float], (), "takes a float or null, not the text '-inf'", "write -.inf"),
    ("None", Optional[int], (), "takes an int or null, not the text 'None'", "write null"),
    ("many", int, (), "takes an int, not the text 'many'", None),
    (1000.0, int, (), "takes an int, not 1000.0", "write 1000"),
    (0.5, int, (), "takes an int, not 0.5", None),
    (float("inf"), int, (), "takes an int, not inf", None),
    (None, int, (), "takes an int, not null", None),
    (2, bool, (), "takes a bool, not 2", None),
    ([1], int, (), "takes an int, not a list of 1", "without the list: 1"),
    (["%vars::x"], int, (), "takes an int, not a list of 1", "without the list: '%vars::x'"),
    ([], int, (), "takes an int, not an empty list", None),
    ({"a": 1}, int, (), "takes an int, not a mapping", None),
    ("a", numbers.Number, (), "takes a number, not the text 'a'", None),
    (0.5, numbers.Integral, (), "takes an int, not 0.5", None),
    ("a", typing.SupportsFloat, (), "takes a number, not the text 'a'", None),
    ("a", np.floating, (), "takes a floating, not the text 'a'", None),
    ("on", bool, (), "takes a bool, not the text 'on'", "without quotes: on"),
    ("flase", Optional[bool], (), "takes a bool or null, not the text 'flase'", "write false"),
    ("ture", int, (), "takes an int, not the text 'ture'", None),
    ("always", bool, (), "takes a bool, not the text 'always'", None),
    # text
    (1, str, (), "takes text, not 1", "in quotes: '1'"),
    (1.1, str, (), "takes text, not 1.1", "in quotes"),
    (1.1, Union[str, int], (), "takes text or an int, not 1.1", None),
    (False, Optional[str], (), "takes text or null, not false", "in quotes"),
    (["val/loss"], str, (), "takes text, not a list of 1", "without the list: 'val/loss'"),
    (3, pathlib.Path, (), "takes a path, not 3", "in quotes: '3'"),
    (r"\$5", int, (), r"takes an int, not the text '\\$5'", None),
    # choices
    ("mni", Literal["min", "max"], (), "takes one of 'min', 'max', not the text 'mni'", "did you mean 'min'?"),
    ("sum", Literal["min", "max"], (), "takes one of 'min', 'max', not the text 'sum'", None),
    (True, Literal["on", "off"], (), "takes one of 'on', 'off', not true", "in quotes: 'on'"),
    (16, Literal["16", "32"], (), "takes one of '16', '32', not 16", "in quotes: '16'"),
    ("16", Literal[16, 32], (), "takes one of 16, 32, not the text '16'", "without quotes: 16"),
    (True, Literal[1, 2], (), "takes one of 1, 2, not true", None),
    (None, Literal["mean", "none"], (), "takes one of 'mean', 'none', not null", "write none"),
    ("wran", Union[bool, Literal["warn"], None], (), "takes 'warn', a bool or null, not the text 'wran'", "did you"),
    # containers
    ([1, "a"], list[int], (1,), "takes an int, not the text 'a'", None),
    ([[1], [2, "3"]], list[list[int]], (1, 1), "takes an int, not the text '3'", "without quotes: 3"),
    ([1, 2, 3], tuple[int, int], (), "takes a list of 2 ints, not a list of 3", None),
    ([0.9], tuple[float, float], (), "takes a list of 2 floats, not a list of 1", None),
    (["a", 1], tuple[int, str], (0,), "takes an int, not the text 'a'", None),
    (1, tuple[int, str], (), "takes a list of an int and text, not 1", None),
    (3, list[int], (), "takes a list of ints, not 3", "as a list: [3]"),
    (3, tuple[int, int], (), "takes a list of 2 ints, not 3", None),
    (3, tuple[str, str], (), "takes a list of 2 texts, not 3", None),
    (
        "(0.9, 0.99)",
        tuple[float, float],
        (),
        "takes a list of 2 floats, not the text '(0.9, 0.99)'",
        "write [0.9, 0.99]",
    ),
    ("(0.9, 0.99)", tuple[int, int], (), "takes a list of 2 ints, not the text '(0.9, 0.99)'", None),
    ("(0.9, 0.99)", float, (), "takes a float, not the text '(0.9, 0.99)'", None),
    ("[1, 2]", list[int], (), "takes a list of ints, not the text '[1, 2]'", "write [1, 2]"),
    ({"a": {"_target_": "a.B"}}, list[Net], (), "takes a list of Nets, not a mapping", "as a list, without the keys"),
    (
        {"a": {"_target_": "a.B"}},
        Union[list[Net], Net, None],
        (),
        "takes a list of Nets, a Net or",
        "as a list, without",
    ),
    ("a", list[str], (), "takes a list of text, not the text 'a'", "as a list: ['a']"),
    ("a", abc.Sequence[int], (), "takes a list of ints, not the text 'a'", None),
    ("a", list, (), "takes a list, not the text 'a'", "as a list: ['a']"),
    (5, abc.Iterable, (), "takes a list, not 5", "as a list: [5]"),
    ({"a": 1}, list[int], (), "takes a list of ints, not a mapping", None),
    ([0.5], torch.Size, (0,), "takes an int, not 0.5", None),
    ([1, "x"], Union[list[int], list[float]], (1,), "takes an int or a float, not the text 'x'", None),
    ([0.5, "x"], Union[list[int], list[float]], (1,), "takes a float, not the text 'x'", None),
    ([1], dict[str, int], (), "takes a mapping of text to ints, not a list of 1", None),
    ({"a": "b"}, dict[str, int], ("a",), "takes an int, not the text 'b'", None),
    ({1: 1}, dict[str, int], (1,), "takes text as a key, not 1", "in quotes: '1'"),
    ({True: 1}, dict[str, int], (True,), "takes text as a key, not true", "in quotes"),
    ({"lr": "a"}, Known, ("lr",), "takes a float, not the text 'a'", None),
    ({"nmae": "a"}, Known, ("nmae",), "takes one of 'lr', 'name' as a key, not 'nmae'", "did you mean 'name'?"),
    # classes
    ("resnet18", nn.Module, (), "takes a Module, not the text 'resnet18'", "a mapping with `_target_`"),
    ("torch.nn.ReLU", nn.Module, (), "takes a Module, not the text 'torch.nn.ReLU'", "{_target_: torch.nn.ReLU}"),
    ("system::model", nn.Module, (), "takes a Module, not the text 'system::model'", None),
    (["a"], list[Net], (0,), "takes a Net, not the text 'a'", "a mapping with `_target_`"),
    (5, Box[int], (), "takes a Box, not 5", "a mapping with `_target_`"),
    ("a", Required[str], (), "takes a Required, not the text 'a'", "a mapping with `_target_`"),
    ("gren", Color, (), "takes a Color, not the text 'gren'", None),
    ("REDD", Color, (), "takes a Color, not the text 'REDD'", "did you mean 'RED'?"),
    ("project.Color.RED", Color, (), "takes a Color, not the text 'project.Color.RED'", "write RED"),
    (
        {"sizes": 2},
        Options,
        (),
        "takes an Options, not a mapping",
        f"say what to build: `_target_: {__name__}.Options`",
    ),
    ([1], Color, (), "takes a Color, not a list of 1", "without the list: 1"),
    (0.5, Color, (), "takes a Color, not 0.5", None),
    (
        30,
        Union[str, dt.timedelta],
        (),
        "takes text or a timedelta, not 30",
        "{_target_: datetime.timedelta, seconds: 30}",
    ),
    (30, dt.timedelta, (), "takes a timedelta, not 30", "{_target_: datetime.timedelta, seconds: 30}"),
    (2026, dt.date, (), "takes a date, not 2026", None),
    ("torch.relu", Callable[..., Any], (), "takes a callable", "{_target_: torch.relu, _mode_: callable}"),
    ("relu", Optional[Callable[..., Any]], (), "takes a callable or null", "{_target_: …, _mode_: callable}"),
    ({"a": 1}, Callable[..., Any], (), "takes a callable, not a mapping", "{_target_: …, _mode_: callable}"),
    ("torch.nn.ReLU", Callable[..., Any], (), "takes a callable", "{_target_: torch.nn.ReLU}"),
    ("torch.nn.ReLU", Callable[..., nn.Module], (), "takes a callable", "{_target_: torch.nn.ReLU, _mode_: callable}"),
    ("torch.nn.ReLU", Callable[[], nn.Module], (), "takes a callable", "{_target_: torch.nn.ReLU}"),
    ("torch.Size", Callable[..., Any], (), "takes a callable", "{_target_: torch.Size, _mode_: callable}"),
    ("torch.nn.Nothing", Callable[..., Any], (), "takes a callable", "{_target_: torch.nn.Nothing, _mode_: callable}"),
    ("lambda b: b", Callable[..., Any], (), "takes a callable", "an expression starts with '$': \"$lambda b: b\""),
    (
        "torch.ones(3)",
        torch.Tensor,
        (),
        "takes a Tensor",
        "an expression starts with '$': \"$torch.ones(3)\" with `_imports_: {torch: torch}`",
    ),
    ('f("a")', float, (), "takes a float", "an expression starts with '$': '$f(\"a\")'"),
    ("torch.nn.ReLU", type[nn.Module], (), "takes a type", '"$torch.nn.ReLU" with `_imports_: {torch: torch}`'),
    (5, type, (), "takes a type, not 5", 'an expression: "$…"'),
    # torch and numpy
    ("float32", torch.dtype, (), "takes a dtype", '"$torch.float32" with `_imports_: {torch: torch}`'),
    ("torch.float32", torch.dtype, (), "takes a dtype", '"$torch.float32" with `_imports_: {torch: torch}`'),
    ("single", torch.dtype, (), "takes a dtype, not the text 'single'", None),
    ([1, 2], torch.Tensor, (), "takes a Tensor, not a list of 2", "{_target_: torch.tensor, data: [1, 2]}"),
    ("a", torch.Tensor, (), "takes a Tensor, not the text 'a'", "a mapping with `_target_`"),
    (0.5, nn.Parameter, (), "takes a Parameter, not 0.5", "a mapping with `_target_`"),
    (5, torch.Generator, (), "takes a Generator, not 5", "a mapping with `_target_`"),
    (0.5, torch.device, (), "takes a device, not 0.5", None),
]


@pytest.mark.parametrize(
    ("value", "annotation", "path", "message", "suggestion"), CONTRADICTS, ids=lambda item: str(item)[:60]
)
def test_what_is_plainly_wrong_contradicts(
    value: Any, annotation: Any, path: Path, message: str, suggestion: str | None
) -> None:
    wrong = told(value, annotation)
    assert wrong.path == path
    assert wrong.message.startswith(message)
    if suggestion is None:
        assert wrong.suggestion is None
    else:
        assert (wrong.suggestion or "").startswith(suggestion)


def test_the_node_is_the_item_that_does_not_fit() -> None:
    value = node({"a": [1, "b"]})
    wrong = contradiction(value, dict[str, list[int]])
    assert wrong is not None
    assert wrong.path == ("a", 1)
    assert isinstance(value.value, dict)
    assert wrong.node is value.value["a"].value[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "annotation", "default"),
    [
        (None, int, None),  # an Optional that is not said
        (None, bool, False),
        (0.5, int, 0.1),  # the annotation does not say all
        ([3, 3], int, (1, 1)),
        (0, str, 0.0),
        ("auto", float, "auto"),
        (False, Optional[nn.Module], None),  # none of it
    ],
)
def test_a_default_vouches_for_values_like_it(value: Any, annotation: Any, default: Any) -> None:
    assert found(value, annotation, default) is None


@pytest.mark.parametrize(
    ("value", "annotation", "default"),
    [
        (None, int, 1),
        ("mni", Literal["min", "max"], "min"),  # its type says nothing where the annotation takes it
        (True, str, 1),
        (True, str, "a"),
        ("a", int, 1),
        (["a"], list[int], [1]),
        (False, Literal["on", "off", None], None),
    ],
)
def test_a_default_that_fits_vouches_for_nothing(value: Any, annotation: Any, default: Any) -> None:
    assert found(value, annotation, default) is not None


def test_null_for_what_is_not_optional_is_told_the_default() -> None:
    assert told(None, float, 0.1).suggestion == "leave it out for the default, 0.1"


def test_a_type_alias_is_what_it_stands_for_even_where_it_names_itself() -> None:
    assert found("a", pytest.importorskip("typing_extensions").TypeAliasType("Count", int)) is not None
    nested = TypeAliasType()
    nested.__value__ = Union[int, types.GenericAlias(list, nested)]
    assert found([1, [2, 3]], nested) is None
    assert told([1, [2, "a"]], nested).path == (1, 1)
    assert told("a", nested).message.startswith("takes an int or a list of ints or lists of")
    nested.__value__ = nested
    assert found("a", nested) is None


# What our users' configs call: whether a value fits, and for what does not, that calling fails, if that is cheap.
PARAMETERS = [nn.Parameter(torch.zeros(2))]
PARAMETERS[0].grad = torch.ones(2)
OPTIMIZER = optim.SGD(PARAMETERS, lr=0.1, momentum=0.9)
IMAGE = torch.zeros(3, 32, 32, dtype=torch.uint8)
ITEMS = torch.zeros(1, 4, 16, 16)

REAL: list[tuple[Callable[..., Any], str, list[Any], list[Any]]] = [
    (
        nn.Conv2d,
        "kernel_size",
        [3, [3, 3], "@k", "$2 + 1", ["%a", 3]],
        ["3", 3.0, [3, 3, 3], ["3", 3], None, {"a": 3}],
    ),
    (nn.Conv2d, "padding", [1, [1, 1], "same"], [0.5, [1, 1, 1], None]),
    (nn.Conv2d, "padding_mode", ["zeros", "circular"], ["refelct", 1, False]),
    (nn.Conv2d, "bias", [True, False, 0], ["false", 2]),
    (nn.Conv2d, "dtype", ["float32", "$torch.float32", None], []),  # not annotated
    (nn.Linear, "in_features", [4], ["4", 4.5, [4], None]),
    (nn.LayerNorm, "normalized_shape", [4, [4, 4]], ["4", [4, "4"], 4.5]),
    (nn.MaxPool2d, "stride", [2, [2, 2], [2], None], ["2", [0.5]]),
    (nn.Upsample, "scale_factor", [2, 2.0, [2.0, 2.0], None], ["x", ["x"]]),
    (nn.Dropout, "p", [0, 0.5, 1], ["0.5", [0.5], None]),
    (nn.TransformerEncoderLayer, "activation", ["relu", "gelu", "$torch.relu"], [5]),
    (nn.CrossEntropyLoss, "weight", [None, "@weights", {"_target_": "torch.ones"}], [[0.5, 0.5], 0.5, "balanced"]),
    (nn.CrossEntropyLoss, "label_smoothing", [0, 0.1], ["0.1", [0.1], None]),
    (nn.CrossEntropyLoss, "ignore_index", [-100, 0], ["0", 0.5]),
    (optim.SGD, "params", ["@params", [{"params": "@a", "lr": 0.1}, {"params": "@b"}], ["@a"]], [5, [1, 2]]),
    (optim.SGD, "lr", [0.1, 1, {"_target_": "torch.tensor", "data": 0.1}, "$10 ** -3"], ["1e-3", [0.1], None]),
    (optim.SGD, "nesterov", [True, False], ["true"]),
    (optim.SGD, "foreach", [True, None], ["no"]),
    (optim.AdamW, "betas", [[0.9, 0.999], [0, "%beta"]], [0.9, [0.9], ["0.9", "0.999"], [0.9, 0.99, 0.999]]),
    (optim.AdamW, "weight_decay", [0, 0.01], ["0.01", None]),
    (lr_scheduler.StepLR, "step_size", [30], ["30", [30]]),
    (lr_scheduler.MultiStepLR, "milestones", [[30, 80], "@milestones"], [30, ["30", "80"]]),
    (lr_scheduler.CosineAnnealingLR, "eta_min", [0, 1e-6], ["1e-6"]),
    (lr_scheduler.OneCycleLR, "max_lr", [0.1, [0.1, 0.2]], ["0.1", ["0.1"], None]),
    (lr_scheduler.OneCycleLR, "anneal_strategy", ["cos", "linear", "COS"], ["cosine", 1, None]),
    (lr_scheduler.LambdaLR, "lr_lambda", ["$lambda epoch: 0.9", ["$lambda epoch: 1"]], [0.9, "lambda epoch: 0.9"]),
    (lr_scheduler.ReduceLROnPlateau, "mode", ["min", "max"], ["minimum", 5]),
    (lr_scheduler.ReduceLROnPlateau, "patience", [5], ["5"]),
    (lr_scheduler.ReduceLROnPlateau, "optimizer", ["@system::optimizer", {"_target_": "a.B"}], ["adam", [1]]),
    (DataLoader, "batch_size", [8, None], ["8", 8.0, [8]]),
    (DataLoader, "shuffle", [True, None, 1], ["true", "yes"]),
    (DataLoader, "sampler", ["@sampler", [0, 1], None], [5]),
    (DataLoader, "num_workers", [0, 4], ["4", 4.0, None]),
    (DataLoader, "collate_fn", ["$f", {"_target_": "a.f", "_mode_": "callable"}, None], ["a.f", 5]),
    (DataLoader, "multiprocessing_context", ["spawn", None], []),
    (pl.Trainer, "accelerator", ["gpu", "auto", "@a", {"_target_": "a.B"}], [1, ["cpu"]]),
    (pl.Trainer, "devices", [1, -1, "auto", "0,1", [0, 1]], [1.5, None, ["x"]]),
    (pl.Trainer, "precision", [16, "16", "16-mixed", "bf16-mixed", "32-true", None], ["16-mxied", 8, "float16"]),
    (pl.Trainer, "logger", [True, False, None, [], ["@l"], {"_target_": "a.B"}], ["tensorboard", [1]]),
    (pl.Trainer, "callbacks", [None, [], ["@c", {"_target_": "a.B"}], {"_target_": "a.B"}, False], ["x", [5]]),
    (pl.Trainer, "max_epochs", [1, -1, None], ["1", 1e3, [1]]),
    (pl.Trainer, "max_time", ["00:12:00:00", {"hours": 2}, None], [3600, [1]]),
    (pl.Trainer, "limit_train_batches", [1, 0.5, None], ["0.5", [1]]),
    (pl.Trainer, "val_check_interval", [0.25, 100, None], [[1]]),
    (pl.Trainer, "deterministic", [True, "warn", None], ["wran", 5]),
    (pl.Trainer, "profiler", ["simple", None, {"_target_": "a.B"}], [5, True]),
    (pl.Trainer, "gradient_clip_val", [0.5, 1, None], ["0.5"]),
    (pl.Trainer, "gradient_clip_algorithm", ["norm", None], [5, False]),
    (pl.Trainer, "strategy", ["ddp", {"_target_": "a.B"}], [5, None]),
    (pl.Trainer, "plugins", [None, ["@p"], {"_target_": "a.B"}], [5]),
    (pl.Trainer, "default_root_dir", ["runs", None], [5]),
    (ModelCheckpoint, "monitor", ["val/loss/epoch", None], [5, ["val/loss"]]),
    (ModelCheckpoint, "save_top_k", [1, -1], ["all", 1.5, None]),
    (ModelCheckpoint, "save_last", [True, "link", None], ["true", "lnik", 5]),
    (ModelCheckpoint, "train_time_interval", [None, {"_target_": "datetime.timedelta"}], [30, [1]]),
    (ModelCheckpoint, "dirpath", ["runs", None], [5, ["runs"]]),
    (EarlyStopping, "patience", [3], ["3", 3.5, None]),
    (EarlyStopping, "min_delta", [0, 0.01], ["0.01"]),
    (EarlyStopping, "stopping_threshold", [0.9, None], ["0.9", "None"]),
    (LearningRateMonitor, "logging_interval", ["step", "epoch", None], ["steps", 5]),
    (StochasticWeightAveraging, "swa_lrs", [0.1, [0.1]], ["0.1"]),
    (GradientAccumulationScheduler, "scheduling", [{0: 4}, "@s"], [{"0": 4}, 4]),
    (Timer, "duration", ["00:12:00:00", {"hours": 2}, None], [3600]),
    (CSVLogger, "save_dir", ["runs"], [5]),
    (CSVLogger, "version", [1, "a", None], [1.5, [1]]),
    (v2.RandomCrop, "size", [8, [8, 8], [8]], ["8", 8.5, ["8"], None]),
    (v2.RandomCrop, "fill", [0, 0.5, [0, 0, 0], {"others": 0}, None], ["black"]),
    (v2.RandomCrop, "padding_mode", ["edge"], ["egde", 1]),
    (v2.Resize, "interpolation", ["bilinear", 2, "$InterpolationMode.BILINEAR"], [0.5, [1]]),
    (v2.Resize, "antialias", [True, None], ["warn"]),
    (v2.ToDtype, "dtype", ["$torch.float32", {"others": None}, "@dtype"], ["float32", 32]),
    (v2.ToDtype, "scale", [True], ["true"]),
    (v2.Normalize, "mean", [[0.5, 0.5, 0.5], ["%m", 0.5, 0]], [0.5, ["0.5"], None]),
    (v2.ColorJitter, "brightness", [0.5, [0.5, 1.5], None], ["0.5", ["a"]]),
    (v2.RandomResizedCrop, "ratio", [[0.75, 1.33]], [0.75, [0.75], ["3/4", "4/3"]]),
    (v2.RandomHorizontalFlip, "p", [0.5, 1], ["0.5"]),
    (v2.Compose, "transforms", [["@a", {"_target_": "a.B"}]], [["ToTensor"], 5, {"a": 1}]),
    (torchvision.datasets.FakeData, "transform", ["@t", None, {"_target_": "a.B"}], ["ToTensor", [{"_target_": "a"}]]),
    (torchvision.models.resnet18, "weights", ["DEFAULT", "IMAGENET1K_V1", None, "$w"], [["DEFAULT"], 0.5]),
    (torchvision.models.ResNet, "block", ["$BasicBlock", "@block"], ["torchvision.models.resnet.BasicBlock", 5]),
    (torchvision.models.ResNet, "layers", [[2, 2, 2, 2]], [18, ["2"]]),
    (torchmetrics.Accuracy, "task", ["binary", "multiclass"], ["multi-class", "classification", None]),
    (MulticlassAccuracy, "average", ["macro", "none", None, "Macro"], ["mean", 1]),
    (MulticlassAccuracy, "num_classes", [10, None], ["10", 10.0]),
    (MulticlassAccuracy, "validate_args", [True], ["true"]),
    (MulticlassAUROC, "thresholds", [None, 5, [0.1, 0.5]], ["5", ["a"]]),
    (MulticlassF1Score, "multidim_average", ["global"], ["locl"]),
    (PeakSignalNoiseRatio, "data_range", [1.0, [0.0, 1.0]], ["1.0", [0.0, 0.5, 1.0], None]),
    (PeakSignalNoiseRatio, "reduction", ["sum", "none", None], ["avg"]),
]


def test_arguments_of_the_libraries_that_configs_name() -> None:
    wrong = []
    for target, name, fits, contradicts in REAL:
        annotation, default = argument(target, name)
        wrong += [(target, name, value) for value in fits if found(value, annotation, default)]
        wrong += [(target, name, value) for value in contradicts if not found(value, annotation, default)]
    assert wrong == []
    assert sum(len(fits) + len(contradicts) for _, _, fits, contradicts in REAL) > 350


CALLS: list[tuple[Callable[..., Any], dict[str, Any], Callable[[Any], Any]]] = [
    (nn.Conv2d, {"in_channels": 4, "out_channels": 2, "kernel_size": 3}, lambda it: it(ITEMS)),
    (nn.Linear, {"in_features": 4, "out_features": 2}, lambda it: it(torch.zeros(1, 4))),
    (nn.LayerNorm, {"normalized_shape": 16}, lambda it: it(ITEMS)),
    (nn.MaxPool2d, {"kernel_size": 2}, lambda it: it(ITEMS)),
    (nn.Dropout, {}, lambda it: it(ITEMS)),
    (nn.CrossEntropyLoss, {}, lambda it: it(torch.zeros(2, 2), torch.tensor([0, 1]))),
    (optim.SGD, {"params": PARAMETERS}, lambda it: it.step()),
    (optim.AdamW, {"params": PARAMETERS}, lambda it: it.step()),
    (lr_scheduler.MultiStepLR, {"optimizer": OPTIMIZER, "milestones": [1]}, lambda it: it.step()),
    (lr_scheduler.OneCycleLR, {"optimizer": OPTIMIZER, "max_lr": 0.1, "total_steps": 9}, lambda it: it.step()),
    (lr_scheduler.LambdaLR, {"optimizer": OPTIMIZER}, lambda it: it.step()),
    (lr_scheduler.ReduceLROnPlateau, {"optimizer": OPTIMIZER}, lambda it: [it.step(9) for _ in range(9)]),
    (DataLoader, {"dataset": [1, 2]}, lambda it: next(iter(it))),
    (v2.RandomCrop, {"size": 40, "pad_if_needed": True}, lambda it: it(IMAGE)),
    (v2.ToDtype, {}, lambda it: it(IMAGE)),
    (v2.Normalize, {"mean": [0.5], "std": [0.5]}, lambda it: it(IMAGE.float())),
    (v2.ColorJitter, {}, lambda it: it(IMAGE)),
    (v2.RandomResizedCrop, {"size": 8}, lambda it: it(IMAGE)),
    (v2.RandomHorizontalFlip, {}, lambda it: it(IMAGE)),
    (v2.Compose, {}, lambda it: it(IMAGE)),
    (torchvision.models.resnet18, {}, lambda it: it),
    (torchmetrics.Accuracy, {"num_classes": 2}, lambda it: it(torch.tensor([0, 1]), torch.tensor([0, 1]))),
    (MulticlassAccuracy, {"num_classes": 2}, lambda it: it(torch.tensor([0, 1]), torch.tensor([0, 1]))),
    (MulticlassF1Score, {"num_classes": 2}, lambda it: it(torch.tensor([0, 1]), torch.tensor([0, 1]))),
    (PeakSignalNoiseRatio, {"data_range": 1.0}, lambda it: it(torch.rand(2, 3), torch.rand(2, 3))),
    (GradientAccumulationScheduler, {}, lambda it: it),
    (LearningRateMonitor, {}, lambda it: it),
    (Timer, {}, lambda it: it),
]
# Wrong all the same: code that never looks at the value, only asks whether it is true, or makes do with it.
UNNOTICED = [
    (nn.Conv2d, "bias", "false"),
    (nn.Conv2d, "bias", 2),
    (optim.SGD, "foreach", "no"),
    (optim.AdamW, "betas", [0.9, 0.99, 0.999]),
    (lr_scheduler.MultiStepLR, "milestones", ["30", "80"]),
    (DataLoader, "shuffle", "true"),
    (DataLoader, "shuffle", "yes"),
    (v2.RandomCrop, "size", 8.5),
    (MulticlassAccuracy, "validate_args", "true"),
    (PeakSignalNoiseRatio, "data_range", "1.0"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("target", "others", "use"), CALLS, ids=lambda item: getattr(item, "__name__", ""))
def test_what_contradicts_fails_when_it_is_called(
    target: Callable[..., Any], others: dict[str, Any], use: Callable[[Any], Any]
) -> None:
    tried = [(name, value) for of, name, _, contradicts in REAL if of is target for value in contradicts]
    assert tried
    worked = []
    for name, value in tried:
        try:
            use(target(**{**others, name: value}))
        except Exception:
            continue
        worked.append((target, name, value))
    assert worked == [row for row in UNNOTICED if row[0] is target]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "an int"),
        (float, "a float"),
        (str, "text"),
        (Optional[str], "text or null"),
        (Union[None, int, str], "an int, text or null"),
        (Union[float, list[float]], "a float or a list of floats"),
        (Literal["min", "max"], "one of 'min', 'max'"),
        (Literal["a"] | None, "'a' or null"),
        (tuple[int, int], "a list of 2 ints"),
        (tuple[float, ...], "a list of floats"),
        (dict[str, Any], "a mapping"),
        (dict[str, list[int]], "a mapping of text to lists of ints"),
        (list[nn.Module], "a list of Modules"),
        (list[Optional[int]], "a list of ints"),
        (Callable[[int], str], "a callable"),
        (type[nn.Module], "a type"),
        (pathlib.Path, "a path"),
        (Any, "anything"),
        (EMPTY, "anything"),
        ("Forward", "anything"),
        (list, "a list"),
        (Annotated[Size, 1], "an int"),
        (
            Literal[64, 32, 16, "transformer-engine", "16-true", "bf16-true"],
            "one of 64, 32, 16, 'transformer-engine', '16-true', …",
        ),
    ],
    ids=str,
)
def test_an_annotation_is_described_in_words(annotation: Any, words: str) -> None:
    assert describe_annotation(annotation) == words


def test_a_long_annotation_is_cut_after_a_whole_alternative() -> None:
    annotation = argument(v2.RandomCrop, "fill")[0]
    assert describe_annotation(annotation) == "an int, a float, a list of ints, a list of floats or …"


def test_a_message_is_one_short_line() -> None:
    wrong = told("a\nvery long text " * 20, argument(v2.RandomCrop, "fill")[0])
    assert len(wrong.message) <= 110
    assert "\n" not in wrong.message


LITERALS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["None", "1e-3", "10", "$x", "@a", "%b", r"\@c", "torch.nn.ReLU", "float32", "inf", "a::b"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)
POOL: list[Any] = [
    *{id(item): item for item in [*(row[1] for row in FITS), *(row[1] for row in CONTRADICTS)]}.values(),
    *(argument(target, name)[0] for target, name, _, _ in REAL),
    logging.Logger,
    typing.Callable,
    typing.Type,
    typing.Tuple,
    typing.Generic,
    abc.Awaitable[int],
    range,
    enum.Enum,
    collections.Counter[str],
    lambda: None,
]


@settings(max_examples=300, deadline=None)
@given(LITERALS, st.data())
def test_no_value_and_annotation_raise(value: Any, data: st.DataObject) -> None:
    annotation = data.draw(st.sampled_from(POOL))
    default = data.draw(st.one_of(st.just(EMPTY), LITERALS))
    if annotation is not Unanswering:
        values._misfit(node(value), annotation)  # beneath the net for what an annotation raises
    wrong = found(value, annotation, default)
    if wrong is not None:
        assert len(wrong.message) <= 110
        assert len(wrong.message.splitlines()) == 1
        for key in wrong.path:
            value = value[key]
        assert str(value) == str(wrong.node.plain())
    assert len(describe_annotation(annotation)) <= 80


def test_a_thousand_values_take_no_time() -> None:
    rows = [(node(value), *argument(target, name)) for target, name, fits, _ in REAL for value in fits]
    rows = random.Random(0).choices(rows, k=1000)
    start = time.process_time()
    for row in rows:
        contradiction(*row)
    assert time.process_time() - start < 0.5  # 0.03 is usual
