"""Find the random generators that a dataset, a sampler or a collate function keeps."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import partial
from inspect import getclosurevars
from itertools import islice
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
OPAQUE = (str, bytes, int, float, complex, type(None), type, ModuleType, torch.Tensor, np.ndarray)
DEPTH, BREADTH, LIMIT = 8, 64, 20_000  # parts of parts to look into, items of a container, and parts in all


def own_generators(*owners: Any, beside: Iterable[Any] = ()) -> list[Any]:
    """Return the generators that the owners and their parts keep, in an order that is the same in every process.

    What stands `beside` them is not looked into.
    """
    seen = {id(part) for part in beside}
    return [generator for owner in owners for generator in _generators(owner, DEPTH, seen)]


def _generators(part: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    if isinstance(part, OPAQUE) or id(part) in seen or len(seen) > LIMIT:
        return
    seen.add(id(part))
    if isinstance(part, GENERATORS):
        if not isinstance(part, torch.Generator) or part.device.type == "cpu":  # a worker cannot reach another device
            yield part
    elif depth:
        for inner in _parts(part):
            yield from _generators(inner, depth - 1, seen)


def _parts(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):  # other mappings may read a file
        return list(islice(part.values(), BREADTH))
    if isinstance(part, list | tuple):
        return part[:BREADTH]
    if isinstance(part, partial):
        return [part.func, *part.args, *part.keywords.values()]
    if isinstance(part, MethodType):
        return [part.__self__, part.__func__]
    if isinstance(part, FunctionType):
        return _parts_of_function(part)
    return list(getattr(part, "__dict__", {}).values())


def _parts_of_function(function: FunctionType) -> list[Any]:
    """Return what a function has about it, and of what its module has, the generators that it names."""
    try:
        names = getclosurevars(function)
    except ValueError:  # a cell that is empty yet
        return []
    return [*names.nonlocals.values(), *(value for value in names.globals.values() if isinstance(value, GENERATORS))]
