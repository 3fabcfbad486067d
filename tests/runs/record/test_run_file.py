from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lighter.errors import ConfigError
from lighter.runs.record.git import Git
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Best, Devices, Run, SavedCheckpoint, create_run, instant, read_run, write_run

RUN = Run(
    stage="fit",
    command="lighter fit 'ü.yaml'",
    working_folder="/w",
    sources=("ü.yaml",),
    overrides=("a=1",),
    process=this_process(),
    started="2026-01-01T00:00:00.000+00:00",
    metrics={"a": 1.5, "worst": -math.inf},
    best=(Best("a", "min", 0.25, "x.ckpt"),),
    checkpoints=(SavedCheckpoint("x.ckpt", "a", math.inf), SavedCheckpoint("last.ckpt")),
    git=Git("/w", "abc", dirty=False),
    devices=Devices("cpu", 1, 1, "SingleDevice"),
    packages={"torch": "2"},
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    create_run(tmp_path, RUN)
    assert read_run(tmp_path) == RUN
    write_run(tmp_path, replace(RUN, status="failed", error="\ud800 is no text".encode("utf-8", "replace").decode()))
    assert read_run(tmp_path).error == "? is no text"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_it_is_json_as_others_read_it(tmp_path: Path) -> None:
    create_run(tmp_path, replace(RUN, metrics={"a": math.nan}))
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=lambda _: pytest.fail("not JSON"))["metrics"] == {"a": "nan"}
    assert math.isnan(read_run(tmp_path).metrics["a"])


def test_it_is_created_once(tmp_path: Path) -> None:
    create_run(tmp_path, RUN)
    with pytest.raises(FileExistsError):
        create_run(tmp_path, replace(RUN, stage="test"))
    assert read_run(tmp_path).stage == "fit"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_it_is_created_once_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", link)
    test_it_is_created_once(tmp_path)


def test_what_a_newer_version_adds_is_passed_over(tmp_path: Path) -> None:
    create_run(tmp_path, RUN)
    file = tmp_path / "run.json"
    data = json.loads(file.read_text())
    data["git"]["branch"] = data["mood"] = "new"
    file.write_text(json.dumps(data))
    assert read_run(tmp_path) == RUN


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stage": 1}', '{"best": 3, "process": []}', "[" * 100_000])
def test_what_is_no_record_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run.json' is not the record of a run"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["sources", "overrides", "hidden", "logs"])
@pytest.mark.parametrize("value", ["text", [1], None])
def test_a_record_with_other_than_texts_in_a_list_of_texts_is_none(tmp_path: Path, name: str, value: object) -> None:
    create_run(tmp_path, RUN)
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(ConfigError, match="is no list of texts"):
        read_run(tmp_path)


def test_a_time_that_is_none_is_long_ago() -> None:
    assert instant("2026-01-01T00:00:00+00:00") > instant("2025-12-31T23:59:59+00:00") > instant("now")
    assert instant("0001-01-01") <= 0


def test_reading_needs_no_torch() -> None:
    modules = [f"lighter.runs.record.{name}" for name in ("run_file", "environment", "git", "metrics_file", "secrets")]
    code = f"import sys, {', '.join(modules)}\nprint([name for name in ('torch', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
