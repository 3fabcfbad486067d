"""What stands in for SLURM: sbatch, srun and scontrol as programs, which leave their state in the folder of a job."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PENDING, RUNNING = "PENDING", "RUNNING"
FIRST_JOB = 4711
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
    number = FIRST_JOB + len(list(jobs().iterdir()))
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
    tasks = [subprocess.Popen(command, env=task_environment(rank, per_node)) for rank in range(nodes * per_node)]
    (jobs() / os.environ["SLURM_JOB_ID"] / "tasks").write_text(" ".join(str(task.pid) for task in tasks))
    stopped = None
    while any(task.poll() is None for task in tasks):
        if stopped is None and any(task.returncode for task in tasks) and "--kill-on-bad-exit=1" in flags:
            stopped = time.monotonic()
            signal_all(tasks, signal.SIGTERM)
        if stopped is not None and time.monotonic() - stopped > KILL_WAIT:
            signal_all(tasks, signal.SIGKILL)
        time.sleep(0.02)
    return max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in tasks)


def sys_executable(arguments: list[str]) -> str:
    return next(argument for argument in arguments if not argument.startswith("--"))


def task_environment(rank: int, per_node: int) -> dict[str, str]:
    local = {
        "SLURM_STEP_ID": 0,
        "SLURM_PROCID": rank,
        "SLURM_LOCALID": rank % per_node,
        "SLURM_NODEID": rank // per_node,
    }
    return {**os.environ, **{name: str(value) for name, value in local.items()}}


def signal_all(tasks: list[subprocess.Popen[bytes]], number: int) -> None:
    for task in tasks:
        if task.poll() is None:
            task.send_signal(number)


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
