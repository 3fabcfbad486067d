from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lighter.cli import command_help, main
from lighter.commands import Job, show
from lighter.config import compose
from lighter.errors import ConfigError, UsageError
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "pytorch_lightning", "torchmetrics", "numpy", "rich", "loguru", "sparkwheel", "fire")
HOSTILE = """\
project: proj
_imports_: {evil: evil}
_requires_: [evil]
trainer: {_target_: evil.run}
system: {_target_: lighter.System, model: {_target_: project.evil.run, x: "$open('pwned', 'w')"}}
vars:
  system: $__import__('os').system('touch pwned')
  import: $import evil
  args: {_target_: os.system, _args_: [touch pwned]}
  reference: "@::args"
  raw: "%::args"
"""


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, at: str | None = None, origin: bool = False) -> str:
    assert show.run(*arguments, at=at, origin=origin).run() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_binding_the_command_reads_nothing() -> None:
    assert isinstance(show.run("missing.yaml", "a=1"), Job)


def test_its_help_names_its_flags() -> None:
    text = command_help(sys.modules["lighter.commands.show"])
    assert re.findall(r"^  (--\w+(?: [A-Z]+)?) ", text, re.MULTILINE) == ["--at PATH", "--origin", "--help"]


@pytest.mark.parametrize("origin", [False, True])
def test_what_is_shown_composes_to_the_same_config(origin: bool, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("config.yaml", "trainer::max_epochs=5", "~system::adapters")
    Path("again.yaml").write_text(shown(capsys, *arguments, origin=origin), encoding="utf-8")
    config = compose(["config.yaml"], arguments[1:])
    assert repr(compose(["again.yaml"]).plain()) == repr(config.plain())  # in the same order


def test_origins_stand_beside_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "config.yaml", "system::optimizer::lr=1", at="system::optimizer", origin=True)
    assert text == (
        "_target_: torch.optim.SGD             # config.yaml:13\n"
        "params: $@system::model.parameters()  # config.yaml:13\n"
        "lr: 1                                 # override 'system::optimizer::lr=1', replaced 0.1 from config.yaml:13\n"
    )


def test_a_part_behind_a_reference_is_shown_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "config.yaml", at="system::metrics::val")
    assert text == (
        "# 'system::metrics::val' is '%::train' in config.yaml:16, so this is 'system::metrics::train'\n"
        "_target_: torchmetrics.classification.MulticlassAccuracy\n"
        "num_classes: 2\n"
    )


def test_one_value_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "config.yaml", at="trainer::max_epochs") == "2\n"
    assert shown(capsys, "config.yaml", at="seed", origin=True) == "1  # config.yaml:2\n"


def test_a_path_that_leads_nowhere_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^system::optimiser: there is no 'optimiser' in 'system'\n.*'optimizer'\?$"):
        show.run("config.yaml", at="system::optimiser").run()


def test_a_config_with_mistakes_is_not_shown_but_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        show.run("config.yaml", "trainer::callback::0=1", "sytem=1").run()
    assert len(caught.value.problems) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("origin", [False, True])
@pytest.mark.parametrize("at", [None, "vars::reference", "vars::system", "trainer"])
def test_a_hostile_config_runs_nothing(at: str | None, origin: bool, capsys: pytest.CaptureFixture[str]) -> None:
    for file in ("evil.py", "proj/evil.py", "__lighter__.py"):
        Path(file).write_text("open('pwned', 'w')\ndef run(**_): open('pwned', 'w')\n", encoding="utf-8")
    Path("hostile.yaml").write_text(HOSTILE, encoding="utf-8")
    before = set(sys.modules)
    assert shown(capsys, "hostile.yaml", at=at, origin=origin)
    assert not Path("pwned").exists()
    assert not {"evil", "project", "__lighter__"} & (set(sys.modules) - before)


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lighter.commands import show; show.run('config.yaml', origin=True, at='system').run();"
        f"print(*sorted(set({HEAVY}) & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("_target_: lighter.System  # config.yaml:10\n")
    assert done.stderr.split() == []


def test_the_output_is_utf_8_whatever_the_locale() -> None:
    code = "from lighter.commands import show; show.run('config.yaml', 'project=ü✓', origin=True, at='project').run()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout.decode("utf-8") == "ü✓  # override 'project=ü✓', replaced proj from config.yaml:1\n"


def test_it_prints_to_any_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    show.run("config.yaml", at="seed").run()
    assert stream.getvalue() == "1\n"


def test_the_page_in_the_docs_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found, command = 0, ""
    page = (ROOT / "docs" / "show.md").read_text(encoding="utf-8")
    for head, text in re.findall(r"^```(.+)\n((?:.*\n)*?)```$", page, re.MULTILINE):
        if title := re.search(r'title="(.+)"', head):
            Path(title[1]).write_text(text, encoding="utf-8")
        elif head == "bash":
            command = text
        elif command:
            assert main(shlex.split(command)[1:]) == 0
            assert re.sub(r"\A# result of: .*\n", "", text) == capsys.readouterr().out
            found, command = found + 1, ""
    assert found == 3
