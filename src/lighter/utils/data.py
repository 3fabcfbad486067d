"""Helpers for data loading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import default_collate

from lighter.errors import ConfigError

TRIES = 1000


class SizedDataset(Protocol):
    """A dataset with a length and integer indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def collate_replace_corrupted(
    batch: Sequence[Any],
    dataset: SizedDataset,
    default_collate_fn: Callable[[list[Any]], Any] = default_collate,
) -> Any:
    """Replace the samples of a batch that are None by random others of the dataset, then collate.

    The draws come from torch's default generator, so they follow the seed.

    Raises:
        ConfigError: so many samples in a row were None that the dataset seems to hold nothing else.
    """
    return default_collate_fn([_draw(dataset) if sample is None else sample for sample in batch])


def _draw(dataset: SizedDataset) -> Any:
    for _ in range(TRIES):
        sample = dataset[int(torch.randint(len(dataset), ()))]
        if sample is not None:
            return sample
    raise ConfigError(f"no sample to replace a corrupted one: {TRIES} random samples of the dataset were all None")
