"""A cluster of one machine: what is submitted waits until a test starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import stand_in
from .stand_in import PENDING, RUNNING, options_of

PATIENCE = 240.0  # seconds that anything may take
FIRST_JOB = 5000 + os.getpid() % 4000  # the port is 15000 and its last four digits, and other tests have those to 4999


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.bin, self.jobs = folder / "bin", folder / "jobs"
        self.bin.mkdir(parents=True)
        self.jobs.mkdir()
        self.started: list[subprocess.Popen[bytes]] = []
        for name in ("sbatch", "srun", "scontrol"):
            self.program(name, f'exec "{sys.executable}" "{stand_in.__file__}" {name} "$@"')

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def options(self, job: int) -> dict[str, str]:
        return options_of((self.jobs / str(job) / "script").read_text())

    def environment(self, job: int) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.jobs / str(job) / "environment").read_text())
        return found

    def start(self, job: int, **environment: str) -> subprocess.Popen[bytes]:
        """Start a job that waits, as SLURM does: from its copy of the script, with the environment of sbatch."""
        folder, options = self.jobs / str(job), self.options(job)
        assert (folder / "state").read_text() == PENDING
        (folder / "state").write_text(RUNNING)
        (folder / "tasks").unlink(missing_ok=True)
        nodes, tasks = int(options["nodes"]), int(options["ntasks-per-node"])
        slurm = {
            "SLURM_JOB_ID": str(job),
            "SLURM_JOB_NAME": options["job-name"],
            "SLURM_NNODES": str(nodes),
            "SLURM_NTASKS": str(nodes * tasks),
            "SLURM_NTASKS_PER_NODE": str(tasks),
            "SLURM_NODELIST": "127.0.0.1",
        }
        log = re.sub("%(.)", lambda match: {"j": str(job), "%": "%"}[match[1]], options["output"])
        with Path(log).open("ab" if options["open-mode"] == "append" else "wb") as file:
            process = subprocess.Popen(
                ["bash", folder / "script"],
                env={**self.environment(job), **slurm, **environment},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs of the jobs that were started."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def signal(self, job: int, number: signal.Signals) -> None:
        """Send a signal to all tasks, which is what `--signal` does without `B:`."""
        for pid in (self.jobs / str(job) / "tasks").read_text().split():
            os.kill(int(pid), number)

    def preempt(self, job: int) -> None:
        (self.jobs / str(job) / "preempted").touch()

    def is_queued(self, job: int) -> bool:
        return (self.jobs / str(job) / "state").read_text() == PENDING


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is so, of a process that goes on."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Return a cluster whose programs come first on the PATH."""
    found = Cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{found.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(found.jobs))
    monkeypatch.setenv(stand_in.FIRST, str(FIRST_JOB))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    yield found
    found.end()
