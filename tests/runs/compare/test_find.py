from __future__ import annotations

from pathlib import Path

import pytest

from lighter.errors import UsageError
from lighter.runs.compare.find import DEEPEST, find_runs, read_runs
from made_runs import make_run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mark(*folders: str) -> None:
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "run.json").touch()


def found(*folders: str) -> set[str]:
    return {str(folder) for folder in find_runs(folders or (".",))}


def test_runs_are_found_at_any_depth_and_inside_other_runs() -> None:
    mark("a", "a/run_2", "logs/lightning_logs/version_0", "sweep/x/y/z/version_1")
    assert found() == {"a", "a/run_2", "logs/lightning_logs/version_0", "sweep/x/y/z/version_1"}


def test_the_folder_that_is_given_may_be_a_run() -> None:
    mark("a", "b")
    assert found("a") == {"a"}
    assert found("a", "b") == {"a", "b"}


def test_each_is_found_once() -> None:
    mark("logs/a")
    Path("other").symlink_to("logs")
    assert found(".", "logs", "logs/a") == {"logs/a"}


def test_what_holds_no_runs_is_passed_over() -> None:
    mark(
        ".hidden/a",
        "node_modules/a",
        "a/checkpoints/b",
        "a/x.ckpt/b",
        "a/__pycache__",
        "lib/site-packages/a",
        "venv/logs",
    )
    Path("venv/pyvenv.cfg").touch()
    assert found() == set()


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    mark("far/away/run")
    Path("near").mkdir()
    Path("near/link").symlink_to(tmp_path / "far", target_is_directory=True)
    Path("far/away/back").symlink_to(tmp_path / "near", target_is_directory=True)
    Path("near/nowhere").symlink_to("nothing")
    assert found("near") == {"near/link/away/run"}


def test_it_goes_only_so_deep() -> None:
    mark("/".join(["d"] * DEEPEST), "/".join(["e"] * (DEEPEST + 1)))
    assert found() == {"/".join(["d"] * DEEPEST)}


@pytest.mark.parametrize(("name", "said"), [("nowhere", "there is no folder"), ("file", "is not a folder")])
def test_what_is_no_folder_is_an_error(name: str, said: str) -> None:
    Path("file").touch()
    with pytest.raises(UsageError, match=said):
        find_runs([name])


def test_runs_come_in_the_order_that_they_began_wherever_their_clock_stood() -> None:
    make_run("late", started="2026-01-01T10:00:00.000+00:00")
    make_run("early", started="2026-01-01T10:30:00.000+02:00")
    make_run("odd", started="once upon a time")
    runs, broken = read_runs(["."])
    assert [str(item.folder) for item in runs] == ["odd", "early", "late"]
    assert broken == []


def test_a_broken_record_is_told_and_the_rest_is_read() -> None:
    make_run("good")
    good = Path("good/run.json").read_text(encoding="utf-8")
    odd = good.replace('"status": "completed"', '"status": {}')
    for name, text in {"cut": good[:-9], "list": "[]", "odd": odd, "binary": "\0\1"}.items():
        mark(name)
        Path(name, "run.json").write_text(text)
    Path("folder/run.json").mkdir(parents=True)
    runs, broken = read_runs(["."])
    assert [str(item.folder) for item in runs] == ["good"]
    assert len(broken) == 5
    assert all("run.json" in message for message in broken)
    assert "'folder/run.json' cannot be read: Is a directory" in broken
