"""Runs that more than one process wants to go on with."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl

from lighter.config import compose
from lighter.errors import RunError
from lighter.runs.record.process import Process
from lighter.runs.record.run_file import Run, read_run, write_run
from lighter.runs.resume.find import Done, find_resumed
from lighter.runs.resume.lock import Lock
from made_runs import make_run

DEAD = Process("elsewhere", 1)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return make_run("run", status="running")


@pytest.mark.usefixtures("run")
def test_a_run_whose_process_lives_is_refused_without_asking_for_its_lock() -> None:
    with pytest.raises(RunError, match="is still running"):
        find_resumed(pl.Trainer(logger=False), compose("run"))
    assert not Path("run/.lock").exists()  # its process may be about to take it


def test_a_run_that_another_process_has_ended_in_between_is_read_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(Path("run"), replace(run, process=DEAD))
    take = Lock.take

    def take_after_another(lock: Lock) -> bool:
        write_run(Path("run"), replace(read_run(Path("run")), status="completed", epochs=3))
        return take(lock)

    monkeypatch.setattr(Lock, "take", take_after_another)
    found = find_resumed(pl.Trainer(logger=False, max_epochs=3), compose("run"))
    assert isinstance(found, Done)
    assert found.run.epochs == 3


def test_a_run_that_is_being_gone_on_with_names_the_process_that_holds_it(run: Run) -> None:
    write_run(Path("run"), replace(run, process=DEAD))
    code = (
        "import sys, pathlib; from lighter.runs.resume.lock import Lock; Lock(pathlib.Path('run')).take();"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunError, match=rf"is still running \(process {other.pid} on {socket.gethostname()}\)"):
            find_resumed(pl.Trainer(logger=False), compose("run"))
        Path("run/.lock").write_text("")  # as earlier versions left it
        with pytest.raises(RunError, match=r"is still running\n"):
            find_resumed(pl.Trainer(logger=False), compose("run"))
        other.communicate(b"")


@pytest.mark.usefixtures("run")
def test_a_record_without_a_time_is_passed_by_newer_ones() -> None:
    make_run("lighter_logs/a", started="some day")
    make_run("lighter_logs/b")
    found = find_resumed(pl.Trainer(logger=False, max_epochs=2), compose("config.yaml"))
    assert isinstance(found, Done)
    assert found.folder == Path("lighter_logs/b").resolve()
