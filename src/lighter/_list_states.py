"""Metrics' list states on several ranks, one of which may have more entries than another.

Torchmetrics gathers lists an entry at a time, so a rank that has more of them would wait for the others forever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import torch
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor, distributed
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Form(NamedTuple):
    """How many entries a rank's list has, and the shape of a row and the type of its first, where it has tensors."""

    entries: int
    shape: tuple[int, ...] | None
    dtype: torch.dtype | None


@dataclass
class ListState:
    metric: Metric
    name: str

    @property
    def entries(self) -> list[Any]:
        entries: list[Any] = getattr(self.metric, self.name)
        return entries

    @property
    def is_cat(self) -> bool:
        return self.metric._reductions[self.name] is dim_zero_cat

    def form(self) -> Form:
        if not self.entries or not all(isinstance(entry, Tensor) for entry in self.entries):
            return Form(len(self.entries), None, None)
        return Form(len(self.entries), tuple(self.entries[0].shape[1:]), self.entries[0].dtype)

    def join(self, forms: Sequence[Form]) -> None:
        """Make one entry of all, and where there is none, one without rows."""
        shape, dtype = next(((form.shape, form.dtype) for form in forms if form.shape is not None), (None, None))
        if self.entries:
            setattr(self.metric, self.name, [dim_zero_cat(self.entries)])
        elif shape is not None:
            setattr(self.metric, self.name, [torch.zeros((0, *shape), dtype=dtype, device=self.metric.device)])

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Hold the entries of all ranks, in turn as torchmetrics has them, and keep torchmetrics from gathering."""
        own, reduction = self.entries, self.metric._reductions.pop(self.name)
        everyones = _of_all_ranks(move_data_to_device(own, torch.device("cpu")))
        entries = [entry for entry in chain.from_iterable(zip_longest(*everyones)) if entry is not None]
        entries = move_data_to_device(entries, self.metric.device)
        setattr(self.metric, self.name, reduction(entries) if callable(reduction) else entries)
        try:
            yield
        finally:
            setattr(self.metric, self.name, own)
            self.metric._reductions[self.name] = reduction


@contextmanager
def evened(metrics: Iterable[Metric]) -> Iterator[None]:
    """Let torchmetrics compute over all ranks, however many entries each has; each rank must call this."""
    states = _list_states(metrics)
    everyones = _of_all_ranks([state.form() for state in states]) if states else []
    with ExitStack() as stack:
        for state, forms in zip(states, zip(*everyones, strict=True), strict=True):
            if state.is_cat:
                state.join(forms)
            elif _are_uneven(forms):
                stack.enter_context(state.gathered())
        yield


def _list_states(metrics: Iterable[Metric]) -> list[ListState]:
    """Return the states that are gathered as lists."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return []
    states = [ListState(metric, name) for metric in metrics if metric._to_sync for name in metric._reductions]
    return [state for state in states if isinstance(state.metric._defaults[state.name], list)]


def _are_uneven(forms: Sequence[Form]) -> bool:
    """Tell whether the ranks have lists of unequal length; of tensors, as metrics gather other things themselves."""
    return len({form.entries for form in forms}) > 1 and all(form.shape is not None for form in forms if form.entries)


def _of_all_ranks(own: Any) -> list[Any]:
    everyones: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyones, own)
    return everyones
