"""The folder of a run and a checkpoint as sources of a config."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lighter.cli import main
from lighter.config import compose, dump
from lighter.config.origin import show
from lighter.config.tree import Plain
from lighter.errors import ConfigError, Place, render

PLAIN: dict[Any, Plain] = {
    "seed": 1,
    "trainer": {"_target_": "pytorch_lightning.Trainer", "max_epochs": 2, "devices": [0, 1]},
    "system": {"_target_": "my.System", "betas": [0.9, 1e-3], "text": "a\nb", 1: None, "empty": {}, "list": []},
    "vars": {"yes": True, "on": "on", "number": "1e3", "at": "\\@home", "nested": [[1, 2], {"a": ["x"]}]},
}


def make_run(folder: str, config: dict[Any, Plain] = PLAIN, hidden: tuple[str, ...] = ()) -> str:
    Path(folder).mkdir(parents=True)
    Path(folder, "config.yaml").write_text(dump(config))
    Path(folder, "run.json").write_text(json.dumps({"hidden": hidden}))
    return folder


def make_checkpoint(path: str = "model.ckpt", record: object = None, **more: object) -> str:
    weights = {"weight": torch.zeros(3), "bias": torch.nn.Parameter(torch.zeros(2))}
    record = {"config": PLAIN} if record is None else record
    torch.save({"epoch": 1, "state_dict": weights, "lighter": record, **more}, path)
    return path


def error_of(source: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(source)
    return render(caught.value)


# --- the folder of a run


def test_the_folder_of_a_run_is_its_config() -> None:
    make_run("logs/version_0")
    config = compose("logs/version_0")
    assert config.plain() == PLAIN
    assert config.sources == ("logs/version_0",)
    found = config.find("trainer::max_epochs")
    assert found is not None
    assert str(found.place).startswith("logs/version_0/config.yaml:")


@pytest.mark.parametrize("spelling", ["run/", "./run", "run/.", Path("run")])
def test_a_folder_may_be_spelled_in_many_ways(spelling: str | Path) -> None:
    make_run("run")
    assert compose(spelling).plain() == PLAIN


def test_files_and_overrides_come_on_top_of_a_run() -> None:
    make_run("a,b")  # a comma does not split what exists
    Path("extra.yaml").write_text("trainer: {max_epochs: 9, devices: [2]}\n")
    config = compose(["a,b", "extra.yaml"], "seed=3")
    assert config.plain("trainer") == {"_target_": "pytorch_lightning.Trainer", "max_epochs": 9, "devices": [0, 1, 2]}
    assert config.plain("seed") == 3


def test_a_run_comes_on_top_of_a_file() -> None:
    make_run("run")
    Path("base.yaml").write_text("seed: 7\nvars: {more: 1}\n")
    config = compose(["base.yaml", "run"])
    assert config.plain("seed") == 1
    assert config.plain("vars::more") == 1


def folder_with_yaml() -> None:
    Path("x").mkdir()
    Path("x/a.yml").touch()


@pytest.mark.parametrize(
    ("make", "source", "said"),
    [
        (lambda: Path("x").mkdir(), "x", "'x' is a folder, but not of a run"),
        (lambda: make_run("x/run"), "x", "the newest run in it is 'x/run'"),
        (lambda: Path(make_run("x"), "checkpoints").mkdir(), "x/checkpoints", "did you mean 'x'?"),
        (folder_with_yaml, "x", "in it there is 'x/a.yml'"),
        (lambda: Path(make_run("x"), "config.yaml").unlink(), "x", "the run in 'x' has lost its config.yaml"),
        (lambda: None, "x/y", "there is no file 'x/y'"),
    ],
)
def test_a_folder_that_is_no_run_gets_a_suggestion(make: Callable[[], object], source: str, said: str) -> None:
    make()
    assert said in error_of(source)


def test_of_several_runs_in_a_folder_the_newest_is_suggested() -> None:
    for number, age in enumerate((30, 10, 20)):
        record = Path(make_run(f"logs/name/version_{number}"), "run.json")
        os.utime(record, (time.time() - age,) * 2)
    assert "the newest run in it is 'logs/name/version_1'" in error_of("logs")


# --- a checkpoint


def test_a_checkpoint_is_the_config_in_it() -> None:
    config = compose(make_checkpoint())
    assert config.plain() == PLAIN
    assert config.sources == ("model.ckpt",)


def test_its_places_are_lines_of_what_show_prints(capsys: pytest.CaptureFixture[str]) -> None:
    config = compose(make_checkpoint())
    lines = ["", *show(config.root).split("\n")]
    for path in ("seed", "trainer::max_epochs", "system::betas::1", "vars::nested::1::a::0"):
        node = config.find(path)
        assert node is not None
        text = dump(node.plain()).strip()
        assert node.place.file == "model.ckpt"
        assert lines[node.place.line][node.place.column - 1 :].startswith(text)
    assert main(["show", "model.ckpt"]) == 0
    assert capsys.readouterr().out == show(config.root)


def test_an_error_shows_the_line() -> None:
    make_checkpoint(record={"config": {**PLAIN, "sead": 4}})
    shown = error_of("model.ckpt")
    place, _, excerpt = shown.partition(": sead: 'sead' is not a known section\n")
    assert "| sead: 4\n" in excerpt
    assert place == f"model.ckpt:{excerpt.split()[0]}:1"


def test_a_checkpoint_needs_no_torch_to_be_read() -> None:
    make_checkpoint()
    code = (
        "import sys; from lighter.cli import main; status = main(['show', 'model.ckpt', '--at', 'trainer']);"
        "heavy = {'torch', 'numpy', 'pytorch_lightning'} & sys.modules.keys(); print(status, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 set()\n")


def test_a_checkpoint_needs_no_suffix_but_a_text_file_is_read_as_yaml() -> None:
    assert compose(make_checkpoint("model.pt")).plain() == PLAIN
    Path("PK").write_text("seed: 1\n")
    assert "the section 'trainer' is missing" in error_of("PK")


@pytest.mark.parametrize(
    "inside", ["meta.pt", "checkpoint/mp_rank_00_model_states.pt", "checkpoint/zero_mp_rank_00_model_states.pt"]
)
def test_of_a_sharded_checkpoint_the_shared_part_is_read(inside: str) -> None:
    for folder in ("model.ckpt", "sharded"):
        Path(folder, inside).parent.mkdir(parents=True)
        make_checkpoint(f"{folder}/{inside}")
        assert compose(folder).plain() == PLAIN


def test_a_checkpoint_of_another_program_is_told_from_ours() -> None:
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6"}, "model.ckpt")
    shown = error_of("model.ckpt")
    assert "holds no config of lighter's" in shown
    assert "--ckpt model.ckpt" in shown


def save_without_a_zip() -> None:
    torch.save({"state_dict": {}}, "x.ckpt", _use_new_zipfile_serialization=False)


def save_packed(size: int) -> None:
    with zipfile.ZipFile("x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"0" * size)


def save_pickled(content: object) -> None:
    with zipfile.ZipFile("x.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(content, 2))


def cut(path: str, share: float) -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(len(content) * share)])


def looping() -> dict[str, Any]:
    inside: dict[str, Any] = {}
    inside["again"] = inside
    return inside


def growing() -> list[Any]:
    inside: list[Any] = []
    for _ in range(60):
        inside = [inside, inside]
    return inside


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "there is no checkpoint 'x.ckpt'"),
        (lambda: make_checkpoint("y.ckpt"), "did you mean 'y.ckpt'?"),
        (lambda: Path("x.ckpt").touch(), "'x.ckpt' is empty"),
        (lambda: Path("x.ckpt").write_text("seed: 1"), "'x.ckpt' is not a checkpoint"),
        (lambda: Path("x.ckpt").mkdir(), "'x.ckpt' is a folder, and not a sharded checkpoint"),
        (save_without_a_zip, "'x.ckpt' is not a checkpoint"),
        (lambda: cut(make_checkpoint("x.ckpt"), 0.7), "'x.ckpt' is cut short"),
        (lambda: zipfile.ZipFile("x.ckpt", "w").close(), "'x.ckpt' is a zip file, but torch did not write it"),
        (lambda: save_packed(10), "'x.ckpt' is damaged"),
        (lambda: save_packed(300_000_000), "'x.ckpt' holds more than 256 MB beside its weights"),
        (lambda: save_pickled([1]), "'x.ckpt' is not a Lightning checkpoint"),
        (lambda: make_checkpoint("x.ckpt", record=[]), "holds no config"),
        (lambda: make_checkpoint("x.ckpt", record={"config": "a"}), "holds no config"),
        (lambda: make_checkpoint("x.ckpt", {"config": {"a": torch.ones(1)}}), "holds what is no plain data"),
        (lambda: save_pickled({"lighter": {"config": {"a": {1}}}}), "holds what is no plain data"),
        (lambda: save_pickled({"lighter": {"config": {(1, 2): 3}}}), "holds what is no plain data"),
        (lambda: save_pickled({"lighter": {"config": looping()}}), "is nested more than 100 levels deep"),
        (lambda: save_pickled({"lighter": {"config": {"a": growing()}}}), "holds more than 200000 values"),
        (lambda: save_pickled({"lighter": {"config": {"a": 10**5000}}}), "holds too long a number"),
        (
            lambda: save_pickled({"lighter": {"config": {"a": "\udc80"}}}),
            "x.ckpt:1:7: not valid YAML: found invalid Unicode",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(make: Callable[[], object], said: str) -> None:
    make()
    shown = error_of("x.ckpt")
    assert said in shown
    assert len(shown.splitlines()) < 5


def test_a_damaged_directory_of_the_zip_is_refused() -> None:
    content = bytearray(Path(make_checkpoint()).read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at : at + 4] = b"nope"
    Path("model.ckpt").write_bytes(content)
    assert "'model.ckpt' is damaged" in error_of("model.ckpt")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def test_reading_a_hostile_checkpoint_runs_nothing() -> None:
    save_pickled({"callbacks": Trap(), "lighter": {"config": PLAIN, "sources": Trap()}})
    assert compose("x.ckpt").plain() == PLAIN
    save_pickled({"lighter": {"config": {"a": Trap()}}})
    assert "no plain data" in error_of("x.ckpt")
    assert not Path("ran").exists()


# --- secrets that were taken out

SECRET: dict[Any, Plain] = {
    **PLAIN,
    "vars": {"api_key": "***", "logins": [{"url": "u"}, {"url": "http://***@x"}], "stars": "***"},
    "data": {"_target_": "builtins.dict", "key": "%vars::api_key"},
}
HIDDEN = ("vars::api_key", "vars::logins::1::url")


def secret_sources() -> list[str]:
    make_run("run", SECRET, HIDDEN)
    make_checkpoint("model.ckpt", {"config": SECRET, "hidden": list(HIDDEN)})
    Path("%.yaml").write_text("vars: '%run/config.yaml::vars'\n")
    return ["run", "run/config.yaml", "model.ckpt"]


def hidden_paths(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(["check", "--json", "--no-import", *arguments])
    problems = json.loads(capsys.readouterr().out)["problems"]
    return sorted(problem["path"] for problem in problems if "secret" in problem["message"])


def test_check_tells_of_secrets_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for source in secret_sources():
        assert hidden_paths(capsys, source) == list(HIDDEN)
        assert hidden_paths(capsys, source, "vars::api_key=1") == ["vars::logins::1::url"]
        assert hidden_paths(capsys, source, "vars::api_key=1", "~vars::logins::1") == []


def test_they_are_found_where_other_sources_have_moved_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text("vars: {logins: [{url: first}]}\n")
    for source in secret_sources():
        assert hidden_paths(capsys, "base.yaml", source) == ["vars::api_key", "vars::logins::2::url"]
        assert hidden_paths(capsys, source, "~vars::logins::0") == ["vars::api_key", "vars::logins::0::url"]


def test_they_are_found_in_what_a_file_takes_from_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    secret_sources()
    assert hidden_paths(capsys, "%.yaml") == list(HIDDEN)


def test_a_stage_is_told_only_of_those_that_it_uses(capsys: pytest.CaptureFixture[str]) -> None:
    for source in secret_sources():
        assert hidden_paths(capsys, source, "--stage", "fit") == ["vars::api_key"]
        assert hidden_paths(capsys, source, "--stage", "fit", "~data") == []


def test_show_goes_on_with_secrets_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    for source in secret_sources():
        assert main(["show", source, "--at", "vars::api_key"]) == 0
        assert "***" in capsys.readouterr().out


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", '{"hidden": 1}', '{"hidden": [1, "x::y", "seed::a", "vars::-1", ""]}']
)
def test_a_record_that_makes_no_sense_hides_nothing(record: str) -> None:
    Path(make_run("run"), "run.json").write_text(record)
    assert compose("run").hidden == frozenset()


def test_without_the_record_a_file_of_that_name_is_any_config() -> None:
    shutil.copy(Path(make_run("run", SECRET, HIDDEN), "config.yaml"), "config.yaml")
    assert compose("config.yaml").hidden == frozenset()
    assert all(isinstance(place, Place) for place in compose("run").hidden)
