"""Whether a config agrees with what has started this process, and with how it is to start others.

It is looked at as Lightning does it, but before anything is built: Lightning looks late, not at all with one device to
a process, and where it would wait for processes that nobody starts it waits for half an hour.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lighter.config.compose import Config
from lighter.config.reference import MAX_HOPS, absolute, expand_what_can_be, follow
from lighter.config.tree import Node, Path, PathError, is_reference, split
from lighter.errors import ConfigError, Place, Problem
from lighter.launch import Launch, count, launched, number_in

TRAINERS = ("pytorch_lightning.Trainer", "lightning.pytorch.Trainer")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")  # those whose `devices` are counted as here

_OTHERS = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "JSM_NAMESPACE_SIZE"}  # launchers that Lightning knows too
_SPAWNING = {"spawn", "forkserver"}  # Python's ways to start a process that gets what it is to do as a pickle
_ON_EACH_NODE = "start it on each node with NODE_RANK=0, 1, … and the first node's MASTER_ADDR and MASTER_PORT"


@dataclass(frozen=True)
class Asked:
    """What a config asks of its Trainer; None is what it leaves to be found out, or to an expression."""

    devices: int | None
    nodes: int | None


def refuse(config: Config, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a config that cannot agree with what has started this process, or that cannot start others.

    Raises:
        ConfigError: with what contradicts it.
    """
    problems = [*spawning(config), *contradictions(config, environment)]
    if problems:
        raise ConfigError(problems=problems)


def spawning(config: Config) -> list[Problem]:
    """Return that the ranks of a config are to be spawned, if it says so in so many words."""
    root = expand_what_can_be(config.root)
    if _word(root, "trainer::_target_") not in TRAINERS:
        return []
    nodes = {path: _find(root, path) for path in ("trainer::strategy", "trainer::strategy::start_method")}
    return [spawned(node.place, path, node.value) for path, node in nodes.items() if node and _spawns(node.value)]


def spawned(place: Place | None, path: str, value: object) -> Problem:
    """Return that ranks are to be spawned, which is not possible: what they would be sent holds functions and locks."""
    message = f"is {value!r}: each rank would get what is built as a pickle, and not all of it can be pickled"
    mend = "ddp starts the command again for each rank, ddp_fork forks the process"
    return Problem(message, place, path, value, mend)


def contradictions(config: Config, environment: Mapping[str, str] = os.environ) -> Iterator[Problem]:
    """Yield where a config contradicts the environment, as far as it says so in so many words.

    What is left to an expression, to `auto`, or to a cluster environment of the config's own is Lightning's to judge.
    """
    root = expand_what_can_be(config.root)
    if _word(root, "trainer::_target_") not in TRAINERS or _word(root, "trainer::_args_") is not None:
        return
    if _has_own_environment(root):
        return
    asked = Asked(_devices(root), _nodes(root))
    launch = launched(environment)
    if launch is None:
        yield from _of_lightning(root, asked, environment)
        return
    if launch.by == "srun" and (problem := _of_srun(root, launch, environment)):
        yield problem
        return
    yield from _of_launch(root, asked, launch)


def _of_launch(root: Node, asked: Asked, launch: Launch) -> Iterator[Problem]:
    """Yield how a config contradicts processes that are there already."""
    devices, nodes, found = asked.devices, asked.nodes, False
    world = None if devices is None or nodes is None else devices * nodes
    other = world is not None and world != launch.world
    strict = launch.by == "srun" and launch.world > 1  # Lightning compares the nodes themselves, not just the product
    if nodes is not None and launch.nodes is not None and nodes != launch.nodes and (other or strict):
        found = True
        yield _problem(root, "num_nodes", nodes, launch, launch.nodes)
    here = launch.on_node
    if devices is not None and here is not None and (devices < here or ((other or strict) and devices > here)):
        found = True
        yield _problem(root, "devices", devices, launch, here)
    if other and not found:
        yield _problem(root, "devices", devices, launch, None)


def _of_srun(root: Node, launch: Launch, environment: Mapping[str, str]) -> Problem | None:
    """Return what is wrong with the tasks of a SLURM job, whatever the config says."""
    if launch.world == 1:
        return None
    place = _place(root, "num_nodes")
    if not {"SLURM_STEP_ID", "SLURM_STEPID"} & environment.keys():
        message = f"the SLURM job is of {launch.world} tasks, and this process was not started by srun as one of them"
        return Problem(message, place, "trainer", launch.world, "begin the command with srun: srun lighter …")
    if launch.on_node is None:
        message = f"the SLURM job says --ntasks={launch.world}, and not how many of them each node has"
        return Problem(
            message, place, "trainer", launch.world, "Lightning needs --ntasks-per-node in place of --ntasks"
        )
    return None


def _of_lightning(root: Node, asked: Asked, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong where Lightning starts the processes of a node, and someone starts it on each node."""
    if asked.nodes is None or _OTHERS & environment.keys():
        return
    name = "NODE_RANK" if "NODE_RANK" in environment else "GROUP_RANK"
    rank = number_in(environment, name)
    if rank is not None and rank >= asked.nodes:
        message = (
            f"asks for {count(asked.nodes, 'node')}, and {name}={rank} says that this is number {rank}, counted from 0"
        )
        mend = f"set trainer::num_nodes to how many nodes there are, or unset {name}"
        yield Problem(message, _place(root, "num_nodes"), "trainer::num_nodes", asked.nodes, mend)
    elif asked.nodes > 1 and ("MASTER_PORT" not in environment or (rank and "MASTER_ADDR" not in environment)):
        unknown = ", and which one this is" if rank is None else ""
        message = f"asks for {asked.nodes} nodes, and nothing here says where the first one is{unknown}"
        mend = f"{_ON_EACH_NODE}, or with torchrun, or with srun"
        yield Problem(message, _place(root, "num_nodes"), "trainer::num_nodes", asked.nodes, mend)


def _problem(root: Node, name: str, value: object, launch: Launch, right: int | None) -> Problem:
    path = f"trainer::{name}"
    said = f"{value}" if _find(root, path) else f"not given, which is {value}"
    mend = f"set {path} to {right}" if right else "let devices times num_nodes be as many"
    mend += f", or have {launch.by} start as many processes as the config asks for"
    return Problem(f"is {said}, but {launch}", _place(root, name), path, value, mend)


# --- what the config says


def _devices(root: Node) -> int | None:
    """Return how many devices a node is to use; None where that is not said in so many words."""
    accelerator, node = _find(root, "trainer::accelerator"), _find(root, "trainer::devices")
    word = "auto" if accelerator is None else accelerator.value
    if word not in ACCELERATORS:
        return None
    if node is None or node.value in (None, "auto"):
        return 1 if word == "cpu" and (node is None or node.value == "auto") else None
    if isinstance(node.value, list):
        return len(node.value) if all(type(item.value) is int for item in node.value) else None
    if isinstance(node.value, str) and node.value.isdecimal():
        return int(node.value) or None
    return node.value if type(node.value) is int and node.value > 0 else None


def _spawns(value: object) -> bool:
    """Tell whether a strategy's name, or a start method, is to spawn."""
    return isinstance(value, str) and not is_reference(value, "@%$") and bool(_SPAWNING & set(value.split("_")))


def _nodes(root: Node) -> int | None:
    node = _find(root, "trainer::num_nodes")
    if node is None:
        return 1
    return node.value if type(node.value) is int and node.value > 0 else None


def _has_own_environment(root: Node) -> bool:
    """Tell whether a config may bring a cluster environment or devices of its own."""
    strategy, plugins = _find(root, "trainer::strategy"), _find(root, "trainer::plugins")
    if strategy is not None and isinstance(strategy.value, dict):
        if {"cluster_environment", "parallel_devices", "_args_"} & strategy.value.keys():
            return True
    elif strategy is not None and is_reference(strategy.value, "@%$"):
        return True
    if plugins is None or plugins.value is None:
        return False
    given = plugins.value if isinstance(plugins.value, list) else [plugins]
    return any("Environment" in str(item.plain()) or is_reference(item.value, "@%$") for item in given)


def _find(root: Node, path: str) -> Node | None:
    """Return the node at a path, behind references; None where there is none."""
    at: Path = split(path)
    try:
        for _ in range(MAX_HOPS):
            at, node = follow(root, at)
            if not is_reference(node.value, "@"):
                return node
            at = absolute(str(node.value)[1:], at)
    except (PathError, ConfigError):
        pass
    return None


def _word(root: Node, path: str) -> object:
    node = _find(root, path)
    return None if node is None else node.value


def _place(root: Node, name: str) -> Place | None:
    node = _find(root, f"trainer::{name}") or _find(root, "trainer")
    return node.place if node else None
