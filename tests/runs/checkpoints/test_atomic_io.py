"""Checkpoints that cannot be written, and those that a kill left half written."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from lighter.errors import RunError
from lighter.runs.checkpoints.atomic_io import AtomicCheckpointIO, failure_of, remove_stale
from lighter.runs.checkpoints.folders import write_atomically
from lighter.runs.record.run_file import read_run
from runs.ending import FIRST, SAVED, fit, parts, said, table  # noqa: F401 - a fixture
from workspace import workspace  # noqa: F401 - a fixture

SMALL, LARGE = {"x": torch.zeros(1000)}, {"x": torch.zeros(1_000_000)}


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


# --- one checkpoint


def test_it_is_whole_or_not_there(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(SMALL, tmp_path / "new" / "a.ckpt")
    assert torch.load(tmp_path / "new/a.ckpt", weights_only=True)["x"].shape == (1000,)
    assert names(tmp_path / "new") == ["a.ckpt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_ends_it_in_between_leaves_the_one_before(tmp_path: Path, error: type[BaseException]) -> None:
    class Ends:
        def __reduce__(self) -> str:
            raise error("in between")

    AtomicCheckpointIO().save_checkpoint(SMALL, tmp_path / "a.ckpt")
    before = (tmp_path / "a.ckpt").read_bytes()
    with pytest.raises(error, match="in between"):
        AtomicCheckpointIO().save_checkpoint({**LARGE, "end": Ends()}, tmp_path / "a.ckpt")
    assert names(tmp_path) == ["a.ckpt"]
    assert (tmp_path / "a.ckpt").read_bytes() == before


def test_a_file_that_may_not_grow_is_a_clear_error(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(SMALL, tmp_path / "a.ckpt")
    before = (tmp_path / "a.ckpt").read_bytes()
    with no_file_larger_than(1_000_000), pytest.raises(RunError, match="File too large") as raised:
        AtomicCheckpointIO().save_checkpoint(LARGE, tmp_path / "a.ckpt")
    assert f"the checkpoint '{tmp_path}/a.ckpt' cannot be written" in str(raised.value)
    assert str(raised.value).endswith(
        "File too large (it needs 4.0 MB); earlier checkpoints are whole\n"
        "  raise the limit on the size of a file (ulimit -f), and go on with --resume"
    )
    assert names(tmp_path) == ["a.ckpt"]
    assert (tmp_path / "a.ckpt").read_bytes() == before


def test_what_is_needed_is_what_the_file_would_take(tmp_path: Path) -> None:
    checkpoint = {**SMALL, "lines": [f"line {number}" for number in range(5000)]}
    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")
    size = (tmp_path / "a.ckpt").stat().st_size
    with no_file_larger_than(1000), pytest.raises(RunError, match=f"it needs {size / 1e3:,.1f} kB"):
        AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "b.ckpt")


def test_a_quota_is_no_full_disk(tmp_path: Path) -> None:
    error = failure_of(tmp_path / "a.ckpt", OSError(errno.EDQUOT, "Disk quota exceeded"), SMALL)
    assert re.search(r"exceeded \(it needs [\d.]+ kB\); earlier .*\n  make room within your quota, and go", str(error))


def test_a_file_that_torch_cannot_write_to_its_end_is_a_clear_error(tmp_path: Path) -> None:
    """Lightning has torch write a part of a sharded checkpoint by its path, and the system's error is lost then."""
    with no_file_larger_than(1_000_000), pytest.raises(RuntimeError) as raised:
        torch.save(LARGE, tmp_path / "meta.pt")
    error = failure_of(tmp_path / "a.ckpt", raised.value)
    assert "a.ckpt' cannot be written: torch could not write all of a file (" in str(error)
    assert "are free); earlier checkpoints are whole\n  make room" in str(error)


def test_a_full_disk_is_told_with_what_is_free(disk: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(SMALL, disk / "a.ckpt")
    with pytest.raises(RunError, match=r"No space left on device \(it needs 4.0 MB, 3.1 MB are free\)"):
        AtomicCheckpointIO().save_checkpoint(LARGE, disk / "b.ckpt")
    assert names(disk) == ["a.ckpt"]


def test_a_read_only_disk_is_a_clear_error(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(RunError, match="cannot be written: Read-only file system"):
        AtomicCheckpointIO().save_checkpoint(SMALL, disk / "new" / "a.ckpt")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(RunError, match="cannot be written: Permission denied"):
        AtomicCheckpointIO().save_checkpoint(SMALL, tmp_path / "locked/a.ckpt")


def test_an_error_that_is_not_of_writing_is_raised_as_it_is(tmp_path: Path) -> None:
    try:
        raise OSError(28, "an earlier one")
    except OSError:
        with pytest.raises(Exception, match="lambda"):
            AtomicCheckpointIO().save_checkpoint({"x": lambda: None}, tmp_path / "a.ckpt")
    assert names(tmp_path) == []


def test_a_way_of_ones_own_is_left_alone() -> None:
    class Own(TorchCheckpointIO):
        pass

    ours, own = pl.Trainer(logger=False), pl.Trainer(logger=False, plugins=[Own()])
    for trainer in (ours, own):
        write_atomically(trainer)
    assert isinstance(ours.strategy.checkpoint_io, AtomicCheckpointIO)
    assert isinstance(own.strategy.checkpoint_io, Own)


def test_only_what_nobody_is_writing_is_stale(tmp_path: Path) -> None:
    own, shared = tmp_path / "run" / "checkpoints", tmp_path / "shared"
    for folder in (own, shared):
        folder.mkdir(parents=True)
        for name in (".new.ckpt.7.tmp", ".old.ckpt.7.tmp", "kept.ckpt"):
            (folder / name).touch()
        os.utime(folder / ".old.ckpt.7.tmp", (0, 0))
    (shared / ".finished.ckpt.7.tmp").symlink_to(tmp_path / "gone")  # as one that is renamed just now
    remove_stale([own, shared, tmp_path / "gone"], tmp_path / "run")
    (shared / ".finished.ckpt.7.tmp").unlink()
    assert names(own) == ["kept.ckpt"]
    assert names(shared) == [".new.ckpt.7.tmp", "kept.ckpt"]


# --- a run


@pytest.mark.usefixtures("workspace", "parts")
def test_a_run_on_a_full_disk_fails_with_its_checkpoints_whole_and_goes_on_when_there_is_room(
    disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("logs").symlink_to(disk)
    wide = [
        "=system::model={_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.Linear, in_features: 4, "
        "out_features: 50000}, {_target_: torch.nn.Linear, in_features: 50000, out_features: 2}]}",
        "=trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1}]",
    ]
    assert fit(*wide) == 1
    error = said(capfd.readouterr().err)
    assert "error: the checkpoint 'logs/lightning_logs/version_0/checkpoints/epoch=2-step=12.ckpt' cannot be" in error
    assert "No space left on device (it needs 1.4 MB, " in error
    assert names(SAVED) == ["epoch=0-step=4.ckpt", "epoch=1-step=8.ckpt"]
    assert [torch.load(file, weights_only=True)["global_step"] for file in sorted(SAVED.iterdir())] == [4, 8]
    assert read_run(FIRST).status == "failed"
    subprocess.run(["mount", "-o", "remount,size=30m", disk], check=True)
    assert fit(*wide, "--resume") == 0
    assert [item.step for item in read_run(FIRST).resumed] == [8]
    assert [row["epoch"] for row in table("epochs.csv")] == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("workspace", "parts")
def test_a_kill_in_the_middle_of_saving_leaves_the_checkpoint_before_and_nothing_that_stays() -> None:
    text = Path("proj/ends.py").read_text()
    Path("proj/ends.py").write_text(f"{text}\n    def state_dict(self):\n        return {{'dies': Dies(self)}}\n{DIES}")
    assert fit(environment={"DIE_AT": "each-step=6"}) == -9
    assert "each-step=3.ckpt" in names(SAVED)
    assert [name for name in names(SAVED) if name.endswith(".tmp")]
    assert "each-step=6.ckpt" not in names(SAVED)
    assert fit("--resume") == 0
    assert [name for name in names(SAVED) if name.endswith(".tmp")] == []
    assert read_run(FIRST).resumed[0].step == 4


DIES = """
class Dies:
    def __init__(self, callback):
        self.at = getattr(callback, "at", 0)
    def __reduce__(self):
        import traceback
        saved = [str(frame.f_locals.get("path")) for frame, _ in traceback.walk_stack(None)]
        if any(os.environ.get("DIE_AT", "nowhere") in path for path in saved):
            os.kill(os.getpid(), signal.SIGKILL)
        import collections
        return (collections.OrderedDict, ())
"""
