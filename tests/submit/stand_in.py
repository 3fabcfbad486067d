"""What stands in for SLURM: sbatch, srun and scontrol as programs, which leave their state in the folder of a job."""

from __future__ import annotations

import gc
import json
import os
import runpy
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

PENDING, RUNNING = "PENDING", "RUNNING"
FIRST = "STAND_IN_FIRST"  # variable with the number of the job that is submitted first
KILL_WAIT = 30.0  # seconds from SIGTERM to SIGKILL, as SLURM has it if it is told nothing


def options_of(script: str) -> dict[str, str]:
    """Return the options of a script: they end at the first line that does something, and know quotes."""
    options = {}
    for line in script.splitlines():
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH "):
            (word,) = shlex.split(line.removeprefix("#SBATCH "))
            name, _, value = word.removeprefix("--").partition("=")
            options[name] = value
    return options


def jobs() -> Path:
    return Path(os.environ["STAND_IN"])


def sbatch(arguments: list[str]) -> int:
    """Keep a copy of the script, as SLURM does: the file may change while the job waits."""
    assert arguments[0] == "--parsable", "the answer is read by a program"
    number = int(os.environ[FIRST]) + len(list(jobs().iterdir()))
    job = jobs() / str(number)
    job.mkdir()
    shutil.copy(arguments[1], job / "script")
    (job / "environment").write_text(json.dumps(dict(os.environ)))
    (job / "state").write_text(PENDING)
    print(number)
    return 0


def srun(arguments: list[str]) -> int:
    """Start the tasks of a job; the first one that fails ends the others."""
    flags = [argument for argument in arguments if argument.startswith("--")][
        : arguments.index(sys_executable(arguments))
    ]
    command = arguments[len(flags) :]
    nodes, per_node = (int(os.environ[f"SLURM_{name}"]) for name in ("NNODES", "NTASKS_PER_NODE"))
    assert command[:3] == [sys.executable, "-m", "lighter"]
    load()
    tasks = [fork(command[2:], task_environment(rank, per_node)) for rank in range(nodes * per_node)]
    (jobs() / os.environ["SLURM_JOB_ID"] / "tasks").write_text(" ".join(map(str, tasks)))
    statuses: list[int] = []
    stopped = None
    while tasks:
        for task in list(tasks):
            ended, status = os.waitpid(task, os.WNOHANG)
            if ended:
                tasks.remove(task)
                statuses.append(os.waitstatus_to_exitcode(status))
        if stopped is None and any(statuses) and "--kill-on-bad-exit=1" in flags:
            stopped = time.monotonic()
            signal_all(tasks, signal.SIGTERM)
        if stopped is not None and time.monotonic() - stopped > KILL_WAIT:
            signal_all(tasks, signal.SIGKILL)
        time.sleep(0.02)
    return max(status if status >= 0 else 128 - status for status in statuses)


def load() -> None:
    """Import what each task would import, which takes far longer than what it does then."""
    gc.disable()  # as the command does, for a third of the time
    import torch._dynamo  # noqa: F401
    import torchmetrics.classification  # noqa: F401

    import lighter.checking
    import lighter.report
    import lighter.runner  # noqa: F401


def fork(command: list[str], environment: dict[str, str]) -> int:
    """Start a task, as `python -m` would but in a copy of this process, and return its id."""
    if process := os.fork():
        return process
    os.environ.update(environment)
    sys.argv, sys.path[0] = command, str(Path.cwd())
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    sys.exit()


def sys_executable(arguments: list[str]) -> str:
    return next(argument for argument in arguments if not argument.startswith("--"))


def task_environment(rank: int, per_node: int) -> dict[str, str]:
    numbers = {
        "SLURM_STEP_ID": 0,
        "SLURM_PROCID": rank,
        "SLURM_LOCALID": rank % per_node,
        "SLURM_NODEID": rank // per_node,
    }
    return {name: str(value) for name, value in numbers.items()}


def signal_all(tasks: list[int], number: int) -> None:
    for task in tasks:
        os.kill(task, number)


def scontrol(arguments: list[str]) -> int:
    *verb, number = arguments
    job = jobs() / number
    if verb == ["show", "job"]:
        preempted = "2026-01-01T00:00:00" if (job / "preempted").exists() else "None"
        state = (job / "state").read_text()
        print(
            f"JobId={number} JobName=x\n   JobState={state}\n   PreemptEligibleTime=2025-12-31 PreemptTime={preempted}"
        )
        return 0
    assert verb == ["requeue"]
    if (job / "state").read_text() != RUNNING:
        print("Job is pending execution", file=sys.stderr)
        return 1
    (job / "state").write_text(PENDING)
    (job / "preempted").unlink(missing_ok=True)
    for pid in (job / "tasks").read_text().split() if (job / "tasks").exists() else ():
        try:
            os.kill(int(pid), signal.SIGTERM)  # as SLURM ends what still runs
        except ProcessLookupError:
            continue
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[sys.argv[1]](sys.argv[2:]))
