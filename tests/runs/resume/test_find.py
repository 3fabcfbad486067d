"""Runs that end badly and are gone on with: as if they had never ended."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lighter.config import compose
from lighter.runs.record.run_file import SavedCheckpoint, read_run, write_run
from runs.ending import FIRST, SAVED, SOURCES, fit, left, parts, said, stage, start, table  # noqa: F401 - a fixture
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.usefixtures("workspace", "parts"),
]

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, object]]:
    """Return a function that returns what a run leaves that never ended badly."""
    made: dict[str, object] = {}

    def make() -> dict[str, object]:
        if not made:
            assert fit() == 0
            made.update(left())
            FIRST.parent.rename(tmp_path_factory.mktemp("whole") / "runs")
        return made

    return make


def records() -> list[Path]:
    return sorted(path.parent for path in Path().rglob("run.json"))


# --- as if it had never ended


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("on_train_batch_start 6 SIGTERM", 143),  # in the second epoch
        ("on_train_batch_start 7 SIGINT", 130),  # the last batch of an epoch, which is validated when it goes on
        ("on_train_batch_start 10 SIGKILL", KILLED),
        ("last: on_train_batch_end 5 SIGKILL", KILLED),  # its step is saved, and not logged
        ("on_validation_batch_start 5 SIGTERM", 143),
        ("on_validation_batch_start 7 SIGTERM", 143),  # the last one
        ("on_validation_end 1 SIGKILL", KILLED),
        ("on_validation_end 1 SIGTERM", 143),
        ("on_train_epoch_end 1 SIGTERM", 143),
        ("on_train_epoch_end 2 error", 1),
        ("last: on_train_epoch_end 1 SIGKILL", KILLED),
    ],
)
def test_a_run_that_ended_badly_goes_on_as_if_it_had_not(
    end: str, status: int, whole: Callable[[], dict[str, object]]
) -> None:
    expected = whole()
    assert fit(end=end) == status
    before = read_run(FIRST)
    assert fit("--resume") == 0
    assert records() == [FIRST]
    got, after = left(), read_run(FIRST)
    for name in expected:
        assert got[name] == expected[name], name
    assert (after.started, after.command, after.error) == (before.started, before.command, None)
    assert after.seconds > before.seconds
    how = {143: "interrupted", 130: "interrupted", 1: "failed", KILLED: "killed"}[status]
    assert [item.before for item in after.resumed] == [how]
    assert (FIRST / str(after.resumed[0].checkpoint)).parent == SAVED


def test_a_run_that_is_interrupted_again_and_again_ends_as_if_it_had_not(
    whole: Callable[[], dict[str, object]],
) -> None:
    expected = whole()
    assert fit("--resume", end="on_train_batch_start 1 SIGTERM") == 143
    assert fit("--resume", end="on_train_batch_start 2 SIGTERM") == 143
    assert fit("--resume", end="on_train_batch_start 1 SIGTERM") == 143
    assert len(list(SAVED.glob("interrupted*"))) == 1
    assert fit("--resume") == 0
    got = left()
    for name in expected:
        assert got[name] == expected[name], name
    assert [item.step for item in read_run(FIRST).resumed] == [2, 5, 7]


def test_an_epoch_that_ends_in_a_resumed_run_keeps_its_values_when_that_is_killed_too(
    whole: Callable[[], dict[str, object]],
) -> None:
    expected = whole()
    early = "trainer::callbacks::1::save_on_train_epoch_end=false"
    assert fit(early, "--resume", end="on_validation_batch_start 9 SIGKILL") == KILLED
    assert fit(early, "--resume", end="on_train_batch_start 0 SIGKILL") == KILLED
    assert [item.step for item in read_run(FIRST).resumed] == [12]
    assert fit(early, "--resume") == 0
    got = left()
    for name in ("epochs", "metrics", "weights"):
        assert got[name] == expected[name], name


def test_a_run_that_is_over_goes_on_to_more_epochs_in_its_folder(
    whole: Callable[[], dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole()
    assert fit("trainer::max_epochs=2") == 0
    before = (FIRST / "config.yaml").read_text()
    capfd.readouterr()
    assert fit("trainer::max_epochs=4", "--resume", sources=(str(FIRST),)) == 0
    assert re.findall(r"epoch (\d)/4", capfd.readouterr().err) == ["3", "4"]
    assert records() == [FIRST]
    got = left()
    for name in expected:
        assert got[name] == expected[name], name
    assert compose(FIRST / "config.yaml").plain("trainer::max_epochs") == 4
    assert (FIRST / "config.1.yaml").read_text() == before
    run = read_run(FIRST)
    assert run.overrides == ("trainer::max_epochs=2",)
    assert run.resumed[0].command == f"lighter fit {FIRST} trainer::max_epochs=4 --resume"


def test_a_run_that_was_moved_goes_on_where_it_is(whole: Callable[[], dict[str, object]]) -> None:
    expected = whole()
    assert fit(end="on_train_batch_start 10 SIGKILL") == KILLED
    FIRST.rename("moved")
    assert fit("--resume", sources=("moved",)) == 0
    assert records() == [Path("moved")]
    got = left(Path("moved"))
    for name in expected:
        assert got[name] == expected[name], name


def test_tensorboard_goes_on_in_one_curve() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    logger = "=trainer::logger={_target_: pytorch_lightning.loggers.TensorBoardLogger, save_dir: logs}"
    assert fit(logger, end="on_train_batch_start 10 SIGKILL") == KILLED
    assert fit(logger, "--resume") == 0
    assert records() == [FIRST]
    events = EventAccumulator(str(FIRST)).Reload()
    assert [event.step for event in events.Scalars("train/loss/step")] == list(range(16))
    assert [event.step for event in events.Scalars("val/loss/epoch")] == [3, 7, 11, 15]


def test_without_a_logger_it_goes_on_in_its_own_folder() -> None:
    assert fit("=trainer::logger=false", end="on_train_batch_start 6 SIGTERM") == 143
    assert fit("=trainer::logger=false", "--resume") == 0
    assert records() == [Path("lighter_logs/version_0")]
    assert [row["epoch"] for row in table("epochs.csv", records()[0])] == ["0", "1", "2", "3"]
    assert not list(Path().rglob("interrupted*"))


# --- which run


def test_without_a_run_it_starts_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit("--resume", "trainer::max_epochs=1") == 0
    assert "a new one, as there is none" in said(capfd.readouterr().out)
    assert read_run(FIRST).status == "completed"


def test_other_overrides_are_another_experiment() -> None:
    assert fit("system::optimizer::lr=0.5", end="on_train_batch_start 6 SIGTERM") == 143
    assert fit("--resume", "system::optimizer::lr=0.2", "trainer::max_epochs=1") == 0
    assert [read_run(folder).status for folder in records()] == ["interrupted", "completed"]
    assert fit("--resume", "system::optimizer::lr=0.5") == 0
    assert [read_run(folder).status for folder in records()] == ["completed", "completed"]


def test_a_config_that_was_edited_goes_on_and_says_what_differs(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(end="on_train_batch_start 6 SIGTERM") == 143
    text = Path("more.yaml").read_text()
    Path("more.yaml").write_text(f"# a note\n{text}")
    assert fit("--resume", end="on_train_batch_start 1 SIGTERM") == 143
    assert "has changed" not in said(capfd.readouterr().err)
    Path("more.yaml").write_text(text.replace("max_epochs: 4", "max_epochs: 3"))
    assert fit("--resume") == 0
    assert "trainer::max_epochs 4 -> 3" in said(capfd.readouterr().err)
    assert read_run(FIRST).epochs == 3


def test_a_run_with_nothing_left_to_do_says_so_and_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit("trainer::max_epochs=1") == 0
    before = (FIRST / "run.json").read_bytes()
    for sources in (SOURCES, (str(FIRST),), (str(FIRST / "config.yaml"),)):
        override = ["trainer::max_epochs=1"] if sources == SOURCES else []
        assert fit(*override, "--resume", sources=sources) == 0
        assert "nothing is left to do: 1 epoch, 4 steps" in said(capfd.readouterr().out)
    assert (FIRST / "run.json").read_bytes() == before
    assert records() == [FIRST]


def test_a_run_killed_before_its_first_checkpoint_begins_anew_in_its_folder(
    capfd: pytest.CaptureFixture[str], whole: Callable[[], dict[str, object]]
) -> None:
    expected = whole()
    assert fit(end="on_train_batch_start 2 SIGKILL") == KILLED
    assert fit("--resume") == 0
    assert "begins anew, as it was killed before it had saved anything" in said(capfd.readouterr().out)
    assert records() == [FIRST]
    assert left() == expected


def test_a_run_that_is_still_running_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    process = start("fit", *SOURCES, end="on_train_batch_start 5 SIGSTOP")
    try:
        while not SAVED.exists() or not list(SAVED.glob("each-step=3.ckpt")):
            assert process.is_alive()
        assert fit("--resume") == 1
        assert "is still running (process " in said(capfd.readouterr().err)
        before = read_run(FIRST)
        write_run(FIRST, replace(before, process=replace(before.process, host="elsewhere")))
        assert fit("--resume") == 1, "the lock tells, where the process cannot be asked"
    finally:
        process.kill()
        process.join()
    assert fit("--resume") == 0


def test_of_two_that_start_at_once_one_goes_on_and_none_loses_anything() -> None:
    assert fit(end="on_train_batch_start 6 SIGTERM") == 143
    both = [start("fit", *SOURCES, "--resume") for _ in range(2)]
    for process in both:
        process.join()
    statuses = sorted(process.exitcode or 0 for process in both)
    assert statuses in ([0, 0], [0, 1])  # the other one came when it was at it, or when it was done
    assert read_run(FIRST).status == "completed"
    assert len(read_run(FIRST).resumed) == 1
    assert [row["epoch"] for row in table("epochs.csv")] == ["0", "1", "2", "3"]


def test_two_new_runs_that_start_at_once_have_a_folder_each() -> None:
    both = [start("fit", *SOURCES, "trainer::max_epochs=1", "--resume") for _ in range(2)]
    for process in both:
        process.join()
    done = [folder for folder in records() if read_run(folder).status == "completed"]
    assert done == records()
    assert all(table("metrics.csv", folder) and list(folder.glob("checkpoints/last.ckpt")) for folder in done)


# --- overrides


def test_an_override_that_does_not_fit_the_checkpoint_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit("trainer::max_epochs=2") == 0
    before = {file: file.read_bytes() for file in FIRST.rglob("*") if file.is_file()}
    wider = ["trainer::max_epochs=4", "system::model::out_features=3", "--resume"]
    assert fit(*wider, sources=(str(FIRST),)) == 1
    assert "do not fit the model" in said(capfd.readouterr().err)
    assert {file: file.read_bytes() for file in FIRST.rglob("*") if file.is_file()} == before
    assert fit("trainer::max_epochs=3", "--resume", sources=(str(FIRST),)) == 0
    assert len(read_run(FIRST).resumed) == 1


def test_what_a_checkpoint_has_of_an_optimizer_or_a_scheduler_is_not_overridden_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    scheduler = "{_target_: torch.optim.lr_scheduler.ExponentialLR, optimizer: '@system::optimizer', gamma: 0.9}"
    Path("more.yaml").write_text(
        f"{Path('more.yaml').read_text()}\nvars: {{lr: 0.1}}\nsystem:\n  optimizer: {{lr: '%vars::lr'}}\n"
        f"  scheduler: {{interval: step, scheduler: {scheduler}}}\n"
    )
    assert fit("trainer::max_epochs=1") == 0
    before = (FIRST / "run.json").read_bytes()
    for override, path, was in (
        ("vars::lr=0.5", "system::optimizer::lr", "0.1"),
        ("system::scheduler::scheduler::gamma=0.5", "system::scheduler::scheduler::gamma", "0.9"),
    ):
        assert fit("trainer::max_epochs=2", override, "--resume", sources=(str(FIRST),)) == 1
        error = said(capfd.readouterr().err)
        assert path in error
        assert f"goes on as the checkpoint has it, {was}, and cannot become 0.5" in error
    assert (FIRST / "run.json").read_bytes() == before
    for epochs, override in ((2, "system::scheduler::interval=epoch"), (3, "~system::scheduler")):
        assert fit(f"trainer::max_epochs={epochs}", override, "--resume", sources=(str(FIRST),)) == 0


# --- which checkpoint


def test_a_checkpoint_goes_on_in_its_run_from_there(whole: Callable[[], dict[str, object]]) -> None:
    expected = whole()
    assert fit("trainer::callbacks::2::save_top_k=-1") == 0
    assert fit("--resume", sources=(str(SAVED / "each-step=6.ckpt"),), end="on_train_batch_start 1 SIGKILL") == KILLED
    assert fit("--resume", sources=(str(FIRST),)) == 0, "and not from those that it has turned away from"
    assert [item.step for item in read_run(FIRST).resumed] == [6, 6]
    got = left()
    for name in ("epochs", "metrics", "weights"):
        assert got[name] == expected[name], name


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    damage: str, capfd: pytest.CaptureFixture[str], whole: Callable[[], dict[str, object]]
) -> None:
    expected = whole()
    assert fit(end="on_train_batch_start 8 SIGTERM") == 143
    newest = SAVED / "each-step=9.ckpt"
    content = bytearray(newest.read_bytes())
    weights = torch.load(newest, weights_only=True)["state_dict"]["model.weight"]
    at = content.index(weights.numpy().tobytes())
    content[at] ^= 1
    newest.write_bytes({"cut": bytes(content[:-200]), "flipped": bytes(content), "empty": b""}[damage])
    damaged = newest.read_bytes()
    assert fit("--resume") == 0
    error = said(capfd.readouterr().err)
    assert "passed over: " in error
    assert f"{newest}' " in error
    assert {"cut": "is cut short", "flipped": "is damaged: Bad CRC-32", "empty": "is empty"}[damage] in error
    assert read_run(FIRST).resumed[0].step == 8
    got = left()
    for name in ("epochs", "metrics", "weights"):
        assert got[name] == expected[name], name
    assert newest.read_bytes() == damaged


def test_where_all_are_damaged_nothing_is_begun_anew(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(end="on_train_batch_start 8 SIGTERM") == 143
    for file in SAVED.glob("*"):
        file.write_bytes(b"PK\x03\x04")
    before = {file: file.read_bytes() for file in FIRST.rglob("*.*") if file.is_file() and file.name != ".lock"}
    assert fit("--resume") == 1
    error = said(capfd.readouterr().err).replace(" ", "")  # a long path may be folded
    assert all(file.name in error for file in SAVED.glob("*"))
    assert {file: file.read_bytes() for file in before} == before


def test_checkpoints_in_a_remote_place_are_not_taken_for_none(capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(end="on_train_batch_start 2 SIGKILL") == KILLED
    write_run(FIRST, replace(read_run(FIRST), checkpoints=(SavedCheckpoint("s3://bucket/last.ckpt"),)))
    before = (FIRST / "run.json").read_bytes()
    assert fit("--resume") == 1
    assert "'s3://bucket/last.ckpt' is in a remote place" in said(capfd.readouterr().err)
    assert (FIRST / "run.json").read_bytes() == before


def test_the_checkpoints_of_other_runs_in_one_folder_are_not_its_own() -> None:
    named = "=trainer::logger={_target_: pytorch_lightning.loggers.CSVLogger, save_dir: logs, version: mine}"
    here = Path("logs/lightning_logs/mine")
    assert fit(named, "system::optimizer::lr=0.5", end="on_train_batch_start 6 SIGTERM") == 143
    assert fit(named) == 0
    assert records() == [here, here / "run_2"]
    assert fit(named, "system::optimizer::lr=0.5", "--resume") == 0
    assert read_run(here).resumed[0].step == 7
    assert read_run(here).status == "completed"


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["config.yaml", "--resume", "--ckpt", "best"], "give one of the two"),
        (["config.yaml", "--resume", "trainer::fast_dev_run=true"], "a trial run leaves nothing"),
        (["lone.ckpt", "--resume"], "does not lie in the folder of a run"),
        ([str(FIRST), "--resume"], "is a run of test"),
    ],
)
def test_what_cannot_go_on_is_refused(arguments: list[str], text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert stage("test") == 0
    if arguments[0] == "lone.ckpt":
        assert fit("trainer::max_epochs=1", "=trainer::logger=false") == 0
        next(Path("checkpoints").glob("last.ckpt")).rename("lone.ckpt")
    capfd.readouterr()
    assert stage("fit", *arguments) == 2
    assert text in said(capfd.readouterr().err)
