"""Random generators, seeded from what is being done instead of from what was done before.

No state of a generator is ever saved or restored: numpy's alone takes longer to read than all of them take to seed.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

MASK = (1 << 64) - 1

# what a seed is for, so that no two uses share one
ORDER, WORKERS, FETCH, SAMPLES, BATCH, STEP, EPOCH, EPOCH_END, EVALUATION = range(9)


def mixed(*numbers: int) -> int:
    """Return 64 bits that any change of the numbers or of their order changes (the finalizer of splitmix64)."""
    bits = 0
    for number in numbers:
        bits = (bits + number + 0x9E3779B97F4A7C15) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        bits ^= bits >> 31
    return bits


def seed_generators(seed: int) -> None:
    """Seed the global generators of python, numpy and torch, that of the current device too where one is in use."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(seed)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def seed_generator(generator: Any, seed: int) -> None:
    """Seed a generator that someone keeps: one of torch's, of numpy's two kinds, or of python's."""
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits: Any = generator.bit_generator
        bits.state = type(bits)(seed).state
    else:
        generator.seed(seed & 0xFFFFFFFF)
