from __future__ import annotations

from pathlib import Path

from lighter.runs.record.progress import inside


def test_a_path_is_told_from_the_runs_folder_and_an_url_without_its_password(tmp_path: Path) -> None:
    run = tmp_path.resolve()
    assert inside(str(run / "checkpoints/a.ckpt"), run) == "checkpoints/a.ckpt"
    assert inside(str(run.parent / "a.ckpt"), run) == str(run.parent / "a.ckpt")
    assert inside("ftp://me:password@host/a.ckpt", run) == "ftp://***@host/a.ckpt"
