"""A dataset whose random samples depend on which batch they are for, and not on who loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset

from lighter.exact.generators import mixed, seed_generator, seed_generators
from lighter.exact.inexact import HAS_HIDDEN_RANDOMNESS, warn
from lighter.exact.search import own_generators


class Drawn(NamedTuple):
    """What a sampler drew, an index or those of a batch, and the seed for loading it.

    What is `doubted` is loaded twice, to see whether it is the same.
    """

    index: Any
    seed: int
    doubted: bool


class SeededDataset(Dataset[Any]):
    """Load what was drawn under its own seed.

    A batch is loaded by one process from its first sample to its last and then collated, so one seed will do for it.
    """

    def __init__(self, dataset: Any, collate: Callable[..., Any] | None) -> None:
        self.dataset, self.collate = dataset, collate
        self.find_generators()

    def find_generators(self) -> None:
        """Find what else than the global generators is to be seeded; again where the dataset may have changed."""
        self.generators = own_generators(self.dataset, self.collate)

    def __getitem__(self, drawn: Drawn) -> Any:
        return self._load(drawn, self._sample)

    def __getitems__(self, drawn: Drawn) -> Any:
        return self._load(drawn, self._batch)

    def __len__(self) -> int:
        return len(self.dataset)

    def _load(self, drawn: Drawn, load: Callable[[Any], Any]) -> Any:
        loaded = self._load_once(drawn, load)
        if drawn.doubted:
            first, loaded = loaded, self._load_once(drawn, load)
            if not _same(first, loaded):
                warn(HAS_HIDDEN_RANDOMNESS, self.dataset)
        return loaded

    def _load_once(self, drawn: Drawn, load: Callable[[Any], Any]) -> Any:
        self._seed(drawn.seed)
        try:
            return load(drawn.index)
        except StopIteration as error:  # which would pass for the end of the loader
            raise RuntimeError(f"the dataset raised StopIteration at index {drawn.index}") from error

    def _sample(self, index: Any) -> Any:
        return self.dataset[index]

    def _batch(self, indices: list[Any]) -> Any:
        at_once = getattr(self.dataset, "__getitems__", None)
        return at_once(indices) if at_once else [self._sample(index) for index in indices]

    def _seed(self, seed: int) -> None:
        seed_generators(seed)
        for number, generator in enumerate(self.generators):
            seed_generator(generator, mixed(seed, number))


def _same(one: Any, other: Any) -> bool:
    """Tell whether two loads are of the same numbers; of other things, they are believed to be."""
    leaves, others = pytree.tree_leaves(one), pytree.tree_leaves(other)
    return len(leaves) == len(others) and all(map(_equal, leaves, others))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor | np.ndarray | np.generic | float | int):
        try:
            return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))
        except (TypeError, RuntimeError):  # text, or a tensor that numpy has no type for
            return True
    return True
