"""The metrics of one mode: updated cheaply, computed exactly, made fit for the log."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from lighter._list_states import evened
from lighter.errors import ConfigError

# class attributes in which metrics of the same update may differ
BESIDE_UPDATE = {"compute", "plot", "is_differentiable", "higher_is_better", "full_state_update", "_abc_impl"}


class SharedMetrics:
    """Update the metrics of a collection, those that keep the same state only once.

    Torchmetrics' own groups hold the metrics whose states are equal after one batch, which ties two thresholds that
    agree on that batch together for good. Here the metrics of a group have the same `update` and equal settings. And
    handing the state on in a group is most of the cost of torchmetrics' update; here it is a copy between two dicts.
    """

    def __init__(self, collection: MetricCollection, *, batch_values: bool = False) -> None:
        self.collection = collection
        self._batch = _batch_copy(collection) if batch_values else None
        self._leaders: list[Metric] = []
        self._followers: list[tuple[Metric, Metric]] = []  # each with its leader first
        for metric in collection.values(copy_state=False):
            leader = next((leader for leader in self._leaders if _same_state(leader, metric)), None)
            if leader is None:
                self._leaders.append(metric)
            else:
                self._followers.append((leader, metric))

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.collection.keys()]  # noqa: SIM118 - no dict: it iterates otherwise

    def update(self, *args: Any, **kwargs: Any) -> None:
        for metric in self._leaders:
            metric.update(*args, **(metric._filter_kwargs(**kwargs) if kwargs else {}))
        self._hand_on()

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Update, and return the values of this batch alone; none where a batch is too small to have them.

        They come from a copy: torchmetrics' own forward resets what a metric holds in metrics, and their epoch with it.
        """
        assert self._batch is not None, "made without batch_values"
        self.update(*args, **kwargs)
        for metric in self._batch.values(copy_state=False):
            metric.reset()
            metric.update(*args, **(metric._filter_kwargs(**kwargs) if kwargs else {}))
        try:
            return self._batch.compute()
        except (ValueError, RuntimeError):
            return {}

    def compute(self) -> dict[str, Any]:
        """Return the values over all updates of all ranks; a rank may have had none."""
        with evened(metric for _, metric in _metrics_in(self.collection)), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*was called before the ``update`` method")
            return self.collection.compute()

    def reset(self) -> None:
        for metric in self.collection.values(copy_state=False):  # the collection's own reset would tie its own groups
            metric.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return what every metric has counted, by its path in the collection."""
        return {path: metric_state(metric) for path, metric in _metrics_in(self.collection)}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        for path, metric in _metrics_in(self.collection):
            if path in states:
                load_metric_state(metric, states[path])

    def _hand_on(self) -> None:
        for leader, follower in self._followers:
            source, destination = vars(leader), vars(follower)
            for name in leader._defaults:
                destination[name] = source[name]
            destination["_update_count"], destination["_computed"] = source["_update_count"], None


def metric_state(metric: Metric) -> dict[str, Any]:
    """Return all that a metric has counted; torchmetrics' own state dict holds but a part."""
    return {"updates": metric._update_count, "state": {name: getattr(metric, name) for name in metric._defaults}}


def load_metric_state(metric: Metric, state: Mapping[str, Any]) -> None:
    metric._update_count, metric._computed = state["updates"], None
    for name, value in move_data_to_device(state["state"], metric.device).items():
        setattr(metric, name, value)


def _metrics_in(collection: MetricCollection) -> list[tuple[str, Metric]]:
    return [(path, module) for path, module in collection.named_modules() if isinstance(module, Metric)]


def _batch_copy(collection: MetricCollection) -> MetricCollection:
    """Return a copy for one batch's values; networks in metrics are shared, and no rank waits."""
    networks = [part for part in collection.modules() if not any(isinstance(inner, Metric) for inner in part.modules())]
    shared = [*collection.parameters(), *(part for part in networks if any(True for _ in part.parameters()))]
    copied = copy.deepcopy(collection, {id(part): part for part in shared})
    for metric in copied.modules():
        if isinstance(metric, Metric):
            metric.sync_on_compute = metric._to_sync = False  # torchmetrics looks at the second
    return copied


def collections_by_mode(given: Mapping[str, Any]) -> dict[str, MetricCollection]:
    """Make each mode's metrics a MetricCollection of its own; a metric given to a second mode is cloned there.

    Raises:
        ConfigError: a mode's metrics are no Metric, list, dict or MetricCollection.
    """
    seen: set[int] = set()
    collections = {}
    for mode, metrics in given.items():
        try:
            collection = _collection(metrics)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"metrics of mode {mode!r}: {error}", value=metrics) from error
        members = {id(metric) for metric in collection.values(copy_state=False)}
        collections[mode] = collection.clone() if members & seen else collection
        seen |= members
    return collections


def scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, Tensor | None]]:
    """Yield each value as floats that can be logged, vectors element by element; None for what has no such form."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars({f"{name}/{key}": item for key, item in value.items()})
            continue
        if isinstance(value, int | float):
            value = torch.tensor(value)
        if not isinstance(value, Tensor) or value.ndim > 1:
            yield name, None
        elif value.ndim == 1:
            yield from ((f"{name}/{index}", item.float()) for index, item in enumerate(value))
        else:
            yield name, value.float()


def _collection(metrics: Any) -> MetricCollection:
    return metrics if isinstance(metrics, MetricCollection) else MetricCollection(metrics, compute_groups=False)


def _same_state(first: Metric, second: Metric) -> bool:
    kinds = (type(first), type(second))
    if not all(kind.__module__.startswith("torchmetrics.") for kind in kinds):
        return False  # a user's own metric may keep what it counts in a plain attribute
    if not first._defaults or not _same_update(*kinds):
        return False
    if any((*metric.children(), *metric.buffers()) for metric in (first, second)):
        return False
    own = {"update", "compute", "_defaults", *first._defaults}
    shared = (vars(first).keys() & vars(second).keys()) - own
    return first._defaults.keys() == second._defaults.keys() and all(
        repr(vars(first)[name]) == repr(vars(second)[name]) for name in shared
    )


def _same_update(first: type[Metric], second: type[Metric]) -> bool:
    names = {name for name in (*dir(first), *dir(second)) if not name.startswith(("__", "plot_"))} - BESIDE_UPDATE
    return all(getattr(first, name, None) is getattr(second, name, None) for name in names)
