"""Fits with a scheduler whose length is fixed, and what a run that is over may still do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from lighter.cli import main
from lighter.runs.record.run_file import read_run
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

FIRST = Path("logs/lightning_logs/version_0")
QUIET = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false"]
CYCLE = (
    "system::scheduler={scheduler: {_target_: torch.optim.lr_scheduler.OneCycleLR, optimizer: '@system::optimizer',"
    " max_lr: 0.1, total_steps: %s}, interval: step}"
)
STOP = (  # after the first epoch
    "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss/epoch,"
    " divergence_threshold: 0.0}]"
)
OF_THE_FIT = CYCLE % "$@trainer.estimated_stepping_batches"


def fit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a fit, and return its status and all that was printed, on one line."""
    status = main(["fit", *arguments])
    captured = capsys.readouterr()
    return status, " ".join((captured.out + captured.err).split())


def test_a_run_that_was_as_long_as_its_scheduler_cannot_be_longer_and_is_not_said_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fit(capsys, "config.yaml", *QUIET, OF_THE_FIT)[0] == 0
    status, text = fit(capsys, str(FIRST), "--resume")
    assert status == 0
    assert "nothing is left to do: 2 epochs, 8 steps" in text
    assert "do more" not in text
    before = (FIRST / "run.json").read_bytes()
    status, text = fit(capsys, str(FIRST), "trainer::max_epochs=4", "--resume")
    assert status == 1
    assert re.search(rf"{FIRST}/config.yaml:\d+:\d+: system::scheduler: has taken all of its 8 steps", text)
    assert "'~system::scheduler'" in text
    assert (FIRST / "run.json").read_bytes() == before
    assert fit(capsys, str(FIRST), "trainer::max_epochs=3", "~system::scheduler", "--resume")[0] == 0
    assert read_run(FIRST).epochs == 3


def test_a_scheduler_that_comes_to_its_end_before_the_fit_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = fit(capsys, "config.yaml", *QUIET, CYCLE % 5)
    assert status == 1
    assert "system::scheduler: has taken all of its 5 steps, and there are more to train" in text
    assert "'$@trainer.estimated_stepping_batches'" in text
    assert str(read_run(FIRST).error).startswith("override")
    assert "has taken all of its 5 steps" in str(read_run(FIRST).error)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create")
def test_a_run_that_stopped_within_its_scheduler_is_told_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(capsys, "config.yaml", *QUIET, OF_THE_FIT, STOP)[0] == 0
    assert read_run(FIRST).steps == 4
    longer = [str(FIRST), "trainer::max_epochs=4", "~trainer::callbacks::0", "--resume"]
    status, text = fit(capsys, *longer)
    assert status == 1
    assert "system::scheduler: has taken all of its 8 steps, and there are more to train" in text
    assert "'~system::scheduler'" in text
    status, text = fit(capsys, str(FIRST), "--resume")  # now it has nothing left from the first step on
    assert status == 1
    assert "has taken all of its 8 steps" in text
    assert read_run(FIRST).resumed[1:] == ()


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        (["trainer::max_epochs=1"], "trainer::max_epochs=2"),
        (["trainer::max_epochs=-1", "trainer::max_steps=3"], "trainer::max_steps=6"),
        (["=trainer::max_epochs=1", "trainer::max_steps=4"], "trainer::max_epochs=2 trainer::max_steps=8"),
    ],
)
def test_what_is_said_to_do_more_does_more(overrides: list[str], more: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(capsys, "config.yaml", *QUIET, *overrides)[0] == 0
    steps = read_run(FIRST).steps
    _, text = fit(capsys, "config.yaml", *QUIET, *overrides, "--resume")
    command = f"lighter fit {FIRST} {more} --resume"
    assert command in text
    assert fit(capsys, *command.split()[2:])[0] == 0
    assert read_run(FIRST).steps == 2 * steps


def test_a_run_that_was_stopped_early_is_not_said_to_do_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(capsys, "config.yaml", *QUIET, STOP)[0] == 0
    text = fit(capsys, str(FIRST), "--resume")[1]
    assert "nothing is left to do: 1 epoch, 4 steps" in text
    assert "do more" not in text


def test_torch_still_says_it_as_it_did() -> None:
    scheduler = OneCycleLR(torch.optim.SGD([torch.zeros(1)], lr=0.1), 0.1, total_steps=1)
    scheduler.optimizer.step()
    scheduler.step()
    with pytest.raises(ValueError, match="The specified number of total steps is 1"):
        scheduler.step()
