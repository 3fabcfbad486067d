"""Jobs that really run, on a cluster of one machine: stopped, requeued, and gone on with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lighter.cli import main
from lighter.runs.record.run_file import read_run
from runs.ending import fit, left
from workspace import CONFIG, PARTS

from .cluster import FIRST_JOB, PATIENCE, Cluster, cluster, wait_for  # noqa: F401 - a fixture

pytestmark = pytest.mark.no_cover  # what runs in processes of their own is not seen anyway

HELD = """
from pathlib import Path

class Held(torch.nn.Linear):
    def forward(self, x):
        while not Path("go on").exists() and any(Path("logs").rglob("each*.ckpt")):
            time.sleep(0.01)
        return super().forward(x)
"""
MORE = """\
trainer:
  max_epochs: 2
  log_every_n_steps: 1
  enable_progress_bar: false
  callbacks:
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      monitor: val/loss/epoch
      save_top_k: 1
      save_last: true
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      every_n_train_steps: 3
      filename: "each-{step}"
      save_top_k: 1
system:
  model: {_target_: project.parts.Held}
  dataloaders:
    train: {batch_size: 2}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with spaces, quotes and more in its name."""
    folder = tmp_path / "it's my #1 100% work"
    (folder / "proj").mkdir(parents=True)
    (folder / "proj/parts.py").write_text(PARTS + HELD)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "more.yaml").write_text(MORE)
    monkeypatch.chdir(folder)
    return folder


def submitted(*flags: str) -> None:
    assert main(["submit", "config.yaml", "more.yaml", *flags]) == 0


def ended(process: subprocess.Popen[bytes]) -> int:
    return process.wait(timeout=PATIENCE)


def run_of(number: int) -> Path:
    """Return the folder of the run that was made of the job with the given number."""
    source = (f"lighter_jobs/train_{number}/config.yaml",)
    (found,) = (file.parent for file in Path("logs").rglob("run.json") if read_run(file.parent).sources == source)
    return found


def test_a_job_is_stopped_requeued_and_goes_on_to_what_it_would_have_been(
    cluster: Cluster,  # noqa: F811
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    submitted("--name", "train", "--nodes", "2", "--gpus", "0", "--time", "10")
    submitted("--name", "train", "--gpus", "2", "trainer::accelerator=cpu", "trainer::strategy=ddp_fork")
    assert "tail -F" in capfd.readouterr().out
    Path("config.yaml").write_text("[now it is something else")

    job = cluster.start(FIRST_JOB)
    wait_for(lambda: list(Path("logs").rglob("each*.ckpt")), job)
    cluster.signal(FIRST_JOB, signal.SIGUSR1)
    Path("go on").touch()
    assert ended(job) == 143
    stopped = read_run(run_of(0))
    assert (stopped.status, cluster.is_queued(FIRST_JOB)) == ("interrupted", True)
    assert 3 <= stopped.steps < 16

    assert ended(cluster.start(FIRST_JOB)) == 0
    assert not cluster.is_queued(FIRST_JOB)
    monkeypatch.setattr("torch.cuda._is_in_bad_fork", bool)  # an earlier test may have counted devices
    assert fit("--resume", sources=["lighter_jobs/train_1/config.yaml"]) == 0  # as the second job would, but quicker

    first, other = run_of(0), run_of(1)
    assert first != other
    assert [item.step for item in read_run(first).resumed] == [stopped.steps]
    assert read_run(other).resumed == ()
    assert left(first) == left(other)
    devices = read_run(first).devices, read_run(other).devices
    assert [(item.count, item.nodes) for item in devices if item] == [(2, 2), (2, 1)]

    log = Path(f"lighter_jobs/train_0/slurm-{FIRST_JOB}.log")
    assert (first / log.name).samefile(log)
    text = log.read_text()
    assert f"requeued the job {FIRST_JOB}" in text
    assert f"goes on from step {stopped.steps}" in text, "the log of the first start is kept"
    assert text.count("lighter fit\n") == 2, "of two processes, one tells"


@pytest.mark.parametrize(
    ("status", "preempted", "queued"), [(143, True, True), (143, False, False), (1, False, False), (0, True, False)]
)
def test_only_what_was_preempted_is_requeued_by_the_script(
    status: int,
    preempted: bool,
    queued: bool,
    cluster: Cluster,  # noqa: F811
    here: Path,
) -> None:
    submitted("--no-check", "--gpus", "0")
    cluster.program("srun", f"exit {status}")
    if preempted:
        cluster.preempt(FIRST_JOB)
    assert ended(cluster.start(FIRST_JOB)) == status
    assert cluster.is_queued(FIRST_JOB) == queued


def test_the_script_runs_the_setup_and_keeps_the_environment(cluster: Cluster, here: Path) -> None:  # noqa: F811
    submitted("--no-check", "--gpus", "0", "--cpus-per-task", "3", "--setup", "export LOADED='a b'; echo set up")
    cluster.program("srun", 'for word in "$PWD" "$LOADED" "$PYTHONPATH" "$LIGHTER_JOB_LOG" "$@"; do echo "$word"; done')
    assert ended(cluster.start(FIRST_JOB, PYTHONPATH="", LOADED="")) == 0
    folder = here / "lighter_jobs" / "it-s-my-1-100-work_0"
    head, *words = (folder / f"slurm-{FIRST_JOB}.log").read_text().splitlines()
    assert head == "set up"
    assert words[:4] == [str(here), "a b", os.environ["PYTHONPATH"], str(folder / f"slurm-{FIRST_JOB}.log")]
    assert words[4:7] == ["--kill-on-bad-exit=1", "--export=ALL", "--cpus-per-task=3"]
    relative = folder.relative_to(here)
    assert words[7:] == [sys.executable, "-m", "lighter", "fit", f"{relative}/config.yaml", "--resume", "--no-check"]


def test_a_job_whose_node_broke_goes_on_where_the_disk_knows_no_locks(
    cluster: Cluster,  # noqa: F811
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = ["fit", "config.yaml", "trainer::max_epochs=1", "--resume"]
    monkeypatch.setattr("lighter.runs.resume.lock.fcntl", None)
    monkeypatch.setenv("LIGHTER_JOB_LOG", str(here / f"slurm-{FIRST_JOB}.log"))
    Path(f"slurm-{FIRST_JOB}.log").touch()
    assert main(job) == 0
    (run,) = Path("logs").rglob("run.json")
    run.write_text(run.read_text().replace('"completed"', '"running"').replace(socket.gethostname(), "broken"))
    monkeypatch.setenv("LIGHTER_JOB_LOG", str(here / f"slurm-{FIRST_JOB + 1}.log"))
    assert main(job) == 1
    assert "is still running (process" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("LIGHTER_JOB_LOG", str(here / f"slurm-{FIRST_JOB}.log"))
    assert main(job) == 0
    assert len(read_run(run.parent).resumed) == 1
