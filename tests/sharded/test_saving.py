"""A save that fails, or in which ranks die, leaves the checkpoint before whole, and the run goes on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lighter.errors import LighterError
from lighter.runs.checkpoints.file import check_checkpoint
from lighter.runs.record.run_file import read_run

from .parts import HALF, MARKS, MESH, run

pytestmark = MARKS

OPTIONS: dict[str, dict[str, Any]] = {"FSDP": {"state_dict_type": "sharded"}, "Mesh": MESH}


def strategy(target: str, **options: object) -> str:
    given = "".join(f", {name}: {value}" for name, value in options.items())
    return f"trainer::strategy={{_target_: {target}{given}}}"


@pytest.mark.parametrize(
    ("how", "kind", "ranks", "message"),
    [
        ("Cramped", "FSDP", [1], r"epoch=1.ckpt' cannot be written: File too large; earlier checkpoints are whole"),
        ("Killed", "FSDP", [0, 1], r"rank \d was killed by SIGKILL"),
        ("Killed", "Mesh", [1], "rank 1 was killed by SIGKILL"),
    ],
)
def test_a_run_goes_on_from_the_checkpoint_before(
    how: str, kind: str, ranks: list[int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails = strategy(f"sharded.failing.{how}{kind}", ranks=ranks, **OPTIONS[kind])
    with pytest.raises(LighterError, match=message):
        run("fit", "first", "trainer::devices=2", fails, *HALF)
    (folder,) = Path("logs").glob("*/version_0")
    saved = folder / "checkpoints"
    assert sorted(path.name for path in saved.glob("*.ckpt")) == ["epoch=0.ckpt", "last.ckpt"]
    for path in saved.glob("*.ckpt"):
        check_checkpoint(path)
    whole = strategy(f"sharded.parts.Forked{kind}")
    assert len(run("fit", "second", "~trainer::strategy::ranks", whole, source=str(folder), resume=True)) == 2
    record = read_run(folder)
    assert (record.status, record.epochs, record.resumed[0].step) == ("completed", 2, 3)
    assert sorted(path.name for path in saved.iterdir()) == ["epoch=0.ckpt", "epoch=1.ckpt", "last.ckpt"]


def test_parts_on_a_disk_that_is_not_shared_are_missed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fails = strategy("sharded.failing.ElsewhereFSDP", ranks=[1], **OPTIONS["FSDP"])
    with pytest.raises(
        LighterError, match="the parts of some ranks are not there\n  all nodes need a disk that they share"
    ):
        run("fit", "first", "trainer::devices=2", fails, *HALF)
    assert sorted(path.name for path in Path("logs").glob("*/version_0/checkpoints/*")) == ["epoch=0.ckpt", "last.ckpt"]
