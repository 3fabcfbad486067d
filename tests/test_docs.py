"""Every block of the README files and of docs/ does what CONTRIBUTING.md says of its kind."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lighter.cli import main
from lighter.config import Config, compose
from lighter.config.check import check
from lighter.config.reference import expand
from lighter.config.resolve import Resolver
from lighter.config.tree import Node
from lighter.errors import render_all
from lighter.project import import_project

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for folder in ("docs", "projects/*") for path in sorted(ROOT.glob(f"{folder}/*.md"))),
]
BLOCKS = {"yaml": 60, "bash": 47, "python": 9, "text": 14, "json": 1}

FENCE = re.compile(r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.S | re.M)
RESULT = re.compile(r"# result of: (?P<sources>.*)")
EXIT = re.compile(r"# exits with (?P<status>\d+)$")
NOT_RUN = re.compile(r"# not run: \w")

MINIMAL = """
trainer: {_target_: pytorch_lightning.Trainer}
system: {_target_: lighter.System, model: {_target_: torch.nn.Identity}}
"""
BUILT = ("vars", "trainer::callbacks", *(f"system::{slot}" for slot in ("model", "criterion", "metrics", "adapters")))
FEW_BATCHES = [f"trainer::limit_{mode}_batches=2" for mode in ("train", "val", "test", "predict")]
STAGES = ("fit", "validate", "test", "predict")
OTHER_COMMANDS = {
    "python -m venv .venv",
    ".venv/bin/pip install -e .",
    ".venv/bin/pip install -e '.[dev]'",
    ".venv/bin/pytest",
    "source .venv/bin/activate",
    "pre-commit install",
    "pytest",
    "ruff check",
    "ruff format --check",
    "mypy",
    "mkdocs build --strict",
    ".ci/run",
}


@dataclass(frozen=True)
class Block:
    place: str
    language: str
    title: str | None
    text: str


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(f"{page}:{text.count(chr(10), 0, match.start()) + 1}", match["language"], match["title"], match["text"])
        for match in FENCE.finditer(text)
    ]


def test_every_block_is_found_and_of_a_known_kind() -> None:
    fences = sum(text.count("\n```") + text.startswith("```") for text in ((ROOT / page).read_text() for page in PAGES))
    found = Counter(block.language for page in PAGES for block in blocks_of(page))
    assert fences == 2 * found.total(), "a fence without a language, or one that is not closed"
    assert dict(found) == BLOCKS


def test_the_readme_shows_the_config_of_cifar10() -> None:
    first = next(block for block in blocks_of("README.md") if block.language == "yaml")
    assert first.text == (ROOT / "projects/cifar10/config.yaml").read_text()


@pytest.mark.filterwarnings("ignore")  # what a new user's script warns of is not what is tested here
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of(page: str, page_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        try:
            if block.title:
                write_file(page_folder / block.title, block.text)
            elif block.language == "yaml":
                check_yaml(block.text)
            elif block.language == "bash":
                run_shell(block.text)
            elif block.text.startswith("$ "):
                capsys.readouterr()
                check_output(block.text, capsys)
            elif block.language == "python":
                exec(compile(block.text, block.place, "exec"), names)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block.place}: {error}") from error


@pytest.fixture
def page_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a page's scratch folder, with the projects in it, as the working folder."""
    shutil.copytree(ROOT / "projects", tmp_path / "projects", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    torch.set_num_threads(1)  # threads that other tests keep busy make a network of this size wait
    yield tmp_path
    forget_project()


def forget_project() -> None:
    for name in [name for name in sys.modules if name == "project" or name.startswith("project.")]:
        del sys.modules[name]


def write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    whole = {"trainer", "system"} <= {line.split(":")[0] for line in text.splitlines()}
    if path.suffix == ".yaml" and whole and not text.startswith("# with mistakes"):
        check_config(compose([str(path)]))


def check_yaml(text: str) -> None:
    first = text.split("\n", 1)[0]
    if match := RESULT.fullmatch(first):
        check_result(text, shlex.split(match["sources"]))
        return
    Path("block.yaml").write_text(text, encoding="utf-8")
    if not first.startswith("# fragment"):
        check_config(compose(["block.yaml"]))
        return
    config = over_minimal("block.yaml")
    check_config(config)
    if not first.startswith("# fragment, not built: "):
        resolver = Resolver.of(config)
        for path in BUILT:
            if path in resolver:
                resolver.resolve(path)


def over_minimal(*sources: str) -> Config:
    Path("minimal.yaml").write_text(MINIMAL, encoding="utf-8")
    files = [source for source in sources if source.endswith(".yaml")]
    return compose(["minimal.yaml", *files], [source for source in sources if source not in files])


def check_result(text: str, sources: list[str]) -> None:
    Path("result.yaml").write_text(text, encoding="utf-8")
    shown = over_minimal("result.yaml").root.plain()
    assert expanded(over_minimal(*sources)).plain() == shown


def check_config(config: Config) -> None:
    forget_project()
    import_project(config)
    problems = check(config)
    assert problems == [], render_all(problems)


def expanded(config: Config) -> Node:
    return expand(config.root, config.root)


def run_shell(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        for command in re.sub(r"\s+# .*", "", line).split(" && "):
            if command.startswith(("lighter ", ".venv/bin/lighter ")):
                run_lighter(shlex.split(command)[1:], line)
            else:
                assert command in OTHER_COMMANDS or NOT_RUN.search(line), f"not a command that is known: {command}"


def check_output(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run what stands behind the prompt, and compare what it prints."""
    command, _, shown = text.partition("\n")
    main(shlex.split(command)[2:])
    assert capsys.readouterr().out == shown


def run_lighter(argv: list[str], line: str) -> None:
    if NOT_RUN.search(line):
        sources = argv[1 : argv.index("--ckpt") if "--ckpt" in argv else None]
        files = [arg for arg in sources if arg.endswith(".yaml")]
        compose(files, [arg for arg in sources if arg not in files])
        return
    exits = EXIT.search(line)
    runs = argv[0] in STAGES and "--help" not in argv and len(argv) > 1
    assert main(argv + FEW_BATCHES * runs) == (int(exits["status"]) if exits else 0), line
