"""How a step takes a batch apart, and how a criterion, a metric and the log get their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from pytorch_lightning.utilities.memory import is_oom_error

from lighter._metrics import SharedMetrics
from lighter.errors import ConfigError, LighterError, RunError

Accessor = int | str | Callable[[Any], Any]
Argument = int | str
Transforms = Callable[[Any], Any] | Sequence[Callable[[Any], Any]]

SOURCES = ("input", "target", "pred")


class BatchAdapter:
    """Take (input, target, identifier) from a batch; an accessor is an index, a key, or a callable of the batch."""

    def __init__(
        self,
        input_accessor: Accessor,
        target_accessor: Accessor | None = None,
        identifier_accessor: Accessor | None = None,
    ) -> None:
        self._accessors = {"input": input_accessor, "target": target_accessor, "identifier": identifier_accessor}
        for name, accessor in self._accessors.items():
            if accessor is None and name != "input":
                continue
            if isinstance(accessor, bool) or not (isinstance(accessor, int | str) or callable(accessor)):
                raise ConfigError(
                    f"BatchAdapter: {name}_accessor must be an index, a key or a callable, not {accessor!r}",
                    value=accessor,
                )

    def __call__(self, batch: Any) -> tuple[Any, Any, Any]:
        source, target, identifier = (self._take(name, batch) for name in self._accessors)
        return source, target, identifier

    def _take(self, name: str, batch: Any) -> Any:
        accessor = self._accessors[name]
        if accessor is None:
            return None
        try:
            return accessor(batch) if callable(accessor) else batch[accessor]
        except Exception as error:
            label = name_of(accessor) if callable(accessor) else repr(accessor)
            reraise(error, f"BatchAdapter {name}_accessor={label} received {describe(batch)}", ConfigError)


class _ArgumentsAdapter:
    """Call a function with input, target and pred where it wants them; `SOURCES` orders all that is kept here."""

    def __init__(
        self,
        input_argument: Argument | None = None,
        target_argument: Argument | None = None,
        pred_argument: Argument | None = None,
        input_transforms: Transforms | None = None,
        target_transforms: Transforms | None = None,
        pred_transforms: Transforms | None = None,
    ) -> None:
        name = type(self).__name__
        arguments = (input_argument, target_argument, pred_argument)
        if arguments == (None, None, None):  # only transforms were of interest
            arguments = (None, 1, 0)
        _check_arguments(name, arguments)
        sources = {argument: source for source, argument in enumerate(arguments) if argument is not None}
        self._positional = [sources[position] for position in sorted(key for key in sources if isinstance(key, int))]
        self._keyword = {key: source for key, source in sources.items() if isinstance(key, str)}
        self._transforms = list(_named_transforms(name, input_transforms, target_transforms, pred_transforms))

    def __call__(self, function: Callable[..., Any], input: Any, target: Any, pred: Any) -> Any:  # noqa: A002 - the word for it
        values = [input, target, pred]
        if self._transforms:
            _transform(self._transforms, values)
        try:
            return function(
                *[values[source] for source in self._positional],
                **{key: values[source] for key, source in self._keyword.items()},
            )
        except Exception as error:
            reraise(error, f"{name_of(function)} received {self._describe(values)}", RunError)

    def _describe(self, values: list[Any]) -> str:
        passed = [*enumerate(self._positional), *self._keyword.items()]
        return ", ".join(f"{argument} ({SOURCES[source]}): {describe(values[source])}" for argument, source in passed)


class CriterionAdapter(_ArgumentsAdapter):
    """Pass input, target and pred to the criterion; an argument is a position or a keyword.

    Without any argument given, it is pred_argument=0, target_argument=1.
    """


class MetricsAdapter(_ArgumentsAdapter):
    """Pass input, target and pred to the metrics; an argument is a position or a keyword.

    Without any argument given, it is pred_argument=0, target_argument=1.
    """


class LoggingAdapter:
    """Change input, target and pred on their way into the output dict that callbacks receive."""

    def __init__(
        self,
        input_transforms: Transforms | None = None,
        target_transforms: Transforms | None = None,
        pred_transforms: Transforms | None = None,
    ) -> None:
        name = type(self).__name__
        self._transforms = list(_named_transforms(name, input_transforms, target_transforms, pred_transforms))

    def __call__(self, input: Any, target: Any, pred: Any) -> tuple[Any, Any, Any]:  # noqa: A002 - the word for it
        values = [input, target, pred]
        _transform(self._transforms, values)
        return values[0], values[1], values[2]


def pair(batch: Any) -> tuple[Any, Any, None]:
    """Take (input, target) from a list or tuple: what train, val and test do without an adapter."""
    if isinstance(batch, list | tuple) and len(batch) >= 2:
        return batch[0], batch[1], None
    example = (
        f"{next(iter(batch))!r}, target_accessor=..." if isinstance(batch, Mapping) and batch else "lambda batch: ..."
    )
    raise ConfigError(
        f"without a batch adapter, a batch must be (input, target), but it is {describe(batch)}",
        suggestion=f"say where they are: lighter.adapters.BatchAdapter(input_accessor={example})",
    )


def whole(batch: Any) -> tuple[Any, None, None]:
    """Take the batch itself as the input: what predict does without an adapter."""
    return batch, None, None


def name_of(part: Any) -> str:
    """Name a function, or the object behind a partial or a method, as its author would."""
    while isinstance(part, partial):
        part = part.func
    if inspect.ismethod(part):
        part = part.__self__
    if isinstance(part, SharedMetrics):
        return ", ".join(part.names)
    return getattr(part, "__qualname__", None) or type(part).__name__


def describe(value: Any) -> str:
    """Say what a value looks like: dtype and shape of tensors, also inside lists and mappings; no data."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {describe(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        items = [describe(item) for item in value[:3]] + ["..."] * (len(value) > 3)
        return f"{type(value).__name__} of {len(value)} ({', '.join(items)})"
    return "None" if value is None else type(value).__name__


def reraise(error: Exception, what: str, kind: type[LighterError]) -> NoReturn:
    """Raise `error` again as `kind`, with what the failing part was given; out of memory stays what it is."""
    if isinstance(error, LighterError) or is_oom_error(error):
        raise error
    raise kind(f"{what}: {type(error).__name__}: {error}") from error


def _check_arguments(name: str, arguments: tuple[Argument | None, ...]) -> None:
    given = [argument for argument in arguments if argument is not None]
    for argument in given:
        if isinstance(argument, bool) or not isinstance(argument, int | str):
            raise ConfigError(f"{name}: an argument is a position or a keyword, not {argument!r}", value=argument)
    if len(set(given)) < len(given):
        raise ConfigError(f"{name}: two of input, target and pred go to the same argument, of {given}", value=given)
    positions = sorted(argument for argument in given if isinstance(argument, int))
    if positions != list(range(len(positions))):
        raise ConfigError(f"{name}: positions must count from 0 without a gap, not {positions}", value=positions)


def _named_transforms(adapter: str, *transforms: Transforms | None) -> Iterator[tuple[int, str, Callable[[Any], Any]]]:
    for source, given in enumerate(transforms):
        if given is None:
            continue
        label = f"{adapter} {SOURCES[source]}_transforms"
        for transform in [given] if callable(given) else given if isinstance(given, Iterable) else [given]:
            if not callable(transform):
                raise ConfigError(f"{label}: {transform!r} is not callable", value=transform)
            yield source, label, transform


def _transform(transforms: list[tuple[int, str, Callable[[Any], Any]]], values: list[Any]) -> None:
    for source, label, transform in transforms:
        try:
            values[source] = transform(values[source])
        except Exception as error:
            reraise(error, f"{label}: {name_of(transform)} received {describe(values[source])}", RunError)
