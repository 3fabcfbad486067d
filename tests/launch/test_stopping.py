"""Ranks that are told to stop, one of them or all: they stop at one step, and go on from it exactly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from workspace import workspace  # noqa: F401 - a fixture

from .processes import (
    RUN,
    TIMEOUT,
    forked,
    nodes,
    printed,
    ranks,  # noqa: F401 - a fixture
    record,
    statuses,
)

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.usefixtures("workspace", "ranks"),
]

HELD = (
    *("system::model::_target_=project.ranks.Held", "system::dataloaders::train::batch_size=2"),
    "trainer::max_epochs=3",
)
COMMAND = ("trainer::num_nodes=2", "trainer::devices=1", *HELD)


def weights(folder: str = "weights") -> list[str]:
    return [Path(folder, f"rank {rank} of 2").read_text() for rank in range(2)]


def tell(processes: Sequence[multiprocessing.process.BaseProcess], told: Sequence[int]) -> None:
    """Send some of the processes a signal while both ranks are in a batch, and let them go on."""
    until = time.monotonic() + TIMEOUT
    while not all(Path(f"held{rank}").exists() for rank in range(2)):
        assert time.monotonic() < until, printed(0)
        assert all(process.is_alive() for process in processes), [
            Path(f"out{i}").read_text() for i in range(len(processes))
        ]
        time.sleep(0.01)
    for number in told:
        os.kill(processes[number].pid or 0, signal.SIGTERM)
    Path("go").touch()


def assert_interrupted() -> int:
    """Assert that the first rank has saved where they stopped, and return after how many steps that was."""
    run = record()
    assert (run.status, run.error) == ("interrupted", "SIGTERM")
    assert 10 <= run.steps <= 12
    saved = [path.name for path in (RUN / "checkpoints").glob("interrupted-*")]
    assert saved == [f"interrupted-epoch=1-step={run.steps}.ckpt"]
    assert not Path("weights").exists()
    return run.steps


@pytest.mark.parametrize("told", [(1,), (0, 1)])
def test_all_ranks_stop_at_one_step_and_go_on_from_it(told: tuple[int, ...]) -> None:
    processes = forked(*COMMAND, environments=nodes())
    tell(processes, told)
    assert statuses(processes) == [143, 143], printed(0) + printed(1)
    assert_interrupted()

    assert statuses(forked(*COMMAND, "--resume", environments=nodes())) == [0, 0], printed(0)
    assert (record().status, record().steps) == ("completed", 24)
    resumed = weights()
    whole = [node | {"WEIGHTS": "whole"} for node in nodes()]
    assert statuses(forked(*COMMAND, "system::model::_target_=torch.nn.Linear", environments=whole)) == [0, 0]
    assert resumed == weights("whole")


def test_ranks_stop_when_the_process_is_told_that_has_only_forked_them() -> None:
    options = ("trainer::devices=2", "trainer::strategy=ddp_fork", *HELD)
    processes = forked(*options, environments=[{}])
    tell(processes, (0,))
    assert statuses(processes) == [143], printed(0)
    steps = assert_interrupted()
    assert statuses(forked(*options, "--resume", environments=[{}])) == [0], printed(0)
    assert ([item.step for item in record().resumed], record().steps) == ([steps], 24)


@pytest.mark.parametrize(("rank", "number", "status"), [(0, signal.SIGTERM, 143), (1, signal.SIGINT, 130)])
def test_a_rank_that_waits_for_one_that_does_not_come_can_be_stopped(rank: int, number: int, status: int) -> None:
    (process,) = forked(*COMMAND, environments=[nodes()[rank]], SILENT=0.0)
    assert process.pid is not None
    until = time.monotonic() + TIMEOUT
    while "waiting for the other ranks" not in printed(0):
        assert time.monotonic() < until
        assert process.is_alive(), printed(0)
        time.sleep(0.05)
    time.sleep(0.5)  # by then it does, where Python answers no signal
    sent = time.monotonic()
    os.kill(process.pid, number)
    assert statuses([process]) == [status], printed(0)
    assert time.monotonic() - sent < 10
    if rank == 0:
        assert (record().status, record().error) == ("interrupted", "SIGTERM")
