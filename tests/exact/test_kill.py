from __future__ import annotations

import signal
from pathlib import Path

from .kill import STEPS, differing, final, start


def test_a_run_that_is_killed_ends_as_one_that_never_was_with_other_workers_too(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    running = start(whole)
    workers = "system::dataloaders::train::num_workers=2"
    assert start(cut, workers, kill_at=16).wait() == -signal.SIGKILL  # in the second epoch, in an accumulation
    assert start(cut).wait() == 0, (cut / "log.txt").read_text()
    assert running.wait() == 0, (whole / "log.txt").read_text()
    assert differing(final(whole), final(cut)) == []
    assert STEPS > 16
