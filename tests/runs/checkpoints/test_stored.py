"""The folder of a run and its checkpoints as sources of the stages, with real runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from lighter import Runner
from lighter.cli import main
from lighter.commands._arguments import split_arguments
from lighter.errors import ConfigError
from lighter.runs.record.metrics_file import read_rows
from lighter.runs.record.run_file import read_run

LOGS = Path("logs/lightning_logs")
CONFIG = """\
_imports_: {torch: torch}
seed: 7
trainer:
  _target_: pytorch_lightning.Trainer
  max_epochs: 3
  accelerator: cpu
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
  logger: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: logs}
  callbacks: "%parts.yaml::callbacks"
system:
  _target_: lighter.System
  model:
    _target_: torch.nn.Sequential
    _args_:
      - {_target_: torch.nn.Linear, in_features: 4, out_features: 8}
      - {_target_: torch.nn.Dropout, p: 0.5}
      - {_target_: torch.nn.Linear, in_features: 8, out_features: 2}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.01}
  metrics:
    val: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 2}
    test: "%::val"
  adapters: {predict: {batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: 0}}}
  dataloaders:
    train: {_target_: torch.utils.data.DataLoader, batch_size: 8, shuffle: true, dataset: "%parts.yaml::dataset"}
    val: {_target_: torch.utils.data.DataLoader, batch_size: 8, dataset: "%parts.yaml::dataset"}
    test: "%::val"
    predict: "%::val"
"""
PARTS = """\
callbacks:
  - _target_: pytorch_lightning.callbacks.ModelCheckpoint
    monitor: val/loss/epoch
    mode: max  # so that the best is not the last
    filename: best
  - {_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_last: true}
dataset:
  _target_: torch.utils.data.TensorDataset
  _args_: ["$torch.linspace(-1, 1, 128).reshape(32, 4)", "$(torch.arange(32) > 15).long()"]
"""
UNCHOSEN = "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1}]"
NO_CHECKPOINTS = ["~trainer::callbacks", "trainer::enable_checkpointing=false"]


@pytest.fixture(autouse=True)
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a config of two files, which names nothing but what is installed."""
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "parts.yaml").write_text(PARTS)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def fit(*arguments: str) -> Path:
    """Fit, and return the run's folder."""
    before = set(LOGS.glob("version_*"))
    assert main(["fit", *arguments]) == 0
    (new,) = set(LOGS.glob("version_*")) - before
    return new


def weights_of(file: Path) -> dict[str, Any]:
    content = torch.load(file, weights_only=True)
    return {**content["state_dict"], "optimizer": content["optimizer_states"]}


def run(stage: Any, *sources: str, ckpt: str | None = None) -> Runner:
    runner = Runner()
    runner.run(stage, list(sources), ckpt=ckpt)
    return runner


def begun_from(stage: str, *sources: str, ckpt: str | None = None) -> str | None:
    """Run a stage, and return the name of the checkpoint that it began from."""
    found = run(stage, *sources, ckpt=ckpt).checkpoint
    return found.name if found else None


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command that refuses its arguments says, in one line."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    return " ".join(capsys.readouterr().err.split())


# --- the same again


def test_a_copied_run_repeats_itself_bit_for_bit_with_its_files_gone(
    origin: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fit("config.yaml", "system::optimizer::lr=0.5")
    shutil.copytree(first, elsewhere / "copy")
    monkeypatch.chdir(elsewhere)
    shutil.rmtree(origin)
    again = fit("copy")
    assert again.resolve().parent == elsewhere / LOGS
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (weights_of(folder / "checkpoints" / name) for folder in (Path("copy"), again))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one if key != "optimizer")
        assert str(one["optimizer"]) == str(other["optimizer"])
    before, after = read_run(Path("copy")), read_run(again)
    assert before.metrics == after.metrics
    assert before.config == after.config
    assert (after.sources, after.overrides) == (("copy",), ())
    for name in ("epochs.csv", "metrics.csv"):
        rows = [[{**row, "seconds": ""} for row in read_rows(folder / name)[0]] for folder in (Path("copy"), again)]
        assert rows[0] == rows[1]
        assert len(rows[0]) >= 3
    assert (again / "config.yaml").read_text() == (Path("copy") / "config.yaml").read_text()


def test_a_checkpoint_repeats_its_run_too(origin: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit("config.yaml", "system::optimizer::lr=0.5")
    shutil.copy(first / "checkpoints" / "last.ckpt", elsewhere / "model.ckpt")
    monkeypatch.chdir(elsewhere)
    shutil.rmtree(origin)
    again = weights_of(fit("model.ckpt") / "checkpoints" / "last.ckpt")
    one = weights_of(Path("model.ckpt"))
    assert all(torch.equal(one[key], again[key]) for key in one if key != "optimizer")


def test_overrides_and_files_come_on_top() -> None:
    first = fit("config.yaml")
    Path("short.yaml").write_text("trainer: {max_epochs: 1}\n")
    again = fit(str(first), "short.yaml", "system::optimizer::lr=0.25")
    assert read_run(again).epochs == 1
    assert read_run(again).config["system::optimizer::lr"] == 0.25
    assert read_run(again).sources == (str(first), "short.yaml")


# --- the checkpoint of a run


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_stage_takes_the_best_checkpoint_of_a_run_that_moved(
    stage: str, origin: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fit("config.yaml"), elsewhere / "copy")
    monkeypatch.chdir(elsewhere)
    shutil.rmtree(origin)
    capsys.readouterr()
    assert main([stage, "copy"]) == 0
    assert "  weights     copy/checkpoints/best.ckpt\n" in capsys.readouterr().out


def test_ckpt_chooses_another_of_the_run() -> None:
    first = str(fit("config.yaml"))
    fit("config.yaml")  # a newer run of the same config
    assert begun_from("test", first) == "best.ckpt"
    assert begun_from("test", first, ckpt="best") == "best.ckpt"
    assert begun_from("test", first, ckpt="last") == "last.ckpt"
    assert begun_from("test", first, ckpt="none") is None
    assert run("test", first, ckpt="last").checkpoint == Path(first, "checkpoints", "last.ckpt")
    other = run("test", first, ckpt=f"{first}/checkpoints/last.ckpt").checkpoint
    assert other == Path(first, "checkpoints", "last.ckpt")


def test_its_weights_are_those_that_are_tested() -> None:
    first = fit("config.yaml", "system::optimizer::lr=0.5")
    tested = run("test", str(first)).system.state_dict()
    best, last = (weights_of(first / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt"))
    assert all(torch.equal(tested[key], best[key]) for key in tested)
    assert not all(torch.equal(tested[key], last[key]) for key in tested)


def test_fit_begins_anew_unless_ckpt_says_otherwise() -> None:
    first = fit("config.yaml")
    assert run("fit", str(first)).checkpoint is None
    resumed = run("fit", str(first), ckpt="last")
    assert resumed.checkpoint == first / "checkpoints" / "last.ckpt"
    assert begun_from("fit", str(first / "checkpoints" / "last.ckpt")) is None


def test_without_a_monitor_it_is_the_one_that_came_furthest(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml", UNCHOSEN, "trainer::max_epochs=11")
    for file in sorted((first / "checkpoints").glob("*.ckpt"), reverse=True):
        file.touch()  # as a copy does, in no order; nor does that of the names help: epoch=9, epoch=10
    assert begun_from("test", str(first)) == "epoch=10-step=44.ckpt"
    text = said(capsys, "test", str(first), "--ckpt", "best")
    assert f"the run {str(first)!r} has no best checkpoint" in text
    assert "--ckpt last" in text


def test_a_run_that_did_not_live_to_tell_of_its_checkpoints_has_them_all_the_same() -> None:
    first = fit("config.yaml", UNCHOSEN)
    record = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps({**record, "checkpoints": [], "status": "running"}))
    assert begun_from("test", str(first)) == "epoch=2-step=12.ckpt"


def test_a_checkpoint_that_is_a_source_is_what_a_stage_begins_from() -> None:
    first = fit("config.yaml")
    last = str(first / "checkpoints" / "last.ckpt")
    assert begun_from("test", last) == "last.ckpt"
    assert begun_from("test", last, ckpt="none") is None


def test_a_run_of_another_stage_takes_its_weights_again(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml")
    run("test", str(first), ckpt="last")
    run("test", str(first), ckpt="none")
    assert begun_from("predict", f"{LOGS}/version_1") == "last.ckpt"
    assert begun_from("predict", f"{LOGS}/version_2") is None
    text = said(capsys, "test", f"{LOGS}/version_1", "--ckpt", "best")
    assert f"the run '{LOGS}/version_1' trained nothing, and has no checkpoint" in text
    (first / "checkpoints" / "last.ckpt").unlink()
    assert f"which the run '{LOGS}/version_1' names, is gone" in said(capsys, "test", f"{LOGS}/version_1")


def test_what_the_config_gives_as_checkpoint_comes_first() -> None:
    first = fit("config.yaml", "args={test: {ckpt_path: last}}")
    assert begun_from("test", str(first)) == "last.ckpt"
    assert begun_from("test", str(first), ckpt="best") == "best.ckpt"
    assert begun_from("test", "config.yaml", ckpt="none") is None


# --- what cannot be


def test_a_run_without_checkpoints_is_not_tested_with_random_weights(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml", *NO_CHECKPOINTS)
    text = said(capsys, "test", str(first))
    assert f"the run {str(first)!r} has left no checkpoint, or none that is still there" in text
    assert "--ckpt none leaves the model as it is built" in text
    assert begun_from("test", str(first), ckpt="none") is None


def test_a_best_checkpoint_that_is_gone_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml")
    best = first / "checkpoints" / "best.ckpt"
    best.unlink()
    assert f"{str(best)!r}, which the run {str(first)!r} names, is gone" in said(capsys, "test", str(first))
    assert begun_from("test", str(first), ckpt="last") == "last.ckpt"


def test_a_checkpoint_that_another_run_has_put_in_its_place_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = fit("config.yaml"), fit("config.yaml")
    name = Path("checkpoints", "best.ckpt")
    shutil.copy(second / name, first / name)
    assert "is of another run by now" in said(capsys, "test", str(first))


def test_two_sources_with_weights_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = fit("config.yaml", "~trainer::callbacks"), fit("config.yaml", "~trainer::callbacks")
    for ckpt in ([], ["--ckpt", "best"]):
        text = said(capsys, "test", str(first), str(second), *ckpt)
        assert f"the weights could be those of {str(first)!r} or of {str(second)!r}" in text


@pytest.mark.filterwarnings("default:the run is over")
def test_a_damaged_checkpoint_is_told_of_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml")
    best = first / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    told = said(capsys, "test", str(first))
    assert "is cut short" in told
    assert f"take another of the run: --ckpt {first / 'checkpoints' / 'last.ckpt'}" in " ".join(told.split())
    assert "is cut short" in said(capsys, "show", str(best))
    assert main(["fit", str(first), "--resume"]) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "the run is over, but of its checkpoints '" in error
    assert "best.ckpt' is cut short" in error


# --- trace and check


def test_trace_and_check_take_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    first = str(fit("config.yaml", *NO_CHECKPOINTS))
    capsys.readouterr()
    assert main(["trace", first, "--stage", "test"]) == 0
    assert "weights     as built" in capsys.readouterr().out
    assert main(["check", first]) == 0
    assert main(["check", first, "system::model::nope=1"]) == 2


# --- what is typed


@pytest.mark.parametrize(
    ("argument", "is_source"),
    [
        ("run", True),
        ("run/", True),
        ("./lr=0.1", True),
        ("lr=0.1/", True),
        ("seed=1", False),  # although there is a folder of that name
        ("checkpoints/epoch=1-step=8.ckpt", True),
        ("checkpoints/epoch=9-step=9.ckpt", True),  # which is not there
        ("args::fit::ckpt_path=a/b.ckpt", False),
        ("~seed", False),
    ],
)
def test_folders_and_checkpoints_are_told_from_overrides(argument: str, is_source: bool) -> None:
    for name in ("run", "lr=0.1", "seed=1", "checkpoints", "~seed"):
        Path(name).mkdir()
    Path("checkpoints/epoch=1-step=8.ckpt").touch()
    sources, overrides = split_arguments(["config.yaml", argument])
    assert (argument in sources, argument in overrides) == (is_source, not is_source)


@pytest.mark.parametrize(
    ("argument", "mend"),
    [
        ("logs/lightning_log", "there is no file or folder 'logs/lightning_log' did you mean 'logs/lightning_logs'?"),
        ("nowhere/x", "there is no file or folder 'nowhere/x'"),
        ("logs", "'logs' is a folder, but not of a run the newest run in it is 'logs/lightning_logs/version_0'"),
        ("logs/lightning_logs/version_0/checkpoints/bst.ckpt", "did you mean 'best.ckpt'?"),
    ],
)
def test_what_is_no_run_gets_its_mend(argument: str, mend: str, capsys: pytest.CaptureFixture[str]) -> None:
    (LOGS / "version_0" / "checkpoints").mkdir(parents=True)
    for file in ("config.yaml", "run.json", "checkpoints/best.ckpt"):
        (LOGS / "version_0" / file).touch()
    assert mend in said(capsys, "test", argument)


# --- the project and secrets


def with_project() -> Path:
    Path("own").mkdir()
    Path("own/nets.py").write_text("import torch\n\nclass Net(torch.nn.Linear):\n    pass\n")
    model = "=system::model={_target_: project.nets.Net, in_features: 4, out_features: 2}"
    return fit("config.yaml", "project=own", model)


def test_the_project_is_found_from_anywhere(
    origin: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = with_project()
    shutil.copytree(first, elsewhere / "copy")
    monkeypatch.chdir(elsewhere)
    for source in ("copy", "copy/checkpoints/last.ckpt"):
        assert run("test", source).config.plain("project") == str(origin / "own")
    (origin / "own").rename(elsewhere / "moved")
    for source in ("copy", "copy/checkpoints/last.ckpt"):
        text = said(capsys, "test", source)
        assert f"project: there is no folder {str(origin / 'own')!r}" in text
        assert "project=FOLDER" in text
        assert main(["test", source, "project=moved"]) == 0


@pytest.mark.parametrize(
    ("path", "value", "uses"),
    [
        ("vars::api_key", "lightning_logs", "trainer::logger::name='$@vars::api_key'"),
        ("trainer::logger::prefix", "http://me:word@host", "trainer::logger::name=lightning_logs"),
    ],
)
def test_a_secret_is_asked_for_again_and_not_kept_again(
    path: str, value: str, uses: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fit("config.yaml", f"{path}={value}", uses)
    for source in (str(first), str(first / "checkpoints" / "last.ckpt")):
        for no_check in ([], ["--no-check"]):
            text = said(capsys, "fit", source, *no_check)
            assert f"{path}: is a secret, which the run did not keep" in text
            assert f"give it again: {path}=VALUE" in text
        again = fit(source, f"{path}={value}")
        assert read_run(again).hidden == (path,)
        assert value not in (again / "config.yaml").read_text()


def test_a_secret_that_is_not_needed_stays_hidden() -> None:
    first = fit("config.yaml", "vars={api_key: abcdef}")
    again = fit(str(first))
    assert read_run(again).hidden == ("vars::api_key",)
    assert read_run(fit(str(again))).hidden == ("vars::api_key",)


def test_a_source_that_is_a_run_is_not_taken_for_uncommitted_work() -> None:
    Path(".gitignore").write_text("logs\n")
    Path("run.sh").write_text("")
    for command in (["init"], ["add", ".gitignore"], ["commit", "--message", "one", "--no-verify"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True, capture_output=True)
    shutil.copytree(fit("config.yaml"), "copy")
    for source in ("copy", "copy/checkpoints/last.ckpt"):
        folder = fit(source)
        assert read_run(folder).git is not None
        assert not (folder / "uncommitted.patch").exists()
    assert "config.yaml" in (fit("config.yaml") / "uncommitted.patch").read_text()


def test_a_record_that_is_damaged_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit("config.yaml")
    (first / "run.json").write_text("{")
    assert "is not the record of a run" in said(capsys, "test", str(first))
    with pytest.raises(ConfigError, match="is not the record of a run"):
        run("test", str(first))
    assert begun_from("test", str(first), ckpt="none") is None
