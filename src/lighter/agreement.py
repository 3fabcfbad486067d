"""Whether a config agrees with what has started this process, and with how it is to start others.

It is looked at as Lightning does it, but before anything is built: Lightning looks late, not at all with one device to
a process, and where it would wait for processes that nobody starts it waits for half an hour.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from lighter.asked import Asked, asked_of_trainer
from lighter.config.compose import Config
from lighter.config.tree import is_reference
from lighter.errors import ConfigError, Place, Problem
from lighter.launch import LAUNCHER, Launch, count, found_host, launched, number_in
from lighter.mesh import misfits

_OTHERS = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "JSM_NAMESPACE_SIZE"}  # launchers that Lightning knows too
_SPAWNING = {"spawn", "forkserver"}  # Python's ways to start a process that gets what it is to do as a pickle
_RANKS = {  # variables with numbers, counted from 0
    name: f"the number of {what}: 0, 1, …"
    for name, what in {"NODE_RANK": "a node", "GROUP_RANK": "a node", "LOCAL_RANK": "a process of its node"}.items()
}
_ON_EACH_NODE = "start it on each node with NODE_RANK=0, 1, … and the first node's MASTER_ADDR and MASTER_PORT"


def refuse(config: Config, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a config that cannot agree with what has started this process, or that cannot start others.

    Raises:
        ConfigError: with what contradicts it.
    """
    problems = [*unstartable(config), *contradictions(config, environment)]
    if problems:
        raise ConfigError(problems=problems)


def unstartable(config: Config) -> list[Problem]:
    """Return why the ranks of a config cannot be started, whatever is to start them."""
    return [*spawning(config), *misfits(config)]


def spawning(config: Config) -> list[Problem]:
    """Return that the ranks of a config are to be spawned, if it says so in so many words."""
    asked = asked_of_trainer(config)
    if asked is None:
        return []
    nodes = {path: asked.find(path) for path in ("trainer::strategy", "trainer::strategy::start_method")}
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
    asked = asked_of_trainer(config)
    if asked is None or asked.find("trainer::_args_") or _has_own_environment(asked):
        return
    launch = launched(environment)
    if launch is None:
        yield from _of_lightning(asked, environment)
    elif launch.by == "srun" and (problem := _of_srun(asked, launch, environment)):
        yield problem
    else:
        yield from _of_launch(asked, launch)


def _of_launch(asked: Asked, launch: Launch) -> Iterator[Problem]:
    """Yield how a config contradicts processes that are there already."""
    devices, nodes, found = asked.devices, asked.nodes, False
    other = asked.world is not None and asked.world != launch.world
    strict = launch.by == "srun" and launch.world > 1  # Lightning compares the nodes themselves, not just the product
    if nodes is not None and launch.nodes is not None and nodes != launch.nodes and (other or strict):
        found = True
        yield _problem(asked, "num_nodes", nodes, launch, launch.nodes)
    here = launch.on_node
    if devices is not None and here is not None and (devices < here or ((other or strict) and devices > here)):
        found = True
        yield _problem(asked, "devices", devices, launch, here)
    if other and not found:
        yield _problem(asked, "devices", devices, launch, None)


def _of_srun(asked: Asked, launch: Launch, environment: Mapping[str, str]) -> Problem | None:
    """Return what is wrong with the tasks of a SLURM job, whatever the config says."""
    if launch.world == 1:
        return None
    place = asked.place("num_nodes")
    if not {"SLURM_STEP_ID", "SLURM_STEPID"} & environment.keys():
        message = f"the SLURM job is of {launch.world} tasks, and this process was not started by srun as one of them"
        return Problem(message, place, "trainer", launch.world, "begin the command with srun: srun lighter …")
    if launch.on_node is None:
        message = f"the SLURM job says --ntasks={launch.world}, and not how many of them each node has"
        return Problem(
            message, place, "trainer", launch.world, "Lightning needs --ntasks-per-node in place of --ntasks"
        )
    return None


def _of_lightning(asked: Asked, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong where Lightning starts the processes of a node, and someone starts it on each node."""
    if _OTHERS & environment.keys():
        return
    if problems := [*_malformed(asked, environment), *_left_over(asked, environment)]:
        yield from problems
        return
    if asked.nodes is None:
        return
    name = "NODE_RANK" if "NODE_RANK" in environment else "GROUP_RANK"
    rank = number_in(environment, name)
    place, path = asked.place("num_nodes"), "trainer::num_nodes"
    if rank is not None and rank >= asked.nodes:
        message = (
            f"asks for {count(asked.nodes, 'node')}, and {name}={rank} says that this is number {rank}, counted from 0"
        )
        mend = f"set trainer::num_nodes to how many nodes there are, or unset {name}"
        yield Problem(message, place, path, asked.nodes, mend)
    elif asked.nodes > 1 and (unsaid := _unsaid(rank, environment)):
        message = f"asks for {asked.nodes} nodes, and {unsaid}"
        yield Problem(message, place, path, asked.nodes, f"{_ON_EACH_NODE}, or with torchrun, or with srun")


def _malformed(asked: Asked, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the variables that Lightning would read and that hold something else than what they are for."""
    for name, meaning in _RANKS.items():
        text = environment.get(name, "0").strip()
        if not text.isdecimal():
            yield Problem(f"{name} is {text!r}, not {meaning}", value=text, suggestion=f"set it, or unset {name}")
    port = environment.get("MASTER_PORT", "1").strip()
    if asked.world != 1 and not (port.isdecimal() and 0 < int(port) < 2**16):
        message = f"MASTER_PORT is {port!r}, not the number of a port"
        yield Problem(message, value=port, suggestion="1 to 65535, free on the first node, the same on all nodes")


def _left_over(asked: Asked, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield that a LOCAL_RANK, by which Lightning starts no processes, is of none that have been started together."""
    rank, world = number_in(environment, "LOCAL_RANK"), asked.world
    if rank is None or world is None or world == 1 or LAUNCHER in environment:
        return
    if "MASTER_PORT" in environment and number_in(environment, "WORLD_SIZE") == world and rank < (asked.devices or 0):
        return
    message = f"asks for {world} processes, and LOCAL_RANK={rank} says that they have been started, which they have not"
    mend = "unset LOCAL_RANK: Lightning starts them itself then"
    yield Problem(message, asked.place("devices"), "trainer::devices", asked.devices, mend)


def _unsaid(rank: int | None, environment: Mapping[str, str]) -> str:
    """Return what is not known of where the nodes are to meet; nothing where all of it is."""
    needed = ["MASTER_PORT"] if not rank else ["MASTER_ADDR", "MASTER_PORT"]  # at the first node it is the node's own
    missing = [name for name in needed if name not in environment]
    if missing and not {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} & environment.keys():
        return "nothing here says where the first one is, and which one this is"
    if missing:
        return f"{' and '.join(missing)}, where they are to meet, {'is' if len(missing) == 1 else 'are'} not set"
    host = environment.get("MASTER_ADDR", "")
    return f"MASTER_ADDR={host} is no host that is known here" if host and found_host(host) is False else ""


def _problem(asked: Asked, name: str, value: object, launch: Launch, right: int | None) -> Problem:
    path = f"trainer::{name}"
    said = f"{value}" if asked.find(path) else f"not given, which is {value}"
    mend = f"set {path} to {right}" if right else "let devices times num_nodes be as many"
    mend += f", or have {launch.by} start as many processes as the config asks for"
    return Problem(f"is {said}, but {launch}", asked.place(name), path, value, mend)


def _has_own_environment(asked: Asked) -> bool:
    """Tell whether a config may bring a cluster environment or devices of its own."""
    strategy, plugins = asked.find("trainer::strategy"), asked.find("trainer::plugins")
    if strategy is not None and isinstance(strategy.value, dict):
        if {"cluster_environment", "parallel_devices", "_args_"} & strategy.value.keys():
            return True
    elif strategy is not None and is_reference(strategy.value, "@%$"):
        return True
    if plugins is None or plugins.value is None:
        return False
    given = plugins.value if isinstance(plugins.value, list) else [plugins]
    return any("Environment" in str(item.plain()) or is_reference(item.value, "@%$") for item in given)


def _spawns(value: object) -> bool:
    """Tell whether a strategy's name, or a start method, is to spawn."""
    return isinstance(value, str) and not is_reference(value, "@%$") and bool(_SPAWNING & set(value.split("_")))
