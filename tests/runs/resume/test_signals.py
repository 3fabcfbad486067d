"""How a run ends that is told to, in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lighter import Runner
from lighter.config import compose
from lighter.runs.record.run_file import read_run
from lighter.runs.resume.requeue import requeue_early
from lighter.runs.resume.signals import Signals
from lighter.runs.resume.vote import Vote
from runs.ending import FIRST, SAVED, SOURCES, fit, left, parts, said, stage, start, table  # noqa: F401 - a fixture
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.usefixtures("workspace", "parts"),
]

SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "127.0.0.1",
}
SLOW = "system::model::_target_=project.parts.Slow"


def names() -> list[str]:
    return sorted(file.name for file in SAVED.glob("*"))


# --- a signal that is for fit to answer


def test_sigterm_saves_the_step_it_hits_and_says_how_to_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(end="on_train_batch_start 6 SIGTERM") == 143
    printed = capfd.readouterr()
    run, out = read_run(FIRST), said(printed.out)
    assert "stopping after this step, to save it\n" in printed.err, "who cannot press Ctrl-C need not know of it"
    assert (run.status, run.error, run.steps) == ("interrupted", "SIGTERM", 7)
    assert "interrupted-epoch=1-step=7.ckpt" in names()
    assert "checkpoints/interrupted-epoch=1-step=7.ckpt" in [item.path for item in run.checkpoints]
    assert f"saved {SAVED}/interrupted-epoch=1-step=7.ckpt" in out
    assert f"go on lighter fit {FIRST} --resume" in out


def test_what_another_callback_has_just_saved_is_not_saved_twice() -> None:
    assert fit(end="on_train_batch_start 5 SIGTERM") == 143
    assert names() == ["each-step=6.ckpt", "epoch=0-step=4.ckpt", "last.ckpt"]


def test_a_first_ctrl_c_saves_and_a_second_one_ends_at_once() -> None:
    assert fit(end="on_train_batch_start 6 SIGINT") == 130
    assert "interrupted-epoch=1-step=7.ckpt" in names()
    assert (read_run(FIRST).status, read_run(FIRST).error) == ("interrupted", None)
    Path("proj/ends.py").write_text(
        "import os, signal, time\nimport pytorch_lightning as pl\nclass Ends(pl.Callback):\n"
        "    def on_train_batch_start(self, *args):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n        time.sleep(1.2)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n        time.sleep(60)\n"
        "class EndsLast(pl.callbacks.Checkpoint):\n    pass\n"
    )
    began = time.monotonic()
    assert fit() == 130
    assert time.monotonic() - began < 30
    assert list(Path("logs/lightning_logs/version_1").rglob("*.ckpt")) == []
    assert read_run(Path("logs/lightning_logs/version_1")).status == "interrupted"


@pytest.mark.parametrize("hook", ["setup", "on_sanity_check_start", "on_train_start"])
def test_before_the_first_step_there_is_nothing_to_save(hook: str) -> None:
    assert fit(end=f"{hook} 0 SIGTERM") == 143
    assert read_run(FIRST).status == "interrupted"
    assert names() == []


def test_a_run_that_saves_no_checkpoints_ends_at_once() -> None:
    none = [*(f"~trainer::callbacks::{item}" for item in (3, 2, 1)), "trainer::enable_checkpointing=false"]
    assert fit(*none, end="on_train_batch_start 6 SIGTERM") == 143
    assert names() == []


def test_a_signal_after_the_last_step_lets_the_run_complete() -> None:
    assert fit("trainer::max_epochs=1", end="on_train_end 0 SIGTERM") == 0
    assert read_run(FIRST).status == "completed"


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("seed", ["seed=1", "~seed"])
def test_processes_that_load_data_outlive_a_signal_to_their_group(number: str, seed: str) -> None:
    workers = "system::dataloaders::train::num_workers=2"
    assert fit(workers, seed, SLOW, end=f"on_train_batch_start 6 {number} group") == (
        143 if number == "SIGTERM" else 130
    )
    assert "interrupted-epoch=1-step=7.ckpt" in names()


def test_a_signal_to_the_main_process_alone_ends_those_that_load_data_too() -> None:
    workers = [f"system::dataloaders::{mode}::num_workers=2" for mode in ("train", "val")]
    assert fit(*workers, end="on_validation_batch_start 5 SIGTERM") == 143


def test_what_a_signal_breaks_is_an_interruption_too(capfd: pytest.CaptureFixture[str]) -> None:
    text = Path("proj/ends.py").read_text().replace("self.left -= 1", "self.left -= 1; self.left + 1 or 1 / 0")
    Path("proj/ends.py").write_text(text)
    assert fit(end="on_train_batch_start 6 SIGTERM") == 143
    assert "it was not saved: division by zero" in said(capfd.readouterr().err)
    assert (read_run(FIRST).status, read_run(FIRST).error) == ("interrupted", "SIGTERM")
    assert fit("--resume") == 0


# --- several processes, other stages, SLURM


def test_a_signal_that_comes_while_ranks_agree_is_for_the_next_step() -> None:
    runner = Runner()
    runner.prepare("fit", compose(list(SOURCES)))
    signals = Signals(runner.trainer, lambda: None)
    signals._waits = True

    class Interrupted(Vote):
        def __init__(self) -> None:
            pass

        def settle(self, number: int) -> int:
            signals._receive(signal.SIGTERM, None)
            return number

    signals._vote = Interrupted()
    assert [signals._is_agreed() for _ in range(2)] == [False, True]
    assert signals.number == signal.SIGTERM


@pytest.mark.parametrize("name", ["validate", "test", "predict"])
def test_sigterm_ends_any_stage_with_its_status(name: str) -> None:
    hook = {"validate": "validation"}.get(name, name)
    assert stage(name, end=f"on_{hook}_batch_start 1 SIGTERM") == 143
    assert (read_run(FIRST).status, read_run(FIRST).error) == ("interrupted", "SIGTERM")
    assert names() == []


def with_scontrol(answer: str = "") -> dict[str, str]:
    """Return the environment of a job in which `scontrol` writes down what it is asked."""
    Path("bin").mkdir()
    Path("bin/scontrol").write_text(f'#!/bin/sh\necho "$@" >> asked\n{answer}\n')
    Path("bin/scontrol").chmod(0o755)
    return {**SLURM, "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}"}


@pytest.mark.parametrize("works", [True, False])
def test_slurms_signal_saves_requeues_the_job_and_the_next_start_goes_on(
    works: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm = with_scontrol("" if works else "echo no such job >&2; exit 1")
    assert fit("--resume", end="on_train_batch_start 6 SIGUSR1", environment=slurm) == 143
    assert Path("asked").read_text() == "requeue 4711\n"
    told = "requeued the job 4711" if works else "SLURM did not requeue the job 4711: no such job"
    printed = capfd.readouterr()
    assert told in said(printed.err)
    assert ("go on the job does, by itself" in said(printed.out)) is works
    assert not list(Path().glob("hpc_ckpt*")), "Lightning's own handler is not at work"
    assert fit("--resume", environment=slurm) == 0
    assert [item.step for item in read_run(FIRST).resumed] == [7]
    assert Path("asked").read_text() == "requeue 4711\n"


def test_a_job_whose_time_is_up_before_a_step_is_requeued_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm = with_scontrol()
    monkeypatch.setenv("LIGHTER_JOB_LOG", str(Path("job.log").resolve()))
    requeue_early()  # in this process; those that are forked from it have to answer for themselves
    Path("proj/early.py").write_text(
        "import os, signal, torch\n\ndef early(**shape):\n    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    return torch.nn.Linear(**shape)\n"
    )

    def asked(*arguments: str, end: str = "setup -1 error") -> int:
        assert fit("--resume", *arguments, end=end, environment=slurm) == 143
        return len(Path("asked").read_text().splitlines())

    assert asked("system::model::_target_=project.early.early") == 1, "before there is a run"
    assert asked(end="on_train_batch_start 6 SIGUSR1") == 2
    assert asked(end="on_train_start 0 SIGUSR1") == 3, "another chance"
    assert "it needs a longer --time" not in said(capfd.readouterr().err)
    assert asked(end="on_train_start 0 SIGUSR1") == 3
    assert "it needs a longer --time" in said(capfd.readouterr().err)


def test_sigterm_in_a_slurm_job_does_not_requeue_it() -> None:
    assert fit(end="on_train_batch_start 6 SIGTERM", environment=SLURM) == 143
    assert "interrupted-epoch=1-step=7.ckpt" in names()


# --- whose handlers these are


def test_handlers_are_put_back_and_others_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    ignored = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        runner = Runner()
        runner.prepare("test", compose(list(SOURCES)))
        seen = []
        runner.system.on_test_start = lambda: seen.append(signal.getsignal(signal.SIGTERM))  # type: ignore[method-assign]
        runner.start()
        assert seen == [signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGTERM, ignored)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
