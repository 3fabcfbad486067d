"""A real SLURM on this machine: its daemons, with two nodes, for as long as a test takes."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
HOST = socket.gethostname().partition(".")[0]
NODES = (HOST, f"{HOST}-other")  # the first one's name is where the ranks meet
PATIENCE = 240.0  # seconds that anything may take

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=bf_interval=3,sched_interval=3
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={first_port},{other_port} CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES State=UP PriorityTier=1 GraceTime=60
PartitionName=high Nodes=ALL State=UP PriorityTier=9 PreemptMode=OFF
"""


class Slurm:
    """What a test asks SLURM."""

    def __call__(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def state(self, job: int) -> str:
        """Return the state of a job; it is empty once SLURM has forgotten it."""
        return self("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def wait(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.3)

    def wait_for(self, job: int, *states: str) -> None:
        self.wait(lambda: self.state(job) in states)

    def start_soon(self, job: int) -> None:
        """Let a job that was requeued start at once, in place of two minutes later."""
        self.wait_for(job, "PENDING")
        self("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """Start SLURM's daemons, and return what talks to them."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"needs SLURM, of which there is no {missing[0]}: apt install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    folder = tmp_path_factory.mktemp("slurm")
    _write(folder)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    daemons = [_munge(folder)]
    try:
        daemons += [_started(folder, "slurmctld", "-D")]
        daemons += [_started(folder, "slurmd", "-D", "-N", node) for node in NODES]
        found = Slurm()
        found.wait(lambda: _is_up(found, daemons))
        yield found
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=60)


def _write(folder: Path) -> None:
    ports = dict(zip(("port", "first_port", "other_port"), _free_ports(3), strict=True))
    text = CONF.format(folder=folder, host=HOST, cpus=os.cpu_count(), nodes=",".join(NODES), **ports)
    (folder / "slurm.conf").write_text(text)
    for node in NODES:
        (folder / node).mkdir()


def _free_ports(count: int) -> list[int]:
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [item.getsockname()[1] for item in found]
    for item in found:
        item.close()
    return ports


def _munge(folder: Path) -> subprocess.Popen[bytes]:
    """Start what proves to SLURM's parts who they are; it takes no folder that others can write to."""
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    daemon = _started(folder, "munged", "--foreground", "--force", *options)
    end = time.monotonic() + 30
    while not (folder / "munge.socket").exists():
        assert daemon.poll() is None, (folder / "munged.out").read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    return daemon


def _started(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.out").open("ab") as out:
        return subprocess.Popen([name, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def _is_up(slurm: Slurm, daemons: list[subprocess.Popen[bytes]]) -> bool:
    assert [daemon.args for daemon in daemons if daemon.poll() is not None] == []
    try:
        return slurm("sinfo", "--noheader", "--format=%R %T %D").splitlines() == ["low idle 2", "high idle 2"]
    except subprocess.CalledProcessError:  # nobody answers yet
        return False
