"""A rank that fails ends the others soon, and what is told and recorded is its error, not what it did to them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
import pytorch_lightning as pl
from loguru import logger
from torch import distributed
from torch._C._distributed_c10d import TCPStore

from lighter.launch import LAUNCHER, tell_torchrun
from lighter.peers import meeting
from lighter.peers.failure import is_echo, lost
from lighter.peers.meeting import Waiting
from lighter.peers.place import told_places
from lighter.runs.record.process import Process, began, is_alive
from workspace import workspace  # noqa: F401 - a fixture

from .processes import (
    SOURCES,
    TIMEOUT,
    forked,
    nodes,
    printed,
    ranks,  # noqa: F401 - a fixture
    record,
    started,
    statuses,
    tasks,
    workers,
)

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.usefixtures("workspace", "ranks"),
]

TWO_NODES = ("trainer::num_nodes=2", "trainer::devices=1")
BY_COMMAND = ("trainer::devices=2", "trainer::strategy=ddp")
ERROR = "KeyError: 'no sample 17'"
SOON = 20.0  # seconds; without a word between the ranks it is half an hour


def since_it_died() -> float:
    return time.time() - float(Path("died").read_text())


def ranks_of(pid: int) -> list[Process]:
    """Return the other ranks that a process has started; it starts `git`, too."""
    with suppress(OSError):  # one that has just ended
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        ranks = [child for child in children if LAUNCHER in Path(f"/proc/{child}/environ").read_text()]
        return [Process(socket.gethostname(), rank, began(rank)) for rank in ranks]
    return []


def assert_no_echo(*texts: str) -> None:
    for text in texts:
        for word in ("gloo", "Traceback", "terminate called"):
            assert word not in text, text


@pytest.mark.parametrize(
    ("hook", "how"),
    [
        ("setup", "error"),
        ("on_train_batch_start", "kill"),
        ("on_validation_batch_start", "exit"),
        ("on_save_checkpoint", "error"),
        ("on_fit_start", "ask"),
        ("teardown", "error"),  # when the first rank has nothing left to do but to wait
    ],
)
def test_a_rank_of_another_node(hook: str, how: str) -> None:
    environments = [node | {"DIES": f"1 {hook} {how}"} for node in nodes()]
    status = {"error": 1, "exit": 3, "kill": -9, "ask": 1}[how]
    assert statuses(forked(*TWO_NODES, environments=environments, ECHO=0.5)) == [1, status]
    assert since_it_died() < SOON
    error = {"error": ERROR, "ask": "SystemExit: going away"}.get(how)
    text = f"rank 1 failed: {error}" if error else "another rank has ended without a word"
    assert record().status == "failed"
    assert (record().error or "").startswith(text) or text in (record().error or "")
    assert text in printed(0)
    assert printed(0).count("\n") < 12
    assert "  done  " not in printed(0)
    assert_no_echo(printed(0), printed(1))
    if error:
        assert f"the run failed: {error}\n  at " in printed(1)


def test_the_first_rank() -> None:
    environments = [node | {"DIES": "0 on_train_batch_start error"} for node in nodes()]
    assert statuses(forked(*TWO_NODES, environments=environments)) == [1, 1]
    assert since_it_died() < SOON
    assert (record().status, record().error) == ("failed", ERROR)
    assert f"the run failed: {ERROR}\n  at " in printed(0)
    assert printed(1).splitlines()[-1] == f"error: rank 0 failed: {ERROR}"
    assert_no_echo(printed(0), printed(1))


@pytest.mark.parametrize("broken", [0, 1])
def test_what_a_node_cannot_build_is_told_to_those_that_wait_for_it(broken: int) -> None:
    environments = [node | {"BROKEN": str(broken)} for node in nodes()]
    override = "system::dataloaders::train::dataset={_target_: project.ranks.Broken}"
    assert statuses(forked(*TWO_NODES, f"={override}", environments=environments))[1 - broken] == 1
    assert "the disk of this node is gone" in printed(broken)
    assert f"rank {broken} failed: override '=system::dataloaders" in printed(1 - broken)
    assert "BuildError" not in printed(0) + printed(1)
    assert "the disk of this node is gone" in printed(1 - broken)
    if broken == 1:
        assert record().status == "failed"
        assert "the disk of this node is gone" in (record().error or "")


def test_what_no_task_can_build_is_told_once_and_at_once() -> None:
    override = "=system::dataloaders::train::dataset={_target_: project.ranks.Broken}"
    began = time.monotonic()
    assert statuses(forked(*TWO_NODES, override, environments=tasks(BROKEN="0"))) == [2, 2]
    assert time.monotonic() - began < SOON
    assert printed(0).count("OSError: the disk of this node is gone") == 1
    assert printed(1).count("OSError: the disk of this node is gone") == 1


def test_a_rank_that_hangs_is_not_waited_for_longer_than_the_timeout_says() -> None:
    timeout = "{_target_: pytorch_lightning.strategies.DDPStrategy, timeout: $datetime.timedelta(seconds=5)}"
    environments = [node | {"DIES": "1 on_train_batch_start hang"} for node in nodes()]
    command = (*TWO_NODES, f"trainer::strategy={timeout}", "_imports_={datetime: datetime}")
    assert statuses(forked(*command, environments=environments, GRACE=1.0)) == [1, 1]
    assert since_it_died() < SOON
    assert "no answer from another rank" in printed(0)
    assert "rank 0 failed: no answer from another rank" in printed(1)
    assert "no answer from another rank" in (record().error or "")
    for said in (printed(0), printed(1), record().error or ""):
        assert "; ranks 0, 1 are in batch 0 of epoch 0" in " ".join(said.split())


def test_ranks_with_different_numbers_of_batches_say_where_they_are() -> None:
    timeout = "{_target_: pytorch_lightning.strategies.DDPStrategy, timeout: $datetime.timedelta(seconds=5)}"
    loader = "{_target_: torch.utils.data.DataLoader, batch_size: 2, dataset: {_target_: project.ranks.Stream}}"
    command = (*TWO_NODES, f"trainer::strategy={timeout}", "_imports_={datetime: datetime}")
    assert statuses(forked(*command, f"=system::dataloaders::train={loader}", environments=nodes())) == [1, 1]
    for number in (0, 1):
        assert "no answer from another rank" in printed(number)
        assert "it hangs, or has fewer batches, or more" in " ".join(printed(number).split())
    assert_no_echo(printed(0), printed(1))


def test_ranks_of_one_process_each_forked() -> None:
    options = ("trainer::devices=2", "trainer::strategy=ddp_fork")
    assert statuses(forked(*options, environments=[{"DIES": "1 on_train_batch_start error"}])) == [1]
    assert since_it_died() < SOON
    assert f"error: rank 1 failed: {ERROR}\n  at " in printed(0)
    assert (record().error or "").startswith(f"rank 1 failed: {ERROR}")
    assert_no_echo(printed(0))
    assert "stopping" not in printed(0), "nobody has told it to"
    assert "Terminating" not in printed(0)


@pytest.mark.parametrize(("how", "end"), [("kill", "was killed by SIGKILL"), ("leave", "ended with status 0")])
def test_ranks_that_a_command_has_started(how: str, end: str) -> None:
    environments = [{"DIES": f"1 on_train_batch_start {how}"}]
    assert statuses(forked(*BY_COMMAND, environments=environments)) == [1]
    assert since_it_died() < SOON
    assert printed(0).splitlines()[-1] == f"error: rank 1 {end}"
    assert (record().status, record().error) == ("failed", f"rank 1 {end}")
    assert_no_echo(printed(0))


@pytest.mark.parametrize("dies", [0, 1])
def test_a_rank_of_torchrun_that_dies_is_the_failure_though_the_other_is_told_to_stop(dies: int) -> None:
    store = TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)  # as the agent keeps it
    both = forked(
        "trainer::devices=2",
        environments=[
            worker | {"DIES": f"{rank} setup {'kill' if rank == dies else 'hang'}"}
            for rank, worker in enumerate(workers(store.port))
        ],
    )
    both[dies].join(TIMEOUT)
    time.sleep(0.1)
    os.kill(both[1 - dies].pid or 0, signal.SIGTERM)  # as the agent does
    assert statuses(both)[1 - dies] == 1
    assert since_it_died() < SOON
    text = f"rank {dies} has ended without a word"
    assert printed(1 - dies).splitlines()[-1].startswith(f"error: {text}")
    assert record().status == "failed", "also if it is the first rank, which writes the record, that is dead"
    assert (record().error or "").startswith(text)


def test_ranks_that_torchrun_stops_are_no_failure() -> None:
    store = TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    environments = [worker | {"DIES": f"{rank} setup hang"} for rank, worker in enumerate(workers(store.port))]
    both = forked("trainer::devices=2", environments=environments)
    until = time.monotonic() + TIMEOUT
    while "results" not in printed(0) or not Path("died").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(0.5)
    for process in reversed(both):
        os.kill(process.pid or 0, signal.SIGTERM)
        process.join(TIMEOUT)  # so that the first rank, which is told last, sees that the other has gone
    assert statuses(both) == [143, 143]
    assert (record().status, record().error) == ("interrupted", "SIGTERM")


def just_launched() -> tuple[multiprocessing.process.BaseProcess, Process]:
    """Return a rank that has just started another one, and that, which has not come to meet it yet."""
    (process,) = forked(*BY_COMMAND, environments=[{}])
    until = time.monotonic() + TIMEOUT
    while not (others := ranks_of(process.pid or 0)):
        assert time.monotonic() < until
        assert process.is_alive(), printed(0)
        time.sleep(0.01)
    return process, others[0]


def test_a_rank_whose_launcher_dies_before_they_have_met_does_not_wait_for_it() -> None:
    process, other = just_launched()
    process.kill()
    until = time.monotonic() + TIMEOUT
    while is_alive(other):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert printed(0).splitlines()[-1].startswith("error: rank 0 has ended without a word")


def test_ranks_that_are_stopped_before_they_have_met_are_no_failure() -> None:
    process, other = just_launched()
    for pid in (other.pid, process.pid or 0):
        os.kill(pid, signal.SIGTERM)
    assert statuses([process]) == [143], printed(0)
    assert (record().status, record().error) == ("interrupted", "SIGTERM")


def test_torchrun_reports_the_error_and_not_its_echo() -> None:
    command = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "lighter", "fit", *SOURCES)
    process = started(*command, "trainer::devices=2", DIES="1 setup error")  # where SIGTERM ends the other at once
    out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert since_it_died() < SOON
    assert out.count(f"error: the run failed: {ERROR}\n  at ") == 1
    assert "gloo" not in out
    assert record().status == "failed"
    assert record().error == f"rank 1 failed: {ERROR}"
    report = out[out.index("Root Cause") :]
    assert ERROR in report


def test_those_that_wait_say_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "29500")
    waiting, said = Waiting(pl.Trainer(accelerator="cpu", devices=2, num_nodes=2, logger=False)), list[str]()
    number = logger.add(lambda message: said.append(message.record["message"]))
    waiting.tell()
    assert said == []
    monkeypatch.setattr(meeting, "SILENT", 0.0)
    waiting.tell()
    waiting.tell()
    logger.remove(number)
    assert said == ["waiting for the other ranks at 127.0.0.1:29500 (2 nodes, up to 30 min)"]


def test_where_ranks_are_is_told_of_those_at_one_place_together() -> None:
    places = dict.fromkeys(range(6), "batch 3 of epoch 1") | {6: "the validation in epoch 1"}
    assert told_places(places) == (
        "; ranks 0, 1, 2, 3, … are in batch 3 of epoch 1; rank 6 is in the validation in epoch 1"
    )


def test_ranks_that_do_not_come_are_no_silence() -> None:
    absent = distributed.DistStoreError("Timed out after 5 seconds waiting for clients. 1/2 clients joined.")
    assert lost(absent) == "only 1 of 2 ranks came within the timeout of the strategy"


def test_an_error_of_the_users_own_is_no_echo_though_it_reads_like_one() -> None:
    assert not is_echo(ConnectionResetError("Connection reset by peer"))
    assert not is_echo(ValueError("the gloo jar is empty"))
    closed = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer [10.0.0.1]:2")
    assert is_echo(closed)
    assert "has ended without a word" in (lost(closed) or "")
    nccl = RuntimeError("NCCL error in: ProcessGroupNCCL.cpp, unhandled system error")
    assert is_echo(nccl)
    assert lost(nccl) is None, "it is to be shown as it is"


def test_an_error_is_left_where_torchrun_looks(tmp_path: Path) -> None:
    tell_torchrun("it broke", {"TORCHELASTIC_ERROR_FILE": str(tmp_path / "error.json")})
    message = json.loads((tmp_path / "error.json").read_text())["message"]
    assert message["message"] == "it broke"
    assert int(message["extraInfo"]["timestamp"]) > 0
    tell_torchrun("it broke", {"TORCHELASTIC_ERROR_FILE": str(tmp_path / "missing" / "error.json")})
    tell_torchrun("it broke", {})
