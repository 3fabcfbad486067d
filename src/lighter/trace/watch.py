"""Put watchers around the parts of a System, which tell the way of the batch what they receive and make."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.jit import ScriptModule
from torchmetrics import Metric, MetricCollection

from lighter._epoch import Epoch
from lighter._metrics import SharedMetrics
from lighter.adapters import SOURCES, LoggingAdapter, _ArgumentsAdapter, name_of, pair, whole
from lighter.system import System
from lighter.trace.way import THEN, Part, Received, Way

CurrentWay = Callable[[], Way]
Named = Mapping[str, object]
UNPACKED = ("input", "target", "identifier")


class Watched:
    """A part that tells of each call; else as the part itself."""

    def __init__(
        self,
        function: Callable[..., Any],
        way: CurrentWay,
        part: Part,
        received: Callable[..., Named],
        made: Callable[[Any], Named],
    ) -> None:
        self._function, self._way, self._part = function, way, part
        self._received, self._made = received, made
        self.__qualname__ = name_of(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        way = self._way()
        way.begin(self._part, self._received(*args, **kwargs))
        made = self._function(*args, **kwargs)
        way.end(self._part, self._made(made))
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_function"], name)


def watch(system: System, way: CurrentWay) -> None:
    """Watch the parts of a System whose model is there, in its own steps and in those of a subclass."""

    def predicted(made: Any) -> Named:
        return {"output" if way().is_in("inferer") else "pred": made}

    _watch_slot(system, "model", "if new", way, predicted)
    _watch_slot(system, "inferer", "if failed", way, lambda made: {"pred": made})
    _watch_slot(system, "criterion", "shown", way, lambda made: {"loss": made})
    for collection in system.metrics.values():
        _watch_metrics(collection, way)
    begin_epoch = system._begin_epoch

    def begin_watched(mode: str) -> Epoch:
        epoch = begin_epoch(mode)
        epoch.returns_outputs = True  # as where a callback reads them, so that the logging adapter is called
        _watch_adapters(epoch, way)
        if isinstance(epoch.model, ScriptModule):
            part = Part("model", name_of(epoch.model), "if new")
            epoch.model = Watched(epoch.model, way, part, _arguments(epoch.model.forward), predicted)  # type: ignore[assignment]
        return epoch

    system._begin_epoch = begin_watched  # type: ignore[method-assign]


def _watch_slot(system: System, slot: str, received: Received, way: CurrentWay, made: Callable[[Any], Named]) -> None:
    """Watch what is in a slot: a module by hooks, so that whoever is given it gets the module itself."""
    given = getattr(system, slot)
    if given is None or isinstance(given, ScriptModule):  # which takes no hooks
        return
    part = Part(slot, name_of(given), received)
    if not isinstance(given, nn.Module):
        setattr(system, slot, Watched(given, way, part, _arguments(given), made))
        return
    arguments = _arguments(given.forward)
    given.register_forward_pre_hook(
        lambda _, args, kwargs: way().begin(part, arguments(*args, **kwargs)), with_kwargs=True
    )
    given.register_forward_hook(lambda _, __, output: way().end(part, made(output)))


def _watch_metrics(collection: MetricCollection, way: CurrentWay) -> None:
    """Watch the updates that metrics get, past the choice of the keyword arguments that each of them takes."""
    metrics: dict[str, Metric] = dict(collection.items(copy_state=False))
    names = {id(metric): name for name, metric in metrics.items()}
    labels = dict(names)
    for leader, follower in SharedMetrics(collection)._followers:  # which are not updated themselves
        labels[id(leader)] += f", {names[id(follower)]}"
    for name, metric in metrics.items():
        update, compute = Part("metric", labels[id(metric)], "shown"), Part("metric", f"{name}, in compute,")
        metric.update = Watched(metric.update, way, update, _arguments(metric.update), _nothing)  # type: ignore[method-assign]
        metric.compute = Watched(metric.compute, way, compute, _state(metric), _nothing)  # type: ignore[method-assign]


def _state(metric: Metric) -> Callable[[], Named]:
    return lambda: dict(metric.metric_state)


def _watch_adapters(epoch: Epoch, way: CurrentWay) -> None:
    name = "(default)" if epoch.unpack in (pair, whole) else name_of(epoch.unpack)
    part = Part("batch adapter", name, "if new")
    epoch.unpack = Watched(epoch.unpack, way, part, lambda batch: {"batch": batch}, lambda made: _three(UNPACKED, made))
    epoch.criterion_adapter = _watched_adapter(epoch.criterion_adapter, "criterion adapter", way)
    epoch.metrics_adapter = _watched_adapter(epoch.metrics_adapter, "metrics adapter", way)
    if epoch.logging_adapter is not None:
        own = not isinstance(epoch.logging_adapter, LoggingAdapter)
        part = Part("logging adapter", name_of(epoch.logging_adapter) if own else "")
        adapter = _with_watched_transforms(epoch.logging_adapter, "logging adapter", way)
        epoch.logging_adapter = Watched(adapter, way, part, _sources, lambda made: _three(SOURCES, made))


def _watched_adapter(adapter: Callable[..., Any], role: str, way: CurrentWay) -> Callable[..., Any]:
    part = Part(role, name_of(adapter))
    adapter = _with_watched_transforms(adapter, role, way)
    return Watched(adapter, way, part, lambda _, *values: _sources(*values), _nothing)


def _with_watched_transforms(adapter: Callable[..., Any], role: str, way: CurrentWay) -> Callable[..., Any]:
    if not isinstance(adapter, _ArgumentsAdapter | LoggingAdapter):
        return adapter
    adapter = copy.copy(adapter)
    adapter._transforms = [
        (source, label, _watched_transform(SOURCES[source], role, transform, way))
        for source, label, transform in adapter._transforms
    ]
    return adapter


def _watched_transform(source: str, role: str, transform: Callable[[Any], Any], way: CurrentWay) -> Watched:
    name = f"{source}{THEN}{name_of(transform)}"
    return Watched(transform, way, Part(role), lambda value: {source: value}, lambda value: {name: value})


def _arguments(function: Callable[..., Any]) -> Callable[..., Named]:
    """Return what gives the arguments of a call the names that the function has for them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin
        return _by_position

    def named(*args: Any, **kwargs: Any) -> Named:
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError:  # which the call is about to raise
            return _by_position(*args, **kwargs)
        found: dict[str, object] = {}
        for name, value in arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                found |= {f"{name}[{index}]": item for index, item in enumerate(value)}
            else:
                found |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
        return found

    return named


def _by_position(*args: Any, **kwargs: Any) -> Named:
    return {str(position): value for position, value in enumerate(args)} | kwargs


def _nothing(_: Any) -> Named:
    return {}


def _sources(*values: Any) -> Named:
    return dict(zip(SOURCES, values, strict=True))


def _three(names: Sequence[str], made: Any) -> Named:
    """Return the three values that an adapter has to return by name, or what it returned instead."""
    right = isinstance(made, list | tuple) and len(made) == 3
    return dict(zip(names, made, strict=True)) if right else {"returned": made}
