"""Jobs on a real SLURM, where there is one: run, preempted, out of time, cancelled, failed, and gone on with."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lighter.cli import main
from lighter.runs.record.run_file import Run, read_run
from runs.ending import left
from workspace import CONFIG, PARTS

from .slurm import Slurm, slurm  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
]

TWO_NODES = ("--nodes", "2", "--gpus", "0")
STEPS = 48
MORE = """\
trainer:
  max_epochs: 3
  log_every_n_steps: 1
  enable_progress_bar: false
  callbacks:
    - {_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val/loss/epoch, save_last: true}
system:
  model: {_target_: project.parts.Slow}
  dataloaders:
    train: {batch_size: 1}
"""


@pytest.fixture
def here(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Return a working folder with a config of 48 steps, of which each takes some time."""
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/parts.py").write_text(PARTS)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "more.yaml").write_text(MORE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    return tmp_path


def submitted(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> int:
    """Submit a job, and return its number."""
    capsys.readouterr()
    assert main(["submit", "config.yaml", "more.yaml", *TWO_NODES, "--name", name, *arguments]) == 0
    found = re.search(r"^  job +(\d+):", capsys.readouterr().out, re.MULTILINE)
    assert found is not None
    return int(found[1])


def run_of(name: str) -> Path:
    source = (f"lighter_jobs/{name}_0/config.yaml",)
    (found,) = (file.parent for file in Path("logs").rglob("run.json") if read_run(file.parent).sources == source)
    return found


def record_of(name: str) -> Run:
    return read_run(run_of(name))


def has_begun(name: str) -> bool:
    """Tell whether the first epoch of a job is over, so that there is something to lose."""
    return "epoch 1/3" in log_of(name)


def log_of(name: str) -> str:
    return "".join(file.read_text() for file in Path(f"lighter_jobs/{name}_0").glob("slurm-*.log"))


def test_jobs_go_on_after_what_slurm_does_to_them(
    here: Path,
    slurm: Slurm,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = submitted(capsys, "whole")
    slurm.wait_for(whole, "COMPLETED")
    record = record_of("whole")
    assert (record.status, record.steps, record.resumed) == ("completed", STEPS, ())
    assert record.devices is not None
    assert (record.devices.count, record.devices.nodes) == (2, 2)

    preempted = submitted(capsys, "preempted")
    slurm.wait(lambda: has_begun("preempted"))
    Path("wait.sh").write_text("#!/bin/sh\nsleep 3\n")
    slurm("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "wait.sh")
    slurm.start_soon(preempted)
    slurm.wait_for(preempted, "COMPLETED")

    timed = submitted(capsys, "timed", "--time", "2", "trainer::max_epochs=60")
    slurm.wait(lambda: "requeued the job" in log_of("timed"))
    slurm.start_soon(timed)
    slurm.wait(lambda: "goes on from step" in log_of("timed"))
    slurm("scancel", str(timed))

    cancelled = submitted(capsys, "cancelled")
    slurm.wait(lambda: has_begun("cancelled"))
    slurm("scancel", str(cancelled))
    slurm.wait_for(cancelled, "CANCELLED")
    slurm.wait(lambda: record_of("cancelled").status == "interrupted")
    again = int(slurm("sbatch", "--parsable", "lighter_jobs/cancelled_0/job.sh"))
    slurm.wait_for(again, "COMPLETED")

    for name in ("preempted", "cancelled"):
        assert (record_of(name).status, len(record_of(name).resumed)) == ("completed", 1)
        assert left(run_of(name)) == left(run_of("whole")), "bit for bit"
    assert 0 < record_of("preempted").resumed[0].step < STEPS
    linked = run_of("preempted") / f"slurm-{preempted}.log"
    assert linked.samefile(f"lighter_jobs/preempted_0/{linked.name}")
    assert linked.read_text().count("lighter fit\n") == 2, "of two processes, one tells, and both starts are kept"


def test_a_rank_that_fails_or_is_killed_ends_the_job(
    here: Path,
    slurm: Slurm,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing = submitted(capsys, "failing", "system::model::in_features=5")
    slurm.wait_for(failing, "FAILED")
    assert "mat1 and mat2 shapes cannot be multiplied" in str(record_of("failing").error)
    killed = submitted(capsys, "killed")
    slurm.wait(lambda: has_begun("killed"))
    os.kill(_second_rank(killed), 9)
    slurm.wait_for(killed, "FAILED")
    assert record_of("killed").status == "failed"


def _second_rank(job: int) -> int:
    """Return the process of the rank on the other node."""
    for folder in Path("/proc").iterdir():
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if {b"SLURM_PROCID=1", f"SLURM_JOB_ID={job}".encode()} <= set(variables) and b"lighter\0fit" in command:
            return int(folder.name)
    raise AssertionError("there is no second rank")
