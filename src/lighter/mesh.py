"""Whether the mesh of a strategy has a place for each process, and a process for each place, and is a mesh at all.

Lightning looks once all processes have met, and with one device it does not say what to do.
"""

from __future__ import annotations

import math

from lighter.asked import Asked, asked_of_trainer
from lighter.config.compose import Config
from lighter.errors import Problem

STRATEGY = "trainer::strategy"
PACKAGES = ("pytorch_lightning.strategies", "lightning.pytorch.strategies")
DATA, TENSOR, MESH = "data_parallel_size", "tensor_parallel_size", "device_mesh"


def misfits(config: Config) -> list[Problem]:
    """Return what is wrong with a mesh, if the config says so in so many words."""
    asked = asked_of_trainer(config)
    return [] if asked is None else [*_of_list(asked), *_of_sizes(asked)]


def _of_list(asked: Asked) -> list[Problem]:
    """Return that FSDP's mesh is a list, which YAML has, and not a tuple, which Lightning asks for."""
    node = asked.find(f"{STRATEGY}::{MESH}")
    if node is None or not isinstance(node.value, list) or not _is_strategy(asked, "FSDPStrategy"):
        return []
    sizes = [item.value for item in node.value]
    mend = f"write $({', '.join(map(str, sizes))})" if all(type(size) is int for size in sizes) else None
    message = "is a list, and FSDPStrategy takes a tuple: of replicas, and of the devices that share each"
    return [Problem(message, node.place, f"{STRATEGY}::{MESH}", None, mend)]


def _of_sizes(asked: Asked) -> list[Problem]:
    if asked.world is None or not _is_strategy(asked, "ModelParallelStrategy"):
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


def _is_strategy(asked: Asked, name: str) -> bool:
    """Tell whether the strategy is Lightning's of a name, with its arguments by theirs."""
    target, given = asked.find(f"{STRATEGY}::_target_"), asked.find(f"{STRATEGY}::_args_")
    package, _, own = str(target.value if target else "").rpartition(".")
    return given is None and own == name and package.startswith(PACKAGES)


def _size(asked: Asked, name: str, automatic: int | None) -> int | None:
    """Return a size as Lightning takes it; None where that is left to an expression, or is none."""
    node = asked.find(f"{STRATEGY}::{name}")
    if node is None or node.value == "auto":
        return automatic
    return node.value if type(node.value) is int and node.value > 0 else None
