"""What a run leaves in its folder, with real runs."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from lighter import Runner
from lighter._epoch import callbacks_of, wants_outputs
from lighter.cli import main
from lighter.config import compose
from lighter.runs.record.process import Process
from lighter.runs.record.run_file import Run, read_run, status_of
from runs.ending import start
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

QUIET = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false"]
LOGS = Path("logs/lightning_logs")
FIRST = LOGS / "version_0"
CHECKPOINT = "_target_: pytorch_lightning.callbacks.ModelCheckpoint"
PARTS = """
import os
import pytorch_lightning as pl

class Fails(pl.Callback):
    def __init__(self, hook, error=RuntimeError):
        def fail(*_, **__):
            raise error("it broke")
        setattr(self, hook, fail)

class RankOneFails(pl.Callback):
    def on_train_epoch_end(self, trainer, module):
        if trainer.global_rank == 1:
            raise RuntimeError("rank one broke")

class Looks(pl.Callback):
    def on_train_epoch_start(self, trainer, module):
        from lighter.runs.record.run_file import read_run
        self.seen = read_run(next(item.folder for item in trainer.callbacks if hasattr(item, "folder")))

class OwnLogger(pl.loggers.logger.DummyLogger):
    save_dir = "own"
"""


@pytest.fixture(autouse=True)
def _callbacks(workspace: Path) -> None:  # noqa: F811
    Path("proj/mine.py").write_text(PARTS)


def run(stage: str, *overrides: str, source: str = "config.yaml", ckpt: str | None = None) -> Runner:
    runner = Runner()
    runner.run(stage, [source], [*QUIET, *overrides], ckpt=ckpt)  # type: ignore[arg-type]
    return runner


def callback(text: str) -> str:
    return f"trainer::callbacks=[{{_target_: mine.{text}}}]"


def rows(folder: Path = FIRST) -> list[dict[str, str]]:
    with (folder / "epochs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def recorded() -> list[Path]:
    return sorted(path.parent for path in Path().rglob("run.json"))


# --- the record of a run that went well


def test_a_fit_leaves_its_config_its_record_and_a_row_an_epoch() -> None:
    keep = f"trainer::callbacks=[{{{CHECKPOINT}, monitor: val/loss/epoch, save_last: true}}]"
    runner = run("fit", keep, "system::optimizer::lr=0.5")
    left = read_run(FIRST)
    assert (left.status, left.error, left.stage) == ("completed", None, "fit")
    assert (left.epochs, left.steps, left.seed) == (2, 8, 1)
    assert left.sources == ("config.yaml",)
    assert left.overrides == (*QUIET, keep, "system::optimizer::lr=0.5")
    assert left.working_folder == str(Path.cwd())
    assert left.process.pid == os.getpid()
    assert left.started < (left.ended or "")
    assert 0 < left.seconds < 60
    assert left.packages["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert left.packages["pytorch-lightning"]
    assert left.devices is not None
    assert (left.devices.accelerator, left.devices.count) == ("cpu", 1)
    best = float(runner.trainer.checkpoint_callback.best_model_score)  # type: ignore[union-attr]
    assert [(item.monitor, item.mode, item.score) for item in left.best] == [("val/loss/epoch", "min", best)]
    assert (FIRST / left.best[0].checkpoint).is_file()
    assert [(item.path, item.score) for item in left.checkpoints] == [
        (left.best[0].checkpoint, best),
        ("checkpoints/last.ckpt", None),
    ]
    assert [(row["epoch"], row["step"]) for row in rows()] == [("0", "4"), ("1", "8")]
    for name in ("train/loss/epoch", "val/loss/epoch", "val/metrics/MulticlassAccuracy/epoch"):
        assert left.metrics[name] == float(rows()[-1][name]) == float(runner.trainer.callback_metrics[name])
    assert not [name for name in left.metrics if name.endswith("/step")]


def test_its_command_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    run("fit", "system::optimizer::lr=0.5")
    run("fit", 'vars={text: "it\'s"}', ckpt="last")
    command = shlex.split(read_run(LOGS / "version_1").command)
    checkpoint = Path("logs/lightning_logs/version_0/checkpoints/epoch=1-step=8.ckpt").resolve()
    assert command == ["lighter", "fit", "config.yaml", *QUIET, 'vars={text: "it\'s"}', "--ckpt", str(checkpoint)]
    assert read_run(LOGS / "version_1").weights == str(checkpoint)
    assert main(shlex.split(read_run(FIRST).command)[1:]) == 0
    first, again = read_run(FIRST), read_run(LOGS / "version_2")
    assert again.metrics == first.metrics
    assert again.command == first.command


def test_its_config_loads_and_runs_from_any_folder(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    run("fit", "trainer::max_epochs=1", "vars={odd: '\\@x', number: 1e-3, text: \"1\"}")
    here = compose("config.yaml", [*QUIET, "trainer::max_epochs=1", "vars={odd: '\\@x', number: 1e-3, text: \"1\"}"])
    elsewhere = workspace / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(FIRST / "config.yaml", elsewhere)
    monkeypatch.chdir(elsewhere)
    there = compose("config.yaml")
    expected = here.plain()
    assert isinstance(expected, dict)
    assert there.plain() == {**expected, "project": str((workspace / "proj").resolve())}
    before = read_run(workspace / FIRST).metrics
    run("fit")
    assert read_run(FIRST).metrics == before


def test_a_marked_working_folder_becomes_the_project_of_the_config() -> None:
    shutil.copy("proj/parts.py", "parts.py")
    Path("__lighter__.py").touch()
    run("test", "~project")
    assert compose(FIRST / "config.yaml").plain("project") == str(Path.cwd())


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_every_stage_leaves_a_record(stage: str) -> None:
    run(stage)
    left = read_run(FIRST)
    assert (left.stage, left.status, left.checkpoints) == (stage, "completed", ())
    assert ("MulticlassAccuracy" in str(left.metrics)) == (stage != "predict")
    assert not (FIRST / "epochs.csv").exists()


@pytest.mark.parametrize("override", ["trainer::fast_dev_run=true", "=trainer::logger=false"])
def test_a_trial_run_leaves_nothing(override: str) -> None:
    barebones = (
        "trainer={barebones: true, enable_progress_bar: null, enable_model_summary: null, log_every_n_steps: null}"
    )
    run("fit", override, *([barebones] if "logger" in override else []))
    assert recorded() == []


def test_values_are_of_their_own_epoch_only() -> None:
    run("fit", "trainer::check_val_every_n_epoch=2", "trainer::max_epochs=4", "trainer::num_sanity_val_steps=0")
    assert [bool(row["val/loss/epoch"]) for row in rows()] == [False, True, False, True]
    assert all(row["train/loss/epoch"] for row in rows())
    assert read_run(FIRST).metrics["val/loss/epoch"] == float(rows()[-1]["val/loss/epoch"])


def test_the_record_is_kept_up_while_it_runs() -> None:
    runner = run("fit", callback("Looks"))
    seen: Run = next(item.seen for item in callbacks_of(runner.trainer) if hasattr(item, "seen"))
    assert (seen.status, seen.epochs, seen.steps, seen.ended) == ("running", 1, 4, None)
    assert seen.metrics["val/loss/epoch"] == float(rows()[0]["val/loss/epoch"])
    assert [item.path for item in seen.checkpoints] == ["checkpoints/epoch=0-step=4.ckpt"]


def test_it_is_no_part_of_the_steps() -> None:
    runner = run("fit")
    recorder = type(runner.recorder)
    for hook in ("on_train_batch_start", "on_train_batch_end", "on_before_optimizer_step", "on_validation_batch_end"):
        assert hook not in vars(recorder)
    assert not wants_outputs("train", runner.trainer, runner.system)


def test_what_the_trainer_does_later_is_not_in_the_record() -> None:
    runner = run("fit")
    before = (FIRST / "run.json").read_bytes()
    runner.trainer.fit_loop.max_epochs = 3
    runner.trainer.fit(runner.system)
    assert (FIRST / "run.json").read_bytes() == before


# --- how a run ends


@pytest.mark.parametrize("hook", ["setup", "on_train_start", "on_train_epoch_end", "on_validation_end", "teardown"])
def test_a_failure_is_recorded_with_its_text(hook: str) -> None:
    with pytest.raises(RuntimeError, match="it broke"):
        run("fit", callback(f"Fails, hook: {hook}"), "trainer::num_sanity_val_steps=0")
    left = read_run(FIRST)
    assert (left.status, left.error) == ("failed", "RuntimeError: it broke")
    assert left.steps == {"setup": 0, "on_train_start": 0, "teardown": 8}.get(hook, 4)
    assert status_of(left) == "failed"


def test_a_failure_before_anything_is_set_up_is_recorded() -> None:
    Path("proj/data.py").write_text(
        "import pytorch_lightning as pl\nclass Data(pl.LightningDataModule):\n"
        "    def prepare_data(self):\n        raise OSError('the server is gone')\n"
        "    def test_dataloader(self):\n        return []\n"
    )
    with pytest.raises(OSError, match="the server is gone"):
        run("test", "~system::dataloaders", "data={_target_: data.Data}")
    assert read_run(FIRST).error == "OSError: the server is gone"


def test_weights_that_do_not_fit_are_recorded_as_they_are_told() -> None:
    run("fit")
    assert main(["test", "config.yaml", *QUIET, "--ckpt=last", "system::model::out_features=3"]) == 1
    left = read_run(LOGS / "version_1")
    assert left.status == "failed"
    assert str(left.error).startswith("the weights in 'logs/lightning_logs/version_0/checkpoints/epoch=1-step=8.ckpt'")


def test_the_epoch_that_was_complete_when_a_run_failed_has_its_row() -> None:
    Path("proj/late.py").write_text(
        "import pytorch_lightning as pl\nclass Late(pl.Callback):\n"
        "    def on_train_epoch_start(self, trainer, module):\n"
        "        if trainer.current_epoch == 1:\n            raise RuntimeError('it broke')\n"
    )
    with pytest.raises(RuntimeError):
        run("fit", "trainer::callbacks=[{_target_: late.Late}]")
    assert [row["epoch"] for row in rows()] == ["0"]


def test_ctrl_c_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        error = "error: {_target_: builtins.KeyboardInterrupt, _mode_: callable}"
        assert main(["fit", "config.yaml", callback(f"Fails, hook: on_validation_end, {error}")]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert (read_run(FIRST).status, read_run(FIRST).error) == ("interrupted", None)


SLOW = """
import time
from pathlib import Path
import torch

class Slow(torch.nn.Linear):
    def forward(self, x):
        Path("training").touch()
        time.sleep(0.05)
        return super().forward(x)
"""


@pytest.fixture
def started(workspace: Path) -> Iterator[BaseProcess]:  # noqa: F811
    """Start a slow fit in a process of its own, and return it once it trains."""
    (workspace / "proj/slow.py").write_text(SLOW)
    slow = ("system::model::_target_=project.slow.Slow", "trainer::max_epochs=100", "trainer::num_sanity_val_steps=0")
    process = start("fit", "config.yaml", *slow)
    while not Path("training").exists():
        assert process.is_alive()
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_a_dead_process_is_a_killed_run(started: BaseProcess) -> None:
    assert status_of(read_run(FIRST)) == "running"
    started.kill()
    started.join()
    left = read_run(FIRST)
    assert left.status == "running"
    assert status_of(left) == "killed"
    assert left.process.pid == started.pid


def test_sigterm_is_an_interruption(started: BaseProcess) -> None:
    assert started.pid is not None
    os.kill(started.pid, signal.SIGTERM)
    started.join(timeout=60)
    assert started.exitcode == 143
    assert (read_run(FIRST).status, read_run(FIRST).error) == ("interrupted", "SIGTERM")


def test_another_process_of_the_same_number_is_not_the_run() -> None:
    run("test")
    left = replace(read_run(FIRST), status="running")
    assert status_of(left) == "running"
    assert status_of(replace(left, process=replace(left.process, began="another boot:1"))) == "killed"
    assert status_of(replace(left, process=Process("elsewhere", 1))) == "running (on elsewhere)"
    assert status_of(replace(left, process=Process(socket.gethostname(), 1))) == "running"  # of another user, maybe


# --- where


def test_without_a_logger_each_run_has_a_numbered_folder() -> None:
    run("fit", "=trainer::logger=false")
    run("test", "=trainer::logger=false", "trainer::default_root_dir=elsewhere")
    run("test", "=trainer::logger=false")
    numbered = [Path("elsewhere/lighter_logs/version_0"), *(Path(f"lighter_logs/version_{n}") for n in (0, 1))]
    assert recorded() == numbered
    checkpoint = read_run(Path("lighter_logs/version_0")).checkpoints[0]
    assert checkpoint.path == str(Path("checkpoints/epoch=1-step=8.ckpt").resolve())
    assert rows(Path("lighter_logs/version_0"))


def test_a_logger_without_a_folder_a_run_is_treated_alike() -> None:
    run("test", "=trainer::logger={_target_: mine.OwnLogger}")
    assert recorded() == [Path("own/lighter_logs/version_0")]


def test_a_folder_given_by_name_keeps_the_records_of_earlier_runs() -> None:
    named = "trainer::logger={_target_: pytorch_lightning.loggers.TensorBoardLogger, save_dir: tb, version: mine}"
    run("fit", f"={named}")
    run("test", f"={named}")
    run("test", f"={named}")
    here = Path("tb/lightning_logs/mine")
    assert recorded() == [here, here / "run_2", here / "run_3"]
    assert [read_run(folder).stage for folder in recorded()] == ["fit", "test", "test"]
    assert rows(here)


def test_the_runs_of_one_slurm_job_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    for stage in ("fit", "test", "fit"):
        run(stage, "=trainer::logger=true")
    here = Path("lightning_logs")
    assert recorded() == [here / "version_77", here / "version_77_2", here / "version_77_3"]
    for folder in (recorded()[0], recorded()[2]):
        assert [file.parent for file in folder.glob("checkpoints/*.ckpt")] == [folder / "checkpoints"]
        assert list(folder.glob("events.out.*"))


def test_of_two_loggers_the_first_has_the_record() -> None:
    loggers = [
        f"{{_target_: pytorch_lightning.loggers.{name}, save_dir: {name}}}"
        for name in ("TensorBoardLogger", "CSVLogger")
    ]
    run("fit", f"=trainer::logger=[{', '.join(loggers)}]")
    run("fit", f"=trainer::logger=[{', '.join(loggers)}]")
    assert recorded() == [Path(f"TensorBoardLogger/lightning_logs/version_{n}") for n in (0, 1)]
    assert len(list(Path("CSVLogger").rglob("metrics.csv"))) == 2


def test_runs_that_begin_at_once_take_folders_of_their_own() -> None:
    runners = [Runner() for _ in range(3)]
    for runner in runners:
        runner.prepare("fit", compose("config.yaml", QUIET))
    assert {runner.trainer.log_dir for runner in runners} == {str(FIRST)}, "each thinks that this version is free"
    for runner in runners:
        runner.trainer.loggers[0]._version = None  # type: ignore[attr-defined]  # as if they had not looked yet
    versions = iter([0, 0, 1, 0, 1, 2])  # what each finds, having looked before the others came
    for runner in runners:
        runner.trainer.loggers[0]._get_next_version = lambda: next(versions)  # type: ignore[attr-defined]
    folders = [runner.record() for runner in runners]
    assert folders == [(LOGS / f"version_{number}").resolve() for number in range(3)]
    for runner in reversed(runners):
        runner.start()
    assert [read_run(folder).status for folder in recorded()] == ["completed"] * 3
    assert all((folder / "metrics.csv").exists() for folder in recorded())


def test_a_file_that_has_the_name_of_a_version_is_passed_over() -> None:
    FIRST.parent.mkdir(parents=True)
    FIRST.touch()
    run("test")
    assert recorded() == [LOGS / "version_1"]


def test_of_several_processes_one_writes_one_record() -> None:
    run("fit", "trainer::devices=2", "trainer::strategy=ddp_fork")
    assert recorded() == [FIRST]
    left = read_run(FIRST)
    assert (left.status, left.epochs, left.steps) == ("completed", 2, 4)
    assert left.devices is not None
    assert (left.devices.count, left.devices.strategy) == (2, "DDP")
    assert [row["epoch"] for row in rows()] == ["0", "1"]
    assert (FIRST / left.checkpoints[0].path).is_file()


def test_the_failure_of_another_process_is_recorded() -> None:
    with pytest.raises(Exception, match="rank one broke"):
        run("fit", "trainer::devices=2", "trainer::strategy=ddp_fork", callback("RankOneFails"))
    left = read_run(FIRST)
    assert left.status == "failed"
    assert "rank one broke" in str(left.error)


# --- what cannot be written


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_written_is_told_and_the_run_goes_on() -> None:
    Path("locked").mkdir(mode=0o500)
    with pytest.warns(UserWarning, match="the record of this run cannot be written: PermissionError"):
        runner = run("test", "=trainer::logger=false", "trainer::default_root_dir=locked")
    assert runner.trainer.callback_metrics


def test_a_file_in_the_way_is_told_once_and_the_run_goes_on() -> None:
    Path("lighter_logs").touch()
    with pytest.warns(UserWarning, match="the record of this run cannot be written") as warned:
        runner = run("fit", "=trainer::logger=false")
    assert len([item for item in warned if "the record" in str(item.message)]) == 1
    assert runner.trainer.global_step == 8


def test_a_run_that_goes_on_keeps_what_its_logger_had_also_where_its_record_cannot_be_written() -> None:
    run("fit")
    before = (FIRST / "metrics.csv").read_text()
    in_the_way = FIRST / f".run.json.{os.getpid()}.{threading.get_ident()}.tmp"
    in_the_way.mkdir()
    runner = Runner()
    with pytest.warns(UserWarning, match="the record of this run cannot be written"):
        runner.run("fit", [str(FIRST)], ["trainer::max_epochs=3"], resume=True)
    assert (FIRST / "metrics.csv").read_text().startswith(before)
    assert (FIRST / "metrics.csv").read_text() != before


def test_a_disk_that_is_full_in_between_costs_rows_but_neither_the_run_nor_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, lines = os.write, iter([True])

    def full(file: int, data: bytes) -> int:
        return real(file, data[:7] if data.count(b",") > 5 and next(lines, False) else data)

    monkeypatch.setattr(os, "write", full)
    with pytest.warns(UserWarning, match="cannot take another line"):
        run("fit", "trainer::max_epochs=4", "trainer::num_sanity_val_steps=0")
    assert [row["epoch"] for row in rows()] == ["0", "2", "3"]
    assert read_run(FIRST).status == "completed"


# --- git


def git(*arguments: str) -> str:
    own = ["-c", "user.email=a@example.org", "-c", "user.name=A"]
    return subprocess.run(["git", *own, *arguments], check=True, capture_output=True, text=True).stdout


def test_outside_of_a_repository_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    run("test")
    assert read_run(FIRST).git is None
    assert not (FIRST / "uncommitted.patch").exists()


def test_a_clean_repository_is_its_commit() -> None:
    git("init", "-q")
    git("add", "config.yaml", "proj")
    git("commit", "-qm", "first")
    run("test")
    left = read_run(FIRST).git
    assert left is not None
    assert (left.commit, left.dirty, left.root) == (git("rev-parse", "HEAD").strip(), False, str(Path.cwd()))
    assert not (FIRST / "uncommitted.patch").exists()


def test_what_is_not_committed_is_a_patch_that_leads_there() -> None:
    git("init", "-q")
    git("add", "proj")
    git("commit", "-qm", "first")
    git("mv", "proj/mine.py", "proj/moved.py")
    Path("proj/mine.py").write_text(PARTS)
    Path("proj/parts.py").write_text(Path("proj/parts.py").read_text() + "# ü\n")
    Path("proj/data.bin").write_bytes(b"\0" * 1000)
    index, status = Path(".git/index").read_bytes(), git("status", "--porcelain")
    run("test")
    left = read_run(FIRST).git
    assert left is not None
    assert left.dirty
    assert Path(".git/index").read_bytes() == index
    assert git("status", "--porcelain").replace("?? logs/\n", "") == status
    patch = (FIRST / "uncommitted.patch").resolve()
    git("worktree", "add", "-q", "there", "HEAD")
    git("-C", "there", "apply", str(patch))
    for name in ("proj/parts.py", "proj/mine.py", "proj/moved.py", "config.yaml"):
        assert Path("there", name).read_bytes() == Path(name).read_bytes()
    assert not Path("there/proj/data.bin").exists()


def test_a_repository_without_a_commit_says_so() -> None:
    git("init", "-q")
    run("test")
    left = read_run(FIRST).git
    assert left is not None
    assert (left.commit, left.dirty) == (None, True)


# --- secrets


def test_no_secret_of_the_environment_or_of_an_url_goes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ["sesame-open-1", "hunter-2-hunter", "querysecret99", "literal-secret-5", "in-the-code-77"]
    monkeypatch.setenv("STORE_API_KEY", secrets[0])
    git("init", "-q")
    git("add", "proj")
    git("commit", "-qm", "first")
    Path("proj/keys.py").write_text(f"password = '{secrets[4]}'\nkey = '{secrets[0]}'\ntoken: str = get()\n")
    given = [f"vars={{a: x{secrets[0]}x, b: 'https://me:{secrets[1]}@host/d?token={secrets[2]}'}}"]
    given += [f"vars::c={{api_key: {secrets[3]}, pad_token: <pad>, password: '$1'}}"]
    with pytest.raises(RuntimeError):
        run("fit", *given[:1], "vars::c=null", *given[1:], callback("Fails, hook: on_train_end"))
    text = "".join(file.read_text() for file in FIRST.glob("*") if file.is_file())
    assert [secret for secret in secrets if secret in text] == []
    assert "token: str = get()" in text
    config = compose(FIRST / "config.yaml")
    assert config.plain("vars") == {
        "a": "x***x",
        "b": "https://***@host/d?token=***",
        "c": {"api_key": "***", "pad_token": "<pad>", "password": "$1"},
    }
    assert read_run(FIRST).hidden == ("vars::a", "vars::b", "vars::c::api_key")
    saved = torch.load(next(FIRST.rglob("*.ckpt")), weights_only=True)["lighter"]
    assert [secret for secret in secrets if secret in repr(saved)] == []


# --- atomicity


def test_a_reader_never_sees_half_a_record_and_a_kill_leaves_a_whole_one() -> None:
    code = """
import sys
from pathlib import Path
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Run, create_run, write_run
from dataclasses import replace
run = Run("fit", "c", "w", (), (), this_process(), "now", packages={str(n): "1" for n in range(3000)})
create_run(Path(sys.argv[1]), run)
print("go", flush=True)
while True:
    run = replace(run, steps=run.steps + 1)
    write_run(Path(sys.argv[1]), run)
"""
    for attempt in range(5):
        folder = Path(f"atomic_{attempt}")
        folder.mkdir()
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            began, least = time.monotonic(), 0.15 + 0.013 * attempt
            while time.monotonic() - began < least or not read_run(folder).steps:
                assert len(read_run(folder).packages) == 3000
                assert time.monotonic() - began < 60
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        assert read_run(folder).steps > 0


def test_where_no_value_was_a_number_there_is_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    monitored = f"trainer::callbacks=[{{{CHECKPOINT}, monitor: val/loss/epoch}}]"
    assert main(["fit", "config.yaml", *QUIET, "system::optimizer::lr=.inf", monitored]) == 0
    assert read_run(FIRST).best == ()
    assert not re.search(r"^  best ", capsys.readouterr().out, re.MULTILINE)
