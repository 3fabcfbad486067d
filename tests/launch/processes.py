"""Runs of several processes on this machine, and what they leave."""

from __future__ import annotations

import faulthandler
import itertools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
import torchmetrics.classification  # noqa: F401 - as above

import lighter.__main__
import lighter.report
from lighter.cli import main
from lighter.peers import board, meeting, watch
from lighter.runs.record.run_file import Run, read_run

SOURCES = ("config.yaml", "ranks.yaml")
TIMEOUT = 90
LEFT = 99  # status of a rank in which a thread of ours outlives the run
RUN = Path("logs/lightning_logs/version_0")

RANKS = '''
import ctypes
import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import IterableDataset


class Weights(pl.Callback):
    """Each rank writes down what its weights are at the end."""

    def on_fit_end(self, trainer, pl_module):
        values = torch.cat([value.flatten() for value in pl_module.state_dict().values()])
        folder = Path(os.environ.get("WEIGHTS", "weights"))
        folder.mkdir(exist_ok=True)
        text = hashlib.sha256(values.numpy().tobytes()).hexdigest()
        with (folder / f"rank {trainer.global_rank} of {trainer.world_size}").open("a") as file:
            file.write(text + "\\n")


class Dies(pl.Callback):
    """One rank ends as DIES says: its rank, a hook, and how."""

    def __init__(self):
        rank, hook, self.how = os.environ.get("DIES", "-1 setup error").split()
        self.rank = int(rank)
        setattr(self, hook, self.end)

    def end(self, trainer, *_, **__):
        if trainer.global_rank != self.rank or trainer.sanity_checking:
            return
        Path("died").write_text(str(time.time()))
        if self.how == "error":
            raise KeyError("no sample 17")
        if self.how == "exit":
            os._exit(3)
        if self.how == "leave":  # slowly: the kernel shows it as dead a second before it has a status
            threading.Timer(1, os._exit, (0,)).start()
            ctypes.CDLL(None).pthread_exit(None)
        if self.how == "ask":
            sys.exit("going away")
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1000)


class Held(torch.nn.Linear):
    """A model that waits in the tenth batch until it may go on."""

    batches = 0

    def forward(self, x):
        self.batches += self.training
        if self.batches == 10:
            Path(f"held{torch.distributed.get_rank()}").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        return super().forward(x)


class Broken(torch.utils.data.Dataset):
    """A data set that one node cannot read."""

    def __init__(self):
        if int(os.environ.get("NODE_RANK", 0)) == int(os.environ.get("BROKEN", 1)):
            raise OSError("the disk of this node is gone")

    def __len__(self):
        return 32

    def __getitem__(self, index):
        return torch.zeros(4), 0


class Stream(IterableDataset):
    """A stream that is longer on the second rank."""

    def __iter__(self):
        for _ in range(8 + 16 * int(os.environ["NODE_RANK"])):
            yield torch.zeros(4), 0
'''
MORE = """
trainer:
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - {_target_: project.ranks.Weights}
    - {_target_: project.ranks.Dies}
"""


_begun: list[multiprocessing.process.BaseProcess | subprocess.Popen[str]] = []
_held: list[socket.socket] = []


@pytest.fixture
def ranks(workspace: Path) -> Iterator[None]:
    """Put into the workspace what lets ranks tell of themselves, and fail; none of them outlives the test."""
    (workspace / "proj/ranks.py").write_text(RANKS)
    (workspace / "ranks.yaml").write_text(MORE)
    yield
    while _begun:
        _begun.pop().kill()
    while _held:
        _held.pop().close()


def free_port() -> str:
    """Return a port that nobody else is given until the test has ended: it is bound, but nobody listens there."""
    _held.append(held := socket.socket())
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    return str(held.getsockname()[1])


def nodes(count: int = 2) -> list[dict[str, str]]:
    """Return the environment of each node, as a person sets it who starts a command on each."""
    port = free_port()
    return [{"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} for rank in range(count)]


def tasks(count: int = 2, **more: str) -> list[dict[str, str]]:
    """Return the environment of each task that `srun` starts, one on each node."""
    job = {
        "SLURM_JOB_ID": str(
            10000 + os.getpid() % 4000
        ),  # the port follows from it, and other tests run beside this one
        "SLURM_JOB_NAME": "train",
        "SLURM_STEP_ID": "0",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": str(count),
    } | more
    return [job | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": "0", "SLURM_NODEID": str(rank)} for rank in range(count)]


def workers(port: int, count: int = 2) -> list[dict[str, str]]:
    """Return the environment of each process that torchrun starts on one node, whose agent keeps the store."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    counts = {name: str(count) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")} | {"GROUP_WORLD_SIZE": "1"}
    agent = {"TORCHELASTIC_RUN_ID": "7", "GROUP_RANK": "0", **place, **counts}
    return [agent | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def forked(
    *arguments: str, environments: Sequence[Mapping[str, str]], out: str = "out", **seconds: float
) -> list[multiprocessing.process.BaseProcess]:
    """Start `lighter fit` once for each environment, in a process that has its imports already.

    What each prints goes to a file: `out`, and its number. How many seconds it waits for what may be said by the names
    of constants.
    """
    command = ["fit", *SOURCES, *arguments, "--no-check"]

    def run(number: int, environment: Mapping[str, str]) -> None:
        os.setpgrp()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.simplefilter("default")  # those that a test would fail of
        with Path(f"{out}{number}").open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        for name, value in seconds.items():
            setattr(meeting if hasattr(meeting, name) else watch, name, value)
        board._starts = itertools.count()  # as in the processes that this one may start
        sys.modules["__main__"], sys.argv = lighter.__main__, [str(lighter.__main__.__file__), *command]  # for `ddp`
        torch.cuda._is_in_bad_fork = bool  # an earlier test may have counted devices; these runs use none
        os.environ.update(environment)
        status = main(command)
        if any(thread.name == "lighter-peers" for thread in threading.enumerate()):
            faulthandler.dump_traceback()  # what it is at
            status = LEFT
        sys.stdout.flush()
        os._exit(status)

    sys.stdout.flush()
    sys.stderr.flush()
    context = multiprocessing.get_context("fork")
    processes: list[multiprocessing.process.BaseProcess] = [
        context.Process(target=run, args=item) for item in enumerate(environments)
    ]
    for number, process in enumerate(processes):
        Path(f"{out}{number}").touch()
        process.start()
    _begun.extend(processes)
    return processes


def statuses(processes: Sequence[multiprocessing.process.BaseProcess]) -> list[int | None]:
    """Return the statuses of processes that end in time; none outlives this."""
    for process in processes:
        process.join(TIMEOUT)
    found = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return found


def started(*command: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python with a command line."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _begun.append(process)
    return process


def ended(process: subprocess.Popen[str]) -> str:
    """Return what a process that completed has printed."""
    out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, out
    return out


def printed(number: int, out: str = "out") -> str:
    return Path(f"{out}{number}").read_text()


def record(folder: Path = RUN) -> Run:
    return read_run(folder)


def assert_one_run(*outputs: str, ranks: int = 2, folder: Path = RUN, weights: str = "weights") -> None:
    """Assert that several ranks were one run: equal weights, one record, one of each file, each line printed once."""
    everyones = [Path(weights, f"rank {rank} of {ranks}").read_text() for rank in range(ranks)]
    assert len(everyones[0]) == 65, "written once"
    assert set(everyones) == {everyones[0]}
    assert (record(folder).status, record(folder).epochs, record(folder).steps) == ("completed", 2, 4)
    devices = json.loads((folder / "run.json").read_text())["devices"]
    assert devices["count"] == ranks
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        ".lock",
        "checkpoints/epoch=1-step=4.ckpt",
        "config.yaml",
        "epochs.csv",
        "metrics.csv",
        "run.json",
    ]
    rows = (folder / "epochs.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [["epoch", "step"], ["0", "2"], ["1", "4"]]
    text = "".join(outputs)
    for line in ("lighter fit\n", "epoch 1/2", "epoch 2/2", "  done  ", "  test it  "):
        assert text.count(line) == 1, text
    assert "WARNING" not in text
