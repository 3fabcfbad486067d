"""Which checkpoints are of a run, and which of them came furthest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from lighter.runs.checkpoints.of_run import checkpoints_of
from lighter.runs.checkpoints.stored import default_checkpoint
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Resumption, Run, SavedCheckpoint
from made_runs import make_run

START = "2026-01-01T00:00:00.000+00:00"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(name: str, step: int, resumed: int = 0, *, run: str = START, at: int = 0) -> Path:
    path = Path("run/checkpoints", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": {}, "pytorch-lightning_version": "2.6.6", "global_step": step}
    torch.save({**content, "lighter": {"run": run, "resumed": resumed}}, path)
    os.utime(path, (at, at))
    return path


def resumed_from(*steps: int) -> tuple[Resumption, ...]:
    return tuple(
        Resumption("2026-01-02T00:00:00+00:00", "lighter", "killed", this_process(), step=step) for step in steps
    )


def found(run: Run) -> list[str]:
    return [saved.path.name for saved in checkpoints_of(Path("run"), run)[0]]


def test_the_one_that_came_furthest_is_the_first_and_of_those_as_far_the_newest() -> None:
    for name, step, at in [("a.ckpt", 10, 3), ("b.ckpt", 20, 1), ("c.ckpt", 20, 2)]:
        save(name, step, at=at)
    assert found(make_run("run")) == ["c.ckpt", "b.ckpt", "a.ckpt"]


def test_what_a_run_left_behind_when_it_went_on_from_before_does_not_count_whenever_the_file_was_written() -> None:
    save("shared.ckpt", 10)
    save("left.ckpt", 40, at=2_000_000_000)  # as a copy of the folder would have it
    save("gone_on.ckpt", 20, 1)
    run = make_run("run", resumed=resumed_from(10), best=())
    assert found(run) == ["gone_on.ckpt", "shared.ckpt"]
    assert default_checkpoint("test", ["run"]) == Path("run/checkpoints/gone_on.ckpt")


def test_of_two_ways_to_one_step_the_later_one_counts() -> None:
    save("before.ckpt", 20, at=9)
    save("after.ckpt", 20, 1, at=1)
    assert found(make_run("run", resumed=resumed_from(20))) == ["after.ckpt", "before.ckpt"]


def test_those_of_other_runs_do_not_count_and_those_elsewhere_do() -> None:
    save("other.ckpt", 50, run="2026-01-01T00:00:01.000+00:00")
    save("elsewhere.ckpt", 10).rename("elsewhere.ckpt")
    save("link.ckpt", 10)
    Path("run/checkpoints/last.ckpt").symlink_to("link.ckpt")
    told = tuple(map(SavedCheckpoint, ("../elsewhere.ckpt", "checkpoints/last.ckpt", "checkpoints/deleted.ckpt")))
    assert sorted(found(make_run("run", checkpoints=told))) == ["elsewhere.ckpt", "last.ckpt"]


def test_those_that_cannot_be_read_are_told() -> None:
    save("whole.ckpt", 10)
    Path("run/checkpoints/cut.ckpt").write_bytes(save("cut.ckpt", 20).read_bytes()[:-30])
    saved, broken = checkpoints_of(Path("run"), make_run("run"))
    assert [item.path.name for item in saved] == ["whole.ckpt"]
    assert broken == ["'run/checkpoints/cut.ckpt' is cut short: its end is missing"]
