"""`lighter diff`: what is not the same in runs, checkpoints and configs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lighter.cli import main
from lighter.runs.record.git import Git
from lighter.runs.record.run_file import Devices
from made_runs import CONFIG, LOSS, commit, make_run
from workspace import workspace  # noqa: F401 - a fixture

HEAVY = ("torch", "pytorch_lightning", "numpy", "rich", "loguru", "sparkwheel")
RAN = "2026-01-01 00:00"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path


def diff(capsys: pytest.CaptureFixture[str], *sides: str) -> str:
    assert main(["diff", *sides]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def data(capsys: pytest.CaptureFixture[str], *sides: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(diff(capsys, *sides, "--json"), parse_constant=lambda _: pytest.fail("not JSON"))
    return found


def refused(capsys: pytest.CaptureFixture[str], *sides: str) -> str:
    assert main(["diff", *sides]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def config_section(text: str) -> str:
    """Return the part of a text about the config."""
    return next(part for part in text.split("\n\n") if part.startswith("config"))


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


# --- the whole of it


def test_two_runs_that_are_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", git=commit("a"))
    make_run("b", git=commit("a"))
    assert diff(capsys, "a", "b") == (
        f"A  a  run, fit, completed, {RAN}\n"
        f"B  b  run, fit, completed, {RAN}\n"
        "\n"
        "config: the same\n"
        "\n"
        "code: the same, aaaaaaaaaa with no changes\n"
        "\n"
        "environment: the same\n"
        "\n"
        "metrics: the same\n"
    )


def test_two_runs_that_differ_in_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", git=commit("a"), status="failed")
    overrides = ("vars::lr=0.5", "~trainer::max_epochs", "trainer::devices=2")
    make_run(
        "b",
        *overrides,
        git=commit("b"),
        losses=[0.75],
        packages={"torch": "2.10.0", "numpy": "2.0.0", "extra": "1"},
        devices=Devices("cuda", 2, 1, "DDP", "A card"),
    )
    assert diff(capsys, "a", "b") == (
        f"A  a  run, fit, failed, {RAN}\n"
        f"B  b  run, fit, completed, {RAN}\n"
        "\n"
        "config\n"
        "  vars::lr\n"
        "    A  0.1\n"
        "    B  0.5  override 'vars::lr=0.5'\n"
        "  trainer::max_epochs\n"
        "    A  3\n"
        "    B  -  override '~trainer::max_epochs'\n"
        "  trainer::devices\n"
        "    A  -\n"
        "    B  2  override 'trainer::devices=2'\n"
        "\n"
        "code\n"
        "  A  aaaaaaaaaa\n"
        "  B  bbbbbbbbbb\n"
        "\n"
        "environment\n"
        "               A             B\n"
        "  accelerator  cpu           cuda\n"
        "  devices      1             2\n"
        "  strategy     SingleDevice  DDP\n"
        "  device       -             A card\n"
        "  extra        -             1\n"
        "  torch        2.9.0         2.10.0\n"
        "\n"
        "metrics\n"
        "                            A     B\n"
        "  val/loss/epoch         0.25  0.75\n"
        "  val/loss/epoch (best)  0.25  0.75\n"
    )


def test_it_gives_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", git=commit("a"))
    make_run("b", "vars={lr: .nan, more: {x: .inf}}", git=commit("b"), metrics={LOSS: float("nan")})
    assert data(capsys, "a", "b") == {
        "sides": [{"name": "a", "kind": "run", "run": "a"}, {"name": "b", "kind": "run", "run": "b"}],
        "config": [
            {
                "path": "vars::lr",
                "sides": [
                    {"value": 0.1, "origin": None},
                    {"value": "nan", "origin": "override 'vars={lr: .nan, more: {x: .inf}}'"},
                ],
            },
            {
                "path": "vars::more",
                "sides": [None, {"value": {"x": "inf"}, "origin": "override 'vars={lr: .nan, more: {x: .inf}}'"}],
            },
        ],
        "recorded": [0, 1],
        "code": {"commits": ["a" * 40, "b" * 40], "apart": None, "uncommitted": {}},
        "environment": [],
        "metrics": [{"name": LOSS, "values": [0.25, "nan"]}],
    }


def test_three_sides_of_different_kinds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", "vars::lr=0.5")
    make_run("b")
    text = diff(capsys, "a", "b", "config.yaml")
    assert config_section(text) == (
        "config\n  vars::lr\n    A  0.5  override 'vars::lr=0.5'\n    B  0.1\n    C  0.1  config.yaml:1"
    )
    assert "C  config.yaml  config\n" in text
    assert "code: no commit is known\n" in text
    assert "code, environment and metrics are not compared: only A has a record" in diff(capsys, "a", "config.yaml")
    assert "not compared: no side has a record of a run" in diff(capsys, "config.yaml", "config.yaml")


# --- configs


def test_order_formatting_and_comments_never_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", CONFIG + "seed: 1\n")
    write(
        "b.yaml",
        "# a comment\nseed: 0x1\nsystem:\n  optimizer:\n    lr: '%vars::lr'\n    params: $@system::model.parameters()\n"
        "    _target_: torch.optim.SGD\n  model: &m\n    out_features: 2\n    in_features: 4\n"
        "    _target_: torch.nn.Linear\n  _target_: lighter.System\n"
        "trainer::max_epochs: 3\ntrainer: {_target_: pytorch_lightning.Trainer}\nvars: {lr: 1e-1}\n",
    )
    assert "config: the same\n" in diff(capsys, "a.yaml", "b.yaml")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "true"),
        ("1", "'1'"),
        ("null", "''"),
        ("[1, 2]", "[2, 1]"),
        ("[]", "{}"),
        ("{a: null}", "{}"),
    ],
)
def test_values_that_are_not_the_same(one: str, other: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", f"{CONFIG}args: {{fit: {one}}}\n")
    write("b.yaml", f"{CONFIG}args: {{fit: {other}}}\n")
    assert config_section(diff(capsys, "a.yaml", "b.yaml")).startswith("config\n  args::fit")


def test_nan_is_the_same_as_nan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", CONFIG.replace("0.1", ".nan"))
    write("b.yaml", CONFIG.replace("0.1", ".NaN"))
    assert "config: the same\n" in diff(capsys, "a.yaml", "b.yaml")


def test_what_one_lacks_is_one_difference_and_folded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", f"{CONFIG}args: {{fit: [1]}}\n")
    big = ", ".join(f"key_{number}: {number}" for number in range(50))
    write("b.yaml", f"{CONFIG}args:\n  fit:\n    - 1\n    - {{{big}}}\n")
    text = config_section(diff(capsys, "a.yaml", "b.yaml"))
    assert text.startswith("config\n  args::fit::1\n    A  -\n    B  {key_0: 0, ")
    assert text.endswith("key_49: 49}  b.yaml:10")
    assert max(map(len, text.splitlines())) < 100


def test_several_files_are_one_side(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", CONFIG)
    write("more.yaml", "vars:\n  lr: 0.3\n")
    assert config_section(diff(capsys, "a.yaml", "a.yaml,more.yaml")) == (
        "config\n  vars::lr\n    A  0.1  a.yaml:1\n    B  0.3  more.yaml:2"
    )


@pytest.mark.parametrize(
    ("override", "path", "origin"),
    [
        ("system={model: {in_features: 5}}", "system::model::in_features", True),
        ("system={model: {in_features: 4}, inferer: 1}", "system::inferer", True),
        ("=system::model={_target_: torch.nn.Identity}", "system::model::_target_", True),
        ("vars::list+=[3]", "vars::list::2", True),
        ("vars::list::-1=5", "vars::list::1", True),
        ("vars={other: 1}", "vars::lr", False),
    ],
)
def test_an_override_is_the_origin_of_what_it_sets(
    override: str, path: str, origin: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("config.yaml", CONFIG.replace("lr: 0.1", "lr: 0.1, list: [1, 2]"))
    make_run("a", override)
    write("config.yaml", CONFIG.replace("lr: 0.1", "lr: 0.2, list: [1, 2]"))
    make_run("b")
    found = {item["path"]: item["sides"] for item in data(capsys, "a", "b")["config"]}
    assert found[path][0]["origin"] == (f"override {override!r}" if origin else None)


def test_an_override_that_had_a_secret_in_it_does_no_harm(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", "vars::lr=0.5")
    record = Path("a/run.json")
    record.write_text(record.read_text().replace("vars::lr=0.5", "vars::key=*** {").replace("2026-01", "2026-02"))
    make_run("b")
    assert "    A  0.5\n" in diff(capsys, "a", "b")


# --- real runs


@pytest.mark.usefixtures("workspace")
def test_a_real_run_its_checkpoint_and_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false"]
    keep = "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1}]"
    assert main(["fit", "config.yaml", *quiet, keep]) == 0
    capsys.readouterr()
    run = "logs/lightning_logs/version_0"
    early, late = (f"{run}/checkpoints/epoch={epoch}-step={step}.ckpt" for epoch, step in ((0, 4), (1, 8)))
    paths = [item["path"] for item in data(capsys, run, "config.yaml")["config"]]
    assert paths == ["trainer::enable_progress_bar", "trainer::enable_model_summary", "trainer::callbacks"]
    found = data(capsys, late, run)
    assert found["config"] == found["environment"] == []
    assert found["sides"][0]["kind"] == "checkpoint"
    found = data(capsys, early, run)
    values = {row["name"]: row["values"] for row in found["metrics"]}
    rows = Path(run, "epochs.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/loss/epoch")
    assert values["val/loss/epoch"] == [float(row.split(",")[column]) for row in rows[1:]]
    assert f"checkpoint of {run}, completed" in diff(capsys, early, run)


def git(*arguments: str) -> None:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *arguments], check=True, capture_output=True)


def test_commits_and_uncommitted_changes_of_a_real_repository(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lighter.runs.record.git import read_git

    def record(name: str) -> Git:
        found = read_git(here)
        assert found is not None
        state, patch = found
        Path(name).mkdir()
        if patch:
            Path(name, "uncommitted.patch").write_text(patch)
        return state

    write("model.py", "x = 1\n")
    write("other.py", "x = 1\n")
    write(".gitignore", "run_*\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    write("model.py", "x = 2\n")
    make_run("run_a", git=record("run_a"))
    write("model.py", "x = 3\n")
    write("other.py", "x = 3\n")
    make_run("run_b", git=record("run_b"))
    make_run("run_same", git=record("run_same"))
    first = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:10]
    text = diff(capsys, "run_a", "run_b")
    assert (
        f"code\n  A  {first}  with changes in 1 file\n  B  {first}  with changes in 2 files\n"
        "  model.py: changed in each, differently\n  other.py: changed in B\n"
    ) in text
    assert f"code: the same, {first} with the same changes\n" in diff(capsys, "run_b", "run_same")
    git("commit", "-qam", "two")
    git("commit", "-qm", "three", "--allow-empty")
    make_run("run_c", git=record("run_c"))
    assert "  B is 2 commits after A\n" in diff(capsys, "run_a", "run_c")
    assert "  A is 2 commits after B\n" in diff(capsys, "run_c", "run_a")
    assert data(capsys, "run_a", "run_c")["code"]["uncommitted"] == {"model.py": [True, False]}
    git("checkout", "-q", "-b", "side", first)
    git("commit", "-qm", "four", "--allow-empty")
    make_run("run_d", git=record("run_d"))
    assert "  A has 2 commits that B has not, and B 1 commit\n" in diff(capsys, "run_c", "run_d")


def test_a_commit_that_is_an_option_of_git_is_not_asked_about(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "-q")
    make_run("a", git=Git(str(here), "--output=pwned"))
    make_run("b", git=Git(str(here), "a" * 40))
    assert data(capsys, "a", "b")["code"]["apart"] is None
    assert not list(here.glob("*pwned*"))


# --- mistakes


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ([], "error: lighter diff compares two or more, and was given none\n"),
        (["a"], "error: lighter diff compares two or more, and was given 1 of them\n"),
        (["logs", "logs/a"], "error: 'logs' is a folder, but not of a run\n  the newest run in it is 'logs/a'\n"),
        (["logs/a", "confg.yaml"], "error: there is no file 'confg.yaml'\n  did you mean 'config.yaml'?\n"),
        (["logs/a", "broken.yaml"], "broken.yaml:2:1: not valid YAML"),
        (["logs/a", "x.ckpt"], "error: there is no checkpoint 'x.ckpt'\n"),
        (["logs/a", "logs/bad"], "'logs/bad/run.json' is not the record of a run"),
        (["logs/a", "logs/a", "--jsn"], "did you mean '--json'?"),
    ],
)
def test_a_mistake_is_told(sides: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("logs/bad")
    write("logs/bad/run.json", "{}")
    os.utime("logs/bad/run.json", (0, 0))
    make_run("logs/a")
    write("broken.yaml", "trainer: [\n")
    assert told in refused(capsys, *sides)


def test_nothing_heavy_is_imported_and_nothing_of_a_config_is_run(here: Path) -> None:
    make_run("a")
    write("evil.py", "open('pwned', 'w')\n")
    write("b.yaml", CONFIG + "_imports_: {evil: evil}\nseed: \"$open('pwned', 'w')\"\nproject: .\n")
    code = (
        "import sys; from lighter.cli import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    for flags in ([], ["--json"]):
        arguments = [sys.executable, "-c", code, "diff", "a", "b.yaml", *flags]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
        assert "_imports_" in done.stdout
    assert not Path("pwned").exists()
