"""A dataset whose random samples depend on when they are drawn in an epoch, and not on who draws them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lighter.exact.generators import seed_generators

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
DEPTH, BREADTH = 4, 16  # how far into a dataset to look for generators


class Drawn(NamedTuple):
    """What a sampler drew, and the seed for loading it."""

    index: Any
    seed: int


class SeededDataset(Dataset[Any]):
    """Load what was drawn under its own seed; any other attribute is that of the dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, drawn: Drawn) -> Any:
        seed_generators(drawn.seed)
        return self.dataset[drawn.index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "__getitems__"):  # not there yet while it is unpickled; of the subclass below
            raise AttributeError(name)
        return getattr(self.dataset, name)


class SeededBatches(SeededDataset):
    """Load a whole batch under the seed of its first sample, of a dataset that loads batches."""

    def __getitems__(self, drawn: list[Drawn]) -> Any:
        if drawn:
            seed_generators(drawn[0].seed)
        return self.dataset.__getitems__([index for index, _ in drawn])


def seeded(dataset: Any) -> SeededDataset:
    loads_batches = callable(getattr(dataset, "__getitems__", None))
    return SeededBatches(dataset) if loads_batches else SeededDataset(dataset)


def own_generators(dataset: object) -> list[str]:
    """Return where a dataset and its parts keep random generators of their own."""
    return list(_generators(dataset, type(dataset).__name__, DEPTH, set()))


def _generators(part: object, name: str, depth: int, seen: set[int]) -> Iterator[str]:
    if isinstance(part, GENERATORS):
        yield name
        return
    if not depth or id(part) in seen or isinstance(part, type):
        return
    seen.add(id(part))
    for key, value in _parts(part)[:BREADTH]:
        yield from _generators(value, f"{name}{key}", depth - 1, seen)


def _parts(part: object) -> list[tuple[str, object]]:
    if isinstance(part, list | tuple):
        return [(f"[{index}]", part[index]) for index in range(min(len(part), BREADTH))]
    if isinstance(part, Mapping):
        return [] if len(part) > BREADTH else [(f"[{key!r}]", value) for key, value in part.items()]
    return [(f".{key}", value) for key, value in getattr(part, "__dict__", {}).items()]
