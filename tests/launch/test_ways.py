"""Every way to start several processes, on loopback: they are one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from workspace import workspace  # noqa: F401 - a fixture

from .processes import (
    SOURCES,
    assert_one_run,
    ended,
    forked,
    free_port,
    nodes,
    printed,
    ranks,  # noqa: F401 - a fixture
    record,
    started,
    statuses,
    tasks,
)

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.usefixtures("workspace", "ranks"),
]

FIT = ("lighter", "fit", *SOURCES)
TWO_NODES = ("trainer::num_nodes=2", "trainer::devices=1")


def test_ddp_starts_the_others_itself_and_two_runs_may_start_at_once() -> None:
    options, both = ("trainer::devices=2", "trainer::strategy=ddp"), []
    for name in ("one", "other"):
        environments = [{"WEIGHTS": f"of {name}"}]
        both += forked(*options, f"trainer::logger::save_dir={name}", environments=environments, out=name)
    assert statuses(both) == [0, 0], printed(0, "one") + printed(0, "other")
    for name in ("one", "other"):
        assert_one_run(printed(0, name), folder=Path(name, "lightning_logs/version_0"), weights=f"of {name}")


def test_ddp_fork() -> None:
    processes = forked("trainer::devices=2", "trainer::strategy=ddp_fork", environments=[{}])
    assert statuses(processes) == [0], printed(0)
    assert_one_run(printed(0))


@pytest.mark.parametrize("rendezvous", ["static", "c10d"])
def test_torchrun_on_two_nodes(rendezvous: str) -> None:
    port = free_port()
    where: tuple[str, ...] = (
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint=127.0.0.1:{port}",
        "--rdzv-id=7",
        "--local-addr=127.0.0.1",
    )
    if rendezvous == "static":
        where = ("--master-addr=127.0.0.1", f"--master-port={port}")
    command = ("torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", *where)
    both = [started(*command, f"--node-rank={rank}", "-m", *FIT, *TWO_NODES) for rank in range(2)]
    assert_one_run(*map(ended, both))


def test_node_rank_with_the_first_nodes_address_and_port() -> None:
    assert statuses(forked(*TWO_NODES, environments=nodes())) == [0, 0], printed(0) + printed(1)
    assert_one_run(printed(0), printed(1))


def test_srun_and_two_steps_of_a_job_at_once() -> None:
    both = []
    for step, name in enumerate(("one", "other")):
        environments = tasks(WEIGHTS=f"of {name}", SLURM_STEP_ID=str(step))
        both += forked(*TWO_NODES, f"trainer::logger::save_dir={name}", environments=environments, out=name)
    assert statuses(both) == [0] * 4
    for name in ("one", "other"):
        outputs = printed(0, name), printed(1, name)
        assert_one_run(*outputs, folder=Path(name, "lightning_logs/version_0"), weights=f"of {name}")


def test_the_same_command_goes_on_with_the_run_of_all_ranks() -> None:
    command = (*TWO_NODES, "--resume")
    assert statuses(forked(*command, "trainer::max_steps=3", environments=nodes())) == [0, 0], printed(1)
    assert record().steps == 3
    assert statuses(forked(*command, "trainer::max_steps=3", environments=nodes())) == [0, 0], printed(1)
    assert "nothing is left to do" in printed(0)
    assert "nothing is left to do" not in printed(1)
