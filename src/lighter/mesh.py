"""Whether the mesh of a ModelParallelStrategy has a place for each process, and a process for each place.

Lightning looks once all processes have met, and with one device it does not say what to do.
"""

from __future__ import annotations

import math

from lighter.asked import Asked, asked_of_trainer
from lighter.config.compose import Config
from lighter.errors import Problem

STRATEGY = "trainer::strategy"
PACKAGES = ("pytorch_lightning.strategies", "lightning.pytorch.strategies")
DATA, TENSOR = "data_parallel_size", "tensor_parallel_size"


def misfits(config: Config) -> list[Problem]:
    """Return that a mesh has another size than there are processes, if the config says so in so many words."""
    asked = asked_of_trainer(config)
    if asked is None or asked.world is None or not _has_mesh(asked):
        return []
    sizes = {DATA: _size(asked, DATA, asked.nodes), TENSOR: _size(asked, TENSOR, asked.devices)}
    known = [size for size in sizes.values() if size is not None]
    if len(known) < len(sizes) or math.prod(known) == asked.world:
        return []
    return [_misfit(asked, sizes, math.prod(known), asked.world)]


def _misfit(asked: Asked, sizes: dict[str, int | None], mesh: int, world: int) -> Problem:
    said = {name: asked.find(f"{STRATEGY}::{name}") for name in sizes}
    name = next((name for name, node in said.items() if node is not None and node.value != "auto"), "")
    path, node = (f"{STRATEGY}::{name}", said[name]) if name else (STRATEGY, asked.find(STRATEGY))
    product = " times ".join(f"{name} {size}" for name, size in sizes.items())
    message = f"{product} is {mesh}, but devices {asked.devices} times num_nodes {asked.nodes} is {world}"
    mend = f"let the two be {world} together, or leave both out"
    if world == 1:
        mend = f"on one device leave the strategy out: '~{STRATEGY}'"
    return Problem(message, node.place if node else None, path, node.value if name and node else None, mend)


def _has_mesh(asked: Asked) -> bool:
    """Tell whether the strategy is Lightning's with a mesh, with its arguments by their names."""
    target, given = asked.find(f"{STRATEGY}::_target_"), asked.find(f"{STRATEGY}::_args_")
    package, _, name = str(target.value if target else "").rpartition(".")
    return given is None and name == "ModelParallelStrategy" and package.startswith(PACKAGES)


def _size(asked: Asked, name: str, automatic: int | None) -> int | None:
    """Return a size as Lightning takes it; None where that is left to an expression, or is none."""
    node = asked.find(f"{STRATEGY}::{name}")
    if node is None or node.value == "auto":
        return automatic
    return node.value if type(node.value) is int and node.value > 0 else None
