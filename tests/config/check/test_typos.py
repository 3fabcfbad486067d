"""A slip of one character in a valid config is told of, or leaves a config that means something valid."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lighter.checking import find_problems
from lighter.config import compose
from lighter.config.check.signatures import signature_of
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node, is_reference, nodes
from lighter.config.tree import Path as ConfigPath
from lighter.errors import Problem, render_all

pytestmark = pytest.mark.no_cover  # thousands of calls that other tests make too, which tracing would slow down

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "projects/digits/config.yaml",
    ROOT / "projects/digits/config_dict.yaml",
    ROOT / "projects/cifar10/config.yaml",
]
TOLD: list[bool] = []  # of each slip, whether it was
LETTERS = "abcdefghijklmnopqrstuvwxyz_"


@dataclass(frozen=True)
class Site:
    """A word of a config in which a slip may happen: a key, the last name of a target, or a reference."""

    file: Path
    line: int
    column: int
    word: str
    path: ConfigPath
    kind: str


def sites_of(file: Path) -> list[Site]:
    lines = file.read_text(encoding="utf-8").split("\n")
    found = []
    for path, node in nodes(compose(str(file)).root):
        if path and node.key_place is not None and isinstance(path[-1], str):
            found.append(site(file, lines, node.key_place.line, path[-1], path, "key"))
        if path and path[-1] == "_target_":
            found.append(site(file, lines, node.place.line, str(node.value).split(".")[-1], path, "target"))
        elif is_reference(node.value, "@%"):
            found.append(site(file, lines, node.place.line, str(node.value).lstrip("@%:"), path, "reference"))
    return [item for item in found if item.column >= 0 and len(item.word) > 2]


def site(file: Path, lines: list[str], line: int, word: str, path: ConfigPath, kind: str) -> Site:
    column = lines[line - 1].rfind(word) if kind == "target" else lines[line - 1].find(word)
    return Site(file, line, column, word, path, kind)


SITES = [item for file in FILES for item in sites_of(file)]


@st.composite
def slips(draw: st.DrawFn) -> tuple[Site, str]:
    """Draw a site, and its word with one character too much, too few, other, or two in the other order."""
    item = draw(st.sampled_from(SITES))
    at, letter = draw(st.integers(1, len(item.word) - 1)), draw(st.sampled_from(LETTERS))
    before, here, after = item.word[:at], item.word[at], item.word[at + 1 :]
    forms = [before + after, before + letter + here + after, before + letter + after]
    forms.append(before[:-1] + here + before[-1] + after)
    return item, draw(st.sampled_from([form for form in forms if form != item.word] or [item.word + letter]))


def means_something(item: Site, word: str, root: Node) -> bool:
    """Tell whether a config in which a word stands for another is as valid as before."""
    if item.kind == "target":
        name = str(compose(str(item.file)).plain("::".join(map(str, item.path)))).rpartition(".")[0]
        try:
            return callable(import_object(f"{name}.{word}"))
        except TargetError:
            return False
    if item.kind == "reference":
        return False
    free = item.path[0] in ("vars", "_imports_") or item.path[:2] == ("system", "metrics")
    parent = next((node for path, node in nodes(root) if path == item.path[:-1]), None)
    if free or parent is None or not isinstance(parent.value, dict) or "_target_" not in parent.value:
        return free
    target = import_object(str(parent.value["_target_"].value))
    signature = signature_of(target) if callable(target) else None
    return signature is None or signature.open or word in signature.named


def is_near(problem: Problem, item: Site) -> bool:
    """Tell whether a problem leads to a slip: by its line, its path, or by naming what should stand there."""
    parent = "::".join(map(str, item.path[:-1]))
    in_line = problem.place is not None and problem.place.line == item.line
    names = item.word in f"{problem.message} {problem.suggestion}"
    return in_line or names or (problem.path or "").startswith(parent)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the projects in it, of which a config may be changed."""
    folder = tmp_path_factory.mktemp("typos")
    shutil.copytree(ROOT / "projects", folder / "projects", ignore=shutil.ignore_patterns("__pycache__", "data"))
    return folder


@pytest.mark.filterwarnings("ignore")  # what modules that are imported warn of is not what is tested here
@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(slips())
def test_a_slip_of_one_character_is_told_of(projects: Path, slip: tuple[Site, str]) -> None:
    item, word = slip
    lines = item.file.read_text(encoding="utf-8").split("\n")
    line = lines[item.line - 1]
    lines[item.line - 1] = line[: item.column] + word + line[item.column + len(item.word) :]
    changed = projects / item.file.relative_to(ROOT)
    changed.write_text("\n".join(lines), encoding="utf-8")
    config, problems = find_problems([str(changed)])
    changed.write_text(item.file.read_text(encoding="utf-8"), encoding="utf-8")
    TOLD.append(bool(problems))
    if problems:
        assert any(is_near(problem, item) for problem in problems), render_all(problems)
    else:
        assert config is not None
        assert means_something(item, word, config.root), f"{item.word} -> {word} in {item.file.name}:{item.line} passes"


def test_most_slips_are_told_of() -> None:
    assert not TOLD or sum(TOLD) / len(TOLD) > 0.85


def test_there_are_sites_of_each_kind() -> None:
    kinds = [item.kind for item in SITES]
    assert min(kinds.count(kind) for kind in ("key", "target", "reference")) > 15
