"""Ranks that are told to stop, one of them or all: they stop at one step, and go on from it exactly."""

from __future__ import annotations

import os
import signal
import time
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

COMMAND = (
    *("trainer::num_nodes=2", "trainer::devices=1", "trainer::max_epochs=3"),
    *("system::model::_target_=project.ranks.Held", "system::dataloaders::train::batch_size=2"),
)


def weights(folder: str = "weights") -> list[str]:
    return [Path(folder, f"rank {rank} of 2").read_text() for rank in range(2)]


@pytest.mark.parametrize("told", [(1,), (0, 1)])
def test_all_ranks_stop_at_one_step_and_go_on_from_it(told: tuple[int, ...]) -> None:
    processes = forked(*COMMAND, environments=nodes())
    until = time.monotonic() + TIMEOUT
    while not all(Path(f"held{rank}").exists() for rank in range(2)):
        assert time.monotonic() < until, printed(0)
        assert all(process.is_alive() for process in processes), printed(0) + printed(1)
        time.sleep(0.01)
    for rank in told:
        os.kill(processes[rank].pid or 0, signal.SIGTERM)
    Path("go").touch()
    assert statuses(processes) == [143, 143], printed(0) + printed(1)
    run = record()
    assert (run.status, run.error) == ("interrupted", "SIGTERM")
    assert 10 <= run.steps <= 12
    saved = [path.name for path in (RUN / "checkpoints").glob("interrupted-*")]
    assert saved == [f"interrupted-epoch=1-step={run.steps}.ckpt"]
    assert not Path("weights").exists()

    assert statuses(forked(*COMMAND, "--resume", environments=nodes())) == [0, 0], printed(0)
    assert (record().status, record().steps) == ("completed", 24)
    resumed = weights()
    whole = [node | {"WEIGHTS": "whole"} for node in nodes()]
    assert statuses(forked(*COMMAND, "system::model::_target_=torch.nn.Linear", environments=whole)) == [0, 0]
    assert resumed == weights("whole")


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
