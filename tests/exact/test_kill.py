"""Killed with SIGKILL wherever it may be, and resumed, a run ends as one that never was; there are more in the soak."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from .kill import VARIANTS, differing, final, fork, start, wait

pytestmark = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork"),
]


def test_a_command_that_is_killed_ends_as_one_that_never_was(tmp_path: Path) -> None:
    workers = "system::dataloaders::train::num_workers=2"
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert start(cut, workers, kill_at=40).wait() == -signal.SIGKILL  # in the second epoch
    assert start(cut).wait() == 0, (cut / "log.txt").read_text()
    assert wait(fork(whole)) == 0, (whole / "log.txt").read_text()
    assert differing(final(whole), final(cut)) == []


@pytest.mark.parametrize("variant", ["workers that stay", "module of one's own"])
def test_a_run_that_is_killed_anywhere_ends_as_one_that_never_was(variant: str, tmp_path: Path) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert wait(fork(whole, *VARIANTS[variant])) == 0, (whole / "log.txt").read_text()
    places = [random.randrange(20, 57), random.randrange(20)]  # 21 hooks are left at least, after the first
    for place in places:
        assert wait(fork(cut, *VARIANTS[variant], kill_at=place)) == -signal.SIGKILL, (cut / "log.txt").read_text()
    assert wait(fork(cut, *VARIANTS[variant])) == 0, (cut / "log.txt").read_text()
    assert differing(final(whole), final(cut)) == [], f"killed at {places}"
