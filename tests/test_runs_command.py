"""`lighter runs`: folders of runs as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lighter.cli import main
from lighter.runs.record.process import Process
from lighter.runs.record.run_file import Best
from made_runs import LOSS, commit, make_run
from workspace import workspace  # noqa: F401 - a fixture

HEAVY = ("torch", "pytorch_lightning", "numpy", "rich", "loguru", "sparkwheel", "yaml", "lighter.config")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path


@pytest.fixture
def three(here: Path) -> None:
    make_run("logs/a", "vars::lr=0.5", started="2026-01-01T00:00:00+00:00", losses=[0.5, 0.3, 0.4])
    make_run("logs/b", "trainer::max_epochs=7", started="2026-01-02T00:00:00+00:00", losses=[0.2])
    make_run(
        "logs/c", "vars::lr=0.5", started="2026-01-03T00:00:00+00:00", losses=[], status="failed", error="it broke"
    )


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["runs", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def names(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    return [line.split()[0] for line in said(capsys, *arguments).splitlines()[1:]]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["runs", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# --- the table


@pytest.mark.usefixtures("three")
def test_a_line_a_run_says_how_it_ended_and_what_sets_it_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == (
        "run     status     started            took  val/loss  config\n"
        "logs/a  completed  2026-01-01 00:00  12.5s       0.3  lr=0.5 max_epochs=3\n"
        "logs/b  completed  2026-01-02 00:00  12.5s       0.2  lr=0.1 max_epochs=7\n"
        "logs/c  failed     2026-01-03 00:00  12.5s            lr=0.5 max_epochs=3\n"
    )


def test_runs_of_other_config_files_are_no_neighbours(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text("trainer: {_target_: a.B}\nsystem: {_target_: c.D, odd: 1}\n")
    make_run("a")
    make_run("b", source="other.yaml")
    assert "=" not in said(capsys)
    make_run("c", "system::odd=2", source="other.yaml")
    assert [line.split()[6:] for line in said(capsys).splitlines()[1:]] == [[], ["odd=1"], ["odd=2"]]


def test_a_run_that_was_made_from_the_folder_of_another_is_its_neighbour(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run("logs/a", "vars::lr=0.5")
    again = make_run("logs/b", started="2026-01-02T00:00:00+00:00", sources=("logs/a",))
    make_run("logs/c", started="2026-01-03T00:00:00+00:00", sources=("logs/b",), config={**again.config, "vars::lr": 2})
    assert first.sources != again.sources
    assert [line.split()[-1] for line in said(capsys).splitlines()[1:]] == ["lr=0.5", "lr=0.1", "lr=2"]


def test_a_project_is_the_same_however_a_run_names_its_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, written in {"more/a": "code", "more/b": str(here / "code"), "more/c": "other"}.items():
        make_run(folder, f"project={written}", source="projects.yaml", project=str(here / written))
    assert main(["runs", "more/a", "more/b"]) == 0
    assert "project" not in capsys.readouterr().out
    assert main(["runs", "more"]) == 0
    assert capsys.readouterr().out.count("project=") == 3


@pytest.mark.usefixtures("workspace")
def test_real_runs_are_listed_with_the_metrics_that_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ["trainer::enable_progress_bar=false", "trainer::max_epochs=1"]
    keep = "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val/loss/epoch}]"
    assert main(["fit", "config.yaml", *quiet, keep]) == 0
    assert main(["fit", "config.yaml", *quiet, keep, "system::optimizer::lr=0.5"]) == 0
    assert main(["test", "config.yaml", *quiet, keep, "--ckpt", "last"]) == 0
    capsys.readouterr()
    head, *lines = said(capsys).splitlines()
    assert re.split(r"\s{2,}", head)[1:4] == ["status", "stage", "started"], "of which there are several"
    assert re.split(r"\s{2,}", head)[5:] == ["val/loss", "test/metrics/MulticlassAccuracy", "config"]
    assert [line.split()[:3] for line in lines] == [
        [f"logs/lightning_logs/version_{number}", "completed", stage]
        for number, stage in enumerate(("fit", "fit", "test"))
    ]
    assert lines[1].endswith("  lr=0.5")
    assert names(capsys, "--where", "system::optimizer::lr == 0.5") == ["logs/lightning_logs/version_1"]
    assert names(capsys, "--where", "stage == test and test/metrics/MulticlassAccuracy <= 1") == [
        "logs/lightning_logs/version_2"
    ]


def test_a_run_whose_process_is_gone_was_killed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    make_run("dead", status="running", process=Process(socket.gethostname(), done.pid))
    make_run("alive", status="running", process=Process(socket.gethostname(), os.getpid()))
    make_run("away", status="running", process=Process("elsewhere", 1))
    table = {line.split()[0]: line for line in said(capsys).splitlines()}
    assert table["dead"].split()[1] == "killed"
    assert table["alive"].split()[1] == "running"
    assert "running (on elsewhere)" in table["away"]
    assert names(capsys, "--where", "status ~ running") == ["alive", "away"]


def test_nothing_to_show_is_said_on_stderr(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert capsys.readouterr() == ("", "no runs in '.'\n")
    make_run("a")
    assert main(["runs", "--where", "epochs > 5"]) == 0
    assert capsys.readouterr() == ("", "that is true of none of 1 runs\n")
    assert main(["runs", "--where", "epochs > 5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": []}


@pytest.mark.usefixtures("three")
def test_a_broken_record_is_a_warning_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/b/run.json").write_text('{"stage": "fit"')
    assert main(["runs"]) == 0
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["run", "logs/a", "logs/c"]
    assert re.fullmatch(r"warning: 'logs/b/run.json' is not the record of a run: .*\n", captured.err)


def test_a_name_that_would_move_the_cursor_is_escaped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a\x1b[2J")
    assert "a\\x1b[2J" in said(capsys)


def on_a_terminal(width: int, *arguments: str) -> list[str]:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    done = subprocess.Popen([sys.executable, "-m", "lighter", "runs", *arguments], stdout=follower, env=environment)
    os.close(follower)
    text = b""
    while True:
        try:
            chunk = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        text += chunk
    os.close(leader)
    assert done.wait() == 0
    return text.decode().splitlines()


@pytest.mark.usefixtures("three")
def test_on_a_terminal_lines_fit_and_have_colours() -> None:
    lines = on_a_terminal(70)
    plain = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
    assert max(map(len, plain)) <= 70
    assert plain[1].endswith("lr=0.5 max_epoc…")
    assert "\x1b[31mfailed\x1b[0m" in lines[3]
    assert on_a_terminal(200)[1].endswith("lr=0.5 max_epochs=3")
    narrow = [re.sub(r"\x1b\[\d*m", "", line) for line in on_a_terminal(40)]
    assert max(map(len, narrow)) <= 40
    assert narrow[1].startswith("logs/a  completed")


# --- sorting and choosing


@pytest.mark.usefixtures("three")
def test_a_metric_sorts_the_best_first_and_what_lacks_it_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, "--sort", "val/loss") == ["logs/b", "logs/a", "logs/c"]
    make_run("logs/d", best=(Best("val/acc", "max", 0.9, ""),), metrics={"val/acc": 0.1})
    make_run("logs/e", best=(Best("val/acc", "max", 0.8, ""),), metrics={"val/acc": 0.8})
    make_run("logs/f", best=(), metrics={"val/acc": float("nan")})
    assert names(capsys, "--sort", "val/acc")[:2] == ["logs/d", "logs/e"]
    assert "logs/f" in names(capsys, "--sort", "val/acc")[2:]


@pytest.mark.usefixtures("three")
def test_fields_and_settings_sort_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, "--sort", "started") == ["logs/a", "logs/b", "logs/c"]
    assert names(capsys, "--sort", "lr") == ["logs/b", "logs/a", "logs/c"]
    assert names(capsys, "--sort", "epochs") == ["logs/c", "logs/b", "logs/a"]
    assert names(capsys, "--sort", "error") == ["logs/c", "logs/a", "logs/b"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("status == completed and val/loss/epoch < 0.3", ["b"]),
        ("system::optimizer::lr == 0.5", ["a", "c"]),  # behind a reference
        ("lr == 0.5 and not status == failed", ["a"]),
        ("val/loss < 1", ["a", "b"]),
        ("not val/loss < 1", []),
        ("name ~ /c or max_epochs == 7", ["b", "c"]),
        ("optimizer ~ SGD and epochs == 3", ["a"]),
        ("error ~ broke", ["c"]),
        ("started < 2026-01-02", ["a"]),
        ("device == cpu and seconds > 12 and host == " + socket.gethostname(), ["a", "b", "c"]),
    ],
)
def test_where_chooses_runs(where: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--where", where]) == 0
    assert re.findall(r"^logs/(\w)", capsys.readouterr().out, re.MULTILINE) == expected


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--where", "statsu == x"], "path 'statsu'\n  did you mean 'status'?\n"),
        (["--where", "val/los < 1"], "path 'val/los'\n  did you mean 'val/loss'?\n"),
        (["--sort", "optimiser"], "path 'optimiser'\n  did you mean 'optimizer'?\n"),
        (["--sort", "system::optimizer::rl"], "did you mean 'system::optimizer::lr'?"),
        (["--sort", "_target_"], "'_target_' may be one of trainer::_target_, "),
        (["--where", "status = x"], "error: --where: equal is written ==\n  status = x\n         ^\n"),
        (["--json", "--csv"], "error: either --json or --csv\n"),
        (["nowhere"], "error: there is no folder 'nowhere'\n"),
        (["config.yaml"], "error: 'config.yaml' is not a folder\n"),
        (["--sort"], "error: --sort needs a value\n  --sort NAME\n"),
        (["--short", "lr"], "did you mean '--sort'?"),
    ],
)
def test_a_mistake_is_told_with_its_mend(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told in refused(capsys, *arguments)


# --- for programs


@pytest.mark.usefixtures("three")
def test_json_has_all_of_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("logs/d", metrics={LOSS: float("nan")}, git=commit("a", dirty=True), started="2026-02-01")
    text = said(capsys, "--json")
    runs: list[dict[str, Any]] = json.loads(text, parse_constant=lambda _: pytest.fail("not JSON"))["runs"]
    assert [run["name"] for run in runs] == ["logs/a", "logs/b", "logs/c", "logs/d"]
    record = json.loads(Path("logs/d/run.json").read_text(encoding="utf-8"))
    assert runs[3] == {"name": "logs/d", **record, "differs": {"vars::lr": 0.1, "trainer::max_epochs": 3}}
    assert runs[3]["metrics"] == {LOSS: "nan"}
    assert runs[0]["config"]["vars::lr"] == 0.5


@pytest.mark.usefixtures("three")
def test_csv_has_fields_metrics_and_config(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, "--csv", "--sort", "name"))))
    assert [row["name"] for row in rows] == ["logs/a", "logs/b", "logs/c"]
    assert (rows[0][LOSS], rows[0][f"best:{LOSS}"], rows[2][LOSS]) == ("0.4", "0.3", "")
    assert (rows[1]["vars::lr"], rows[1]["trainer::max_epochs"], rows[2]["status"]) == ("0.1", "7", "failed")
    assert rows[2]["error"] == "it broke"


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("arguments", [[], ["--where", "lr < 1", "--sort", "val/loss"], ["--json"], ["--csv"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        "import sys; from lighter.cli import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, "runs", *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "logs/a" in done.stdout


def test_many_runs_take_no_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run_0")
    record = Path("run_0/run.json").read_text(encoding="utf-8")
    for number in range(1, 300):
        folder = Path(f"run_{number}")
        folder.mkdir()
        (folder / "run.json").write_text(record.replace('"vars::lr": 0.1', f'"vars::lr": {number}'), encoding="utf-8")
    began = time.process_time()
    assert len(names(capsys, "--where", "lr > 0", "--sort", "lr")) == 300
    assert time.process_time() - began < 2  # of a thousand, benchmarks/thousand_runs.py tells
