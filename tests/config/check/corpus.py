"""The corpus of mistakes: `mistakes/*.yaml` say how configs of `bases/` are broken, and what is said of it.

A mistake is an entry under a name of its own:

    the argument of a class is misspelt:
      base: digits experiment               # the files of `bases/` that it is made in, in order
      change: {"momentum: 0.9": "^momentun: 0.9"}
      over: |                               # or a last file, over.yaml
        vars: {width: 2}
      files: {other.yaml: "a: 1"}           # or files beside them, or in the place of one of `bases/`
      overrides: ["trainer::max_epochs=1"]
      stage: fit
      path: system::optimizer::momentun
      says: takes no argument 'momentun'    # part of the message, or a list of parts
      mend: did you mean 'momentum'?        # part of the suggestion; without it, there is none

A `^` stands before the place that is told, and is no part of the text. Without one, it is the last override, or `at`:
a text of the sources with `^` in it, or a place as it is shown. `problems` is a list of `path`, `says`, `mend` and `at`
in place of one; marks belong to them in order.

Run as a program, it writes what is shown for each mistake to `mistakes.txt`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lighter.checking import find_problems
from lighter.errors import Problem, render_problem

HERE = Path(__file__).parent
BASES = HERE / "bases"
SNAPSHOT = HERE / "mistakes.txt"
MARK = "^"
FIELDS = {"base", "change", "over", "files", "overrides", "stage", "problems"}
EXPECTED = {"path", "says", "mend", "at"}


@dataclass(frozen=True)
class Expected:
    """What is to be said of a mistake: where, at which path, with which words."""

    place: str
    path: str | None
    says: tuple[str, ...]
    mend: str | None

    def is_told_by(self, problem: Problem) -> bool:
        told = problem.suggestion
        mended = told is None if self.mend is None else told is not None and self.mend in told
        said = all(part in problem.message for part in self.says)
        return mended and said and (place_of(problem), problem.path) == (self.place, self.path)


def place_of(problem: Problem) -> str:
    """Return the place of a problem, an override as it was typed."""
    return problem.place.override or str(problem.place) if problem.place else ""


@dataclass(frozen=True)
class Mistake:
    """A base config, and how it is broken."""

    name: str
    sources: tuple[str, ...]
    stage: str | None
    overrides: tuple[str, ...]
    texts: dict[str, str]  # of the files that are not as in `bases/`, without marks
    expected: tuple[Expected, ...]

    def problems(self) -> list[Problem]:
        """Check the config in the working folder, where it is written over the bases."""
        for file, text in self.texts.items():
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(text, encoding="utf-8")
        return find_problems(self.sources, self.overrides, self.stage)[1]


@contextlib.contextmanager
def bases_in(folder: Path) -> Iterator[None]:
    """Work in a folder with copies of the base configs, and leave nothing of their project behind in the process."""
    before, on_path = Path.cwd(), [*sys.path]
    shutil.copytree(BASES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = on_path
        for name in [name for name in sys.modules if name.split(".")[0] == "project"]:
            del sys.modules[name]


def shown(problems: Sequence[Problem]) -> str:
    """Return problems as they are shown, with places of a project's code relative to the working folder."""
    here = f"{Path.cwd().resolve()}/"
    return "\n\n".join(render_problem(replace(item, message=item.message.replace(here, ""))) for item in problems)


@cache
def snapshot() -> dict[str, str]:
    """Return what was shown for each mistake when the snapshot was written."""
    parts = re.split(r"^=== (.+) ===\n\n", SNAPSHOT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: text.rstrip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def write_snapshot() -> None:
    texts = []
    for mistake in MISTAKES:
        with tempfile.TemporaryDirectory() as folder, bases_in(Path(folder)):
            texts.append(f"=== {mistake.name} ===\n\n{shown(mistake.problems())}\n")
    SNAPSHOT.write_text("\n".join(texts), encoding="utf-8")


def _mistakes() -> Iterator[Mistake]:
    for file in sorted((HERE / "mistakes").glob("*.yaml")):
        yield from _read(file)


def _read(file: Path) -> Iterator[Mistake]:
    for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        problems = entry.get("problems") or [{key: entry[key] for key in EXPECTED & entry.keys()}]
        assert entry.keys() <= FIELDS | EXPECTED, f"{name}: {entry.keys() - FIELDS - EXPECTED}"
        assert all("says" in problem and problem.keys() <= EXPECTED for problem in problems), name
        yield _mistake(name, entry, problems)


def _mistake(name: str, entry: dict[str, Any], problems: Sequence[dict[str, Any]]) -> Mistake:
    sources = [f"{base}.yaml" for base in entry["base"].split()]
    marked = {file: (BASES / file).read_text(encoding="utf-8") for file in sources if (BASES / file).is_file()}
    for old, new in entry.get("change", {}).items():
        file = next(file for file in reversed(marked) if old in marked[file])
        assert marked[file].count(old) == 1, f"{name}: {old!r} stands more than once in {file}"
        marked[file] = marked[file].replace(old, new)
    if "over" in entry:
        sources.append("over.yaml")
        marked["over.yaml"] = entry["over"]
    marked |= entry.get("files", {})
    texts = {file: text.replace(MARK, "") for file, text in marked.items()}
    places = [place for file, text in marked.items() for place in _places(file, text)]
    overrides = tuple(entry.get("overrides", ()))
    places += overrides[-1:]
    expected = []
    for problem in problems:
        place = _place(problem["at"], texts) if "at" in problem else places.pop(0)
        says = [problem["says"]] if isinstance(problem["says"], str) else problem["says"]
        expected.append(Expected(place, problem.get("path"), tuple(says), problem.get("mend")))
    return Mistake(name, tuple(sources), entry.get("stage"), overrides, texts, tuple(expected))


def _places(file: str, marked: str) -> Iterator[str]:
    """Yield where the marks of a text stand once they are taken out."""
    for number, line in enumerate(marked.splitlines(), 1):
        before = line.split(MARK)[:-1]
        for index in range(len(before)):
            yield f"{file}:{number}:{len(''.join(before[: index + 1])) + 1}"


def _place(at: str, texts: dict[str, str]) -> str:
    """Return the place that a text with a mark points at, or the text."""
    for file, text in texts.items():
        index = text.find(at.replace(MARK, ""))
        if MARK in at and index >= 0:
            return next(_places(file, f"{text[: index + at.index(MARK)]}{MARK}{text[index + at.index(MARK) :]}"))
    return at


MISTAKES = list(_mistakes())

if __name__ == "__main__":
    with contextlib.redirect_stderr(io.StringIO()):  # for messages as wide as they are without a terminal
        write_snapshot()
