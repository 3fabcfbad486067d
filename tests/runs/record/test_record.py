"""The record of a run whose own process is dead."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from lighter.runs.record.process import this_process
from lighter.runs.record.record import end_for_another
from lighter.runs.record.run_file import Run, create_run, read_run, write_run
from lighter.runs.resume.lock import Lock

RUN = Run("fit", "command", "folder", (), (), this_process(), "2026-01-01T00:00:00+00:00", seconds=7.5, epochs=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_run(tmp_path, RUN)
    return tmp_path


def test_a_run_whose_process_is_dead_is_ended_by_another_one(folder: Path) -> None:
    end_for_another(folder, "failed", "rank 0 is dead")
    left = read_run(folder)
    assert (left.status, left.error, left.epochs) == ("failed", "rank 0 is dead", 3)
    assert left.ended is not None
    assert 7.5 <= left.seconds < 10
    lock = Lock(folder)
    assert lock.take(), "whoever goes on with the run can have it"
    lock.release()


def test_a_run_whose_process_lives_or_that_someone_goes_on_with_is_left_alone(folder: Path) -> None:
    lock = Lock(folder)
    lock.take()  # which is for other processes only
    other = multiprocessing.get_context("fork").Process(target=end_for_another, args=(folder, "failed", "no"))
    other.start()
    other.join(30)
    lock.release()
    assert other.exitcode == 0
    assert read_run(folder) == RUN


def test_a_run_that_says_how_it_ended_is_left_alone(folder: Path) -> None:
    write_run(folder, replace(RUN, status="interrupted"))
    end_for_another(folder, "failed", "no")
    assert read_run(folder) == replace(RUN, status="interrupted")
