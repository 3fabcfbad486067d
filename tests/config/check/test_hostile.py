"""What a stranger's config can make the commands do that only read: to read, and `check` to import, but to call nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import pytorch_lightning  # noqa: F401 - before the traps are set, as importing looks at every module that there is
import torchmetrics  # noqa: F401

import lighter.system  # noqa: F401
from lighter.checking import find_problems
from lighter.errors import render_all

from . import traps

pytestmark = pytest.mark.no_cover  # thousands of calls that other tests make too, which tracing would slow down

READ_ONLY = [  # what must run nothing; a new command that only reads goes here
    ["show"],
    ["show", "--origin"],
    ["check", "--no-import"],
    ["check", "--no-import", "--json"],
    ["check", "--no-import", "--stage", "fit"],
]
SECONDS = 20  # for one config, on a busy machine; most take hundredths

HEAD = "trainer: {_target_: pytorch_lightning.Trainer}\nsystem: {_target_: lighter.System}\n"
EVIL = "open('marker', 'a').write(__name__ + '\\n')\nclass Thing: ...\ndef function(): ...\n"

CONFIGS = {
    "targets that do things": """
        vars:
          - {_target_: os.system, _args_: [touch marker], command: touch marker}
          - {_target_: subprocess.call, args: [touch, marker]}
          - {_target_: subprocess.Popen, _args_: [[touch, marker]], _mode_: default}
          - {_target_: builtins.exec, _args_: ["open('marker', 'w')"]}
          - {_target_: eval, _args_: ["open('marker', 'w')"]}
          - {_target_: open, _args_: [marker, w], _disabled_: false}
          - {_target_: pathlib.Path.touch, self: marker}
          - {_target_: builtins.__import__, _args_: [evil]}
          - {_target_: evil.Thing}
          - {_target_: evil.Thing.more.and.more}
        trainer: {_target_: os.system, command: "@vars"}
        system: {_target_: os.system, command: touch marker, model: {_target_: evil.function}}
        """,
    "expressions that do things": """
        project: $open('marker', 'w')
        seed: "$__import__('os').system('touch marker')"
        trainer: "$open('marker', 'w')"
        system: {_target_: "$open('marker', 'w')", _args_: "$[open('marker', 'w')]", _mode_: "$open('marker', 'w')"}
        args: {fit: "$open('marker', 'w')"}
        data: "$(lambda: open('marker', 'w'))()"
        vars:
          a: {_target_: builtins.dict, _disabled_: "$open('marker', 'w')"}
          b: $f"{open('marker', 'w')}"
          c: $[y := open('marker', 'w'), y]
          d: $@vars::b + "${open('marker', 'w')}"
          e: "$__import__('evil')"
          f: "$exec('import evil')"
          "$open('marker', 'w')": 1
          "=$open('marker', 'w')": 1
        """,
    "imports": """
        _imports_: {evil: evil, other: evil.Thing, os: os, project: project}
        _requires_: [evil, $import evil, "$from evil import Thing"]
        vars:
          a: $import evil
          b: $from evil import function as f
          c: $f()
          d: $evil.function()
          e: $project.more.function()
        """,
    "a project": """
        project: proj
        vars: [{_target_: project.Thing}, {_target_: more.Thing}, {_target_: project.more.function}, {_target_: project.gone.X}]
        system::model: {_target_: more.function}
        system::criterion: {_target_: project.more.Thing, size: 1}
        """,
    "YAML tags": """
        vars:
          - !!python/object/apply:os.system ["touch marker"]
          - !!python/object/new:os.system ["touch marker"]
          - !!python/object/apply:builtins.eval ["open('marker', 'w')"]
          - !!python/name:evil.Thing
          - !!python/module:evil
          - !!python/object:evil.Thing {a: 1}
          - !evil {a: 1}
        """,
    "files": """
        vars:
          - "%pipe.yaml"
          - "%endless.yaml::vars"
          - "%huge.yaml"
          - "%circle.yaml"
          - "%folder.yaml"
          - "%files.yaml"
          - "%other.yaml::vars::x"
          - "%/etc/passwd"
          - "%/proc/self/mem.yaml"
          - "%../../../../etc/hostname.yaml"
          - "%\\0.yaml"
        """,
    "what grows by aliases": "vars:\n  k0: &k0 [1]\n"
    + "".join(f"  k{i + 1}: &k{i + 1} [{', '.join([f'*k{i}'] * 9)}]\n" for i in range(30)),
    "what grows by merging": "vars:\n  k0: &k0 {a: 1}\n"
    + "".join(f"  k{i + 1}: &k{i + 1} {{a{i}: *k{i}, <<: [{', '.join([f'*k{i}'] * 9)}]}}\n" for i in range(30)),
    "what grows by references": "vars:\n"
    + "".join(f"  k{i}: [{', '.join([repr(f'%vars::k{i + 1}')] * 9)}]\n" for i in range(30))
    + "  k30: 1\n",
    "what grows by files": 'vars: {a: "%grows0.yaml::vars", b: "%grows0.yaml::vars", c: "%itself.yaml::vars"}\n',
    "circles": """
        vars: {a: "%vars::b", b: "%vars::a", c: "@vars::d", d: "$@vars::c + 1", e: "%", f: "@", g: "%::::", h: {i: "%vars::h"}}
        system::model: "@system"
        trainer::x: "@trainer"
        """,
    "long lines": f"vars: {{a: {'x' * 500_000}, b: '${'(' * 100_000}', c: '${'-' * 100_000}1', d: '@{'a::' * 50_000}'}}\n"
    + f"? {'a::' * 50_000}a\n: 1\n",
    "many mistakes": "vars:\n"
    + "".join(f"  k{i}: ['@vars::x{i}', '%vars::x{i}', $x{i}, '$(']\n" for i in range(2_000)),
    "deep": "vars: " + "[" * 5_000 + "]" * 5_000 + "\n",
    "what a terminal obeys": 'vars: {"\\e[2J\\e]0;title\\a": "@\\e[31m", "\\u202e": "$\\e[2J"}\n"\\e[8m": 1\n',
    "no text": "vars: {a: \0}\n",
}
SOURCES = {"a pipe": "pipe.yaml", "a device": "endless.yaml", "a huge file": "huge.yaml", "a folder": "folder.yaml"}

# Runs commands in one process that tells of everything it does that is more than reading.
WATCHED = """\
import json, os, sys, time, contextlib, io

FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "webbrowser.", "pty.", "signal.", "tempfile.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")
MODULES = ("torch", "pytorch_lightning", "torchmetrics", "numpy", "evil", "proj", "project", "more", "__lighter__")
events = []

def watch(event, arguments):
    if event.startswith(FORBIDDEN) and event not in HARMLESS:
        events.append((event, repr(arguments)))
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        events.append((event, repr(arguments)))
    if event == "exec" and arguments[0].co_filename.startswith(os.getcwd()):
        events.append((event, repr(arguments[0])))

sys.dont_write_bytecode = True
command, *sources = sys.argv[1:]
folder = os.getcwd()
os.chdir("/")  # so that what Lighter itself imports cannot be found in the folder
import lighter.cli, lighter.checking, lighter.config.origin, lighter.config.part, fire
if command == "check":
    import lighter.system, torchmetrics  # which do much, but not because of a config
os.chdir(folder)
sys.path.insert(0, folder)
sys.addaudithook(watch)
told = {}
for source in sources:
    events.clear()
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        name, *flags = command.split()
        status = lighter.cli.main([name, source, *flags])
    seconds = time.process_time() - start
    told[source] = {
        "status": status, "out": out.getvalue(), "err": err.getvalue(), "events": list(events), "seconds": seconds
    }
told["modules"] = sorted({name.split(".")[0] for name in sys.modules} & set(MODULES))
json.dump(told, sys.stdout)
"""


@dataclass(frozen=True)
class Told:
    """What one command said of one config, and what it did beside reading."""

    status: int
    out: str
    err: str
    events: list[list[str]]
    seconds: float


def dig(den: Path) -> Path:
    """Fill a folder with the hostile configs and what they name."""
    (den / "evil.py").write_text(EVIL, encoding="utf-8")
    (den / "__lighter__.py").write_text(EVIL, encoding="utf-8")
    (den / "proj").mkdir()
    for name in ("__init__", "more", "__lighter__"):
        (den / "proj" / f"{name}.py").write_text(EVIL, encoding="utf-8")
    os.mkfifo(den / "pipe.yaml")
    (den / "endless.yaml").symlink_to("/dev/zero")
    (den / "circle.yaml").symlink_to("circle.yaml")
    (den / "folder.yaml").mkdir()
    (den / "other.yaml").write_text("vars: {x: \"$open('marker', 'w')\"}\n", encoding="utf-8")
    (den / "itself.yaml").write_text('vars: {a: "%itself.yaml::vars"}\n', encoding="utf-8")
    for number in range(12):
        one = f'"%grows{number + 1}.yaml::vars"'
        (den / f"grows{number}.yaml").write_text(f"vars: {{a: {one}, b: {one}}}\n", encoding="utf-8")
    (den / "grows12.yaml").write_text("vars: 1\n", encoding="utf-8")
    with (den / "huge.yaml").open("wb") as file:
        file.truncate(10**12)
    for name, text in CONFIGS.items():
        (den / slug(name)).write_text(whole(dedent(text)), encoding="utf-8")
    return den


def slug(name: str) -> str:
    return f"{name.replace(' ', '_')}.yaml"


def whole(text: str) -> str:
    """Add the sections that a config needs, where a text has none of its own."""
    head = "".join(line + "\n" for line in HEAD.splitlines() if f"\n{line.split(':')[0]}: " not in f"\n{text}")
    return f"{head}{text.strip()}\n"


def run(command: str, sources: list[str], den: Path) -> tuple[dict[str, Told], list[str]]:
    """Run a command on each source, in one process; return what it said, and which modules that left behind."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, command, *sources],
        cwd=den,
        capture_output=True,
        text=True,
        timeout=SECONDS * len(sources),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    modules = result.pop("modules")
    return {source: Told(**said) for source, said in result.items()}, modules


@pytest.fixture(scope="module")
def den(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dig(tmp_path_factory.mktemp("den"))


@pytest.fixture(scope="module", params=READ_ONLY, ids=" ".join)
def told(request: pytest.FixtureRequest, den: Path) -> dict[str, Told]:
    said, modules = run(" ".join(request.param), [*map(slug, CONFIGS), *SOURCES.values()], den)
    assert modules == []
    return said


@pytest.mark.parametrize("name", [*CONFIGS, *SOURCES])
def test_a_command_that_reads_does_nothing_else(name: str, told: dict[str, Told], den: Path) -> None:
    said = told[SOURCES.get(name) or slug(name)]
    assert said.events == []
    assert not (den / "marker").exists()
    assert said.status == (2 if name in SOURCES else said.status)
    assert said.status in (0, 2)
    assert "Traceback" not in said.out + said.err
    assert said.seconds < SECONDS
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())


IMPORTING = ["targets that do things", "expressions that do things", "imports", "a project"]


def test_check_imports_each_module_once_and_calls_nothing(tmp_path: Path) -> None:
    den = dig(tmp_path)
    said = run("check", list(map(slug, IMPORTING)), den)[0]
    events = [event for one in said.values() for event, _ in one.events]
    assert {one.status for one in said.values()} == {2}
    assert sorted((den / "marker").read_text(encoding="utf-8").splitlines()) == [
        "evil",
        "more",
        "project",
        "project.more",
    ]
    assert {"exec", "open"} <= set(events)  # so the watch is awake
    assert {event.split(".")[0] for event in events} <= {"import", "exec", "open", "os", "tempfile"}
    assert {event for event in events if event.startswith("os.")} <= {"os.mkdir"}  # for `project` to be a module


def test_the_program_itself_reads_a_hostile_config(tmp_path: Path) -> None:
    den = dig(tmp_path)
    for command in ("show", "check --no-import"):
        name, *flags = command.split()
        program = [sys.executable, "-X", "importtime", "-m", "lighter", name, slug("targets that do things"), *flags]
        done = subprocess.run(program, cwd=den, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0
        imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
        assert "yaml" in imported
        assert not imported & {"torch", "pytorch_lightning", "torchmetrics", "evil"}
    assert not (den / "marker").exists()


# --- what is imported, and minds being looked at

PLACES = {
    "an object": "data: {{_target_: {name}}}",
    "arguments": "data: {{_target_: {name}, a: 1, b: x, c: [1], size: 1, zise: 2, d: {{a: 1}}}}",
    "positions": "data: {{_target_: {name}, _args_: [1, x, [1], 2, 3]}}",
    "a callable": "data: {{_target_: {name}, _mode_: callable, size: x}}",
    "expressions": """
        _imports_: {{t: {module}, x: {name}}}
        _requires_: [{name}]
        vars: {{a: $t.{member}(1), b: $x.no.thing, c: $x + 1, d: "$spring('expression')"}}
        data: $x
        """,
    "slots": """
        system:
          _target_: lighter.System
          model: {{_target_: {name}}}
          inferer: {{_target_: {name}}}
          criterion: {{_target_: {name}}}
          optimizer: {{_target_: {name}, params: $@system::model.parameters()}}
          scheduler: {{scheduler: {{_target_: {name}, optimizer: "@system::optimizer"}}, monitor: a}}
          metrics: {{train: {{a: {{_target_: {name}}}}}, val: {{_target_: {name}}}}}
          dataloaders: {{train: {{_target_: {name}}}, val: [{{_target_: {name}}}]}}
          adapters:
            train:
              batch: {{_target_: {name}}}
              criterion: {{_target_: {name}, pred_argument: size}}
              metrics: {{_target_: lighter.adapters.MetricsAdapter, pred_argument: a}}
            val: {{batch: {{_target_: {name}}}, metrics: {{_target_: {name}}}}}
        trainer:
          _target_: pytorch_lightning.Trainer
          callbacks: [{{_target_: {name}}}, {{_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: a}}]
        """,
    "a criterion": """
        system:
          _target_: lighter.System
          model: {{_target_: torch.nn.Identity}}
          criterion: {{_target_: {name}, _mode_: callable}}
          dataloaders: {{train: {{_target_: {name}}}}}
        """,
    "a criterion in an expression": """
        _imports_: {{t: {module}}}
        system:
          _target_: lighter.System
          model: {{_target_: torch.nn.Identity}}
          criterion: $t.{member}
          dataloaders: {{train: []}}
        """,
    "sections": """
        system: {{_target_: {name}, model: 1, metrics: {{train: 1}}}}
        trainer: {{_target_: {name}, max_epochs: x}}
        args: {{fit: {{a: 1}}}}
        """,
}


@pytest.mark.parametrize("member", traps.TARGETS)
def test_nothing_that_a_config_names_is_called_compared_or_printed(
    member: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(traps, "SPRUNG", [])
    for place, text in PLACES.items():
        name = f"{traps.__name__}.{member}"
        config = whole(dedent(text.format(name=name, module=traps.__name__, member=member)))
        Path("config.yaml").write_text(config, encoding="utf-8")
        problems = find_problems(["config.yaml"])[1]
        assert render_all(problems)
        assert traps.SPRUNG == [], place
