"""What has started this process, one of how many, as its environment says. It needs no torch to be known."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lighter.errors import LighterError, print_error

INTERACTIVE = ("bash", "interactive")  # names of SLURM jobs in which Lightning starts the processes
LAUNCHER = "LIGHTER_LAUNCHER"  # variable that a rank sets for those that it starts, to what tells them of its death
PORTS = 15000, 10000  # Lightning's for jobs of SLURM: the first, and how many
STRIDE = 997  # between the ports of a job's steps: prime, and wide of the ports of the jobs next to it

_COUNTS = {  # variables with the number of processes, of those on this node, and of nodes
    "torchrun": ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"),
    "srun": ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES"),
}


@dataclass(frozen=True)
class Launch:
    """The processes that torchrun or srun has started: in all, on this node, and over how many nodes."""

    by: Literal["torchrun", "srun"]
    world: int
    on_node: int | None = None
    nodes: int | None = None

    def __str__(self) -> str:
        nodes = "" if self.nodes is None else f" on {count(self.nodes, 'node')}"
        return f"{self.by} has started {count(self.world, 'process', 'es')}{nodes}"


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return what torchrun or srun has started; None where it was neither, or where it cannot be read."""
    by: Literal["torchrun", "srun"] = "torchrun" if is_torchrun(environment) else "srun"
    if by == "srun" and not is_slurm(environment):
        return None
    names = _COUNTS[by]
    world, on_node, nodes = (number_in(environment, name) for name in names)
    if world is None:
        return None
    return Launch(by, world, on_node and min(on_node, world), nodes)  # srun may inherit more tasks from its job


def is_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def is_slurm(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether Lightning takes the tasks of a SLURM job for its processes."""
    return "SLURM_NTASKS" in environment and environment.get("SLURM_JOB_NAME") not in INTERACTIVE


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return which of its node's processes this is, as its launcher says."""
    rank, world = number_in(environment, "LOCAL_RANK"), number_in(environment, "WORLD_SIZE") or 0
    if rank is not None and (rank < world or LAUNCHER in environment):  # else it is left over from another run
        return rank
    return number_in(environment, "SLURM_LOCALID") or 0


def settle_port(environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Give each step of a SLURM job a port of its own, the same one on all of its tasks.

    Lightning's own depends on the job alone, and steps that share a node would get into each other's way.
    """
    job, step = number_in(environment, "SLURM_JOB_ID"), number_in(environment, "SLURM_STEP_ID")
    if is_slurm(environment) and "MASTER_PORT" not in environment and job is not None and step:
        first, ports = PORTS
        environment["MASTER_PORT"] = str(first + (job + STRIDE * step) % ports)


def tell(error: LighterError) -> None:
    """Show an error, unless the first rank of this node does, and leave it where torchrun looks for it."""
    tell_torchrun(str(error))
    if not (error.is_everyones and local_rank()):
        print_error(error)


def tell_torchrun(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Leave the text of an error where torchrun looks for it, so that its report says what went wrong."""
    path = environment.get("TORCHELASTIC_ERROR_FILE")
    if path:
        message = {"message": text, "extraInfo": {"timestamp": str(int(time.time()))}}
        try:
            with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs `--help` time
                json.dump({"message": message}, file)
        except OSError:
            return


def found_host(host: str) -> bool | None:
    """Tell whether there is a host of a name; None where nobody can be asked for it just now."""
    import socket  # here, as most runs are of one node

    try:
        socket.getaddrinfo(host, None)
    except UnicodeError:  # no name that a host could have
        return False
    except socket.gaierror as error:
        return False if error.errno == socket.EAI_NONAME else None
    return True


def number_in(environment: Mapping[str, str], name: str) -> int | None:
    """Return the number that a variable holds; None where it holds none."""
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None


def count(number: int, noun: str, plural: str = "s") -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{plural if number != 1 else ''}"
